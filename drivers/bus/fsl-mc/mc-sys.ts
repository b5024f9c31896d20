// SPDX-License-Identifier: GPL-2.0-only
/** Commands to the Management Complex, and their answers. Source: drivers/bus/fsl-mc/mc-sys.c */
import { dev_dbg } from "#linux/device.ts";
import { udelay, usleep_range } from "#linux/delay.ts";
import {
  EACCES,
  EBUSY,
  EINVAL,
  EIO,
  ENAVAIL,
  ENODEV,
  ENOMEM,
  ENOTSUPP,
  ENXIO,
  EPERM,
  ETIMEDOUT,
} from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import {
  type fsl_mc_command,
  type fsl_mc_io,
  FSL_MC_IO_ATOMIC_CONTEXT_PORTAL,
  mc_cmd_hdr_read_token,
} from "#linux/fsl/mc.ts";
import {
  MC_CMD_STATUS_AUTH_ERR,
  MC_CMD_STATUS_BUSY,
  MC_CMD_STATUS_CONFIG_ERR,
  MC_CMD_STATUS_DMA_ERR,
  MC_CMD_STATUS_INVALID_STATE,
  MC_CMD_STATUS_NO_MEMORY,
  MC_CMD_STATUS_NO_PRIVILEGE,
  MC_CMD_STATUS_NO_RESOURCE,
  MC_CMD_STATUS_OK,
  MC_CMD_STATUS_READY,
  MC_CMD_STATUS_TIMEOUT,
  MC_CMD_STATUS_UNSUPPORTED_OP,
} from "#linux/fsl/mc_numbers.ts";
import { type iomem, readq_relaxed, writeq, writeq_relaxed } from "#linux/io.ts";
import { jiffies, msecs_to_jiffies, time_after_eq } from "#linux/jiffies.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { in_irq } from "#linux/preempt.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { cast_to, type Sleeps } from "#linux/types.ts";
import { fsl_mc_words, MC_CMD_NUM_OF_PARAMS } from "#uapi/linux/fsl_mc.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** Milliseconds until a command is given up. */
const MC_CMD_COMPLETION_TIMEOUT_MS = 15000;
/** Microseconds between two looks. */
const MC_CMD_COMPLETION_POLLING_MIN_SLEEP_USECS = 10;
const MC_CMD_COMPLETION_POLLING_MAX_SLEEP_USECS = 500;

const mc_cmd_hdr_read_status = (cmd: fsl_mc_command): number => cmd.header.status;
export const mc_cmd_hdr_read_cmdid = (cmd: fsl_mc_command): number => cmd.header.cmd_id;

const mc_status_to_error_map: Readonly<Record<number, number>> = {
  [MC_CMD_STATUS_OK]: 0,
  [MC_CMD_STATUS_AUTH_ERR]: -EACCES,
  [MC_CMD_STATUS_NO_PRIVILEGE]: -EPERM,
  [MC_CMD_STATUS_DMA_ERR]: -EIO,
  [MC_CMD_STATUS_CONFIG_ERR]: -ENXIO,
  [MC_CMD_STATUS_TIMEOUT]: -ETIMEDOUT,
  [MC_CMD_STATUS_NO_RESOURCE]: -ENAVAIL,
  [MC_CMD_STATUS_NO_MEMORY]: -ENOMEM,
  [MC_CMD_STATUS_BUSY]: -EBUSY,
  [MC_CMD_STATUS_UNSUPPORTED_OP]: -ENOTSUPP,
  [MC_CMD_STATUS_INVALID_STATE]: -ENODEV,
};
function mc_status_to_error(status: number): number {
  if (status > MC_CMD_STATUS_INVALID_STATE) return -EINVAL;

  // What the table leaves out is 0 in C
  return mc_status_to_error_map[status] ?? 0;
}

const status_strings: Readonly<Record<number, string>> = {
  [MC_CMD_STATUS_OK]: "Command completed successfully",
  [MC_CMD_STATUS_READY]: "Command ready to be processed",
  [MC_CMD_STATUS_AUTH_ERR]: "Authentication error",
  [MC_CMD_STATUS_NO_PRIVILEGE]: "No privilege",
  [MC_CMD_STATUS_DMA_ERR]: "DMA or I/O error",
  [MC_CMD_STATUS_CONFIG_ERR]: "Configuration error",
  [MC_CMD_STATUS_TIMEOUT]: "Operation timed out",
  [MC_CMD_STATUS_NO_RESOURCE]: "No resources",
  [MC_CMD_STATUS_NO_MEMORY]: "No memory available",
  [MC_CMD_STATUS_BUSY]: "Device is busy",
  [MC_CMD_STATUS_UNSUPPORTED_OP]: "Unsupported operation",
  [MC_CMD_STATUS_INVALID_STATE]: "Invalid state",
};
const mc_status_to_string = (status: number): string => status_strings[status] ?? "Unknown MC error";

/* The header last: it sets the command going. */
function mc_write_command(portal: iomem, cmd: fsl_mc_command): void {
  for (let i = 0; i < MC_CMD_NUM_OF_PARAMS; i++)
    writeq_relaxed(cmd.params.$view.getBigUint64(8 * i, true), portal, 8 + 8 * i);

  writeq(cast_to(fsl_mc_words, cmd).header, portal, 0);
}

function mc_read_response(portal: iomem, resp: fsl_mc_command): number {
  cast_to(fsl_mc_words, resp).header = readq_relaxed(portal, 0);
  const status = mc_cmd_hdr_read_status(resp);
  if (status !== MC_CMD_STATUS_OK) return status;

  for (let i = 0; i < MC_CMD_NUM_OF_PARAMS; i++)
    resp.params.$view.setBigUint64(8 * i, readq_relaxed(portal, 8 + 8 * i), true);

  return status;
}

function timed_out(mc_io: fsl_mc_io, cmd: fsl_mc_command): void {
  dev_dbg(
    mc_io.dev,
    "MC command timed out (portal: %#llx, dprc handle: %#x, command: %#x)\n",
    mc_io.portal_phys_addr,
    mc_cmd_hdr_read_token(cmd),
    mc_cmd_hdr_read_cmdid(cmd),
  );
}

function* mc_polling_wait_preemptible(
  mc_io: fsl_mc_io,
  cmd: fsl_mc_command,
  mc_status: { value: number },
): Sleeps<number> {
  const jiffies_until_timeout = jiffies() + msecs_to_jiffies(MC_CMD_COMPLETION_TIMEOUT_MS);
  let status: number;

  for (;;) {
    status = mc_read_response(mc_io.portal_virt_addr!, cmd);
    if (status !== MC_CMD_STATUS_READY) break;

    yield* usleep_range(MC_CMD_COMPLETION_POLLING_MIN_SLEEP_USECS, MC_CMD_COMPLETION_POLLING_MAX_SLEEP_USECS);

    if (time_after_eq(jiffies(), jiffies_until_timeout)) {
      timed_out(mc_io, cmd);
      return -ETIMEDOUT;
    }
  }

  mc_status.value = status;
  return 0;
}

function mc_polling_wait_atomic(mc_io: fsl_mc_io, cmd: fsl_mc_command, mc_status: { value: number }): number {
  let timeout_usecs = MC_CMD_COMPLETION_TIMEOUT_MS * 1000;
  let status: number;

  for (;;) {
    status = mc_read_response(mc_io.portal_virt_addr!, cmd);
    if (status !== MC_CMD_STATUS_READY) break;

    udelay(MC_CMD_COMPLETION_POLLING_MAX_SLEEP_USECS);
    timeout_usecs -= MC_CMD_COMPLETION_POLLING_MAX_SLEEP_USECS;
    if (timeout_usecs === 0) {
      timed_out(mc_io, cmd);
      return -ETIMEDOUT;
    }
  }

  mc_status.value = status;
  return 0;
}

/**
 * Sends a command and waits for the answer, which takes its place. @return 0; what the firmware's status stands for;
 * -ETIMEDOUT. Context: any with a portal for atomic contexts, else may sleep
 */
export function* mc_send_command(mc_io: fsl_mc_io, cmd: fsl_mc_command): Sleeps<number> {
  const atomic = (mc_io.flags & FSL_MC_IO_ATOMIC_CONTEXT_PORTAL) !== 0;
  const status = { value: 0 };
  let irq_flags = 0;
  let error: number;

  if (in_irq() && !atomic) return -EINVAL;

  if (atomic) irq_flags = yield* spin_lock_irqsave(mc_io.spinlock);
  else yield* mutex_lock(mc_io.mutex);

  common_exit: {
    mc_write_command(mc_io.portal_virt_addr!, cmd);

    if (!atomic) error = yield* mc_polling_wait_preemptible(mc_io, cmd, status);
    else error = mc_polling_wait_atomic(mc_io, cmd, status);

    if (error < 0) break common_exit;

    if (status.value !== MC_CMD_STATUS_OK) {
      dev_dbg(
        mc_io.dev,
        "MC command failed: portal: %#llx, dprc handle: %#x, command: %#x, status: %s (%#x)\n",
        mc_io.portal_phys_addr,
        mc_cmd_hdr_read_token(cmd),
        mc_cmd_hdr_read_cmdid(cmd),
        mc_status_to_string(status.value),
        status.value,
      );

      error = mc_status_to_error(status.value);
      break common_exit;
    }

    error = 0;
  }
  if (atomic) yield* spin_unlock_irqrestore(mc_io.spinlock, irq_flags);
  else mutex_unlock(mc_io.mutex);

  return error;
}
EXPORT_SYMBOL_GPL(mc_send_command);
