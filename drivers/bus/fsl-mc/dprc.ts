// SPDX-License-Identifier: GPL-2.0-only
/** Commands to a container. Source: drivers/bus/fsl-mc/dprc.c. Not here: dprc_get_connection(), of which no driver here asks. */
import { kbuild } from "#linux/export.ts";
import {
  type fsl_mc_io,
  type fsl_mc_obj_desc,
  mc_cmd_hdr_read_token,
  mc_encode_cmd_header,
  mc_send_command,
} from "#linux/fsl/mc.ts";
import { c_string } from "#linux/string.ts";
import { cast_to, type kbuf, type Sleeps } from "#linux/types.ts";
import {
  type dprc_attributes,
  DPRC_CMDID_CLEAR_IRQ_STATUS,
  DPRC_CMDID_CLOSE,
  DPRC_CMDID_GET_API_VERSION,
  DPRC_CMDID_GET_ATTR,
  DPRC_CMDID_GET_CONT_ID,
  DPRC_CMDID_GET_IRQ_STATUS,
  DPRC_CMDID_GET_OBJ,
  DPRC_CMDID_GET_OBJ_COUNT,
  DPRC_CMDID_GET_OBJ_REG,
  DPRC_CMDID_GET_OBJ_REG_V2,
  DPRC_CMDID_GET_OBJ_REG_V3,
  DPRC_CMDID_OPEN,
  DPRC_CMDID_RESET_CONT,
  DPRC_CMDID_RESET_CONT_V2,
  DPRC_CMDID_SET_IRQ,
  DPRC_CMDID_SET_IRQ_ENABLE,
  DPRC_CMDID_SET_IRQ_MASK,
  DPRC_CMDID_SET_OBJ_IRQ,
  dprc_cmd_clear_irq_status,
  dprc_cmd_get_irq_status,
  dprc_cmd_get_obj,
  dprc_cmd_get_obj_region,
  dprc_cmd_open,
  dprc_cmd_reset_container,
  dprc_cmd_set_irq,
  dprc_cmd_set_irq_enable,
  dprc_cmd_set_irq_mask,
  dprc_cmd_set_obj_irq,
  DPRC_ENABLE,
  type dprc_irq_cfg,
  type dprc_region_desc,
  dprc_rsp_get_attributes,
  dprc_rsp_get_irq_status,
  dprc_rsp_get_obj,
  dprc_rsp_get_obj_count,
  dprc_rsp_get_obj_region,
  mc_rsp_api_ver,
  mc_rsp_create,
} from "./fsl-mc-private.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

interface out_number {
  value: number;
}

/** The version, asked for once. */
const s = per_boot(() => ({ major: { value: 0 }, minor: { value: 0 } }));

/* strncpy() into a `u8[16]`, and the NUL at its end */
function put_name(to: kbuf, name: string): void {
  for (let i = 0; i < 15; i++) to.$bytes[i] = name.charCodeAt(i) || 0;
  to.$bytes[15] = 0;
}

/** Opens a container. @token: set to what names it in further commands. @return 0 or errno. As mc_send_command() may sleep */
export function* dprc_open(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  container_id: number,
  token: out_number,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_OPEN, cmd_flags, 0);
  cast_to(dprc_cmd_open, cmd.params).container_id = container_id;

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  token.value = mc_cmd_hdr_read_token(cmd);

  return 0;
}
EXPORT_SYMBOL_GPL(dprc_open);

export function dprc_close(mc_io: fsl_mc_io, cmd_flags: number, token: number): Sleeps<number> {
  return mc_send_command(mc_io, mc_encode_cmd_header(DPRC_CMDID_CLOSE, cmd_flags, token));
}
EXPORT_SYMBOL_GPL(dprc_close);

function* cache_version(mc_io: fsl_mc_io): Sleeps<number> {
  if (s.major.value || s.minor.value) return 0;
  return yield* dprc_get_api_version(mc_io, 0, s.major, s.minor);
}
const version_is = (major: number, minor: number): boolean =>
  s.major.value > major || (s.major.value === major && s.minor.value >= minor);

/** Resets the objects of a container. @options: DPRC_RESET_OPTION_, if the firmware knows them. @return 0 or errno */
export function* dprc_reset_container(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  child_container_id: number,
  options: number,
): Sleeps<number> {
  let cmdid = DPRC_CMDID_RESET_CONT;

  const err = yield* cache_version(mc_io);
  if (err) return err;

  // Options came with 6.5
  if (version_is(6, 5)) cmdid = DPRC_CMDID_RESET_CONT_V2;

  const cmd = mc_encode_cmd_header(cmdid, cmd_flags, token);
  const cmd_params = cast_to(dprc_cmd_reset_container, cmd.params);
  cmd_params.child_container_id = child_container_id;
  cmd_params.options = options;

  return yield* mc_send_command(mc_io, cmd);
}
EXPORT_SYMBOL_GPL(dprc_reset_container);

/** Where the container's own interrupt goes. */
export function dprc_set_irq(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  irq_index: number,
  irq_cfg: dprc_irq_cfg,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_SET_IRQ, cmd_flags, token);
  const cmd_params = cast_to(dprc_cmd_set_irq, cmd.params);
  cmd_params.irq_val = irq_cfg.val;
  cmd_params.irq_index = irq_index;
  cmd_params.irq_addr = irq_cfg.paddr;
  cmd_params.irq_num = irq_cfg.irq_num;

  return mc_send_command(mc_io, cmd);
}

export function dprc_set_irq_enable(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  irq_index: number,
  en: number,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_SET_IRQ_ENABLE, cmd_flags, token);
  const cmd_params = cast_to(dprc_cmd_set_irq_enable, cmd.params);
  cmd_params.enable = en & DPRC_ENABLE;
  cmd_params.irq_index = irq_index;

  return mc_send_command(mc_io, cmd);
}

export function dprc_set_irq_mask(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  irq_index: number,
  mask: number,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_SET_IRQ_MASK, cmd_flags, token);
  const cmd_params = cast_to(dprc_cmd_set_irq_mask, cmd.params);
  cmd_params.mask = mask;
  cmd_params.irq_index = irq_index;

  return mc_send_command(mc_io, cmd);
}

export function* dprc_get_irq_status(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  irq_index: number,
  status: out_number,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_GET_IRQ_STATUS, cmd_flags, token);
  const cmd_params = cast_to(dprc_cmd_get_irq_status, cmd.params);
  cmd_params.status = status.value;
  cmd_params.irq_index = irq_index;

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  status.value = cast_to(dprc_rsp_get_irq_status, cmd.params).status;

  return 0;
}

export function dprc_clear_irq_status(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  irq_index: number,
  status: number,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_CLEAR_IRQ_STATUS, cmd_flags, token);
  const cmd_params = cast_to(dprc_cmd_clear_irq_status, cmd.params);
  cmd_params.status = status;
  cmd_params.irq_index = irq_index;

  return mc_send_command(mc_io, cmd);
}

export function* dprc_get_attributes(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  attr: dprc_attributes,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_GET_ATTR, cmd_flags, token);

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  const rsp_params = cast_to(dprc_rsp_get_attributes, cmd.params);
  attr.container_id = rsp_params.container_id;
  attr.icid = rsp_params.icid;
  attr.options = BigInt(rsp_params.options);
  attr.portal_id = rsp_params.portal_id;

  return 0;
}

export function* dprc_get_obj_count(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  obj_count: out_number,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_GET_OBJ_COUNT, cmd_flags, token);

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  obj_count.value = cast_to(dprc_rsp_get_obj_count, cmd.params).obj_count | 0;

  return 0;
}
EXPORT_SYMBOL_GPL(dprc_get_obj_count);

/** The `obj_index`th of as many objects as dprc_get_obj_count() said. */
export function* dprc_get_obj(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  obj_index: number,
  obj_desc: fsl_mc_obj_desc,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_GET_OBJ, cmd_flags, token);
  cast_to(dprc_cmd_get_obj, cmd.params).obj_index = obj_index;

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  const rsp_params = cast_to(dprc_rsp_get_obj, cmd.params);
  obj_desc.id = rsp_params.id;
  obj_desc.vendor = rsp_params.vendor;
  obj_desc.irq_count = rsp_params.irq_count;
  obj_desc.region_count = rsp_params.region_count;
  obj_desc.state = rsp_params.state;
  obj_desc.ver_major = rsp_params.version_major;
  obj_desc.ver_minor = rsp_params.version_minor;
  obj_desc.flags = rsp_params.flags;
  obj_desc.type = c_string(rsp_params.type).slice(0, 15);
  obj_desc.label = c_string(rsp_params.label).slice(0, 15);
  return 0;
}
EXPORT_SYMBOL_GPL(dprc_get_obj);

/** Where an object's interrupt goes. */
export function dprc_set_obj_irq(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  obj_type: string,
  obj_id: number,
  irq_index: number,
  irq_cfg: dprc_irq_cfg,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_SET_OBJ_IRQ, cmd_flags, token);
  const cmd_params = cast_to(dprc_cmd_set_obj_irq, cmd.params);
  cmd_params.irq_val = irq_cfg.val;
  cmd_params.irq_index = irq_index;
  cmd_params.irq_addr = irq_cfg.paddr;
  cmd_params.irq_num = irq_cfg.irq_num;
  cmd_params.obj_id = obj_id;
  put_name(cmd_params.obj_type, obj_type);

  return mc_send_command(mc_io, cmd);
}
EXPORT_SYMBOL_GPL(dprc_set_obj_irq);

/** Where the registers of an object are. */
export function* dprc_get_obj_region(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  token: number,
  obj_type: string,
  obj_id: number,
  region_index: number,
  region_desc: dprc_region_desc,
): Sleeps<number> {
  let err = yield* cache_version(mc_io);
  if (err) return err;

  // 6.3 says an address, 6.6 the sizes that the hardware has
  const cmdid = version_is(6, 6)
    ? DPRC_CMDID_GET_OBJ_REG_V3
    : s.major.value === 6 && s.minor.value >= 3
      ? DPRC_CMDID_GET_OBJ_REG_V2
      : DPRC_CMDID_GET_OBJ_REG;
  const cmd = mc_encode_cmd_header(cmdid, cmd_flags, token);

  const cmd_params = cast_to(dprc_cmd_get_obj_region, cmd.params);
  cmd_params.obj_id = obj_id;
  cmd_params.region_index = region_index;
  put_name(cmd_params.obj_type, obj_type);

  err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  const rsp_params = cast_to(dprc_rsp_get_obj_region, cmd.params);
  region_desc.base_offset = Number(BigInt.asUintN(32, rsp_params.base_offset));
  region_desc.size = rsp_params.size;
  region_desc.type = rsp_params.type;
  region_desc.flags = rsp_params.flags;
  region_desc.base_address = version_is(6, 3) ? rsp_params.base_addr : 0n;

  return 0;
}
EXPORT_SYMBOL_GPL(dprc_get_obj_region);

export function* dprc_get_api_version(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  major_ver: out_number,
  minor_ver: out_number,
): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_GET_API_VERSION, cmd_flags, 0);

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  const rsp_params = cast_to(mc_rsp_api_ver, cmd.params);
  major_ver.value = rsp_params.major_ver;
  minor_ver.value = rsp_params.minor_ver;

  return 0;
}
EXPORT_SYMBOL_GPL(dprc_get_api_version);

/** The container that a portal belongs to. */
export function* dprc_get_container_id(mc_io: fsl_mc_io, cmd_flags: number, container_id: out_number): Sleeps<number> {
  const cmd = mc_encode_cmd_header(DPRC_CMDID_GET_CONT_ID, cmd_flags, 0);

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  container_id.value = cast_to(mc_rsp_create, cmd.params).object_id | 0;

  return 0;
}
