// SPDX-License-Identifier: GPL-2.0-only
// custom: doubly linked lists, with CONFIG_DEBUG_LIST
import { ERR_PTR, wild_address, wild_pointer } from "../../kernel/lib/err_ptr.ts";
import { __list_add_valid, __list_del_entry_valid } from "../../kernel/lib/list_debug.ts";
import { READ_ONCE, smp_load_acquire, WRITE_ONCE } from "../../kernel/kcsan/marked.ts";
import { container_of, type kobj_memory, layout_of, ptr, struct } from "../../kernel/lib/struct.ts";

class list_head_base extends struct("list_head", { next: ptr<list_head>(), prev: ptr<list_head>() }) {}
export class list_head extends list_head_base {}

/** Where the members of an entry point after list_del(): using them faults. Source: include/linux/poison.h */
export const LIST_POISON1 = wild_pointer<list_head>(0xdead000000000100n, "LIST_POISON1");
export const LIST_POISON2 = wild_pointer<list_head>(0xdead000000000122n, "LIST_POISON2");

export function INIT_LIST_HEAD(list: list_head): void {
  WRITE_ONCE(list, "next", list);
  WRITE_ONCE(list, "prev", list);
}
/** An empty list: static, or on the stack. */
export function LIST_HEAD(): list_head {
  const list = new list_head();
  INIT_LIST_HEAD(list);
  return list;
}

function __list_add(new_: list_head, prev: list_head | null, next: list_head | null): void {
  if (!__list_add_valid(new_, prev, next)) return;
  next!.prev = new_;
  new_.next = next;
  new_.prev = prev;
  WRITE_ONCE(prev!, "next", new_);
}
/** Puts `new_` first. */
export function list_add(new_: list_head, head: list_head): void {
  __list_add(new_, head, head.next);
}
/** Puts `new_` last. */
export function list_add_tail(new_: list_head, head: list_head): void {
  __list_add(new_, head.prev, head);
}

function __list_del(prev: list_head | null, next: list_head | null): void {
  next!.prev = prev;
  WRITE_ONCE(prev!, "next", next);
}
function __list_del_entry(entry: list_head): void {
  if (!__list_del_entry_valid(entry)) return;
  __list_del(entry.prev, entry.next);
}
/** Takes `entry` off its list. It cannot be asked list_empty() afterwards. */
export function list_del(entry: list_head): void {
  __list_del_entry(entry);
  entry.next = LIST_POISON1;
  entry.prev = LIST_POISON2;
}
/** Takes `entry` off its list and makes it an empty list. */
export function list_del_init(entry: list_head): void {
  __list_del_entry(entry);
  INIT_LIST_HEAD(entry);
}
/** `new_` takes the place of `old`. */
export function list_replace(old: list_head, new_: list_head): void {
  new_.next = old.next;
  new_.next!.prev = new_;
  new_.prev = old.prev;
  new_.prev!.next = new_;
}
export function list_replace_init(old: list_head, new_: list_head): void {
  list_replace(old, new_);
  INIT_LIST_HEAD(old);
}
export function list_move(list: list_head, head: list_head): void {
  __list_del_entry(list);
  list_add(list, head);
}
export function list_move_tail(list: list_head, head: list_head): void {
  __list_del_entry(list);
  list_add_tail(list, head);
}

export function list_is_first(list: list_head, head: list_head): boolean {
  return list.prev === head;
}
export function list_is_last(list: list_head, head: list_head): boolean {
  return list.next === head;
}
export function list_is_head(list: list_head, head: list_head): boolean {
  return list === head;
}
export function list_empty(head: list_head): boolean {
  return READ_ONCE(head, "next") === head;
}
export function list_empty_careful(head: list_head): boolean {
  const next = smp_load_acquire(head, "next");
  return next === head && next === READ_ONCE(head, "prev");
}
export function list_is_singular(head: list_head): boolean {
  return !list_empty(head) && head.next === head.prev;
}
export function list_rotate_left(head: list_head): void {
  if (!list_empty(head)) list_move_tail(head.next!, head);
}

function __list_splice(list: list_head, prev: list_head | null, next: list_head | null): void {
  const first = list.next;
  const last = list.prev;
  first!.prev = prev;
  prev!.next = first;
  last!.next = next;
  next!.prev = last;
}
/** Puts the entries of `list` before those of `head`; `list` itself is not touched. */
export function list_splice(list: list_head, head: list_head): void {
  if (!list_empty(list)) __list_splice(list, head, head.next);
}
export function list_splice_tail(list: list_head, head: list_head): void {
  if (!list_empty(list)) __list_splice(list, head.prev, head);
}
export function list_splice_init(list: list_head, head: list_head): void {
  if (list_empty(list)) return;
  __list_splice(list, head, head.next);
  INIT_LIST_HEAD(list);
}
export function list_splice_tail_init(list: list_head, head: list_head): void {
  if (list_empty(list)) return;
  __list_splice(list, head.prev, head);
  INIT_LIST_HEAD(list);
}

type ctor = new () => kobj_memory;
type member_of<C extends ctor> = keyof InstanceType<C> & string;

/** The struct that `entry` is embedded in as `member`. Poison gives, as in C, a pointer that faults a little below it. */
export function list_entry<C extends ctor, K extends member_of<C>>(
  entry: list_head | null,
  of: C,
  member: K,
): InstanceType<C> {
  const address = entry === null ? 0n : wild_address(entry);
  if (address === null) return container_of(entry as InstanceType<C>[K], of, member);
  const base = BigInt.asUintN(64, address - BigInt(layout_of(of)?.offset(member) ?? 0));
  return base === 0n ? container_of(null, of, member) : wild_pointer(base, of.name);
}
/** Of a list that is not empty. */
export function list_first_entry<C extends ctor, K extends member_of<C>>(
  head: list_head,
  of: C,
  member: K,
): InstanceType<C> {
  return list_entry(head.next, of, member);
}
export function list_last_entry<C extends ctor, K extends member_of<C>>(
  head: list_head,
  of: C,
  member: K,
): InstanceType<C> {
  return list_entry(head.prev, of, member);
}
export function list_first_entry_or_null<C extends ctor, K extends member_of<C>>(
  head: list_head,
  of: C,
  member: K,
): InstanceType<C> | null {
  const next = READ_ONCE(head, "next");
  return next !== head ? list_entry(next, of, member) : null;
}
function link_of(pos: object, member: string): list_head {
  const link: unknown = pos[member as keyof typeof pos];
  // A pointer that goes nowhere faults when its link is looked at; the others have one.
  return link instanceof list_head ? link : ERR_PTR<list_head>(-14);
}
export function list_next_entry<T extends kobj_memory, C extends new () => T>(
  pos: T,
  of: C,
  member: member_of<C>,
): InstanceType<C> {
  return list_entry(link_of(pos, member).next, of, member);
}
export function list_prev_entry<T extends kobj_memory, C extends new () => T>(
  pos: T,
  of: C,
  member: member_of<C>,
): InstanceType<C> {
  return list_entry(link_of(pos, member).prev, of, member);
}

/** Every link; the next one is read after the body has run. */
export function* list_for_each(head: list_head): IterableIterator<list_head> {
  for (let pos = head.next; pos !== head; pos = pos!.next) yield pos!;
}
/** Every link; the body may take it off the list. */
export function* list_for_each_safe(head: list_head): IterableIterator<list_head> {
  for (let pos = head.next, n = pos!.next; pos !== head; pos = n, n = pos!.next) yield pos!;
}
/** Every struct on the list. The link to the next one is read after the body has run: the body may not take it off. */
export function* list_for_each_entry<C extends ctor, K extends member_of<C>>(
  head: list_head,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (let pos = head.next; pos !== head; pos = pos!.next) yield list_entry(pos, of, member);
}
export function* list_for_each_entry_reverse<C extends ctor, K extends member_of<C>>(
  head: list_head,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (let pos = head.prev; pos !== head; pos = pos!.prev) yield list_entry(pos, of, member);
}
/** Every struct on the list; the body may take it off, and free it. */
export function* list_for_each_entry_safe<C extends ctor, K extends member_of<C>>(
  head: list_head,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (let pos = head.next, n = pos!.next; pos !== head; pos = n, n = pos!.next) yield list_entry(pos, of, member);
}
export function* list_for_each_entry_safe_reverse<C extends ctor, K extends member_of<C>>(
  head: list_head,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (let pos = head.prev, n = pos!.prev; pos !== head; pos = n, n = pos!.prev) yield list_entry(pos, of, member);
}
/** From the one after `from` on. */
export function* list_for_each_entry_continue<C extends ctor, K extends member_of<C>>(
  from: InstanceType<C>,
  head: list_head,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (let pos = link_of(from, member).next; pos !== head; pos = pos!.next) yield list_entry(pos, of, member);
}
/** Backwards from the one before `from`: how half-done work on a list is undone. */
export function* list_for_each_entry_continue_reverse<C extends ctor, K extends member_of<C>>(
  from: InstanceType<C>,
  head: list_head,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (let pos = link_of(from, member).prev; pos !== head; pos = pos!.prev) yield list_entry(pos, of, member);
}

class hlist_node_base extends struct("hlist_node", {
  next: ptr<hlist_node>(),
  pprev: ptr<hlist_node | hlist_head>(),
}) {}
/** `pprev` is who points here: the node before, or the head. */
export class hlist_node extends hlist_node_base {}
class hlist_head_base extends struct("hlist_head", { first: ptr<hlist_node>() }) {}
export class hlist_head extends hlist_head_base {}

const HLIST_POISON1 = wild_pointer<hlist_node>(0xdead000000000100n, "LIST_POISON1");
const HLIST_POISON2 = wild_pointer<hlist_node>(0xdead000000000122n, "LIST_POISON2");

export function INIT_HLIST_HEAD(h: hlist_head): void {
  h.first = null;
}
export function INIT_HLIST_NODE(h: hlist_node): void {
  h.next = null;
  h.pprev = null;
}
export function hlist_unhashed(h: hlist_node): boolean {
  return READ_ONCE(h, "pprev") === null;
}
export function hlist_empty(h: hlist_head): boolean {
  return READ_ONCE(h, "first") === null;
}
export function hlist_add_head(n: hlist_node, h: hlist_head): void {
  const first = h.first;
  WRITE_ONCE(n, "next", first);
  if (first) WRITE_ONCE(first, "pprev", n);
  WRITE_ONCE(h, "first", n);
  WRITE_ONCE(n, "pprev", h);
}
function __hlist_del(n: hlist_node): void {
  const { next, pprev } = n;
  if (pprev instanceof hlist_head) WRITE_ONCE(pprev, "first", next);
  else WRITE_ONCE(pprev!, "next", next);
  if (next) WRITE_ONCE(next, "pprev", pprev);
}
export function hlist_del(n: hlist_node): void {
  __hlist_del(n);
  n.next = HLIST_POISON1;
  n.pprev = HLIST_POISON2;
}
export function hlist_del_init(n: hlist_node): void {
  if (hlist_unhashed(n)) return;
  __hlist_del(n);
  INIT_HLIST_NODE(n);
}
export function hlist_add_before(n: hlist_node, next: hlist_node): void {
  const { pprev } = next;
  WRITE_ONCE(n, "pprev", pprev);
  WRITE_ONCE(n, "next", next);
  WRITE_ONCE(next, "pprev", n);
  if (pprev instanceof hlist_head) WRITE_ONCE(pprev, "first", n);
  else WRITE_ONCE(pprev!, "next", n);
}
export function hlist_add_behind(n: hlist_node, prev: hlist_node): void {
  const { next } = prev;
  WRITE_ONCE(n, "next", next);
  WRITE_ONCE(prev, "next", n);
  WRITE_ONCE(n, "pprev", prev);
  if (next) WRITE_ONCE(next, "pprev", n);
}
/** The list of `old` becomes that of `new_`, whose own is forgotten. */
export function hlist_move_list(old: hlist_head, new_: hlist_head): void {
  new_.first = old.first;
  if (new_.first) new_.first.pprev = new_;
  old.first = null;
}
/** Every struct; the body may take its own one off the list, or free it. */
export function* hlist_for_each_entry_safe<C extends ctor, K extends member_of<C>>(
  head: hlist_head,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (let pos = head.first, next = pos?.next ?? null; pos; pos = next, next = pos?.next ?? null)
    yield container_of(pos as InstanceType<C>[K], of, member);
}
/** Every struct; the next one is read after the body has run. */
export function* hlist_for_each_entry<C extends ctor, K extends member_of<C>>(
  head: hlist_head,
  of: C,
  member: K,
): IterableIterator<InstanceType<C>> {
  for (let pos = head.first; pos; pos = pos.next) yield container_of(pos as InstanceType<C>[K], of, member);
}
