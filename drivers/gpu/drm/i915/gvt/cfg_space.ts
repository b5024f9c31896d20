// SPDX-License-Identifier: GPL-2.0-only
/**
 * The configuration space of a vGPU, as it is made and reset. Port of drivers/gpu/drm/i915/gvt/cfg_space.c; left out, by name, is what
 * a guest's writes do: intel_vgpu_emulate_cfg_write, trap_gttmmio, map_aperture and the handlers below them.
 */
import { ENOTTY, EINVAL } from "#linux/errno.ts";
import {
  PCI_BASE_ADDRESS_1,
  PCI_BASE_ADDRESS_3,
  PCI_BASE_ADDRESS_4,
  PCI_CAP_ID_PM,
  PCI_CAPABILITY_LIST,
  PCI_CLASS_DEVICE,
  PCI_CLASS_PROG,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_PM_CTRL,
  pci_resource_len,
  PCI_ROM_ADDRESS,
  to_pci_dev,
} from "#linux/pci.ts";
import { byte_at, memcpy, memset, set_byte_at, set_u16_at, u16_at } from "#linux/string.ts";
import { type byte_memory, bytes_at } from "#linux/types.ts";
import { GTT_APERTURE_BAR, GTTMMADR_BAR } from "../i915_drv.ts";
import { gvt_vgpu_err } from "./debug.ts";
import type { intel_vgpu } from "./gvt.ts";

const INTEL_GVT_PCI_GMCH_CONTROL = 0x50;
const BDW_GMCH_GMS_SHIFT = 8;
const BDW_GMCH_GMS_MASK = 0xff;
const INTEL_GVT_PCI_CLASS_VGA_OTHER = 0x80;
const INTEL_GVT_PCI_OPREGION = 0xfc;
const INTEL_GVT_PCI_BAR_GTTMMIO = 0;
const INTEL_GVT_PCI_BAR_APERTURE = 2;

/** The guest reads. @return 0 or -EINVAL. Any context. */
export function intel_vgpu_emulate_cfg_read(
  vgpu: intel_vgpu,
  offset: number,
  p_data: byte_memory,
  length: number,
): number {
  if (length > 4) return -EINVAL;

  if (offset + length > vgpu.gvt!.device_info.cfg_space_size) return -EINVAL;

  memcpy(p_data, bytes_at(vgpu.cfg_space.virtual_cfg_space, offset), length);
  return 0;
}

/** The guest writes, which nothing follows yet. @return -ENOTTY. Any context. */
export function intel_vgpu_emulate_cfg_write(
  vgpu: intel_vgpu,
  offset: number,
  _p_data: byte_memory,
  _length: number,
): number {
  gvt_vgpu_err(vgpu, "writes to the configuration space (0x%x) are not emulated here\n", offset);
  return -ENOTTY;
}

/** @primary: whether the guest sees a primary display */
export function intel_vgpu_init_cfg_space(vgpu: intel_vgpu, primary: boolean): void {
  const gvt = vgpu.gvt!;
  const pdev = to_pci_dev(gvt.gt!.i915!.drm.dev!);
  const space = vgpu.cfg_space.virtual_cfg_space;

  memcpy(space, gvt.firmware.cfg_space!, gvt.device_info.cfg_space_size);

  if (!primary) {
    set_byte_at(space, PCI_CLASS_DEVICE, INTEL_GVT_PCI_CLASS_VGA_OTHER);
    set_byte_at(space, PCI_CLASS_PROG, INTEL_GVT_PCI_CLASS_VGA_OTHER);
  }

  // No stolen memory for guests
  const gmch_ctl = u16_at(space, INTEL_GVT_PCI_GMCH_CONTROL);
  set_u16_at(space, INTEL_GVT_PCI_GMCH_CONTROL, gmch_ctl & ~(BDW_GMCH_GMS_MASK << BDW_GMCH_GMS_SHIFT));

  const command = byte_at(space, PCI_COMMAND);
  set_byte_at(space, PCI_COMMAND, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER));
  // The guest gives new addresses
  memset(bytes_at(space, PCI_BASE_ADDRESS_1), 0, 4);
  memset(bytes_at(space, PCI_BASE_ADDRESS_3), 0, 4);
  memset(bytes_at(space, PCI_BASE_ADDRESS_4), 0, 8);
  memset(bytes_at(space, INTEL_GVT_PCI_OPREGION), 0, 4);

  vgpu.cfg_space.bar.at(INTEL_GVT_PCI_BAR_GTTMMIO).size = Number(pci_resource_len(pdev, GTTMMADR_BAR));
  vgpu.cfg_space.bar.at(INTEL_GVT_PCI_BAR_APERTURE).size = Number(pci_resource_len(pdev, GTT_APERTURE_BAR));

  memset(bytes_at(space, PCI_ROM_ADDRESS), 0, 4);

  vgpu.cfg_space.pmcsr_off = 0;
  if (byte_at(space, PCI_STATUS) & PCI_STATUS_CAP_LIST) {
    let next = byte_at(space, PCI_CAPABILITY_LIST);
    do {
      if (byte_at(space, next) === PCI_CAP_ID_PM) {
        vgpu.cfg_space.pmcsr_off = next + PCI_PM_CTRL;
        break;
      }
      next = byte_at(space, next + 1);
    } while (next);
  }
}

/** Nobody could have turned memory decoding on: what is mapped then is not here. */
export function intel_vgpu_reset_cfg_space(vgpu: intel_vgpu): void {
  const primary = byte_at(vgpu.cfg_space.virtual_cfg_space, PCI_CLASS_DEVICE) !== INTEL_GVT_PCI_CLASS_VGA_OTHER;

  intel_vgpu_init_cfg_space(vgpu, primary);
}
