// SPDX-License-Identifier: GPL-2.0-only
// dup: work that a task does before it returns to user space
import { fn, ptr, type Sleeps, struct } from "#linux/types.ts";

export type task_work_func_t = (work: callback_head) => Sleeps;

export class callback_head extends struct("callback_head", {
  next: ptr<callback_head>(),
  func: fn<task_work_func_t>(),
}) {}

export const TWA_NONE = 0;
export const TWA_RESUME = 1;
export const TWA_SIGNAL = 2;

export function init_task_work(work: callback_head, func: task_work_func_t): void {
  work.func = func;
}
export { exit_task_work, task_work_add, task_work_run } from "../../kernel/task_work.ts";
