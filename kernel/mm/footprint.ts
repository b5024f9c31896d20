// SPDX-License-Identifier: GPL-2.0-only
/** Footprints of accesses to struct members and bytes; see kernel/sched/footprint.ts. */
import { type kobj_memory, layout_of, struct_array } from "../lib/struct.ts";
import type { step_watcher } from "../sched/decide.ts";
import { footprint, part_of, place } from "../sched/footprint.ts";
import { is_bytes, watch_footprints } from "./kasan.ts";
import type { mem_object } from "./object.ts";

interface member_info {
  readonly part: number;
  /** Where its value is kept, if that may be a list of the host's, which can change without its member being assigned. */
  readonly slot: string | null;
  /** In nobody's footprint. */
  readonly book: boolean;
  /** One of those whose bytes matter. */
  readonly bytes: boolean;
}
/** The order of entries of a debug area is that of log lines. */
const BOOKS = new Set(["debug_info"]);
const BYTES = part_of("bytes");
const LIFE = part_of("life");
/** By class and member. They outlive boots, as code does. */
const infos = new Map<unknown, Map<string, member_info>>();

function info_of(object: kobj_memory, member: string): member_info {
  const of = object.constructor;
  let members = infos.get(of);
  if (!members) infos.set(of, (members = new Map<string, member_info>()));
  let info = members.get(member);
  if (!info) {
    const struct = layout_of(object)?.name ?? "";
    const opaque = layout_of(object)?.fields[member]?.zero;
    info = {
      part: part_of(member),
      slot: opaque ? `$_${member}` : null,
      book: BOOKS.has(struct) || member === "dep_map",
      bytes: is_bytes(object),
    };
    members.set(member, info);
  }
  return info;
}

function is_list(v: unknown): boolean {
  return typeof v === "object" && v !== null && (Array.isArray(v) || v instanceof Map || v instanceof Set);
}

/** Views of one memory share its bytes. */
function touch_bytes(watcher: step_watcher, object: kobj_memory, write: boolean): void {
  const { birth } = object.$mem;
  if (birth) watcher.touch(place(birth, LIFE), false);
  watcher.touch(place(birth, BYTES), write);
}

function touch_member(object: kobj_memory, member: string, write: boolean): void {
  const { watcher } = footprint;
  if (!watcher) return;
  const info = info_of(object, member);
  if (info.book) return;
  if (info.bytes) {
    touch_bytes(watcher, object, write);
    return;
  }
  // Statics are never freed.
  const { birth } = object.$mem;
  if (birth) watcher.touch(place(birth, LIFE), false);
  const { part, slot } = info;
  const changes =
    write || (slot !== null && !(object instanceof struct_array) && is_list(object[slot as keyof kobj_memory]));
  watcher.touch(place(object.$id, part), changes);
}
function touch_range(object: kobj_memory, _at: number, _size: number, write: boolean): void {
  if (footprint.watcher) touch_bytes(footprint.watcher, object, write);
}

/** Begins or ends with `watcher`: at power-on, once the initcalls have run. */
export function footprint_init(watcher: step_watcher | null): void {
  footprint.watcher = watcher;
  if (watcher) watch_footprints(touch_member, touch_range);
  else watch_footprints(null, null);
}

/** Memory is given back: everybody who was in it, or will be, is concerned. Any context. */
export function footprint_free(mem: mem_object): void {
  footprint.watcher?.touch(place(mem.birth, LIFE), true);
}
