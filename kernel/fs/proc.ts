// SPDX-License-Identifier: GPL-2.0-only
/** The little of /proc that programs here look at: PID/fd, PID/fdinfo, PID/comm, PID/status, PID/wchan; self for PID. */
import { ERR_PTR } from "#linux/err.ts";
import { ENOENT, ENOMEM } from "#linux/errno.ts";
import { O_CLOEXEC } from "#linux/fcntl.ts";
import { files_of } from "#linux/fdtable.ts";
import {
  type dir_entry,
  type file,
  type file_operations,
  type filesystem_root,
  type inode,
  new_inode,
} from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import { type seq_file, seq_lseek, seq_printf, seq_read, single_open, single_release } from "#linux/seq_file.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "#linux/stat.ts";
import { current, sched, TASK_INTERRUPTIBLE, TASK_RUNNING, type task_struct } from "../sched/task.ts";
import { ready, ready_int, type Sleeps } from "../sched/types.ts";
import { find_task_by_vpid } from "../signal.ts";
import { directory_inode } from "./dir.ts";
import { register_filesystem_root } from "./namei.ts";

const DIR = S_IFDIR | 0o555;
const FILE = S_IFREG | 0o444;

/** What a file is about. */
class proc_node {
  readonly task: task_struct;
  readonly show: (m: seq_file, v: object | null) => Sleeps<number> | number;
  readonly file: file | null;
  readonly fd: number;
  constructor(task: task_struct, show: proc_node["show"], file: file | null = null, fd = -1) {
    this.task = task;
    this.show = show;
    this.file = file;
    this.fd = fd;
  }
}

/** The letter and word of a task's state, as ps shows them. */
export function task_state(t: task_struct): string {
  if (t.state === TASK_RUNNING) return "R (running)";
  return t.state & TASK_INTERRUPTIBLE ? "S (sleeping)" : "D (disk sleep)";
}

function show_comm(m: seq_file, v: object | null): number {
  seq_printf(m, "%s\n", (v as proc_node).task.comm);
  return 0;
}
/** Functions that get_wchan() looks through, to who called them: those in the section of the scheduler. */
const IN_SCHED = /^(schedule|wait_for_completion|mutex_lock|down_read|down_write|rwsem_down)/;
const SCHED_FILES = /^kernel\/(sched|locking|time)\//;

function get_wchan(t: task_struct): string {
  const own = t.waiting?.wchan;
  if (own !== undefined && !IN_SCHED.test(own)) return own;
  return t.slept_at?.().find((f) => !SCHED_FILES.test(f.file))?.name ?? own ?? "0";
}
function show_wchan(m: seq_file, v: object | null): number {
  const t = (v as proc_node).task;
  seq_printf(m, "%s", t.state === TASK_RUNNING ? "0" : get_wchan(t));
  return 0;
}
function show_status(m: seq_file, v: object | null): number {
  const t = (v as proc_node).task;
  seq_printf(m, "Name:\t%s\nState:\t%s\nPid:\t%d\n", t.comm, task_state(t), t.pid);
  return 0;
}
function* show_fdinfo(m: seq_file, v: object | null): Sleeps<number> {
  const { task, file, fd } = v as proc_node;
  const cloexec = files_of(task)?.close_on_exec[fd] ? O_CLOEXEC : 0;
  seq_printf(
    m,
    "pos:\t%lli\nflags:\t0%o\nmnt_id:\t%i\nino:\t%lu\n",
    file!.f_pos,
    file!.f_flags | cloexec,
    0,
    file!.f_inode!.i_ino,
  );
  if (file!.f_op!.show_fdinfo) yield* file!.f_op!.show_fdinfo(m, file!);
  return 0;
}

const dir = (name: string): dir_entry => ({ name, mode: DIR, rdev: 0, node: null });
const text = (name: string, node: proc_node): dir_entry => ({ name, mode: FILE, rdev: 0, node });

function open_fds(t: task_struct): number[] {
  const fds = files_of(t)?.fd ?? [];
  return fds.flatMap((f, fd) => (f ? [fd] : []));
}

function list_task(t: task_struct): dir_entry[] {
  return [
    dir("fd"),
    dir("fdinfo"),
    text("comm", new proc_node(t, show_comm)),
    text("status", new proc_node(t, show_status)),
    text("wchan", new proc_node(t, show_wchan)),
  ];
}
function list_fds(t: task_struct, what: "fd" | "fdinfo"): dir_entry[] {
  return open_fds(t).map((fd) => {
    const node = new proc_node(t, show_fdinfo, files_of(t)?.fd[fd] ?? null, fd);
    return what === "fd" ? { name: String(fd), mode: S_IFLNK | 0o700, rdev: 0, node } : text(String(fd), node);
  });
}
function task_of(part: string): task_struct | null {
  return /^\d+$/.test(part) ? find_task_by_vpid(Number(part)) : null;
}
function list_now(path: string): dir_entry[] {
  const [pid = "", what, ...more] = path.split("/");
  if (pid === "") {
    const self: dir_entry = { name: "self", mode: S_IFLNK | 0o777, rdev: 0, node: null };
    return [self, ...sched.tasks.map((t) => dir(String(t.pid)))];
  }
  const t = task_of(pid);
  if (!t || more.length) return [];
  if (what === undefined) return list_task(t);
  return what === "fd" || what === "fdinfo" ? list_fds(t, what) : [];
}
function lookup_now(path: string): dir_entry | null {
  if (path === "") return dir("");
  const slash = path.lastIndexOf("/");
  const name = path.slice(slash + 1);
  return list_now(slash < 0 ? "" : path.slice(0, slash)).find((e) => e.name === name) ?? null;
}

function lookup(path: string): Sleeps<dir_entry | null> {
  return ready(lookup_now(path));
}
function list(path: string): Sleeps<readonly dir_entry[]> {
  return ready(list_now(path));
}
function readlink(path: string, entry: dir_entry): Sleeps<string | number> {
  if (path === "self") return ready(String(current().pid));
  if (entry.node instanceof proc_node && entry.node.file) return ready(entry.node.file.$path ?? "");
  return ready_int(-ENOENT);
}
function proc_open(inode: inode, f: file): number {
  const node = inode.i_private;
  return node instanceof proc_node ? single_open(f, node.show, node) : -ENOENT;
}
const proc_fops: file_operations = { open: proc_open, read: seq_read, llseek: seq_lseek, release: single_release };

function get_inode(path: string, entry: dir_entry): Sleeps<inode> {
  if ((entry.mode & S_IFMT) === S_IFDIR) return ready(directory_inode(entry.mode));
  const made = new_inode(entry.mode);
  if (!made) return ready(ERR_PTR<inode>(-ENOMEM));
  made.i_fop = proc_fops;
  made.i_private = entry.node;
  return ready(made);
}

const proc: filesystem_root = { name: "proc", lookup, readlink, list, get_inode };

function proc_root_init(): number {
  register_filesystem_root("/proc", proc);
  return 0;
}
fs_initcall(proc_root_init);
