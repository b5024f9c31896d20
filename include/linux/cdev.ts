// SPDX-License-Identifier: GPL-2.0-only
// dup: character devices
import type { file_operations } from "#linux/fs.ts";
import { kobject } from "#linux/kobject.ts";
import { list_head } from "#linux/list.ts";
import type { module } from "#linux/module.ts";
import { embed, ptr, struct, u32 } from "#linux/types.ts";

export class cdev extends struct("cdev", {
  kobj: embed(() => kobject),
  owner: ptr<module>(),
  ops: ptr<file_operations>(),
  list: embed(() => list_head),
  dev: u32(),
  count: u32(),
}) {}

export {
  cd_forget,
  cdev_add,
  cdev_alloc,
  cdev_del,
  cdev_device_add,
  cdev_device_del,
  cdev_init,
  cdev_put,
  cdev_set_parent,
} from "../../kernel/fs/char_dev.ts";
