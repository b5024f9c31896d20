// SPDX-License-Identifier: GPL-2.0-only
/** Credentials: a user and a group. No namespaces, no supplementary groups, no security modules. */
import { cred } from "#linux/cred.ts";
import { per_boot } from "./boot.ts";
import { current, type task_struct } from "./sched/task.ts";

const CRED: unique symbol = Symbol("cred");

const s = per_boot(() => ({ init_cred: new cred() }));

export function cred_of(t: task_struct): cred {
  const own = t.attached.get(CRED);
  return own instanceof cred ? own : s.init_cred;
}
/** Credentials of the current task; those of the kernel's own tasks are root's. Any context. Source: include/linux/cred.h */
export function current_cred(): cred {
  return cred_of(current());
}
export function current_uid(): number {
  return current_cred().uid;
}
export function current_euid(): number {
  return current_cred().euid;
}
/** Gives `t` credentials of its own, for user and group @uid. */
export function commit_creds(t: task_struct, uid: number): void {
  const c = new cred();
  c.uid = c.euid = uid;
  c.gid = c.egid = uid;
  t.attached.set(CRED, c);
}
/** A child starts as its parent is. */
export function copy_creds(from: task_struct, to: task_struct): void {
  to.attached.set(CRED, cred_of(from));
}

/**
 * Whether the current task may do what @cap stands for. User 0 may do everything, others nothing: there are no
 * capability sets here.
 * @cap: CAP_ number. Any context. Source: kernel/capability.c
 */
export function capable(cap: number): boolean {
  return current_euid() === 0;
}
