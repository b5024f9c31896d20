// SPDX-License-Identifier: GPL-2.0-only
/** Mediated matrix devices: what adapters and domains a guest gets. Port of drivers/s390/crypto/vfio_ap_ops.c. */
import {
  ap_aqic,
  type ap_config_info,
  AP_MKQID,
  AP_QID_CARD,
  AP_QID_QUEUE,
  type ap_qirq_ctrl,
  type ap_queue_status,
  ap_tapq,
  ap_test_queue,
  ap_zapq,
} from "#asm/ap.ts";
import { clear_bit_inv, find_first_bit_inv, for_each_set_bit_inv, set_bit_inv, test_bit_inv } from "#asm/bitops.ts";
import {
  type bitmap,
  bitmap_and,
  bitmap_andnot,
  bitmap_clear,
  bitmap_copy,
  bitmap_empty,
  bitmap_equal,
  bitmap_intersects,
  bitmap_zero,
  new_bitmap,
} from "#linux/bitmap.ts";
import { WARN, WARN_ON, WARN_ONCE } from "#linux/bug.ts";
import { msleep } from "#linux/delay.ts";
import {
  dev_get_drvdata,
  dev_name,
  dev_set_drvdata,
  dev_warn,
  type device,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_WO,
  type device_attribute,
  put_device,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EBUSY,
  EFAULT,
  EINVAL,
  EIO,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EPERM,
} from "#linux/errno.ts";
import { hash_add, hash_del, hash_for_each, hash_for_each_possible, hash_init } from "#linux/hashtable.ts";
import { IOMMU_READ, IOMMU_WRITE } from "#linux/iommu.ts";
import { kstrtoul, sprintf } from "#linux/kernel.ts";
import {
  ECA_AIV,
  gfn_to_hva,
  type kvm,
  kvm_arch_crypto_clear_masks,
  kvm_arch_crypto_set_masks,
  kvm_get_kvm,
  kvm_is_error_hva,
  kvm_put_kvm,
  kvm_s390_gisc_register,
  kvm_s390_gisc_unregister,
  type kvm_vcpu,
} from "#linux/kvm_host.ts";
import { list_add, list_del, list_empty, list_for_each_entry } from "#linux/list.ts";
import {
  mdev_dev,
  type mdev_device,
  mdev_driver,
  mdev_register_driver,
  mdev_register_parent,
  mdev_unregister_driver,
  mdev_unregister_parent,
  to_mdev_device,
} from "#linux/mdev.ts";
import { type page, page_to_phys, PAGE_SHIFT, PAGE_SIZE } from "#linux/mm.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { pr_warn } from "#linux/printk.ts";
import { down_write, up_write } from "#linux/rwsem.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { copy_struct } from "#linux/string.ts";
import {
  type attribute_group,
  type attribute_groups,
  sysfs_create_group,
  sysfs_remove_group,
  type sysfs_buf,
  sysfs_emit,
} from "#linux/sysfs.ts";
import { array, container_of, initialise, offsetofend, ptr, type Sleeps, struct } from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import type { guid_t } from "#linux/uuid.ts";
import {
  vfio_alloc_device,
  type vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_pin_pages,
  vfio_put_device,
  vfio_register_emulated_iommu_dev,
  vfio_unpin_pages,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import {
  VFIO_DEVICE_API_AP_STRING,
  VFIO_DEVICE_FLAGS_AP,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_RESET,
  vfio_device_info,
} from "#uapi/linux/vfio.ts";
import {
  ap_apqn_in_matrix_owned_by_def_drv,
  ap_bus,
  AP_DEVICE_TYPE_CEX4,
  AP_DEVICES,
  type ap_device,
  AP_DOMAINS,
  ap_get_qdev,
  AP_RESPONSE_BUSY,
  AP_RESPONSE_CHECKSTOPPED,
  AP_RESPONSE_DECONFIGURED,
  AP_RESPONSE_INVALID_ADDRESS,
  AP_RESPONSE_INVALID_GISA,
  AP_RESPONSE_NORMAL,
  AP_RESPONSE_OTHERWISE_CHANGED,
  AP_RESPONSE_Q_NOT_AVAIL,
  AP_RESPONSE_RESET_IN_PROGRESS,
  to_ap_dev,
  to_ap_queue,
} from "./ap_bus.ts";
import { VFIO_AP_DBF_WARN } from "./vfio_ap_debug.ts";
import { vfio_ap } from "./vfio_ap_drv.ts";
import {
  type ap_matrix,
  type ap_matrix_dev,
  ap_matrix_mdev,
  ap_queue_table,
  VFIO_AP_ISC_INVALID,
  vfio_ap_queue,
} from "./vfio_ap_private.ts";

const { THIS_MODULE, KBUILD_MODNAME, per_boot } = kbuild(import.meta.url);

const VFIO_AP_MDEV_TYPE_HWVIRT = "passthrough";
const VFIO_AP_MDEV_NAME_HWVIRT = "VFIO AP Passthrough Device";

const AP_QUEUE_ASSIGNED = "assigned";
const AP_QUEUE_UNASSIGNED = "unassigned";
const AP_QUEUE_IN_USE = "in use";

/** Of asm/zcrypt.h. */
const MAX_ZDEV_ENTRIES_EXT = 256 * 256;

/** The variable of that name. */
function matrix_dev(): ap_matrix_dev {
  return vfio_ap.matrix_dev!;
}

/* guests_lock, then kvm->lock if there is a guest, then mdevs_lock: the order that changing a guest's masks needs. */
function* get_update_locks_for_kvm(kvm: kvm | null): Sleeps {
  yield* mutex_lock(matrix_dev().guests_lock);
  if (kvm) yield* mutex_lock(kvm.lock);
  yield* mutex_lock(matrix_dev().mdevs_lock);
}

function release_update_locks_for_kvm(kvm: kvm | null): void {
  mutex_unlock(matrix_dev().mdevs_lock);
  if (kvm) mutex_unlock(kvm.lock);
  mutex_unlock(matrix_dev().guests_lock);
}

/* The same for the guest that has the mdev, if any. */
function* get_update_locks_for_mdev(matrix_mdev: ap_matrix_mdev | null): Sleeps {
  yield* mutex_lock(matrix_dev().guests_lock);
  if (matrix_mdev && matrix_mdev.kvm) yield* mutex_lock(matrix_mdev.kvm.lock);
  yield* mutex_lock(matrix_dev().mdevs_lock);
}

function release_update_locks_for_mdev(matrix_mdev: ap_matrix_mdev | null): void {
  mutex_unlock(matrix_dev().mdevs_lock);
  if (matrix_mdev && matrix_mdev.kvm) mutex_unlock(matrix_mdev.kvm.lock);
  mutex_unlock(matrix_dev().guests_lock);
}

/* The same for the mdev that a queue is assigned to, which is returned; NULL if there is none. */
function* get_update_locks_by_apqn(apqn: number): Sleeps<ap_matrix_mdev | null> {
  yield* mutex_lock(matrix_dev().guests_lock);

  for (const matrix_mdev of list_for_each_entry(matrix_dev().mdev_list, ap_matrix_mdev, "node")) {
    if (
      test_bit_inv(AP_QID_CARD(apqn), matrix_mdev.matrix.apm) &&
      test_bit_inv(AP_QID_QUEUE(apqn), matrix_mdev.matrix.aqm)
    ) {
      if (matrix_mdev.kvm) yield* mutex_lock(matrix_mdev.kvm.lock);

      yield* mutex_lock(matrix_dev().mdevs_lock);

      return matrix_mdev;
    }
  }

  yield* mutex_lock(matrix_dev().mdevs_lock);

  return null;
}

function* get_update_locks_for_queue(q: vfio_ap_queue): Sleeps {
  yield* mutex_lock(matrix_dev().guests_lock);
  if (q.matrix_mdev && q.matrix_mdev.kvm) yield* mutex_lock(q.matrix_mdev.kvm.lock);
  yield* mutex_lock(matrix_dev().mdevs_lock);
}

function vfio_ap_mdev_get_queue(matrix_mdev: ap_matrix_mdev, apqn: number): vfio_ap_queue | null {
  for (const q of hash_for_each_possible(matrix_mdev.qtable.queues, vfio_ap_queue, "mdev_qnode", apqn))
    if (q.apqn === apqn) return q;

  return null;
}

/* Waits until the queue has no interruption enabled; gives up after five tries. */
function* vfio_ap_wait_for_irqclear(apqn: number): Sleeps {
  let status: ap_queue_status;
  let retry = 5;

  do {
    status = ap_tapq(apqn, null);
    switch (status.response_code) {
      case AP_RESPONSE_NORMAL:
      case AP_RESPONSE_RESET_IN_PROGRESS:
        if (!status.irq_enabled) return;
      // fallthrough
      case AP_RESPONSE_BUSY:
        yield* msleep(20);
        break;
      case AP_RESPONSE_Q_NOT_AVAIL:
      case AP_RESPONSE_DECONFIGURED:
      case AP_RESPONSE_CHECKSTOPPED:
      default:
        WARN_ONCE(true, "%s: tapq rc %02x: %04x\n", "vfio_ap_wait_for_irqclear", status.response_code, apqn);
        return;
    }
  } while (--retry);

  WARN_ONCE(
    true,
    "%s: tapq rc %02x: %04x could not clear IR bit\n",
    "vfio_ap_wait_for_irqclear",
    status.response_code,
    apqn,
  );
}

/* Takes back what an enabled interruption needed: the guest's subclass, and the page of the notification byte. */
function* vfio_ap_free_aqic_resources(q: vfio_ap_queue | null): Sleeps {
  if (!q) return;
  if (q.saved_isc !== VFIO_AP_ISC_INVALID && !WARN_ON(!(q.matrix_mdev && q.matrix_mdev.kvm))) {
    yield* kvm_s390_gisc_unregister(q.matrix_mdev!.kvm!, q.saved_isc);
    q.saved_isc = VFIO_AP_ISC_INVALID;
  }
  if (q.saved_iova && !WARN_ON(!q.matrix_mdev)) {
    yield* vfio_unpin_pages(q.matrix_mdev!.vdev, q.saved_iova, 1);
    q.saved_iova = 0n;
  }
}

function no_aqic(): ap_qirq_ctrl {
  return { zone: 0, ir: false, gisc: 0, gf: 0, gisa: 0n, isc: 0 };
}

/* Interruptions of the queue off; tried six times while it is busy. */
function* vfio_ap_irq_disable(q: vfio_ap_queue): Sleeps<ap_queue_status> {
  const aqic_gisa = no_aqic();
  let status: ap_queue_status;
  let retries = 5;

  end_free: {
    do {
      status = ap_aqic(q.apqn, aqic_gisa, 0n);
      switch (status.response_code) {
        case AP_RESPONSE_OTHERWISE_CHANGED:
        case AP_RESPONSE_NORMAL:
          yield* vfio_ap_wait_for_irqclear(q.apqn);
          break end_free;
        case AP_RESPONSE_RESET_IN_PROGRESS:
        case AP_RESPONSE_BUSY:
          yield* msleep(20);
          break;
        case AP_RESPONSE_Q_NOT_AVAIL:
        case AP_RESPONSE_DECONFIGURED:
        case AP_RESPONSE_CHECKSTOPPED:
        case AP_RESPONSE_INVALID_ADDRESS:
        default:
          WARN_ONCE(true, "%s: ap_aqic status %d\n", "vfio_ap_irq_disable", status.response_code);
          break end_free;
      }
    } while (retries--);

    WARN_ONCE(true, "%s: ap_aqic status %d\n", "vfio_ap_irq_disable", status.response_code);
  }
  yield* vfio_ap_free_aqic_resources(q);
  return status;
}

function vfio_ap_validate_nib(vcpu: kvm_vcpu, nib: { value: bigint }): number {
  nib.value = vcpu.run.gprs.at(2);

  if (!nib.value) return -EINVAL;
  if (kvm_is_error_hva(gfn_to_hva(vcpu.kvm!, nib.value >> BigInt(PAGE_SHIFT)))) return -EINVAL;

  return 0;
}

function only_code(response_code: number): ap_queue_status {
  return { queue_empty: false, replies_waiting: false, queue_full: false, irq_enabled: false, response_code };
}

/* Interruptions of the queue on: pins the guest's page with the notification byte, and registers its subclass. */
function* vfio_ap_irq_enable(q: vfio_ap_queue, isc: number, vcpu: kvm_vcpu): Sleeps<ap_queue_status> {
  const aqic_gisa = no_aqic();
  const nib = { value: 0n };
  const h_page = new one_page();

  if (vfio_ap_validate_nib(vcpu, nib)) {
    VFIO_AP_DBF_WARN("%s: invalid NIB address: nib=%pad, apqn=%#04x\n", "vfio_ap_irq_enable", nib.value, q.apqn);

    return only_code(AP_RESPONSE_INVALID_ADDRESS);
  }

  const ret = yield* vfio_pin_pages(q.matrix_mdev!.vdev, nib.value, 1, IOMMU_READ | IOMMU_WRITE, h_page.pages);
  switch (ret) {
    case 1:
      break;
    default:
      VFIO_AP_DBF_WARN(
        "%s: vfio_pin_pages failed: rc=%d,nib=%pad, apqn=%#04x\n",
        "vfio_ap_irq_enable",
        ret,
        nib.value,
        q.apqn,
      );

      return only_code(AP_RESPONSE_INVALID_ADDRESS);
  }

  const kvm = q.matrix_mdev!.kvm!;
  const gisa = kvm.arch.gisa_int.origin;

  const h_nib = page_to_phys(h_page.pages.at(0)!) | (nib.value & BigInt(PAGE_SIZE - 1));
  aqic_gisa.gisc = isc;

  const nisc = yield* kvm_s390_gisc_register(kvm, isc);
  if (nisc < 0) {
    VFIO_AP_DBF_WARN(
      "%s: gisc registration failed: nisc=%d, isc=%d, apqn=%#04x\n",
      "vfio_ap_irq_enable",
      nisc,
      isc,
      q.apqn,
    );

    yield* vfio_unpin_pages(q.matrix_mdev!.vdev, nib.value, 1);
    return only_code(AP_RESPONSE_INVALID_GISA);
  }

  aqic_gisa.isc = nisc;
  aqic_gisa.ir = true;
  aqic_gisa.gisa = gisa >> 4n;

  const status = ap_aqic(q.apqn, aqic_gisa, h_nib);
  switch (status.response_code) {
    case AP_RESPONSE_NORMAL:
      // There may have been an older one
      yield* vfio_ap_free_aqic_resources(q);
      q.saved_iova = nib.value;
      q.saved_isc = isc;
      break;
    case AP_RESPONSE_OTHERWISE_CHANGED:
      yield* vfio_unpin_pages(q.matrix_mdev!.vdev, nib.value, 1);
      yield* kvm_s390_gisc_unregister(kvm, isc);
      break;
    default:
      pr_warn("%s: apqn %04x: response: %02x\n", "vfio_ap_irq_enable", q.apqn, status.response_code);
      yield* vfio_ap_irq_disable(q);
      break;
  }

  if (status.response_code !== AP_RESPONSE_NORMAL) {
    VFIO_AP_DBF_WARN(
      "%s: PQAP(AQIC) failed with status=%#02x: zone=%#x, ir=%#x, gisc=%#x, f=%#x,gisa=%#x, isc=%#x, apqn=%#04x\n",
      "vfio_ap_irq_enable",
      status.response_code,
      aqic_gisa.zone,
      aqic_gisa.ir,
      aqic_gisa.gisc,
      aqic_gisa.gf,
      aqic_gisa.gisa,
      aqic_gisa.isc,
      q.apqn,
    );
  }

  return status;
}
/** `struct page *` on the stack. */
class one_page extends struct("page_pointer", { pages: array(1, ptr<page>()) }) {}

/* The parts of a UUID as numbers: a string could be gone before the log is read. */
function vfio_ap_le_guid_to_be_uuid(guid: guid_t): readonly number[] {
  const b = (i: number): number => guid.b.at(i);
  const be16 = (i: number): number => (b(i) << 8) | b(i + 1);
  return [
    ((b(3) << 24) | (b(2) << 16) | (b(1) << 8) | b(0)) >>> 0,
    (b(5) << 8) | b(4),
    (b(7) << 8) | b(6),
    be16(8),
    be16(10),
    be16(12) * 0x10000 + be16(14),
  ];
}

/* As it stands in general register 1 after PQAP. */
function status_word(status: ap_queue_status): bigint {
  const flags =
    (status.queue_empty ? 0x80 : 0) |
    (status.replies_waiting ? 0x40 : 0) |
    (status.queue_full ? 0x20 : 0) |
    (status.irq_enabled ? 0x01 : 0);
  return BigInt(((flags << 24) | (status.response_code << 16)) >>> 0);
}

/* A guest has executed PQAP(AQIC). @return 0, or -EOPNOTSUPP for user space to see to it */
function* handle_pqap(vcpu: kvm_vcpu): Sleeps<number> {
  let qstatus = only_code(AP_RESPONSE_Q_NOT_AVAIL);

  const apqn = Number(vcpu.run.gprs.at(0) & 0xffffn);

  if (!(vcpu.eca & ECA_AIV)) {
    VFIO_AP_DBF_WARN("%s: AIV facility not installed: apqn=0x%04x, eca=0x%04x\n", "handle_pqap", apqn, vcpu.eca);

    return -EOPNOTSUPP;
  }

  yield* mutex_lock(matrix_dev().mdevs_lock);

  out_unlock: {
    if (!vcpu.kvm!.arch.crypto.pqap_hook) {
      VFIO_AP_DBF_WARN(
        "%s: PQAP(AQIC) hook not registered with the vfio_ap driver: apqn=0x%04x\n",
        "handle_pqap",
        apqn,
      );

      break out_unlock;
    }

    const matrix_mdev = container_of(vcpu.kvm!.arch.crypto.pqap_hook, ap_matrix_mdev, "pqap_hook");

    if (!matrix_mdev.kvm) {
      const uuid = vfio_ap_le_guid_to_be_uuid(matrix_mdev.mdev!.uuid);
      VFIO_AP_DBF_WARN(
        "%s: mdev %08lx-%04lx-%04lx-%04lx-%04lx%08lx not in use: apqn=0x%04x\n",
        "handle_pqap",
        ...uuid,
        apqn,
      );
      break out_unlock;
    }

    const q = vfio_ap_mdev_get_queue(matrix_mdev, apqn);
    if (!q) {
      VFIO_AP_DBF_WARN(
        "%s: Queue %02x.%04x not bound to the vfio_ap driver\n",
        "handle_pqap",
        AP_QID_CARD(apqn),
        AP_QID_QUEUE(apqn),
      );
      break out_unlock;
    }

    const status = vcpu.run.gprs.at(1);

    if ((status >> BigInt(63 - 16)) & 1n) qstatus = yield* vfio_ap_irq_enable(q, Number(status & 0x07n), vcpu);
    else qstatus = yield* vfio_ap_irq_disable(q);
  }
  vcpu.run.gprs.set(1, status_word(qstatus));
  mutex_unlock(matrix_dev().mdevs_lock);
  return 0;
}

function vfio_ap_matrix_init(info: ap_config_info, matrix: ap_matrix): void {
  matrix.apm_max = info.apxa ? info.Na : 63;
  matrix.aqm_max = info.apxa ? info.Nd : 15;
  matrix.adm_max = info.apxa ? info.Nd : 15;
}

function vfio_ap_mdev_update_guest_apcb(matrix_mdev: ap_matrix_mdev): void {
  if (matrix_mdev.kvm)
    kvm_arch_crypto_set_masks(
      matrix_mdev.kvm,
      matrix_mdev.shadow_apcb.apm,
      matrix_mdev.shadow_apcb.aqm,
      matrix_mdev.shadow_apcb.adm,
    );
}

function vfio_ap_mdev_filter_cdoms(matrix_mdev: ap_matrix_mdev): boolean {
  const prev_shadow_adm = new_bitmap(AP_DOMAINS);

  bitmap_copy(prev_shadow_adm, matrix_mdev.shadow_apcb.adm, AP_DOMAINS);
  bitmap_and(matrix_mdev.shadow_apcb.adm, matrix_mdev.matrix.adm, matrix_dev().info.adm, AP_DOMAINS);

  return !bitmap_equal(prev_shadow_adm, matrix_mdev.shadow_apcb.adm, AP_DOMAINS);
}

/*
 * What a guest gets of its mdev: adapters with a queue that is not bound to vfio_ap, or could not be reset, are left out as a
 * whole, as single queues cannot be. @return whether that has changed
 */
function vfio_ap_mdev_filter_matrix(matrix_mdev: ap_matrix_mdev): boolean {
  const prev_shadow_apm = new_bitmap(AP_DEVICES);
  const prev_shadow_aqm = new_bitmap(AP_DOMAINS);

  bitmap_copy(prev_shadow_apm, matrix_mdev.shadow_apcb.apm, AP_DEVICES);
  bitmap_copy(prev_shadow_aqm, matrix_mdev.shadow_apcb.aqm, AP_DOMAINS);
  vfio_ap_matrix_init(matrix_dev().info, matrix_mdev.shadow_apcb);

  bitmap_and(matrix_mdev.shadow_apcb.apm, matrix_mdev.matrix.apm, matrix_dev().info.apm, AP_DEVICES);
  bitmap_and(matrix_mdev.shadow_apcb.aqm, matrix_mdev.matrix.aqm, matrix_dev().info.aqm, AP_DOMAINS);

  for (const apid of for_each_set_bit_inv(matrix_mdev.shadow_apcb.apm, AP_DEVICES)) {
    for (const apqi of for_each_set_bit_inv(matrix_mdev.shadow_apcb.aqm, AP_DOMAINS)) {
      const q = vfio_ap_mdev_get_queue(matrix_mdev, AP_MKQID(apid, apqi));
      if (!q || q.reset_rc) {
        clear_bit_inv(apid, matrix_mdev.shadow_apcb.apm);
        break;
      }
    }
  }

  return (
    !bitmap_equal(prev_shadow_apm, matrix_mdev.shadow_apcb.apm, AP_DEVICES) ||
    !bitmap_equal(prev_shadow_aqm, matrix_mdev.shadow_apcb.aqm, AP_DOMAINS)
  );
}

function vfio_ap_mdev_init_dev(vdev: vfio_device): number {
  const matrix_mdev = container_of(vdev, ap_matrix_mdev, "vdev");

  matrix_mdev.mdev = to_mdev_device(vdev.dev);
  vfio_ap_matrix_init(matrix_dev().info, matrix_mdev.matrix);
  matrix_mdev.pqap_hook.func = handle_pqap;
  vfio_ap_matrix_init(matrix_dev().info, matrix_mdev.shadow_apcb);
  hash_init(matrix_mdev.qtable.queues);

  return 0;
}

function* vfio_ap_mdev_probe(mdev: mdev_device): Sleeps<number> {
  const matrix_mdev = yield* vfio_alloc_device(ap_matrix_mdev, "vdev", mdev.dev, vfio_ap_matrix_dev_ops);
  if (IS_ERR(matrix_mdev)) return PTR_ERR(matrix_mdev);

  const ret = yield* vfio_register_emulated_iommu_dev(matrix_mdev.vdev);
  err_put_vdev: {
    if (ret) break err_put_vdev;
    dev_set_drvdata(mdev.dev, matrix_mdev);
    yield* mutex_lock(matrix_dev().mdevs_lock);
    list_add(matrix_mdev.node, matrix_dev().mdev_list);
    mutex_unlock(matrix_dev().mdevs_lock);
    return 0;
  }
  yield* vfio_put_device(matrix_mdev.vdev);
  return ret;
}

function vfio_ap_mdev_link_queue(matrix_mdev: ap_matrix_mdev, q: vfio_ap_queue | null): void {
  if (q) {
    q.matrix_mdev = matrix_mdev;
    hash_add(matrix_mdev.qtable.queues, q.mdev_qnode, q.apqn);
  }
}

function* vfio_ap_mdev_link_apqn(matrix_mdev: ap_matrix_mdev, apqn: number): Sleeps {
  const q = yield* vfio_ap_find_queue(apqn);
  vfio_ap_mdev_link_queue(matrix_mdev, q);
}

function vfio_ap_unlink_queue_fr_mdev(q: vfio_ap_queue): void {
  hash_del(q.mdev_qnode);
}

function vfio_ap_unlink_mdev_fr_queue(q: vfio_ap_queue): void {
  q.matrix_mdev = null;
}

function vfio_ap_mdev_unlink_fr_queues(matrix_mdev: ap_matrix_mdev): void {
  for (const apid of for_each_set_bit_inv(matrix_mdev.matrix.apm, AP_DEVICES)) {
    for (const apqi of for_each_set_bit_inv(matrix_mdev.matrix.aqm, AP_DOMAINS)) {
      const q = vfio_ap_mdev_get_queue(matrix_mdev, AP_MKQID(apid, apqi));
      if (q) q.matrix_mdev = null;
    }
  }
}

function vfio_ap_mdev_release_dev(vdev: vfio_device): void {
  vfio_free_device(vdev);
}

function* vfio_ap_mdev_remove(mdev: mdev_device): Sleeps {
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(mdev.dev);

  yield* vfio_unregister_group_dev(matrix_mdev!.vdev);

  yield* mutex_lock(matrix_dev().guests_lock);
  yield* mutex_lock(matrix_dev().mdevs_lock);
  yield* vfio_ap_mdev_reset_queues(matrix_mdev!.qtable);
  vfio_ap_mdev_unlink_fr_queues(matrix_mdev!);
  list_del(matrix_mdev!.node);
  mutex_unlock(matrix_dev().mdevs_lock);
  mutex_unlock(matrix_dev().guests_lock);
  yield* vfio_put_device(matrix_mdev!.vdev);
}

const MDEV_SHARING_ERR = "Userspace may not assign queue %02lx.%04lx to mdev: already assigned to %s";

const MDEV_IN_USE_ERR = "Can not reserve queue %02lx.%04lx for host driver: in use by mdev";

function vfio_ap_mdev_log_sharing_err(
  assignee: ap_matrix_mdev,
  assigned_to: ap_matrix_mdev,
  apm: bitmap,
  aqm: bitmap,
): void {
  for (const apid of for_each_set_bit_inv(apm, AP_DEVICES)) {
    for (const apqi of for_each_set_bit_inv(aqm, AP_DOMAINS)) {
      dev_warn(mdev_dev(assignee.mdev!), MDEV_SHARING_ERR, apid, apqi, dev_name(mdev_dev(assigned_to.mdev!)));
    }
  }
}

function vfio_ap_mdev_log_in_use_err(assignee: ap_matrix_mdev, apm: bitmap, aqm: bitmap): void {
  for (const apid of for_each_set_bit_inv(apm, AP_DEVICES)) {
    for (const apqi of for_each_set_bit_inv(aqm, AP_DOMAINS))
      dev_warn(mdev_dev(assignee.mdev!), MDEV_IN_USE_ERR, apid, apqi);
  }
}

/*
 * Whether one of the queues where an adapter of the one mask meets a domain of the other belongs to another mdev.
 * @assignee: the mdev that is to get them, or NULL if the host is. @return 0 or -EADDRINUSE
 */
function vfio_ap_mdev_verify_no_sharing(assignee: ap_matrix_mdev | null, mdev_apm: bitmap, mdev_aqm: bitmap): number {
  const apm = new_bitmap(AP_DEVICES);
  const aqm = new_bitmap(AP_DOMAINS);

  for (const assigned_to of list_for_each_entry(matrix_dev().mdev_list, ap_matrix_mdev, "node")) {
    if (assignee === assigned_to) continue;

    bitmap_zero(apm, AP_DEVICES);
    bitmap_zero(aqm, AP_DOMAINS);

    if (!bitmap_and(apm, mdev_apm, assigned_to.matrix.apm, AP_DEVICES)) continue;

    if (!bitmap_and(aqm, mdev_aqm, assigned_to.matrix.aqm, AP_DOMAINS)) continue;

    if (assignee) vfio_ap_mdev_log_sharing_err(assignee, assigned_to, apm, aqm);
    else vfio_ap_mdev_log_in_use_err(assigned_to, apm, aqm);

    return -EADDRINUSE;
  }

  return 0;
}

/* @return 0, -EADDRNOTAVAIL for a queue that is the host's, -EADDRINUSE for one of another mdev */
function vfio_ap_mdev_validate_masks(matrix_mdev: ap_matrix_mdev): number {
  if (ap_apqn_in_matrix_owned_by_def_drv(matrix_mdev.matrix.apm, matrix_mdev.matrix.aqm)) return -EADDRNOTAVAIL;

  return vfio_ap_mdev_verify_no_sharing(matrix_mdev, matrix_mdev.matrix.apm, matrix_mdev.matrix.aqm);
}

function* vfio_ap_mdev_link_adapter(matrix_mdev: ap_matrix_mdev, apid: number): Sleeps {
  for (const apqi of for_each_set_bit_inv(matrix_mdev.matrix.aqm, AP_DOMAINS))
    yield* vfio_ap_mdev_link_apqn(matrix_mdev, AP_MKQID(apid, apqi));
}

function* assign_adapter_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const number = { value: 0n };
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;

  yield* mutex_lock(ap_bus.ap_perms_mutex);
  yield* get_update_locks_for_mdev(matrix_mdev);

  let ret = kstrtoul(buf, 0, number);
  done: {
    if (ret) break done;

    if (number.value > matrix_mdev.matrix.apm_max) {
      ret = -ENODEV;
      break done;
    }
    const apid = Number(number.value);

    if (test_bit_inv(apid, matrix_mdev.matrix.apm)) {
      ret = count;
      break done;
    }

    set_bit_inv(apid, matrix_mdev.matrix.apm);

    ret = vfio_ap_mdev_validate_masks(matrix_mdev);
    if (ret) {
      clear_bit_inv(apid, matrix_mdev.matrix.apm);
      break done;
    }

    yield* vfio_ap_mdev_link_adapter(matrix_mdev, apid);

    if (vfio_ap_mdev_filter_matrix(matrix_mdev)) vfio_ap_mdev_update_guest_apcb(matrix_mdev);

    ret = count;
  }
  release_update_locks_for_mdev(matrix_mdev);
  mutex_unlock(ap_bus.ap_perms_mutex);

  return ret;
}
const dev_attr_assign_adapter = DEVICE_ATTR_WO("assign_adapter", assign_adapter_store);

function vfio_ap_unlink_apqn_fr_mdev(matrix_mdev: ap_matrix_mdev, apid: number, apqi: number): vfio_ap_queue | null {
  const q = vfio_ap_mdev_get_queue(matrix_mdev, AP_MKQID(apid, apqi));
  if (q) vfio_ap_unlink_queue_fr_mdev(q);

  return q;
}

/* @qtable: gets those of the queues that the guest has */
function vfio_ap_mdev_unlink_adapter(matrix_mdev: ap_matrix_mdev, apid: number, qtable: ap_queue_table | null): void {
  for (const apqi of for_each_set_bit_inv(matrix_mdev.matrix.aqm, AP_DOMAINS)) {
    const q = vfio_ap_unlink_apqn_fr_mdev(matrix_mdev, apid, apqi);

    if (q && qtable) {
      if (test_bit_inv(apid, matrix_mdev.shadow_apcb.apm) && test_bit_inv(apqi, matrix_mdev.shadow_apcb.aqm))
        hash_add(qtable.queues, q.mdev_qnode, q.apqn);
    }
  }
}

function* vfio_ap_mdev_hot_unplug_adapter(matrix_mdev: ap_matrix_mdev, apid: number): Sleeps {
  const qtable = kzalloc(ap_queue_table, GFP_KERNEL);

  hash_init(qtable!.queues);
  vfio_ap_mdev_unlink_adapter(matrix_mdev, apid, qtable);

  if (test_bit_inv(apid, matrix_mdev.shadow_apcb.apm)) {
    clear_bit_inv(apid, matrix_mdev.shadow_apcb.apm);
    vfio_ap_mdev_update_guest_apcb(matrix_mdev);
  }

  yield* vfio_ap_mdev_reset_queues(qtable!);

  for (const q of hash_for_each(qtable!.queues, vfio_ap_queue, "mdev_qnode")) {
    vfio_ap_unlink_mdev_fr_queue(q);
    hash_del(q.mdev_qnode);
  }

  kfree(qtable);
}

function* unassign_adapter_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const number = { value: 0n };
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;

  yield* get_update_locks_for_mdev(matrix_mdev);

  let ret = kstrtoul(buf, 0, number);
  done: {
    if (ret) break done;

    if (number.value > matrix_mdev.matrix.apm_max) {
      ret = -ENODEV;
      break done;
    }
    const apid = Number(number.value);

    if (!test_bit_inv(apid, matrix_mdev.matrix.apm)) {
      ret = count;
      break done;
    }

    clear_bit_inv(apid, matrix_mdev.matrix.apm);
    yield* vfio_ap_mdev_hot_unplug_adapter(matrix_mdev, apid);
    ret = count;
  }
  release_update_locks_for_mdev(matrix_mdev);
  return ret;
}
const dev_attr_unassign_adapter = DEVICE_ATTR_WO("unassign_adapter", unassign_adapter_store);

function* vfio_ap_mdev_link_domain(matrix_mdev: ap_matrix_mdev, apqi: number): Sleeps {
  for (const apid of for_each_set_bit_inv(matrix_mdev.matrix.apm, AP_DEVICES))
    yield* vfio_ap_mdev_link_apqn(matrix_mdev, AP_MKQID(apid, apqi));
}

function* assign_domain_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const number = { value: 0n };
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;

  yield* mutex_lock(ap_bus.ap_perms_mutex);
  yield* get_update_locks_for_mdev(matrix_mdev);

  let ret = kstrtoul(buf, 0, number);
  done: {
    if (ret) break done;

    if (number.value > matrix_mdev.matrix.aqm_max) {
      ret = -ENODEV;
      break done;
    }
    const apqi = Number(number.value);

    if (test_bit_inv(apqi, matrix_mdev.matrix.aqm)) {
      ret = count;
      break done;
    }

    set_bit_inv(apqi, matrix_mdev.matrix.aqm);

    ret = vfio_ap_mdev_validate_masks(matrix_mdev);
    if (ret) {
      clear_bit_inv(apqi, matrix_mdev.matrix.aqm);
      break done;
    }

    yield* vfio_ap_mdev_link_domain(matrix_mdev, apqi);

    if (vfio_ap_mdev_filter_matrix(matrix_mdev)) vfio_ap_mdev_update_guest_apcb(matrix_mdev);

    ret = count;
  }
  release_update_locks_for_mdev(matrix_mdev);
  mutex_unlock(ap_bus.ap_perms_mutex);

  return ret;
}
const dev_attr_assign_domain = DEVICE_ATTR_WO("assign_domain", assign_domain_store);

function vfio_ap_mdev_unlink_domain(matrix_mdev: ap_matrix_mdev, apqi: number, qtable: ap_queue_table | null): void {
  for (const apid of for_each_set_bit_inv(matrix_mdev.matrix.apm, AP_DEVICES)) {
    const q = vfio_ap_unlink_apqn_fr_mdev(matrix_mdev, apid, apqi);

    if (q && qtable) {
      if (test_bit_inv(apid, matrix_mdev.shadow_apcb.apm) && test_bit_inv(apqi, matrix_mdev.shadow_apcb.aqm))
        hash_add(qtable.queues, q.mdev_qnode, q.apqn);
    }
  }
}

function* vfio_ap_mdev_hot_unplug_domain(matrix_mdev: ap_matrix_mdev, apqi: number): Sleeps {
  const qtable = kzalloc(ap_queue_table, GFP_KERNEL);

  hash_init(qtable!.queues);
  vfio_ap_mdev_unlink_domain(matrix_mdev, apqi, qtable);

  if (test_bit_inv(apqi, matrix_mdev.shadow_apcb.aqm)) {
    clear_bit_inv(apqi, matrix_mdev.shadow_apcb.aqm);
    vfio_ap_mdev_update_guest_apcb(matrix_mdev);
  }

  yield* vfio_ap_mdev_reset_queues(qtable!);

  for (const q of hash_for_each(qtable!.queues, vfio_ap_queue, "mdev_qnode")) {
    vfio_ap_unlink_mdev_fr_queue(q);
    hash_del(q.mdev_qnode);
  }

  kfree(qtable);
}

function* unassign_domain_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const number = { value: 0n };
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;

  yield* get_update_locks_for_mdev(matrix_mdev);

  let ret = kstrtoul(buf, 0, number);
  done: {
    if (ret) break done;

    if (number.value > matrix_mdev.matrix.aqm_max) {
      ret = -ENODEV;
      break done;
    }
    const apqi = Number(number.value);

    if (!test_bit_inv(apqi, matrix_mdev.matrix.aqm)) {
      ret = count;
      break done;
    }

    clear_bit_inv(apqi, matrix_mdev.matrix.aqm);
    yield* vfio_ap_mdev_hot_unplug_domain(matrix_mdev, apqi);
    ret = count;
  }
  release_update_locks_for_mdev(matrix_mdev);
  return ret;
}
const dev_attr_unassign_domain = DEVICE_ATTR_WO("unassign_domain", unassign_domain_store);

function* assign_control_domain_store(
  dev: device,
  _attr: device_attribute,
  buf: string,
  count: number,
): Sleeps<number> {
  const number = { value: 0n };
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;

  yield* get_update_locks_for_mdev(matrix_mdev);

  let ret = kstrtoul(buf, 0, number);
  done: {
    if (ret) break done;

    if (number.value > matrix_mdev.matrix.adm_max) {
      ret = -ENODEV;
      break done;
    }
    const id = Number(number.value);

    if (test_bit_inv(id, matrix_mdev.matrix.adm)) {
      ret = count;
      break done;
    }

    set_bit_inv(id, matrix_mdev.matrix.adm);
    if (vfio_ap_mdev_filter_cdoms(matrix_mdev)) vfio_ap_mdev_update_guest_apcb(matrix_mdev);

    ret = count;
  }
  release_update_locks_for_mdev(matrix_mdev);
  return ret;
}
const dev_attr_assign_control_domain = DEVICE_ATTR_WO("assign_control_domain", assign_control_domain_store);

function* unassign_control_domain_store(
  dev: device,
  _attr: device_attribute,
  buf: string,
  count: number,
): Sleeps<number> {
  const number = { value: 0n };
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;

  yield* get_update_locks_for_mdev(matrix_mdev);

  let ret = kstrtoul(buf, 0, number);
  done: {
    if (ret) break done;

    if (number.value > matrix_mdev.matrix.adm_max) {
      ret = -ENODEV;
      break done;
    }
    const domid = Number(number.value);

    if (!test_bit_inv(domid, matrix_mdev.matrix.adm)) {
      ret = count;
      break done;
    }

    clear_bit_inv(domid, matrix_mdev.matrix.adm);

    if (test_bit_inv(domid, matrix_mdev.shadow_apcb.adm)) {
      clear_bit_inv(domid, matrix_mdev.shadow_apcb.adm);
      vfio_ap_mdev_update_guest_apcb(matrix_mdev);
    }

    ret = count;
  }
  release_update_locks_for_mdev(matrix_mdev);
  return ret;
}
const dev_attr_unassign_control_domain = DEVICE_ATTR_WO("unassign_control_domain", unassign_control_domain_store);

function* control_domains_show(dev: device, _dev_attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  let nchars = 0;
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;
  const max_domid = matrix_mdev.matrix.adm_max;

  yield* mutex_lock(matrix_dev().mdevs_lock);
  for (const id of for_each_set_bit_inv(matrix_mdev.matrix.adm, max_domid + 1))
    nchars += buf.write(nchars, sprintf("%04lx\n", id));
  mutex_unlock(matrix_dev().mdevs_lock);

  return nchars;
}
const dev_attr_control_domains = DEVICE_ATTR_RO("control_domains", control_domains_show);

function vfio_ap_mdev_matrix_show(matrix: ap_matrix, buf: sysfs_buf): number {
  const napm_bits = matrix.apm_max + 1;
  const naqm_bits = matrix.aqm_max + 1;
  let nchars = 0;

  const apid1 = find_first_bit_inv(matrix.apm, napm_bits);
  const apqi1 = find_first_bit_inv(matrix.aqm, naqm_bits);

  // Nobody looks whether it still fits into the page
  if (apid1 < napm_bits && apqi1 < naqm_bits) {
    for (const apid of for_each_set_bit_inv(matrix.apm, napm_bits))
      for (const apqi of for_each_set_bit_inv(matrix.aqm, naqm_bits))
        nchars += buf.write(nchars, sprintf("%02lx.%04lx\n", apid, apqi));
  } else if (apid1 < napm_bits) {
    for (const apid of for_each_set_bit_inv(matrix.apm, napm_bits))
      nchars += buf.write(nchars, sprintf("%02lx.\n", apid));
  } else if (apqi1 < naqm_bits) {
    for (const apqi of for_each_set_bit_inv(matrix.aqm, naqm_bits))
      nchars += buf.write(nchars, sprintf(".%04lx\n", apqi));
  }

  return nchars;
}

function* matrix_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;

  yield* mutex_lock(matrix_dev().mdevs_lock);
  const nchars = vfio_ap_mdev_matrix_show(matrix_mdev.matrix, buf);
  mutex_unlock(matrix_dev().mdevs_lock);

  return nchars;
}
const dev_attr_matrix = DEVICE_ATTR_RO("matrix", matrix_show);

function* guest_matrix_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  const matrix_mdev = dev_get_drvdata<ap_matrix_mdev>(dev)!;

  yield* mutex_lock(matrix_dev().mdevs_lock);
  const nchars = vfio_ap_mdev_matrix_show(matrix_mdev.shadow_apcb, buf);
  mutex_unlock(matrix_dev().mdevs_lock);

  return nchars;
}
const dev_attr_guest_matrix = DEVICE_ATTR_RO("guest_matrix", guest_matrix_show);

const vfio_ap_mdev_attr_group: attribute_group = {
  attrs: [
    dev_attr_assign_adapter.attr,
    dev_attr_unassign_adapter.attr,
    dev_attr_assign_domain.attr,
    dev_attr_unassign_domain.attr,
    dev_attr_assign_control_domain.attr,
    dev_attr_unassign_control_domain.attr,
    dev_attr_control_domains.attr,
    dev_attr_matrix.attr,
    dev_attr_guest_matrix.attr,
  ],
};

const vfio_ap_mdev_attr_groups: attribute_groups = [vfio_ap_mdev_attr_group];

/* @return 0, also when the guest has no crypto; -EPERM if another mdev has the guest already */
function* vfio_ap_mdev_set_kvm(matrix_mdev: ap_matrix_mdev, kvm: kvm): Sleeps<number> {
  if (kvm.arch.crypto.crycbd) {
    yield* down_write(kvm.arch.crypto.pqap_hook_rwsem);
    kvm.arch.crypto.pqap_hook = matrix_mdev.pqap_hook;
    up_write(kvm.arch.crypto.pqap_hook_rwsem);

    yield* get_update_locks_for_kvm(kvm);

    for (const m of list_for_each_entry(matrix_dev().mdev_list, ap_matrix_mdev, "node")) {
      if (m !== matrix_mdev && m.kvm === kvm) {
        release_update_locks_for_kvm(kvm);
        return -EPERM;
      }
    }

    kvm_get_kvm(kvm);
    matrix_mdev.kvm = kvm;
    vfio_ap_mdev_update_guest_apcb(matrix_mdev);

    release_update_locks_for_kvm(kvm);
  }

  return 0;
}

function* vfio_ap_mdev_dma_unmap(vdev: vfio_device, iova: bigint, _length: bigint): Sleeps {
  const matrix_mdev = container_of(vdev, ap_matrix_mdev, "vdev");

  yield* vfio_unpin_pages(matrix_mdev.vdev, iova, 1);
}

function* vfio_ap_mdev_unset_kvm(matrix_mdev: ap_matrix_mdev): Sleeps {
  const kvm = matrix_mdev.kvm;

  if (kvm && kvm.arch.crypto.crycbd) {
    yield* down_write(kvm.arch.crypto.pqap_hook_rwsem);
    kvm.arch.crypto.pqap_hook = null;
    up_write(kvm.arch.crypto.pqap_hook_rwsem);

    yield* get_update_locks_for_kvm(kvm);

    kvm_arch_crypto_clear_masks(kvm);
    yield* vfio_ap_mdev_reset_queues(matrix_mdev.qtable);
    kvm_put_kvm(kvm);
    matrix_mdev.kvm = null;

    release_update_locks_for_kvm(kvm);
  }
}

function* vfio_ap_find_queue(apqn: number): Sleeps<vfio_ap_queue | null> {
  let q: vfio_ap_queue | null = null;

  const queue = yield* ap_get_qdev(apqn);
  if (!queue) return null;

  if (queue.ap_dev.device.driver === matrix_dev().vfio_ap_drv!.driver)
    q = dev_get_drvdata<vfio_ap_queue>(queue.ap_dev.device);

  yield* put_device(queue.ap_dev.device);

  return q;
}

/* @retry: how often to try again while a reset is in progress. @return 0, -EBUSY or -EIO */
function* vfio_ap_mdev_reset_queue(q: vfio_ap_queue | null, retry: number): Sleeps<number> {
  let status: ap_queue_status;
  let ret: number;
  let retry2 = 2;

  if (!q) return 0;
  free_resources: {
    retry_zapq: for (;;) {
      status = ap_zapq(q.apqn);
      q.reset_rc = status.response_code;
      switch (status.response_code) {
        case AP_RESPONSE_NORMAL:
          ret = 0;
          break;
        case AP_RESPONSE_RESET_IN_PROGRESS:
          if (retry--) {
            yield* msleep(20);
            continue retry_zapq;
          }
          ret = -EBUSY;
          break;
        case AP_RESPONSE_Q_NOT_AVAIL:
        case AP_RESPONSE_DECONFIGURED:
        case AP_RESPONSE_CHECKSTOPPED:
          WARN_ONCE(
            status.irq_enabled,
            "PQAP/ZAPQ for %02x.%04x failed with rc=%u while IRQ enabled",
            AP_QID_CARD(q.apqn),
            AP_QID_QUEUE(q.apqn),
            status.response_code,
          );
          ret = -EBUSY;
          break free_resources;
        default:
          WARN(
            true,
            "PQAP/ZAPQ for %02x.%04x failed with invalid rc=%u\n",
            AP_QID_CARD(q.apqn),
            AP_QID_QUEUE(q.apqn),
            status.response_code,
          );
          return -EIO;
      }
      break;
    }

    while (retry2--) {
      if (status.queue_empty && !status.irq_enabled) break;
      yield* msleep(20);
      status = ap_tapq(q.apqn, null);
    }
    WARN_ONCE(retry2 <= 0, "unable to verify reset of queue %02x.%04x", AP_QID_CARD(q.apqn), AP_QID_QUEUE(q.apqn));
  }
  yield* vfio_ap_free_aqic_resources(q);

  return ret;
}

function* vfio_ap_mdev_reset_queues(qtable: ap_queue_table): Sleeps<number> {
  let rc = 0;

  for (const q of hash_for_each(qtable.queues, vfio_ap_queue, "mdev_qnode")) {
    const ret = yield* vfio_ap_mdev_reset_queue(q, 1);
    // The others are reset all the same
    if (ret) rc = ret;
  }

  return rc;
}

function* vfio_ap_mdev_open_device(vdev: vfio_device): Sleeps<number> {
  const matrix_mdev = container_of(vdev, ap_matrix_mdev, "vdev");

  if (!vdev.kvm) return -EINVAL;

  return yield* vfio_ap_mdev_set_kvm(matrix_mdev, vdev.kvm);
}

function* vfio_ap_mdev_close_device(vdev: vfio_device): Sleeps {
  const matrix_mdev = container_of(vdev, ap_matrix_mdev, "vdev");

  yield* vfio_ap_mdev_unset_kvm(matrix_mdev);
}

function* vfio_ap_mdev_get_device_info(arg: bigint): Sleeps<number> {
  const info = new vfio_device_info();

  const minsz = offsetofend(vfio_device_info, "num_irqs");

  if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

  if (info.argsz < minsz) return -EINVAL;

  info.flags = VFIO_DEVICE_FLAGS_AP | VFIO_DEVICE_FLAGS_RESET;
  info.num_regions = 0;
  info.num_irqs = 0;

  return (yield* copy_to_user(arg, info, minsz)) ? -EFAULT : 0;
}

function* vfio_ap_mdev_ioctl(vdev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  const matrix_mdev = container_of(vdev, ap_matrix_mdev, "vdev");
  let ret: number;

  yield* mutex_lock(matrix_dev().mdevs_lock);
  switch (cmd) {
    case VFIO_DEVICE_GET_INFO:
      ret = yield* vfio_ap_mdev_get_device_info(arg);
      break;
    case VFIO_DEVICE_RESET:
      ret = yield* vfio_ap_mdev_reset_queues(matrix_mdev.qtable);
      break;
    default:
      ret = -EOPNOTSUPP;
      break;
  }
  mutex_unlock(matrix_dev().mdevs_lock);

  return ret;
}

function vfio_ap_mdev_for_queue(q: vfio_ap_queue): ap_matrix_mdev | null {
  const apid = AP_QID_CARD(q.apqn);
  const apqi = AP_QID_QUEUE(q.apqn);

  for (const matrix_mdev of list_for_each_entry(matrix_dev().mdev_list, ap_matrix_mdev, "node")) {
    if (test_bit_inv(apid, matrix_mdev.matrix.apm) && test_bit_inv(apqi, matrix_mdev.matrix.aqm)) return matrix_mdev;
  }

  return null;
}

function* status_show(dev: device, _attr: device_attribute, buf: sysfs_buf): Sleeps<number> {
  let nchars: number;
  const apdev = to_ap_dev(dev);

  yield* mutex_lock(matrix_dev().mdevs_lock);
  const q = dev_get_drvdata<vfio_ap_queue>(apdev.device);
  const matrix_mdev = vfio_ap_mdev_for_queue(q!);

  if (matrix_mdev) {
    const apid = AP_QID_CARD(q!.apqn);
    const apqi = AP_QID_QUEUE(q!.apqn);
    if (
      matrix_mdev.kvm &&
      test_bit_inv(apid, matrix_mdev.shadow_apcb.apm) &&
      test_bit_inv(apqi, matrix_mdev.shadow_apcb.aqm)
    )
      nchars = sysfs_emit(buf, "%s\n", AP_QUEUE_IN_USE);
    else nchars = sysfs_emit(buf, "%s\n", AP_QUEUE_ASSIGNED);
  } else {
    nchars = sysfs_emit(buf, "%s\n", AP_QUEUE_UNASSIGNED);
  }

  mutex_unlock(matrix_dev().mdevs_lock);

  return nchars;
}
const dev_attr_status = DEVICE_ATTR_RO("status", status_show);

const vfio_queue_attr_group: attribute_group = { attrs: [dev_attr_status.attr] };

const vfio_ap_matrix_dev_ops: vfio_device_ops = {
  init: vfio_ap_mdev_init_dev,
  release: vfio_ap_mdev_release_dev,
  open_device: vfio_ap_mdev_open_device,
  close_device: vfio_ap_mdev_close_device,
  ioctl: vfio_ap_mdev_ioctl,
  dma_unmap: vfio_ap_mdev_dma_unmap,
};

const s = per_boot(() => ({
  vfio_ap_matrix_driver: initialise(new mdev_driver(), {
    device_api: VFIO_DEVICE_API_AP_STRING,
    max_instances: MAX_ZDEV_ENTRIES_EXT,
    driver: {
      name: "vfio_ap_mdev",
      owner: THIS_MODULE,
      mod_name: KBUILD_MODNAME,
      dev_groups: vfio_ap_mdev_attr_groups,
    },
    probe: vfio_ap_mdev_probe,
    remove: vfio_ap_mdev_remove,
  }),
}));

/** Registers the mdev driver, and the matrix device as a parent. @return 0 or errno. May sleep. */
export function* vfio_ap_mdev_register(): Sleeps<number> {
  let ret = yield* mdev_register_driver(s.vfio_ap_matrix_driver);
  if (ret) return ret;

  const m = matrix_dev();
  m.mdev_type.sysfs_name = VFIO_AP_MDEV_TYPE_HWVIRT;
  m.mdev_type.pretty_name = VFIO_AP_MDEV_NAME_HWVIRT;
  m.mdev_types.set(0, m.mdev_type);
  err_driver: {
    ret = yield* mdev_register_parent(m.parent, m.device, s.vfio_ap_matrix_driver, m.mdev_types, 1);
    if (ret) break err_driver;
    return 0;
  }
  yield* mdev_unregister_driver(s.vfio_ap_matrix_driver);
  return ret;
}

/** May sleep: mdevs that are open are waited for. */
export function* vfio_ap_mdev_unregister(): Sleeps {
  yield* mdev_unregister_parent(matrix_dev().parent);
  yield* mdev_unregister_driver(s.vfio_ap_matrix_driver);
}

/** A queue is bound to vfio_ap. @return 0 or errno. May sleep. */
export function* vfio_ap_mdev_probe_queue(apdev: ap_device): Sleeps<number> {
  let ret = yield* sysfs_create_group(apdev.device.kobj, vfio_queue_attr_group);
  if (ret) return ret;

  err_remove_group: {
    const q = kzalloc(vfio_ap_queue, GFP_KERNEL);
    if (!q) {
      ret = -ENOMEM;
      break err_remove_group;
    }

    q.apqn = to_ap_queue(apdev.device).qid;
    q.saved_isc = VFIO_AP_ISC_INVALID;
    const matrix_mdev = yield* get_update_locks_by_apqn(q.apqn);

    done: {
      if (matrix_mdev) {
        vfio_ap_mdev_link_queue(matrix_mdev, q);

        // In the middle of a scan that found more: on_scan_complete will see to it
        if (!bitmap_empty(matrix_mdev.apm_add, AP_DEVICES) || !bitmap_empty(matrix_mdev.aqm_add, AP_DOMAINS))
          break done;

        if (vfio_ap_mdev_filter_matrix(matrix_mdev)) vfio_ap_mdev_update_guest_apcb(matrix_mdev);
      }
    }
    dev_set_drvdata(apdev.device, q);
    release_update_locks_for_mdev(matrix_mdev);

    return 0;
  }
  yield* sysfs_remove_group(apdev.device.kobj, vfio_queue_attr_group);
  return ret;
}

/** A queue is unbound from vfio_ap: the guest loses the adapter. May sleep. */
export function* vfio_ap_mdev_remove_queue(apdev: ap_device): Sleeps {
  yield* sysfs_remove_group(apdev.device.kobj, vfio_queue_attr_group);
  const q = dev_get_drvdata<vfio_ap_queue>(apdev.device)!;
  yield* get_update_locks_for_queue(q);
  const matrix_mdev = q.matrix_mdev;

  if (matrix_mdev) {
    vfio_ap_unlink_queue_fr_mdev(q);

    const apid = AP_QID_CARD(q.apqn);
    const apqi = AP_QID_QUEUE(q.apqn);

    if (test_bit_inv(apid, matrix_mdev.shadow_apcb.apm) && test_bit_inv(apqi, matrix_mdev.shadow_apcb.aqm)) {
      clear_bit_inv(apid, matrix_mdev.shadow_apcb.apm);
      vfio_ap_mdev_update_guest_apcb(matrix_mdev);
    }
  }

  yield* vfio_ap_mdev_reset_queue(q, 1);
  dev_set_drvdata(apdev.device, null);
  kfree(q);
  release_update_locks_for_mdev(matrix_mdev);
}

/** The host wants these queues back. @return 0, or -EADDRINUSE if an mdev has one of them. May sleep. */
export function* vfio_ap_mdev_resource_in_use(apm: bitmap, aqm: bitmap): Sleeps<number> {
  yield* mutex_lock(matrix_dev().guests_lock);
  yield* mutex_lock(matrix_dev().mdevs_lock);
  const ret = vfio_ap_mdev_verify_no_sharing(null, apm, aqm);
  mutex_unlock(matrix_dev().mdevs_lock);
  mutex_unlock(matrix_dev().guests_lock);

  return ret;
}

function vfio_ap_mdev_hot_unplug_cfg(matrix_mdev: ap_matrix_mdev, aprem: bitmap, aqrem: bitmap, cdrem: bitmap): void {
  const { apm, aqm, adm } = matrix_mdev.shadow_apcb;
  let do_hotplug = false;

  // Whether anything is left decides, and not whether anything was taken
  if (!bitmap_empty(aprem, AP_DEVICES)) do_hotplug = bitmap_andnot(apm, apm, aprem, AP_DEVICES);

  if (!bitmap_empty(aqrem, AP_DOMAINS)) do_hotplug = bitmap_andnot(aqm, aqm, aqrem, AP_DEVICES) || do_hotplug;

  if (!bitmap_empty(cdrem, AP_DOMAINS)) do_hotplug = bitmap_andnot(adm, adm, cdrem, AP_DOMAINS) || do_hotplug;

  if (do_hotplug) vfio_ap_mdev_update_guest_apcb(matrix_mdev);
}

function* vfio_ap_mdev_cfg_remove(ap_remove: bitmap, aq_remove: bitmap, cd_remove: bitmap): Sleeps {
  const aprem = new_bitmap(AP_DEVICES);
  const aqrem = new_bitmap(AP_DOMAINS);
  const cdrem = new_bitmap(AP_DOMAINS);
  let do_remove = false;

  for (const matrix_mdev of list_for_each_entry(matrix_dev().mdev_list, ap_matrix_mdev, "node")) {
    yield* mutex_lock(matrix_mdev.kvm!.lock);
    yield* mutex_lock(matrix_dev().mdevs_lock);

    do_remove = bitmap_and(aprem, ap_remove, matrix_mdev.matrix.apm, AP_DEVICES) || do_remove;
    do_remove = bitmap_and(aqrem, aq_remove, matrix_mdev.matrix.aqm, AP_DOMAINS) || do_remove;
    do_remove = bitmap_andnot(cdrem, cd_remove, matrix_mdev.matrix.adm, AP_DOMAINS) || do_remove;

    if (do_remove) vfio_ap_mdev_hot_unplug_cfg(matrix_mdev, aprem, aqrem, cdrem);

    mutex_unlock(matrix_dev().mdevs_lock);
    mutex_unlock(matrix_mdev.kvm!.lock);
  }
}

function* vfio_ap_mdev_on_cfg_remove(cur_config_info: ap_config_info, prev_config_info: ap_config_info): Sleeps {
  const aprem = new_bitmap(AP_DEVICES);
  const aqrem = new_bitmap(AP_DOMAINS);
  const cdrem = new_bitmap(AP_DOMAINS);

  let do_remove = bitmap_andnot(aprem, prev_config_info.apm, cur_config_info.apm, AP_DEVICES);
  do_remove = bitmap_andnot(aqrem, prev_config_info.aqm, cur_config_info.aqm, AP_DEVICES) || do_remove;
  do_remove = bitmap_andnot(cdrem, prev_config_info.adm, cur_config_info.adm, AP_DEVICES) || do_remove;

  if (do_remove) yield* vfio_ap_mdev_cfg_remove(aprem, aqrem, cdrem);
}

/* Leaves out adapters older than CEX4. The type is compared without being shifted down: none is that old. */
function vfio_ap_filter_apid_by_qtype(apm: bitmap, aqm: bitmap): void {
  const qtype_mask = 0xff000000n;
  const info = { value: 0n };

  for (const apid of for_each_set_bit_inv(apm, AP_DEVICES)) {
    for (const apqi of for_each_set_bit_inv(aqm, AP_DOMAINS)) {
      const status = ap_test_queue(AP_MKQID(apid, apqi), true, info);
      switch (status.response_code) {
        case AP_RESPONSE_NORMAL:
        case AP_RESPONSE_RESET_IN_PROGRESS:
        case AP_RESPONSE_DECONFIGURED:
        case AP_RESPONSE_CHECKSTOPPED:
        case AP_RESPONSE_BUSY: {
          const qtype = Number(BigInt.asIntN(32, info.value & qtype_mask));

          if (qtype < AP_DEVICE_TYPE_CEX4) clear_bit_inv(apid, apm);

          break;
        }

        default:
          // Of unknown type
          clear_bit_inv(apid, apm);
          break;
      }
    }
  }
}

function vfio_ap_mdev_cfg_add(apm_add: bitmap, aqm_add: bitmap, adm_add: bitmap): void {
  if (list_empty(matrix_dev().mdev_list)) return;

  vfio_ap_filter_apid_by_qtype(apm_add, aqm_add);

  for (const matrix_mdev of list_for_each_entry(matrix_dev().mdev_list, ap_matrix_mdev, "node")) {
    bitmap_and(matrix_mdev.apm_add, matrix_mdev.matrix.apm, apm_add, AP_DEVICES);
    bitmap_and(matrix_mdev.aqm_add, matrix_mdev.matrix.aqm, aqm_add, AP_DOMAINS);
    bitmap_and(matrix_mdev.adm_add, matrix_mdev.matrix.adm, adm_add, AP_DEVICES);
  }
}

function vfio_ap_mdev_on_cfg_add(cur_config_info: ap_config_info, prev_config_info: ap_config_info): void {
  const apm_add = new_bitmap(AP_DEVICES);
  const aqm_add = new_bitmap(AP_DOMAINS);
  const adm_add = new_bitmap(AP_DOMAINS);

  let do_add = bitmap_andnot(apm_add, cur_config_info.apm, prev_config_info.apm, AP_DEVICES);
  do_add = bitmap_andnot(aqm_add, cur_config_info.aqm, prev_config_info.aqm, AP_DOMAINS) || do_add;
  do_add = bitmap_andnot(adm_add, cur_config_info.adm, prev_config_info.adm, AP_DOMAINS) || do_add;

  if (do_add) vfio_ap_mdev_cfg_add(apm_add, aqm_add, adm_add);
}

/** A scan of the bus begins, and the machine's configuration is another one than last time. May sleep. */
export function* vfio_ap_on_cfg_changed(
  cur_cfg_info: ap_config_info | null,
  prev_cfg_info: ap_config_info | null,
): Sleeps {
  if (!cur_cfg_info || !prev_cfg_info) return;

  yield* mutex_lock(matrix_dev().guests_lock);

  yield* vfio_ap_mdev_on_cfg_remove(cur_cfg_info, prev_cfg_info);
  vfio_ap_mdev_on_cfg_add(cur_cfg_info, prev_cfg_info);
  copy_struct(matrix_dev().info, cur_cfg_info);

  mutex_unlock(matrix_dev().guests_lock);
}

function* vfio_ap_mdev_hot_plug_cfg(matrix_mdev: ap_matrix_mdev): Sleeps {
  let do_hotplug = false;

  yield* mutex_lock(matrix_mdev.kvm!.lock);
  yield* mutex_lock(matrix_dev().mdevs_lock);

  const filter_adapters = bitmap_intersects(matrix_mdev.matrix.apm, matrix_mdev.apm_add, AP_DEVICES);
  const filter_domains = bitmap_intersects(matrix_mdev.matrix.aqm, matrix_mdev.aqm_add, AP_DOMAINS);
  const filter_cdoms = bitmap_intersects(matrix_mdev.matrix.adm, matrix_mdev.adm_add, AP_DOMAINS);

  if (filter_adapters || filter_domains) do_hotplug = vfio_ap_mdev_filter_matrix(matrix_mdev);

  if (filter_cdoms) do_hotplug = vfio_ap_mdev_filter_cdoms(matrix_mdev) || do_hotplug;

  if (do_hotplug) vfio_ap_mdev_update_guest_apcb(matrix_mdev);

  mutex_unlock(matrix_dev().mdevs_lock);
  mutex_unlock(matrix_mdev.kvm!.lock);
}

/** The scan is done: guests get what came. May sleep. */
export function* vfio_ap_on_scan_complete(
  _new_config_info: ap_config_info | null,
  _old_config_info: ap_config_info | null,
): Sleeps {
  yield* mutex_lock(matrix_dev().guests_lock);

  for (const matrix_mdev of list_for_each_entry(matrix_dev().mdev_list, ap_matrix_mdev, "node")) {
    if (
      bitmap_empty(matrix_mdev.apm_add, AP_DEVICES) &&
      bitmap_empty(matrix_mdev.aqm_add, AP_DOMAINS) &&
      bitmap_empty(matrix_mdev.adm_add, AP_DOMAINS)
    )
      continue;

    yield* vfio_ap_mdev_hot_plug_cfg(matrix_mdev);
    bitmap_clear(matrix_mdev.apm_add, 0, AP_DEVICES);
    bitmap_clear(matrix_mdev.aqm_add, 0, AP_DOMAINS);
    bitmap_clear(matrix_mdev.adm_add, 0, AP_DOMAINS);
  }

  mutex_unlock(matrix_dev().guests_lock);
}
