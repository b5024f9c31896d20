// SPDX-License-Identifier: GPL-2.0-only
/**
 * tracefs, at /sys/kernel/tracing: events/SYSTEM and events/SYSTEM/EVENT with their `enable`. What has been traced is not a file
 * here: trace_subscribe() hears it, and trace_event_enabled() says whether a file would have shown it. Filters are not here.
 * Source: kernel/trace/trace_events.c
 */
import { EINVAL } from "#linux/errno.ts";
import type { file, file_operations, inode, loff_ptr } from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import { type seq_file, seq_puts, seq_read, single_open, single_release } from "#linux/seq_file.ts";
import { kbuf } from "#linux/types.ts";
import { copy_from_user } from "#linux/uaccess.ts";
import { per_boot_books } from "../boot.ts";
import { register_filesystem_root } from "../fs/namei.ts";
import { tree_entry, tree_filesystem } from "../fs/file_tree.ts";
import type { module } from "../modpost.ts";
import type { Sleeps } from "../sched/types.ts";
import { trace_events } from "./trace.ts";

const s = per_boot_books(() => {
  const root = new tree_entry("tracing", 0o700, null);
  return { root, events: new tree_entry("events", 0o750, root), enabled: new Set<string>() };
});

/** What one `enable` file is about: the events of a system, or one of them. */
interface switched {
  readonly names: readonly string[];
}

export function trace_event_enabled(name: string): boolean {
  return s.enabled.has(name);
}

function show_enable(m: seq_file, v: object | null): number {
  const { names } = v as switched;
  const on = names.filter((name) => s.enabled.has(name)).length;
  seq_puts(m, on === 0 ? "0\n" : on === names.length ? "1\n" : "X\n");
  return 0;
}
function enable_open(inode: inode, f: file): number {
  return single_open(f, show_enable, inode.i_private);
}
function* enable_write(f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const text = new kbuf(count);
  yield* copy_from_user(text, buf, count);
  const found = /^([01])\n?\0*$/.exec(String.fromCharCode(...text.$bytes));
  if (!found) return -EINVAL;
  for (const name of (f.f_inode!.i_private as switched).names) {
    if (found[1] === "1") s.enabled.add(name);
    else s.enabled.delete(name);
  }
  ppos.value += BigInt(count);
  return count;
}
const enable_fops: file_operations = {
  open: enable_open,
  read: seq_read,
  write: enable_write,
  release: single_release,
};
const filter_fops: file_operations = {};

function events_of(mod: module): string[] {
  return [...trace_events()].filter(([, system]) => system === mod.name).map(([name]) => name);
}
/** A module comes: its events are there, and off. An event belongs to the module that its system is named after. */
export function trace_module_add_events(mod: module): void {
  const names = events_of(mod);
  if (names.length === 0) return;
  const dir = new tree_entry(mod.name, 0o750, s.events);
  new tree_entry("enable", 0o640, dir, enable_fops, { names });
  new tree_entry("filter", 0o640, dir, filter_fops);
  for (const name of names)
    new tree_entry("enable", 0o640, new tree_entry(name, 0o750, dir), enable_fops, { names: [name] });
}
/** A module goes, and its events with it. */
export function trace_module_remove_events(mod: module): void {
  for (const name of events_of(mod)) s.enabled.delete(name);
  s.events.children.get(mod.name)?.remove();
}

function tracefs_init(): number {
  register_filesystem_root(
    "/sys/kernel/tracing",
    tree_filesystem("tracefs", () => s.root),
  );
  return 0;
}
fs_initcall(tracefs_init);
