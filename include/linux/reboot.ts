// SPDX-License-Identifier: GPL-2.0-only
// dup: switching the machine off
export const LINUX_REBOOT_CMD_RESTART = 0x01234567;
export const LINUX_REBOOT_CMD_HALT = 0xcdef0123;
export const LINUX_REBOOT_CMD_POWER_OFF = 0x4321fedc;

export { kernel_halt, kernel_power_off, kernel_restart } from "../../kernel/reboot.ts";
