// SPDX-License-Identifier: GPL-2.0-only
/** Red-black trees: the caller finds the place, these keep the balance. Source: include/linux/rbtree.h, lib/rbtree.c */
import { RB_BLACK, type rb_link, type rb_node, RB_RED, rb_root } from "../../include/linux/rbtree.ts";

/** The node that hangs in a place, or NULL. */
export function rb_linked(link: rb_link): rb_node | null {
  if (link.in instanceof rb_root) return link.in.rb_node;
  return link.side === "rb_left" ? link.in.rb_left : link.in.rb_right;
}
/** Hangs a node in an empty place below @parent. rb_insert_color() has to follow. */
export function rb_link_node(node: rb_node, parent: rb_node | null, link: rb_link): void {
  node.rb_parent = parent;
  node.rb_color = RB_RED;
  node.rb_left = null;
  node.rb_right = null;
  if (link.in instanceof rb_root) link.in.rb_node = node;
  else if (link.side === "rb_left") link.in.rb_left = node;
  else link.in.rb_right = node;
}

function is_red(n: rb_node | null): boolean {
  return n !== null && n.rb_color === RB_RED;
}
function replace_child(root: rb_root, parent: rb_node | null, old: rb_node, new_: rb_node | null): void {
  if (!parent) root.rb_node = new_;
  else if (parent.rb_left === old) parent.rb_left = new_;
  else parent.rb_right = new_;
  if (new_) new_.rb_parent = parent;
}
/** `n` goes down to the left (or right), its other child takes its place. @return that child */
function rotate(root: rb_root, n: rb_node, left: boolean): rb_node {
  const up = (left ? n.rb_right : n.rb_left)!;
  const between = left ? up.rb_left : up.rb_right;
  replace_child(root, n.rb_parent, n, up);
  if (left) {
    n.rb_right = between;
    up.rb_left = n;
  } else {
    n.rb_left = between;
    up.rb_right = n;
  }
  if (between) between.rb_parent = n;
  n.rb_parent = up;
  return up;
}

/** Balances the tree after rb_link_node(). */
export function rb_insert_color(node: rb_node, root: rb_root): void {
  let n = node;
  while (n.rb_parent && is_red(n.rb_parent)) {
    const parent: rb_node = n.rb_parent;
    // A red node is never the root.
    const above: rb_node = parent.rb_parent!;
    const left = parent === above.rb_left;
    const uncle: rb_node | null = left ? above.rb_right : above.rb_left;
    if (uncle && is_red(uncle)) {
      parent.rb_color = RB_BLACK;
      uncle.rb_color = RB_BLACK;
      above.rb_color = RB_RED;
      n = above;
      continue;
    }
    const top = n === (left ? parent.rb_right : parent.rb_left) ? rotate(root, parent, left) : parent;
    top.rb_color = RB_BLACK;
    above.rb_color = RB_RED;
    rotate(root, above, !left);
    break;
  }
  root.rb_node!.rb_color = RB_BLACK;
}

/** A path below `parent` lacks a black node: `n`, its child on that side, may be NULL. */
function erase_color(root: rb_root, node: rb_node | null, up: rb_node | null): void {
  let n = node;
  let parent = up;
  while (parent && !is_red(n)) {
    const left: boolean = n === parent.rb_left;
    let sibling: rb_node = (left ? parent.rb_right : parent.rb_left)!;
    if (is_red(sibling)) {
      sibling.rb_color = RB_BLACK;
      parent.rb_color = RB_RED;
      rotate(root, parent, left);
      sibling = (left ? parent.rb_right : parent.rb_left)!;
    }
    const near = left ? sibling.rb_left : sibling.rb_right;
    const far = left ? sibling.rb_right : sibling.rb_left;
    if (!is_red(near) && !is_red(far)) {
      sibling.rb_color = RB_RED;
      n = parent;
      parent = n.rb_parent;
      continue;
    }
    if (!is_red(far)) {
      near!.rb_color = RB_BLACK;
      sibling.rb_color = RB_RED;
      sibling = rotate(root, sibling, !left);
    }
    sibling.rb_color = parent.rb_color;
    parent.rb_color = RB_BLACK;
    (left ? sibling.rb_right : sibling.rb_left)!.rb_color = RB_BLACK;
    rotate(root, parent, left);
    return;
  }
  if (n) n.rb_color = RB_BLACK;
}

/** Takes a node out of the tree. */
export function rb_erase(node: rb_node, root: rb_root): void {
  let child: rb_node | null;
  let parent: rb_node | null;
  let color = node.rb_color;
  if (!node.rb_left || !node.rb_right) {
    child = node.rb_left ?? node.rb_right;
    parent = node.rb_parent;
    replace_child(root, parent, node, child);
  } else {
    // The next node, which has no left child, takes its place and its colour.
    let next = node.rb_right;
    while (next.rb_left) next = next.rb_left;
    color = next.rb_color;
    child = next.rb_right;
    parent = next.rb_parent === node ? next : next.rb_parent;
    if (next.rb_parent !== node) {
      replace_child(root, next.rb_parent, next, child);
      next.rb_right = node.rb_right;
      node.rb_right.rb_parent = next;
    }
    replace_child(root, node.rb_parent, node, next);
    next.rb_left = node.rb_left;
    node.rb_left.rb_parent = next;
    next.rb_color = node.rb_color;
  }
  if (color === RB_BLACK) erase_color(root, child, parent);
}

function outermost(n: rb_node | null, side: "rb_left" | "rb_right"): rb_node | null {
  let at = n;
  while (at && at[side]) at = at[side];
  return at;
}
export function rb_first(root: rb_root): rb_node | null {
  return outermost(root.rb_node, "rb_left");
}
export function rb_last(root: rb_root): rb_node | null {
  return outermost(root.rb_node, "rb_right");
}
function step(node: rb_node, to: "rb_left" | "rb_right", from: "rb_left" | "rb_right"): rb_node | null {
  if (node[to]) return outermost(node[to], from);
  let n = node;
  while (n.rb_parent && n === n.rb_parent[to]) n = n.rb_parent;
  return n.rb_parent;
}
export function rb_next(node: rb_node): rb_node | null {
  return step(node, "rb_right", "rb_left");
}
export function rb_prev(node: rb_node): rb_node | null {
  return step(node, "rb_left", "rb_right");
}
