// SPDX-License-Identifier: GPL-2.0-only
/** The program that performs a trace: its descriptors, memory and children, and what the calls of a trace are made of. */
import type { user_process } from "../../../kernel/fs/process.ts";
import type { Sleeps } from "../../../kernel/sched/types.ts";
import { InputError } from "../errors.ts";
import type { Kernel } from "../states/load.ts";
import type { Args } from "./args.ts";
import { hexOf } from "./constants.ts";
import { libc, type LibcResult } from "./errno.ts";
import type { Preemption } from "./preemption.ts";

/** What came of a call; what is missing is empty. */
export interface Outcome {
  readonly ret?: number;
  readonly errno?: string;
  /** The caller's buffer afterwards. */
  readonly out?: string;
  readonly res?: Readonly<Record<string, unknown>>;
  readonly text?: string;
}

/** A process that writes to a file and may hang in it. */
export interface Child {
  readonly pid: number;
  /** What its write gave, once it has. */
  result: LibcResult | null;
}

/** Memory that addresses of a trace lie in. */
interface DmaBuffer {
  readonly vaddr: bigint;
  readonly iova: bigint;
  readonly length: number;
}

const NO_FD = -1;

/** Memory of the program that recorded a trace, at the addresses that the trace has. */
export interface OwnMemory {
  readonly addr: bigint;
  readonly length: number;
  readonly writable: boolean;
}
const PAGE = 4096n;
/** What a program that is linked to no library has of its own lies from here on; nothing is mapped below 64 KiB. */
const IMAGE = { from: 0x400000n, to: 0x10000000n };

export class Actor {
  readonly kernel: Kernel;
  readonly u: user_process;
  readonly fds = new Map<string, number>();
  readonly children = new Map<string, Child>();
  dma: DmaBuffer | null = null;

  /** Descriptors of a name that was given again while the first one is open. */
  readonly #later = new Map<string, number[]>();
  /** Where files are mapped, latest last; @mapping gives them their names. */
  readonly mappings: { readonly fd: number; readonly addr: bigint; readonly length: number }[] = [];
  readonly #mapped = new Map<string, bigint>();

  /** Where the last bitmap lies that the kernel was given. */
  bitmap: bigint | null = null;
  readonly #image = new Set<bigint>();

  readonly schedule: Preemption;

  constructor(kernel: Kernel, u: user_process, schedule: Preemption) {
    this.kernel = kernel;
    this.u = u;
    this.schedule = schedule;
  }

  /** Number of the descriptor called `name`; one that is not open is what -1 is to the kernel. */
  fd(name: string): number {
    return this.fds.get(name) ?? NO_FD;
  }
  /** @fd is called @name from now on, after those that are called so already. */
  named(name: string, fd: number): void {
    if (!this.fds.has(name)) this.fds.set(name, fd);
    else this.#later.set(name, [...(this.#later.get(name) ?? []), fd]);
  }
  /** The descriptor of that name is closed. */
  forget(name: string): void {
    const [next, ...rest] = this.#later.get(name) ?? [];
    this.#later.set(name, rest);
    if (next === undefined) this.fds.delete(name);
    else this.fds.set(name, next);
  }
  /** A name of a mapping means, from its first use on, what was mapped last. */
  mapping(name: string): bigint {
    const addr = this.#mapped.get(name) ?? this.mappings.at(-1)?.addr;
    if (addr === undefined) throw new InputError(`nothing is mapped as ${name}`);
    this.#mapped.set(name, addr);
    return addr;
  }
  /** What is mapped of a file goes: the recording program did so before it closed the file, without a record of it. */
  *unmap(fd: number): Sleeps {
    for (const { addr, length } of this.mappings.filter((m) => m.fd === fd)) yield* this.u.munmap(addr, length);
    this.mappings.splice(0, this.mappings.length, ...this.mappings.filter((m) => m.fd !== fd));
  }
  child(name: string): Child {
    const child = this.children.get(name);
    if (!child) throw new InputError(`there is no child ${name}`);
    return child;
  }

  /** A call that gives a descriptor, which is called `as` from now on. */
  *opens(call: Sleeps<number>, as: string): Sleeps<Outcome> {
    const fd = yield* call;
    if (fd >= 0) this.fds.set(as, fd);
    return libc(Math.min(fd, 0));
  }

  /** Maps memory where the recording program had it. */
  *owns(memory: readonly OwnMemory[]): Sleeps {
    for (const { addr, length, writable } of memory) yield* this.u.alloc_at(addr, length, writable ? 3 : 1);
  }
  /**
   * A pointer that the program put into a structure: if it points to what is the program's own, that is mapped when first
   * used, and cleared, as the program cleared it before each call. @return whether it is the program's own
   */
  *clears(addr: bigint, length: number): Sleeps<boolean> {
    if (addr < IMAGE.from || addr + BigInt(length) > IMAGE.to) return false;
    for (let page = addr - (addr % PAGE); page < addr + BigInt(length); page += PAGE) {
      if (!this.#image.has(page)) yield* this.u.alloc_at(page, Number(PAGE));
      this.#image.add(page);
    }
    this.u.poke(addr, new Uint8Array(length));
    return true;
  }

  /** Fresh memory with @bytes in it. */
  *place(bytes: Uint8Array): Sleeps<bigint> {
    const addr = yield* this.u.alloc(Math.max(1, bytes.length));
    this.u.poke(addr, bytes);
    return addr;
  }
  *free(addr: bigint, bytes: Uint8Array): Sleeps {
    yield* this.u.munmap(addr, Math.max(1, bytes.length));
  }

  /** An ioctl on a buffer. @return with the buffer as it is afterwards */
  *ioctlOn(fd: number, request: number, buffer: Uint8Array): Sleeps<Outcome & { readonly bytes: Uint8Array }> {
    const addr = yield* this.place(buffer);
    const ret = yield* this.u.ioctl(fd, request, addr);
    const bytes = this.u.peek(addr, buffer.length);
    yield* this.free(addr, buffer);
    return { ...libc(ret), out: hexOf(bytes), bytes };
  }

  /** Where a byte of the DMA buffer is in the program's memory. */
  at(iova: bigint, length: number): bigint {
    const dma = this.dma;
    if (!dma || iova < dma.iova || iova + BigInt(length) > dma.iova + BigInt(dma.length))
      throw new InputError(`0x${iova.toString(16)} is not in the buffer`);
    return dma.vaddr + iova - dma.iova;
  }
  /** `length` bytes of the DMA buffer. */
  data(iova: bigint, length: number): string {
    return hexOf(this.u.peek(this.at(iova, length), length));
  }

  /** open, one write of `data`, close. */
  *writeFile(args: Args): Sleeps<LibcResult> {
    return libc(yield* this.u.sysfs_write(args.text("path"), args.text("data")));
  }
}
