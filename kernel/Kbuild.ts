// SPDX-License-Identifier: GPL-2.0-only
/** Which files make which module: what obj-m and the composite lists of the Makefiles say. Everything else is vmlinux. */

export interface kbuild_module {
  readonly name: string;
  /** Paths in the tree, in link order. The one with module_init() comes first. */
  readonly files: readonly string[];
}

export const modules: readonly kbuild_module[] = [
  {
    name: "vfio",
    files: [
      "drivers/vfio/vfio_main.ts",
      "drivers/vfio/iova_bitmap.ts",
      "drivers/vfio/container.ts",
      "drivers/vfio/vfio.ts",
    ],
  },
  { name: "vfio_virqfd", files: ["drivers/vfio/virqfd.ts"] },
  { name: "vfio_iommu_type1", files: ["drivers/vfio/vfio_iommu_type1.ts"] },
  {
    name: "mdev",
    files: [
      "drivers/vfio/mdev/mdev_core.ts",
      "drivers/vfio/mdev/mdev_sysfs.ts",
      "drivers/vfio/mdev/mdev_driver.ts",
      "drivers/vfio/mdev/mdev_private.ts",
    ],
  },
  {
    name: "vfio_ccw",
    files: [
      "drivers/s390/cio/vfio_ccw_drv.ts",
      "drivers/s390/cio/vfio_ccw_cp.ts",
      "drivers/s390/cio/vfio_ccw_ops.ts",
      "drivers/s390/cio/vfio_ccw_fsm.ts",
      "drivers/s390/cio/vfio_ccw_async.ts",
      "drivers/s390/cio/vfio_ccw_chp.ts",
      "drivers/s390/cio/vfio_ccw_trace.ts",
      "drivers/s390/cio/vfio_ccw_private.ts",
      "drivers/s390/cio/vfio_ccw_parent.ts",
    ],
  },
  {
    name: "vfio_pci_core",
    files: [
      "drivers/vfio/pci/vfio_pci_core.ts",
      "drivers/vfio/pci/vfio_pci_config.ts",
      "drivers/vfio/pci/vfio_pci_priv.ts",
    ],
  },
  { name: "vfio_pci", files: ["drivers/vfio/pci/vfio_pci.ts"] },
  { name: "mtty", files: ["samples/vfio-mdev/mtty.ts"] },
  { name: "mdpy", files: ["samples/vfio-mdev/mdpy.ts", "samples/vfio-mdev/mdpy-defs.ts"] },
  { name: "mbochs", files: ["samples/vfio-mdev/mbochs.ts"] },
];

/** Files that are built in and that nothing else would bring in: they register themselves to be run at boot. */
export const vmlinux: readonly string[] = [
  "drivers/base/init.ts",
  "drivers/dma-buf/dma-buf.ts",
  "drivers/iommu/iommu.ts",
  "drivers/pci/pci-driver.ts",
  "drivers/pci/pci-sysfs.ts",
  "drivers/pci/probe.ts",
  "kernel/arch/x86/pci.ts",
  "drivers/s390/cio/cio.ts",
  "drivers/s390/cio/css.ts",
  "drivers/s390/cio/chsc.ts",
  "drivers/s390/cio/chp.ts",
  "drivers/s390/cio/crw.ts",
  "drivers/s390/cio/device.ts",
];

const owners = new Map<string, string>();
for (const m of modules) for (const file of m.files) owners.set(file, m.name);

/** Module that a file of the tree belongs to; null for vmlinux. A file of test/modules/ is a module by itself. */
export function module_of_file(file: string): string | null {
  return owners.get(file) ?? /^test\/modules\/([^/.]+)\.ts$/.exec(file)?.[1] ?? null;
}
