// SPDX-License-Identifier: GPL-2.0-only
/**
 * Random sequences of what user space can do with the sample drivers: ioctls on right and wrong descriptors with right and wrong
 * sizes, flags, indices and memory, reads, writes and mappings. A seed is a sequence; a boot goes on until an oops or its end.
 */
import { VFIO_BASE, VFIO_TYPE, VFIO_TYPE1v2_IOMMU } from "#uapi/linux/vfio.ts";
import * as uapi from "#uapi/linux/vfio.ts";
import type { Sleeps } from "#linux/types.ts";
import { boot, found, run } from "../../kernel/arch/machine.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";

import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/mdev/mdev_core.ts";
import "../../samples/vfio-mdev/mtty.ts";
import "../../samples/vfio-mdev/mdpy.ts";
import "../../samples/vfio-mdev/mbochs.ts";

const MODULES = ["vfio", "vfio_iommu_type1", "mdev", "mtty", "mdpy", "mbochs"];
const TYPES = ["mtty-1", "mtty-2", "mdpy-vga", "mbochs-small"];
const O_RDWR = 2;
const PAGE = 4096;
const GIVEN_UP = 4096;

/** Numbers from a seed: mulberry32. */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** From 0 to n - 1. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  }
  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }
  /** Once in n times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }
}

export interface Fuzzed {
  readonly ioctls: number;
  readonly calls: number;
  readonly boots: number;
  /** How often each report came, by title without numbers. */
  readonly reports: ReadonlyMap<string, number>;
  /** How often each result came: 0, positive, or an errno. */
  readonly results: ReadonlyMap<number, number>;
  /** A seed that leads to each report in its boot. */
  readonly seeds: ReadonlyMap<string, number>;
}

/** Commands that exist, with the size of their structure. */
const SIZED: readonly (readonly [number, number])[] = [
  [uapi.VFIO_DEVICE_GET_INFO, 24],
  [uapi.VFIO_DEVICE_GET_REGION_INFO, 32],
  [uapi.VFIO_DEVICE_GET_IRQ_INFO, 16],
  [uapi.VFIO_DEVICE_SET_IRQS, 28],
  [uapi.VFIO_DEVICE_QUERY_GFX_PLANE, 64],
  [uapi.VFIO_DEVICE_GET_GFX_DMABUF, 4],
  [uapi.VFIO_DEVICE_FEATURE, 24],
  [uapi.VFIO_IOMMU_GET_INFO, 128],
  [uapi.VFIO_IOMMU_MAP_DMA, 32],
  [uapi.VFIO_IOMMU_UNMAP_DMA, 48],
  [uapi.VFIO_IOMMU_DIRTY_PAGES, 48],
  [uapi.VFIO_GROUP_GET_STATUS, 8],
];
const WORDS = [
  0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 16, 20, 24, 31, 32, 64, 0xff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff,
];
/** VFIO_IRQ_SET_: one of data and one of action, which is right, or anything. */
const IRQ_FLAGS = [0x21, 0x24, 0x22, 0x09, 0x11, 0x0c, 0x14];

class Program {
  readonly #u: user_process;
  readonly #dice: Dice;
  readonly #fds: number[] = [];
  readonly #groups: number[] = [];
  #devices: number[] = [];
  readonly #maps: { addr: bigint; length: number }[] = [];
  #container = -1;
  #memory = 0n;
  ioctls = 0;
  calls = 0;
  readonly results = new Map<number, number>();

  constructor(u: user_process, seed: number) {
    this.#u = u;
    this.#dice = new Dice(seed);
  }

  #note(ret: number | bigint): void {
    const n = Number(ret);
    if (n < 0 && (n <= -GIVEN_UP || !Number.isInteger(n))) throw new Error(`no errno: ${ret}`);
    this.calls++;
    const what = Math.min(n, 1);
    this.results.set(what, (this.results.get(what) ?? 0) + 1);
  }

  *setUp(): Sleeps {
    const u = this.#u;
    for (const name of MODULES) yield* u.finit_module(name);
    this.#memory = yield* u.alloc(4 * PAGE);
    this.#container = yield* u.open("/dev/vfio/vfio", O_RDWR);
    u.poke_u32(this.#memory, this.#container);
    for (const [i, type] of TYPES.entries()) {
      const uuid = `11111111-2222-3333-4444-55555555550${i}`;
      const parent = type.split("-", 1)[0] ?? "";
      yield* u.sysfs_write(`/sys/class/mdev_bus/${parent}/mdev_supported_types/${type}/create`, uuid);
      const { text } = yield* u.readlink(`/sys/bus/mdev/devices/${uuid}/iommu_group`);
      const group = yield* u.open(`/dev/vfio/${text.slice(text.lastIndexOf("/") + 1)}`, O_RDWR);
      yield* u.ioctl(group, uapi.VFIO_GROUP_SET_CONTAINER, this.#memory);
      if (i === 0) yield* u.ioctl(this.#container, uapi.VFIO_SET_IOMMU, BigInt(VFIO_TYPE1v2_IOMMU));
      this.#groups.push(group);
      this.#devices.push(yield* u.ioctl(group, uapi.VFIO_GROUP_GET_DEVICE_FD, yield* u.string(uuid)));
    }
    for (let i = 0; i < 3; i++) this.#fds.push(yield* u.eventfd(0, 0o4000));
  }

  #word(): number {
    return this.#dice.once(6) ? this.#dice.below(2 ** 32) : this.#dice.one(WORDS);
  }
  #device(): number {
    const dice = this.#dice;
    if (dice.once(12)) return dice.one([this.#container, ...this.#groups, ...this.#fds, 0, 99, -1]);
    return dice.one(this.#devices);
  }
  /** Where a structure is put: mostly where there is memory, at times at its end, beyond it or nowhere. */
  #place(length: number): bigint {
    const dice = this.#dice;
    const end = this.#memory + BigInt(4 * PAGE);
    if (dice.once(25))
      return dice.one([0n, 1n, end, end - 4n, end - BigInt(length >> 1), 0x7fff_ffff_f000n, (1n << 64n) - 4n]);
    return dice.once(3) ? end - BigInt(length) : this.#memory;
  }
  #fill(length: number, argsz: number, cmd: number): Uint8Array {
    const dice = this.#dice;
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at + 4 <= length; at += 4) view.setUint32(at, dice.once(2) ? 0 : this.#word(), true);
    if (length >= 4) view.setUint32(0, dice.once(8) ? this.#word() : argsz, true);
    if (cmd === uapi.VFIO_DEVICE_SET_IRQS) this.#irqSet(view);
    if (cmd === uapi.VFIO_IOMMU_MAP_DMA || cmd === uapi.VFIO_IOMMU_UNMAP_DMA) this.#mapping(view, cmd);
    return bytes;
  }
  #irqSet(view: DataView): void {
    const dice = this.#dice;
    const set = (at: number, v: number): void => {
      if (view.byteLength >= at + 4) view.setUint32(at, v, true);
    };
    if (!dice.once(6)) set(4, dice.one(IRQ_FLAGS));
    if (!dice.once(6)) set(8, dice.below(6));
    if (!dice.once(6)) set(12, 0);
    if (!dice.once(6)) set(16, 1);
    set(20, dice.once(4) ? this.#word() : dice.one(this.#fds));
  }
  #mapping(view: DataView, cmd: number): void {
    const dice = this.#dice;
    if (view.byteLength < 32 || dice.once(5)) return;
    const [iova, size] = [BigInt(dice.below(16) * PAGE), BigInt((1 + dice.below(4)) * PAGE)];
    const map = cmd === uapi.VFIO_IOMMU_MAP_DMA;
    view.setUint32(4, map ? 1 + dice.below(3) : dice.one([0, 0, 1, 2, 4]), true);
    view.setBigUint64(8, map ? this.#memory : iova, true);
    view.setBigUint64(16, map ? iova : size, true);
    if (map) view.setBigUint64(24, size, true);
  }

  *#ioctl(): Sleeps {
    const dice = this.#dice;
    const u = this.#u;
    const known = !dice.once(10);
    const [cmd, size] = known ? dice.one(SIZED) : ([(VFIO_TYPE << 8) | (VFIO_BASE + dice.below(26)), 64] as const);
    const fd = cmd >= uapi.VFIO_IOMMU_GET_INFO && !dice.once(10) && !isDevice(cmd) ? this.#container : this.#device();
    const length = dice.once(6) ? dice.below(256) : size;
    const bytes = this.#fill(length, size, cmd);
    const at = this.#place(length);
    if (at >= this.#memory && at + BigInt(length) <= this.#memory + BigInt(4 * PAGE)) u.poke(at, bytes);
    const harmless = cmd !== uapi.VFIO_GROUP_UNSET_CONTAINER && cmd !== uapi.VFIO_GROUP_SET_CONTAINER;
    const ret = yield* u.ioctl(harmless || dice.once(4) ? fd : dice.one(this.#devices), cmd, at);
    this.ioctls++;
    this.#note(ret);
    if (ret > 2 && (cmd === uapi.VFIO_DEVICE_GET_GFX_DMABUF || cmd === uapi.VFIO_GROUP_GET_DEVICE_FD))
      yield* u.close(ret);
  }
  /** A place in a region: its index is in the upper bits for some drivers; others lay all of it out from 0. */
  #offset(): bigint {
    const dice = this.#dice;
    const small = BigInt(
      dice.one([0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x14, 0x18, 0x3c, 0x3d, 0xfc, 0xff, 0x100, dice.below(0x500)]),
    );
    if (dice.once(3)) return small;
    const base = dice.one([0n, 1n, 2n, 7n, 8n, 9n, 0xffn]) << 40n;
    if (dice.once(4)) return BigInt(dice.below(2 ** 31)) * 4n;
    return base + small;
  }
  *#access(): Sleeps {
    const dice = this.#dice;
    const u = this.#u;
    const length = dice.one([1, 1, 2, 2, 4, 4, 8, 3, 5, 0, 64, dice.below(300)]);
    const at = this.#place(length);
    const fd = this.#device();
    const offset = dice.once(40) ? (1n << 63n) - 1n - BigInt(dice.below(8)) : this.#offset();
    if (dice.once(2)) this.#note(yield* u.pread(fd, at, length, offset));
    else this.#note(yield* u.pwrite(fd, at, length, offset));
  }
  *#map(): Sleeps {
    const dice = this.#dice;
    const u = this.#u;
    const length = dice.one([1, PAGE, 2 * PAGE, 4 << 20, 8 << 20]);
    const off = dice.one([0n, 0x1000n, 0x2000n, 0x3000n, 0x10000n, 0x403000n, 7n << 40n, 1n << 40n, 5n]);
    const addr = yield* u.mmap(length, dice.one([1, 2, 3]), dice.one([1, 1, 1, 2]), this.#device(), off);
    this.#note(addr < 0n ? addr : 1);
    if (addr >= 0n) this.#maps.push({ addr, length });
    if (this.#maps.length > 4) {
      const { addr: old, length: size } = this.#maps.shift()!;
      this.#note(yield* u.munmap(old, size));
    }
  }
  *#touch(): Sleeps {
    const dice = this.#dice;
    if (this.#maps.length === 0) return;
    const { addr, length } = dice.one(this.#maps);
    const at = addr + BigInt(dice.below(Math.max(1, length - 8)));
    if (dice.once(2)) this.#note((yield* this.#u.load_bytes(at, 4)).ret);
    else this.#note(yield* this.#u.store_bytes(at, Uint8Array.of(1, 2, 3, 4)));
  }
  /** A device is closed, and opened again. */
  *#reopen(): Sleeps {
    const u = this.#u;
    const i = this.#dice.below(this.#devices.length);
    for (const { addr, length } of this.#maps.splice(0)) this.#note(yield* u.munmap(addr, length));
    this.#note(yield* u.close(this.#devices[i]!));
    u.poke(
      this.#memory,
      Uint8Array.from(`11111111-2222-3333-4444-55555555550${i}\0`, (c) => c.charCodeAt(0)),
    );
    this.#devices[i] = yield* u.ioctl(this.#groups[i]!, uapi.VFIO_GROUP_GET_DEVICE_FD, this.#memory);
    this.ioctls++;
    this.#note(this.#devices[i]!);
  }

  *step(): Sleeps {
    const kind = this.#dice.below(1000);
    if (kind < 800) yield* this.#ioctl();
    else if (kind < 930) yield* this.#access();
    else if (kind < 950) yield* this.#map();
    else if (kind < 998) yield* this.#touch();
    else yield* this.#reopen();
  }
}
const isDevice = (cmd: number): boolean =>
  cmd === uapi.VFIO_DEVICE_QUERY_GFX_PLANE ||
  cmd === uapi.VFIO_DEVICE_GET_GFX_DMABUF ||
  cmd === uapi.VFIO_DEVICE_FEATURE;

const CALLS_PER_BOOT = 20_000;
/** Without the numbers that differ from time to time. */
const classOf = (title: string): string => title.replace(/0x[0-9a-f]+|\b[0-9a-f]{8,}\b/g, "…").replace(/:\d+/g, "");

/** One boot. @return its program, and the classes of what was reported */
export function fuzzBoot(
  seed: number,
  calls = CALLS_PER_BOOT,
): { program: Program | null; reports: string[]; end: string } {
  let program: Program | null = null;
  if (boot({ arch: "x86_64", stacks: false, max_steps: 1e9, max_seconds: 1e9 }) !== "done") throw new Error("no boot");
  run_user("init", function* (u) {
    program = new Program(u, seed);
    yield* program.setUp();
    while (program.calls < calls) yield* program.step();
  });
  const end = run();
  return { program, reports: found().map((r) => classOf(r.title)), end };
}

/** Boots until that many ioctls have been made. */
export function fuzz(ioctls: number, firstSeed = 1): Fuzzed {
  const [reports, results, seeds] = [new Map<string, number>(), new Map<number, number>(), new Map<string, number>()];
  let [made, calls, boots] = [0, 0, 0];
  for (let seed = firstSeed; made < ioctls; seed++, boots++) {
    const { program, reports: titles, end } = fuzzBoot(seed);
    if (!program || (end !== "done" && end !== "oops")) throw new Error(`seed ${seed}: ${end}`);
    made += program.ioctls;
    calls += program.calls;
    for (const [n, times] of program.results) results.set(n, (results.get(n) ?? 0) + times);
    for (const title of titles) {
      reports.set(title, (reports.get(title) ?? 0) + 1);
      if (!seeds.has(title)) seeds.set(title, seed);
    }
  }
  return { ioctls: made, calls, boots, reports, results, seeds };
}

/** The classes of reports, each a row of Documentation/findings.md. */
export const EXPLAINED: Readonly<Record<string, RegExp>> = {
  V01: /^BUG: KASAN: slab-out-of-bounds in mdev_access \[(mtty|mdpy|mbochs)\]$/,
  V02: /^BUG: KASAN: stack-out-of-bounds in handle_pci_cfg_write \[(mtty|mdpy|mbochs)\]$/,
  V03: /^UBSAN: array-index-out-of-bounds in handle_bar_(read|write) \[mtty\]$/,
  V04: /^BUG: kernel NULL pointer dereference in mtty_set_irqs \[mtty\]$/,
  V05: /^BUG: kernel NULL pointer dereference in eventfd_signal_mask$/,
  // The eventfd is gone: whatever its functions touch speaks, and its lock is broken
  V06: /^(BUG: KASAN: use-after-free in (eventfd_\w+|refcount_warn_saturate|spin_lock_irqsave|take_free|take|give_back|unlocked|debug_spin_\w+|waitqueue_active|__wake_up|wake_up_tasks)|WARNING: refcount_warn_saturate)$/,
  V07: /^BUG: KMSAN: kernel-infoleak in (mtty_read \[mtty\]|mdpy_read \[mdpy\]|mbochs_(read|ioctl) \[mbochs\])$/,
  V08: /^BUG: KASAN: slab-out-of-bounds in __mbochs_get_page \[mbochs\]$/,
};

/** Reports that are in none of the classes, with a seed that leads to each. */
export function unexplained({ reports, seeds }: Fuzzed): string[] {
  return [...reports.keys()]
    .filter((title) => !Object.values(EXPLAINED).some((known) => known.test(title)))
    .map((title) => `seed ${seeds.get(title) ?? "?"}: ${title}`);
}
