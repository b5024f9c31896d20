// SPDX-License-Identifier: GPL-2.0-only
// custom: intervals by where they begin
export {
  interval_tree_insert,
  interval_tree_iter_first,
  interval_tree_iter_next,
  interval_tree_node,
  interval_tree_remove,
} from "../../kernel/lib/interval_tree.ts";
