// SPDX-License-Identifier: GPL-2.0-only
/**
 * i915, in place of drivers/gpu/drm/i915/i915_driver.c: a driver that brings its device with it, a Skylake GT2 that is not there, as
 * /sys/devices/i915/0000:00:02.0, and a bus of its own instead of PCI. It lets GVT-g in, as with enable_gvt=1, and does nothing else.
 */
import { debugfs_create_dir, debugfs_remove, type dentry } from "#linux/debugfs.ts";
import {
  bus_register,
  bus_type,
  bus_unregister,
  dev_get_drvdata,
  dev_set_drvdata,
  dev_set_name,
  device,
  device_driver,
  device_register,
  device_unregister,
  driver_register,
  driver_unregister,
  put_device,
  root_device_register,
  root_device_unregister,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { ENOMEM } from "#linux/errno.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_init } from "#linux/mutex.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_2,
  PCI_BASE_ADDRESS_MEM_PREFETCH,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_CAPABILITY_LIST,
  PCI_CLASS_DEVICE,
  PCI_COMMAND,
  PCI_COMMAND_MEMORY,
  PCI_DEVICE_ID,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_VENDOR_ID,
} from "#linux/pci.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { set_byte_at, set_u16_at, set_u32_at } from "#linux/string.ts";
import { initialise, kbuf, type Sleeps } from "#linux/types.ts";
import { drm_i915_private, I915_NUM_ENGINES } from "./i915_drv.ts";
import { intel_gvt_driver_remove, intel_gvt_init, PCI_CFG_SPACE_EXP_SIZE } from "./intel_gvt.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

MODULE_LICENSE("GPL and additional rights");

const MB = 0x100000;
const GTTMMADR = 0xde000000;
const GMADR = 0xc0000000;
const MSI_CAP = 0xac;
const PM_CAP = 0xd0;
const ENGINES = ["rcs0", "bcs0", "vcs0", "vecs0"];

const s = per_boot(() => {
  const bus = initialise(new bus_type(), { name: "i915" });
  return {
    bus,
    driver: initialise(new device_driver(), {
      name: "i915",
      bus,
      owner: THIS_MODULE,
      probe: i915_driver_probe,
      remove: i915_driver_remove,
    }),
    root: null as device | null,
    dev: new device(),
    dri: null as dentry | null,
  };
});

/* The bytes that the device's configuration space begins with. */
function skylake_config_space(): kbuf {
  const space = new kbuf(PCI_CFG_SPACE_EXP_SIZE);
  set_u16_at(space, PCI_VENDOR_ID, 0x8086);
  set_u16_at(space, PCI_DEVICE_ID, 0x1916);
  set_u16_at(space, PCI_COMMAND, PCI_COMMAND_MEMORY);
  set_u16_at(space, PCI_STATUS, PCI_STATUS_CAP_LIST);
  set_u16_at(space, PCI_CLASS_DEVICE, 0x0300);
  set_u32_at(space, PCI_BASE_ADDRESS_0, GTTMMADR | PCI_BASE_ADDRESS_MEM_TYPE_64);
  set_u32_at(space, PCI_BASE_ADDRESS_2, GMADR | PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
  set_byte_at(space, PCI_CAPABILITY_LIST, MSI_CAP);
  set_byte_at(space, MSI_CAP, 0x05);
  set_byte_at(space, MSI_CAP + 1, PM_CAP);
  set_byte_at(space, PM_CAP, 0x01);
  return space;
}

function* i915_driver_probe(dev: device): Sleeps<number> {
  const i915 = kzalloc(drm_i915_private, GFP_KERNEL);
  if (!i915) return -ENOMEM;

  i915.drm.dev = dev;
  i915.graphics_ver = 9;
  i915.msi_cap = MSI_CAP;
  i915.gttmmadr_len = 16 * MB;
  i915.aperture_len = 512 * MB;
  i915.gt0.i915 = i915;
  const { ggtt } = i915.gt0;
  mutex_init(ggtt.vm_mutex, "&vm->mutex");
  INIT_LIST_HEAD(ggtt.vm_mm);
  ggtt.vm_total = 4096 * MB;
  ggtt.mappable_end = i915.aperture_len;
  ggtt.gmadr_start = BigInt(GMADR);
  ggtt.num_fences = 32;
  for (let i = 0; i < ggtt.num_fences; i++) ggtt.fence_regs.at(i).id = i;
  for (let i = 0; i < I915_NUM_ENGINES; i++) {
    const engine = i915.gt0.engine.at(i);
    engine.id = i;
    engine.name = ENGINES[i] ?? null;
    engine.gt = i915.gt0;
  }
  dev_set_drvdata(dev, i915);
  i915.drm.debugfs_root = debugfs_create_dir("0", s.dri);

  return yield* intel_gvt_init(i915, skylake_config_space());
}

function* i915_driver_remove(dev: device): Sleeps<number> {
  const i915 = dev_get_drvdata<drm_i915_private>(dev)!;

  yield* intel_gvt_driver_remove(i915);
  debugfs_remove(i915.drm.debugfs_root);
  kfree(i915);
  return 0;
}

/** It is a static. */
function no_release(_dev: device): void {}

function* i915_init(): Sleeps<number> {
  let ret = yield* bus_register(s.bus);
  if (ret) return ret;
  err_bus: {
    s.root = yield* root_device_register("i915", THIS_MODULE);
    if (IS_ERR(s.root)) {
      ret = PTR_ERR(s.root);
      break err_bus;
    }
    err_root: {
      s.dri = debugfs_create_dir("dri", null);
      s.dev.parent = s.root;
      s.dev.bus = s.bus;
      s.dev.release = no_release;
      dev_set_name(s.dev, "0000:00:02.0");
      ret = yield* device_register(s.dev);
      if (ret) {
        yield* put_device(s.dev);
        break err_root;
      }
      ret = yield* driver_register(s.driver);
      if (!ret) return 0;
      yield* device_unregister(s.dev);
    }
    debugfs_remove(s.dri);
    yield* root_device_unregister(s.root);
  }
  yield* bus_unregister(s.bus);
  return ret;
}

function* i915_exit(): Sleeps {
  yield* driver_unregister(s.driver);
  yield* device_unregister(s.dev);
  debugfs_remove(s.dri);
  yield* root_device_unregister(s.root!);
  yield* bus_unregister(s.bus);
}

module_init(i915_init);
module_exit(i915_exit);
