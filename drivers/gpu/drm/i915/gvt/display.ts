// SPDX-License-Identifier: GPL-2.0-only
/**
 * The monitor of a vGPU. Port of drivers/gpu/drm/i915/gvt/display.c as far as it is plugged in and pulled; left out, by name: the timer of
 * vertical blanks (vblank_timer_fn, vgpu_update_vblank_emulation), intel_vgpu_emulate_vblank, intel_vgpu_emulate_hotplug and
 * emulate_monitor_status_change, which only change registers.
 */
import { WARN_ON } from "#linux/bug.ts";
import { EINVAL, ENOMEM } from "#linux/errno.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { IS_SKYLAKE, PORT_B, PORT_D } from "../i915_drv.ts";
import {
  GVT_DP_B,
  GVT_DP_D,
  GVT_EDID_NUM,
  type intel_vgpu,
  intel_vgpu_dpcd_data,
  intel_vgpu_edid_data,
  intel_vgpu_port_of,
} from "./gvt.ts";

const GVT_DEFAULT_REFRESH_RATE = 60;
const DPCD_SINK_COUNT = 0x200;

/** What monitors of 1024x768 and of 1920x1200 say of themselves, 128 bytes each. */
const virtual_dp_monitor_edid = [
  "00ffffffffffff0022f054290000000004170104a534207823fc81a4554d9d25" +
    "12505421080000c000c0004000800000004000000001000080a070b023403020" +
    "360006442100001a000000fd00183c185011000a202020202020000000fc0048" +
    "50205a5232343430770a2020000000ff00434e34333034304458510a202000ef",
  "00ffffffffffff0022f054290000000004170104a534207823fc81a4554d9d25" +
    "125054210800d1c081c0814081809500a940b3000101283c80a070b023403020" +
    "360006442100001a000000fd00183c185011000a202020202020000000fc0048" +
    "50205a5232343430770a2020000000ff00434e34333034304458510a20200045",
];

const dpcd_fix_data = [0x12, 0x14, 0x84, 0, 0, 0, 0, 0, 0, 0, 0];

function clean_virtual_dp_monitor(vgpu: intel_vgpu, port_num: number): void {
  const port = intel_vgpu_port_of(vgpu, port_num);

  kfree(port.edid);
  port.edid = null;

  kfree(port.dpcd);
  port.dpcd = null;
}

function setup_virtual_dp_monitor(vgpu: intel_vgpu, port_num: number, type: number, resolution: number): number {
  const port = intel_vgpu_port_of(vgpu, port_num);

  if (WARN_ON(resolution >= GVT_EDID_NUM)) return -EINVAL;

  port.edid = kzalloc(intel_vgpu_edid_data, GFP_KERNEL);
  if (!port.edid) return -ENOMEM;

  port.dpcd = kzalloc(intel_vgpu_dpcd_data, GFP_KERNEL);
  if (!port.dpcd) {
    kfree(port.edid);
    return -ENOMEM;
  }

  const edid = virtual_dp_monitor_edid[resolution]!;
  const block = port.edid.edid_block.$bytes;
  for (let i = 0; i < block.length; i++) block[i] = Number.parseInt(edid.slice(2 * i, 2 * i + 2), 16);
  port.edid.data_valid = true;

  for (const [i, byte] of dpcd_fix_data.entries()) port.dpcd.data.set(i, byte);
  port.dpcd.data_valid = true;
  port.dpcd.data.set(DPCD_SINK_COUNT, 0x1);
  port.type = type;
  port.id = resolution;
  port.vrefresh_k = GVT_DEFAULT_REFRESH_RATE * 1000;
  vgpu.display.port_num = port_num;

  return 0;
}

export function intel_vgpu_clean_display(vgpu: intel_vgpu): void {
  if (IS_SKYLAKE(vgpu.gvt!.gt!.i915!)) clean_virtual_dp_monitor(vgpu, PORT_D);
  else clean_virtual_dp_monitor(vgpu, PORT_B);
}

/** @resolution: GVT_EDID_…. @return 0, -EINVAL or -ENOMEM. May sleep. */
export function intel_vgpu_init_display(vgpu: intel_vgpu, resolution: number): number {
  if (IS_SKYLAKE(vgpu.gvt!.gt!.i915!)) return setup_virtual_dp_monitor(vgpu, PORT_D, GVT_DP_D, resolution);
  return setup_virtual_dp_monitor(vgpu, PORT_B, GVT_DP_B, resolution);
}
