// SPDX-License-Identifier: GPL-2.0-only
/** Numbers in strings. Sources: lib/kstrtox.c, lib/vsprintf.c (sscanf) */
import { EINVAL, ERANGE } from "../../include/linux/errno.ts";

/** Where a parsed value goes: `unsigned long *res` in C. */
export interface parsed<T> {
  value: T;
}

/** The whole of `s`, but one newline, as an integer; null if it is none. */
function parse(s: string, base: number): bigint | null {
  const found = /^([-+]?)(0x|0X)?([0-9a-zA-Z]+)\n?$/.exec(s);
  if (!found) return null;
  const [, sign, prefix, rest = ""] = found;
  let digits = rest;
  let radix = base;
  if (base === 0) radix = prefix ? 16 : digits.startsWith("0") ? 8 : 10;
  if (prefix && radix !== 16) return null;
  const allowed = "0123456789abcdefghijklmnopqrstuvwxyz".slice(0, radix);
  let v = 0n;
  digits = digits.toLowerCase();
  for (const c of digits) {
    const d = allowed.indexOf(c);
    if (d < 0) return null;
    v = v * BigInt(radix) + BigInt(d);
  }
  return sign === "-" ? -v : v;
}

function convert(s: string, base: number, bits: number, signed: boolean): bigint | number {
  if (!signed && s.startsWith("-")) return -EINVAL;
  const v = parse(s, base);
  if (v === null) return -EINVAL;
  const fits = signed ? BigInt.asIntN(bits, v) === v : BigInt.asUintN(bits, v) === v;
  return fits ? v : -ERANGE;
}
function to_number(s: string, base: number, bits: number, signed: boolean, res: parsed<number>): number {
  const v = convert(s, base, bits, signed);
  if (typeof v === "number") return v;
  res.value = Number(v);
  return 0;
}
function to_bigint(s: string, base: number, signed: boolean, res: parsed<bigint>): number {
  const v = convert(s, base, 64, signed);
  if (typeof v === "number") return v;
  res.value = v;
  return 0;
}

/** @base: 0 to go by the prefix. @return 0, -EINVAL or -ERANGE; `res` is not touched then */
export const kstrtoul = (s: string, base: number, res: parsed<bigint>): number => to_bigint(s, base, false, res);
export const kstrtoull = kstrtoul;
export const kstrtou64 = kstrtoul;
export const kstrtol = (s: string, base: number, res: parsed<bigint>): number => to_bigint(s, base, true, res);
export const kstrtoll = kstrtol;
export const kstrtos64 = kstrtol;
export const kstrtouint = (s: string, base: number, res: parsed<number>): number => to_number(s, base, 32, false, res);
export const kstrtou32 = kstrtouint;
export const kstrtoint = (s: string, base: number, res: parsed<number>): number => to_number(s, base, 32, true, res);
export const kstrtou16 = (s: string, base: number, res: parsed<number>): number => to_number(s, base, 16, false, res);
export const kstrtou8 = (s: string, base: number, res: parsed<number>): number => to_number(s, base, 8, false, res);

/** y, t, 1, on: true; n, f, 0, off: false, in any case. @return 0 or -EINVAL */
export function kstrtobool(s: string | null, res: parsed<boolean>): number {
  switch (s?.[0]) {
    case "y":
    case "Y":
    case "t":
    case "T":
    case "1":
      res.value = true;
      return 0;
    case "n":
    case "N":
    case "f":
    case "F":
    case "0":
      res.value = false;
      return 0;
    case "o":
    case "O":
      if (s?.[1] === "n" || s?.[1] === "N") res.value = true;
      else if (s?.[1] === "f" || s?.[1] === "F") res.value = false;
      else return -EINVAL;
      return 0;
    default:
      return -EINVAL;
  }
}

/** The number that `s` begins with, and what follows it. */
export function simple_strtoul(s: string, base: number): { v: number; endp: string } {
  const hex = /^0[xX](?=[0-9a-fA-F])/.exec(s);
  const radix = base || (hex ? 16 : s.startsWith("0") ? 8 : 10);
  const from = hex && radix === 16 ? s.slice(2) : s;
  let n = 0;
  while (n < from.length && !Number.isNaN(Number.parseInt(from[n] ?? "", radix))) n++;
  return { v: n ? Number.parseInt(from.slice(0, n), radix) : 0, endp: from.slice(n) };
}

/** sscanf() for %d %i %u %x %s %c %n, widths and text. @return the values, as many as were converted */
export function sscanf(s: string, fmt: string): (number | string)[] {
  const out: (number | string)[] = [];
  let at = 0;
  const skip = (): void => {
    while (/\s/.test(s[at] ?? "")) at++;
  };
  for (const [token, width, conv] of fmt.matchAll(/%(\d+)?(?:hh|h|ll|l|z)?([diuxsnc%])|\s+|./g)) {
    if (conv === "n") {
      out.push(at);
      continue;
    }
    if (!conv || conv === "%") {
      if (/^\s/.test(token)) skip();
      else if (s[at] === (conv ?? token)) at++;
      else return out;
      continue;
    }
    if (conv !== "c") skip();
    const field = s.slice(at, width ? at + Number(width) : undefined);
    const shape = {
      d: /^[-+]?\d+/,
      i: /^[-+]?(?:0[xX][0-9a-fA-F]+|\d+)/,
      u: /^\d+/,
      x: /^(?:0[xX](?=[0-9a-fA-F]))?[0-9a-fA-F]+/,
    };
    const found = (conv === "s" ? /^\S+/ : conv === "c" ? /^[^]/ : shape[conv as keyof typeof shape]).exec(field);
    if (!found) return out;
    at += found[0].length;
    if (conv === "s" || conv === "c") out.push(found[0]);
    else out.push(conv === "x" ? Number.parseInt(found[0].replace(/^0[xX]/, ""), 16) : Number(found[0]));
  }
  return out;
}
