// SPDX-License-Identifier: GPL-2.0-only
/**
 * Queues as devices of the AP bus. Port of drivers/s390/crypto/ap_queue.c without messages: what sends, receives and flushes
 * them, the state machine (ap_sm_…, ap_queue_init_state, reset_show, reset_store, interrupt_show) and its timer are left out, and so
 * are the attributes that count them. Only a driver of the host that uses a queue itself would need them.
 */
import { ap_zapq, type ap_qid_t } from "#asm/ap.ts";
import { type device, DEVICE_ATTR_RO, type device_attribute, type device_type } from "#linux/device.ts";
import { hash_del } from "#linux/hashtable.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock_bh, spin_lock_init, spin_unlock_bh } from "#linux/spinlock.ts";
import { type attribute_group, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import type { Sleeps, Spins } from "#linux/types.ts";
import { ap_bus, AP_DEV_STATE_SHUTDOWN, AP_DEV_STATE_UNINITIATED, ap_queue, to_ap_queue } from "./ap_bus.ts";

function* config_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  const aq = to_ap_queue(dev);

  yield* spin_lock_bh(aq.lock);
  const rc = sysfs_emit(buf, "%d\n", aq.config ? 1 : 0);
  yield* spin_unlock_bh(aq.lock);
  return rc;
}
const dev_attr_config = DEVICE_ATTR_RO("config", config_show);

function* chkstop_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  const aq = to_ap_queue(dev);

  yield* spin_lock_bh(aq.lock);
  const rc = sysfs_emit(buf, "%d\n", aq.chkstop ? 1 : 0);
  yield* spin_unlock_bh(aq.lock);
  return rc;
}
const dev_attr_chkstop = DEVICE_ATTR_RO("chkstop", chkstop_show);

const ap_queue_dev_attr_group: attribute_group = { attrs: [dev_attr_config.attr, dev_attr_chkstop.attr] };

const ap_queue_type: device_type = { name: "ap_queue", groups: [ap_queue_dev_attr_group] };

function* ap_queue_device_release(dev: device): Spins {
  const aq = to_ap_queue(dev);

  yield* spin_lock_bh(ap_bus.ap_queues_lock);
  hash_del(aq.hnode);
  yield* spin_unlock_bh(ap_bus.ap_queues_lock);

  kfree(aq);
}

/** @return a queue, to be registered, or NULL. May sleep. */
export function ap_queue_create(qid: ap_qid_t, device_type: number): ap_queue | null {
  const aq = kzalloc(ap_queue, GFP_KERNEL);
  if (!aq) return null;
  aq.ap_dev.device.release = ap_queue_device_release;
  aq.ap_dev.device.type = ap_queue_type;
  aq.ap_dev.device_type = device_type;
  aq.qid = qid;
  spin_lock_init(aq.lock, "&aq->lock");

  return aq;
}

/** Its driver is about to let it go. Any context. */
export function* ap_queue_prepare_remove(aq: ap_queue): Spins {
  yield* spin_lock_bh(aq.lock);
  aq.dev_state = AP_DEV_STATE_SHUTDOWN;
  yield* spin_unlock_bh(aq.lock);
}

/** It has: nothing of it may stay in the queue. Any context. */
export function* ap_queue_remove(aq: ap_queue): Spins {
  yield* spin_lock_bh(aq.lock);
  ap_zapq(aq.qid);
  aq.dev_state = AP_DEV_STATE_UNINITIATED;
  yield* spin_unlock_bh(aq.lock);
}
