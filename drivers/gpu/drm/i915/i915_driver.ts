// SPDX-License-Identifier: GPL-2.0-only
/** i915, in place of drivers/gpu/drm/i915/i915_driver.c and i915_pci.c: a driver that lets GVT-g in, as with enable_gvt=1, and does nothing else. */
import { debugfs_create_dir, debugfs_remove, type dentry } from "#linux/debugfs.ts";
import { dev_get_drvdata, dev_set_drvdata } from "#linux/device.ts";
import { ENODEV, ENOMEM } from "#linux/errno.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_init } from "#linux/mutex.ts";
import {
  __pci_register_driver,
  type pci_dev,
  PCI_DEVICE,
  pci_driver,
  pci_resource_len,
  pci_resource_start,
  pci_unregister_driver,
} from "#linux/pci.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { initialise, type Sleeps } from "#linux/types.ts";
import { drm_i915_private, GTT_APERTURE_BAR, I915_NUM_ENGINES } from "./i915_drv.ts";
import { intel_gvt_driver_remove, intel_gvt_init } from "./intel_gvt.ts";

const { THIS_MODULE, KBUILD_MODNAME, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

MODULE_LICENSE("GPL and additional rights");

const PCI_VENDOR_ID_INTEL = 0x8086;
const SKYLAKE_GT2 = 0x1916;
const GB = 0x40000000;
const ENGINES = ["rcs0", "bcs0", "vcs0", "vecs0"];

const s = per_boot(() => ({
  driver: initialise(new pci_driver(), {
    name: "i915",
    id_table: [PCI_DEVICE(PCI_VENDOR_ID_INTEL, SKYLAKE_GT2)],
    probe: i915_pci_probe,
    remove: i915_pci_remove,
  }),
  dri: null as dentry | null,
}));

function* i915_pci_probe(pdev: pci_dev): Sleeps<number> {
  if (!pci_resource_len(pdev, GTT_APERTURE_BAR)) return -ENODEV;

  const i915 = kzalloc(drm_i915_private, GFP_KERNEL);
  if (!i915) return -ENOMEM;

  i915.drm.dev = pdev.dev;
  i915.graphics_ver = 9;
  i915.gt0.i915 = i915;
  const { ggtt } = i915.gt0;
  mutex_init(ggtt.vm_mutex, "&vm->mutex");
  INIT_LIST_HEAD(ggtt.vm_mm);
  ggtt.vm_total = 4 * GB;
  ggtt.mappable_end = Number(pci_resource_len(pdev, GTT_APERTURE_BAR));
  ggtt.gmadr_start = pci_resource_start(pdev, GTT_APERTURE_BAR);
  ggtt.num_fences = 32;
  for (let i = 0; i < ggtt.num_fences; i++) ggtt.fence_regs.at(i).id = i;
  for (let i = 0; i < I915_NUM_ENGINES; i++) {
    const engine = i915.gt0.engine.at(i);
    engine.id = i;
    engine.name = ENGINES[i] ?? null;
    engine.gt = i915.gt0;
  }
  dev_set_drvdata(pdev.dev, i915);
  i915.drm.debugfs_root = debugfs_create_dir("0", s.dri);

  return yield* intel_gvt_init(i915);
}

function* i915_pci_remove(pdev: pci_dev): Sleeps {
  const i915 = dev_get_drvdata<drm_i915_private>(pdev.dev)!;

  yield* intel_gvt_driver_remove(i915);
  debugfs_remove(i915.drm.debugfs_root);
  kfree(i915);
}

function* i915_init(): Sleeps<number> {
  s.dri = debugfs_create_dir("dri", null);
  const ret = yield* __pci_register_driver(s.driver, THIS_MODULE, KBUILD_MODNAME);
  if (ret) debugfs_remove(s.dri);
  return ret;
}

function* i915_exit(): Sleeps {
  yield* pci_unregister_driver(s.driver);
  debugfs_remove(s.dri);
}

module_init(i915_init);
module_exit(i915_exit);
