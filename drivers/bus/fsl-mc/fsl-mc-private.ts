// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the files of the fsl-mc bus share. Source: drivers/bus/fsl-mc/fsl-mc-private.h
 * Not here: the commands of dpmcp, dpbp and dpcon objects, and the device for user space (CONFIG_FSL_MC_UAPI_SUPPORT is off).
 */
import { fsl_mc_device, type fsl_mc_device_irq } from "#linux/fsl/mc.ts";
import { FSL_MC_NUM_POOL_TYPES } from "#linux/fsl/mc_numbers.ts";
import { list_head } from "#linux/list.ts";
import { mutex } from "#linux/mutex.ts";
import {
  array,
  b16,
  b32,
  b64,
  b8,
  bytes,
  bytestruct,
  container_of,
  embed,
  int,
  ptr,
  struct,
  type struct_array,
  u32,
  u64,
} from "#linux/types.ts";

const CMD = (id: number, version = 1): number => (id << 4) | version;

export const DPMNG_CMDID_GET_VERSION = CMD(0x831);
export class dpmng_rsp_get_version extends bytestruct("dpmng_rsp_get_version", {
  revision: b32(),
  version_major: b32(),
  version_minor: b32(),
}) {}

export const DPRC_MIN_VER_MAJOR = 6;
export const DPRC_MIN_VER_MINOR = 0;

export const DPRC_CMDID_CLOSE = CMD(0x800);
export const DPRC_CMDID_GET_API_VERSION = CMD(0xa05);
export const DPRC_CMDID_GET_ATTR = CMD(0x004);
export const DPRC_CMDID_RESET_CONT = CMD(0x005);
export const DPRC_CMDID_RESET_CONT_V2 = CMD(0x005, 2);
export const DPRC_CMDID_SET_IRQ = CMD(0x010);
export const DPRC_CMDID_SET_IRQ_ENABLE = CMD(0x012);
export const DPRC_CMDID_SET_IRQ_MASK = CMD(0x014);
export const DPRC_CMDID_GET_IRQ_STATUS = CMD(0x016);
export const DPRC_CMDID_CLEAR_IRQ_STATUS = CMD(0x017);
export const DPRC_CMDID_GET_CONT_ID = CMD(0x830);
export const DPRC_CMDID_GET_OBJ_COUNT = CMD(0x159);
export const DPRC_CMDID_GET_OBJ = CMD(0x15a);
export const DPRC_CMDID_GET_OBJ_REG = CMD(0x15e);
export const DPRC_CMDID_GET_OBJ_REG_V2 = CMD(0x15e, 2);
export const DPRC_CMDID_GET_OBJ_REG_V3 = CMD(0x15e, 3);
export const DPRC_CMDID_SET_OBJ_IRQ = CMD(0x15f);

export const DPRC_ENABLE = 0x1;

export class dprc_cmd_open extends bytestruct("dprc_cmd_open", { container_id: b32() }) {}
export class dprc_cmd_reset_container extends bytestruct("dprc_cmd_reset_container", {
  child_container_id: b32(),
  options: b32(),
}) {}
export class dprc_cmd_set_irq extends bytestruct("dprc_cmd_set_irq", {
  irq_val: b32(),
  irq_index: b8(),
  pad: bytes(3),
  irq_addr: b64(),
  irq_num: b32(),
}) {}
export class dprc_cmd_set_irq_enable extends bytestruct("dprc_cmd_set_irq_enable", {
  enable: b8(),
  pad: bytes(3),
  irq_index: b8(),
}) {}
export class dprc_cmd_set_irq_mask extends bytestruct("dprc_cmd_set_irq_mask", { mask: b32(), irq_index: b8() }) {}
export class dprc_cmd_get_irq_status extends bytestruct("dprc_cmd_get_irq_status", {
  status: b32(),
  irq_index: b8(),
}) {}
export class dprc_rsp_get_irq_status extends bytestruct("dprc_rsp_get_irq_status", { status: b32() }) {}
export class dprc_cmd_clear_irq_status extends bytestruct("dprc_cmd_clear_irq_status", {
  status: b32(),
  irq_index: b8(),
}) {}
export class dprc_rsp_get_attributes extends bytestruct("dprc_rsp_get_attributes", {
  container_id: b32(),
  icid: b32(),
  options: b32(),
  portal_id: b32(),
}) {}
export class dprc_rsp_get_obj_count extends bytestruct("dprc_rsp_get_obj_count", { pad: b32(), obj_count: b32() }) {}
export class dprc_cmd_get_obj extends bytestruct("dprc_cmd_get_obj", { obj_index: b32() }) {}
export class dprc_rsp_get_obj extends bytestruct("dprc_rsp_get_obj", {
  pad0: b32(),
  id: b32(),
  vendor: b16(),
  irq_count: b8(),
  region_count: b8(),
  state: b32(),
  version_major: b16(),
  version_minor: b16(),
  flags: b16(),
  pad1: b16(),
  type: bytes(16),
  label: bytes(16),
}) {}
export class dprc_cmd_get_obj_region extends bytestruct("dprc_cmd_get_obj_region", {
  obj_id: b32(),
  pad0: b16(),
  region_index: b8(),
  pad1: b8(),
  pad2: bytes(16),
  obj_type: bytes(16),
}) {}
export class dprc_rsp_get_obj_region extends bytestruct("dprc_rsp_get_obj_region", {
  pad0: b64(),
  base_offset: b64(),
  size: b32(),
  type: b8(),
  pad2: bytes(3),
  flags: b32(),
  pad3: b32(),
  /** 0 from older firmware */
  base_addr: b64(),
}) {}
export class dprc_cmd_set_obj_irq extends bytestruct("dprc_cmd_set_obj_irq", {
  irq_val: b32(),
  irq_index: b8(),
  pad: bytes(3),
  irq_addr: b64(),
  irq_num: b32(),
  obj_id: b32(),
  obj_type: bytes(16),
}) {}
export class mc_rsp_create extends bytestruct("mc_rsp_create", { object_id: b32() }) {}
export class mc_rsp_api_ver extends bytestruct("mc_rsp_api_ver", { major_ver: b16(), minor_ver: b16() }) {}

export const DPRC_IRQ_EVENT_OBJ_ADDED = 0x00000001;
export const DPRC_IRQ_EVENT_OBJ_REMOVED = 0x00000002;
export const DPRC_IRQ_EVENT_CONTAINER_DESTROYED = 0x00000010;
export const DPRC_IRQ_EVENT_OBJ_DESTROYED = 0x00000020;
export const DPRC_IRQ_EVENT_OBJ_CREATED = 0x00000040;

/** Where the firmware sends a message, and which. */
export interface dprc_irq_cfg {
  readonly paddr: bigint;
  readonly val: number;
  readonly irq_num: number;
}

export class dprc_attributes extends struct("dprc_attributes", {
  container_id: int(),
  icid: u32(),
  portal_id: int(),
  options: u64(),
}) {}

export const DPRC_REGION_TYPE_MC_PORTAL = 0;
export const DPRC_REGION_TYPE_QBMAN_PORTAL = 1;

export class dprc_region_desc extends struct("dprc_region_desc", {
  base_offset: u32(),
  size: u32(),
  flags: u32(),
  type: u32(),
  base_address: u64(),
}) {}

const OPEN: Readonly<Record<string, number>> = {
  dpni: 0x801,
  dpsw: 0x802,
  dpio: 0x803,
  dpbp: 0x804,
  dprc: 0x805,
  dpdmux: 0x806,
  dpci: 0x807,
  dpcon: 0x808,
  dpseci: 0x809,
  dpaiop: 0x80a,
  dpmcp: 0x80b,
  dpmac: 0x80c,
  dpdcei: 0x80d,
  dpdmai: 0x80e,
  dpdbg: 0x80f,
  dprtc: 0x810,
};
export const DPRC_CMDID_OPEN = CMD(0x805);
/** The command that opens an object of a type, -1 if there is none. */
export function open_cmd_id(type: string): number {
  const id = OPEN[type];
  return id === undefined ? -1 : CMD(id);
}
export const OBJ_CMDID_CLOSE = CMD(0x800);
export const OBJ_CMDID_RESET = CMD(0x005);
export class fsl_mc_obj_cmd_open extends bytestruct("fsl_mc_obj_cmd_open", { obj_id: b32() }) {}

class fsl_mc_resource_pool_base extends struct("fsl_mc_resource_pool", {
  type: u32(),
  max_count: int(),
  free_count: int(),
  mutex: embed(() => mutex),
  free_list: embed(() => list_head),
  mc_bus: ptr<fsl_mc_bus>(),
}) {}
export class fsl_mc_resource_pool extends fsl_mc_resource_pool_base {}

class fsl_mc_bus_base extends struct("fsl_mc_bus", {
  mc_dev: embed(() => fsl_mc_device),
  resource_pools: array(
    FSL_MC_NUM_POOL_TYPES,
    embed(() => fsl_mc_resource_pool),
  ),
  irq_resources: ptr<struct_array<fsl_mc_device_irq>>(),
  /** One scan at a time. */
  scan_mutex: embed(() => mutex),
  dprc_attr: embed(() => dprc_attributes),
  irq_enabled: int(),
}) {}
export class fsl_mc_bus extends fsl_mc_bus_base {}
/** The bus that a container is. */
export const to_fsl_mc_bus = (mc_dev: fsl_mc_device | null): fsl_mc_bus => container_of(mc_dev, fsl_mc_bus, "mc_dev");

export { fsl_mc_device_add, fsl_mc_device_remove, fsl_mc_get_root_dprc, fsl_mc_is_root_dprc } from "./fsl-mc-bus.ts";
export {
  disable_dprc_irq,
  dprc_driver_exit,
  dprc_driver_init,
  dprc_scan_objects,
  enable_dprc_irq,
  fsl_mc_device_lookup,
  get_dprc_irq_state,
} from "./dprc-driver.ts";
export {
  fsl_mc_allocator_driver_exit,
  fsl_mc_allocator_driver_init,
  fsl_mc_cleanup_all_resource_pools,
  fsl_mc_init_all_resource_pools,
} from "./fsl-mc-allocator.ts";
export { fsl_mc_find_msi_domain, fsl_mc_msi_domain_alloc_irqs, fsl_mc_msi_domain_free_irqs } from "./fsl-mc-msi.ts";
export { fsl_create_mc_io, fsl_destroy_mc_io } from "./mc-io.ts";
export {
  dprc_clear_irq_status,
  dprc_close,
  dprc_get_api_version,
  dprc_get_attributes,
  dprc_get_container_id,
  dprc_get_irq_status,
  dprc_get_obj,
  dprc_get_obj_count,
  dprc_get_obj_region,
  dprc_open,
  dprc_set_irq,
  dprc_set_irq_enable,
  dprc_set_irq_mask,
  dprc_set_obj_irq,
} from "./dprc.ts";
export { mc_cmd_hdr_read_cmdid } from "./mc-sys.ts";
