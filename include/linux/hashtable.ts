// SPDX-License-Identifier: GPL-2.0-only
// custom: hash tables of fixed size
import { hash_32, hash_64 } from "./hash.ts";
import {
  hlist_add_head,
  hlist_del_init,
  hlist_empty,
  hlist_for_each_entry,
  hlist_head,
  type hlist_node,
  INIT_HLIST_HEAD,
} from "./list.ts";
import { type kobj_memory, opaque } from "../../kernel/lib/struct.ts";

/** Buckets are made when somebody looks into them: a table of 2^18 is mostly empty. */
export class hashtable {
  readonly bits: number;
  readonly $buckets = new Map<number, hlist_head>();
  constructor(bits: number) {
    this.bits = bits;
  }
  bucket(at: number): hlist_head {
    let head = this.$buckets.get(at);
    if (!head) this.$buckets.set(at, (head = new hlist_head()));
    return head;
  }
  /** The buckets there are, in their order. */
  *in_order(): IterableIterator<hlist_head> {
    for (const at of [...this.$buckets.keys()].sort((a, b) => a - b)) yield this.bucket(at);
  }
}

/** A member `DECLARE_HASHTABLE(name, bits)`; it takes the place of 2^bits pointers. */
export const DECLARE_HASHTABLE = (bits: number) => opaque(() => new hashtable(bits), 8 * 2 ** bits);

/** A key of up to 32 bits is a number, a longer one a bigint. */
export type hash_key = number | bigint;
function hash_min(key: hash_key, bits: number): number {
  return typeof key === "bigint" ? hash_64(key, bits) : hash_32(key, bits);
}

export function hash_init(table: hashtable): void {
  for (const head of table.in_order()) INIT_HLIST_HEAD(head);
}
export function hash_add(table: hashtable, node: hlist_node, key: hash_key): void {
  hlist_add_head(node, table.bucket(hash_min(key, table.bits)));
}
export function hash_del(node: hlist_node): void {
  hlist_del_init(node);
}
export function hash_empty(table: hashtable): boolean {
  for (const head of table.in_order()) if (!hlist_empty(head)) return false;
  return true;
}

type ctor = new () => kobj_memory;
type member_of<C extends ctor> = {
  [K in keyof InstanceType<C>]: InstanceType<C>[K] extends hlist_node ? K : never;
}[keyof InstanceType<C>] &
  string;

/** Every struct of the table, bucket by bucket; the next one is read after the body has run. */
export function* hash_for_each<C extends ctor, K extends member_of<C>>(
  table: hashtable,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (const head of table.in_order()) yield* hlist_for_each_entry(head, of, member);
}
/** The same, but the body may take the struct out and free it. */
export function* hash_for_each_safe<C extends ctor, K extends member_of<C>>(
  table: hashtable,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (const head of table.in_order()) {
    const entries = hlist_for_each_entry(head, of, member);
    for (let pos = entries.next(); !pos.done;) {
      const { value } = pos;
      pos = entries.next();
      yield value;
    }
  }
}
/** The structs in the bucket of a key. */
export function hash_for_each_possible<C extends ctor, K extends member_of<C>>(
  table: hashtable,
  of: C,
  member: K,
  key: hash_key,
): IterableIterator<InstanceType<C>> {
  return hlist_for_each_entry(table.bucket(hash_min(key, table.bits)), of, member);
}
