// SPDX-License-Identifier: GPL-2.0-only
// dup: waiting for what a file can do
import { embed, fn, ptr, READY, ready, type Sleeps, type Spins, struct, u32 } from "#linux/types.ts";
import type { wait_queue_head_t } from "#linux/wait.ts";
import type { file } from "#linux/fs.ts";
import { either } from "../../kernel/sched/either.ts";
import { EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM } from "../uapi/linux/eventpoll.ts";

export * from "../uapi/linux/eventpoll.ts";

export const DEFAULT_POLLMASK = EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;

/** What a waiter does with each wait queue that a file names; it takes the queue's lock. */
export type poll_queue_proc = (file: file, wait_address: wait_queue_head_t, p: poll_table) => Spins;

export class poll_table extends struct("poll_table", {
  _qproc: fn<poll_queue_proc>(),
  _key: u32(),
}) {}

/** For a file's poll(): whoever polls is told of the queue, unless he only wants to look. */
export function poll_wait(filp: file, wait_address: wait_queue_head_t | null, p: poll_table | null): Spins {
  return p && p._qproc && wait_address ? p._qproc(filp, wait_address, p) : READY;
}
export function poll_does_not_wait(p: poll_table | null): boolean {
  return p === null || p._qproc === null;
}
export function poll_requested_events(p: poll_table | null): number {
  return p ? p._key : 0xffffffff;
}
export function init_poll_funcptr(pt: poll_table, qproc: poll_queue_proc | null): void {
  pt._qproc = qproc;
  pt._key = 0xffffffff;
}
export function file_can_poll(file: file): boolean {
  return !!file.f_op!.poll;
}
/**
 * Asks a file what it can do now, and names its wait queues to @pt.
 * @return EPOLL bits. Context: may sleep if the file's poll() does. Source: include/linux/poll.h
 */
export function vfs_poll(file: file, pt: poll_table | null): Sleeps<number> {
  return file.f_op!.poll ? either(file.f_op!.poll(file, pt)) : ready(DEFAULT_POLLMASK);
}

/** The table of a sleeping poller; `pt` is what the files see. */
export class poll_wqueues extends struct("poll_wqueues", {
  pt: embed(() => poll_table),
  $polling: ptr<object>(),
}) {}
export { poll_freewait, poll_initwait } from "../../kernel/fs/select.ts";
