// SPDX-License-Identifier: GPL-2.0-only
/** CONFIG_DEBUG_LIST: whether a list is still one, before it is changed. If not, the list stays as it is. Source: lib/list_debug.c */
import { data_corruption } from "../panic.ts";
import { wild_address } from "./err_ptr.ts";
import { addr_of, kobj_memory } from "./struct.ts";
import { type list_head, LIST_POISON1, LIST_POISON2 } from "../../include/linux/list.ts";

/** %px */
function px(p: list_head | null): string {
  const address = wild_address(p) ?? (p instanceof kobj_memory ? BigInt(addr_of(p)) : 0n);
  return address.toString(16).padStart(16, "0");
}

/** Whether `new_` may go between `prev` and `next`. Speaks if not. */
export function __list_add_valid(new_: list_head, prev: list_head | null, next: list_head | null): boolean {
  if (
    (prev === null && data_corruption("list_add corruption. prev is NULL.\n")) ||
    (next === null && data_corruption("list_add corruption. next is NULL.\n"))
  )
    return false;
  const next_prev = next!.prev;
  if (
    next_prev !== prev &&
    data_corruption(
      `list_add corruption. next->prev should be prev (${px(prev)}), but was ${px(next_prev)}. (next=${px(next)}).\n`,
    )
  )
    return false;
  const prev_next = prev!.next;
  return !(
    (prev_next !== next &&
      data_corruption(
        `list_add corruption. prev->next should be next (${px(next)}), but was ${px(prev_next)}. (prev=${px(prev)}).\n`,
      )) ||
    ((new_ === prev || new_ === next) &&
      data_corruption(`list_add double add: new=${px(new_)}, prev=${px(prev)}, next=${px(next)}.\n`))
  );
}

/** Whether `entry` may leave the list it is on. Speaks if not. */
export function __list_del_entry_valid(entry: list_head): boolean {
  const { prev, next } = entry;
  if (
    (next === null && data_corruption(`list_del corruption, ${px(entry)}->next is NULL\n`)) ||
    (prev === null && data_corruption(`list_del corruption, ${px(entry)}->prev is NULL\n`)) ||
    (next === LIST_POISON1 &&
      data_corruption(`list_del corruption, ${px(entry)}->next is LIST_POISON1 (${px(next)})\n`)) ||
    (prev === LIST_POISON2 &&
      data_corruption(`list_del corruption, ${px(entry)}->prev is LIST_POISON2 (${px(prev)})\n`))
  )
    return false;
  const prev_next = prev!.next;
  if (
    prev_next !== entry &&
    data_corruption(
      `list_del corruption. prev->next should be ${px(entry)}, but was ${px(prev_next)}. (prev=${px(prev)})\n`,
    )
  )
    return false;
  const next_prev = next!.prev;
  return !(
    next_prev !== entry &&
    data_corruption(
      `list_del corruption. next->prev should be ${px(entry)}, but was ${px(next_prev)}. (next=${px(next)})\n`,
    )
  );
}
