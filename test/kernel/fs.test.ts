// SPDX-License-Identifier: GPL-2.0-only
/** Files as user space sees them: descriptors, the order of release, character devices, paths, poll. */
import test from "ava";
import { cdev, cdev_add, cdev_del, cdev_init } from "#linux/cdev.ts";
import {
  EACCES,
  EBADF,
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  EMFILE,
  ENODEV,
  ENOENT,
  ENOTDIR,
  ENOTTY,
  ENXIO,
  EOVERFLOW,
  ESPIPE,
} from "#linux/errno.ts";
import { F_GETFD, F_GETFL, O_CLOEXEC, O_DIRECTORY, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from "#linux/fcntl.ts";
import { current_files } from "#linux/fdtable.ts";
import { fput } from "#linux/file.ts";
import {
  alloc_chrdev_region,
  default_llseek,
  file,
  type file_operations,
  fixed_size_llseek,
  FMODE_UNSIGNED_OFFSET,
  generic_file_llseek,
  get_file,
  inode,
  no_llseek,
  no_seek_end_llseek,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
  nonseekable_open,
  noop_llseek,
  register_chrdev_region,
  simple_read_from_buffer,
  unregister_chrdev_region,
} from "#linux/fs.ts";
import { _IO, _IOC_DIR, _IOC_SIZE, _IOR, _IOW, _IOWR } from "#linux/ioctl.ts";
import { MAJOR, MINOR, MKDEV } from "#linux/kdev_t.ts";
import { misc_deregister, misc_register, MISC_DYNAMIC_MINOR, miscdevice } from "#linux/miscdevice.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLNVAL, EPOLLOUT, poll_wait, type poll_table } from "#linux/poll.ts";
import type { Sleeps, Spins } from "#linux/types.ts";
import { init_waitqueue_head, wait_queue_head, wake_up_interruptible } from "#linux/wait.ts";
import { anon_inode_getfd } from "#linux/anon_inodes.ts";
import { RLIMIT_NOFILE } from "#uapi/linux/resource.ts";
import { boot, found, run, spawn } from "../../kernel/arch/machine.ts";
import { devtmpfs_create_node, devtmpfs_delete_node } from "../../kernel/fs/devtmpfs.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { kbuf } from "../../kernel/lib/bytestruct.ts";
import { fault_injections, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { module, MODULE_STATE_GOING, MODULE_STATE_LIVE } from "../../kernel/modpost.ts";
import { module_refcount, MODULE_REF_BASE } from "../../kernel/module/refcount.ts";
import { either } from "../../kernel/sched/either.ts";
import { rw_verify_area } from "../../kernel/fs/read_write.ts";
import { spin_lock_init } from "#linux/spinlock.ts";
import { msleep } from "../../kernel/sched/timeout.ts";
import { PF_KTHREAD } from "../../kernel/sched/task.ts";

const seen: string[] = [];
const say = (text: string): void => void seen.push(text);

/** Boots, runs one program, and gives what was said meanwhile. */
function outputOf(program: program, before: (() => Sleeps)[] = [], options = {}): readonly string[] {
  seen.length = 0;
  boot();
  for (const body of before) spawn("setup", body(), PF_KTHREAD);
  run();
  const u = run_user("init", program, options);
  const outcome = run();
  if (outcome !== "done") say(outcome);
  for (const r of found()) say(r.title);
  if (u.exit_code !== 0) say(`exit ${u.exit_code}`);
  return seen;
}

// A character device that tells what is done with it.
const state = { dev: 0, mod: new module("tell"), cdev: new cdev(), wq: new wait_queue_head(), readable: false };

function* tellOpen(_inode: inode, f: file): Sleeps<number> {
  yield* msleep(1);
  say(`open refcnt=${module_refcount(state.mod)}`);
  return f.f_flags & O_NONBLOCK ? -EBUSY : 0;
}
function tellRelease(_inode: inode, f: file): number {
  say(`release ${f.private_data instanceof kbuf ? f.private_data.length : "-"}`);
  return 0;
}
function tellFlush(): number {
  say("flush");
  return 0;
}
function tellRead(f: file, buf: bigint, count: number, ppos: { value: bigint }): Sleeps<number> {
  const text = new kbuf(5);
  text.$bytes.set([104, 101, 108, 108, 111]);
  return simple_read_from_buffer(buf, count, ppos, text, 5);
}
function* tellIoctl(_f: file, cmd: number, arg: bigint): Sleeps<number> {
  yield* msleep(1);
  return cmd === 1 ? Number(arg) : -ENOTTY;
}
function* tellPoll(f: file, wait: poll_table | null): Spins<number> {
  yield* poll_wait(f, state.wq, wait);
  return state.readable ? EPOLLIN : 0;
}
const tellFops: file_operations = {
  owner: state.mod,
  open: tellOpen,
  release: tellRelease,
  flush: tellFlush,
  read: tellRead,
  unlocked_ioctl: tellIoctl,
  poll: tellPoll,
  llseek: noop_llseek,
};
function* addTell(): Sleeps {
  state.mod.state = MODULE_STATE_LIVE;
  state.mod.refcnt = MODULE_REF_BASE;
  state.readable = false;
  init_waitqueue_head(state.wq);
  const dev = { value: 0 };
  yield* alloc_chrdev_region(dev, 0, 4, "tell");
  state.dev = dev.value;
  cdev_init(state.cdev, tellFops);
  state.cdev.owner = state.mod;
  yield* cdev_add(state.cdev, dev.value, 4);
  yield* devtmpfs_create_node("tell/zero", dev.value, 0);
  yield* devtmpfs_create_node("tell/one", MKDEV(MAJOR(dev.value), 1), 0o666);
}

// Files without a path, which say their number when they are released.
const numbered: file_operations = { release: tellRelease };
function* openNumbered(u: user_process, n: number, flags = 0): Sleeps<number> {
  return yield* u.syscall(() => oneNumbered(n, flags));
}

function* oneNumbered(n: number, flags: number): Sleeps<number> {
  return anon_inode_getfd("[n]", numbered, new kbuf(n), flags);
}

interface Case {
  readonly name: string;
  readonly program: program;
  readonly before?: (() => Sleeps)[];
  readonly options?: { uid?: number };
  readonly said: readonly string[];
}

function* lowestFree(u: user_process): Sleeps {
  const fds: number[] = [];
  for (let i = 0; i < 4; i++) fds.push(yield* u.eventfd(0));
  yield* u.close(1);
  yield* u.close(2);
  const again = [yield* u.eventfd(0), yield* u.dup(0), yield* u.dup3(0, 9, O_CLOEXEC), yield* u.eventfd(0)];
  say(`${fds} ${again}`);
  say(`${yield* u.fcntl(9, F_GETFD)} ${yield* u.fcntl(1, F_GETFD)} ${yield* u.fcntl(1, F_GETFL)}`);
  say(`${yield* u.close(9)} ${yield* u.close(9)} ${yield* u.close(-1)} ${yield* u.dup(77)} ${yield* u.dup3(1, 1, 0)}`);
}
function* tooMany(u: user_process): Sleeps {
  yield* u.setrlimit(RLIMIT_NOFILE, 3n);
  const fds: number[] = [];
  for (let i = 0; i < 4; i++) fds.push(yield* u.eventfd(0));
  say(`${fds} ${yield* u.open("/dev/tell/zero", O_RDWR)} ${yield* u.dup(0)}`);
}
function* newestFirst(u: user_process): Sleeps {
  for (let n = 0; n < 3; n++) yield* openNumbered(u, n);
  say("exit");
}

function* dropTwo(): Sleeps<number> {
  const [a, b] = dropped;
  fput(a!);
  fput(b!);
  say("still in the kernel");
  return 0;
}
const dropped: file[] = [];
function* deferredToExit(u: user_process): Sleeps {
  for (let n = 0; n < 2; n++) yield* openNumbered(u, n);
  dropped.length = 0;
  yield* u.syscall(holdFiles);
  yield* u.close(0);
  yield* u.close(1);
  yield* u.syscall(dropTwo);
  say("back in user space");
}

function* holdFiles(): Sleeps<number> {
  for (const f of current_files().fd) if (f) dropped.push(get_file(f));
  return 0;
}
function* kthreadDrops(): Sleeps {
  const f = dropped[0]!;
  fput(f);
  say("dropped");
  yield* msleep(100);
  say("later");
}
function* handToThread(u: user_process): Sleeps {
  yield* openNumbered(u, 7);
  dropped.length = 0;
  yield* u.syscall(holdFiles);
  yield* u.close(0);
  spawn("kthread", kthreadDrops(), PF_KTHREAD);
  yield* u.sleep_ms(300);
}

function* openDevice(u: user_process): Sleeps {
  const fd = yield* u.open("/dev/tell/zero", O_RDWR | O_CLOEXEC);
  const other = yield* u.open("/dev/tell/one", O_RDONLY);
  say(`refcnt=${module_refcount(state.mod)} ${fd} ${other}`);
  const { ret, bytes } = yield* u.read_bytes(fd, 3);
  const rest = yield* u.read_bytes(fd, 100);
  say(`${ret} ${bytes} ${rest.ret} ${(yield* u.read_bytes(fd, 10)).ret} ${(yield* u.pread_bytes(fd, 10, 4)).ret}`);
  say(`${yield* u.ioctl(fd, 1, 42)} ${yield* u.ioctl(fd, 2)} ${yield* u.ioctl(99, 1)} ${yield* u.write(fd, 0n, 1)}`);
  say(`${yield* u.write(other, 0n, 1)} ${(yield* u.pread_bytes(fd, 1, -1)).ret} ${yield* u.read(fd, 0n, 4)}`);
  yield* u.close(fd);
  yield* u.close(other);
  say(`refcnt=${module_refcount(state.mod)}`);
}
function* openFails(u: user_process): Sleeps {
  say(`${yield* u.open("/dev/tell/zero", O_RDWR | O_NONBLOCK)} refcnt=${module_refcount(state.mod)}`);
  state.mod.state = MODULE_STATE_GOING;
  say(`${yield* u.open("/dev/tell/zero", O_RDWR)} refcnt=${module_refcount(state.mod)}`);
}
function* removedWhileOpen(u: user_process): Sleeps {
  const fd = yield* u.open("/dev/tell/zero", O_RDWR);
  spawn("remove", removeTell(), PF_KTHREAD);
  yield* u.sleep_ms(50);
  say(
    `${yield* u.ioctl(fd, 1, 5)} ${yield* u.open("/dev/tell/zero", O_RDWR)} ${yield* u.open("/dev/tell/one", O_RDWR)}`,
  );
  say(`${(yield* u.ls("/dev")).names} ${(yield* u.ls("/dev/tell")).names}`);
  yield* u.close(fd);
  say(`refcnt=${module_refcount(state.mod)}`);
}
function* removeTell(): Sleeps {
  yield* devtmpfs_delete_node("tell/zero", state.dev);
  yield* cdev_del(state.cdev);
  yield* unregister_chrdev_region(state.dev, 4);
}
function* removeAllNodes(): Sleeps {
  yield* devtmpfs_delete_node("tell/zero", state.dev);
  yield* devtmpfs_delete_node("tell/one", state.dev + 1);
}

function* paths(u: user_process): Sleeps {
  say(`${(yield* u.ls("/")).names}`);
  say(`${(yield* u.ls("/dev")).names.filter((n) => n === "tell/")} ${(yield* u.ls("/dev/../dev/./tell")).names}`);
  const fds = yield* u.open("/dev/tell", O_RDONLY | O_DIRECTORY);
  say(`${fds} ${(yield* u.read_bytes(fds, 1)).ret} ${yield* u.open("/dev/tell", O_RDWR)}`);
  say(`${yield* u.open("/dev/none", O_RDWR)} ${yield* u.open("/dev/tell/one/x", O_RDWR)} ${yield* u.open("", O_RDWR)}`);
  const { mode, rdev } = yield* u.stat("/dev/tell/one");
  say(`${mode.toString(8)} ${MAJOR(rdev)}:${MINOR(rdev)} ${(yield* u.stat("/dev/none")).ret}`);
  const fd = yield* u.eventfd(0);
  const link = yield* u.readlink(`/proc/self/fd/${fd}`);
  say(`${link.ret} ${link.text} ${(yield* u.readlink("/dev/tell/one")).ret} ${yield* u.exists("/proc/self/fd")}`);
  say(
    (yield* u.sysfs_read("/proc/self/fdinfo/" + String(fd))).text.replaceAll(/\s+/g, " ").replace(/ino: \d+/, "ino: N"),
  );
}
function* asUser(u: user_process): Sleeps {
  say(`${yield* u.open("/dev/tell/zero", O_RDWR)} ${yield* u.open("/dev/tell/one", O_RDWR)}`);
}

function* polls(u: user_process): Sleeps {
  const fd = yield* u.open("/dev/tell/zero", O_RDWR);
  const pfd = [{ fd, events: EPOLLIN | EPOLLOUT, revents: 0 }];
  say(`${yield* u.poll(pfd, 0)} ${yield* u.poll(pfd, 25)} ${pfd[0]!.revents}`);
  spawn("waker", waker());
  say(`${yield* u.poll(pfd, -1)} ${pfd[0]!.revents === EPOLLIN} waiters=${state.wq.head.length}`);
  const more = [
    { fd: 55, events: 0, revents: 0 },
    { fd: -1, events: 0, revents: 9 },
  ];
  say(`${yield* u.poll(more, 10)} ${more[0]!.revents === EPOLLNVAL} ${more[1]!.revents} ${EPOLLERR | EPOLLHUP}`);
}
function* waker(): Sleeps {
  yield* msleep(20);
  say("wakes without an event");
  yield* wake_up_interruptible(state.wq);
  yield* msleep(20);
  state.readable = true;
  yield* wake_up_interruptible(state.wq);
}

const cases: readonly Case[] = [
  {
    name: "the lowest free descriptor",
    program: lowestFree,
    said: ["0,1,2,3 1,2,9,4", "1 0 2", `0 ${-EBADF} ${-EBADF} ${-EBADF} ${-EINVAL}`],
  },
  { name: "RLIMIT_NOFILE", program: tooMany, said: [`0,1,2,${-EMFILE} ${-EMFILE} ${-EMFILE}`] },
  {
    name: "exit releases what it closed last first",
    program: newestFirst,
    said: ["exit", "release 2", "release 1", "release 0"],
  },
  {
    name: "fput() waits for the way back to user space",
    program: deferredToExit,
    said: ["still in the kernel", "release 1", "release 0", "back in user space"],
  },
  { name: "fput() of a kernel thread is a work", program: handToThread, said: ["dropped", "release 7", "later"] },
  {
    name: "a character device",
    program: openDevice,
    before: [addTell],
    said: [
      "open refcnt=2",
      "open refcnt=4",
      "refcnt=4 0 1",
      "3 104,101,108 2 0 1",
      `42 ${-ENOTTY} ${-EBADF} ${-EINVAL}`,
      `${-EBADF} ${-EINVAL} 0`,
      "flush",
      "release -",
      "flush",
      "release -",
      "refcnt=0",
    ],
  },
  {
    name: "an open that fails leaves no reference",
    program: openFails,
    before: [addTell],
    said: ["open refcnt=2", `${-EBUSY} refcnt=0`, `${-ENXIO} refcnt=0`],
  },
  {
    name: "what is open outlives its device",
    program: removedWhileOpen,
    before: [addTell],
    said: [
      "open refcnt=2",
      `5 ${-ENOENT} ${-ENXIO}`,
      "console,full,null,tell/,zero one",
      "flush",
      "release -",
      "refcnt=0",
    ],
  },
  { name: "empty directories of /dev go", program: justLs, before: [addTell, removeAllNodes], said: ["false"] },
  {
    name: "paths",
    program: paths,
    before: [addTell],
    said: [
      "dev/,proc/,sys/",
      "tell/ one,zero",
      `0 ${-EISDIR} ${-EISDIR}`,
      `${-ENOENT} ${-ENOTDIR} ${-ENOENT}`,
      `20666 254:1 ${-ENOENT}`,
      `20 anon_inode:[eventfd] ${-EINVAL} true`,
      "pos: 0 flags: 02 mnt_id: 0 ino: N eventfd-count: 0 eventfd-id: 0 ",
    ],
  },
  {
    name: "permissions of nodes",
    program: asUser,
    before: [addTell],
    options: { uid: 1000 },
    said: ["open refcnt=2", `${-EACCES} 0`, "flush", "release -"],
  },
  {
    name: "poll waits and is woken",
    program: polls,
    before: [addTell],
    said: ["open refcnt=2", "0 0 0", "wakes without an event", "1 true waiters=0", "1 true 0 24", "flush", "release -"],
  },
];
function* justLs(u: user_process): Sleeps {
  say(`${(yield* u.ls("/dev")).names.includes("tell/")}`);
}

for (const c of cases) {
  test.serial(c.name, (t) => {
    t.deepEqual(outputOf(c.program, c.before, c.options), c.said);
  });
}

test.serial("numbers of ioctls", (t) => {
  t.is(_IO(";", 100), 0x3b64);
  t.is(_IOR("t", 3, 4), 0x80047403);
  t.is(_IOW("t", 4, 8), 0x40087404);
  t.is(_IOWR("t", 5, 16), 0xc0107405);
  t.is(_IOC_DIR(0xc0107405), 3);
  t.is(_IOC_SIZE(0xc0107405), 16);
});

function* majors(): Sleeps {
  const dev = { value: 0 };
  const got: number[] = [];
  for (let i = 0; i < 23; i++) {
    yield* alloc_chrdev_region(dev, 0, 1, `m${i}`);
    got.push(MAJOR(dev.value));
  }
  say(`${got[0]} ${got[1]} ${got[20]} ${got[21]} ${got[22]}`);
  yield* unregister_chrdev_region(MKDEV(250, 0), 1);
  yield* alloc_chrdev_region(dev, 7, 1, "again");
  say(`${MAJOR(dev.value)}:${MINOR(dev.value)}`);
  say(
    `${yield* register_chrdev_region(MKDEV(254, 0), 1, "taken")} ${yield* register_chrdev_region(MKDEV(254, 1), 1, "free")}`,
  );
}
function* miscs(): Sleeps {
  const made: miscdevice[] = [];
  for (let i = 0; i < 3; i++) {
    const m = new miscdevice();
    m.minor = i < 2 ? MISC_DYNAMIC_MINOR : 196;
    m.name = `misc${i}`;
    m.fops = tellFops;
    made.push(m);
    say(`${yield* misc_register(m)} ${m.minor}`);
  }
  const twice = new miscdevice();
  twice.minor = 196;
  twice.name = "twice";
  say(`${yield* misc_register(twice)}`);
  for (const m of made) yield* misc_deregister(m);
}
/** The driver's open() finds its miscdevice, and the operations are its own from then on. */
function miscOpen(_inode: inode, f: file): number {
  say(f.private_data instanceof miscdevice ? `open ${f.private_data.name}` : "no misc device");
  return 0;
}
const miscFops: file_operations = { open: miscOpen, read: tellRead };
const misc = { dev: new miscdevice() };
function* addMisc(): Sleeps {
  misc.dev = new miscdevice();
  misc.dev.minor = 196;
  misc.dev.name = "vfio";
  misc.dev.nodename = "vfio/vfio";
  misc.dev.mode = 0o666;
  misc.dev.fops = miscFops;
  yield* misc_register(misc.dev);
}
function* removeMisc(): Sleeps<number> {
  yield* misc_deregister(misc.dev);
  return 0;
}
function* usesMisc(u: user_process): Sleeps {
  const { mode, rdev } = yield* u.stat("/dev/vfio/vfio");
  say(`${mode.toString(8)} ${MAJOR(rdev)}:${MINOR(rdev)} ${(yield* u.readlink("/sys/class/misc/vfio")).text}`);
  const fd = yield* u.open("/dev/vfio/vfio", O_RDWR);
  say(`${(yield* u.read_bytes(fd, 5)).ret} ${(yield* u.sysfs_read("/sys/class/misc/vfio/dev")).text.trim()}`);
  yield* u.syscall(removeMisc);
  say(`${(yield* u.stat("/dev/vfio")).ret} ${(yield* u.read_bytes(fd, 5)).ret}`);
}
test.serial("a misc device", (t) => {
  t.deepEqual(outputOf(usesMisc, [addMisc]), [
    "20666 10:196 ../../devices/virtual/misc/vfio",
    "open vfio",
    "5 10:196",
    `${-ENOENT} 0`,
  ]);
});

/** Without memory for its second name the node is made under the first one, where the other nodes' directory should be. */
function* addMiscWithoutName(nth: number): Sleeps {
  set_fail_nth(nth, { all_tasks: true });
  yield* addMisc();
  set_fail_nth(0);
}
function* isInTheWay(u: user_process): Sleeps {
  const look = function* (): Sleeps<string> {
    const { mode } = yield* u.stat("/dev/vfio");
    return `${mode.toString(8)} ${yield* u.open("/dev/vfio/vfio", O_RDWR)}`;
  };
  say(yield* look());
  yield* u.syscall(removeMisc);
  say(yield* look());
  yield* u.syscall(addMiscAgain);
  say(yield* look());
  yield* u.syscall(removeMisc);
}
function* addMiscAgain(): Sleeps<number> {
  yield* addMisc();
  return 0;
}
/** The node of a name is the first one's that wanted it. */
function* twoOfAName(): Sleeps {
  const made = [190, 191].map((minor) => {
    const m = new miscdevice();
    m.minor = minor;
    m.name = `misc${minor}`;
    m.nodename = "shared";
    m.fops = miscFops;
    return m;
  });
  for (const m of made) yield* misc_register(m);
  for (const m of made.reverse()) {
    yield* misc_deregister(m);
    say(`${yield* devtmpfs_create_node("shared", 0, 0)}`);
  }
}
test.serial("a node of /dev goes with the device that it is of", (t) => {
  seen.length = 0;
  boot();
  spawn("kthread", twoOfAName(), PF_KTHREAD);
  t.is(run(), "done");
  t.deepEqual(seen, [`${-EEXIST}`, "0"]);
});
test.serial("the original's mistake: a misc device without memory for its node's name (D02)", (t) => {
  const atNode = /^kstrdup.* < misc_devnode.* < device_get_devnode.* < device_add/;
  for (let nth = 1; nth < 100; nth++) {
    const said = outputOf(isInTheWay, [() => addMiscWithoutName(nth)]);
    if (!atNode.test(fault_injections()[0]?.stack.join(" < ") ?? "")) continue;
    // It is neither found when it is to go, nor can the right one be made.
    t.deepEqual(said, [`20666 ${-ENOTDIR}`, `20666 ${-ENOTDIR}`, `20666 ${-ENOTDIR}`]);
    return;
  }
  t.fail("misc_devnode() does not allocate");
});

for (const [name, body, said] of [
  ["dynamic majors", majors, ["254 253 234 511 510", "250:7", `${-EBUSY} 0`]],
  ["dynamic minors of misc devices", miscs, ["0 127", "0 126", "0 196", `${-EBUSY}`]],
] as const) {
  test.serial(name, (t) => {
    seen.length = 0;
    boot();
    spawn("kthread", body(), PF_KTHREAD);
    t.is(run(), "done");
    t.deepEqual(seen, [...said]);
  });
}

test.serial("seeking", (t) => {
  const out = outputOf(seeks, [addTell]);
  t.deepEqual(out, ["open refcnt=2", `0 ${-EINVAL}`, `${-ESPIPE} ${-ESPIPE}`, `${-ENODEV}`, "flush", "release -"]);
});
const stream: file_operations = { open: nonseekable_open, read: tellRead };
function* seeks(u: user_process): Sleeps {
  const fd = yield* u.open("/dev/tell/zero", O_RDWR);
  say(`${yield* u.lseek(fd, 10, 0)} ${yield* u.lseek(fd, 0, 9)}`);
  const other = yield* u.syscall(openStream);
  say(`${yield* u.lseek(other, 0, 0)} ${(yield* u.pread_bytes(other, 1, 0)).ret}`);
  say(`${yield* u.mmap(4096, 1, 1, fd)}`);
}

function* openStream(): Sleeps<number> {
  return anon_inode_getfd("[stream]", stream, null, O_WRONLY);
}

type Seek = (f: file, offset: bigint, whence: number) => Sleeps<bigint> | Spins<bigint> | bigint;
const SEEKS: readonly (readonly [
  name: string,
  how: Seek,
  then: readonly (readonly [offset: bigint, whence: number])[],
  positions: readonly bigint[],
])[] = [
  [
    "generic_file_llseek",
    generic_file_llseek,
    [
      [10n, SEEK_SET],
      [5n, SEEK_CUR],
      [0n, SEEK_CUR],
      [-20n, SEEK_CUR],
      [-1n, SEEK_END],
      [3n, SEEK_DATA],
      [100n, SEEK_DATA],
      [3n, SEEK_HOLE],
      [100n, SEEK_HOLE],
    ],
    [10n, 15n, 15n, failed(EINVAL), 99n, 3n, failed(ENXIO), 100n, failed(ENXIO)],
  ],
  [
    "fixed_size_llseek",
    (f, offset, whence) => fixed_size_llseek(f, offset, whence, 50n),
    [
      [50n, SEEK_SET],
      [51n, SEEK_SET],
      [-50n, SEEK_END],
      [1n, SEEK_END],
      [0n, SEEK_DATA],
    ],
    [50n, failed(EINVAL), 0n, failed(EINVAL), failed(EINVAL)],
  ],
  [
    "no_seek_end_llseek",
    no_seek_end_llseek,
    [
      [7n, SEEK_SET],
      [1n, SEEK_CUR],
      [0n, SEEK_END],
    ],
    [7n, 8n, failed(EINVAL)],
  ],
  [
    "default_llseek",
    default_llseek,
    [
      [7n, SEEK_SET],
      [1n, SEEK_CUR],
      [0n, SEEK_CUR],
      [-1n, SEEK_END],
      [3n, SEEK_DATA],
      [100n, SEEK_DATA],
      [3n, SEEK_HOLE],
      [100n, SEEK_HOLE],
      [-1n, SEEK_SET],
    ],
    [7n, 8n, 8n, 99n, 3n, failed(ENXIO), 100n, failed(ENXIO), failed(EINVAL)],
  ],
  ["noop_llseek", noop_llseek, [[7n, SEEK_SET]], [0n]],
  ["no_llseek", no_llseek, [[7n, SEEK_SET]], [failed(ESPIPE)]],
];
function failed(errno: number): bigint {
  return BigInt(-errno);
}
const sought: bigint[] = [];
function* seekAll(how: Seek, then: readonly (readonly [bigint, number])[]): Sleeps {
  const f = new file();
  spin_lock_init(f.f_lock);
  f.f_inode = new inode();
  f.f_inode.i_size = 100n;
  for (const [offset, whence] of then) sought.push(yield* either(how(f, offset, whence)));
}
for (const [name, how, then, positions] of SEEKS) {
  test.serial(`positions: ${name}`, (t) => {
    sought.length = 0;
    boot();
    spawn("kthread", seekAll(how, then), PF_KTHREAD);
    t.is(run(), "done");
    t.deepEqual(sought, [...positions]);
  });
}

test("what cannot be asked for: rw_verify_area", (t) => {
  const f = new file();
  for (const [pos, count, unsigned, wanted] of [
    [0n, -1, false, -EINVAL],
    [-1n, 1, false, -EINVAL],
    [-8n, 7, true, 0],
    [-8n, 8, true, -EOVERFLOW],
    [2n ** 63n - 1n, 1, false, -EINVAL],
    [2n ** 63n - 1n, 1, true, 0],
    [5n, 5, false, 0],
  ] as const) {
    f.f_mode = unsigned ? FMODE_UNSIGNED_OFFSET : 0;
    t.is(rw_verify_area(f, { value: pos }, count), wanted, `${pos}+${count}`);
  }
  t.is(rw_verify_area(f, null, 1), 0);
});
