// SPDX-License-Identifier: GPL-2.0-only
/** What C does to a struct as a whole, member by member: `*dst = *src`, and memset() to zero. */
import { is_bytes } from "../mm/kasan.ts";
import { kmsan_copy_memory, kmsan_unpoison_memory } from "../mm/kmsan.ts";
import { kobj_memory, layout_of, struct_array } from "./struct.ts";

/** `*dst = *src`: all members, embedded structs and arrays included; pointers are copied as they are. Same struct on both sides. */
export function copy_struct<T extends kobj_memory>(dst: T, src: T): void {
  if (is_bytes(dst) && is_bytes(src)) {
    const n = Math.min(dst.$bytes.length, src.$bytes.length);
    dst.$bytes.set(src.$bytes.subarray(0, n));
    if (src.$mem.unwritten) kmsan_copy_memory(dst, src, n);
    else if (dst.$mem.unwritten) kmsan_unpoison_memory(dst, 0, n);
    return;
  }
  if (dst instanceof struct_array && src instanceof struct_array) {
    for (let i = 0; i < dst.length; i++) copy_element(dst, src, i);
    return;
  }
  const layout = layout_of(dst);
  if (!layout || layout !== layout_of(src))
    throw new TypeError(`assignment of different structs: ${layout?.name ?? "?"}`);
  for (const [member, f] of Object.entries(layout.fields)) {
    const value: unknown = src[member as keyof T];
    const there: unknown = dst[member as keyof T];
    if (f.kind === "value") Object.assign(dst, { [member]: value });
    else if (there instanceof kobj_memory && value instanceof kobj_memory) copy_struct(there, value);
  }
}

/** Element `i` of one array to the same place of another. */
export function copy_element<T>(to: struct_array<T>, from: struct_array<T>, i: number): void {
  if (to.element.kind === "value") {
    to.set(i, from.at(i));
    return;
  }
  const [dst, src] = [to.at(i), from.at(i)];
  if (dst instanceof kobj_memory && src instanceof kobj_memory) copy_struct(dst, src);
}

/** memset(object, 0, sizeof(*object)) for a struct: members, embedded ones included, become zero. */
export function zero_struct(object: kobj_memory): void {
  if (is_bytes(object)) {
    object.$bytes.fill(0);
    return;
  }
  const layout = layout_of(object);
  if (!layout) throw new TypeError("memset of what is no struct");
  for (const [member, f] of Object.entries(layout.fields)) {
    const inner: unknown = Reflect.get(object, member);
    if (f.kind === "value") Reflect.set(object, member, f.zero());
    else if (inner instanceof struct_array) for (let i = 0; i < inner.length; i++) zero_element(inner, i);
    else if (inner instanceof kobj_memory) zero_struct(inner);
  }
}
function zero_element(a: struct_array<unknown>, i: number): void {
  const item = a.$items[i];
  if (item instanceof kobj_memory) zero_struct(item);
  else a.set(i, a.element.zero());
}
