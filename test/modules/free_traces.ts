// SPDX-License-Identifier: GPL-2.0-only
/**
 * Who frees what. Writing the name of a struct to /sys/kernel/debug/free_traces/watch remembers the objects of that type that are
 * there now; reading that file gives a line for each of them that has been freed since: `TYPE by PID: INNERMOST < CALLER < …`.
 */
import { debugfs_create_dir, debugfs_create_file, debugfs_remove, type dentry } from "../../include/linux/debugfs.ts";
import { EFAULT } from "../../include/linux/errno.ts";
import { type file, type file_operations, type loff_ptr, simple_read_from_buffer } from "../../include/linux/fs.ts";
import { kbuf, type Sleeps } from "../../include/linux/types.ts";
import { copy_from_user } from "../../include/linux/uaccess.ts";
import type { mem_object } from "../../kernel/mm/object.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import { kbuild } from "../../kernel/modpost.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

const s = per_boot(() => ({ dir: null as dentry | null, watched: [] as mem_object[] }));

function* watch_write(_f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const bytes = new kbuf(count);
  if (yield* copy_from_user(bytes, buf, count)) return -EFAULT;
  const type = String.fromCharCode(...bytes.$bytes);
  for (const mem of live_memory()) if (mem.type === type) s.watched.push(mem);
  ppos.value += BigInt(count);
  return count;
}
function* watch_read(_f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const text = s.watched
    .filter((mem) => mem.freed)
    .map((mem) => `${mem.type} by ${mem.free_track?.pid ?? 0}: ${(mem.free_track?.stack ?? []).join(" < ")}\n`)
    .join("");
  const bytes = new kbuf(text.length);
  for (let i = 0; i < text.length; i++) bytes.$bytes[i] = text.charCodeAt(i);
  return yield* simple_read_from_buffer(buf, count, ppos, bytes, text.length);
}
const watch_fops: file_operations = { owner: THIS_MODULE, write: watch_write, read: watch_read };

function free_traces_init(): number {
  s.dir = debugfs_create_dir("free_traces", null);
  debugfs_create_file("watch", 0o600, s.dir, null, watch_fops);
  return 0;
}
function free_traces_exit(): void {
  debugfs_remove(s.dir);
}
module_init(free_traces_init);
module_exit(free_traces_exit);
MODULE_LICENSE("GPL");
