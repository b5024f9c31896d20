// SPDX-License-Identifier: GPL-2.0-only
/** What the files of vfio-pci-core share. */
import { ENODEV } from "#linux/errno.ts";
import type { iomem } from "#linux/io.ts";
import { kconfig } from "#linux/kconfig.ts";
import { list_head } from "#linux/list.ts";
import { PCI_CLASS_DISPLAY_VGA, type pci_dev } from "#linux/pci.ts";
import { bool, embed, int, ptr, s64, struct, u64 } from "#linux/types.ts";
import type { vfio_info_cap, virqfd } from "#linux/vfio.ts";
import type { vfio_pci_core_device } from "#linux/vfio_pci_core.ts";
import * as zdev from "./vfio_pci_zdev.ts";

/** Default raw access. */
export const PCI_CAP_ID_INVALID = 0xff;
/** Default virtual access. */
export const PCI_CAP_ID_INVALID_VIRT = 0xfe;

/** How many ioeventfds a device may have. */
export const VFIO_PCI_IOEVENTFD_MAX = 1000;

export class vfio_pci_ioeventfd extends struct("vfio_pci_ioeventfd", {
  next: embed(() => list_head),
  vdev: ptr<vfio_pci_core_device>(),
  virqfd: ptr<virqfd>(),
  /** The BAR; `pos` is added where it is written to. */
  addr: ptr<iomem>(),
  data: u64(),
  pos: s64(),
  bar: int(),
  count: int(),
  test_mem: bool(),
}) {}

/* Only s390 has these (CONFIG_VFIO_PCI_ZDEV_KVM). */
/** @inline */
export function vfio_pci_info_zdev_add_caps(vdev: vfio_pci_core_device, caps: vfio_info_cap): number {
  return kconfig.CONFIG_S390 ? zdev.vfio_pci_info_zdev_add_caps(vdev, caps) : -ENODEV;
}
/** @inline */
export function vfio_pci_zdev_open_device(vdev: vfio_pci_core_device): number {
  return kconfig.CONFIG_S390 ? zdev.vfio_pci_zdev_open_device(vdev) : 0;
}
/** @inline */
export function vfio_pci_zdev_close_device(vdev: vfio_pci_core_device): void {
  if (kconfig.CONFIG_S390) zdev.vfio_pci_zdev_close_device(vdev);
}

/** @inline */
export function vfio_pci_is_vga(pdev: pci_dev): boolean {
  return pdev.class >> 8 === PCI_CLASS_DISPLAY_VGA;
}
