// SPDX-License-Identifier: GPL-2.0-only
/**
 * What registers and configuration space of a fresh device look like. Port of drivers/gpu/drm/i915/gvt/firmware.c for a system without
 * firmware files: request_firmware() and verify_firmware() are left out, and the file in sysfs has no checksum.
 */
import { device_create_bin_file, device_remove_bin_file } from "#linux/device.ts";
import { ENOMEM } from "#linux/errno.ts";
import { kbuild } from "#linux/module.ts";
import { GFP_KERNEL, kfree, kmalloc } from "#linux/slab.ts";
import { memcpy } from "#linux/string.ts";
import { bin_attribute } from "#linux/sysfs.ts";
import type { kobject } from "#linux/kobject.ts";
import { b32, b64, bytes_at, bytestruct, cast_to, initialise, type kbuf, sizeof, type Sleeps } from "#linux/types.ts";
import { vfree, vmalloc, vzalloc } from "#linux/vmalloc.ts";
import { gvt_dbg_core } from "./debug.ts";
import type { intel_gvt } from "./gvt.ts";

const { per_boot } = kbuild(import.meta.url);

const VGT_MAGIC = 0x4776544776544776n;
const FIRMWARE_VERSION = 0x0;
const PATH_MAX = 4096;

class gvt_firmware_header extends bytestruct("gvt_firmware_header", {
  magic: b64(),
  crc32: b32(),
  version: b32(),
  cfg_space_size: b64(),
  cfg_space_offset: b64(),
  mmio_size: b64(),
  mmio_offset: b64(),
}) {}

function gvt_firmware_read(_kobj: kobject, attr: bin_attribute, buf: kbuf, offset: number, count: number): number {
  memcpy(buf, bytes_at(attr.private as kbuf, offset), count);
  return count;
}

const s = per_boot(() => ({
  firmware_attr: initialise(new bin_attribute(), {
    attr: { name: "gvt_firmware", mode: 0o400 },
    read: gvt_firmware_read,
  }),
}));

function* expose_firmware_sysfs(gvt: intel_gvt): Sleeps<number> {
  const info = gvt.device_info;
  const i915 = gvt.gt!.i915!;

  const size = sizeof(gvt_firmware_header) + info.mmio_size + info.cfg_space_size;
  const firmware = vzalloc(size);
  if (!firmware) return -ENOMEM;

  const h = cast_to(gvt_firmware_header, firmware, 0);

  h.magic = VGT_MAGIC;
  h.version = FIRMWARE_VERSION;
  h.cfg_space_size = BigInt(info.cfg_space_size);
  h.cfg_space_offset = BigInt(sizeof(gvt_firmware_header));
  h.mmio_size = BigInt(info.mmio_size);
  h.mmio_offset = h.cfg_space_offset + h.cfg_space_size;

  memcpy(gvt.firmware.cfg_space!, i915.vgpu.initial_cfg_space!, info.cfg_space_size);
  memcpy(bytes_at(firmware, Number(h.cfg_space_offset)), gvt.firmware.cfg_space!, info.cfg_space_size);

  memcpy(gvt.firmware.mmio!, i915.vgpu.initial_mmio!, info.mmio_size);

  memcpy(bytes_at(firmware, Number(h.mmio_offset)), gvt.firmware.mmio!, info.mmio_size);

  s.firmware_attr.size = BigInt(size);
  s.firmware_attr.private = firmware;

  const ret = yield* device_create_bin_file(i915.drm.dev, s.firmware_attr);
  if (ret) {
    vfree(firmware);
    return ret;
  }
  return 0;
}

function* clean_firmware_sysfs(gvt: intel_gvt): Sleeps {
  yield* device_remove_bin_file(gvt.gt!.i915!.drm.dev, s.firmware_attr);
  vfree(s.firmware_attr.private as kbuf | null);
}

/** May sleep. */
export function* intel_gvt_free_firmware(gvt: intel_gvt): Sleeps {
  if (!gvt.firmware.firmware_loaded) yield* clean_firmware_sysfs(gvt);

  kfree(gvt.firmware.cfg_space);
  vfree(gvt.firmware.mmio);
}

/** @return 0, also when the file could not be made; -ENOMEM. May sleep. */
export function* intel_gvt_load_firmware(gvt: intel_gvt): Sleeps<number> {
  const info = gvt.device_info;
  const { firmware } = gvt;

  const path = kmalloc(PATH_MAX, GFP_KERNEL);
  if (!path) return -ENOMEM;

  const cfg_space = kmalloc(info.cfg_space_size, GFP_KERNEL);
  if (!cfg_space) {
    kfree(path);
    return -ENOMEM;
  }

  firmware.cfg_space = cfg_space;

  const mmio = vmalloc(info.mmio_size);
  if (!mmio) {
    kfree(path);
    kfree(firmware.cfg_space);
    return -ENOMEM;
  }

  firmware.mmio = mmio;

  gvt_dbg_core("request hw state firmware, which is not there\n");

  kfree(path);

  yield* expose_firmware_sysfs(gvt);
  return 0;
}
