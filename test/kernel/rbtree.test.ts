// SPDX-License-Identifier: GPL-2.0-only
/** Red-black trees and trees of intervals. */
import test from "ava";
import {
  interval_tree_insert,
  interval_tree_iter_first,
  interval_tree_iter_next,
  interval_tree_node,
  interval_tree_remove,
} from "#linux/interval_tree.ts";
import {
  RB_BLACK,
  RB_EMPTY_ROOT,
  rb_entry,
  rb_erase,
  rb_first,
  rb_insert_color,
  rb_last,
  rb_link_left,
  rb_link_node,
  rb_link_right,
  rb_link_root,
  rb_linked,
  rb_next,
  rb_node,
  rb_prev,
  RB_RED,
  rb_root,
  rb_root_cached,
} from "#linux/rbtree.ts";
import { embed, struct, u32 } from "#linux/types.ts";

class thing extends struct("thing", { key: u32(), node: embed(() => rb_node) }) {}

function insert(root: rb_root, t: thing): void {
  let link = rb_link_root(root);
  let parent: rb_node | null = null;
  for (let n = rb_linked(link); n; n = rb_linked(link)) {
    parent = n;
    link = t.key < rb_entry(n, thing, "node").key ? rb_link_left(n) : rb_link_right(n);
  }
  rb_link_node(t.node, parent, link);
  rb_insert_color(t.node, root);
}

/** Black nodes on every way down. @throws if the ways differ, if red follows red, or if a parent pointer is wrong */
function blackHeight(n: rb_node | null, parent: rb_node | null): number {
  if (!n) return 1;
  if (n.rb_parent !== parent) throw new Error("wrong parent");
  if (n.rb_color === RB_RED && (parent === null || parent.rb_color === RB_RED)) throw new Error("red below red");
  const left = blackHeight(n.rb_left, n);
  if (left !== blackHeight(n.rb_right, n)) throw new Error("not balanced");
  return left + (n.rb_color === RB_BLACK ? 1 : 0);
}
function keys(root: rb_root): number[] {
  const found: number[] = [];
  for (let n = rb_first(root); n; n = rb_next(n)) found.push(rb_entry(n, thing, "node").key);
  return found;
}

test("a tree stays sorted and balanced whatever comes and goes", (t) => {
  const root = new rb_root();
  const inside: thing[] = [];
  let seed = 1;
  const next = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
  for (let i = 0; i < 2000; i++) {
    if (next(3) > 0 || inside.length === 0) {
      const one = new thing();
      one.key = next(500);
      insert(root, one);
      inside.push(one);
    } else {
      const [one] = inside.splice(next(inside.length), 1);
      rb_erase(one!.node, root);
    }
    blackHeight(root.rb_node, null);
  }
  const sorted = inside.map((x) => x.key).sort((a, b) => a - b);
  t.deepEqual(keys(root), sorted);
  const back: number[] = [];
  for (let n = rb_last(root); n; n = rb_prev(n)) back.push(rb_entry(n, thing, "node").key);
  t.deepEqual(back, sorted.toReversed());
  for (const one of inside) rb_erase(one.node, root);
  t.true(RB_EMPTY_ROOT(root));
});

test("intervals are found by what they share", (t) => {
  const root = new rb_root_cached();
  const nodes = [
    [10, 19],
    [30, 39],
    [20, 24],
  ].map(([start, last]) => {
    const node = new interval_tree_node();
    node.start = BigInt(start!);
    node.last = BigInt(last!);
    interval_tree_insert(node, root);
    return node;
  });
  const found = (start: bigint, last: bigint): bigint[] => {
    const all: bigint[] = [];
    for (let n = interval_tree_iter_first(root, start, last); n; n = interval_tree_iter_next(n, start, last))
      all.push(n.start);
    return all;
  };
  t.deepEqual(found(0n, 9n), []);
  t.deepEqual(found(19n, 30n), [10n, 20n, 30n]);
  t.deepEqual(found(25n, 29n), []);
  interval_tree_remove(nodes[2]!, root);
  t.deepEqual(found(0n, 100n), [10n, 30n]);
});
