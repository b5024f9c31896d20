// SPDX-License-Identifier: GPL-2.0-only
// dup: devices that share the major number 10
import type { device } from "#linux/device.ts";
import type { file_operations } from "#linux/fs.ts";
import { list_head } from "#linux/list.ts";
import type { attribute_group } from "#linux/sysfs.ts";
import { embed, int, ptr, str, struct, u16 } from "#linux/types.ts";

export const VFIO_MINOR = 196;
export const KVM_MINOR = 232;
export const MISC_DYNAMIC_MINOR = 255;

export class miscdevice extends struct("miscdevice", {
  minor: int(),
  name: str(),
  fops: ptr<file_operations>(),
  list: embed(() => list_head),
  parent: ptr<device>(),
  this_device: ptr<device>(),
  groups: ptr<readonly attribute_group[]>(),
  nodename: str(),
  mode: u16(),
}) {}

export { misc_deregister, misc_register } from "../../kernel/fs/misc.ts";
