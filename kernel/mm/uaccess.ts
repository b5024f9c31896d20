// SPDX-License-Identifier: GPL-2.0-only
/**
 * Copies to and from user space, with the checks on the kernel's side of them. Sources: include/linux/uaccess.h,
 * mm/usercopy.c, mm/slub.c (__check_heap_object), mm/util.c
 */
import { byte_order, type byte_memory, type kbuf } from "../lib/bytestruct.ts";
import { ERR_CAST, ERR_PTR, IS_ERR } from "../lib/err_ptr.ts";
import { should_fail_ex } from "../lib/fault-inject.ts";
import { addr_of } from "../lib/struct.ts";
import { BUG } from "../panic.ts";
import { pr_emerg } from "../printk.ts";
import { point, slow, take_point } from "../sched/core.ts";
import { might_sleep } from "../sched/debug.ts";
import { ready, ready_int, type Sleeps } from "../sched/types.ts";
import { set_byte_at } from "../lib/string.ts";
import { kasan_check_range } from "./kasan.ts";
import { kmsan_copy_to_user } from "./kmsan.ts";
import { access_user, current_mm, TASK_SIZE } from "./mm_struct.ts";
import { kfree, kmalloc } from "./slab.ts";
import { EFAULT, EINVAL, ENOMEM } from "../../include/linux/errno.ts";
import { __GFP_NOWARN, GFP_KERNEL, GFP_USER } from "../../include/linux/gfp_types.ts";

/** Where get_user() puts what it read. */
export interface user_value<T extends number | bigint = number> {
  value: T;
}

function usercopy_abort(name: string, detail: string | null, to_user: boolean, offset: number, len: number): never {
  const what = detail === null ? name : `${name} '${detail}'`;
  pr_emerg(
    "usercopy: Kernel memory %s attempt detected %s %s (offset %lu, size %lu)!\n",
    to_user ? "exposure" : "overwrite",
    to_user ? "from" : "to",
    what,
    offset,
    len,
  );
  return BUG();
}

/** CONFIG_HARDENED_USERCOPY: stops the task if the object has nothing to do with user space. */
function check_object_size(of: byte_memory | null, n: number, to_user: boolean): void {
  if (n === 0) return;
  if (!of) return usercopy_abort("null address", null, to_user, 0, n);
  const mem = of.$mem;
  const offset = addr_of(of) - mem.addr;
  if (mem.kind === "vmalloc") {
    if (n > mem.usable - offset) usercopy_abort("vmalloc", mem.freed ? "no area" : null, to_user, offset, n);
  } else if (mem.kind === "page") {
    if (n > mem.usable - offset) usercopy_abort("page alloc", null, to_user, offset, n);
  } else if (mem.kind === "slab") {
    const inside = offset >= mem.useroffset && offset - mem.useroffset <= mem.usersize;
    if (!inside || n > mem.useroffset - offset + mem.usersize)
      usercopy_abort("SLUB object", mem.cache, to_user, offset, n);
  }
}

/** Whether the range is user space's at all. */
export function access_ok(addr: bigint, size: number): boolean {
  return addr >= 0n && addr + BigInt(size) <= TASK_SIZE;
}

function do_copy_to_user(to: bigint, from: byte_memory | null, n: number): number {
  if (should_fail_ex("fail_usercopy", "copy_to_user", n)) return n;
  if (!access_ok(to, n)) return n;
  // Nothing from nowhere is the one copy from NULL that comes this far.
  if (!from) return 0;
  kasan_check_range(from, 0, n, false);
  const left = access_user(current_mm(), to, some_bytes(from, n), true);
  // What did not get there has told nobody anything.
  kmsan_copy_to_user(to, from, n - left);
  return left;
}
function do_copy_from_user(to: byte_memory, from: bigint, n: number): number {
  let left = n;
  if (!should_fail_ex("fail_usercopy", "copy_from_user", n) && access_ok(from, n)) {
    kasan_check_range(to, 0, n, true);
    const bytes = new Uint8Array(n);
    left = access_user(current_mm(), from, bytes, false);
    to.$bytes.set(bytes.subarray(0, Math.min(n - left, to.$bytes.length)));
  }
  // What did not come reads as zero.
  if (left) to.$bytes.fill(0, n - left, n);
  return left;
}
/** `n` bytes of `of`; more than it has read as zero. */
function some_bytes(of: byte_memory, n: number): Uint8Array {
  if (n <= of.$bytes.length) return of.$bytes.subarray(0, n);
  const bytes = new Uint8Array(n);
  bytes.set(of.$bytes);
  return bytes;
}

/**
 * Copies `n` bytes to user space. May sleep.
 * @return bytes not copied: 0 for success
 */
export function copy_to_user(to: bigint, from: byte_memory | null, n: number): Sleeps<number> {
  check_object_size(from, n, true);
  might_sleep();
  return point() ? slow("copy_to_user", copy_to_user_later(to, from, n)) : ready_int(do_copy_to_user(to, from, n));
}
function* copy_to_user_later(to: bigint, from: byte_memory | null, n: number): Sleeps<number> {
  yield* take_point();
  return do_copy_to_user(to, from, n);
}
/** Copies `n` bytes from user space; what could not be read becomes zero. May sleep. @return bytes not copied */
export function copy_from_user(to: byte_memory, from: bigint, n: number): Sleeps<number> {
  check_object_size(to, n, false);
  might_sleep();
  return point()
    ? slow("copy_from_user", copy_from_user_later(to, from, n))
    : ready_int(do_copy_from_user(to, from, n));
}
function* copy_from_user_later(to: byte_memory, from: bigint, n: number): Sleeps<number> {
  yield* take_point();
  return do_copy_from_user(to, from, n);
}
/** Makes user memory zero. May sleep. @return bytes not cleared */
export function clear_user(to: bigint, n: number): Sleeps<number> {
  might_sleep();
  return point() ? slow("clear_user", clear_user_later(to, n)) : ready_int(do_clear_user(to, n));
}
function* clear_user_later(to: bigint, n: number): Sleeps<number> {
  yield* take_point();
  return do_clear_user(to, n);
}
function do_clear_user(to: bigint, n: number): number {
  return access_ok(to, n) ? access_user(current_mm(), to, new Uint8Array(n), true) : n;
}

type width = 1 | 2 | 4 | 8;

function do_put_user(x: number | bigint, to: bigint, size: width): number {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  const v = BigInt.asUintN(64, BigInt(x));
  if (byte_order.little_endian) view.setBigUint64(0, v, true);
  else view.setBigUint64(0, v << BigInt(64 - size * 8), false);
  const part = bytes.subarray(0, size);
  return access_ok(to, size) && access_user(current_mm(), to, part, true) === 0 ? 0 : -EFAULT;
}
/**
 * Writes one value to user space, in the machine's byte order. May sleep.
 * @size: of what `to` points to, in bytes; 4, or 8 for a bigint, if not said. @return 0 or -EFAULT
 */
export function put_user(x: number | bigint, to: bigint, size: width = typeof x === "bigint" ? 8 : 4): Sleeps<number> {
  might_sleep();
  return point() ? slow("put_user", put_user_later(x, to, size)) : ready_int(do_put_user(x, to, size));
}
function* put_user_later(x: number | bigint, to: bigint, size: width): Sleeps<number> {
  yield* take_point();
  return do_put_user(x, to, size);
}

function do_get_user(x: user_value | user_value<bigint>, from: bigint, size: width, signed: boolean): number {
  const bytes = new Uint8Array(size);
  const ok = access_ok(from, size) && access_user(current_mm(), from, bytes, false) === 0;
  let v = 0n;
  // A value that could not be read is 0.
  if (ok) for (const b of byte_order.little_endian ? bytes.toReversed() : bytes) v = (v << 8n) | BigInt(b);
  if (signed) v = BigInt.asIntN(size * 8, v);
  if (typeof x.value === "bigint") x.value = v;
  else x.value = Number(v);
  return ok ? 0 : -EFAULT;
}
/**
 * Reads one value from user space into `x.value`; 0 if it cannot be read. May sleep.
 * @size: of what `from` points to, @signed: whether that is a signed type. @return 0 or -EFAULT
 */
export function get_user(
  x: user_value | user_value<bigint>,
  from: bigint,
  size: width = typeof x.value === "bigint" ? 8 : 4,
  signed = true,
): Sleeps<number> {
  might_sleep();
  return point()
    ? slow("get_user", get_user_later(x, from, size, signed))
    : ready_int(do_get_user(x, from, size, signed));
}
function* get_user_later(
  x: user_value | user_value<bigint>,
  from: bigint,
  size: width,
  signed: boolean,
): Sleeps<number> {
  yield* take_point();
  return do_get_user(x, from, size, signed);
}

/** Length of a user string with its NUL; 0 if it cannot be read, more than `max` if it is longer than that. May sleep. */
export function strnlen_user(from: bigint, max: number): Sleeps<number> {
  might_sleep();
  return ready(do_strnlen_user(from, max));
}
function do_strnlen_user(from: bigint, max: number): number {
  const byte = new Uint8Array(1);
  for (let n = 0; n < max; n++) {
    if (access_user(current_mm(), from + BigInt(n), byte, false)) return 0;
    if (byte[0] === 0) return n + 1;
  }
  return max + 1;
}

/** Copies user memory into new byte memory. May sleep. @return it, or ERR_PTR(-ENOMEM), ERR_PTR(-EFAULT) */
export function* memdup_user(src: bigint, len: number): Sleeps<kbuf> {
  const p = kmalloc(len, GFP_USER | __GFP_NOWARN);
  if (!p) return ERR_PTR(-ENOMEM);
  if (yield* copy_from_user(p, src, len)) {
    kfree(p);
    return ERR_PTR(-EFAULT);
  }
  return p;
}
/** As memdup_user(), with a NUL behind. */
export function* memdup_user_nul(src: bigint, len: number): Sleeps<kbuf> {
  const p = kmalloc(len + 1, GFP_KERNEL);
  if (!p) return ERR_PTR(-ENOMEM);
  if (yield* copy_from_user(p, src, len)) {
    kfree(p);
    return ERR_PTR(-EFAULT);
  }
  set_byte_at(p, len, 0);
  return p;
}
/**
 * A user string of at most `n` bytes, its NUL included. May sleep.
 * @return the string, or ERR_PTR(-EFAULT), ERR_PTR(-EINVAL) if it is longer, ERR_PTR(-ENOMEM)
 */
export function* strndup_user(s: bigint, n: number): Sleeps<string> {
  const length = yield* strnlen_user(s, n);
  if (!length) return ERR_PTR(-EFAULT);
  if (length > n) return ERR_PTR(-EINVAL);
  const p = yield* memdup_user(s, length);
  if (IS_ERR(p)) return ERR_CAST(p);
  const text = String.fromCharCode(...p.$bytes.subarray(0, length - 1));
  // From here on it is a string like any other, and nobody frees the bytes.
  kfree(p);
  return text;
}
