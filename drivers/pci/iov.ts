// SPDX-License-Identifier: GPL-2.0-only
/** Virtual functions, of which there are none: no device of the machine has the capability. What remains of drivers/pci/iov.c. */
import { ENOSYS } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { might_sleep } from "#linux/kernel.ts";
import type { pci_dev } from "#linux/pci.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

/** @return -ENOSYS for what is not a physical function, as everything here is not */
export function pci_enable_sriov(_dev: pci_dev, _nr_virtfn: number): number {
  might_sleep();

  return -ENOSYS;
}
EXPORT_SYMBOL_GPL(pci_enable_sriov);

export function pci_disable_sriov(_dev: pci_dev): void {
  might_sleep();
}
EXPORT_SYMBOL_GPL(pci_disable_sriov);

/** @return how many virtual functions are enabled. Any context */
export function pci_num_vf(_dev: pci_dev): number {
  return 0;
}
EXPORT_SYMBOL_GPL(pci_num_vf);
