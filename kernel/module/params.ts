// SPDX-License-Identifier: GPL-2.0-only
/** Parameters of modules: their values as text. Source: kernel/params.c */
import { EINVAL, ENOENT, ENOSPC } from "#linux/errno.ts";
import { kstrtoint, kstrtouint, type parsed } from "../lib/kstrtox.ts";
import type { kernel_param, kernel_param_ops } from "../modpost.ts";
import { pr_err, pr_warn } from "../printk.ts";

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

/** A string of at most `maxlen` bytes with its end. */
export function param_string<K extends string>(of: in_struct<K, string>, member: K, maxlen: number): kernel_param_ops {
  const set = (val: string): number => {
    if (val.length + 1 > maxlen) {
      pr_err("%s: string doesn't fit in %u chars.\n", member, maxlen - 1);
      return -ENOSPC;
    }
    of()[member] = val;
    return 0;
  };
  return { get: () => of()[member], set };
}

const dash_to_under = (name: string): string => name.replaceAll("-", "_");

/**
 * Sets the parameters of a module that is being loaded. @args: "name=value" and so on, with blanks in between
 * @return 0 or the errno of the first that is refused; one that is not known only gets a line in the log
 */
export function parse_args(doing: string, args: string, params: readonly kernel_param[]): number {
  for (const arg of args.split(/\s+/).filter((word) => word !== "")) {
    const [, name = "", , val = null] = /^([^=]*)(=(.*))?$/.exec(arg) ?? [];
    const param = params.find((p) => dash_to_under(p.name) === dash_to_under(name));
    if (!param) {
      pr_warn("%s: unknown parameter '%s' ignored\n", doing, name);
      continue;
    }
    const ret = param.ops.set(val ?? "1");
    if (ret === -ENOENT) pr_err("%s: Unknown parameter `%s'\n", doing, name);
    else if (ret === -ENOSPC) pr_err("%s: `%s' too large for parameter `%s'\n", doing, val ?? "", name);
    else if (ret) pr_err("%s: `%s' invalid for parameter `%s'\n", doing, val ?? "", name);
    if (ret) return ret;
  }
  return 0;
}
