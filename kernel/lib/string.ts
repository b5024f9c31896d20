// SPDX-License-Identifier: GPL-2.0-only
/** memcpy() and its like over byte memory and structs, and what C does to strings. Sources: lib/string.c, mm/kasan/shadow.c */
import { byte_order, type byte_memory } from "./bytestruct.ts";
import { type kobj_memory, sizeof, struct_array } from "./struct.ts";
import { zero_struct } from "./struct_copy.ts";
import { copy_struct } from "./struct_copy.ts";
import { is_bytes, kasan_check_range } from "../mm/kasan.ts";
import { kmsan_copy_memory } from "../mm/kmsan.ts";
import { E2BIG, EINVAL } from "../../include/linux/errno.ts";

/** Something with bytes: byte memory, or an array of u8. */
export type byte_range = byte_memory | struct_array<number>;

function is_byte_range(x: kobj_memory): x is byte_range {
  return is_bytes(x) || (x instanceof struct_array && x.element.width() === 1);
}
function get_bytes(x: byte_range, n: number): Uint8Array {
  return x instanceof struct_array ? Uint8Array.from(x.$items.slice(0, n)) : x.$bytes.subarray(0, n);
}
function set_bytes(x: byte_range, bytes: Uint8Array): void {
  if (x instanceof struct_array) bytes.forEach((b, i) => x.$items.splice(i, 1, b));
  else x.$bytes.set(bytes.subarray(0, x.$bytes.length));
}

/** Fills `n` bytes; a struct that is no byte memory can only be made zero, and only as a whole. @return dst */
export function memset<T extends kobj_memory>(dst: T, c: number, n: number = sizeof_memory(dst)): T {
  // Of nothing not even the address is looked at.
  if (n === 0 || !kasan_check_range(dst, 0, n, true)) return dst;
  if (is_byte_range(dst)) set_bytes(dst, new Uint8Array(n).fill(c));
  else if (c === 0 && n === sizeof(dst)) zero_struct_or_array(dst);
  else throw new TypeError("memset() of a part of a struct, or to something else than 0");
  return dst;
}
function sizeof_memory(x: kobj_memory): number {
  return is_bytes(x) ? x.$bytes.length : sizeof(x);
}
function zero_struct_or_array(x: kobj_memory): void {
  if (!(x instanceof struct_array)) return zero_struct(x);
  for (let i = 0; i < x.length; i++) {
    const item: unknown = x.$items[i];
    if (x.element.kind === "value") x.set(i, x.element.zero());
    else if (item instanceof Object) zero_struct_or_array(item as kobj_memory); // elements that are no values are memory
  }
}

/** Copies `n` bytes, or a whole struct to another one of its kind. Nothing is copied if either side is too short. @return dst */
export function memcpy<T extends kobj_memory>(dst: T, src: kobj_memory, n: number): T {
  if (n === 0 || !kasan_check_range(src, 0, n, false) || !kasan_check_range(dst, 0, n, true)) return dst;
  if (is_byte_range(dst) && is_byte_range(src)) {
    set_bytes(dst, get_bytes(src, n).slice());
    if (src.$mem.unwritten && is_bytes(src) && is_bytes(dst)) kmsan_copy_memory(dst, src, n);
  } else if (n === sizeof(dst) && n === sizeof(src))
    copy_struct(dst, src as T); // throws if they are different structs
  else throw new TypeError("memcpy() of a part of a struct");
  return dst;
}
/** As memcpy(), which copes with an overlap here. */
export const memmove: typeof memcpy = memcpy;

/** @return <0, 0 or >0, as the first byte that differs. Source: lib/string.c */
export function memcmp(a: byte_range, b: byte_range, n: number): number {
  if (n === 0) return 0;
  kasan_check_range(a, 0, n, false);
  kasan_check_range(b, 0, n, false);
  const [x, y] = [get_bytes(a, n), get_bytes(b, n)];
  for (let i = 0; i < n; i++) {
    const d = (x[i] ?? 0) - (y[i] ?? 0);
    if (d) return d;
  }
  return 0;
}
/** Index of the first byte that is not `c`, or null if all are. */
export function memchr_inv(p: byte_range, c: number, n: number): number | null {
  kasan_check_range(p, 0, n, false);
  const at = get_bytes(p, n).findIndex((b) => b !== (c & 0xff));
  return at < 0 ? null : at;
}

/** `p[i]` of byte memory. */
export function byte_at(p: byte_memory, i: number): number {
  return kasan_check_range(p, i, 1, false) ? (p.$bytes[i] ?? 0) : 0;
}
/** `p[i] = v` */
export function set_byte_at(p: byte_memory, i: number, v: number): void {
  if (kasan_check_range(p, i, 1, true)) p.$bytes[i] = v;
}

/** The `n` bytes at `p + i` as a number in the machine's order. Those that are not there, which KASAN speaks of, are 0. */
function load(p: byte_memory, i: number, n: 2 | 4): number {
  kasan_check_range(p, i, n, false);
  let v = 0;
  for (let k = n - 1; k >= 0; k--) {
    const at = byte_order.little_endian ? k : n - 1 - k;
    v = v * 256 + (p.$bytes[i + at] ?? 0);
  }
  return v;
}
/** Nothing is stored if KASAN speaks: what lies behind the memory is nobody's. */
function store(p: byte_memory, i: number, n: 2 | 4, v: number): void {
  if (!kasan_check_range(p, i, n, true)) return;
  for (let k = 0; k < n; k++) p.$bytes[i + (byte_order.little_endian ? k : n - 1 - k)] = (v >>> (8 * k)) & 0xff;
}
/** `*(u16 *)(p + i)` of byte memory. */
export const u16_at = (p: byte_memory, i: number): number => load(p, i, 2);
export const u32_at = (p: byte_memory, i: number): number => load(p, i, 4);
/** `*(u16 *)(p + i) = v` */
export const set_u16_at = (p: byte_memory, i: number, v: number): void => store(p, i, 2, v);
export const set_u32_at = (p: byte_memory, i: number, v: number): void => store(p, i, 4, v);

/** The `n` bytes at `p + i`, up to four, the lowest first whatever the machine: le32_to_cpu() of an __le32 that memcpy() made. */
export function le_at(p: byte_memory, i: number, n: number): number {
  kasan_check_range(p, i, n, false);
  let v = 0;
  for (let k = n - 1; k >= 0; k--) v = v * 256 + (p.$bytes[i + k] ?? 0);
  return v;
}
/** The opposite. */
export function set_le_at(p: byte_memory, i: number, n: number, v: number): void {
  if (!kasan_check_range(p, i, n, true)) return;
  for (let k = 0; k < n; k++) p.$bytes[i + k] = (v >>> (8 * k)) & 0xff;
}

export function strlen(s: string): number {
  return s.length;
}
export function strnlen(s: string, max: number): number {
  return Math.min(s.length, max);
}
export function strcmp(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
export function strncmp(a: string, b: string, n: number): number {
  return strcmp(a.slice(0, n), b.slice(0, n));
}
export function strcasecmp(a: string, b: string): number {
  return strcmp(a.toLowerCase(), b.toLowerCase());
}
export function strncasecmp(a: string, b: string, n: number): number {
  return strcasecmp(a.slice(0, n), b.slice(0, n));
}
/** What begins with the first `c`, or NULL. */
export function strchr(s: string, c: string): string | null {
  const at = s.indexOf(c);
  return at < 0 ? null : s.slice(at);
}
export function strrchr(s: string, c: string): string | null {
  const at = s.lastIndexOf(c);
  return at < 0 ? null : s.slice(at);
}
export function strstr(s: string, what: string): string | null {
  const at = s.indexOf(what);
  return at < 0 ? null : s.slice(at);
}
export function skip_spaces(s: string): string {
  return s.replace(/^[ \t\n\v\f\r]+/, "");
}
/** Without the white space at both ends. */
export function strim(s: string): string {
  return skip_spaces(s).replace(/[ \t\n\v\f\r]+$/, "");
}
export const strstrip = strim;
/** Length of `prefix` if `s` begins with it, else 0. */
export function str_has_prefix(s: string, prefix: string): number {
  return s.startsWith(prefix) ? prefix.length : 0;
}
/** Equal but for one newline at the end. Source: lib/string_helpers.c */
export function sysfs_streq(a: string, b: string): boolean {
  const bare = (s: string): string => (s.endsWith("\n") ? s.slice(0, -1) : s);
  return a === b || bare(a) === b || a === bare(b) || bare(a) === bare(b);
}
/** Index of `s` in `list`, or -EINVAL. @n: how many to look at; -1 for all up to a NULL */
export function match_string(list: readonly (string | null)[], n: number, s: string): number {
  for (let i = 0; n < 0 || i < n; i++) {
    const item = list[i];
    if (item === null || item === undefined) break;
    if (item === s) return i;
  }
  return -EINVAL;
}
export function sysfs_match_string(list: readonly string[], s: string): number {
  const at = list.findIndex((item) => sysfs_streq(item, s));
  return at < 0 ? -EINVAL : at;
}

/** Copies a string with its NUL into byte memory of `n` bytes, cut short if need be. @return its length, or -E2BIG if cut */
export function strscpy(dst: byte_memory, src: string, n: number): number {
  if (n === 0) return -E2BIG;
  const length = Math.min(src.length, n - 1);
  if (!kasan_check_range(dst, 0, length + 1, true)) return -E2BIG;
  for (let i = 0; i < length; i++) dst.$bytes[i] = src.charCodeAt(i);
  dst.$bytes[length] = 0;
  return src.length < n ? src.length : -E2BIG;
}
/** The string that begins at a place of byte memory, to its NUL or to the end of the memory. */
export function c_string(src: byte_memory, at = 0): string {
  const end = src.$bytes.indexOf(0, at);
  return String.fromCharCode(...src.$bytes.subarray(at, end < 0 ? undefined : end));
}
