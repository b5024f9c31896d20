// SPDX-License-Identifier: GPL-2.0-only
/** Regions of vfio-pci as user space sees them: memory and ports read, written and mapped, ROMs, VGA, and eventfds that write. */
import test from "ava";
import { EBADF, EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENODEV, ENOENT, ENOMEM, ENOSPC } from "#linux/errno.ts";
import { release_mem_region, request_mem_region } from "#linux/ioport.ts";
import { kvm } from "#linux/kvm_host.ts";
import { current_mm, type mm_struct, mmget, mmput } from "#linux/mm.ts";
import { pci_dev } from "#linux/pci.ts";
import { kfree } from "#linux/slab.ts";
import { initialise, offsetof, sizeof, type Sleeps } from "#linux/types.ts";
import { vfio_info_cap } from "#linux/vfio.ts";
import { vfio_pci_core_device, vfio_pci_core_ioctl } from "#linux/vfio_pci_core.ts";
import { zpci_bus, zpci_dev, zpci_kvm_hook } from "#asm/pci.ts";
import {
  vfio_device_info_cap_zpci_base,
  vfio_device_info_cap_zpci_group,
  vfio_device_info_cap_zpci_util,
} from "#uapi/linux/vfio_zdev.ts";
import {
  vfio_pci_info_zdev_add_caps,
  vfio_pci_zdev_close_device,
  vfio_pci_zdev_open_device,
} from "../../drivers/vfio/pci/vfio_pci_priv.ts";
import { boot, found, run } from "../../kernel/arch/machine.ts";
import type { mmio_device } from "../../kernel/arch/mmio.ts";
import { device_memory } from "../../kernel/arch/x86/pci_devices.ts";
import { FIRMWARE_MEMORY } from "../../kernel/arch/x86/pci_firmware.ts";
import type { function_model } from "../../kernel/arch/x86/pci_function.ts";
import { pci_hw, type pci_plan, q35_chipset } from "../../kernel/arch/x86/pci_host.ts";
import { pci_models } from "../../kernel/arch/x86/pci_models.ts";
import {
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  run_user,
  type user_process,
} from "../../kernel/fs/process.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
import { kernel_log } from "../../kernel/printk.ts";
import { fault_injections, make_it_fail, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import {
  DEVICE_FEATURE,
  deviceOf,
  GET_INFO,
  GET_REGION_INFO,
  give,
  opening,
  takeBack,
  withBound,
  words,
} from "../helpers/pci.ts";
import { command, eventfd, onMachine, peek, poke, ROM, signal, VGA } from "../helpers/pci_io.ts";
import { loadModules, pciDevice, unloadModules } from "../helpers/vfio-bus.ts";

import "#linux/device.ts";
import "../../drivers/iommu/intel/iommu.ts";
import "../../drivers/pci/pci-sysfs.ts";
import "../../kernel/arch/x86/pci.ts";
import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/virqfd.ts";
import "../../drivers/vfio/pci/vfio_pci_core.ts";
import "../../drivers/vfio/pci/vfio_pci.ts";

const DEV = pciDevice("0000:00:04.0");
const PLACE = "00:04.0";

const le16 = (v: number): number[] => [v & 0xff, v >> 8];
const le32 = (v: number): number[] => [...le16(v & 0xffff), ...le16(v >>> 16)];

/** Where the table of MSI-X is in BAR 2: three entries. */
const TABLE = 0x808;
const TABLE_END = TABLE + 3 * 16;
const ROM_SIZE = 0x800;
/** One image of 512 bytes. */
const IMAGE = [0x55, 0xaa, ...new Array<number>(22).fill(0), ...le16(0x20), ...new Array<number>(6).fill(0)];
const ROM_HOLDS = [
  ...IMAGE,
  ...new TextEncoder().encode("PCIR"),
  ...new Array<number>(12).fill(0),
  ...le16(1),
  0,
  0,
  0,
  0x80,
];

/** What came at the first BAR: like "w4@0". */
const accesses: string[] = [];
function recording(): mmio_device {
  const memory = device_memory(0x1000);
  return {
    read(off, size) {
      accesses.push(`r${size}@${off}`);
      return memory.read(off, size);
    },
    write(off, size, value) {
      accesses.push(`w${size}@${off}`);
      memory.write(off, size, value);
    },
  };
}
const MODEL: function_model = {
  vendor: 0x1234,
  device: 0x5678,
  class: 0x00ff,
  bars: [
    { n: 0, size: 0x1000, kind: "mem32" },
    { n: 1, size: 0x40, kind: "io", memory: true },
    { n: 2, size: 0x4000, kind: "mem64", prefetch: true, memory: true },
    { n: 8, size: ROM_SIZE, kind: "mem32", rom: ROM_HOLDS },
  ],
  capabilities: [
    { id: 0x01, at: 0x40, bytes: [0, 0, ...le16(3), ...le16(8), 0, 0], writable: [0, 0, 0, 0, ...le16(0x0103)] },
    {
      id: 0x11,
      at: 0x50,
      bytes: [0, 0, ...le16(2), ...le32(TABLE | 2), ...le32(0x900 | 2)],
      writable: [0, 0, ...le16(0xc000)],
    },
    { id: 0x13, at: 0x60, bytes: [0, 0, 6, 3, 0, 0], writable: [0, 0, 0, 0, 1, 0] },
  ],
  pm_at: 0x40,
  af_at: 0x60,
  registers: recording,
};
const machine = (device: pci_plan["device"] = MODEL): readonly pci_plan[] => [
  { slot: 0, device: "host-bridge" },
  { slot: 4, device },
];

/** The device is open, memory and ports are on. @return what the body said, and the reports */
function saying(
  body: (u: user_process, device: number, say: (x: unknown) => void, group: number) => Sleeps,
  device: pci_plan["device"] = MODEL,
): { readonly reports: string[]; readonly results: unknown[] } {
  const results: unknown[] = [];
  accesses.splice(0);
  const reports = onMachine(machine(device), function* (u) {
    yield* withBound(u, [DEV], () =>
      opening(u, DEV, function* ({ device, group }) {
        yield* command(u, device, 3);
        yield* body(u, device, (x) => void results.push(x), group);
      }),
    );
  });
  return { reports, results };
}

// Reading and writing

const WIDTHS: readonly (readonly [off: number, size: number, widths: readonly string[]])[] = [
  [0, 1, ["1@0"]],
  [0, 2, ["2@0"]],
  [0, 4, ["4@0"]],
  [0, 8, ["4@0", "4@4"]],
  [2, 4, ["2@2", "2@4"]],
  [1, 2, ["1@1", "1@2"]],
  [1, 7, ["1@1", "2@2", "4@4"]],
  [3, 6, ["1@3", "4@4", "1@8"]],
  [0xffe, 2, ["2@4094"]],
];
test("the device is opened again", (t) => {
  const results: unknown[] = [];
  const reports = onMachine(machine(), function* (u) {
    yield* withBound(u, [DEV], function* () {
      for (let round = 0; round < 2; round++)
        yield* opening(u, DEV, function* ({ device }) {
          yield* command(u, device, 3);
          for (const region of [0, 1, 2]) results.push(yield* poke(u, device, region, 8, 7, 1));
        });
    });
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [1, 1, 1, 1, 1, 1]);
});

test("how wide the accesses to a device are", (t) => {
  for (const [off, size, widths] of WIDTHS) {
    const { reports, results } = saying(function* (u, device, say) {
      say(yield* poke(u, device, 0, off, 0x1122334455, size));
      say(yield* peek(u, device, 0, off, size));
    });
    t.deepEqual(reports, []);
    t.deepEqual(results, [size, 0x1122334455 % 2 ** (8 * size)]);
    t.deepEqual(accesses, [...widths.map((w) => `w${w}`), ...widths.map((w) => `r${w}`)]);
  }
});

test("the end of a region, and regions that are not there", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    say(yield* poke(u, device, 0, 0xffc, 0x12345678, 8));
    say(yield* peek(u, device, 0, 0xffc, 8));
    say(yield* peek(u, device, 0, 0x1000));
    say(yield* poke(u, device, 0, 0x1000, 1));
    say(yield* peek(u, device, 1, 0x3e, 4));
    say(yield* peek(u, device, 3, 0));
    say(yield* peek(u, device, 5, 0));
    say(yield* poke(u, device, ROM, 0, 1));
    say(yield* peek(u, device, VGA, 0xa0000));
    say(yield* peek(u, device, 9, 0));
    say(yield* u.pread(device, 1n, 4, 0n));
    say(yield* u.pwrite(device, 1n, 4, 0n));
  });
  t.deepEqual(reports, []);
  const E = -EINVAL;
  t.deepEqual(results, [4, 0x12345678, E, E, 0, E, E, E, E, E, -EFAULT, -EFAULT]);
});

test("the table of MSI-X is nobody's", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    say(yield* poke(u, device, 2, TABLE - 4, 0x11111111, 4));
    say(yield* poke(u, device, 2, TABLE_END, 0x2222, 2));
    say(yield* poke(u, device, 2, TABLE + 8, 0x33, 4));
    say(
      pci_hw
        .func(PLACE)!
        .interrupts.registers(2, TABLE + 8)!
        .device.read(8, 4),
    );
    const buf = yield* u.alloc(4096);
    say(yield* u.pread(device, buf, TABLE_END - TABLE + 8, (2n << 40n) | BigInt(TABLE - 4)));
    const bytes = u.peek(buf, TABLE_END - TABLE + 8);
    say([...bytes.subarray(0, 5)]);
    say(bytes.subarray(4, -4).every((b) => b === 0xff));
    say([...bytes.subarray(-5)]);
    say(yield* peek(u, device, 2, TABLE + 1, 1));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [4, 2, 4, 0n, 56, [0x11, 0x11, 0x11, 0x11, 0xff], true, [0xff, 0x22, 0x22, 0, 0], 0xff]);
});

test("memory that is off", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    say(yield* poke(u, device, 1, 4, 0x55, 1));
    for (const on of [0, 1, 2, 3]) {
      yield* command(u, device, on);
      say([yield* peek(u, device, 0, 0), yield* poke(u, device, 0, 0, 1), yield* peek(u, device, 1, 4, 1)]);
    }
    // D3hot, by its own register
    say(yield* poke(u, device, 7, 0x44, 3, 2));
    say(yield* peek(u, device, 0, 0));
    say(yield* poke(u, device, 7, 0x44, 0, 2));
    say(yield* peek(u, device, 0, 0));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [1, [-EIO, -EIO, 0xff], [-EIO, -EIO, 0x55], [0, 4, 0xff], [1, 4, 0x55], 2, -EIO, 2, 1]);
});

test("a ROM", (t) => {
  const text = "PCIR";
  const { reports, results } = saying(function* (u, device, say) {
    const info = yield* words(u, device, GET_REGION_INFO, [32, 0, ROM, 0, 0, 0, 0, 0]);
    say([info.ret, info.words[1], info.words[4]]);
    say(yield* peek(u, device, ROM, 0, 2));
    say(yield* peek(u, device, ROM, 0x20, 4));
    // The image is shorter than the BAR.
    say([yield* peek(u, device, ROM, 0x1fe, 4), yield* peek(u, device, ROM, ROM_SIZE, 1)]);
    say(pci_hw.func(PLACE)!.read(0x30, 4) & 1);
    yield* command(u, device, 0);
    say(yield* peek(u, device, ROM, 0, 2));
    say((yield* words(u, device, GET_REGION_INFO, [32, 0, ROM, 0, 0, 0, 0, 0])).words[1]);
  });
  t.deepEqual(reports, []);
  const pcir = [...text].reduceRight((v, c) => v * 0x100 + c.charCodeAt(0), 0);
  t.deepEqual(results, [[0, 1, ROM_SIZE], 0xaa55, pcir, [0xffffffff, -EINVAL], 0, -ENOMEM, 1]);
});

test("what says that it is a ROM and is none", (t) => {
  const bars = MODEL.bars!.map((b) => (b.rom ? { ...b, rom: [1, 2, 3] } : b));
  const { reports, results } = saying(
    function* (u, device, say) {
      const info = yield* words(u, device, GET_REGION_INFO, [32, 0, ROM, 0, 0, 0, 0, 0]);
      say([info.ret, info.words[1], info.words[4]]);
      say(yield* peek(u, device, ROM, 0, 2));
    },
    { ...MODEL, bars },
  );
  t.deepEqual(reports, []);
  t.deepEqual(results, [[0, 0, 0], -12]);
  const said = kernel_log().filter((l) =>
    l.text.includes("Invalid PCI ROM header signature: expecting 0xaa55, got 0x0201"),
  );
  t.is(said.length, 2);
});

test("a ROM that says that more of it is far away", (t) => {
  for (const [at, title] of [
    [0xffc, null],
    [0xffe, "BUG: unable to handle page fault for address in pci_get_rom_size"],
    [0xfffc, "BUG: unable to handle page fault for address in pci_get_rom_size"],
  ] as const) {
    const rom = [0x55, 0xaa, ...new Array<number>(22).fill(0), ...le16(at)];
    boot({
      arch: "x86_64",
      pci: machine({ ...MODEL, bars: MODEL.bars!.map((b) => (b.rom ? { ...b, rom } : b)) }),
      stacks: false,
    });
    run_user("init", function* (u) {
      yield* withBound(u, [DEV], () =>
        opening(u, DEV, function* ({ device }) {
          t.is(yield* peek(u, device, ROM, 0, 2), -ENOMEM);
        }),
      );
    });
    t.is(run(), title ? "oops" : "done");
    t.deepEqual(
      found().map((r) => r.title),
      title ? [title] : [],
    );
  }
});

test("VGA", (t) => {
  for (const args of ["", "disable_vga=1"]) {
    const results: unknown[] = [];
    const reports = onMachine(machine({ ...pci_models["skylake-gt2"], vendor: 0x1234 }), function* (u) {
      for (const name of DEV.modules) yield* u.finit_module(name, name === "vfio_pci" ? args : "");
      yield* give(u, DEV);
      yield* opening(u, DEV, function* ({ device }) {
        yield* command(u, device, 3);
        for (const at of [0x3af, 0x3b0, 0x3bc, 0x3c0, 0x3df, 0x3e0, 0x9ffff, 0xa0000, 0xbffff, 0xc0000])
          results.push(yield* peek(u, device, VGA, at, 2));
        results.push(yield* poke(u, device, VGA, 0xbfffe, 1, 4));
      });
      yield* takeBack(u, DEV);
      yield* unloadModules(u, DEV);
    });
    t.deepEqual(reports, []);
    const E = -EINVAL;
    // Nobody answers; at the end of a range there is one byte.
    const there = [E, 0xffff, E, 0xffff, 0xff, E, E, 0xffff, 0xff, E, 2];
    t.deepEqual(results, args ? there.map(() => E) : there);
  }
});

test("a BAR that somebody else has", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    const start = BigInt(pci_hw.func(PLACE)!.read(0x10, 4));
    yield* u.syscall(function* () {
      say((yield* request_mem_region(start, 0x1000n, "other")) !== null);
      return 0;
    });
    say(yield* peek(u, device, 0, 0));
    say(Number(yield* u.mmap(4096, PROT_READ, MAP_SHARED, device, 0n)));
    say(yield* ioeventfd(u, device, { off: 0, fd: 0 }));
    yield* u.syscall(function* () {
      yield* release_mem_region(start, 0x1000n);
      return 0;
    });
    say(yield* peek(u, device, 0, 0));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [true, -EBUSY, -EBUSY, -EBUSY, 0]);
});

// Mapped

const map = (
  u: user_process,
  device: number,
  region: number,
  off = 0,
  len = 4096,
  flags = MAP_SHARED,
): Sleeps<bigint> => u.mmap(len, PROT_READ | PROT_WRITE, flags, device, (BigInt(region) << 40n) | BigInt(off));

test("what can be mapped", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    for (const [region, off, len, flags] of [
      [0, 0, 4096, MAP_SHARED],
      [0, 0, 4096, MAP_PRIVATE],
      [0, 0, 4097, MAP_SHARED],
      [0, 4096, 4096, MAP_SHARED],
      [1, 0, 4096, MAP_SHARED],
      [2, 0x3000, 0x1000, MAP_SHARED],
      [2, 0x3000, 0x2000, MAP_SHARED],
      [3, 0, 4096, MAP_SHARED],
      [ROM, 0, 4096, MAP_SHARED],
      [7, 0, 4096, MAP_SHARED],
      [9, 0, 4096, MAP_SHARED],
    ] as const) {
      const at = yield* map(u, device, region, off, len, flags);
      say(Number(at > 0n));
      // Who has it mapped has it open.
      if (at > 0n) yield* u.munmap(at, len);
    }
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
});

test("a mapping is the device, as long as its memory is on", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    const at = yield* map(u, device, 2, 0x1000, 0x2000);
    const word = function* (): Sleeps {
      const { ret, bytes } = yield* u.load_bytes(at + 0x1004n, 4);
      say(ret || bytes[0]);
    };
    yield* word();
    say(yield* u.store_bytes(at + 0x1004n, Uint8Array.of(0x77, 0, 0, 0)));
    say(yield* peek(u, device, 2, 0x2004));
    yield* word();
    yield* command(u, device, 1);
    yield* word();
    yield* command(u, device, 3);
    yield* word();
    // Asleep by the user's wish
    say((yield* words(u, device, DEVICE_FEATURE, [8, 3 | (1 << 17)])).ret);
    yield* word();
    say((yield* words(u, device, DEVICE_FEATURE, [8, 5 | (1 << 17)])).ret);
    yield* word();
    // A reset takes it away, and whoever comes finds it again.
    say(yield* u.ioctl(device, 0x3b64 + 11));
    yield* command(u, device, 3);
    yield* word();
    say(yield* u.munmap(at, 0x2000));
    yield* word();
    say(yield* u.munmap(yield* map(u, device, 0), 0x1000));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [0, 0, 0x77, 0x77, -EFAULT, 0x77, 0, -EFAULT, 0, 0x77, 0, 0, 0, -EFAULT, 0]);
});

test("two touch a mapping at the same time, and one who maps it leaves without a word", (t) => {
  const results: unknown[] = [];
  const reports = onMachine(machine(), function* (u) {
    yield* withBound(u, [DEV], () =>
      opening(u, DEV, function* ({ device }) {
        yield* command(u, device, 3);
        const at = yield* map(u, device, 2);
        const touch = function* (): Sleeps<void> {
          results.push((yield* u.load_bytes(at, 4)).ret);
        };
        yield* touch();
        yield* touch();
        const child = yield* u.fork(function* (c) {
          const mine = yield* map(c, device, 2);
          results.push((yield* c.load_bytes(mine, 4)).ret);
        });
        yield* u.waitpid(child);
        yield* command(u, device, 1);
        yield* command(u, device, 3);
        yield* touch();
        yield* u.munmap(at, 4096);
      }),
    );
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [0, 0, 0, 0]);
});

test("a child has what its parent has mapped, and gets at it as long as memory is on", (t) => {
  const results: unknown[] = [];
  const reports = onMachine(machine(), function* (u) {
    yield* withBound(u, [DEV], () =>
      opening(u, DEV, function* ({ device }) {
        yield* command(u, device, 3);
        const at = yield* map(u, device, 2);
        results.push((yield* u.load_bytes(at, 4)).ret);
        const [ask, answer] = [yield* u.eventfd(0, 0), yield* u.eventfd(0, 0)];
        const child = yield* u.fork(function* (c) {
          for (let i = 0; i < 3; i++) {
            yield* c.read(ask, yield* c.alloc(4096), 8);
            results.push((yield* c.load_bytes(at, 4)).ret);
            yield* signal(c, answer);
          }
        });
        for (const value of [1, 3, 1]) {
          yield* command(u, device, value);
          yield* signal(u, ask);
          yield* u.read(answer, yield* u.alloc(4096), 8);
        }
        yield* u.waitpid(child);
        yield* u.munmap(at, 4096);
      }),
    );
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [0, -EFAULT, 0, -EFAULT]);
});

test("one who maps it leaves while somebody else has to do with its memory: that one closes what is mapped", (t) => {
  const results: unknown[] = [];
  const reports = onMachine(machine(), function* (u) {
    yield* withBound(u, [DEV], () =>
      opening(u, DEV, function* ({ device }) {
        yield* command(u, device, 3);
        let mm: mm_struct | null = null;
        const child = yield* u.fork(function* (c) {
          results.push((yield* c.load_bytes(yield* map(c, device, 0), 4)).ret);
          yield* c.syscall(function* () {
            yield* [];
            mmget((mm = current_mm()!));
            return 0;
          });
        });
        yield* u.waitpid(child);
        yield* u.syscall(function* () {
          yield* mmput(mm!);
          return 0;
        });
        // Nothing is left on the list.
        results.push(yield* command(u, device, 1));
      }),
    );
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [0, 2]);
});

test("two who get at a BAR for the first time: one of them may be told that it is somebody's", (t) => {
  const titles = new Set<string>();
  let refused = 0;
  for (let seed = 0; seed < 40 && !refused; seed++) {
    boot({ arch: "x86_64", pci: machine(), kcsan: true, schedule: random_schedule(seed) });
    const results: number[] = [];
    run_user("init", function* (u) {
      yield* withBound(u, [DEV], () =>
        opening(u, DEV, function* ({ device }) {
          yield* command(u, device, 3);
          const child = yield* u.fork(function* (c) {
            results.push(yield* peek(c, device, 0, 0));
          });
          results.push(yield* peek(u, device, 0, 0));
          yield* u.waitpid(child);
          // Afterwards both have it.
          results.push(yield* peek(u, device, 0, 0));
        }),
      );
    });
    t.is(run(), "done");
    for (const { title } of found()) titles.add(title.replaceAll(" [vfio_pci_core]", ""));
    t.is(results.at(-1), 0);
    t.true(results.includes(0));
    refused += results.filter((r) => r === -EBUSY).length;
  }
  t.is(refused, 1);
  t.true(titles.has("BUG: KCSAN: data-race in vfio_pci_setup_barmap / vfio_pci_setup_barmap"), [...titles].join("; "));
});

// Eventfds that write

const IOEVENTFD = 0x3b64 + 16;
function* ioeventfd(
  u: user_process,
  device: number,
  {
    region = 0,
    off = 0x10,
    data = 0x1234,
    flags = 4,
    fd = -1,
    argsz = 28,
  }: { region?: number; off?: number; data?: number; flags?: number; fd?: number; argsz?: number },
): Sleeps<number> {
  return (yield* words(u, device, IOEVENTFD, [argsz, flags, off, region << 8, data >>> 0, data / 2 ** 32, fd])).ret;
}

test("ioeventfds: what is refused", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    const efd = yield* eventfd(u);
    say(yield* u.ioctl(device, IOEVENTFD, 1n));
    say(yield* ioeventfd(u, device, { fd: efd, argsz: 27 }));
    for (const flags of [0, 3, 12, 0x14]) say(yield* ioeventfd(u, device, { fd: efd, flags }));
    say(yield* ioeventfd(u, device, { fd: -2 }));
    say(yield* ioeventfd(u, device, { fd: -1 }));
    say(yield* ioeventfd(u, device, { fd: 99 }));
    say(yield* ioeventfd(u, device, { fd: device }));
    say(yield* ioeventfd(u, device, { fd: efd, region: ROM }));
    say(yield* ioeventfd(u, device, { fd: efd, region: 3 }));
    say(yield* ioeventfd(u, device, { fd: efd, off: 0xffe }));
    say(yield* ioeventfd(u, device, { fd: efd, region: 2, off: TABLE }));
    say(yield* ioeventfd(u, device, { fd: efd, region: 2, off: TABLE_END - 1, flags: 1 }));
    say(yield* ioeventfd(u, device, { fd: efd, region: 2, off: TABLE - 2 }));
    say(yield* ioeventfd(u, device, { fd: efd, region: 2, off: TABLE - 4 }));
    say(yield* ioeventfd(u, device, { fd: efd, region: 2, off: TABLE_END }));
    say(yield* ioeventfd(u, device, { fd: efd, region: 2, off: TABLE_END }));
  });
  t.deepEqual(reports, []);
  const E = -EINVAL;
  t.deepEqual(results, [-EFAULT, E, E, E, E, E, E, -ENODEV, -EBADF, E, E, E, E, E, E, E, 0, 0, -EEXIST]);
});

test("an ioeventfd before the first BAR", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    say(yield* ioeventfd(u, device, { fd: yield* eventfd(u), region: 0xffffff }));
  });
  t.deepEqual(reports, ["UBSAN: array-index-out-of-bounds in vfio_pci_ioeventfd [vfio_pci_core]"]);
  t.deepEqual(results, [-EINVAL]);
});

test("ioeventfds write", (t) => {
  const data = 0x1100aabbcc;
  const { reports, results } = saying(function* (u, device, say) {
    const efd = yield* eventfd(u);
    for (const [flags, off, region] of [
      [1, 0x11, 0],
      [2, 0x12, 0],
      [4, 0x14, 0],
      [2, 0x10, 1],
      [8, 0x18, 0],
      [8, 0x20, 1],
    ] as const)
      say(yield* ioeventfd(u, device, { fd: efd, flags, off, region, data }));
    accesses.splice(0);
    yield* signal(u, efd);
    yield* u.sleep_ms(1);
    say([...accesses].sort());
    say([yield* peek(u, device, 0, 0x10, 8), yield* peek(u, device, 1, 0x10)]);
    // Eight bytes go to memory at once, to ports in two halves.
    say([yield* peek(u, device, 0, 0x18, 8), yield* peek(u, device, 1, 0x20, 8)]);
    // Memory is off
    yield* command(u, device, 1);
    accesses.splice(0);
    yield* poke(u, device, 1, 0x10, 0);
    yield* signal(u, efd);
    yield* u.sleep_ms(1);
    say([[...accesses], yield* peek(u, device, 1, 0x10)]);
    yield* command(u, device, 3);
    // One is taken away
    say(yield* ioeventfd(u, device, { flags: 4, off: 0x14, data }));
    say(yield* ioeventfd(u, device, { flags: 4, off: 0x14, data }));
    accesses.splice(0);
    yield* signal(u, efd);
    yield* u.sleep_ms(1);
    say([...accesses].sort());
    // And when the eventfd is closed the device is not told.
    yield* u.close(efd);
    yield* u.sleep_ms(1);
    say(yield* ioeventfd(u, device, { flags: 2, off: 0x12, data }));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [
    0,
    0,
    0,
    0,
    0,
    0,
    ["w1@17", "w2@18", "w4@20", "w8@24"],
    [0xaabbcc * 2 ** 32 + 0xbbcc * 2 ** 16 + 0xcc00, 0xbbcc],
    [data, data],
    [[], 0xbbcc],
    0,
    -ENODEV,
    ["w1@17", "w2@18", "w8@24"],
    0,
  ]);
});

test("ioeventfds: not more than a thousand", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    const efd = yield* eventfd(u);
    let n = 0;
    while (n < 1100 && (yield* ioeventfd(u, device, { fd: efd, data: n })) === 0) n++;
    say(n);
    say(yield* ioeventfd(u, device, { fd: efd, data: n }));
    say(yield* ioeventfd(u, device, { data: 5 }));
    say(yield* ioeventfd(u, device, { fd: efd, data: n }));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [1000, -ENOSPC, 0, 0]);
});

// No memory

test("without memory, each allocation failing in turn", (t) => {
  const places = new Set<string>();
  let nth = 1;
  for (; nth < 100; nth++) {
    const results: unknown[] = [];
    const left: number[] = [];
    const reports = onMachine(machine(), function* (u) {
      yield* loadModules(u, DEV);
      yield* give(u, DEV);
      yield* opening(u, DEV, function* ({ device }) {
        yield* command(u, device, 3);
        const efd = yield* eventfd(u);
        for (const failing of [true, false]) {
          make_it_fail(u.task, failing);
          if (failing) set_fail_nth(nth);
          const read = yield* peek(u, device, 0, 0);
          const rom = yield* peek(u, device, ROM, 0, 2);
          const at = yield* map(u, device, 2);
          const touched = at > 0n ? (yield* u.load_bytes(at, 4)).ret : -1;
          // Without memory nothing is mapped that nobody could take away.
          if (at > 0n && touched !== 0) {
            yield* command(u, device, 1);
            left.push((yield* u.load_bytes(at, 4)).ret);
            yield* command(u, device, 3);
          }
          if (at > 0n) yield* u.munmap(at, 4096);
          const events = yield* ioeventfd(u, device, { fd: efd, region: 1 });
          if (!failing) results.push(read, rom, at > 0n, touched, Math.min(events, 0));
        }
      });
      yield* takeBack(u, DEV);
      yield* unloadModules(u, DEV);
    });
    const fault = fault_injections()[0]?.place;
    if (fault === undefined) break;
    places.add(fault);
    t.deepEqual(reports, [], fault);
    t.deepEqual(
      left,
      left.map(() => -EFAULT),
      fault,
    );
    t.deepEqual(results.slice(0, 4), [0, 0xaa55, true, 0], fault);
    t.true(results[4] === 0 || results[4] === -EEXIST, fault);
  }
  t.true(nth > 6, `${nth}`);
  t.true(
    [...places].some((p) => p.startsWith("__vfio_pci_add_vma") || p.startsWith("vfio_pci_mmap_fault")),
    [...places].join(" "),
  );
});

test("an open without memory for the state to give back: a reset is the end of the BARs", (t) => {
  const { reports, results } = saying(function* (u, device, say, group) {
    // The name, then the state
    for (const nth of [0, 2]) {
      yield* u.close(device);
      make_it_fail(u.task, nth > 0);
      if (nth) set_fail_nth(nth);
      say((yield* deviceOf(u, group, DEV.name)) === device);
      make_it_fail(u.task, false);
      yield* command(u, device, 3);
      say(yield* peek(u, device, 0, 0));
    }
    yield* u.close(device);
    say((yield* deviceOf(u, group, DEV.name)) === device);
    yield* command(u, device, 3);
    say(yield* peek(u, device, 0, 0));
  });
  t.regex(fault_injections()[0]?.place ?? "", /^pci_store_saved_state/);
  t.deepEqual(reports, []);
  t.deepEqual(results, [true, 0, true, 0, true, 0xffffffff]);
});

// Graphics of Intel CPUs

const OPREGION = 9;
const HOST_CFG = 10;
const LPC_CFG = 11;
const EXTENSION = 0x100;
interface Firmware {
  readonly title: string;
  readonly signature?: string;
  readonly kilobytes?: number;
  readonly version: number;
  readonly rvda?: number;
  /** What open gives, if no device. */
  readonly open?: number;
  /** Of the region: size, version, where the rest is, the register in configuration space. */
  readonly gives?: readonly [size: number, version: number, rvda: number, register: number];
}
const FIRMWARES: readonly Firmware[] = [
  { title: "1.0", version: 0x0100, rvda: 5, gives: [0x2000, 0x0100, 0, FIRMWARE_MEMORY] },
  { title: "2.0, all in one", version: 0x0200, gives: [0x2000, 0x0200, 0, FIRMWARE_MEMORY] },
  {
    title: "2.0",
    version: 0x0200,
    rvda: FIRMWARE_MEMORY + 0x2400,
    gives: [0x2100, 0x0201, 0x2000, FIRMWARE_MEMORY + 0x2400],
  },
  { title: "2.1", version: 0x0201, rvda: 0x2400, gives: [0x2100, 0x0201, 0x2000, FIRMWARE_MEMORY + 0x2400] },
  { title: "no signature", signature: "IntelGraphicsMen", version: 0x0100, open: -EINVAL },
  { title: "no size", kilobytes: 0, version: 0x0100, open: -EINVAL },
  { title: "the rest is nowhere", version: 0x0200, rvda: 0x1000, open: -ENOMEM },
];
test("what the firmware says of the graphics of an Intel CPU", (t) => {
  for (const {
    title,
    signature = "IntelGraphicsMem",
    kilobytes = 8,
    version,
    rvda = 0,
    open: refused,
    gives,
  } of FIRMWARES) {
    const opregion = Uint8Array.from({ length: 0x2500 }, (_, i) => i % 251);
    const view = new DataView(opregion.buffer);
    opregion.set(new TextEncoder().encode(signature));
    view.setUint32(16, kilobytes, true);
    view.setUint16(0x16, version, true);
    view.setBigUint64(0x3ba, BigInt(rvda), true);
    view.setUint32(0x3c2, rvda ? EXTENSION : 0, true);
    const pci: readonly pci_plan[] = [...q35_chipset, { slot: 4, device: { ...pci_models["skylake-gt2"], opregion } }];
    const results: unknown[] = [];
    const reports = onMachine(pci, function* (u) {
      yield* withBound(u, [DEV], () =>
        opening(u, DEV, function* ({ device }) {
          if (device < 0) {
            results.push(device);
            return;
          }
          const info = yield* words(u, device, GET_REGION_INFO, [56, 0, OPREGION, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
          t.deepEqual([info.ret, info.words[1], ...info.words.slice(10, 12)], [0, 9, 0x80008086, 1]);
          const size = info.words[4]!;
          const buf = yield* u.alloc(0x3000);
          t.is(yield* u.pread(device, buf, 0x3000, BigInt(OPREGION) << 40n), size);
          const all = u.peek(buf, size);
          const there = new DataView(all.buffer, all.byteOffset);
          results.push(
            size,
            there.getUint16(0x16, true),
            there.getUint32(0x3ba, true),
            yield* peek(u, device, 7, 0xfc),
          );
          t.deepEqual(all.subarray(0x3c2, 0x2000), opregion.subarray(0x3c2, 0x2000));
          if (size > 0x2000) t.deepEqual(all.subarray(0x2000), opregion.subarray(0x2400, 0x2500));
          // In pieces it is the same.
          for (const [at, n] of [
            [0x15, 1],
            [0x15, 4],
            [0x17, 2],
            [0x3b9, 3],
            [0x3bb, 8],
            [0x1ffe, 2],
          ] as const) {
            t.is(yield* u.pread(device, buf, n, (BigInt(OPREGION) << 40n) | BigInt(at)), n);
            t.deepEqual(u.peek(buf, n), all.subarray(at, at + n), `${at}`);
          }
          t.is(yield* peek(u, device, OPREGION, size), -EINVAL);
          t.is(yield* poke(u, device, OPREGION, 0, 0), -EINVAL);
          t.is(yield* peek(u, device, HOST_CFG, 0), 0x29c08086);
          t.is(yield* peek(u, device, LPC_CFG, 1, 6), pci_hw.func("00:1f.0")!.read(1, 6));
          t.is(yield* peek(u, device, LPC_CFG, 3, 2), pci_hw.func("00:1f.0")!.read(3, 2));
          t.is(yield* peek(u, device, LPC_CFG, 2, 4), pci_hw.func("00:1f.0")!.read(2, 4));
          t.is(yield* poke(u, device, LPC_CFG, 0, 0), -EINVAL);
        }),
      );
    });
    t.deepEqual(reports, [], title);
    t.deepEqual(results, gives ?? [refused], title);
  }
});

test("firmware that says that it is longer than it is", (t) => {
  const opregion = new Uint8Array(0x2500);
  opregion.set(new TextEncoder().encode("IntelGraphicsMem"));
  opregion[16] = 16;
  const results: unknown[] = [];
  boot({
    arch: "x86_64",
    pci: [...q35_chipset, { slot: 4, device: { ...pci_models["skylake-gt2"], opregion } }],
    stacks: false,
  });
  run_user("init", function* (u) {
    yield* withBound(u, [DEV], () =>
      opening(u, DEV, function* ({ device }) {
        for (const size of [0x2000, 0x2001])
          results.push(yield* u.pread(device, yield* u.alloc(0x3000), size, BigInt(OPREGION) << 40n));
      }),
    );
  });
  t.is(run(), "oops");
  t.deepEqual(results, [0x2000]);
  t.deepEqual(
    found().map((r) => r.title),
    ["kernel BUG at usercopy_abort!"],
  );
});

test("graphics without a word of the firmware have no regions of their own", (t) => {
  const { reports, results } = saying(function* (u, device, say) {
    say((yield* words(u, device, GET_REGION_INFO, [32, 0, OPREGION, 0, 0, 0, 0, 0])).ret);
  }, "skylake-gt2");
  t.deepEqual(reports, []);
  t.deepEqual(results, [-EINVAL]);
});

// zPCI

test("what is said of functions of s390", (t) => {
  boot({ arch: "s390x", stacks: false });
  t.deepEqual(
    [
      sizeof(vfio_device_info_cap_zpci_base),
      sizeof(vfio_device_info_cap_zpci_group),
      sizeof(vfio_device_info_cap_zpci_util),
      offsetof(vfio_device_info_cap_zpci_base, "fh"),
      offsetof(vfio_device_info_cap_zpci_group, "imaxstbl"),
    ],
    [40, 48, 12, 32, 40],
  );
  const zdev = initialise(new zpci_dev(), {
    fh: 0x01020304,
    pfgid: 7,
    pchid: 0x123,
    end_dma: 0xffn,
    max_msi: 64,
    dma_mask: 5n,
  });
  zdev.pfip.set(2, 9);
  zdev.util_str.set(63, 0xe9);
  const bus = new zpci_bus();
  const vdev = new vfio_pci_core_device();
  vdev.pdev = initialise(new pci_dev(), { sysdata: bus, devfn: 8 });
  const told: unknown[] = [];
  const chain = (): unknown[] => {
    const caps = initialise(new vfio_info_cap(), { buf: null, size: 0 });
    const ret = vfio_pci_info_zdev_add_caps(vdev, caps);
    const ids: number[] = [];
    const bytes = caps.buf ? new DataView(caps.buf.$bytes.slice().buffer) : null;
    for (let at = 0; bytes && (at === 0 || at < caps.size);) {
      ids.push(bytes.getUint16(at));
      const next = bytes.getUint32(at + 4);
      if (!next) break;
      at = next;
    }
    const found = bytes && [bytes.getUint16(24), bytes.getUint8(31), bytes.getUint32(32), bytes.getBigUint64(48)];
    kfree(caps.buf);
    return [ret, ids, found];
  };
  run_user("init", function* (u) {
    yield* u.syscall(function* () {
      yield* [];
      told.push(chain(), vfio_pci_zdev_open_device(vdev));
      bus.function.set(8, zdev);
      told.push(chain());
      zdev.util_str_avail = true;
      told.push(chain()[1]);
      told.push(vfio_pci_zdev_open_device(vdev));
      vdev.vdev.kvm = new kvm();
      told.push(vfio_pci_zdev_open_device(vdev));
      zpci_kvm_hook().kvm_register = (which, by) => Number(which === zdev && by === vdev.vdev.kvm) - 6;
      zpci_kvm_hook().kvm_unregister = (which) => told.push(which === zdev);
      told.push(vfio_pci_zdev_open_device(vdev));
      vfio_pci_zdev_close_device(vdev);
      return 0;
    });
  });
  t.is(run(), "done");
  t.deepEqual(told, [
    [-ENODEV, [], null],
    -ENODEV,
    [0, [1, 2, 4], [0x123, 7, 0x01020304, 5n]],
    [1, 2, 3, 4],
    0,
    -ENOENT,
    -5,
    true,
  ]);
  t.deepEqual(found(), []);
});

test("what is said of functions of s390, without memory for the rest of it", (t) => {
  const lost: string[] = [];
  for (let nth = 1; nth < 20; nth++) {
    boot({ arch: "s390x", stacks: false });
    const bus = new zpci_bus();
    const zdev = initialise(new zpci_dev(), { util_str_avail: true });
    bus.function.set(8, zdev);
    const vdev = new vfio_pci_core_device();
    vdev.pdev = initialise(new pci_dev(), { sysdata: bus, devfn: 8 });
    let ret = 1;
    run_user("init", function* (u) {
      const arg = yield* u.alloc(4096);
      u.poke_u32(arg, 1024);
      make_it_fail(u.task);
      set_fail_nth(nth);
      ret = yield* u.syscall(() => vfio_pci_core_ioctl(vdev.vdev, GET_INFO, arg));
      make_it_fail(u.task, false);
    });
    t.is(run(), "done");
    kmemleak_scan();
    const fault = fault_injections()[0]?.place;
    if (fault === undefined) {
      t.is(ret, 0);
      break;
    }
    t.is(ret, -ENOMEM, fault);
    for (const { title } of found()) lost.push(`${fault}: ${title}`);
  }
  // The capabilities that were there before: 40 bytes and 48, then 76 more.
  t.deepEqual(lost, [
    "zpci_util_cap [vfio_pci_core]: unreferenced object: buffer (size 88)",
    "zpci_pfip_cap [vfio_pci_core]: unreferenced object: buffer (size 164)",
  ]);
});
