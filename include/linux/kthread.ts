// SPDX-License-Identifier: GPL-2.0-only
// custom: kernel threads
export {
  kthread_create,
  kthread_func,
  kthread_run,
  kthread_should_stop,
  kthread_stop,
  type kthread_function,
} from "../../kernel/kthread.ts";
