// SPDX-License-Identifier: GPL-2.0-only
/** KASAN's words, and UBSAN's for array indexes. Sources: mm/kasan/report.c, mm/kasan/report_generic.c, lib/ubsan.c */
import { per_boot_books } from "../boot.ts";
import { current_name, report, where_we_are } from "../panic.ts";
import { LOGLEVEL_ERR, printk } from "../printk.ts";
import { format_place, stack_trace } from "../stacktrace.ts";
import { add_taint, LOCKDEP_NOW_UNRELIABLE, TAINT_BAD_PAGE } from "../taint.ts";
import { print_memory_metadata } from "./kasan_shadow.ts";
import type { mem_object, track } from "./object.ts";

const s = per_boot_books(() => ({
  /** One report for each kind of bug, object and place. */
  reported: new Set<string>(),
}));

const LINE = "=".repeat(66);
const UBSAN_LINE = "=".repeat(80);

export interface kasan_bug {
  readonly mem: mem_object;
  /** "use-after-free", "slab-out-of-bounds", "double-free", … */
  readonly type: string;
  readonly addr: number;
  readonly size: number;
  readonly write: boolean;
  /** It was the allocator that noticed, when this function tried to free. */
  readonly freeing?: string;
  /** The access is one of the allocator's own, in this function. */
  readonly reading_in?: string;
}

/** What the shadow of this memory would tell. @outside: the access missed the object, which is still there */
export function bug_type_of(mem: mem_object, outside = false): string {
  switch (mem.kind) {
    case "vmalloc":
      return "vmalloc-out-of-bounds";
    case "stack":
      return "stack-out-of-bounds";
    case "static":
      return "global-out-of-bounds";
    default:
      return outside && !mem.freed ? "slab-out-of-bounds" : "use-after-free";
  }
}

function px(addr: number): string {
  return addr < 0 ? BigInt.asUintN(64, BigInt(addr)).toString(16) : addr.toString(16).padStart(16, "0");
}

function print_track(prefix: string, t: track | null): string[] {
  return t ? [`${prefix} by task ${t.pid}:`, ...t.stack.map((f) => ` ${f}`), ""] : [];
}

/** Where `addr` lies, seen from the object that was meant. */
function describe_object(mem: mem_object, addr: number): string[] {
  if (mem.cache !== null) {
    const end = mem.addr + mem.usable;
    const [bytes, where] =
      addr < mem.addr
        ? [mem.addr - addr, "to the left"]
        : addr >= end
          ? [addr - end, "to the right"]
          : [addr - mem.addr, "inside"];
    return [
      ...print_track("Allocated", mem.alloc_track),
      ...print_track("Freed", mem.free_track),
      `The buggy address belongs to the object at ${px(mem.addr)}`,
      ` which belongs to the cache ${mem.cache} of size ${mem.usable}`,
      `The buggy address is located ${bytes} bytes ${where} of`,
      ` ${mem.usable}-byte region [${px(mem.addr)}, ${px(end)})`,
    ];
  }
  switch (mem.kind) {
    case "vmalloc":
      if (mem.freed) return ["The buggy address belongs to a vmalloc virtual mapping"];
      return [
        `The buggy address belongs to a ${mem.usable / 4096}-page vmalloc region starting at 0x${mem.addr.toString(16)} ` +
          `allocated at ${mem.alloc_track?.place ?? "unknown"}`,
      ];
    case "stack":
      return [
        "The buggy address belongs to stack of task " + `${mem.alloc_track?.comm ?? "?"}/${mem.alloc_track?.pid ?? 0}`,
      ];
    case "static":
      return ["The buggy address belongs to the variable:", ` ${mem.type || "unknown"}`];
    default:
      return ["The buggy address belongs to the physical page:", ` pfn:0x${Math.floor(mem.addr / 4096).toString(16)}`];
  }
}

/** Speaks, once for each kind of bug, object and place; the access goes on. @return true */
export function kasan_report(bug: kasan_bug): true {
  const { mem } = bug;
  const place = bug.freeing ?? bug.reading_in ?? format_place(stack_trace());
  const key = `${bug.type} ${mem.birth} ${place}`;
  if (s.reported.has(key)) return true;
  s.reported.add(key);
  const { pid, comm } = current_name();
  const title = `BUG: KASAN: ${bug.type} in ${place}`;
  const what =
    bug.freeing !== undefined
      ? `Free of addr ${px(bug.addr)} by task ${comm}/${pid}`
      : `${bug.write ? "Write" : "Read"} of size ${bug.size} at addr ${px(bug.addr)} by task ${comm}/${pid}`;
  printk(LOGLEVEL_ERR, "%s\n", LINE);
  const state = print_memory_metadata(mem, bug.addr, bug.size);
  if (state.length > 0) state.unshift("");
  const text = [title, what, "", where_we_are(), "", ...describe_object(mem, bug.addr), ...state].join("\n");
  report({ checker: "kasan", title, text, level: LOGLEVEL_ERR });
  printk(LOGLEVEL_ERR, "%s\n", LINE);
  add_taint(TAINT_BAD_PAGE, LOCKDEP_NOW_UNRELIABLE);
  return true;
}

/** An index that the type of the array does not have. Source: lib/ubsan.c, __ubsan_handle_out_of_bounds() */
export function ubsan_report(index: number, element: string, length: number): void {
  const place = format_place(stack_trace());
  const key = `ubsan ${element} ${length} ${place}`;
  if (s.reported.has(key)) return;
  s.reported.add(key);
  const title = `UBSAN: array-index-out-of-bounds in ${place}`;
  const text = [title, `index ${index} is out of range for type '${element} [${length}]'`, where_we_are()].join("\n");
  printk(LOGLEVEL_ERR, "%s\n", UBSAN_LINE);
  report({ checker: "ubsan", title, text, level: LOGLEVEL_ERR });
  printk(LOGLEVEL_ERR, "%s\n", UBSAN_LINE);
}
