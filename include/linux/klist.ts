// SPDX-License-Identifier: GPL-2.0-only
// dup: lists that can be walked while members leave
import { list_head } from "./list.ts";
import { kref } from "./kref.ts";
import { spinlock_t } from "./spinlock.ts";
import { bool, embed, fn, ptr, type Sleeps, struct } from "./types.ts";

export class klist extends struct("klist", {
  k_lock: embed(() => spinlock_t),
  k_list: embed(() => list_head),
  get: fn<(n: klist_node) => void>(),
  put: fn<(n: klist_node) => Sleeps>(),
}) {}

export class klist_node extends struct("klist_node", {
  n_klist: ptr<klist>(),
  n_node: embed(() => list_head),
  n_ref: embed(() => kref),
  /** Lowest bit of n_klist in C. */
  $dead: bool(),
}) {}

export class klist_iter extends struct("klist_iter", { i_klist: ptr<klist>(), i_cur: ptr<klist_node>() }) {}

export {
  klist_add_behind,
  klist_add_before,
  klist_add_head,
  klist_add_tail,
  klist_del,
  klist_init,
  klist_iter_exit,
  klist_iter_init,
  klist_iter_init_node,
  klist_next,
  klist_node_attached,
  klist_prev,
  klist_remove,
} from "../../kernel/lib/klist.ts";
