// SPDX-License-Identifier: GPL-2.0-only
/** Checks that locks which sleep make of themselves. Sources: kernel/locking/mutex-debug.c, rwsem.c */
import type { mutex } from "../../include/linux/mutex.ts";
import type { rw_semaphore } from "../../include/linux/rwsem.ts";
import { addr_of } from "../lib/struct.ts";
import { current, type task_struct } from "../sched/task.ts";
import { DEBUG_LOCKS_WARN_ON, debug_warn_once } from "./debug_locks.ts";

export function check_mutex_magic(lock: mutex): void {
  DEBUG_LOCKS_WARN_ON(lock.magic !== lock, "lock->magic != lock");
}

/** @text: the condition as C has it. Where C prints the addresses of tasks, their names stand here. */
export function DEBUG_RWSEMS_WARN_ON(condition: boolean, text: string, sem: rw_semaphore): void {
  if (!condition) return;
  const name = (t: task_struct | null): string => (t ? `${t.comm}/${t.pid}` : "0x0");
  const waiters = sem.wait_list.length > 0 ? 2 : 0;
  const count = BigInt(sem.readers * 0x100 + (sem.owner ? 1 : 0) + waiters + (sem.handoff ? 4 : 0));
  const state = [
    `count = 0x${BigInt.asUintN(64, count).toString(16)}`,
    `magic = 0x${(sem.magic ? addr_of(sem.magic) : 0).toString(16)}`,
    `owner = ${name(sem.owner)}`,
    `curr ${name(current())}`,
    `list ${sem.magic && !waiters ? "" : "not "}empty`,
  ];
  debug_warn_once(`DEBUG_RWSEMS_WARN_ON(${text})`, state.join(", "));
}
export function check_rwsem_magic(sem: rw_semaphore): void {
  DEBUG_RWSEMS_WARN_ON(sem.magic !== sem, "sem->magic != sem", sem);
}
