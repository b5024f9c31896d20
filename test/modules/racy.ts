// SPDX-License-Identifier: GPL-2.0-only
/** The two sides of a race, in a module of their own so that their names show in reports. */
import { READ_ONCE, WRITE_ONCE } from "#linux/compiler.ts";
import { kfree } from "#linux/slab.ts";
import { int, struct } from "#linux/types.ts";

export class shared extends struct("shared", { value: int(), flag: int() }) {}

export function store(d: shared): void {
  d.value = 1;
}
export function load(d: shared): number {
  return d.value;
}
export function store_once(d: shared): void {
  WRITE_ONCE(d, "value", 1);
}
export function load_once(d: shared): number {
  return READ_ONCE(d, "value");
}
export function drop(d: shared): void {
  kfree(d);
}
