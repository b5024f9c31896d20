// SPDX-License-Identifier: GPL-2.0-only
// dup: the bus of Freescale's Management Complex; without the objects' own commands (dpbp, dpcon) and device links
import type { module } from "../../../kernel/modpost.ts";
import { __fsl_mc_driver_register, fsl_mc_bus_type } from "../../../drivers/bus/fsl-mc/fsl-mc-bus.ts";
import { device, device_driver, type device_type } from "../device.ts";
import type { iomem } from "../io.ts";
import type { resource } from "../ioport.ts";
import { list_head } from "../list.ts";
import type { fsl_mc_device_id } from "../mod_devicetable.ts";
import { mutex } from "../mutex.ts";
import { spinlock_t } from "../spinlock.ts";
import {
  bool,
  container_of,
  embed,
  fn,
  int,
  opaque,
  ptr,
  type Sleeps,
  str,
  struct,
  type struct_array,
  u16,
  u32,
  u64,
  u8,
} from "../types.ts";
import { MC_CMD_FLAG_INTR_DIS, MC_CMD_FLAG_PRI, MC_CMD_STATUS_READY } from "./mc_numbers.ts";
import { fsl_mc_command } from "#uapi/linux/fsl_mc.ts";
import type { fsl_mc_resource_pool } from "../../../drivers/bus/fsl-mc/fsl-mc-private.ts";

export { fsl_mc_command, mc_cmd_header } from "#uapi/linux/fsl_mc.ts";

export * from "./mc_numbers.ts";

export class fsl_mc_driver extends struct("fsl_mc_driver", {
  driver: embed(() => device_driver),
  match_id_table: opaque<readonly fsl_mc_device_id[] | null>(() => null),
  probe: fn<(dev: fsl_mc_device) => Sleeps<number> | number>(),
  remove: fn<(dev: fsl_mc_device) => Sleeps<number> | number>(),
  shutdown: fn<(dev: fsl_mc_device) => Sleeps | void>(),
  /** It looks after DMA itself: no domain of the kernel's for its devices. */
  driver_managed_dma: bool(),
}) {}
export const to_fsl_mc_driver = (drv: device_driver | null): fsl_mc_driver =>
  container_of(drv, fsl_mc_driver, "driver");

export class fsl_mc_resource extends struct("fsl_mc_resource", {
  type: u32(),
  id: int(),
  data: ptr<object>(),
  parent_pool: ptr<fsl_mc_resource_pool>(),
  node: embed(() => list_head),
}) {}

class fsl_mc_device_irq_base extends struct("fsl_mc_device_irq", {
  virq: u32(),
  mc_dev: ptr<fsl_mc_device>(),
  dev_irq_index: u8(),
  resource: embed(() => fsl_mc_resource),
}) {}
export class fsl_mc_device_irq extends fsl_mc_device_irq_base {}
export const to_fsl_mc_irq = (resource: fsl_mc_resource): fsl_mc_device_irq =>
  container_of(resource, fsl_mc_device_irq, "resource");

export const FSL_MC_OBJ_STATE_OPEN = 0x00000001;
export const FSL_MC_OBJ_STATE_PLUGGED = 0x00000002;
export const FSL_MC_OBJ_FLAG_NO_MEM_SHAREABILITY = 0x0001;

/** What the firmware says of an object. */
export class fsl_mc_obj_desc extends struct("fsl_mc_obj_desc", {
  /** `char[16]` */
  type: opaque<string>(() => "", 16),
  id: int(),
  vendor: u16(),
  ver_major: u16(),
  ver_minor: u16(),
  irq_count: u8(),
  region_count: u8(),
  state: u32(),
  label: opaque<string>(() => "", 16),
  flags: u16(),
}) {}

export const FSL_MC_IS_DPRC = 0x0001;
export const FSL_MC_REGION_CACHEABLE = 0x00000001;
export const FSL_MC_REGION_SHAREABLE = 0x00000002;

class fsl_mc_device_base extends struct("fsl_mc_device", {
  dev: embed(() => device),
  dma_mask: u64(),
  flags: u16(),
  icid: u32(),
  mc_handle: u16(),
  mc_io: ptr<fsl_mc_io>(),
  obj_desc: embed(() => fsl_mc_obj_desc),
  regions: ptr<struct_array<resource>>(),
  irqs: ptr<struct_array<fsl_mc_device_irq | null>>(),
  resource: ptr<fsl_mc_resource>(),
  consumer_link: ptr<object>(),
  /** Name of the only driver that may have it: set with driver_set_override(). */
  driver_override: str(),
}) {}
export class fsl_mc_device extends fsl_mc_device_base {}
/** The object that a device is. */
export const to_fsl_mc_device = (dev: device | null): fsl_mc_device => container_of(dev, fsl_mc_device, "dev");

/** A command with its header and without parameters. */
export function mc_encode_cmd_header(cmd_id: number, cmd_flags: number, token: number): fsl_mc_command {
  const cmd = new fsl_mc_command();
  const hdr = cmd.header;

  hdr.cmd_id = cmd_id;
  hdr.token = token;
  hdr.status = MC_CMD_STATUS_READY;
  if (cmd_flags & MC_CMD_FLAG_PRI) hdr.flags_hw = MC_CMD_FLAG_PRI;
  if (cmd_flags & MC_CMD_FLAG_INTR_DIS) hdr.flags_sw = MC_CMD_FLAG_INTR_DIS;

  return cmd;
}
export const mc_cmd_hdr_read_token = (cmd: fsl_mc_command): number => cmd.header.token;

/** Commands may be sent from any context: a spinlock guards the portal, not a mutex. */
export const FSL_MC_IO_ATOMIC_CONTEXT_PORTAL = 0x0001;

/** A portal to the firmware. */
export class fsl_mc_io extends struct("fsl_mc_io", {
  dev: ptr<device>(),
  flags: u16(),
  portal_size: u32(),
  portal_phys_addr: u64(),
  portal_virt_addr: ptr<iomem>(),
  dpmcp_dev: ptr<fsl_mc_device>(),
  /** Of these two one is used: they are a union in C. */
  mutex: embed(() => mutex),
  spinlock: embed(() => spinlock_t),
}) {}

export const dev_is_fsl_mc = (dev: device): boolean => dev.bus === fsl_mc_bus_type();

export const fsl_mc_is_cont_dev = (dev: device): boolean => (to_fsl_mc_device(dev).flags & FSL_MC_IS_DPRC) !== 0;
/** The container that a device is in; itself if it is one. */
export const fsl_mc_cont_dev = (dev: device): device | null => (fsl_mc_is_cont_dev(dev) ? dev : dev.parent);

/** @owner: THIS_MODULE, which the macro of C adds. @return 0 or errno. May sleep */
export const fsl_mc_driver_register = (drv: fsl_mc_driver, owner: module | null): Sleeps<number> =>
  __fsl_mc_driver_register(drv, owner);

export const fsl_mc_bus_dprc_type: device_type = { name: "fsl_mc_bus_dprc" };
export const fsl_mc_bus_dpni_type: device_type = { name: "fsl_mc_bus_dpni" };
export const fsl_mc_bus_dpio_type: device_type = { name: "fsl_mc_bus_dpio" };
export const fsl_mc_bus_dpsw_type: device_type = { name: "fsl_mc_bus_dpsw" };
export const fsl_mc_bus_dpbp_type: device_type = { name: "fsl_mc_bus_dpbp" };
export const fsl_mc_bus_dpcon_type: device_type = { name: "fsl_mc_bus_dpcon" };
export const fsl_mc_bus_dpmcp_type: device_type = { name: "fsl_mc_bus_dpmcp" };
export const fsl_mc_bus_dpmac_type: device_type = { name: "fsl_mc_bus_dpmac" };
export const fsl_mc_bus_dprtc_type: device_type = { name: "fsl_mc_bus_dprtc" };
export const fsl_mc_bus_dpseci_type: device_type = { name: "fsl_mc_bus_dpseci" };
export const fsl_mc_bus_dpdmux_type: device_type = { name: "fsl_mc_bus_dpdmux" };
export const fsl_mc_bus_dpdcei_type: device_type = { name: "fsl_mc_bus_dpdcei" };
export const fsl_mc_bus_dpaiop_type: device_type = { name: "fsl_mc_bus_dpaiop" };
export const fsl_mc_bus_dpci_type: device_type = { name: "fsl_mc_bus_dpci" };
export const fsl_mc_bus_dpdmai_type: device_type = { name: "fsl_mc_bus_dpdmai" };
export const fsl_mc_bus_dpdbg_type: device_type = { name: "fsl_mc_bus_dpdbg" };

export const is_fsl_mc_bus_dprc = (mc_dev: fsl_mc_device): boolean => mc_dev.dev.type === fsl_mc_bus_dprc_type;
export const is_fsl_mc_bus_dpio = (mc_dev: fsl_mc_device): boolean => mc_dev.dev.type === fsl_mc_bus_dpio_type;
export const is_fsl_mc_bus_dpbp = (mc_dev: fsl_mc_device): boolean => mc_dev.dev.type === fsl_mc_bus_dpbp_type;
export const is_fsl_mc_bus_dpcon = (mc_dev: fsl_mc_device): boolean => mc_dev.dev.type === fsl_mc_bus_dpcon_type;
export const is_fsl_mc_bus_dpmcp = (mc_dev: fsl_mc_device): boolean => mc_dev.dev.type === fsl_mc_bus_dpmcp_type;

export const DPRC_RESET_OPTION_NON_RECURSIVE = 0x00000001;

/** As many interrupts as are taken for a container at once. */
export const FSL_MC_IRQ_POOL_MAX_TOTAL_IRQS = 256;

export {
  __fsl_mc_driver_register,
  fsl_mc_bus_type,
  fsl_mc_device_add,
  fsl_mc_device_remove,
  fsl_mc_driver_unregister,
  fsl_mc_get_version,
} from "../../../drivers/bus/fsl-mc/fsl-mc-bus.ts";
export { fsl_mc_msi_create_irq_domain } from "../../../drivers/bus/fsl-mc/fsl-mc-msi.ts";
export { fsl_mc_obj_close, fsl_mc_obj_open, fsl_mc_obj_reset } from "../../../drivers/bus/fsl-mc/obj-api.ts";
export { dprc_reset_container } from "../../../drivers/bus/fsl-mc/dprc.ts";
export {
  dprc_cleanup,
  dprc_remove_devices,
  dprc_scan_container,
  dprc_setup,
} from "../../../drivers/bus/fsl-mc/dprc-driver.ts";
export {
  fsl_mc_allocate_irqs,
  fsl_mc_cleanup_irq_pool,
  fsl_mc_free_irqs,
  fsl_mc_populate_irq_pool,
} from "../../../drivers/bus/fsl-mc/fsl-mc-allocator.ts";
export { mc_send_command } from "../../../drivers/bus/fsl-mc/mc-sys.ts";
