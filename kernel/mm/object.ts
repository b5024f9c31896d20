// SPDX-License-Identifier: GPL-2.0-only
/** What the sanitizers know about a piece of memory. Every struct and every buffer points to one of these. */

import type { memory_access } from "../kcsan/access.ts";

export type memory_kind = "static" | "stack" | "slab" | "vmalloc" | "page";

export interface track {
  readonly pid: number;
  readonly comm: string;
  readonly jiffies: number;
  /** Function names, innermost first, as a report prints them. */
  readonly stack: readonly string[];
  /** The innermost of them; "unknown" if there is none. */
  readonly place: string;
  /** The module of the innermost function, null for vmlinux. */
  readonly module: string | null;
}

export class mem_object {
  /** Set by kfree() and by the end of a stack frame; looked at by every accessor. */
  freed = false;
  kind: memory_kind = "static";
  /** Kernel virtual address of the first byte; 0 for statics, which nobody prints. */
  addr = 0;
  /** What was asked for, in bytes. */
  size = 0;
  /** What the allocator really gave: the object size of the slab cache, or whole pages. */
  usable = 0;
  /** Name of the struct, or of the buffer's element. */
  type = "";
  /** Slab cache the object came from. */
  cache: string | null = null;
  /** What of the object may be copied to and from user space, as the slab cache says. */
  useroffset = 0;
  usersize = 0;
  /** One for each byte that nobody has written yet; null if all are, or are not looked at. */
  unwritten: Uint8Array | null = null;
  alloc_track: track | null = null;
  free_track: track | null = null;
  /** Order of birth in this boot: the identity of an object across states, where addresses are not comparable. */
  birth = 0;
  /** Last access of each context, by its number, for the race checker; null if there is none that it has seen. */
  visitors: Map<number, memory_access> | null = null;
  /** The struct, buffer or array itself: where the leak checker goes on from here. */
  root: object | null = null;

  /** Name of the module whose code allocated it, null for vmlinux. */
  get module(): string | null {
    return this.alloc_track?.module ?? null;
  }
}

/** Memory that is never freed: file-scope objects and what is made with `new` outside an allocation. */
export const STATIC_MEMORY = new mem_object();
