// SPDX-License-Identifier: GPL-2.0-only
/**
 * Real addresses: what the kernel hands to the channel subsystem, and what is found there. Virtual and real addresses
 * are the same number on s390. A page is found by its number, other memory once somebody has taken its address with virt_to_phys().
 */
import { per_boot } from "../../boot.ts";
import { written } from "../../lib/bytestruct.ts";
import { build_in, layout_of } from "../../lib/struct.ts";
import { kmemleak_no_scan } from "../../mm/kmemleak.ts";
import { kmap_local_page, PAGE_SIZE, pfn_to_page } from "#linux/mm.ts";
import { addr_of, type byte_memory, kbuf, type kobj_memory } from "#linux/types.ts";

export const PAGE_DEFAULT_KEY = 0;

const s = per_boot(() => ({
  /** By address, the object last seen there. */
  objects: new Map<number, kobj_memory>(),
}));

/* An address in the channel's hands is a number: whoever has nothing else of an object has lost it. */
kmemleak_no_scan(s);

/** Known objects from which on those that are gone are looked for. */
const MANY = 256;

/* Freed structs are kept: whoever comes to one by its address has used memory that is gone. */
function forget_freed_bytes(): void {
  for (const [address, object] of s.objects) if (object.$mem.freed && "$bytes" in object) s.objects.delete(address);
}

/** The real address of an object, as 64 bits; NULL is 0. Any context. */
export function virt_to_phys(object: kobj_memory | null): bigint {
  if (!object) return 0n;
  const address = addr_of(object);
  if (s.objects.size > MANY) forget_freed_bytes();
  s.objects.set(address, object);
  return BigInt(address);
}
export const __pa = virt_to_phys;

/**
 * The object whose address this is: a cast of an integer to a pointer. Any context.
 * @address: of the first byte, as virt_to_phys() gave it, or its low 32 bits. @return NULL if nobody took such an address
 */
export function __va(address: bigint | number): kobj_memory | null {
  return s.objects.get(Number(address)) ?? null;
}

function length_of(object: kobj_memory): number {
  return object instanceof kbuf ? object.length : (layout_of(object)?.size() ?? 0);
}

/** Bytes at a real address, as a channel reads them; NULL if there is no memory. @at: offset of `address` in the memory */
export function real_memory(address: bigint): { readonly memory: byte_memory; readonly at: number } | null {
  const a = Number(address);
  const frame = pfn_to_page(Math.floor(a / PAGE_SIZE));
  if (frame) return { memory: kmap_local_page(frame), at: a % PAGE_SIZE };
  for (const [start, object] of s.objects) {
    if (object.$mem.freed || a < start || a >= start + length_of(object) || !("$bytes" in object)) continue;
    return { memory: object as byte_memory, at: a - start };
  }
  return null;
}

/** `n` bytes from a real address on, or NULL if not all of them are there. */
export function read_real(address: bigint, n: number): Uint8Array | null {
  const bytes = new Uint8Array(n);
  for (let done = 0; done < n;) {
    const there = real_memory(address + BigInt(done));
    if (!there) return null;
    const part = Math.min(n - done, there.memory.$bytes.length - there.at);
    bytes.set(there.memory.$bytes.subarray(there.at, there.at + part), done);
    done += part;
  }
  return bytes;
}
/** Stores bytes at a real address. @return false if there is no memory for some of them */
export function write_real(address: bigint, bytes: Uint8Array): boolean {
  for (let done = 0; done < bytes.length;) {
    const there = real_memory(address + BigInt(done));
    if (!there) return false;
    const part = Math.min(bytes.length - done, there.memory.$bytes.length - there.at);
    there.memory.$bytes.set(bytes.subarray(done, done + part), there.at);
    if (there.memory.$mem.unwritten) written.mark(there.memory, there.at, part);
    done += part;
  }
  return true;
}

/** What lies behind a struct in the same allocation. Any context. @object: the beginning of the allocation; @make: makes it */
export function behind<T extends kobj_memory>(object: kobj_memory, make: () => T): T {
  return build_in(object.$mem, make);
}
