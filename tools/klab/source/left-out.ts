// SPDX-License-Identifier: GPL-2.0-only
/** What of the C files is left out on purpose, by name, and why. What is neither there nor here is missing. */

/** Whole files. */
export const FILES_LEFT_OUT: Readonly<Record<string, string>> = {
  "samples/vfio-mdev/mdpy-fb.c": "the driver in a guest that has an mdpy device: there are no guests here",
};

const MODINFO = "text of modinfo, which nobody reads here";
const PREPROCESSOR = "only for the preprocessor";
const UNUSED = "not used in the C file either";
const EEH = "error recovery of POWER machines";
const STORE = "a cast and a store: set_u16_at() and the like";

const unused = (...names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, UNUSED]));

/** Names in files that are there. */
export const LEFT_OUT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "drivers/vfio/vfio_main.c": { DRIVER_AUTHOR: MODINFO },
  "drivers/vfio/vfio_iommu_type1.c": { DRIVER_AUTHOR: MODINFO, DRIVER_DESC: MODINFO },
  "drivers/vfio/virqfd.c": { DRIVER_AUTHOR: MODINFO, DRIVER_DESC: MODINFO, DRIVER_VERSION: MODINFO },
  "drivers/vfio/mdev/mdev_core.c": { DRIVER_AUTHOR: MODINFO, DRIVER_DESC: MODINFO, DRIVER_VERSION: MODINFO },
  "drivers/vfio/mdev/mdev_private.h": { to_mdev_type_attr: "stands in mdev_sysfs.ts, with what it gives" },
  "include/linux/vfio.h": {
    vfio_spapr_iommu_eeh_ioctl: EEH,
    vfio_spapr_pci_eeh_open: EEH,
    vfio_spapr_pci_eeh_release: EEH,
  },
  "drivers/vfio/pci/vfio_pci.c": { DRIVER_AUTHOR: MODINFO, DRIVER_DESC: MODINFO },
  "drivers/vfio/pci/vfio_pci_core.c": {
    DRIVER_AUTHOR: MODINFO,
    DRIVER_DESC: MODINFO,
    pr_fmt: "nothing is printed with it",
  },
  "drivers/vfio/pci/vfio_pci_rdwr.c": {
    vfio_ioread64: UNUSED,
  },
  "drivers/vfio/pci/vfio_pci_priv.h": {
    vfio_pci_igd_init: "of a configuration without IGD, where nobody calls it",
    vfio_pci_vga_rw: "of a configuration without VGA: x86 has it",
  },
  "drivers/vfio/platform/vfio_platform.c": { DRIVER_AUTHOR: MODINFO, DRIVER_DESC: MODINFO },
  "drivers/vfio/platform/vfio_amba.c": { DRIVER_AUTHOR: MODINFO, DRIVER_DESC: MODINFO },
  "drivers/vfio/platform/vfio_platform_common.c": {
    DRIVER_AUTHOR: MODINFO,
    DRIVER_DESC: MODINFO,
    dev_fmt: "its prefix stands in the messages",
  },
  "drivers/vfio/platform/vfio_platform_private.h": {
    module_vfio_reset_handler: "makes functions, which a reset module writes out",
    vfio_platform_register_reset: "makes a static, which a reset module has itself",
  },
  "drivers/s390/cio/vfio_ccw_trace.h": {
    TRACE_INCLUDE_FILE: PREPROCESSOR,
    TRACE_INCLUDE_PATH: PREPROCESSOR,
    _VFIO_CCW_TRACE_: PREPROCESSOR,
  },
  "samples/vfio-mdev/mbochs.c": {
    STORE_LE16: STORE,
    STORE_LE32: STORE,
    ...unused(
      "VBE_DISPI_8BIT_DAC",
      "VBE_DISPI_DISABLED",
      "VBE_DISPI_GETCAPS",
      "VBE_DISPI_ID0",
      "VBE_DISPI_ID1",
      "VBE_DISPI_ID2",
      "VBE_DISPI_ID3",
      "VBE_DISPI_ID4",
      "VBE_DISPI_LFB_ENABLED",
      "VBE_DISPI_NOCLEARMEM",
    ),
  },
  "samples/vfio-mdev/mdpy.c": { STORE_LE16: STORE, STORE_LE32: STORE },
  "samples/vfio-mdev/mtty.c": {
    DRIVER_AUTHOR: MODINFO,
    STORE_LE16: STORE,
    STORE_LE32: STORE,
    ...unused("MTTY_MMIO_BAR_SIZE", "MTTY_STRING_LEN"),
  },
};
