// SPDX-License-Identifier: GPL-2.0-only
/** Parameters of modules: their values as text. Source: kernel/params.c */
import { EINVAL } from "#linux/errno.ts";
import { pr_err, pr_warn } from "../printk.ts";
import { kstrtoint, kstrtouint, type parsed } from "../lib/kstrtox.ts";
import type { kernel_param_ops, module } from "../modpost.ts";

export type { kernel_param, kernel_param_ops } from "../modpost.ts";

/** Where a parameter is kept: the struct is looked up at each use, as a module's statics are new at each load. */
type in_struct<K extends string, T> = () => { [member in K]: T };

function number_param<K extends string>(
  of: in_struct<K, number>,
  member: K,
  parse: (s: string, base: number, res: parsed<number>) => number,
): kernel_param_ops {
  const set = (val: string): number => {
    const res = { value: 0 };
    const ret = parse(val, 0, res);
    if (!ret) of()[member] = res.value;
    return ret;
  };
  return { get: () => String(of()[member]), set };
}

/** An int, kept in @member of what @of gives. */
export function param_int<K extends string>(of: in_struct<K, number>, member: K): kernel_param_ops {
  return number_param(of, member, kstrtoint);
}
export function param_uint<K extends string>(of: in_struct<K, number>, member: K): kernel_param_ops {
  return number_param(of, member, kstrtouint);
}

const WORDS: Readonly<Record<string, boolean>> = { y: true, Y: true, "1": true, n: false, N: false, "0": false };
/** A bool: Y or N. */
export function param_bool<K extends string>(of: in_struct<K, boolean>, member: K): kernel_param_ops {
  const set = (val: string): number => {
    const first = val.slice(0, 1);
    const v = /^o/i.test(val) ? { n: true, f: false }[val.slice(1, 2).toLowerCase()] : WORDS[first];
    if (v === undefined) return -EINVAL;
    of()[member] = v;
    return 0;
  };
  return { get: () => (of()[member] ? "Y" : "N"), set };
}

/** Sets what was given when a module is loaded: `name=value`, or a name alone for yes, with blanks between. @return 0 or errno */
export function parse_args(mod: module, args: string): number {
  for (const arg of args.split(/\s+/).filter(Boolean)) {
    const [, name = "", val] = /^([^=]*)(?:=(.*))?$/.exec(arg) ?? [];
    const param = mod.params.find((p) => p.name.replaceAll("-", "_") === name.replaceAll("-", "_"));
    if (!param) {
      pr_warn("%s: unknown parameter '%s' ignored\n", mod.name, name);
      continue;
    }
    const ret = param.ops.set(val ?? "1");
    if (ret) {
      pr_err("%s: `%s' invalid for parameter `%s'\n", mod.name, val ?? "", name);
      return ret;
    }
  }
  return 0;
}
