// SPDX-License-Identifier: GPL-2.0-only
// dup: resource limits
export * from "../uapi/linux/resource.ts";
export { rlimit, task_rlimit } from "../../kernel/signal.ts";
