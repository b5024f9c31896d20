// SPDX-License-Identifier: GPL-2.0-only
// custom: red-black trees
import { container_of, type kobj_memory, ptr, struct, u32 } from "../../kernel/lib/struct.ts";

export const RB_RED = 0;
export const RB_BLACK = 1;

class rb_node_base extends struct("rb_node", {
  rb_parent: ptr<rb_node>(),
  rb_right: ptr<rb_node>(),
  rb_left: ptr<rb_node>(),
  rb_color: u32(),
}) {}
/** C keeps the colour in the parent pointer. */
export class rb_node extends rb_node_base {}

class rb_root_base extends struct("rb_root", { rb_node: ptr<rb_node>() }) {}
/** All zeros is RB_ROOT, an empty tree. */
export class rb_root extends rb_root_base {}

/** `struct rb_node **`: a place that a node can hang in. */
export interface rb_link {
  readonly in: rb_root | rb_node;
  readonly side: "rb_node" | "rb_left" | "rb_right";
}
export const rb_link_root = (root: rb_root): rb_link => ({ in: root, side: "rb_node" });
export const rb_link_left = (node: rb_node): rb_link => ({ in: node, side: "rb_left" });
export const rb_link_right = (node: rb_node): rb_link => ({ in: node, side: "rb_right" });

export function RB_EMPTY_ROOT(root: rb_root): boolean {
  return root.rb_node === null;
}
/** The struct that the node is embedded in as `member`. */
export function rb_entry<C extends new () => kobj_memory, K extends keyof InstanceType<C> & string>(
  node: rb_node | null,
  of: C,
  member: K,
): InstanceType<C> {
  return container_of(node as InstanceType<C>[K], of, member);
}

export {
  rb_erase,
  rb_first,
  rb_insert_color,
  rb_last,
  rb_link_node,
  rb_linked,
  rb_next,
  rb_prev,
} from "../../kernel/lib/rbtree.ts";
export { rb_root_cached } from "../../kernel/lib/interval_tree.ts";
