// SPDX-License-Identifier: GPL-2.0-only
/** /sys/kernel, without anything in it that others do not put there. Source: kernel/ksysfs.c */
import { kobject_create_and_add, type kobject } from "#linux/kobject.ts";
import type { Sleeps } from "#linux/types.ts";
import { ENOMEM } from "#linux/errno.ts";
import { per_boot } from "./boot.ts";
import { early_initcall } from "./init.ts";

const s = per_boot(() => ({ kernel_kobj: null as kobject | null }));

/** The kobject of /sys/kernel; there from the early initcalls on. */
export function kernel_kobj(): kobject | null {
  return s.kernel_kobj;
}

function* ksysfs_init(): Sleeps<number> {
  s.kernel_kobj = yield* kobject_create_and_add("kernel", null);
  return s.kernel_kobj ? 0 : -ENOMEM;
}
early_initcall(ksysfs_init);
