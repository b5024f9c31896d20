// SPDX-License-Identifier: GPL-2.0-only
/** Processes: signals, exit, fork and wait. */
import test from "ava";
import { anon_inode_getfd } from "#linux/anon_inodes.ts";
import { ECHILD, EFAULT, EINTR, EINVAL, EPERM, ESRCH } from "#linux/errno.ts";
import type { file, file_operations, inode } from "#linux/fs.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_POWER_OFF, LINUX_REBOOT_CMD_RESTART } from "#linux/reboot.ts";
import { fatal_signal_pending, signal_pending } from "#linux/sched/signal.ts";
import { SA_RESTART, SIGCHLD, SIGKILL, SIGTERM, SIGUSR1 } from "#linux/signal.ts";
import { init_task_work, callback_head, task_work_add, TWA_RESUME } from "#linux/task_work.ts";
import { ready_int, type Sleeps } from "#linux/types.ts";
import {
  init_waitqueue_head,
  wait_event,
  wait_event_interruptible,
  wait_event_killable,
  wait_queue_head,
  wake_up_all,
} from "#linux/wait.ts";
import { boot, found, log, type outcome, run, spawn } from "../../kernel/arch/machine.ts";
import { current_mm } from "../../kernel/mm/mm_struct.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  type program,
  run_user,
  type user_process,
  WNOHANG,
} from "../../kernel/fs/process.ts";
import { files_of } from "../../kernel/fs/file.ts";
import { current, type task_struct } from "../../kernel/sched/task.ts";
import { msleep } from "../../kernel/sched/timeout.ts";
import { kill_pid } from "../../kernel/signal.ts";

const seen: string[] = [];
const say = (text: string): void => void seen.push(text);
const w = { queue: new wait_queue_head(), done: false, lock: new mutex() };

function* nothing(): Sleeps {
  yield* wait_event(w.queue, () => w.done);
}
// What a driver's blocking calls look like.
function* interruptible(): Sleeps<number> {
  return yield* wait_event_interruptible(w.queue, () => w.done);
}
function* killable(): Sleeps<number> {
  return yield* wait_event_killable(w.queue, () => w.done);
}
function* uninterruptible(): Sleeps<number> {
  yield* nothing();
  return 0;
}
function* killAfter(pid: number, signr: number, ms: number, times = 1): Sleeps {
  for (let i = 0; i < times; i++) {
    yield* msleep(ms);
    say(`kill ${kill_pid(pid, signr, 1)}`);
  }
}
function* finish(ms: number): Sleeps {
  yield* msleep(ms);
  w.done = true;
  say("done");
  yield* wake_up_all(w.queue);
}
function release(_inode: inode, f: file): number {
  const me = current();
  say(
    `release ${(f.private_data as task_struct).pid === me.pid} mm=${current_mm() !== null} files=${files_of(me) !== null}`,
  );
  say(`pending ${signal_pending(me)} fatal ${fatal_signal_pending(me)}`);
  return 0;
}
const noisy: file_operations = { release };
function openNoisy(): Sleeps<number> {
  return ready_int(anon_inode_getfd("[noisy]", noisy, current(), 0));
}

interface Case {
  readonly name: string;
  readonly program: program;
  readonly said: readonly string[];
  /** Of the process; 0 if not given. */
  readonly exit?: number | null;
  readonly outcome?: outcome;
  readonly reports?: readonly string[];
}

function* killedInWait(u: user_process): Sleeps {
  yield* u.syscall(openNoisy);
  spawn("killer", killAfter(u.pid, SIGKILL, 20));
  say(`${yield* u.syscall(killable)}`);
}
function* termEndsInterruptible(u: user_process): Sleeps {
  spawn("killer", killAfter(u.pid, SIGTERM, 20));
  say(`${yield* u.syscall(interruptible)}`);
}
function* notInUninterruptible(u: user_process): Sleeps {
  spawn("killer", killAfter(u.pid, SIGKILL, 20));
  spawn("finish", finish(60));
  say(`${yield* u.syscall(uninterruptible)}`);
}

function* handler(signr: number): Sleeps {
  say(`handler ${signr}`);
}
function* handled(u: user_process): Sleeps {
  yield* u.sigaction(SIGUSR1, handler);
  spawn("killer", killAfter(u.pid, SIGUSR1, 20));
  say(`${yield* u.syscall(interruptible)}`);
  yield* u.sigaction(SIGUSR1, handler, SA_RESTART);
  spawn("killer", killAfter(u.pid, SIGUSR1, 20));
  spawn("finish", finish(60));
  say(`${yield* u.syscall(interruptible)}`);
}
function* ignored(u: user_process): Sleeps {
  yield* u.sigaction(SIGTERM, "ignore");
  spawn("killer", killAfter(u.pid, SIGTERM, 20));
  spawn("finish", finish(60));
  say(`${yield* u.syscall(interruptible)}`);
}
function* sleepInterrupted(u: user_process): Sleeps {
  yield* u.sigaction(SIGUSR1, handler);
  spawn("killer", killAfter(u.pid, SIGUSR1, 20));
  say(`${yield* u.sleep_ms(1000)}`);
  say(`${yield* u.kill(9999, 0)} ${yield* u.kill(u.pid, 0)} ${yield* u.kill(u.pid, SIGUSR1)}`);
}
function* exits(u: user_process): Sleeps {
  for (let i = 0; i < 2; i++) yield* u.syscall(openNoisy);
  yield* u.exit(3);
  say("not reached");
}
function* children(u: user_process): Sleeps {
  say(`${(yield* u.waitpid(-1)).ret}`);
  const fd = yield* u.eventfd(5);
  const addr = yield* u.alloc(8);
  u.poke_u32(addr, 77);
  say(`${(yield* u.fork(child)) === u.pid + 1}`);
  say(`${JSON.stringify(yield* u.waitpid(u.pid + 1, WNOHANG))}`);
  const { ret, status } = yield* u.waitpid(-1);
  say(
    `${ret - u.pid} ${status.toString(16)} ${u.peek_u32(addr)} ${yield* u.eventfd_read(fd)} ${(yield* u.waitpid(-1)).ret}`,
  );
}
function* child(u: user_process): Sleeps {
  yield* u.sleep_ms(10);
  const [vma] = current_mm()!.$areas;
  say(`child ${u.peek_u32(vma!.vm_start)} ${yield* u.eventfd_read(0)}`);
  u.poke_u32(vma!.vm_start, 78);
  yield* u.eventfd_write(0, 6);
  yield* u.close(0);
  yield* u.exit(0x42);
}
function* killsChild(u: user_process): Sleeps {
  const pid = yield* u.fork(blocked);
  yield* u.sleep_ms(10);
  say((yield* u.sysfs_read(`/proc/${pid}/status`)).text.split("\n")[1]!);
  say(`${yield* u.kill(pid, SIGKILL)} ${JSON.stringify(yield* u.waitpid(pid))}`.replace(String(pid), "PID"));
}
function* blocked(u: user_process): Sleeps {
  yield* u.syscall(interruptible);
}
function* wantsNoChildren(u: user_process): Sleeps {
  yield* u.sigaction(SIGCHLD, "ignore");
  const pid = yield* u.fork(justExits);
  say(`${(yield* u.waitpid(pid)).ret}`);
}
function* justExits(u: user_process): Sleeps {
  yield* u.exit(0);
}
function* orphans(u: user_process): Sleeps {
  yield* u.fork(outlives);
}
function* outlives(u: user_process): Sleeps {
  yield* u.sleep_ms(50);
  say("orphan");
}
function* takesLock(): Sleeps<number> {
  mutex_init(w.lock, "w.lock");
  yield* mutex_lock(w.lock);
  return 0;
}
function* leavesLocked(u: user_process): Sleeps {
  yield* u.syscall(takesLock);
  mutex_unlock(w.lock);
}
function* memory(u: user_process): Sleeps {
  const a = yield* u.alloc(10000);
  const b = yield* u.mmap(1, 0, MAP_PRIVATE | MAP_ANONYMOUS);
  const fd = yield* u.eventfd(1);
  say(`${a !== b} ${yield* u.read(fd, b, 8)} ${yield* u.munmap(a, 10000)} ${yield* u.munmap(a + 1n, 1)}`);
  u.poke_u64(yield* u.alloc(8), 0x102030405060708n);
  say(`${yield* u.write(fd, a, 8)} ${EFAULT}`);
}
function* notRoot(u: user_process): Sleeps {
  const pid = yield* u.fork(blocked);
  yield* u.setuid(1000);
  say(`${yield* u.kill(pid, SIGKILL)} ${yield* u.setuid(0)} ${yield* u.finit_module("vfio")}`);
  w.done = true;
  yield* u.syscall(wakeAll);
}
function* wakeAll(): Sleeps<number> {
  yield* wake_up_all(w.queue);
  return 0;
}
function* works(u: user_process): Sleeps {
  yield* u.syscall(addWorks);
  say("user");
}
function addWorks(): Sleeps<number> {
  for (const func of [workOne, workTwo]) {
    const work = new callback_head();
    init_task_work(work, func);
    task_work_add(current(), work, TWA_RESUME);
  }
  return ready_int(0);
}

function* workOne(): Sleeps {
  say("one");
}
function* workTwo(): Sleeps {
  say("two");
  yield* addWork();
}

function* addWork(): Sleeps {
  const work = new callback_head();
  init_task_work(work, workThree);
  task_work_add(current(), work, TWA_RESUME);
}

function* workThree(): Sleeps {
  say("three");
}

const DYING = ["release true mm=false files=false", "pending true fatal false"];
const LEAVING = ["release true mm=false files=false", "pending false fatal false"];

const cases: readonly Case[] = [
  { name: "SIGKILL ends a killable wait", program: killedInWait, said: ["kill 0", ...DYING], exit: SIGKILL },
  { name: "SIGTERM ends an interruptible wait", program: termEndsInterruptible, said: ["kill 0"], exit: SIGTERM },
  {
    name: "nothing ends an uninterruptible one",
    program: notInUninterruptible,
    said: ["kill 0", "done"],
    exit: SIGKILL,
  },
  {
    name: "handlers, -EINTR and restarting",
    program: handled,
    said: ["kill 0", `handler ${SIGUSR1}`, `${-EINTR}`, "kill 0", `handler ${SIGUSR1}`, "done", "0"],
  },
  { name: "ignored signals end nothing", program: ignored, said: ["kill 0", "done", "0"] },
  {
    name: "sleeping and killing",
    program: sleepInterrupted,
    said: ["kill 0", `handler ${SIGUSR1}`, `${-EINTR}`, `handler ${SIGUSR1}`, `${-ESRCH} 0 0`],
  },
  { name: "exit: memory, files, then what they left", program: exits, said: [...LEAVING, ...LEAVING], exit: 0x300 },
  {
    name: "fork and wait",
    program: children,
    said: [`${-ECHILD}`, "true", '{"ret":0,"status":0}', "child 77 5", `1 4200 77 6 ${-ECHILD}`],
  },
  { name: "a child that is killed", program: killsChild, said: ["State:\tS (sleeping)", '0 {"ret":PID,"status":9}'] },
  { name: "ignoring SIGCHLD", program: wantsNoChildren, said: [`${-ECHILD}`] },
  { name: "orphans go on", program: orphans, said: ["orphan"] },
  { name: "memory", program: memory, said: [`true ${-EFAULT} 0 -22`, `${-EFAULT} ${EFAULT}`] },
  { name: "who may kill", program: notRoot, said: [`${-EPERM} ${-EPERM} ${-EPERM}`] },
  { name: "task works run newest first", program: works, said: ["two", "one", "three", "user"] },
  {
    name: "a lock held on return to user space",
    program: leavesLocked,
    said: [],
    reports: ["WARNING: lock held when returning to user space!"],
  },
];

for (const c of cases) {
  test.serial(c.name, (t) => {
    seen.length = 0;
    w.done = false;
    boot();
    init_waitqueue_head(w.queue);
    const u = run_user("init", c.program);
    t.is(run(), c.outcome ?? "done");
    t.deepEqual(
      found().map((r) => r.title),
      c.reports ?? [],
    );
    t.is(u.exit_code, c.exit ?? 0);
    t.deepEqual(seen, c.said);
  });
}

function reboots(cmd: number): program {
  return function* (u: user_process): Sleeps {
    say(`${yield* u.reboot(cmd)}`);
  };
}
for (const [what, cmd, uid, out, line] of [
  ["restart", LINUX_REBOOT_CMD_RESTART, 0, [], "reboot: Restarting system"],
  ["halt", LINUX_REBOOT_CMD_HALT, 0, [], "reboot: System halted"],
  ["power off", LINUX_REBOOT_CMD_POWER_OFF, 0, [], "reboot: Power down"],
  ["something else", 77, 0, [`${-EINVAL}`], null],
  ["without the right to", LINUX_REBOOT_CMD_RESTART, 1000, [`${-EPERM}`], null],
] as const) {
  test.serial(`reboot: ${what}`, (t) => {
    seen.length = 0;
    boot();
    run_user("init", reboots(cmd), { uid });
    t.is(run(), "done");
    t.deepEqual(seen, [...out]);
    const lines = log().filter(({ text }) => text.startsWith("reboot: "));
    t.deepEqual(
      lines.map(({ text }) => text),
      line === null ? [] : [line],
    );
  });
}
