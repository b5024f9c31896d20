// SPDX-License-Identifier: GPL-2.0-only
/** UUIDs: guid_t keeps its first three groups little-endian, uuid_t does not. Source: lib/uuid.c */
import { per_boot_books } from "../boot.ts";
import { array, struct, u8 } from "./struct.ts";
import { copy_struct } from "./struct_copy.ts";
import { EINVAL } from "../../include/linux/errno.ts";

export const UUID_SIZE = 16;
export const UUID_STRING_LEN = 36;

export class guid_t extends struct("guid_t", { b: array(UUID_SIZE, u8()) }) {}
export class uuid_t extends struct("uuid_t", { b: array(UUID_SIZE, u8()) }) {}

const guid_index = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
const uuid_index = guid_index.toSorted((a, b) => a - b);

const s = per_boot_books(() => ({ generated: 0 }));

/** Whether the string begins with 8-4-4-4-12 hexadecimal digits; what follows does not matter. */
export function uuid_is_valid(uuid: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i.test(uuid);
}

function parse(uuid: string, u: guid_t | uuid_t, index: readonly number[]): number {
  if (!uuid_is_valid(uuid)) return -EINVAL;
  const hex = uuid.slice(0, UUID_STRING_LEN).replaceAll("-", "");
  index.forEach((at, i) => u.b.set(at, Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)));
  return 0;
}
/** @return 0 or -EINVAL */
export function guid_parse(uuid: string, u: guid_t): number {
  return parse(uuid, u, guid_index);
}
export function uuid_parse(uuid: string, u: uuid_t): number {
  return parse(uuid, u, uuid_index);
}

function equal(a: guid_t | uuid_t, b: guid_t | uuid_t): boolean {
  for (let i = 0; i < UUID_SIZE; i++) if (a.b.at(i) !== b.b.at(i)) return false;
  return true;
}
export function guid_equal(a: guid_t, b: guid_t): boolean {
  return equal(a, b);
}
export function uuid_equal(a: uuid_t, b: uuid_t): boolean {
  return equal(a, b);
}
export function guid_copy(dst: guid_t, src: guid_t): void {
  copy_struct(dst, src);
}
export function uuid_copy(dst: uuid_t, src: uuid_t): void {
  copy_struct(dst, src);
}
export function guid_is_null(g: guid_t): boolean {
  return g.b.$items.every((x) => x === 0);
}
export function uuid_is_null(u: uuid_t): boolean {
  return u.b.$items.every((x) => x === 0);
}

function generate(u: guid_t | uuid_t, version_at: number): void {
  const n = ++s.generated;
  for (let i = 0; i < UUID_SIZE; i++) u.b.set(i, (n * 2654435761 + i * 40503) >>> ((i % 4) * 8));
  u.b.set(version_at, (u.b.at(version_at) & 0x0f) | 0x40);
  u.b.set(8, (u.b.at(8) & 0x3f) | 0x80);
}
/** Not random here: the n-th one of a boot is always the same. */
export function guid_gen(u: guid_t): void {
  generate(u, 7);
}
export function uuid_gen(u: uuid_t): void {
  generate(u, 6);
}
