// SPDX-License-Identifier: GPL-2.0-only
/** Configuration space of vfio-pci as user space sees it: what can be read, what written, what goes to the hardware and what a write sets off. */
import test from "ava";
import { EFAULT, EINVAL, EIO, ENODEV } from "#linux/errno.ts";
import { msleep } from "#linux/delay.ts";
import { dev_get_drvdata, device_lock, device_unlock } from "#linux/device.ts";
import { ktime_get_ns } from "#linux/ktime.ts";
import {
  PCI_DEV_FLAGS_VPD_REF_F0,
  pci_dev_put,
  PCI_DEVFN,
  pci_get_domain_bus_and_slot,
  type pci_ops,
  PCIBIOS_DEVICE_NOT_FOUND,
  PCIBIOS_SET_FAILED,
} from "#linux/pci.ts";
import type { Sleeps } from "#linux/types.ts";
import type { vfio_pci_core_device } from "#linux/vfio_pci_core.ts";
import { O_RDWR } from "#uapi/linux/fcntl.ts";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import type { function_model, pci_function } from "../../kernel/arch/x86/pci_function.ts";
import { pci_hw, type pci_plan } from "../../kernel/arch/x86/pci_host.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { random_schedule } from "../../kernel/explore/random.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { __vfio_pci_memory_enabled } from "../../drivers/vfio/pci/vfio_pci_config.ts";
import { GET_IRQ_INFO, opening, withBound, words } from "../helpers/pci.ts";
import { pciDevice, sysDevice } from "../helpers/vfio-bus.ts";

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
const CONFIG = 7n << 40n;

const le16 = (v: number): number[] => [v & 0xff, (v >>> 8) & 0xff];
const le32 = (v: number): number[] => [...le16(v), ...le16(v >>> 16)];
const many = (n: number, v = 0): number[] => new Array<number>(n).fill(v);

// Where the capabilities of the device are
const VNDR = 0x40;
const HIDDEN = 0x48;
const PM = 0x50;
const MSI = 0x60;
const EXP = 0x80;
const MSIX = 0xc0;
const AF = 0xcc;
const VPD = 0xd4;
const GAP = 0xdc;
const E_HIDDEN = 0x100;
const E_AER = 0x110;
const E_SKIPPED = 0x160;
const E_VSEC = 0x170;
const E_PWR = 0x180;

/** An identifier of five letters, the end, and nothing. */
const VPD_DATA = [0x82, 5, 0, ...new TextEncoder().encode("hello"), 0x78, 0, 0, 0];

/** A device with one of everything, all of whose bits can be written where hardware might let them; VPD that does not answer. */
const SILENT: function_model = {
  vendor: 0x1234,
  device: 0x5678,
  revision: 3,
  class: 0x00ff,
  subsystem: [0x1af4, 0x1100],
  bars: [
    { n: 0, size: 0x1000, kind: "mem32" },
    { n: 1, size: 0x20, kind: "io" },
    { n: 2, size: 0x10000, kind: "mem64", prefetch: true },
  ],
  interrupt_pin: 1,
  capabilities: [
    { id: 0x09, at: VNDR, bytes: [0, 0, 8, 0xa, 1, 2, 3, 4], writable: [0, 0, 0, 0xff, ...many(4, 0xff)] },
    { id: 0x0d, at: HIDDEN, bytes: many(8) },
    {
      id: 0x01,
      at: PM,
      bytes: [0, 0, ...le16(0xfe03), ...le16(0x0100), 0, 0],
      writable: [...many(4), ...le16(0x1f03)],
    },
    {
      id: 0x05,
      at: MSI,
      bytes: [0, 0, ...le16(0x0186), ...many(20)],
      writable: [0, 0, ...le16(0x0071), ...many(10, 0xff), 0, 0, ...many(4, 0xff), ...many(4)],
    },
    {
      id: 0x10,
      at: EXP,
      bytes: [0, 0, ...le16(0x0002), ...le32(0x10008002), ...le16(0x2830), ...many(0x3c - 10)],
      writable: [...many(8), ...le16(0xffff), ...many(0x28 - 10), ...le16(0xffff)],
    },
    { id: 0x11, at: MSIX, bytes: [0, 0, ...le16(0x0003), ...many(8)], writable: [0, 0, ...le16(0xc000)] },
    // Two bytes of its last dword are nobody's.
    { id: 0x13, at: AF, bytes: [0, 0, 6, 3, 0, 0, 0, 0], writable: [0, 0, 0, 0, 1, 0, 0xff, 0xff] },
    // Behind it, four bytes that no capability has.
    { id: 0x03, at: VPD, bytes: [...many(8), 5, 6, 7, 8], writable: [0, 0, ...many(6, 0xff), ...many(4, 0xff)] },
  ],
  extended: [
    { id: 0x19, version: 1, at: E_HIDDEN, bytes: many(16), writable: many(16, 0xff) },
    { id: 0x01, version: 2, at: E_AER, bytes: many(0x48), writable: [0, 0, 0, 0, ...many(0x44, 0xff)] },
    { id: 0x1b, version: 1, at: E_SKIPPED, bytes: many(8) },
    {
      id: 0x0b,
      version: 1,
      at: E_VSEC,
      bytes: [0, 0, 0, 0, ...le32(0x00c00001), ...many(4)],
      writable: [...many(8), ...many(4, 0xff)],
    },
    { id: 0x04, version: 1, at: E_PWR, bytes: many(16), writable: many(16, 0xff) },
  ],
  pm_at: PM,
  express_at: EXP,
  af_at: AF,
};
const RICH: function_model = { ...SILENT, vpd_at: VPD, vpd: VPD_DATA };

/** The device's configuration space through its file. */
interface Config {
  readonly u: user_process;
  readonly device: number;
  /** What is there, or -errno. */
  read(at: number, size: number): Sleeps<number>;
  /** @return bytes, or -errno */
  write(at: number, size: number, value: number): Sleeps<number>;
}
const configOf = (u: user_process, device: number): Config => ({
  u,
  device,
  *read(at, size) {
    const { ret, bytes } = yield* u.pread_bytes(device, size, CONFIG + BigInt(at));
    return ret < 0 ? ret : bytes.reduceRight((v, b) => v * 0x100 + b, 0);
  },
  *write(at, size, value) {
    const bytes = Uint8Array.from(le32(value).slice(0, size));
    return yield* u.pwrite_bytes(device, bytes, CONFIG + BigInt(at));
  },
});
const hw = (): pci_function => pci_hw.func("00:04.0")!;
const hex = (v: number): string => (v < 0 ? String(v) : `0x${v.toString(16)}`);

interface Setup {
  readonly device?: function_model;
  /** Before it is given to vfio-pci. */
  readonly before?: (u: user_process) => Sleeps;
  /** Data races are looked for, with all decisions from this seed. */
  readonly races?: number;
}
/** The device is open while @body runs on a machine of its own. @return titles of what the checkers said, leaks included */
function withConfig(
  body: (c: Config) => Sleeps,
  { device = RICH, before = function* () {}, races }: Setup = {},
): string[] {
  const pci: readonly pci_plan[] = [
    { slot: 0, device: "host-bridge" },
    { slot: 4, device },
  ];
  if (races === undefined) boot({ arch: "x86_64", pci, stacks: false });
  else boot({ arch: "x86_64", pci, kcsan: true, schedule: random_schedule(races) });
  run_user("init", function* (u) {
    yield* before(u);
    yield* withBound(u, [DEV], () => opening(u, DEV, (o) => body(configOf(u, o.device))));
  });
  const outcome = run();
  if (outcome !== "done") throw new Error([outcome, ...found().map((r) => r.text)].join("\n"));
  kmemleak_scan();
  return found().map((r) => r.title);
}
const said = (): string[] =>
  log()
    .map((l) => l.text)
    .filter((text) => text.startsWith("vfio"));

/** The struct that the driver has of the device, for what cannot be seen from user space. */
function* driverView<T>(u: user_process, look: (vdev: vfio_pci_core_device) => T): Sleeps<T> {
  let seen: T | undefined;
  yield* u.syscall(function* () {
    const pdev = (yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(4, 0)))!;
    seen = look(dev_get_drvdata<vfio_pci_core_device>(pdev.dev)!);
    yield* pci_dev_put(pdev);
    return 0;
  });
  return seen!;
}

// Reading

type Read = readonly [what: string, at: number, size: number, gives: number];
const READS: readonly Read[] = [
  ["vendor and device", 0x00, 4, 0x56781234],
  ["command: memory and I/O as the firmware left them, INTx not disabled", 0x04, 2, 0x0103],
  ["status: there are capabilities", 0x06, 2, 0x0010],
  ["class and revision", 0x08, 4, 0x00ff0003],
  ["header type", 0x0e, 1, 0],
  ["BAR 0", 0x10, 4, 0xc0000000],
  ["no CardBus", 0x28, 4, 0],
  ["subsystem", 0x2c, 4, 0x11001af4],
  ["no ROM", 0x30, 4, 0],
  ["the first capability", 0x34, 1, VNDR],
  ["interrupt line and pin", 0x3c, 2, 0x010a],
  ["vendor capability: what is behind it is hidden, and not linked", VNDR, 4, 0x0a080000 | (PM << 8) | 0x09],
  ["the link alone", VNDR + 1, 1, PM],
  ["its number alone", VNDR, 1, 0x09],
  ["the hidden one is still there for who knows where", HIDDEN, 2, (PM << 8) | 0x0d],
  ["power: without PME", PM, 4, ((0xfe03 & ~0xf800) << 16) | (MSI << 8) | 0x01],
  ["power control: without PME enabled", PM + 4, 2, 0],
  ["MSI", MSI, 4, 0x01860000 | (EXP << 8) | 0x05],
  ["PCI Express", EXP, 4, 0x00020000 | (MSIX << 8) | 0x10],
  ["what it can do", EXP + 4, 4, 0x10008002],
  ["device control", EXP + 8, 2, 0x2830],
  ["MSI-X", MSIX, 4, 0x00030000 | (AF << 8) | 0x11],
  ["advanced features", AF, 4, 0x03060000 | (VPD << 8) | 0x13],
  ["vital product data", VPD, 4, 0x00000003],
  ["what no capability has", GAP, 4, 0x08070605],
  ["a hidden extended capability at the beginning: a link and nothing else", E_HIDDEN, 4, E_AER << 20],
  ["its second dword is nobody's", E_HIDDEN + 4, 4, 0],
  ["AER: the next one is hidden", E_AER, 4, (E_VSEC << 20) | 0x20001],
  ["a vendor's extended capability", E_VSEC, 4, (E_PWR << 20) | 0x1000b],
  ["power budget, the last", E_PWR, 4, 0x10004],
  ["the last dword", 0xffc, 4, 0],
];
test("what can be read, in dwords, words and bytes, and all at once", (t) => {
  const reports = withConfig(function* (c) {
    for (const [what, at, size, gives] of READS) t.is(hex(yield* c.read(at, size)), hex(gives), what);
    const whole = yield* c.u.pread_bytes(c.device, 4096, CONFIG);
    t.is(whole.ret, 4096);
    const view = new DataView(whole.bytes.slice().buffer);
    for (const [what, at, size, gives] of READS) {
      const v = size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at);
      t.is(hex(v), hex(gives), `${what}, in one access`);
    }
    for (const size of [1, 2, 3, 4, 5, 7])
      for (let at = 0; at < 0x200; at += size) {
        const some = yield* c.u.pread_bytes(c.device, size, CONFIG + BigInt(at));
        t.deepEqual([...some.bytes], [...whole.bytes.subarray(at, at + size)], `${size} bytes at ${hex(at)}`);
      }
  });
  t.deepEqual(reports, []);
  t.deepEqual(said(), [
    "vfio-pci 0000:00:04.0: vfio_cap_init: hiding cap 0xd@0x48",
    "vfio-pci 0000:00:04.0: vfio_ecap_init: hiding ecap 0x19@0x100",
    "vfio-pci 0000:00:04.0: vfio_ecap_init: hiding ecap 0x1b@0x160",
  ]);
});

// Writing

interface Write {
  readonly what: string;
  readonly at: number;
  readonly size: 1 | 2 | 4;
  readonly value: number;
  /** What is read back there. */
  readonly reads: number;
  /** What the hardware has there. */
  readonly hard: number;
}
const w = (what: string, at: number, size: 1 | 2 | 4, value: number, reads: number, hard = reads): Write => ({
  what,
  at,
  size,
  value,
  reads,
  hard,
});
const WRITES: readonly Write[] = [
  w("vendor and device are read-only", 0x00, 4, 0xffffffff, 0x56781234),
  w("command: INTx is virtual, and the real bit follows", 0x04, 2, 0xffff, 0x0547),
  w("... and back", 0x04, 2, 0x0007, 0x0007),
  w("... its upper byte alone", 0x05, 1, 0x04, 0x04),
  w("... nothing but master", 0x04, 2, 0x0004, 0x0004),
  w("status is read-only", 0x06, 2, 0xffff, 0x0010),
  w("class is", 0x08, 4, 0xffffffff, 0x00ff0003),
  w("cache line size", 0x0c, 1, 0x10, 0x10),
  w("subsystem is read-only", 0x2c, 4, 0, 0x11001af4),
  w("a ROM that is not there", 0x30, 4, 0xffffffff, 0),
  w("the link to the capabilities is read-only", 0x34, 1, 0, VNDR),
  w("interrupt line is the user's", 0x3c, 1, 0x55, 0x55, 0x0a),
  w("interrupt pin is read-only", 0x3d, 1, 0x02, 0x01),
  w("vendor capability: raw", VNDR + 4, 4, 0x11223344, 0x11223344),
  w("a link is read-only", MSIX, 2, 0, (AF << 8) | 0x11),
  w("hidden capabilities are no capabilities: raw, and the hardware knows better", HIDDEN, 2, 0xffff, (PM << 8) | 0x0d),
  w("power: what it can do is read-only", PM + 2, 2, 0, 0x0603, 0xfe03),
  w("power control: no PME for the user, none from him", PM + 4, 2, 0x1f00, 0x1e00, 0x1f00),
  w(
    "MSI: not enabled but by an ioctl, no more vectors than by an ioctl; what it can do is as it was written",
    MSI + 2,
    2,
    0x0071,
    0x0100,
    0x0186,
  ),
  w("MSI address is the user's", MSI + 4, 4, 0xfee00000, 0xfee00000, 0),
  w("MSI address, upper half", MSI + 8, 4, 0x00000001, 0x00000001, 0),
  w("MSI data are", MSI + 12, 2, 0x4021, 0x4021, 0),
  w("MSI mask goes to the hardware", MSI + 16, 4, 0x000000ff, 0x000000ff),
  w("device control: no phantom functions, packets as they are", EXP + 8, 2, 0x28e0 | 0x0200 | 0x000f, 0x28ef, 0x282f),
  w("device control 2: no ARI", EXP + 0x28, 2, 0xffff, 0xffdf),
  w("MSI-X is read-only", MSIX + 2, 2, 0xc000, 0x0003),
  w("advanced features, and raw what is not theirs in the same dword", AF + 4, 4, 0x7766fefe, 0x77660000),
  w("advanced features: no reset, no change", AF + 4, 1, 0xfe, 0),
  w("what no capability has: raw", GAP, 4, 0xa0b0c0d0, 0xa0b0c0d0),
  w("a hidden extended capability is read-only", E_HIDDEN, 4, 0xffffffff, E_AER << 20, (E_AER << 20) | 0x10019),
  w("... behind its header raw", E_HIDDEN + 4, 4, 0x12345678, 0x12345678),
  w("AER: its header is read-only", E_AER, 4, 0, (E_VSEC << 20) | 0x20001, (E_SKIPPED << 20) | 0x20001),
  w("... of errors those that there are", E_AER + 4, 4, 0xffffffff, 0x03fff031),
  w("... severity too", E_AER + 0xc, 4, 0xffffffff, 0x03fff031),
  w("... and of the others", E_AER + 0x14, 4, 0xffffffff, 0x0000f1c1),
  w("... no pointer of the first", E_AER + 0x18, 4, 0xffffffff, 0x00000140),
  w("... the header of a packet is read-only", E_AER + 0x1c, 4, 0xffffffff, 0),
  w("a vendor's extended capability: raw", E_VSEC + 8, 4, 0x99887766, 0x99887766),
  w("power budget: the selector is read-only", E_PWR + 4, 1, 0x5a, 0),
  w("... and the data can be written", E_PWR + 8, 1, 0x5a, 0x5a),
];
test("what can be written, and what of it goes to the hardware", (t) => {
  const reports = withConfig(function* (c) {
    for (const { what, at, size, value, reads, hard } of WRITES) {
      t.is(yield* c.write(at, size, value), size, what);
      t.is(hex(yield* c.read(at, size)), hex(reads), `${what}: read back`);
      t.is(hex(hw().read(at, size)), hex(hard), `${what}: the hardware`);
    }
  });
  t.deepEqual(reports, []);
});

// Where an access may be

interface Edge {
  readonly what: string;
  readonly at: bigint;
  readonly size: number;
  readonly read: number;
  readonly write: number;
  readonly device?: function_model;
}
/** Without the registers of PCI Express there are 256 bytes. */
const PLAIN: function_model = {
  vendor: 0x1234,
  device: 0x5679,
  class: 0x00ff,
  bars: [{ n: 0, size: 0x1000, kind: "mem32" }],
};
const PLAIN_WITH_PIN: function_model = { ...PLAIN, interrupt_pin: 1 };
const both = (what: string, at: bigint, size: number, gives: number, device = RICH): Edge => ({
  what,
  at,
  size,
  read: gives,
  write: gives,
  device,
});
const EDGES: readonly Edge[] = [
  both("nothing", CONFIG, 0, 0),
  both("nothing, nowhere", 99n << 40n, 0, 0),
  both("the last byte", CONFIG + 4095n, 1, 1),
  both("behind it", CONFIG + 4096n, 1, -EFAULT),
  both("across the end", CONFIG + 4092n, 8, -EFAULT),
  both("far behind it", CONFIG + (1n << 39n), 1, -EFAULT),
  both("across the end of 256 bytes", CONFIG + 254n, 4, -EFAULT, PLAIN),
  both("behind 256 bytes", CONFIG + 256n, 4, -EFAULT, PLAIN),
  both("the last dword of 256 bytes", CONFIG + 252n, 4, 4, PLAIN),
  both("a region that there is not", 9n << 40n, 4, -EINVAL),
  both("a ROM that there is not", 6n << 40n, 4, -EINVAL),
];
test("accesses at the end, and behind it", (t) => {
  for (const { what, at, size, read, write, device = RICH } of EDGES) {
    const reports = withConfig(
      function* ({ u, device: fd }) {
        const buf = yield* u.alloc(4096);
        u.poke_u32(buf, 0xeeeeeeee);
        t.is(yield* u.pread(fd, buf, size, at), read, `read: ${what}`);
        // Either all of it or nothing
        if (read <= 0) t.is(u.peek_u32(buf), 0xeeeeeeee, `read: ${what}`);
        t.is(yield* u.pwrite(fd, buf, size, at), write, `write: ${what}`);
      },
      { device },
    );
    t.deepEqual(reports, []);
  }
});

test("accesses with a buffer that is not there, or not all of it", (t) => {
  const reports = withConfig(function* ({ u, device }) {
    t.is(yield* u.pread(device, 0x10n, 4, CONFIG), -EFAULT);
    t.is(yield* u.pwrite(device, 0x10n, 4, CONFIG + 0x0cn), -EFAULT);
    // Where nothing can be written nothing is looked at.
    t.is(yield* u.pwrite(device, 0x10n, 4, CONFIG + BigInt(MSIX)), 4);

    // The first dword is there and the second is not: it has been written, and still there is an error.
    const page = yield* u.alloc(4096);
    const end = page + 4096n - 4n;
    u.poke_u32(end, 0xdddddddd);
    t.is(yield* u.pwrite(device, end, 8, CONFIG + BigInt(GAP)), -EFAULT);
    t.is(hw().read(GAP, 4), 0xdddddddd);
    t.is(yield* u.pread(device, end, 8, CONFIG), -EFAULT);
    t.is(u.peek_u32(end), 0x56781234);
  });
  t.deepEqual(reports, []);
});

// BARs

interface Sizing {
  readonly what: string;
  readonly bars: function_model["bars"];
  /** What is there after all ones were written to all of them, and the ROM. */
  readonly gives: readonly number[];
}
const SIZINGS: readonly Sizing[] = [
  {
    what: "memory, I/O, 64 bits",
    bars: RICH.bars,
    gives: [0xfffff000, 0xffffffe1, 0xffff000c, 0xffffffff, 0, 0, 0],
  },
  {
    what: "prefetchable, and one in the middle",
    bars: [
      { n: 1, size: 0x100000, kind: "mem32", prefetch: true },
      { n: 4, size: 0x100, kind: "io" },
    ],
    gives: [0, 0xfff00008, 0, 0, 0xffffff01, 0, 0],
  },
  {
    what: "a ROM: its lowest bit enables it",
    bars: [
      { n: 0, size: 0x1000, kind: "mem32" },
      { n: 8, size: 0x2000, kind: "mem32", rom: [0x55, 0xaa] },
    ],
    gives: [0xfffff000, 0, 0, 0, 0, 0, 0xffffe001],
  },
  {
    // Four ports leave bit 2 of what is written, which is then taken for the one that says 64 bits: the next BAR is not looked at.
    what: "four ports, and what is behind them",
    bars: [
      { n: 0, size: 8, kind: "io" },
      { n: 1, size: 4, kind: "io" },
      { n: 2, size: 8, kind: "io" },
    ],
    gives: [0xfffffff9, 0xfffffffd, 0xffffffff, 0, 0, 0, 0],
  },
];
test("sizes of BARs, by writing all ones", (t) => {
  for (const { what, bars = [], gives } of SIZINGS) {
    const reports = withConfig(
      function* (c) {
        const registers = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30];
        const addresses: number[] = [];
        for (const at of registers) addresses.push(yield* c.read(at, 4));
        t.deepEqual(
          addresses,
          registers.map((at) => hw().read(at, 4)),
        );
        for (const at of registers) t.is(yield* c.write(at, 4, 0xffffffff), 4);
        const sizes: number[] = [];
        for (const at of registers) sizes.push(yield* c.read(at, 4));
        t.deepEqual(sizes.map(hex), gives.map(hex), what);
        // The device is where it was.
        t.deepEqual(
          registers.map((at) => hw().read(at, 4)),
          addresses,
        );
        // Back again, byte by byte, and to another place.
        for (const [i, at] of registers.entries())
          for (let b = 0; b < 4; b++) t.is(yield* c.write(at + b, 1, ((addresses[i] ?? 0) >>> (8 * b)) & 0xff), 1);
        for (const [i, at] of registers.entries()) t.is(hex(yield* c.read(at, 4)), hex(addresses[i] ?? 0), what);
      },
      { device: { ...PLAIN, bars } },
    );
    t.deepEqual(reports, []);
  }
});

interface Backdoor {
  readonly what: string;
  /** Behind the back of everybody. */
  readonly happens: () => void;
  /** What the user writes to the command register, before and after. */
  readonly commands: readonly [number, number];
  readonly restored: boolean;
}
const BACKDOORS: readonly Backdoor[] = [
  { what: "a reset, and memory is enabled", happens: () => hw().reset(), commands: [7, 3], restored: true },
  { what: "a reset, and nothing is", happens: () => hw().reset(), commands: [7, 0], restored: true },
  { what: "memory is off, which should be on", happens: () => hw().write(4, 2, 1), commands: [7, 3], restored: true },
  { what: "I/O is off, which should be on", happens: () => hw().write(4, 2, 2), commands: [7, 3], restored: true },
  { what: "both are off, and are not enabled", happens: () => hw().write(4, 2, 0), commands: [7, 4], restored: false },
  { what: "both are off as they should be", happens: () => hw().write(4, 2, 0), commands: [4, 7], restored: false },
  { what: "nothing", happens: () => {}, commands: [7, 3], restored: false },
];
test("resets that nobody was told of: the BARs are restored before the user enables them", (t) => {
  for (const { what, happens, commands, restored } of BACKDOORS) {
    const reports = withConfig(function* (c) {
      t.is(yield* c.write(0x10, 4, 0xd0000000), 4);
      const bars = [0x10, 0x14, 0x18, 0x1c];
      const before = bars.map((at) => hw().read(at, 4));
      t.is(yield* c.write(0x04, 2, commands[0]), 2);
      happens();
      t.is(yield* c.write(0x04, 2, commands[1]), 2);
      t.deepEqual(
        bars.map((at) => hw().read(at, 4)),
        before,
        what,
      );
      t.is(hw().read(0x04, 2), commands[1], what);
      // The user's is the user's.
      t.is(yield* c.read(0x10, 4), 0xd0000000);
      t.deepEqual(
        said().slice(3),
        restored ? ["vfio-pci 0000:00:04.0: vfio_bar_restore: reset recovery - restoring BARs"] : [],
        what,
      );
    });
    t.deepEqual(reports, []);
  }
});

// INTx

for (const { args, hard } of [
  { args: "", hard: 0x0400 },
  { args: "nointxmask=1", hard: 0 },
])
  test(`INTx disabled by the user${args && ", with " + args}`, (t) => {
    const reports = withConfig(
      function* (c) {
        const disabled = (): number => hw().read(0x04, 2) & 0x0400;
        t.is(disabled(), 0);
        t.is(yield* c.write(0x05, 1, 0x04), 1);
        t.is(yield* c.read(0x05, 1), 0x04);
        t.is(disabled(), hard);
        t.is(yield* c.write(0x04, 2, 0x0003), 2);
        t.is(disabled(), 0);
      },
      {
        *before(u) {
          for (const name of DEV.modules) yield* u.finit_module(name, name === "vfio_pci" ? args : "");
        },
      },
    );
    t.deepEqual(reports, []);
  });

// Power

test("power states by the user's write: memory can be read in D0 to D2, and -EIO otherwise", (t) => {
  const reports = withConfig(function* (c) {
    const state = function* (): Sleeps<string> {
      const { text } = yield* c.u.sysfs_read(`${sysDevice(DEV)}/power_state`);
      // Behind the MSI-X table, which is not read
      const memory = yield* c.u.pread_bytes(c.device, 4, 0x800n);
      return `${text.trim()}${memory.ret === 4 ? "" : ` ${memory.ret}`}`;
    };
    t.is(yield* c.write(0x04, 2, 0x0007), 2);
    t.is(yield* c.write(0x0c, 1, 0x10), 1);
    t.is(yield* state(), "D0");
    for (const [value, gives, reads] of [
      [1, "D1", 1],
      [2, "D2", 2],
      [1, "D2", 2],
      [3, "D3hot -5", 3],
      [2, "D3hot -5", 3],
      [0x103, "D3hot -5", 3],
    ] as const) {
      t.is(yield* c.write(PM + 4, 2, value), 2);
      t.is(yield* state(), gives);
      t.is(yield* c.read(PM + 4, 2), reads);
    }
    const resets = hw().resets;
    t.is(yield* c.write(PM + 4, 1, 0), 1);
    t.is(yield* state(), "D0");
    // On its way it was reset; its state is back.
    t.is(hw().resets, resets + 1);
    t.deepEqual([hw().read(0x10, 4), hw().read(0x04, 2), hw().read(0x0c, 1)], [0xc0000000, 0x0007, 0x10]);
    t.is(yield* c.write(0x04, 2, 0x0004), 2);
    t.is(yield* state(), "D0 -5");
    // Closed in D3hot it has to be woken.
    t.is(yield* c.write(PM + 4, 2, 3), 2);
  });
  t.deepEqual(reports, []);
});

// Resets

interface Flr {
  readonly what: string;
  readonly at: number;
  readonly size: 1 | 2;
  readonly value: number;
  readonly resets: number;
  readonly change?: Partial<function_model>;
}
/** @change: of bytes of capabilities. */
const changed = (at: number, byte: number, value: number): Partial<function_model> => ({
  capabilities: (RICH.capabilities ?? []).map((cap) =>
    cap.at === at ? { ...cap, bytes: cap.bytes.map((b, i) => (i === byte ? value : b)) } : cap,
  ),
});
const FLRS: readonly Flr[] = [
  { what: "by PCI Express", at: EXP + 8, size: 2, value: 0xa830, resets: 1 },
  { what: "... that does not have it", at: EXP + 8, size: 2, value: 0xa830, resets: 0, change: changed(EXP, 7, 0) },
  { what: "... by the upper byte of the register", at: EXP + 9, size: 1, value: 0xa8, resets: 1 },
  { what: "by advanced features", at: AF + 4, size: 1, value: 1, resets: 1 },
  {
    what: "... without a bit for pending transactions",
    at: AF + 4,
    size: 1,
    value: 1,
    resets: 0,
    change: changed(AF, 3, 2),
  },
  { what: "... without it", at: AF + 4, size: 1, value: 1, resets: 0, change: changed(AF, 3, 1) },
];
test("function level resets", (t) => {
  for (const { what, at, size, value, resets, change } of FLRS) {
    const reports = withConfig(
      function* (c) {
        const [before, hard] = [yield* c.read(at, size), hw().read(at, size)];
        t.is(yield* c.write(0x10, 4, 0xd0000000), 4);
        t.is(yield* c.write(0x04, 2, 0x0007), 2);
        const had = hw().resets;
        t.is(yield* c.write(at, size, value), size, what);
        t.is(hw().resets - had, resets, what);
        t.is(yield* c.read(at, size), before, `${what}: the bit is not seen`);
        t.is(hw().read(at, size), hard, what);
        t.deepEqual([hw().read(0x10, 4), hw().read(0x04, 2)], [0xc0000000, 0x0007], what);
        t.is(yield* c.read(0x10, 4), 0xd0000000, what);
      },
      { device: { ...RICH, ...change } },
    );
    t.deepEqual(reports, []);
  }
});

test("an access while somebody resets the device waits", (t) => {
  const reports = withConfig(function* (c) {
    const had = hw().resets;
    const start = ktime_get_ns();
    t.is(yield* c.write(0x0c, 1, 0x10), 1);
    run_user("other", function* (u) {
      yield* u.sysfs_write(`${sysDevice(DEV)}/reset`, "1");
    });
    yield* c.u.sleep_ms(20);
    t.is(hw().resets, had + 1);
    // The device has forgotten where it is; nobody sees that.
    t.is(hw().read(0x0c, 1), 0);
    t.is(yield* c.read(0x0c, 1), 0x10);
    t.true(ktime_get_ns() - start >= 100_000_000);
  });
  t.deepEqual(reports, []);
});

test("a reset waits for no lock: with somebody at the device there is none, and nobody is told", (t) => {
  const reports = withConfig(function* (c) {
    const had = hw().resets;
    run_user("other", function* (u) {
      yield* u.syscall(function* () {
        const pdev = (yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(4, 0)))!;
        yield* device_lock(pdev.dev);
        yield* msleep(50);
        device_unlock(pdev.dev);
        yield* pci_dev_put(pdev);
        return 0;
      });
    });
    yield* c.u.sleep_ms(20);
    for (const [at, value] of [
      [AF + 4, 1],
      [EXP + 9, 0xa8],
    ] as const) {
      t.is(yield* c.write(at, 1, value), 1);
      t.is(hw().resets, had);
    }
    yield* c.u.sleep_ms(100);
    t.is(yield* c.write(AF + 4, 1, 1), 1);
    t.is(hw().resets, had + 1);
  });
  t.deepEqual(reports, []);
});

// How much is asked for at once

test("how much the device asks for at once: what the user says, but not less than its packets have", (t) => {
  const reports = withConfig(function* (c) {
    for (const [value, hard] of [
      [5, 5],
      [1, 1],
      [0, 1],
      [3, 3],
      // Nothing that there is
      [7, 3],
      [6, 3],
    ] as const) {
      t.is(yield* c.write(EXP + 8, 2, 0x0830 | (value << 12)), 2);
      t.is((yield* c.read(EXP + 8, 2)) >> 12, value);
      t.is(hw().read(EXP + 8, 2) >> 12, hard, String(value));
    }
  });
  t.deepEqual(reports, []);
});

// Vital product data

const DONE = 0x8000;
test("vital product data: dwords from the device and to it", (t) => {
  const reports = withConfig(function* (c) {
    const { text } = yield* c.u.sysfs_read(`${sysDevice(DEV)}/vpd`);
    t.is(text.slice(3, 8), "hello");
    const read = function* (at: number): Sleeps<string> {
      t.is(yield* c.write(VPD + 2, 2, at), 2);
      t.is(yield* c.read(VPD + 2, 2), at | DONE);
      return hex(yield* c.read(VPD + 4, 4));
    };
    t.is(yield* read(0), "0x68000582");
    t.is(yield* read(4), "0x6f6c6c65");
    // The end is its end tag.
    t.is(yield* read(8), "0x78");
    t.is(yield* read(12), "0x0");
    // A dword across the end: not written, and never done.
    t.is(yield* c.write(VPD + 4, 4, 0x64636261), 4);
    t.is(yield* c.write(VPD + 2, 2, 8 | DONE), 2);
    t.is(yield* c.read(VPD + 2, 2), 8 | DONE);
    t.is(yield* c.write(VPD + 2, 2, 4 | DONE), 2);
    t.is(yield* c.read(VPD + 2, 2), 4);
    t.is(hw().vpd.getUint32(4, true), 0x64636261);
    t.is(yield* read(4), "0x64636261");
    // Address and data in one dword access: the address is in its upper half.
    t.is(yield* c.write(VPD, 4, 0x00040000), 4);
    t.is(yield* c.read(VPD, 4), 0x80040003);
    // The lower byte alone starts nothing.
    t.is(yield* c.write(VPD + 2, 1, 0), 1);
    t.is(yield* c.read(VPD + 2, 2), DONE);
  });
  t.deepEqual(reports, []);
});

test("vital product data of a device that does not answer", (t) => {
  const reports = withConfig(
    function* (c) {
      // There seems to be none of it: nothing is read at once, and nothing can be written.
      t.is(yield* c.write(VPD + 2, 2, 4), 2);
      t.is(yield* c.read(VPD + 2, 2), 4 | DONE);
      t.is(yield* c.read(VPD + 4, 4), 0);
      t.is(yield* c.write(VPD + 2, 2, 4 | DONE), 2);
      t.is(yield* c.read(VPD + 2, 2), 4 | DONE);
    },
    { device: SILENT },
  );
  t.deepEqual(reports, []);
  t.true(said().some((line) => line.includes("VPD access failed.  This is likely a firmware bug on this device.")));
});

interface Vpd {
  readonly what: string;
  readonly vpd: readonly number[];
  /** Bytes that there are, or -errno. */
  readonly size: number;
  readonly says: string | null;
}
const VPDS: readonly Vpd[] = [
  { what: "an end", vpd: VPD_DATA, size: 9, says: null },
  { what: "a small one before it", vpd: [0x0a, 1, 2, 0x78], size: 4, says: null },
  {
    what: "nothing",
    vpd: many(4),
    size: -ENODEV,
    says: "invalid VPD tag 0x00 (size 0) at offset 0; assume missing optional EEPROM",
  },
  {
    what: "no memory",
    vpd: [],
    size: -ENODEV,
    says: "invalid VPD tag 0xff (size 0) at offset 0; assume missing optional EEPROM",
  },
  {
    what: "one that is longer than there can be",
    vpd: [0x82, 1, 0, 0x41, 0x90, 0xfd, 0x7f, 0],
    size: 4,
    says: "invalid VPD tag 0x90 (size 32765) at offset 4",
  },
  {
    what: "a long one across the end",
    vpd: [0x82, 0xfa, 0x7f, 0],
    size: 0x7ffd,
    says: "invalid VPD tag 0xff (size 65535) at offset 32765",
  },
  {
    what: "one whose length is not there",
    vpd: [0x82, 0xfc, 0x7f, 0],
    size: 0x7fff,
    says: "failed VPD read at offset 32768",
  },
];
test("vital product data: how much there is", (t) => {
  for (const { what, vpd, size, says } of VPDS) {
    const reports = withConfig(
      function* ({ u }) {
        const fd = yield* u.open(`${sysDevice(DEV)}/vpd`, O_RDWR);
        const first = yield* u.pread_bytes(fd, 1, 0n);
        t.is(first.ret, size < 0 ? size : 1, what);
        const last = yield* u.pread_bytes(fd, 4, BigInt(Math.max(size - 1, 0)));
        t.is(last.ret, size < 0 ? size : 1, what);
        t.is((yield* u.pread_bytes(fd, 4, BigInt(Math.max(size, 0)))).ret, size < 0 ? size : 0, what);
        // Whole dwords, and none of them across the end
        for (const [at, count, gives] of [
          [1, 4, -EINVAL],
          [0, 2, -EINVAL],
          [size & ~3, 4, -EINVAL],
          [0, 4, 4],
        ] as const)
          t.is(
            yield* u.pwrite_bytes(fd, Uint8Array.from(many(count, 0x78)), BigInt(Math.max(at, 0))),
            size < 0 ? -ENODEV : gives,
            what,
          );
        yield* u.close(fd);
      },
      { device: { ...RICH, vpd } },
    );
    t.deepEqual(reports, []);
    const lines = log()
      .map((l) => l.text)
      .filter((text) => text.includes("VPD"));
    t.is(lines.length, says === null ? 0 : 1, what);
    if (says !== null) t.true(lines[0]?.includes(says), lines[0]);
  }
});

test("vital product data of a function that has those of function 0", (t) => {
  boot({
    arch: "x86_64",
    pci: [
      { slot: 4, device: { ...RICH, multifunction: true } },
      { slot: 4, func: 1, device: { ...RICH, vpd: [0x0a, 1, 2, 0x78] } },
    ],
    stacks: false,
  });
  run_user("init", function* (u) {
    const vpd = yield* u.open("/sys/bus/pci/devices/0000:00:04.1/vpd", O_RDWR);
    const func = pci_hw.func("00:04.1")!;
    t.is((yield* u.pread_bytes(vpd, 16, 0)).ret, 4);
    yield* u.syscall(function* () {
      const pdev = (yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(4, 1)))!;
      pdev.dev_flags |= PCI_DEV_FLAGS_VPD_REF_F0;
      yield* pci_dev_put(pdev);
      return 0;
    });
    t.is((yield* u.pread_bytes(vpd, 16, 0)).ret, 9);
    t.is(yield* u.pwrite_bytes(vpd, Uint8Array.of(1, 2, 3, 4), 4), 4);
    t.is(hw().vpd.getUint32(4, true), 0x04030201);
    t.is(func.vpd.getUint32(0, true), 0x7802010a);
    // Nobody has kept function 0; without it there is nothing.
    t.is(yield* u.sysfs_write("/sys/bus/pci/devices/0000:00:04.0/remove", "1"), 1);
    t.is((yield* u.pread_bytes(vpd, 16, 0)).ret, -ENODEV);
    t.is(yield* u.pwrite_bytes(vpd, Uint8Array.of(1, 2, 3, 4), 4), -ENODEV);
    yield* u.close(vpd);
  });
  t.is(run(), "done");
  kmemleak_scan();
  t.deepEqual(
    found().map((r) => r.title),
    [],
  );
});

// Functions that are not whole

test("a virtual function: what its own registers lack is made up", (t) => {
  const reports = withConfig(
    function* (c) {
      // The bit for memory is not there, whoever sets it.
      hw().config.setUint16(0x04, 0, true);
      t.is(yield* c.read(0x00, 4), 0x56791234);
      t.is(hw().read(0x00, 4), 0xffffffff);
      t.is(yield* c.read(0x3d, 1), 0);
      t.is((yield* words(c.u, c.device, GET_IRQ_INFO, [16, 0, 0, 0])).words[3], 0);
      // It reads as if it were; and whatever is written, memory can be accessed.
      t.is((yield* c.read(0x04, 2)) & 2, 2);
      t.is(hw().read(0x04, 2) & 2, 0);
      t.is(yield* c.write(0x04, 2, 0), 2);
      t.is((yield* c.read(0x04, 2)) & 2, 0);
      t.true(yield* driverView(c.u, __vfio_pci_memory_enabled));
      hw().reset();
      t.is(yield* c.write(0x04, 2, 0x0002), 2);
      t.false(said().some((line) => line.includes("restoring BARs")));
    },
    {
      device: PLAIN_WITH_PIN,
      *before(u) {
        yield* u.syscall(function* () {
          const pdev = (yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(4, 0)))!;
          const host = (yield* pci_get_domain_bus_and_slot(0, 0, 0))!;
          pdev.is_virtfn = true;
          pdev.no_command_memory = true;
          pdev.physfn = host;
          hw().config.setUint32(0, 0xffffffff, true);
          yield* pci_dev_put(host);
          yield* pci_dev_put(pdev);
          return 0;
        });
      },
    },
  );
  t.deepEqual(reports, []);
  t.true(said().includes("vfio-pci 0000:00:04.0: Hardware bug: VF reports bogus INTx pin 1"));
});

test("a virtual function that is known to have a pin: it is hidden, and nothing said", (t) => {
  const reports = withConfig(
    function* (c) {
      t.is(yield* c.read(0x00, 4), 0x270c8086);
      t.is(yield* c.read(0x3d, 1), 0);
      t.is(hw().read(0x3d, 1), 1);
    },
    {
      device: { ...PLAIN_WITH_PIN, vendor: 0x8086, device: 0x270c },
      *before(u) {
        yield* u.syscall(function* () {
          const pdev = (yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(4, 0)))!;
          const host = (yield* pci_get_domain_bus_and_slot(0, 0, 0))!;
          pdev.is_virtfn = true;
          pdev.physfn = host;
          yield* pci_dev_put(host);
          yield* pci_dev_put(pdev);
          return 0;
        });
      },
    },
  );
  t.deepEqual(reports, []);
  t.deepEqual(said(), []);
});

test("a device without a bit for memory, which is no virtual function", (t) => {
  const reports = withConfig(
    function* (c) {
      t.is(yield* c.read(0x04, 2), 2);
      t.is(hw().read(0x04, 2), 0);
      t.is(yield* c.write(0x04, 2, 2), 2);
      t.is(yield* c.write(0x04, 2, 0), 2);
      hw().config.setUint16(0x04, 0, true);
      t.is(yield* c.write(0x04, 2, 2), 2);
      hw().config.setUint16(0x04, 0, true);
      t.is(yield* c.write(0x04, 2, 2), 2);
      t.is(yield* c.read(0x04, 2), 2);
    },
    {
      device: { ...PLAIN, bars: [] },
      *before(u) {
        yield* u.syscall(function* () {
          const pdev = (yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(4, 0)))!;
          pdev.no_command_memory = true;
          hw().config.setUint16(0x04, 0, true);
          yield* pci_dev_put(pdev);
          return 0;
        });
      },
    },
  );
  t.deepEqual(reports, []);
  t.deepEqual(said(), []);
});

test("cycles that fail: an error for each, and no lock is kept", (t) => {
  const reports = withConfig(function* (c) {
    const failing = function* (which: { readonly read?: number; readonly write?: number }): Sleeps<pci_ops> {
      return yield* driverView(c.u, ({ pdev }) => {
        const was = pdev!.bus!.ops!;
        pdev!.bus!.ops = {
          read: which.read === undefined ? was.read : () => which.read!,
          write: which.write === undefined ? was.write : () => which.write!,
        };
        return was;
      });
    };
    for (const { read, write, gives } of [
      { read: PCIBIOS_DEVICE_NOT_FOUND, write: 0, gives: -ENODEV },
      { read: undefined, write: PCIBIOS_SET_FAILED, gives: -EIO },
    ] as const) {
      const was = yield* failing(read === undefined ? { write } : { read, write });
      if (read !== undefined)
        for (const at of [0x04, VNDR, PM, E_AER + 4, GAP]) t.is(yield* c.read(at, 4), gives, hex(at));
      // What is virtual need not be asked for.
      t.is(yield* c.read(0x10, 4), 0xc0000000);
      for (const [at, size] of [
        [0x04, 2],
        [0x0c, 1],
        [PM + 4, 2],
        [EXP + 8, 2],
        [MSI + 2, 2],
        [E_AER + 4, 4],
      ] as const)
        t.is(yield* c.write(at, size, 0), at === MSI + 2 && write === 0 ? size : gives, hex(at));
      yield* driverView(c.u, ({ pdev }) => (pdev!.bus!.ops = was));
      // Each of these takes memory_lock.
      t.is(yield* c.write(0x04, 2, 7), 2);
      t.is(yield* c.write(PM + 4, 2, 0), 2);
      t.is(yield* c.write(AF + 4, 1, 1), 1);
    }
  });
  t.deepEqual(reports, []);
});

// How long capabilities are

interface Length {
  readonly what: string;
  readonly id: number;
  /** Behind the header, which is two bytes, or four of an extended one. */
  readonly bytes: readonly number[];
  readonly length: number;
}
const l = (what: string, id: number, bytes: readonly number[], length: number): Length => ({ what, id, bytes, length });
const LENGTHS: readonly Length[] = [
  l("power management", 0x01, many(6), 8),
  l("AGP", 0x02, many(10), 12),
  l("vital product data", 0x03, many(6), 8),
  l("MSI", 0x05, le16(0), 10),
  l("MSI, 64 bits", 0x05, le16(0x0080), 14),
  l("MSI, with masks", 0x05, le16(0x0100), 20),
  l("MSI, both", 0x05, le16(0x0180), 24),
  l("PCI-X", 0x07, le16(0x0fff), 8),
  l("PCI-X 266", 0x07, le16(0x1000), 24),
  l("PCI-X 533", 0x07, le16(0x2000), 24),
  l("HyperTransport", 0x08, [0, 0x1f], 28),
  l("HyperTransport, of three bits", 0x08, [0, 0x20], 24),
  l("a vendor's", 0x09, [5], 5),
  l("MSI-X", 0x11, many(10), 12),
  l("SATA", 0x12, [0, 0, 0xf8, 0], 8),
  l("SATA, registers inline", 0x12, [0, 0, 0xff, 0], 16),
  l("advanced features", 0x13, many(4), 6),
  l("one that is hidden", 0x0d, many(4), 0),
  l("one that does not exist", 0x15, many(4), 0),
];
const EXPRESS_LENGTHS: readonly Length[] = [
  l("version 1", 0x10, le16(0x0001), 0x14),
  l("version 1, in the root complex", 0x10, le16(0x0091), 0xc),
  l("version 2", 0x10, le16(0x0002), 0x32),
  l("version 2, in the root complex", 0x10, le16(0x0092), 0x2c),
];
const EXTENDED_LENGTHS: readonly Length[] = [
  l("errors", 0x01, [], 0x2c),
  l("channels", 0x02, [], 28),
  l("two channels, arbitration that is not of phases", 0x02, [...le32(1), ...le32(1)], 40),
  l("... of 32", 0x02, [...le32(1), ...le32(2)], 64),
  l("... of 64", 0x09, [...le32(1), ...le32(6)], 80),
  l("... of 128, functions'", 0x08, [...le32(1), ...le32(0xe)], 112),
  l("serial number", 0x03, [], 12),
  l("power budget", 0x04, [], 16),
  l("a vendor's", 0x0b, le32(0x01400000), 20),
  l("access control", 0x0d, [], 8),
  l("... with a vector of 32", 0x0d, [0x20, 32], 12),
  l("... of 33", 0x0d, [0x20, 33], 16),
  l("... of 256", 0x0d, [0x20, 0], 40),
  l("functions by another number", 0x0e, [], 8),
  l("multicast", 0x12, [], 40),
  l("page requests", 0x13, [], 16),
  l("sizes of two BARs", 0x15, [...many(4), 0x5f], 20),
  l("power allocation", 0x16, [0xe5], 22),
  l("hints without a table", 0x17, le32(0x00030000), 12),
  l("hints with a table", 0x17, le32(0x00030200), 20),
  l("hints with a table elsewhere", 0x17, le32(0x00030400), 12),
  l("latency", 0x18, [], 8),
];
/** @at: where it is, in a map without anything that is like it around. */
const lengthIn = (map: Uint8Array, at: number, id: number): number => {
  const end = map.findIndex((b, i) => i >= at && b !== id);
  return end - at;
};
test("how long capabilities are", (t) => {
  const tables: readonly (readonly [readonly Length[], number, (row: Length) => function_model])[] = [
    [LENGTHS, 0x40, ({ id, bytes }) => ({ ...PLAIN, capabilities: [{ id, at: 0x40, bytes: [0, 0, ...bytes] }] })],
    [
      EXPRESS_LENGTHS,
      0x40,
      ({ id, bytes }) => ({ ...PLAIN, express_at: 0x40, capabilities: [{ id, at: 0x40, bytes: [0, 0, ...bytes] }] }),
    ],
    [
      EXTENDED_LENGTHS,
      0x110,
      ({ id, bytes }) => ({
        ...PLAIN,
        express_at: 0x40,
        capabilities: [{ id: 0x10, at: 0x40, bytes: [0, 0, 2, 0] }],
        extended: [
          { id: 0x18, version: 1, at: 0x100, bytes: many(8) },
          { id, version: 1, at: 0x110, bytes: [...many(4), ...bytes] },
        ],
      }),
    ],
  ];
  for (const [rows, at, deviceOf] of tables)
    for (const row of rows) {
      const reports = withConfig(
        function* (c) {
          const length = yield* driverView(c.u, ({ pci_config_map }) => lengthIn(pci_config_map!.$bytes, at, row.id));
          t.is(length, row.length, row.what);
        },
        { device: deviceOf(row) },
      );
      t.deepEqual(reports, [], row.what);
    }
});

interface Anchor {
  readonly id: number;
  /** What is read there at first, and after all ones were written. */
  readonly reads: readonly [number, number];
  readonly hard: number;
}
const ANCHORS: readonly Anchor[] = [
  { id: 0x19, reads: [0x11000000, 0x11000000], hard: 0x11010019 },
  { id: 0x55, reads: [0x11000000, 0x11000000], hard: 0x11010055 },
  // The map has bytes, and some numbers of capabilities mean something else there: all virtual ...
  { id: 0x2fe, reads: [0x11000000, 0xffffffff], hard: 0x110102fe },
  // ... and nobody's, with what was to be hidden.
  { id: 0x1ff, reads: [0x110101ff, 0x11ff01ff], hard: 0x11ff01ff },
];
test("the first extended capability, hidden, by its number", (t) => {
  for (const { id, reads, hard } of ANCHORS) {
    const reports = withConfig(
      function* (c) {
        t.is(hex(yield* c.read(0x100, 4)), hex(reads[0]), hex(id));
        t.is(yield* c.write(0x100, 4, 0xffffffff), 4);
        t.is(hex(yield* c.read(0x100, 4)), hex(reads[1]), hex(id));
        t.is(hex(hw().read(0x100, 4)), hex(hard), hex(id));
      },
      {
        device: {
          ...RICH,
          extended: [
            { id, version: 1, at: 0x100, bytes: many(8), writable: [0, 0, 0xff, 0] },
            { id: 0x18, version: 1, at: 0x110, bytes: many(8) },
          ],
        },
      },
    );
    t.deepEqual(reports, []);
  }
});

interface Circle {
  readonly what: string;
  /** Makes a capability of four or eight bytes its own next one. */
  readonly link: () => void;
  readonly bytes: number;
  /** How often it is taken for another one. */
  readonly times: number;
}
const CIRCLES: readonly Circle[] = [
  { what: "capabilities", link: () => hw().config.setUint8(0x51, 0x50), bytes: 4, times: (256 - 64) / 4 - 2 },
  {
    what: "extended capabilities",
    link: () => hw().config.setUint32(0x100, 0x10010018, true),
    bytes: 8,
    times: (4096 - 256) / 4 - 1,
  },
];
test("a list that leads back to itself has an end", (t) => {
  for (const { what, link, bytes, times } of CIRCLES) {
    const reports = withConfig(
      function* (c) {
        t.is(yield* c.read(0x00, 4), 0x56791234);
      },
      {
        device: {
          ...PLAIN,
          express_at: 0x60,
          capabilities: [
            { id: 0x10, at: 0x60, bytes: [0, 0, 1, 0] },
            { id: 0x09, at: 0x50, bytes: [0, 0, 4, 0] },
          ],
          extended: [{ id: 0x18, version: 1, at: 0x100, bytes: many(8) }],
        },
        *before() {
          link();
        },
      },
    );
    t.deepEqual(reports, []);
    t.is(said().filter((line) => line.includes("PCI config conflict")).length, bytes * times, what);
  }
});

// Mistakes of the C code

test("two capabilities of a kind with nothing between them are one: the second shows what is hidden", (t) => {
  const device: function_model = {
    ...PLAIN,
    capabilities: [
      { id: 0x09, at: 0x40, bytes: [0, 0, 8, 0, 0, 0, 0, 0] },
      { id: 0x09, at: 0x48, bytes: [0, 0, 8, 0, 0, 0, 0, 0] },
      { id: 0x0d, at: 0x50, bytes: many(8) },
    ],
  };
  const reports = withConfig(
    function* (c) {
      t.is(yield* c.read(0x41, 1), 0x48);
      t.is(yield* c.read(0x49, 1), 0x50);
      t.is(yield* driverView(c.u, (vdev) => vdev.vconfig!.$view.getUint8(0x49)), 0);
    },
    { device },
  );
  t.deepEqual(reports, []);
});

test("two who write at once: nothing keeps them apart", (t) => {
  const titles = new Set<string>();
  for (const seed of [1, 2, 3]) {
    const reports = withConfig(
      function* (c) {
        const values = [0x0007, 0x0404, 0x0400, 0x0003];
        const pid = yield* c.u.fork(function* (v) {
          const other = configOf(v, c.device);
          for (const value of values) {
            yield* other.write(0x10, 4, 0xffffffff);
            yield* other.write(0x04, 2, value);
          }
        });
        for (const value of values) {
          yield* c.write(0x04, 2, value);
          yield* c.read(0x10, 4);
        }
        yield* c.u.waitpid(pid);
      },
      { races: seed },
    );
    for (const title of reports) titles.add(title.replaceAll(" [vfio_pci_core]", ""));
  }
  const where = [...titles]
    .filter((title) => title.includes("vfio"))
    .map((title) => title.replace(/^.*data-race in /, ""));
  t.true(where.includes("vfio_basic_config_write / vfio_basic_config_write"), where.join("; "));
  t.true(where.includes("vfio_basic_config_write / vfio_default_config_write"), where.join("; "));
  // It is all about the copy and what goes with it.
  for (const title of where)
    t.regex(title, /^(vfio_\w*config_\w+|vfio_bar_fixup) \/ (vfio_\w*config_\w+|vfio_bar_fixup)$/);
});

test("MSI: how many vectors there may be is written to the number of the capability", (t) => {
  const reports = withConfig(function* (c) {
    const kept = function* (): Sleeps<string> {
      return hex(yield* driverView(c.u, (vdev) => vdev.vconfig!.$view.getUint32(MSI, true)));
    };
    t.is(yield* kept(), hex(0x01860000 | (EXP << 8) | 0x05));
    yield* driverView(c.u, (vdev) => (vdev.msi_qmax = 1));
    t.is(yield* c.write(MSI + 2, 2, 0x0180), 2);
    // It should be 0x0182.
    t.is(yield* c.read(MSI + 2, 2), 0x0180);
    t.is(yield* kept(), hex(0x01800000 | (EXP << 8) | 0x03));
    // The number that user space sees is the hardware's.
    t.is(yield* c.read(MSI, 4), 0x01800000 | (EXP << 8) | 0x05);
  });
  t.deepEqual(reports, []);
});

test("an open that fails behind the MSI capability: what MSI needs stays", (t) => {
  const reports = withConfig(
    function* (c) {
      t.is(c.device, -ENODEV);
      yield* c.read(0, 4);
    },
    {
      *before(u) {
        yield* u.syscall(function* () {
          const pdev = (yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(4, 0)))!;
          const { read, write } = pdev.bus!.ops!;
          pdev.bus!.ops = {
            read: (bus, devfn, where, size, val) =>
              where === VPD ? PCIBIOS_DEVICE_NOT_FOUND : read(bus, devfn, where, size, val),
            write,
          };
          yield* pci_dev_put(pdev);
          return 0;
        });
      },
    },
  );
  t.deepEqual(reports, [
    "unreferenced object: struct perm_bits (size 32)",
    "unreferenced object: buffer (size 24)",
    "unreferenced object: buffer (size 24)",
  ]);
});

interface Overlong {
  readonly what: string;
  readonly device: function_model;
  readonly reports: readonly string[];
  /** What opening it gives if it is not a descriptor. */
  readonly fails?: number;
}
const OUT_OF_BOUNDS = "BUG: KASAN: slab-out-of-bounds in";
const OVERLONG: readonly Overlong[] = [
  {
    what: "a vendor's capability",
    device: { ...PLAIN, capabilities: [{ id: 0x09, at: 0xf8, bytes: [0, 0, 0x10, 0] }] },
    reports: ["vfio_cap_init", "vfio_fill_vconfig_bytes"],
  },
  {
    what: "power management in the last dword",
    device: { ...PLAIN, capabilities: [{ id: 0x01, at: 0xfc, bytes: [0, 0, 3, 0] }] },
    reports: ["vfio_cap_init", "vfio_fill_vconfig_bytes", "vfio_update_pm_vconfig_bytes"],
  },
  {
    // Behind 4096 bytes nothing can be read, so the copy is not written there.
    what: "a vendor's extended capability",
    device: {
      ...RICH,
      capabilities: (RICH.capabilities ?? []).filter(({ at }) => at === EXP),
      extended: [{ id: 0x0b, version: 1, at: 0x100, bytes: [...many(4), ...le32(0xfff00001)] }],
    },
    reports: ["vfio_ecap_init"],
    fails: -EINVAL,
  },
];
for (const { what, device, reports, fails } of OVERLONG)
  test(`${what} that is longer than configuration space is`, (t) => {
    const titles = withConfig(
      function* (c) {
        if (fails === undefined) t.true(c.device >= 0);
        else t.is(c.device, fails);
        yield* c.read(0, 4);
      },
      { device },
    );
    t.deepEqual(
      titles.map((title) => title.replace(" [vfio_pci_core]", "")),
      reports.map((f) => `${OUT_OF_BOUNDS} ${f}`),
    );
  });

test("a capability at an odd place, whose registers cannot be read: no open", (t) => {
  const reports = withConfig(
    function* (c) {
      t.is(c.device, -EFAULT);
      yield* c.read(0, 4);
    },
    { device: { ...PLAIN, capabilities: [{ id: 0x05, at: 0x41, bytes: [0, 0, 8, 0] }] } },
  );
  t.deepEqual(reports, []);
});
