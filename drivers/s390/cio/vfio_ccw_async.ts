// SPDX-License-Identifier: GPL-2.0-only
/** The region for halt and clear. Port of drivers/s390/cio/vfio_ccw_async.c. */
import { EAGAIN, EFAULT, EINVAL } from "#linux/errno.ts";
import type { loff_ptr } from "#linux/fs.ts";
import { mutex_lock, mutex_trylock, mutex_unlock } from "#linux/mutex.ts";
import { bytes_at, type Sleeps, sizeof } from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import {
  VFIO_CCW_NUM_REGIONS,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  VFIO_REGION_SUBTYPE_CCW_ASYNC_CMD,
} from "#uapi/linux/vfio.ts";
import { ccw_cmd_region } from "#uapi/linux/vfio_ccw.ts";
import {
  VFIO_CCW_EVENT_ASYNC_REQ,
  vfio_ccw_fsm_event,
  VFIO_CCW_OFFSET_MASK,
  VFIO_CCW_OFFSET_TO_INDEX,
  type vfio_ccw_private,
  vfio_ccw_register_dev_region,
  type vfio_ccw_region,
  type vfio_ccw_regops,
} from "./vfio_ccw_private.ts";

function* vfio_ccw_async_region_read(
  priv: vfio_ccw_private,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const i = VFIO_CCW_OFFSET_TO_INDEX(ppos.value) - VFIO_CCW_NUM_REGIONS;
  const pos = Number(ppos.value & VFIO_CCW_OFFSET_MASK);
  let ret: number;

  if (pos + count > sizeof(ccw_cmd_region)) return -EINVAL;

  yield* mutex_lock(priv.io_mutex);
  const region = priv.region!.at(i).data as ccw_cmd_region;
  if (yield* copy_to_user(buf, bytes_at(region, pos), count)) ret = -EFAULT;
  else ret = count;
  mutex_unlock(priv.io_mutex);
  return ret;
}

function* vfio_ccw_async_region_write(
  priv: vfio_ccw_private,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
): Sleeps<number> {
  const i = VFIO_CCW_OFFSET_TO_INDEX(ppos.value) - VFIO_CCW_NUM_REGIONS;
  const pos = Number(ppos.value & VFIO_CCW_OFFSET_MASK);
  let ret: number;

  if (pos + count > sizeof(ccw_cmd_region)) return -EINVAL;

  if (!mutex_trylock(priv.io_mutex)) return -EAGAIN;

  out_unlock: {
    const region = priv.region!.at(i).data as ccw_cmd_region;
    if (yield* copy_from_user(bytes_at(region, pos), buf, count)) {
      ret = -EFAULT;
      break out_unlock;
    }

    yield* vfio_ccw_fsm_event(priv, VFIO_CCW_EVENT_ASYNC_REQ);

    ret = region.ret_code ? region.ret_code | 0 : count;
  }
  mutex_unlock(priv.io_mutex);
  return ret;
}

function vfio_ccw_async_region_release(priv: vfio_ccw_private, region: vfio_ccw_region): void {}

const vfio_ccw_async_region_ops: vfio_ccw_regops = {
  read: vfio_ccw_async_region_read,
  write: vfio_ccw_async_region_write,
  release: vfio_ccw_async_region_release,
};

/** Adds the region. @return 0 or -ENOMEM. May sleep. */
export function vfio_ccw_register_async_dev_regions(priv: vfio_ccw_private): number {
  return vfio_ccw_register_dev_region(
    priv,
    VFIO_REGION_SUBTYPE_CCW_ASYNC_CMD,
    vfio_ccw_async_region_ops,
    sizeof(ccw_cmd_region),
    VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
    priv.cmd_region,
  );
}
