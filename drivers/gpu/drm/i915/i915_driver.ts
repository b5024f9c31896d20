// SPDX-License-Identifier: GPL-2.0-only
/**
 * i915, in place of drivers/gpu/drm/i915/i915_driver.c, i915_pci.c and i915_params.c: a driver that lets GVT-g in and does nothing else.
 *
 * What is here is in the order of C. Not here: the display, memory, submission, interrupts (MSI is not enabled), power, the DRM device and its
 * nodes; of its folder in debugfs only that it comes after GVT-g and goes before it. The private struct goes with the driver, as nobody can hold it.
 */
import { debugfs_create_dir, debugfs_remove, type dentry } from "#linux/debugfs.ts";
import { dev_err, dev_get_drvdata, dev_set_drvdata } from "#linux/device.ts";
import { ENODEV, ENOMEM } from "#linux/errno.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import { kbuild } from "#linux/module.ts";
import { param_bool } from "#linux/moduleparam.ts";
import { mutex_init } from "#linux/mutex.ts";
import {
  __pci_register_driver,
  type pci_dev,
  PCI_DEVICE,
  pci_disable_device,
  pci_driver,
  pci_enable_device,
  pci_resource_len,
  pci_resource_start,
  pci_set_master,
  pci_unregister_driver,
} from "#linux/pci.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { initialise, type Sleeps } from "#linux/types.ts";
import { drm_i915_private, GTT_APERTURE_BAR, I915_NUM_ENGINES } from "./i915_drv.ts";
import { intel_gvt_driver_remove, intel_gvt_init } from "./intel_gvt.ts";

const { THIS_MODULE, KBUILD_MODNAME, per_boot, module_init, module_exit, module_param_named, MODULE_LICENSE } = kbuild(
  import.meta.url,
);

MODULE_LICENSE("GPL and additional rights");

const PCI_VENDOR_ID_INTEL = 0x8086;
const SKYLAKE_GT2 = 0x1916;
const GB = 0x40000000;
const ENGINES = ["rcs0", "bcs0", "vcs0", "vecs0"];

const p = per_boot(() => ({ enable_gvt: false }));
module_param_named(
  "enable_gvt",
  param_bool(() => p, "enable_gvt"),
  0o400,
);

const s = per_boot(() => ({
  driver: initialise(new pci_driver(), {
    name: "i915",
    id_table: [PCI_DEVICE(PCI_VENDOR_ID_INTEL, SKYLAKE_GT2)],
    probe: i915_pci_probe,
    remove: i915_pci_remove,
  }),
  dri: null as dentry | null,
}));

function i915_driver_create(pdev: pci_dev): drm_i915_private | null {
  const i915 = kzalloc(drm_i915_private, GFP_KERNEL);
  if (!i915) return null;

  i915.drm.dev = pdev.dev;
  dev_set_drvdata(pdev.dev, i915);

  i915.params.enable_gvt = p.enable_gvt;
  i915.graphics_ver = 9;

  return i915;
}

/* What i915_ggtt_probe_hw() and the setup of the engines find out. */
function setup_gt(i915: drm_i915_private, pdev: pci_dev): void {
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
}

function* i915_driver_hw_probe(dev_priv: drm_i915_private, pdev: pci_dev): Sleeps<number> {
  setup_gt(dev_priv, pdev);

  pci_set_master(pdev);

  return yield* intel_gvt_init(dev_priv);
}

function* i915_driver_probe(pdev: pci_dev): Sleeps<number> {
  let ret: number;

  const i915 = i915_driver_create(pdev);
  if (!i915) return -ENOMEM;

  out_fini: {
    out_pci_disable: {
      ret = yield* pci_enable_device(pdev);
      if (ret) break out_fini;

      ret = yield* i915_driver_hw_probe(i915, pdev);
      if (ret < 0) break out_pci_disable;

      // i915_driver_register(): what GVT-g has made before is not in this folder.
      i915.drm.debugfs_root = debugfs_create_dir("0", s.dri);

      return 0;
    }
    pci_disable_device(pdev);
  }
  dev_err(i915.drm.dev, "[drm] *ERROR* Device initialization failed (%d)\n", ret);
  kfree(i915);
  return ret;
}

function* i915_pci_probe(pdev: pci_dev): Sleeps<number> {
  if (!pci_resource_len(pdev, GTT_APERTURE_BAR)) return -ENODEV;

  return yield* i915_driver_probe(pdev);
}

function* i915_driver_remove(i915: drm_i915_private): Sleeps {
  // i915_driver_unregister()
  debugfs_remove(i915.drm.debugfs_root);
  i915.drm.debugfs_root = null;

  yield* intel_gvt_driver_remove(i915);
}

function* i915_pci_remove(pdev: pci_dev): Sleeps {
  const i915 = dev_get_drvdata<drm_i915_private>(pdev.dev);
  if (!i915) return;

  yield* i915_driver_remove(i915);
  dev_set_drvdata(pdev.dev, null);
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
