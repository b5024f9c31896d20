// SPDX-License-Identifier: GPL-2.0-only
/**
 * Trees of intervals, in the order in which they begin. Without C's note in each node of where the last interval below it
 * ends: a search walks the nodes one by one. Source: include/linux/interval_tree_generic.h
 */
import {
  rb_entry,
  rb_erase,
  rb_first,
  rb_insert_color,
  rb_link_left,
  rb_link_node,
  rb_link_right,
  rb_link_root,
  rb_linked,
  rb_next,
  rb_node,
  rb_root,
} from "../../include/linux/rbtree.ts";
import { embed, ptr, struct, ulong } from "./struct.ts";

class rb_root_cached_base extends struct("rb_root_cached", {
  rb_root: embed(() => rb_root),
  rb_leftmost: ptr<rb_node>(),
}) {}
export class rb_root_cached extends rb_root_cached_base {}

class interval_tree_node_base extends struct("interval_tree_node", {
  rb: embed(() => rb_node),
  start: ulong(),
  /** The last one that is inside. */
  last: ulong(),
}) {}
export class interval_tree_node extends interval_tree_node_base {}

export function interval_tree_insert(node: interval_tree_node, root: rb_root_cached): void {
  let link = rb_link_root(root.rb_root);
  let parent: rb_node | null = null;
  for (let n = rb_linked(link); n; n = rb_linked(link)) {
    parent = n;
    link = node.start < rb_entry(n, interval_tree_node, "rb").start ? rb_link_left(n) : rb_link_right(n);
  }
  rb_link_node(node.rb, parent, link);
  rb_insert_color(node.rb, root.rb_root);
  root.rb_leftmost = rb_first(root.rb_root);
}
export function interval_tree_remove(node: interval_tree_node, root: rb_root_cached): void {
  rb_erase(node.rb, root.rb_root);
  root.rb_leftmost = rb_first(root.rb_root);
}

function first_from(from: rb_node | null, start: bigint, last: bigint): interval_tree_node | null {
  for (let n = from; n; n = rb_next(n)) {
    const node = rb_entry(n, interval_tree_node, "rb");
    if (node.start <= last && start <= node.last) return node;
  }
  return null;
}
/** The first interval that shares something with [start, last], or NULL. */
export function interval_tree_iter_first(root: rb_root_cached, start: bigint, last: bigint): interval_tree_node | null {
  return first_from(root.rb_leftmost, start, last);
}
/** The next one. */
export function interval_tree_iter_next(
  node: interval_tree_node,
  start: bigint,
  last: bigint,
): interval_tree_node | null {
  return first_from(rb_next(node.rb), start, last);
}
