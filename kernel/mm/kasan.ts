// SPDX-License-Identifier: GPL-2.0-only
/**
 * KASAN: uses of memory that is gone or was never there. The accessors of structs and of byte memory call in here when
 * they see a freed object or a place outside; what they read then is what was there last.
 */
import { access, addr_of, bounds, kobj_memory, layout_of, sizeof, struct_array } from "../lib/struct.ts";
import { type byte_memory, written } from "../lib/bytestruct.ts";
import { bug_type_of, kasan_report, ubsan_report } from "./kasan_report.ts";

const s = {
  watch: null as access_watcher | null,
  watch_range: null as range_watcher | null,
  footprint: null as access_watcher | null,
  footprint_range: null as range_watcher | null,
};
export type access_watcher = (object: kobj_memory, member: string, write: boolean) => void;
export type range_watcher = (object: kobj_memory, at: number, size: number, write: boolean) => void;

/** Has every access to struct members reported to `watch`, to freed memory too; null ends it. @range: told of memcpy() and the user copies */
export function watch_accesses(watch: access_watcher | null, range: range_watcher | null = null): void {
  s.watch = watch;
  s.watch_range = range;
  access.armed = watch !== null || s.footprint !== null;
}
/** The same for the explorer's footprints, which may be taken at the same time. */
export function watch_footprints(watch: access_watcher | null, range: range_watcher | null): void {
  s.footprint = watch;
  s.footprint_range = range;
  access.armed = watch !== null || s.watch !== null;
}

/** Where in `object` a member lies. */
export function member_range(object: kobj_memory, member: string): { at: number; size: number } {
  if (object instanceof struct_array) {
    const size = object.element.width();
    return { at: size * Number(member.slice(1, -1)), size };
  }
  const layout = layout_of(object);
  return { at: layout?.offset(member) ?? 0, size: layout?.fields[member]?.width() ?? 0 };
}

access.check = (object, member, write) => {
  if (object.$mem.freed) {
    const { at, size } = member_range(object, member);
    kasan_report({ mem: object.$mem, type: bug_type_of(object.$mem), addr: addr_of(object) + at, size, write });
  }
  s.watch?.(object, member, write);
  s.footprint?.(object, member, write);
};

/** Bytes that the memory `of` lies in has from its own beginning on. Statics end where the object itself ends. */
function room_in(of: kobj_memory): number {
  let outer = of;
  for (let up = outer.$up; up; up = outer.$up) outer = up;
  const whole = of.$mem.size || size_of(outer);
  return whole - (addr_of(of) - of.$mem.addr);
}

function size_of(of: kobj_memory): number {
  if ("$bytes" in of && of.$bytes instanceof Uint8Array && !of.$up) return of.$bytes.length;
  return layout_of(of) || of instanceof struct_array ? sizeof(of) : 0;
}

bounds.check = (array, index, write) => {
  const width = array.element.width();
  const before = addr_of(array) - array.$mem.addr;
  // Inside a struct only the compiler knows where the array ends.
  if (array.$up) ubsan_report(index, element_name(array), array.length);
  if (index * width < -before || (index + 1) * width > room_in(array))
    kasan_report({
      mem: array.$mem,
      type: bug_type_of(array.$mem, true),
      addr: addr_of(array) + index * width,
      size: width,
      write,
    });
};

function element_name(array: struct_array<unknown>): string {
  const [first] = array.$items;
  if (first instanceof kobj_memory) return `struct ${layout_of(first)?.name ?? "?"}`;
  return `u${array.element.width() * 8}`;
}

bounds.check_bytes = (of, at, size, write) => {
  kasan_report({ mem: of.$mem, type: bug_type_of(of.$mem, true), addr: addr_of(of) + at, size, write });
};

/**
 * What memcpy() and the user copies ask: whether `size` bytes at `at` may be touched. Speaks if not.
 * @return false if not: the copy is not made then. Source: mm/kasan/generic.c, kasan_check_range()
 */
export function kasan_check_range(of: kobj_memory, at: number, size: number, write: boolean): boolean {
  if (size === 0) return true;
  const addr = addr_of(of) + at;
  if (size < 0) return !kasan_report({ mem: of.$mem, type: "out-of-bounds", addr, size, write });
  if (of.$mem.freed) return !kasan_report({ mem: of.$mem, type: bug_type_of(of.$mem), addr, size, write });
  const room = is_bytes(of) && !of.$mem.size ? of.$bytes.length : room_in(of);
  if (at >= 0 && at + size <= room) {
    if (write && of.$mem.unwritten) written.mark(of, at, size);
    s.watch_range?.(of, at, size, write);
    s.footprint_range?.(of, at, size, write);
    return true;
  }
  return !kasan_report({ mem: of.$mem, type: bug_type_of(of.$mem, true), addr, size, write });
}

/** Whether `of` is memory with bytes: a buffer or a bytestruct. */
export function is_bytes(of: unknown): of is byte_memory {
  return of instanceof kobj_memory && "$bytes" in of && of.$bytes instanceof Uint8Array;
}
