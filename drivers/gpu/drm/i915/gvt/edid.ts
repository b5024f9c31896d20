// SPDX-License-Identifier: GPL-2.0-only
/** Whether a block of an EDID is one. In place of drm_edid_block_valid() of drivers/gpu/drm/drm_edid.c, which also looks at versions. */
import { byte_at } from "#linux/string.ts";
import type { byte_memory } from "#linux/types.ts";
import { EDID_SIZE } from "./gvt.ts";

const HEADER = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];

/** Any context. */
export function drm_edid_block_valid(block: byte_memory): boolean {
  let sum = 0;
  for (let i = 0; i < EDID_SIZE; i++) sum += byte_at(block, i);
  return HEADER.every((b, i) => byte_at(block, i) === b) && (sum & 0xff) === 0;
}
