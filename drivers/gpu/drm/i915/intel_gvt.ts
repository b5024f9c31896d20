// SPDX-License-Identifier: GPL-2.0-only
/**
 * Where i915 and GVT-g meet: kvmgt registers its functions, and they are called for each device there is and each that comes. Port of
 * drivers/gpu/drm/i915/intel_gvt.c.
 *
 * Not here: the table of registers (intel_gvt_mmio_table.c) and with it save_mmio() and handle_mmio(), so that what is saved of a device is its
 * configuration space, and zeros for its registers; the model of a device beyond its generation; being a guest of GVT-g or submitting through
 * the GuC, either of which would keep GVT-g from a device; i915_inject_probe_failure(), of kernels built to debug i915; intel_gvt_resume(), as
 * nothing is suspended; the namespace I915_GVT of the exported functions.
 */
import { EINVAL, ENOMEM } from "#linux/errno.ts";
import { list_add_tail, list_del, list_for_each_entry, LIST_HEAD } from "#linux/list.ts";
import { kbuild } from "#linux/module.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { PCI_CFG_SPACE_EXP_SIZE, pci_read_config_dword, to_pci_dev } from "#linux/pci.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { set_u32_at } from "#linux/string.ts";
import { container_of, type Sleeps } from "#linux/types.ts";
import { vfree, vzalloc } from "#linux/vmalloc.ts";
import { drm_dbg, drm_i915_private, drm_info, i915_virtual_gpu, IS_BROADWELL, IS_SKYLAKE } from "./i915_drv.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const SZ_1M = 0x100000;

/** What kvmgt does with a device. */
export interface intel_vgpu_ops {
  readonly init_device: (i915: drm_i915_private) => Sleeps<number>;
  readonly clean_device: (i915: drm_i915_private) => Sleeps;
}

const s = per_boot(() => ({
  intel_gvt_devices: LIST_HEAD(),
  intel_gvt_ops: null as intel_vgpu_ops | null,
  intel_gvt_mutex: DEFINE_MUTEX("intel_gvt_mutex"),
}));

function is_supported_device(dev_priv: drm_i915_private): boolean {
  return IS_BROADWELL(dev_priv) || IS_SKYLAKE(dev_priv);
}

function free_initial_hw_state(dev_priv: drm_i915_private): void {
  const { vgpu } = dev_priv;

  vfree(vgpu.initial_mmio);
  vgpu.initial_mmio = null;

  kfree(vgpu.initial_cfg_space);
  vgpu.initial_cfg_space = null;
}

function save_initial_hw_state(dev_priv: drm_i915_private): number {
  const pdev = to_pci_dev(dev_priv.drm.dev!);
  const { vgpu } = dev_priv;

  const mem = kzalloc(PCI_CFG_SPACE_EXP_SIZE, GFP_KERNEL);
  if (!mem) return -ENOMEM;

  vgpu.initial_cfg_space = mem;

  for (let i = 0; i < PCI_CFG_SPACE_EXP_SIZE; i += 4) {
    const dword = { value: 0 };
    pci_read_config_dword(pdev, i, dword);
    set_u32_at(mem, i, dword.value);
  }

  err_mmio: {
    vgpu.initial_mmio = vzalloc(2 * SZ_1M);
    if (!vgpu.initial_mmio) break err_mmio;

    return 0;
  }
  kfree(vgpu.initial_cfg_space);
  vgpu.initial_cfg_space = null;
  return -ENOMEM;
}

function* intel_gvt_init_device(dev_priv: drm_i915_private): Sleeps {
  if (!dev_priv.params.enable_gvt) {
    drm_dbg(dev_priv.drm, "GVT-g is disabled by kernel params\n");
    return;
  }

  if (!is_supported_device(dev_priv)) {
    drm_info(dev_priv.drm, "Unsupported device. GVT-g is disabled\n");
    return;
  }

  if (save_initial_hw_state(dev_priv)) {
    drm_dbg(dev_priv.drm, "Failed to save initial HW state\n");
    return;
  }

  if (yield* s.intel_gvt_ops!.init_device(dev_priv)) drm_dbg(dev_priv.drm, "Fail to init GVT device\n");
}

function* intel_gvt_clean_device(dev_priv: drm_i915_private): Sleeps {
  if (dev_priv.gvt) yield* s.intel_gvt_ops!.clean_device(dev_priv);
  free_initial_hw_state(dev_priv);
}

/** @return 0, also when a device could not be set up; -EINVAL if somebody has registered already. May sleep. */
export function* intel_gvt_set_ops(ops: intel_vgpu_ops): Sleeps<number> {
  yield* mutex_lock(s.intel_gvt_mutex);
  if (s.intel_gvt_ops) {
    mutex_unlock(s.intel_gvt_mutex);
    return -EINVAL;
  }
  s.intel_gvt_ops = ops;

  for (const vgpu of list_for_each_entry(s.intel_gvt_devices, i915_virtual_gpu, "entry"))
    yield* intel_gvt_init_device(container_of(vgpu, drm_i915_private, "vgpu"));
  mutex_unlock(s.intel_gvt_mutex);

  return 0;
}
EXPORT_SYMBOL_GPL(intel_gvt_set_ops);

/** May sleep. */
export function* intel_gvt_clear_ops(ops: intel_vgpu_ops): Sleeps {
  yield* mutex_lock(s.intel_gvt_mutex);
  if (s.intel_gvt_ops !== ops) {
    mutex_unlock(s.intel_gvt_mutex);
    return;
  }

  for (const vgpu of list_for_each_entry(s.intel_gvt_devices, i915_virtual_gpu, "entry"))
    yield* intel_gvt_clean_device(container_of(vgpu, drm_i915_private, "vgpu"));

  s.intel_gvt_ops = null;
  mutex_unlock(s.intel_gvt_mutex);
}
EXPORT_SYMBOL_GPL(intel_gvt_clear_ops);

/** A device has come. @return 0. May sleep. */
export function* intel_gvt_init(dev_priv: drm_i915_private): Sleeps<number> {
  yield* mutex_lock(s.intel_gvt_mutex);
  list_add_tail(dev_priv.vgpu.entry, s.intel_gvt_devices);
  if (s.intel_gvt_ops) yield* intel_gvt_init_device(dev_priv);
  mutex_unlock(s.intel_gvt_mutex);

  return 0;
}

/** It goes. May sleep. */
export function* intel_gvt_driver_remove(dev_priv: drm_i915_private): Sleeps {
  yield* mutex_lock(s.intel_gvt_mutex);
  yield* intel_gvt_clean_device(dev_priv);
  list_del(dev_priv.vgpu.entry);
  mutex_unlock(s.intel_gvt_mutex);
}
