// SPDX-License-Identifier: GPL-2.0-only
/** Initcalls of vmlinux, in the kernel's order of levels. */
import type { Sleeps } from "./sched/types.ts";

export type initcall = () => Sleeps<number> | number;

const LEVELS = ["early", "core", "postcore", "arch", "subsys", "fs", "device", "late"] as const;
export type initcall_level = (typeof LEVELS)[number];

const calls: initcall[][] = LEVELS.map(() => []);

/** Registers `call` to run at each boot, after those of earlier levels and those registered before it. File scope. */
export function add_initcall(level: initcall_level, call: initcall): void {
  calls[LEVELS.indexOf(level)]?.push(call);
}
export const early_initcall = (call: initcall): void => add_initcall("early", call);
export const core_initcall = (call: initcall): void => add_initcall("core", call);
export const postcore_initcall = (call: initcall): void => add_initcall("postcore", call);
export const arch_initcall = (call: initcall): void => add_initcall("arch", call);
export const subsys_initcall = (call: initcall): void => add_initcall("subsys", call);
export const fs_initcall = (call: initcall): void => add_initcall("fs", call);
export const device_initcall = (call: initcall): void => add_initcall("device", call);
export const late_initcall = (call: initcall): void => add_initcall("late", call);

export function* run_initcalls(): Sleeps {
  for (const level of calls) {
    for (const call of level) {
      const result = call();
      if (typeof result !== "number") yield* result;
    }
  }
}
