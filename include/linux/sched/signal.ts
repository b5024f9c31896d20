// SPDX-License-Identifier: GPL-2.0-only
// dup: signals as the waiting code asks about them
export {
  fatal_signal_pending,
  force_sig,
  kill_pid,
  rlimit,
  send_sig,
  signal_pending,
  task_rlimit,
} from "../../../kernel/signal.ts";
export { signal_pending_state } from "../../../kernel/sched/core.ts";
