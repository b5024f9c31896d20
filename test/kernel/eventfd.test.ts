// SPDX-License-Identifier: GPL-2.0-only
/** eventfd: counting, waiting, polling, and what the kernel does with the context. */
import test from "ava";
import { EAGAIN, EBADF, EINTR, EINVAL } from "#linux/errno.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import {
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  EFD_SEMAPHORE,
  type eventfd_ctx,
  eventfd_ctx_fdget,
  eventfd_ctx_put,
  eventfd_ctx_remove_wait_queue,
  eventfd_signal,
  eventfd_signal_allowed,
} from "#linux/eventfd.ts";
import { F_GETFD } from "#linux/fcntl.ts";
import { fget, fput } from "#linux/file.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, init_poll_funcptr, poll_table, vfs_poll } from "#linux/poll.ts";
import { SIGUSR1 } from "#linux/signal.ts";
import { ready_int, type Sleeps, type Spins } from "#linux/types.ts";
import { add_wait_queue, init_waitqueue_func_entry, wait_queue_entry_t, type wait_queue_head } from "#linux/wait.ts";
import { boot, found, run, spawn } from "../../kernel/arch/machine.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { kill_pid } from "../../kernel/signal.ts";
import { msleep } from "../../kernel/sched/timeout.ts";

const MAX = 0xffffffffffffffffn;
const seen: string[] = [];
const say = (text: string): void => void seen.push(text);
const kernel: { ctx: eventfd_ctx | null; entry: wait_queue_entry_t } = { ctx: null, entry: new wait_queue_entry_t() };

interface Case {
  readonly name: string;
  readonly program: program;
  readonly said: readonly string[];
}

function* counts(u: user_process): Sleeps {
  const fd = yield* u.eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
  say(`${fd} ${yield* u.fcntl(fd, F_GETFD)} ${yield* u.eventfd_read(fd)} ${yield* u.eventfd_read(fd)}`);
  yield* u.eventfd_write(fd, 5);
  yield* u.eventfd_write(fd, 6n);
  say(`${yield* u.eventfd_read(fd)} ${(yield* u.read_bytes(fd, 8)).ret} ${(yield* u.read_bytes(fd, 7)).ret}`);
  say(`${yield* u.eventfd_write(fd, MAX)} ${yield* u.eventfd_write(fd, MAX - 1n)} ${yield* u.eventfd_write(fd, 1)}`);
  say(`${yield* u.eventfd(0, 2)} ${yield* u.eventfd(0xffffffff)} ${yield* u.eventfd_read(1)}`);
}
function* semaphore(u: user_process): Sleeps {
  const fd = yield* u.eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  say(`${yield* u.eventfd_read(fd)} ${yield* u.eventfd_read(fd)} ${(yield* u.read_bytes(fd, 8)).ret}`);
}
function* waits(u: user_process): Sleeps {
  const fd = yield* u.eventfd(0);
  const pid = yield* u.fork(writer);
  const { ret, bytes } = yield* u.read_bytes(fd, 8);
  say(`${ret} ${bytes}`);
  yield* u.eventfd_write(fd, MAX - 1n);
  say("full");
  say(`${yield* u.eventfd_write(fd, 7)} ${yield* u.eventfd_read(fd)}`);
  yield* u.waitpid(pid);
}
function* writer(u: user_process): Sleeps {
  yield* u.sleep_ms(30);
  say("writes");
  yield* u.eventfd_write(0, 258);
  yield* u.sleep_ms(30);
  say("reads");
  yield* u.eventfd_read(0);
}
function* interrupted(u: user_process): Sleeps {
  yield* u.sigaction(SIGUSR1, onSignal);
  const fd = yield* u.eventfd(0);
  spawn("killer", killer(u.pid));
  say(`${(yield* u.read_bytes(fd, 8)).ret}`);
}

function* onSignal(signr: number): Sleeps {
  say(`handler ${signr}`);
}
function* killer(pid: number): Sleeps {
  yield* msleep(20);
  kill_pid(pid, SIGUSR1, 1);
}

function* take(fd: number): Sleeps<number> {
  kernel.ctx = eventfd_ctx_fdget(fd);
  return IS_ERR(kernel.ctx) ? PTR_ERR(kernel.ctx) : yield* ready_int(0);
}
function* signal(n: bigint): Sleeps<bigint> {
  return yield* eventfd_signal(kernel.ctx!, n);
}
function put(): Sleeps<number> {
  eventfd_ctx_put(kernel.ctx!);
  return ready_int(0);
}
function* fromTheKernel(u: user_process): Sleeps {
  const fd = yield* u.eventfd(0);
  say(`${yield* u.syscall(() => take(fd))} ${yield* u.syscall(() => take(99))} ${EBADF}`);
  const null_ = yield* u.open("/proc/self/comm", 0);
  say(`${yield* u.syscall(() => take(null_))} ${EINVAL}`);
  yield* u.syscall(() => take(fd));
  say(`${yield* u.syscall(() => signal(4n))} ${yield* u.eventfd_read(fd)}`);
  say(
    `${yield* u.syscall(() => signal(MAX - 1n))} ${yield* u.syscall(() => signal(9n))} ${yield* u.syscall(() => signal(1n))}`,
  );
  const pfd = { fd, events: EPOLLIN | EPOLLOUT, revents: 0 };
  yield* u.poll([pfd], 0);
  say(`${pfd.revents === (EPOLLIN | EPOLLERR)}`);
  yield* u.syscall(put);
  yield* u.syscall(put);
}
/** Only the kernel holds it any more. */
function* outlives(u: user_process): Sleeps {
  const fd = yield* u.eventfd(0);
  yield* u.syscall(() => take(fd));
  yield* u.close(fd);
  say(`${yield* u.syscall(() => signal(2n))} ${kernel.ctx!.count} ${kernel.ctx!.$mem.freed}`);
  yield* u.syscall(put);
  say(`${kernel.ctx?.$mem.freed ?? false}`);
}

function onWake(entry: wait_queue_entry_t, mode: number, flags: number, key: unknown): Spins<number> {
  say(`woken for ${String(key)}, allowed ${eventfd_signal_allowed()}`);
  return ready_int(0);
}
function* hook(file: object, queue: wait_queue_head, pt: poll_table): Spins {
  kernel.entry = new wait_queue_entry_t();
  init_waitqueue_func_entry(kernel.entry, onWake);
  yield* add_wait_queue(queue, kernel.entry);
}
/** What virqfd does. */
function* hookUp(fd: number): Sleeps<number> {
  const file = fget(fd)!;
  const pt = new poll_table();
  init_poll_funcptr(pt, hook);
  const events = yield* vfs_poll(file, pt);
  kernel.ctx = eventfd_ctx_fdget(fd);
  fput(file);
  return events;
}
function* unhook(): Sleeps<number> {
  const cnt = { value: 0n };
  const ret = yield* eventfd_ctx_remove_wait_queue(kernel.ctx!, kernel.entry, cnt);
  say(`removed: ${ret} ${cnt.value}`);
  return ret;
}
function* hooks(u: user_process): Sleeps {
  const fd = yield* u.eventfd(0);
  say(`${(yield* u.syscall(() => hookUp(fd))) === EPOLLOUT}`);
  yield* u.eventfd_write(fd, 1);
  yield* u.syscall(() => signal(1n));
  yield* u.eventfd_read(fd);
  yield* u.eventfd_write(fd, 6);
  yield* u.syscall(unhook);
  yield* u.eventfd_write(fd, 6);
  say("silent");
}
function* hangsUp(u: user_process): Sleeps {
  const fd = yield* u.eventfd(0);
  yield* u.syscall(() => hookUp(fd));
  yield* u.close(fd);
  say(`${EPOLLHUP}`);
  yield* u.syscall(unhook);
  yield* u.syscall(put);
}
function* pollWakes(u: user_process): Sleeps {
  const fd = yield* u.eventfd(0);
  const pid = yield* u.fork(laterWrite);
  say(`${yield* u.eventfd_read(fd, 5)} ${yield* u.eventfd_read(fd, 1000)} ${yield* u.eventfd_read(fd, 0)}`);
  yield* u.waitpid(pid);
}
function* laterWrite(u: user_process): Sleeps {
  yield* u.sleep_ms(20);
  yield* u.eventfd_write(0, 11);
}

const cases: readonly Case[] = [
  {
    name: "counting",
    program: counts,
    said: ["0 1 3 0", `11 ${-EAGAIN} ${-EINVAL}`, `${-EINVAL} 8 ${-EAGAIN}`, `${-EINVAL} 1 4294967295`],
  },
  { name: "semaphore", program: semaphore, said: [`1 1 ${-EAGAIN}`] },
  {
    name: "readers and writers wait",
    program: waits,
    said: ["writes", "8 0,0,0,0,0,0,1,2", "full", "reads", "8 7"],
  },
  { name: "a signal ends the wait", program: interrupted, said: [`handler ${SIGUSR1}`, `${-EINTR}`] },
  {
    name: "the kernel's side, and overflow",
    program: fromTheKernel,
    said: ["0 -9 9", "-22 22", "4 4", `${MAX - 1n} 1 0`, "true"],
  },
  { name: "the context outlives the file", program: outlives, said: ["2 2 false", "true"] },
  {
    name: "wake functions run under the lock",
    program: hooks,
    said: [
      "true",
      "woken for 1, allowed false",
      "woken for 1, allowed false",
      "woken for 4, allowed false",
      "woken for 1, allowed false",
      "removed: 0 6",
      "silent",
    ],
  },
  {
    name: "EPOLLHUP at release",
    program: hangsUp,
    said: ["woken for 16, allowed true", "16", `removed: ${-EAGAIN} 0`],
  },
  { name: "poll is woken", program: pollWakes, said: ["0 11 0"] },
];

for (const c of cases) {
  test.serial(c.name, (t) => {
    seen.length = 0;
    boot();
    const u = run_user("init", c.program);
    t.is(run(), "done");
    t.deepEqual(
      found().map((r) => r.title),
      [],
    );
    t.is(u.exit_code, 0);
    t.deepEqual(seen, c.said);
  });
}
