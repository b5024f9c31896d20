// SPDX-License-Identifier: GPL-2.0-only
/** reboot(2): devices are shut down, then the machine stops. There are no notifiers, and nothing starts again. */
import { CAP_SYS_BOOT, capable } from "#linux/capability.ts";
import { device_shutdown } from "#linux/device.ts";
import { EINVAL, EPERM } from "#linux/errno.ts";
import { core_initcall } from "#linux/init.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_POWER_OFF, LINUX_REBOOT_CMD_RESTART } from "#linux/reboot.ts";
import { halt } from "./arch/machine.ts";
import { per_boot } from "./boot.ts";
import { pr_emerg } from "./printk.ts";
import { schedule, set_current_state } from "./sched/core.ts";
import { current, TASK_UNINTERRUPTIBLE } from "./sched/task.ts";
import type { Sleeps } from "./sched/types.ts";

const s = per_boot(() => ({ system_transition_mutex: new mutex() }));

/** The power is off: nothing runs after this step. */
function* machine_off(): Sleeps {
  halt();
  current().daemon = true;
  for (;;) {
    set_current_state(TASK_UNINTERRUPTIBLE);
    yield* schedule();
  }
}
/** Context: process, may sleep. Source: kernel/reboot.c */
export function* kernel_restart(): Sleeps {
  yield* device_shutdown();
  pr_emerg("reboot: Restarting system\n");
  yield* machine_off();
}
export function* kernel_halt(): Sleeps {
  yield* device_shutdown();
  pr_emerg("reboot: System halted\n");
  yield* machine_off();
}
export function* kernel_power_off(): Sleeps {
  yield* device_shutdown();
  pr_emerg("reboot: Power down\n");
  yield* machine_off();
}

/** @cmd: LINUX_REBOOT_CMD_. @return only on error: -EPERM or -EINVAL. Context: process. Source: kernel/reboot.c */
export function* ksys_reboot(cmd: number): Sleeps<number> {
  if (!capable(CAP_SYS_BOOT)) return -EPERM;
  let ret = 0;
  yield* mutex_lock(s.system_transition_mutex);
  switch (cmd >>> 0) {
    case LINUX_REBOOT_CMD_RESTART:
      yield* kernel_restart();
      break;
    case LINUX_REBOOT_CMD_HALT:
      yield* kernel_halt();
      break;
    case LINUX_REBOOT_CMD_POWER_OFF:
      yield* kernel_power_off();
      break;
    default:
      ret = -EINVAL;
  }
  mutex_unlock(s.system_transition_mutex);
  return ret;
}

function reboot_init(): number {
  mutex_init(s.system_transition_mutex);
  return 0;
}
core_initcall(reboot_init);
