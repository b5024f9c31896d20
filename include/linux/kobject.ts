// SPDX-License-Identifier: GPL-2.0-only
// dup: kobjects
import type { attribute_groups, sysfs_ops } from "./sysfs.ts";
import type { kernfs_node } from "./kernfs.ts";
import { kref } from "./kref.ts";
import { list_head } from "./list.ts";
import { spinlock_t } from "./spinlock.ts";
import { bool, container_of, embed, int, type kbuf, opaque, ptr, type Sleeps, str, struct } from "./types.ts";
import { kobject_get, kobject_put } from "../../kernel/lib/kobject.ts";

export const UEVENT_NUM_ENVP = 64;
export const UEVENT_BUFFER_SIZE = 2048;

export const KOBJ_ADD = 0;
export const KOBJ_REMOVE = 1;
export const KOBJ_CHANGE = 2;
export const KOBJ_MOVE = 3;
export const KOBJ_ONLINE = 4;
export const KOBJ_OFFLINE = 5;
export const KOBJ_BIND = 6;
export const KOBJ_UNBIND = 7;
export type kobject_action = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

export class kobject extends struct("kobject", {
  name: str(),
  entry: embed(() => list_head),
  parent: ptr<kobject>(),
  kset: ptr<kset>(),
  ktype: opaque<kobj_type | null>(() => null),
  sd: ptr<kernfs_node>(),
  kref: embed(() => kref),
  state_initialized: bool(),
  state_in_sysfs: bool(),
  state_add_uevent_sent: bool(),
  state_remove_uevent_sent: bool(),
  uevent_suppress: bool(),
  /** The memory that `name` points to in C: what fails, leaks and is freed. */
  $name: opaque<kbuf | null>(() => null, 0),
}) {}

/** What all kobjects of one kind have in common. Constant, at file scope. */
export interface kobj_type {
  readonly release?: (kobj: kobject) => Sleeps | void;
  readonly sysfs_ops?: sysfs_ops;
  readonly default_groups?: attribute_groups;
}

export class kobj_uevent_env extends struct("kobj_uevent_env", {
  /** `NAME=value` each. */
  envp: opaque<string[]>(() => [], UEVENT_NUM_ENVP * 8 + UEVENT_BUFFER_SIZE),
  envp_idx: int(),
  buflen: int(),
}) {}

export interface kset_uevent_ops {
  readonly filter?: (kobj: kobject) => boolean;
  readonly name?: (kobj: kobject) => string | null;
  readonly uevent?: (kobj: kobject, env: kobj_uevent_env) => number;
}

export class kset extends struct("kset", {
  list: embed(() => list_head),
  list_lock: embed(() => spinlock_t),
  kobj: embed(() => kobject),
  uevent_ops: opaque<kset_uevent_ops | null>(() => null),
}) {}

export const kobject_name = (kobj: kobject): string | null => kobj.name;
export const get_ktype = (kobj: kobject): kobj_type | null => kobj.ktype;
export const to_kset = (kobj: kobject | null): kset | null => (kobj ? container_of(kobj, kset, "kobj") : null);
export const kset_get = (k: kset | null): kset | null => (k ? to_kset(kobject_get(k.kobj)) : null);
export const kset_put = (k: kset): Sleeps => kobject_put(k.kobj);

export { __ATTR, kobj_attribute, type kobj_show, type kobj_store } from "../../kernel/fs/sysfs/attribute.ts";
export {
  kobj_sysfs_ops,
  kobject_add,
  kobject_create_and_add,
  kobject_del,
  kobject_get,
  kobject_get_path,
  kobject_get_unless_zero,
  kobject_init,
  kobject_init_and_add,
  kobject_move,
  kobject_put,
  kobject_rename,
  kobject_set_name,
} from "../../kernel/lib/kobject.ts";
export {
  kset_create_and_add,
  kset_find_obj,
  kset_init,
  kset_register,
  kset_unregister,
} from "../../kernel/lib/kset.ts";
export { kernel_kobj } from "../../kernel/ksysfs.ts";
export {
  add_uevent_var,
  kobject_synth_uevent,
  kobject_uevent,
  kobject_uevent_env,
  type uevent,
  uevents,
} from "../../kernel/lib/kobject_uevent.ts";
export { kobject_warn } from "../../kernel/lib/kobject_debug.ts";
