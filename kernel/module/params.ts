// SPDX-License-Identifier: GPL-2.0-only
/** Parameters of modules: their values as text. Parameters given at load are not there. Source: kernel/params.c */
import { EINVAL } from "#linux/errno.ts";
import { kstrtoint, kstrtouint, type parsed } from "../lib/kstrtox.ts";
import type { kernel_param_ops } from "../modpost.ts";

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
