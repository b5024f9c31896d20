// SPDX-License-Identifier: GPL-2.0-only
/**
 * s390 debug feature (s390dbf). Port of arch/s390/kernel/debug.c.
 *
 * An entry is an object and not a piece of a page, but pages are counted: a log wraps where C's wraps. Left out: exceptions,
 * static areas, the sysctls, and the files of the views that show entries; debug_view() and debug_flush() stand for those.
 */
import { per_boot } from "../../boot.ts";
import { sprintf, type printf_arg } from "../../lib/vsprintf.ts";
import { byte_order } from "../../lib/bytestruct.ts";
import { pr_err, pr_info } from "../../printk.ts";
import { smp_processor_id } from "../../sched/task.ts";
import { clock } from "../../time/clock.ts";
import { debug_create_dir, debug_create_view, debug_remove_dir } from "./debug_files.ts";
import type { dentry } from "#linux/debugfs.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { refcount_dec_and_test, refcount_set, refcount_t } from "#linux/refcount.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { type byte_memory, embed, int, opaque, ptr, type Sleeps, str, struct } from "#linux/types.ts";

export const DEBUG_MAX_LEVEL = 6;
export const DEBUG_OFF_LEVEL = -1;
export const DEBUG_FLUSH_ALL = -1;
export const DEBUG_MAX_VIEWS = 10;
export const DEBUG_DEFAULT_LEVEL = 3;
const PAGE_SIZE = 4096;
const SIZEOF_LONG = 8;
/** Clock, level and exception bit, caller, CPU. */
const SIZEOF_ENTRY = 18;

export interface debug_entry_t {
  /** Virtual nanoseconds since power-on. */
  readonly clock: number;
  readonly level: number;
  readonly cpu: number;
  /** What the hex view shows: buf_size bytes. */
  readonly data: Uint8Array;
  /** What the sprintf view shows. */
  readonly string: string;
  readonly args: readonly printf_arg[];
}

export interface debug_view_t {
  readonly name: string;
  readonly format_proc: ((id: debug_info_t, entry: debug_entry_t) => string) | null;
}

export class debug_info_t extends struct("debug_info", {
  next: ptr<debug_info_t>(),
  prev: ptr<debug_info_t>(),
  ref_count: embed(() => refcount_t),
  level: int(),
  nr_areas: int(),
  pages_per_area: int(),
  buf_size: int(),
  entry_size: int(),
  areas: opaque<(debug_entry_t | null)[]>(() => []),
  /** Where the next entry goes; counts entries, over the pages of the area. */
  active_entry: int(),
  views: opaque<debug_view_t[]>(() => []),
  name: str(),
  mode: int(),
  debugfs_root_entry: opaque<dentry | null>(() => null),
}) {}

const s = per_boot(() => ({
  debug_area_first: null as debug_info_t | null,
  debug_area_last: null as debug_info_t | null,
  debug_mutex: DEFINE_MUTEX("debug_mutex"),
  debug_active: 1,
  debug_stoppable: 1,
}));

/** Bytes in hexadecimal. (The kernel's view shows them as text as well.) */
export const debug_hex_ascii_view: debug_view_t = { name: "hex_ascii", format_proc: debug_hex_ascii_format_fn };
export const debug_sprintf_view: debug_view_t = { name: "sprintf", format_proc: debug_sprintf_format_fn };
const debug_level_view: debug_view_t = { name: "level", format_proc: null };
const debug_flush_view: debug_view_t = { name: "flush", format_proc: null };
const debug_pages_view: debug_view_t = { name: "pages", format_proc: null };

function entries_per_page(id: debug_info_t): number {
  return Math.floor(PAGE_SIZE / id.entry_size);
}

function debug_info_alloc(
  name: string,
  pages_per_area: number,
  nr_areas: number,
  buf_size: number,
  level: number,
): debug_info_t | null {
  const rc = kzalloc(debug_info_t, GFP_KERNEL);
  if (!rc) return null;
  rc.pages_per_area = pages_per_area;
  rc.nr_areas = nr_areas;
  rc.level = level;
  rc.buf_size = buf_size;
  rc.entry_size = SIZEOF_ENTRY + buf_size;
  rc.name = name;
  refcount_set(rc.ref_count, 0);
  return rc;
}

function debug_info_free(db_info: debug_info_t): void {
  kfree(db_info);
}

function debug_info_create(
  name: string,
  pages_per_area: number,
  nr_areas: number,
  buf_size: number,
): debug_info_t | null {
  const rc = debug_info_alloc(name, pages_per_area, nr_areas, buf_size, DEBUG_DEFAULT_LEVEL);
  if (rc) refcount_set(rc.ref_count, 1);
  return rc;
}

function debug_info_put(db_info: debug_info_t | null): void {
  if (!db_info) return;
  if (refcount_dec_and_test(db_info.ref_count)) debug_info_free(db_info);
}

function _debug_register(id: debug_info_t): void {
  debug_create_dir(id);
  if (!s.debug_area_first) {
    s.debug_area_first = id;
    id.prev = null;
  } else {
    s.debug_area_last!.next = id;
    id.prev = s.debug_area_last;
  }
  s.debug_area_last = id;
  id.next = null;

  debug_register_view(id, debug_level_view);
  debug_register_view(id, debug_flush_view);
  debug_register_view(id, debug_pages_view);
}

/** debug_register() with a mode for the files, which are left out. Context: process, may sleep */
export function* debug_register_mode(
  name: string,
  pages_per_area: number,
  nr_areas: number,
  buf_size: number,
  mode: number,
  _uid: number,
  _gid: number,
): Sleeps<debug_info_t | null> {
  const rc = debug_info_create(name, pages_per_area, nr_areas, buf_size);
  if (rc) {
    rc.mode = mode & ~0o111;
    yield* mutex_lock(s.debug_mutex);
    _debug_register(rc);
    mutex_unlock(s.debug_mutex);
  } else {
    pr_err("s390dbf: Registering debug feature %s failed\n", name);
  }
  return rc;
}

/**
 * Creates a log. @name: what debug_view() finds it by; @pages_per_area, @nr_areas: its size; @buf_size: bytes of data in an entry
 * @return the log, or NULL when there is no memory. Context: process, may sleep
 */
export function debug_register(
  name: string,
  pages_per_area: number,
  nr_areas: number,
  buf_size: number,
): Sleeps<debug_info_t | null> {
  return debug_register_mode(name, pages_per_area, nr_areas, buf_size, 0o600, 0, 0);
}

function _debug_unregister(id: debug_info_t): void {
  if (id === s.debug_area_first) s.debug_area_first = id.next;
  if (id === s.debug_area_last) s.debug_area_last = id.prev;
  if (id.prev) id.prev.next = id.next;
  if (id.next) id.next.prev = id.prev;
  debug_remove_dir(id);
}

/** Gives a log back; NULL is allowed. Context: process, may sleep */
export function* debug_unregister(id: debug_info_t | null): Sleeps {
  if (!id) return;
  yield* mutex_lock(s.debug_mutex);
  _debug_unregister(id);
  mutex_unlock(s.debug_mutex);

  debug_info_put(id);
}

/** Entries above `new_level` are dropped from now on. Any context. */
export function debug_set_level(id: debug_info_t | null, new_level: number): void {
  if (!id) return;
  if (new_level === DEBUG_OFF_LEVEL) {
    pr_info("s390dbf: %s: switched off\n", id.name);
  } else if (new_level > DEBUG_MAX_LEVEL || new_level < 0) {
    pr_info("s390dbf: %s: level %i is out of range (%i - %i)\n", id.name, new_level, 0, DEBUG_MAX_LEVEL);
    return;
  }
  id.level = new_level;
}

export function debug_level_enabled(id: debug_info_t, level: number): boolean {
  return level <= id.level;
}

/** Stops all logs, for good. Any context. */
export function debug_stop_all(): void {
  if (s.debug_stoppable) s.debug_active = 0;
}

// C holds id->lock here; nothing can come between, so nobody is ever found holding it.
function debug_finish_entry(
  id: debug_info_t,
  level: number,
  what: { data?: Uint8Array; string?: string; args?: readonly printf_arg[] },
): debug_entry_t {
  const entry = {
    clock: clock.ns,
    level,
    cpu: smp_processor_id(),
    data: what.data ?? new Uint8Array(id.buf_size),
    string: what.string ?? "",
    args: what.args ?? [],
  };
  id.areas[id.active_entry] = entry;
  id.active_entry = (id.active_entry + 1) % (entries_per_page(id) * id.pages_per_area);
  return entry;
}

function debug_event_common(id: debug_info_t, level: number, buf: Uint8Array, len: number): debug_entry_t | null {
  if (!s.debug_active) return null;
  let active: debug_entry_t;
  let at = 0;
  do {
    const data = new Uint8Array(id.buf_size);
    data.set(buf.subarray(at, at + Math.min(len, id.buf_size)));
    active = debug_finish_entry(id, level, { data });
    len -= id.buf_size;
    at += id.buf_size;
  } while (len > 0);
  return active;
}

/**
 * Logs `length` bytes. @data: memory, or an integer of `length` bytes that C takes the address of
 * @return the last entry written, or NULL. Any context.
 */
export function debug_event(
  id: debug_info_t | null,
  level: number,
  data: byte_memory | number,
  length: number,
): debug_entry_t | null {
  if (!id || level > id.level || id.pages_per_area === 0) return null;
  return debug_event_common(
    id,
    level,
    typeof data === "number" ? integer_bytes(BigInt(data), length) : data.$bytes,
    length,
  );
}
export function debug_int_event(id: debug_info_t | null, level: number, tag: number): debug_entry_t | null {
  return debug_event(id, level, tag, 4);
}
export function debug_long_event(id: debug_info_t | null, level: number, tag: number): debug_entry_t | null {
  return debug_event(id, level, tag, SIZEOF_LONG);
}
/** Logs a text, in as many entries as it needs. Any context. */
export function debug_text_event(id: debug_info_t | null, level: number, txt: string | null): debug_entry_t | null {
  if (!id || level > id.level || id.pages_per_area === 0) return null;
  const bytes = Uint8Array.from(txt!, (c) => c.charCodeAt(0) & 0xff);
  return debug_event_common(id, level, bytes, bytes.length);
}

function debug_count_numargs(string: string): number {
  return string.split("%").length - 1;
}

/** Logs a format and its arguments, of which as many are kept as fit in an entry. Any context. */
export function debug_sprintf_event(
  id: debug_info_t | null,
  level: number,
  string: string,
  ...args: readonly printf_arg[]
): debug_entry_t | null {
  if (!id || level > id.level) return null;
  if (!s.debug_active || id.pages_per_area === 0) return null;
  const numargs = Math.min(debug_count_numargs(string), Math.floor(id.buf_size / SIZEOF_LONG) - 1);
  return debug_finish_entry(id, level, { string, args: args.slice(0, numargs) });
}

/** @return 0, or -1 when there are too many views; a NULL log is nothing to do. Any context. */
export function debug_register_view(id: debug_info_t | null, view: debug_view_t): number {
  if (!id) return 0;
  if (id.views.length === DEBUG_MAX_VIEWS) {
    pr_err(
      "s390dbf: Registering view %s/%s would exceed the maximum number of views %i\n",
      id.name,
      view.name,
      DEBUG_MAX_VIEWS,
    );
    return -1;
  }
  id.views = [...id.views, view];
  debug_create_view(id, view.name);
  return 0;
}
export function debug_unregister_view(id: debug_info_t | null, view: debug_view_t): number {
  if (!id) return 0;
  if (!id.views.includes(view)) return -1;
  id.views = id.views.filter((v) => v !== view);
  return 0;
}

function debug_hex_ascii_format_fn(_id: debug_info_t, entry: debug_entry_t): string {
  return [...entry.data].map((b) => b.toString(16).padStart(2, "0")).join(" ");
}
function debug_sprintf_format_fn(_id: debug_info_t, entry: debug_entry_t): string {
  return sprintf(entry.string, ...entry.args).replace(/\n$/, "");
}

function integer_bytes(v: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    bytes[byte_order.little_endian ? i : length - 1 - i] = Number(v & 0xffn);
    v >>= 8n;
  }
  return bytes;
}

/** The log of that name, from outside the kernel. */
export function debug_find(name: string): debug_info_t | null {
  for (let id = s.debug_area_first; id; id = id.next) if (id.name === name) return id;
  return null;
}

/** A log as its reader sees it, oldest entry first: `level text`. Empty if there is no such log. */
export function debug_view(name: string): string[] {
  const id = debug_find(name);
  const view = id?.views.find((v) => v.format_proc !== null);
  if (!id || !view?.format_proc) return [];
  const lines: string[] = [];
  const n = id.areas.length;
  for (let i = 0; i < n; i++) {
    // Once it has wrapped, the oldest entry is the one to be overwritten next.
    const entry = id.areas[(i + id.active_entry) % n];
    if (entry) lines.push(`${entry.level} ${view.format_proc(id, entry)}`);
  }
  return lines;
}

/** What writing to the log's flush file does. */
export function debug_flush(name: string): void {
  const id = debug_find(name);
  if (!id) return;
  id.areas = [];
  id.active_entry = 0;
}
