// SPDX-License-Identifier: GPL-2.0-only
/** PCI functions of s390: what the hypervisor's user has to know of them. Source: drivers/vfio/pci/vfio_pci_zdev.c */
import { ENODEV, ENOENT, ENOMEM } from "#linux/errno.ts";
import { GFP_KERNEL, kfree, kmalloc } from "#linux/slab.ts";
import { set_byte_at } from "#linux/string.ts";
import { cast_to, offsetof, sizeof } from "#linux/types.ts";
import { vfio_info_add_capability, type vfio_info_cap } from "#linux/vfio.ts";
import type { vfio_pci_core_device } from "#linux/vfio_pci_core.ts";
import {
  CLP_PFIP_NR_SEGMENTS,
  CLP_UTIL_STR_LEN,
  to_zpci,
  type zpci_dev,
  zpci_kvm_hook,
  ZPCI_MAX_WRITE_SIZE,
} from "#asm/pci.ts";
import {
  VFIO_DEVICE_INFO_CAP_ZPCI_BASE,
  VFIO_DEVICE_INFO_CAP_ZPCI_GROUP,
  VFIO_DEVICE_INFO_CAP_ZPCI_PFIP,
  VFIO_DEVICE_INFO_CAP_ZPCI_UTIL,
} from "#uapi/linux/vfio.ts";
import {
  vfio_device_info_cap_zpci_base,
  vfio_device_info_cap_zpci_group,
  vfio_device_info_cap_zpci_pfip,
  vfio_device_info_cap_zpci_util,
  VFIO_DEVICE_INFO_ZPCI_FLAG_REFRESH,
} from "#uapi/linux/vfio_zdev.ts";

function zpci_base_cap(zdev: zpci_dev, caps: vfio_info_cap): number {
  const cap = new vfio_device_info_cap_zpci_base();
  cap.header.id = VFIO_DEVICE_INFO_CAP_ZPCI_BASE;
  cap.header.version = 2;
  cap.start_dma = zdev.start_dma;
  cap.end_dma = zdev.end_dma;
  cap.pchid = zdev.pchid;
  cap.vfn = zdev.vfn;
  cap.fmb_length = zdev.fmb_length;
  cap.pft = zdev.pft;
  cap.gid = zdev.pfgid;
  cap.fh = zdev.fh;

  return vfio_info_add_capability(caps, cap.header, sizeof(cap));
}

function zpci_group_cap(zdev: zpci_dev, caps: vfio_info_cap): number {
  const cap = new vfio_device_info_cap_zpci_group();
  cap.header.id = VFIO_DEVICE_INFO_CAP_ZPCI_GROUP;
  cap.header.version = 2;
  cap.dasm = zdev.dma_mask;
  cap.msi_addr = zdev.msi_addr;
  cap.flags = BigInt(VFIO_DEVICE_INFO_ZPCI_FLAG_REFRESH);
  cap.mui = zdev.fmb_update;
  cap.noi = zdev.max_msi & 0xffff;
  cap.maxstbl = ZPCI_MAX_WRITE_SIZE;
  cap.version = zdev.version;
  cap.reserved = 0;
  cap.imaxstbl = zdev.maxstbl;

  return vfio_info_add_capability(caps, cap.header, sizeof(cap));
}

function zpci_util_cap(zdev: zpci_dev, caps: vfio_info_cap): number {
  const cap_size = sizeof(vfio_device_info_cap_zpci_util) + CLP_UTIL_STR_LEN;

  const mem = kmalloc(cap_size, GFP_KERNEL);
  if (!mem) return -ENOMEM;
  const cap = cast_to(vfio_device_info_cap_zpci_util, mem, 0);

  cap.header.id = VFIO_DEVICE_INFO_CAP_ZPCI_UTIL;
  cap.header.version = 1;
  cap.size = CLP_UTIL_STR_LEN;
  for (let i = 0; i < cap.size; i++)
    set_byte_at(mem, offsetof(vfio_device_info_cap_zpci_util, "util_str") + i, zdev.util_str.at(i));

  const ret = vfio_info_add_capability(caps, cap.header, cap_size);

  kfree(mem);

  return ret;
}

function zpci_pfip_cap(zdev: zpci_dev, caps: vfio_info_cap): number {
  const cap_size = sizeof(vfio_device_info_cap_zpci_pfip) + CLP_PFIP_NR_SEGMENTS;

  const mem = kmalloc(cap_size, GFP_KERNEL);
  if (!mem) return -ENOMEM;
  const cap = cast_to(vfio_device_info_cap_zpci_pfip, mem, 0);

  cap.header.id = VFIO_DEVICE_INFO_CAP_ZPCI_PFIP;
  cap.header.version = 1;
  cap.size = CLP_PFIP_NR_SEGMENTS;
  for (let i = 0; i < cap.size; i++)
    set_byte_at(mem, offsetof(vfio_device_info_cap_zpci_pfip, "pfip") + i, zdev.pfip.at(i));

  const ret = vfio_info_add_capability(caps, cap.header, cap_size);

  kfree(mem);

  return ret;
}

/** Capabilities for VFIO_DEVICE_GET_INFO. @return 0, -ENODEV for another device, -ENOMEM. Context: may sleep */
export function vfio_pci_info_zdev_add_caps(vdev: vfio_pci_core_device, caps: vfio_info_cap): number {
  const zdev = to_zpci(vdev.pdev!);

  if (!zdev) return -ENODEV;

  let ret = zpci_base_cap(zdev, caps);
  if (ret) return ret;

  ret = zpci_group_cap(zdev, caps);
  if (ret) return ret;

  if (zdev.util_str_avail) {
    ret = zpci_util_cap(zdev, caps);
    if (ret) return ret;
  }

  ret = zpci_pfip_cap(zdev, caps);

  return ret;
}

/** KVM hears of the device. @return 0, -ENODEV for another device, -ENOENT without KVM, what it says. Context: may sleep */
export function vfio_pci_zdev_open_device(vdev: vfio_pci_core_device): number {
  const zdev = to_zpci(vdev.pdev!);

  if (!zdev) return -ENODEV;

  if (!vdev.vdev.kvm) return 0;

  const { kvm_register } = zpci_kvm_hook();
  if (kvm_register) return kvm_register(zdev, vdev.vdev.kvm);

  return -ENOENT;
}

export function vfio_pci_zdev_close_device(vdev: vfio_pci_core_device): void {
  const zdev = to_zpci(vdev.pdev!);

  if (!zdev || !vdev.vdev.kvm) return;

  const { kvm_unregister } = zpci_kvm_hook();
  if (kvm_unregister) kvm_unregister(zdev);
}
