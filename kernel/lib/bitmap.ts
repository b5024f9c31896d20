// SPDX-License-Identifier: GPL-2.0-only
/** Bits in arrays of unsigned long, and in single words that are members of a struct. Sources: lib/bitmap.c, lib/find_bit.c */
import { array, type embedded, struct_array, ulong } from "./struct.ts";
import { as_marked } from "../kcsan/marked.ts";
import { kcsan, kcsan_full } from "../kcsan/order.ts";
import { kcalloc, kfree } from "../mm/slab.ts";
import type { gfp_t } from "../../include/linux/gfp_types.ts";

export const BITS_PER_LONG = 64;
/** `unsigned long *` */
export type bitmap = struct_array<bigint>;

export function BITS_TO_LONGS(nr: number): number {
  return Math.ceil(nr / BITS_PER_LONG);
}
/** A member `DECLARE_BITMAP(name, bits)`. */
export function DECLARE_BITMAP(bits: number): embedded<bitmap> {
  return array(BITS_TO_LONGS(bits), ulong());
}
/** A bitmap on its own: static or on the stack. */
export function new_bitmap(bits: number): bitmap {
  return new struct_array<bigint>(BITS_TO_LONGS(bits), ulong());
}
/** @return NULL if there is no memory */
export function bitmap_zalloc(bits: number, gfp: gfp_t): bitmap | null {
  return kcalloc(BITS_TO_LONGS(bits), ulong(), gfp);
}
export const bitmap_alloc = bitmap_zalloc;
export function bitmap_free(map: bitmap | null): void {
  kfree(map);
}

/** Names of the members of a struct that are words. */
type word_of<T> = { [K in keyof T]: T[K] extends number | bigint ? K : never }[keyof T] & string;

function mask(nr: number): bigint {
  return 1n << BigInt(nr % BITS_PER_LONG);
}
function read(map: bitmap, nr: number): boolean {
  return (map.at(Math.floor(nr / BITS_PER_LONG)) & mask(nr)) !== 0n;
}
function write(map: bitmap, nr: number, on: boolean): void {
  const i = Math.floor(nr / BITS_PER_LONG);
  map.set(i, on ? map.at(i) | mask(nr) : map.at(i) & ~mask(nr));
}
function word(of: object, member: string): bigint {
  const v: unknown = of[member as keyof typeof of];
  return typeof v === "bigint" ? v : BigInt(v as number); // word_of says that it is one of the two
}
function set_word(of: object, member: string, v: bigint): void {
  const before: unknown = of[member as keyof typeof of];
  Object.assign(of, { [member]: typeof before === "bigint" ? v : Number(v) });
}

/** Bit `nr` of a bitmap, or of a word: `test_bit(NR, &p->flags)` is `test_bit(NR, p, "flags")`. */
export function test_bit(nr: number, map: bitmap): boolean;
export function test_bit<T extends object>(nr: number, of: T, member: word_of<T>): boolean;
export function test_bit(nr: number, of: object, member?: string): boolean {
  return as_marked(() => (member === undefined ? read(of as bitmap, nr) : (word(of, member) & mask(nr)) !== 0n));
}
/** Atomic in C: races with nobody but plain accesses. @orders: gives a value, and so is a barrier */
function change(nr: number, of: object, member: string | undefined, on: boolean, orders: boolean): boolean {
  const was = as_marked(() => change_word(nr, of, member, on));
  if (kcsan.on && orders) kcsan_full(of);
  return was;
}
function change_word(nr: number, of: object, member: string | undefined, on: boolean): boolean {
  if (member === undefined) {
    const was = read(of as bitmap, nr);
    write(of as bitmap, nr, on);
    return was;
  }
  const v = word(of, member);
  set_word(of, member, on ? v | mask(nr) : v & ~mask(nr));
  return (v & mask(nr)) !== 0n;
}
/** Sets a bit, as one step. @return what it was */
export function test_and_set_bit(nr: number, map: bitmap): boolean;
export function test_and_set_bit<T extends object>(nr: number, of: T, member: word_of<T>): boolean;
export function test_and_set_bit(nr: number, of: object, member?: string): boolean {
  return change(nr, of, member, true, true);
}
export function test_and_clear_bit(nr: number, map: bitmap): boolean;
export function test_and_clear_bit<T extends object>(nr: number, of: T, member: word_of<T>): boolean;
export function test_and_clear_bit(nr: number, of: object, member?: string): boolean {
  return change(nr, of, member, false, true);
}
export function set_bit(nr: number, map: bitmap): void;
export function set_bit<T extends object>(nr: number, of: T, member: word_of<T>): void;
export function set_bit(nr: number, of: object, member?: string): void {
  change(nr, of, member, true, false);
}
export function clear_bit(nr: number, map: bitmap): void;
export function clear_bit<T extends object>(nr: number, of: T, member: word_of<T>): void;
export function clear_bit(nr: number, of: object, member?: string): void {
  change(nr, of, member, false, false);
}
export const __set_bit = set_bit;
export const __clear_bit = clear_bit;

/** First bit at `from` or above that is `on`; `size` if there is none. */
function find(map: bitmap, size: number, from: number, on: boolean): number {
  for (let nr = from; nr < size; nr++) if (read(map, nr) === on) return nr;
  return size;
}
export const find_first_bit = (map: bitmap, size: number): number => find(map, size, 0, true);
export const find_next_bit = (map: bitmap, size: number, from: number): number => find(map, size, from, true);
export const find_first_zero_bit = (map: bitmap, size: number): number => find(map, size, 0, false);
export const find_next_zero_bit = (map: bitmap, size: number, from: number): number => find(map, size, from, false);
/** Numbers of the bits that are set, each looked for after the body has run. */
export function* for_each_set_bit(map: bitmap, size: number): IterableIterator<number> {
  for (let nr = find(map, size, 0, true); nr < size; nr = find(map, size, nr + 1, true)) yield nr;
}

/** Sets `len` bits from `start` on. */
export function bitmap_set(map: bitmap, start: number, len: number): void {
  for (let nr = start; nr < start + len; nr++) write(map, nr, true);
}
export function bitmap_clear(map: bitmap, start: number, len: number): void {
  for (let nr = start; nr < start + len; nr++) write(map, nr, false);
}
export function bitmap_zero(map: bitmap, bits: number): void {
  bitmap_clear(map, 0, BITS_TO_LONGS(bits) * BITS_PER_LONG);
}
export function bitmap_fill(map: bitmap, bits: number): void {
  bitmap_set(map, 0, bits);
}
export function bitmap_copy(dst: bitmap, src: bitmap, bits: number): void {
  for (let i = 0; i < BITS_TO_LONGS(bits); i++) dst.set(i, src.at(i));
}
export function bitmap_empty(map: bitmap, bits: number): boolean {
  return find_first_bit(map, bits) === bits;
}
export function bitmap_full(map: bitmap, bits: number): boolean {
  return find_first_zero_bit(map, bits) === bits;
}
export function bitmap_weight(map: bitmap, bits: number): number {
  let n = 0;
  for (let nr = 0; nr < bits; nr++) if (read(map, nr)) n++;
  return n;
}
/** dst = a | b; dst may be one of them. */
export function bitmap_or(dst: bitmap, a: bitmap, b: bitmap, bits: number): void {
  for (let i = 0; i < BITS_TO_LONGS(bits); i++) dst.set(i, a.at(i) | b.at(i));
}
/** @return whether anything is left */
export function bitmap_and(dst: bitmap, a: bitmap, b: bitmap, bits: number): boolean {
  for (let i = 0; i < BITS_TO_LONGS(bits); i++) dst.set(i, a.at(i) & b.at(i));
  return !bitmap_empty(dst, bits);
}
/** dst = a & ~b. @return whether anything is left */
export function bitmap_andnot(dst: bitmap, a: bitmap, b: bitmap, bits: number): boolean {
  for (let i = 0; i < BITS_TO_LONGS(bits); i++) dst.set(i, a.at(i) & ~b.at(i));
  return !bitmap_empty(dst, bits);
}
export function bitmap_equal(a: bitmap, b: bitmap, bits: number): boolean {
  for (let nr = 0; nr < bits; nr++) if (read(a, nr) !== read(b, nr)) return false;
  return true;
}
export function bitmap_intersects(a: bitmap, b: bitmap, bits: number): boolean {
  for (let nr = 0; nr < bits; nr++) if (read(a, nr) && read(b, nr)) return true;
  return false;
}
/** dst = src << shift, within `bits`. */
export function bitmap_shift_left(dst: bitmap, src: bitmap, shift: number, bits: number): void {
  for (let nr = bits - 1; nr >= 0; nr--) write(dst, nr, nr >= shift && read(src, nr - shift));
}
export function bitmap_subset(a: bitmap, b: bitmap, bits: number): boolean {
  for (let nr = 0; nr < bits; nr++) if (read(a, nr) && !read(b, nr)) return false;
  return true;
}
