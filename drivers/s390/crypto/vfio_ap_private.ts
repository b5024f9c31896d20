// SPDX-License-Identifier: GPL-2.0-only
/** What the files of vfio_ap share. Port of drivers/s390/crypto/vfio_ap_private.h. */
import { ap_config_info } from "#asm/ap.ts";
import { DECLARE_BITMAP } from "#linux/bitmap.ts";
import { device } from "#linux/device.ts";
import { DECLARE_HASHTABLE } from "#linux/hashtable.ts";
import { crypto_hook, type kvm } from "#linux/kvm_host.ts";
import { hlist_node, list_head } from "#linux/list.ts";
import { type mdev_device, mdev_parent, mdev_type } from "#linux/mdev.ts";
import { mutex } from "#linux/mutex.ts";
import { array, embed, int, ptr, struct, u32, u64, u8 } from "#linux/types.ts";
import { vfio_device } from "#linux/vfio.ts";
import { AP_DEVICES, AP_DOMAINS, type ap_driver } from "./ap_bus.ts";

export const VFIO_AP_MODULE_NAME = "vfio_ap";
export const VFIO_AP_DRV_NAME = "vfio_ap";

/** The device below which mdevs are created; there is one. */
export class ap_matrix_dev extends struct("ap_matrix_dev", {
  device: embed(() => device),
  info: embed(() => ap_config_info),
  mdev_list: embed(() => list_head),
  /** Around everything that is kept for one mdev. */
  mdevs_lock: embed(() => mutex),
  vfio_ap_drv: ptr<ap_driver>(),
  /** Around the list of mdevs, and while what a guest has is changed; taken before kvm->lock and mdevs_lock. */
  guests_lock: embed(() => mutex),
  parent: embed(() => mdev_parent),
  mdev_type: embed(() => mdev_type),
  mdev_types: array(1, ptr<mdev_type>()),
}) {}

/** Adapters, domains and control domains, and their highest numbers. */
export class ap_matrix extends struct("ap_matrix", {
  apm_max: u32(),
  apm: DECLARE_BITMAP(256),
  aqm_max: u32(),
  aqm: DECLARE_BITMAP(256),
  adm_max: u32(),
  adm: DECLARE_BITMAP(256),
}) {}

export class ap_queue_table extends struct("ap_queue_table", { queues: DECLARE_HASHTABLE(8) }) {}

/** A mediated matrix device. */
export class ap_matrix_mdev extends struct("ap_matrix_mdev", {
  vdev: embed(() => vfio_device),
  node: embed(() => list_head),
  /** What was assigned to it, and what of that its guest really gets. */
  matrix: embed(() => ap_matrix),
  shadow_apcb: embed(() => ap_matrix),
  kvm: ptr<kvm>(),
  pqap_hook: embed(() => crypto_hook),
  mdev: ptr<mdev_device>(),
  qtable: embed(() => ap_queue_table),
  /** What came into the machine's configuration, between the beginning of a scan of the bus and its end. */
  apm_add: DECLARE_BITMAP(AP_DEVICES),
  aqm_add: DECLARE_BITMAP(AP_DOMAINS),
  adm_add: DECLARE_BITMAP(AP_DOMAINS),
}) {}

export const VFIO_AP_ISC_INVALID = 0xff;

/** A queue that is bound to vfio_ap. */
export class vfio_ap_queue extends struct("vfio_ap_queue", {
  matrix_mdev: ptr<ap_matrix_mdev>(),
  saved_iova: u64(),
  apqn: int(),
  saved_isc: u8(),
  mdev_qnode: embed(() => hlist_node),
  /** Response code of its last reset. */
  reset_rc: u32(),
}) {}
