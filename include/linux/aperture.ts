// SPDX-License-Identifier: GPL-2.0-only
// stub: framebuffers of the firmware, as in a kernel without CONFIG_APERTURE_HELPERS: there are none
import type { pci_dev } from "./pci.ts";

/** @return 0 */
export const aperture_remove_conflicting_pci_devices = (_pdev: pci_dev, _name: string): number => 0;
