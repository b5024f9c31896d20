// SPDX-License-Identifier: GPL-2.0-only
/** poll(2). select(2) is not here, nor busy polling. */
import { EINVAL, ERESTARTNOHAND } from "#linux/errno.ts";
import { type file, get_file } from "#linux/fs.ts";
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLNVAL,
  init_poll_funcptr,
  type poll_table,
  poll_wqueues,
  vfs_poll,
} from "#linux/poll.ts";
import { rlimit, signal_pending } from "#linux/sched/signal.ts";
import { container_of, embed, ptr, struct, u32 } from "#linux/types.ts";
import {
  add_wait_queue,
  init_waitqueue_func_entry,
  remove_wait_queue,
  wait_queue_entry_t,
  type wait_queue_head_t,
} from "#linux/wait.ts";
import { RLIMIT_NOFILE } from "#uapi/linux/resource.ts";
import { kbuild } from "../modpost.ts";
import { set_current_state, try_to_wake_up } from "../sched/core.ts";
import { current, TASK_INTERRUPTIBLE, TASK_RUNNING, type task_struct, type waits_for } from "../sched/task.ts";
import { ready_int, type Sleeps, type Spins } from "../sched/types.ts";
import { schedule_hrtimeout } from "./hrtimeout.ts";
import { clock } from "../time/clock.ts";
import { fdget, fdput } from "./file.ts";
import { fput } from "./file_table.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

/** The entries are on the poller's stack in Linux, and a page for each few hundred more: neither fails here. */
class polling {
  readonly task: task_struct;
  triggered = false;
  readonly entries: poll_table_entry[] = [];
  constructor(task: task_struct) {
    this.task = task;
  }
}

class poll_table_entry extends struct("poll_table_entry", {
  filp: ptr<file>(),
  key: u32(),
  wait: embed(() => wait_queue_entry_t),
  wait_address: ptr<wait_queue_head_t>(),
  /** C has the poll_wqueues in `wait.private`. */
  $pwq: ptr<polling>(),
}) {}

function state_of(pwq: poll_wqueues): polling {
  return pwq.$polling as polling;
}

/** Makes @pwq the table of the current task. Source: fs/select.c */
export function poll_initwait(pwq: poll_wqueues): void {
  init_poll_funcptr(pwq.pt, __pollwait);
  pwq.$polling = new polling(current());
}
EXPORT_SYMBOL(poll_initwait);

/** Takes all entries off their queues. Context: process. Source: fs/select.c */
export function* poll_freewait(pwq: poll_wqueues): Spins {
  for (const entry of state_of(pwq).entries) {
    yield* remove_wait_queue(entry.wait_address!, entry.wait);
    fput(entry.filp!);
  }
}
EXPORT_SYMBOL(poll_freewait);

function pollwake(wait: wait_queue_entry_t, mode: number, sync: number, key: unknown): Spins<number> {
  const entry = container_of(wait, poll_table_entry, "wait");
  if (typeof key === "number" && key && !(key & entry.key)) return ready_int(0);
  const p = entry.$pwq!;
  p.triggered = true;
  return ready_int(Number(try_to_wake_up(p.task, mode)));
}

function* __pollwait(filp: file, wait_address: wait_queue_head_t, p: poll_table): Spins {
  const state = state_of(container_of(p, poll_wqueues, "pt"));
  const entry = new poll_table_entry();
  state.entries.push(entry);
  entry.filp = get_file(filp);
  entry.wait_address = wait_address;
  entry.key = p._key;
  init_waitqueue_func_entry(entry.wait, pollwake);
  entry.$pwq = state;
  yield* add_wait_queue(wait_address, entry.wait);
}

/** One file of poll(2). */
export interface pollfd {
  readonly fd: number;
  /** EPOLL bits asked for. */
  readonly events: number;
  /** EPOLL bits found. */
  revents: number;
}

function* do_pollfd(pfd: pollfd, pt: poll_table): Sleeps<number> {
  let mask = 0;
  if (pfd.fd >= 0) {
    mask = EPOLLNVAL;
    const f = fdget(pfd.fd);
    if (f.file) {
      const filter = pfd.events | EPOLLERR | EPOLLHUP;
      pt._key = filter;
      mask = (yield* vfs_poll(f.file, pt)) & filter;
      fdput(f);
    }
  }
  pfd.revents = mask;
  return mask;
}

const POLLING: waits_for = { wchan: "do_sys_poll", what: "files" };

/** @end_ns: on the virtual clock; null waits for ever, 0 not at all */
function* do_poll(list: readonly pollfd[], wait: poll_wqueues, end_ns: number | null): Sleeps<number> {
  const pt = wait.pt;
  const state = state_of(wait);
  let timed_out = end_ns === 0;
  if (timed_out) pt._qproc = null;
  for (;;) {
    let count = 0;
    for (const pfd of list) {
      if (yield* do_pollfd(pfd, pt)) {
        count++;
        // No need to wait any more, so the rest need not name their queues.
        pt._qproc = null;
      }
    }
    pt._qproc = null;
    if (!count && signal_pending(current())) return -ERESTARTNOHAND;
    if (count || timed_out) return count;
    set_current_state(TASK_INTERRUPTIBLE);
    if (!state.triggered && !(yield* schedule_hrtimeout(end_ns, POLLING))) timed_out = true;
    set_current_state(TASK_RUNNING);
    state.triggered = false;
  }
}

/**
 * poll(2).
 * @fds: revents of each is set; @timeout_ms: negative waits for ever
 * @return number of files with something to tell, 0 if the time was up, or errno. Context: process. Source: fs/select.c
 */
export function* do_sys_poll(fds: readonly pollfd[], timeout_ms: number): Sleeps<number> {
  if (BigInt(fds.length) > rlimit(RLIMIT_NOFILE)) return -EINVAL;
  const table = new poll_wqueues();
  poll_initwait(table);
  const end_ns = timeout_ms < 0 ? null : timeout_ms === 0 ? 0 : clock.ns + timeout_ms * 1_000_000;
  const count = yield* do_poll(fds, table, end_ns);
  yield* poll_freewait(table);
  return count;
}
