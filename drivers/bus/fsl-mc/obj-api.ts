// SPDX-License-Identifier: GPL-2.0-only
/** Commands that all objects understand. Source: drivers/bus/fsl-mc/obj-api.c */
import { ENODEV } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { type fsl_mc_io, mc_cmd_hdr_read_token, mc_encode_cmd_header, mc_send_command } from "#linux/fsl/mc.ts";
import { cast_to, type Sleeps } from "#linux/types.ts";
import { fsl_mc_obj_cmd_open, OBJ_CMDID_CLOSE, OBJ_CMDID_RESET, open_cmd_id } from "./fsl-mc-private.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const fsl_mc_get_open_cmd_id = (type: string): number => open_cmd_id(type);

/** Opens an object. @token: set to what names it in further commands. @return 0, -ENODEV for an unknown type, errno */
export function* fsl_mc_obj_open(
  mc_io: fsl_mc_io,
  cmd_flags: number,
  obj_id: number,
  obj_type: string,
  token: { value: number },
): Sleeps<number> {
  const cmd_id = fsl_mc_get_open_cmd_id(obj_type);

  if (cmd_id === -1) return -ENODEV;

  const cmd = mc_encode_cmd_header(cmd_id, cmd_flags, 0);
  cast_to(fsl_mc_obj_cmd_open, cmd.params).obj_id = obj_id;

  const err = yield* mc_send_command(mc_io, cmd);
  if (err) return err;

  token.value = mc_cmd_hdr_read_token(cmd);

  return err;
}
EXPORT_SYMBOL_GPL(fsl_mc_obj_open);

export function fsl_mc_obj_close(mc_io: fsl_mc_io, cmd_flags: number, token: number): Sleeps<number> {
  return mc_send_command(mc_io, mc_encode_cmd_header(OBJ_CMDID_CLOSE, cmd_flags, token));
}
EXPORT_SYMBOL_GPL(fsl_mc_obj_close);

export function fsl_mc_obj_reset(mc_io: fsl_mc_io, cmd_flags: number, token: number): Sleeps<number> {
  return mc_send_command(mc_io, mc_encode_cmd_header(OBJ_CMDID_RESET, cmd_flags, token));
}
EXPORT_SYMBOL_GPL(fsl_mc_obj_reset);
