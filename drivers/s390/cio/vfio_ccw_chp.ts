// SPDX-License-Identifier: GPL-2.0-only
/** The regions that show the subchannel and its channel reports. Port of drivers/s390/cio/vfio_ccw_chp.c. */
import { EFAULT, EINVAL, ENODEV } from "#linux/errno.ts";
import { eventfd_signal } from "#linux/eventfd.ts";
import type { loff_ptr } from "#linux/fs.ts";
import { list_del, list_empty, list_first_entry_or_null } from "#linux/list.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { kfree } from "#linux/slab.ts";
import { memcpy } from "#linux/string.ts";
import { bytes_at, type Sleeps, sizeof } from "#linux/types.ts";
import { copy_to_user } from "#linux/uaccess.ts";
import {
  VFIO_CCW_NUM_REGIONS,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_SUBTYPE_CCW_CRW,
  VFIO_REGION_SUBTYPE_CCW_SCHIB,
} from "#uapi/linux/vfio.ts";
import { ccw_crw_region, ccw_schib_region } from "#uapi/linux/vfio_ccw.ts";
import { cio_update_schib } from "./cio.ts";
import {
  vfio_ccw_crw,
  VFIO_CCW_OFFSET_MASK,
  VFIO_CCW_OFFSET_TO_INDEX,
  type vfio_ccw_private,
  vfio_ccw_register_dev_region,
  type vfio_ccw_region,
  type vfio_ccw_regops,
} from "./vfio_ccw_private.ts";

function* vfio_ccw_schib_region_read(
  priv: vfio_ccw_private,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const i = VFIO_CCW_OFFSET_TO_INDEX(ppos.value) - VFIO_CCW_NUM_REGIONS;
  const pos = Number(ppos.value & VFIO_CCW_OFFSET_MASK);
  let ret: number;

  if (pos + count > sizeof(ccw_schib_region)) return -EINVAL;

  yield* mutex_lock(priv.io_mutex);
  out: {
    const region = priv.region!.at(i).data as ccw_schib_region;

    // Without sch->lock, unlike everywhere else.
    if (cio_update_schib(priv.sch!)) {
      ret = -ENODEV;
      break out;
    }

    memcpy(region, priv.sch!.schib, sizeof(ccw_schib_region));

    if (yield* copy_to_user(buf, bytes_at(region, pos), count)) {
      ret = -EFAULT;
      break out;
    }

    ret = count;
  }
  mutex_unlock(priv.io_mutex);
  return ret;
}

function* vfio_ccw_schib_region_write(
  priv: vfio_ccw_private,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  return -EINVAL;
}

function vfio_ccw_schib_region_release(priv: vfio_ccw_private, region: vfio_ccw_region): void {}

const vfio_ccw_schib_region_ops: vfio_ccw_regops = {
  read: vfio_ccw_schib_region_read,
  write: vfio_ccw_schib_region_write,
  release: vfio_ccw_schib_region_release,
};

/** Adds the region. @return 0 or -ENOMEM. May sleep. */
export function vfio_ccw_register_schib_dev_regions(priv: vfio_ccw_private): number {
  return vfio_ccw_register_dev_region(
    priv,
    VFIO_REGION_SUBTYPE_CCW_SCHIB,
    vfio_ccw_schib_region_ops,
    sizeof(ccw_schib_region),
    VFIO_REGION_INFO_FLAG_READ,
    priv.schib_region,
  );
}

function* vfio_ccw_crw_region_read(priv: vfio_ccw_private, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const i = VFIO_CCW_OFFSET_TO_INDEX(ppos.value) - VFIO_CCW_NUM_REGIONS;
  const pos = Number(ppos.value & VFIO_CCW_OFFSET_MASK);
  let ret: number;

  if (pos + count > sizeof(ccw_crw_region)) return -EINVAL;

  // The list has no lock of its own.
  const crw = list_first_entry_or_null(priv.crw, vfio_ccw_crw, "next");

  if (crw) list_del(crw.next);

  yield* mutex_lock(priv.io_mutex);
  const region = priv.region!.at(i).data as ccw_crw_region;

  if (crw) memcpy(region, crw.crw, 4);

  if (yield* copy_to_user(buf, bytes_at(region, pos), count)) ret = -EFAULT;
  else ret = count;

  region.crw = 0;

  mutex_unlock(priv.io_mutex);

  kfree(crw);

  // There may be more.
  if (!list_empty(priv.crw) && priv.crw_trigger) yield* eventfd_signal(priv.crw_trigger, 1);

  return ret;
}

function* vfio_ccw_crw_region_write(
  priv: vfio_ccw_private,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  return -EINVAL;
}

function vfio_ccw_crw_region_release(priv: vfio_ccw_private, region: vfio_ccw_region): void {}

const vfio_ccw_crw_region_ops: vfio_ccw_regops = {
  read: vfio_ccw_crw_region_read,
  write: vfio_ccw_crw_region_write,
  release: vfio_ccw_crw_region_release,
};

/** Adds the region. @return 0 or -ENOMEM. May sleep. */
export function vfio_ccw_register_crw_dev_regions(priv: vfio_ccw_private): number {
  return vfio_ccw_register_dev_region(
    priv,
    VFIO_REGION_SUBTYPE_CCW_CRW,
    vfio_ccw_crw_region_ops,
    sizeof(ccw_crw_region),
    VFIO_REGION_INFO_FLAG_READ,
    priv.crw_region,
  );
}
