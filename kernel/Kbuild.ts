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
      "drivers/vfio/pci/vfio_pci_intrs.ts",
      "drivers/vfio/pci/vfio_pci_rdwr.ts",
      "drivers/vfio/pci/vfio_pci_config.ts",
      "drivers/vfio/pci/vfio_pci_priv.ts",
      "drivers/vfio/pci/vfio_pci_zdev.ts",
    ],
  },
  { name: "vfio_pci", files: ["drivers/vfio/pci/vfio_pci.ts", "drivers/vfio/pci/vfio_pci_igd.ts"] },
  {
    name: "vfio_ap",
    files: [
      "drivers/s390/crypto/vfio_ap_drv.ts",
      "drivers/s390/crypto/vfio_ap_ops.ts",
      "drivers/s390/crypto/vfio_ap_private.ts",
      "drivers/s390/crypto/vfio_ap_debug.ts",
    ],
  },
  {
    name: "kvm",
    files: [
      "kernel/virt/kvm_main.ts",
      "kernel/virt/kvm_page_track.ts",
      "kernel/virt/kvm_s390.ts",
      "kernel/virt/kvm_vfio.ts",
    ],
  },
  {
    name: "i915",
    files: [
      "drivers/gpu/drm/i915/i915_driver.ts",
      "drivers/gpu/drm/i915/i915_drv.ts",
      "drivers/gpu/drm/i915/i915_gem_gtt.ts",
      "drivers/gpu/drm/i915/intel_gvt.ts",
    ],
  },
  {
    name: "kvmgt",
    files: [
      "kvmgt.ts",
      "gvt.ts",
      "vgpu.ts",
      "aperture_gm.ts",
      "cfg_space.ts",
      "debug.ts",
      "debugfs.ts",
      "display.ts",
      "dmabuf.ts",
      "edid.ts",
      "firmware.ts",
      "gtt.ts",
      "handlers.ts",
      "mmio.ts",
      "opregion.ts",
      "sched_policy.ts",
      "scheduler.ts",
    ].map((file) => `drivers/gpu/drm/i915/gvt/${file}`),
  },
  {
    name: "vfio_platform_base",
    files: [
      "drivers/vfio/platform/vfio_platform_common.ts",
      "drivers/vfio/platform/vfio_platform_irq.ts",
      "drivers/vfio/platform/vfio_platform_private.ts",
    ],
  },
  { name: "vfio_platform", files: ["drivers/vfio/platform/vfio_platform.ts"] },
  { name: "vfio_amba", files: ["drivers/vfio/platform/vfio_amba.ts"] },
  { name: "vfio_platform_calxedaxgmac", files: ["drivers/vfio/platform/reset/vfio_platform_calxedaxgmac.ts"] },
  {
    name: "vfio_fsl_mc",
    files: [
      "drivers/vfio/fsl-mc/vfio_fsl_mc.ts",
      "drivers/vfio/fsl-mc/vfio_fsl_mc_intr.ts",
      "drivers/vfio/fsl-mc/vfio_fsl_mc_private.ts",
    ],
  },
  { name: "mtty", files: ["samples/vfio-mdev/mtty.ts"] },
  { name: "mdpy", files: ["samples/vfio-mdev/mdpy.ts", "samples/vfio-mdev/mdpy-defs.ts"] },
  { name: "mbochs", files: ["samples/vfio-mdev/mbochs.ts"] },
];

/** Files that are built in and that nothing else would bring in: they register themselves to be run at boot. */
export const vmlinux: readonly string[] = [
  "drivers/base/init.ts",
  "drivers/amba/bus.ts",
  "drivers/bus/fsl-mc/fsl-mc-bus.ts",
  "drivers/of/base.ts",
  "drivers/of/platform.ts",
  "drivers/dma-buf/dma-buf.ts",
  "drivers/iommu/iommu.ts",
  "drivers/iommu/iommu-sysfs.ts",
  "drivers/iommu/intel/iommu.ts",
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
  "drivers/s390/crypto/ap_bus.ts",
];

const owners = new Map<string, string>();
for (const m of modules) for (const file of m.files) owners.set(file, m.name);

/** Module that a file of the tree belongs to; null for vmlinux. A file of test/modules/ is a module by itself. */
export function module_of_file(file: string): string | null {
  return owners.get(file) ?? /^test\/modules\/([^/.]+)\.ts$/.exec(file)?.[1] ?? null;
}
