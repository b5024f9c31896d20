// SPDX-License-Identifier: GPL-2.0-only
/** Sets of subchannel ids: a bitmap. Port of drivers/s390/cio/idset.c. */
import { __MAX_SUBCHANNEL } from "#asm/cio.ts";
import type { subchannel_id } from "#asm/schid.ts";
import { int, opaque, struct } from "#linux/types.ts";
import { vfree, vmalloc } from "#linux/vmalloc.ts";
import { css_globals } from "./css.ts";

const WORD = 32;

export class idset extends struct("idset", {
  num_ssid: int(),
  num_id: int(),
  bitmap: opaque<Uint32Array>(() => new Uint32Array(0)),
}) {}

function idset_new(num_ssid: number, num_id: number): idset | null {
  const set = vmalloc(idset);
  if (set) {
    set.num_ssid = num_ssid;
    set.num_id = num_id;
    set.bitmap = new Uint32Array(Math.ceil((num_ssid * num_id) / WORD));
  }
  return set;
}

export function idset_free(set: idset | null): void {
  vfree(set);
}

export function idset_fill(set: idset): void {
  set.bitmap.fill(0xffffffff);
}

function idset_add(set: idset, ssid: number, id: number): void {
  const bit = ssid * set.num_id + id;
  set.bitmap[bit >> 5]! |= 1 << (bit & 31);
}

function idset_del(set: idset, ssid: number, id: number): void {
  const bit = ssid * set.num_id + id;
  set.bitmap[bit >> 5]! &= ~(1 << (bit & 31));
}

function idset_contains(set: idset, ssid: number, id: number): boolean {
  const bit = ssid * set.num_id + id;
  return (set.bitmap[bit >> 5]! & (1 << (bit & 31))) !== 0;
}

/** An empty set that has room for every subchannel; NULL when there is no memory. May sleep. */
export function idset_sch_new(): idset | null {
  return idset_new(css_globals.max_ssid + 1, __MAX_SUBCHANNEL + 1);
}

export function idset_sch_add(set: idset, schid: subchannel_id): void {
  idset_add(set, schid.ssid, schid.sch_no);
}

export function idset_sch_del(set: idset, schid: subchannel_id): void {
  idset_del(set, schid.ssid, schid.sch_no);
}

/** Removes `schid` and all that follow it in its subchannel set. */
export function idset_sch_del_subseq(set: idset, schid: subchannel_id): void {
  const { bitmap, num_id } = set;
  const end = (schid.ssid + 1) * num_id;
  let bit = schid.ssid * num_id + schid.sch_no;

  for (; bit < end && bit % WORD !== 0; bit++) bitmap[bit >> 5]! &= ~(1 << (bit & 31));
  // A set of ids is a whole number of words.
  bitmap.fill(0, bit >> 5, end >> 5);
}

export function idset_sch_contains(set: idset, schid: subchannel_id): boolean {
  return idset_contains(set, schid.ssid, schid.sch_no);
}

export function idset_is_empty(set: idset): boolean {
  return set.bitmap.every((word) => word === 0);
}

export function idset_add_set(to: idset, from: idset): void {
  for (let i = 0; i < Math.min(to.bitmap.length, from.bitmap.length); i++) to.bitmap[i]! |= from.bitmap[i]!;
}

/** First id of `ssid` from `from` on that is in both sets, or -1. C looks at each id in turn. */
export function idset_next_common(a: idset, b: idset, ssid: number, from: number): number {
  const first = ssid * a.num_id;
  const end = first + a.num_id;
  const [left, right] = [a.bitmap, b.bitmap];

  for (let bit = first + from; bit < end; bit++) {
    const word = left[bit >> 5]! & right[bit >> 5]!;
    if (word === 0) bit |= WORD - 1;
    else if (word & (1 << (bit & 31))) return bit - first;
  }
  return -1;
}
