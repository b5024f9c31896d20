// SPDX-License-Identifier: GPL-2.0-only
/** IOMMUs: Intel's page tables, groups and default domains, and what type 1 does with domains. */
import test from "ava";
import { EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENOMEM, EPERM } from "#linux/errno.ts";
import { O_RDWR } from "#linux/fcntl.ts";
import {
  iommu_attach_device,
  iommu_detach_device,
  iommu_domain_alloc,
  iommu_domain_free,
  iommu_iova_to_phys,
  iommu_map,
  IOMMU_READ,
  IOMMU_RESV_DIRECT,
  IOMMU_RESV_DIRECT_RELAXABLE,
  IOMMU_RESV_MSI,
  IOMMU_RESV_RESERVED,
  IOMMU_RESV_SW_MSI,
  iommu_unmap,
  IOMMU_WRITE,
} from "#linux/iommu.ts";
import type { page } from "#linux/mm.ts";
import { RLIMIT_MEMLOCK } from "#linux/resource.ts";
import { ptr, type Sleeps, struct_array } from "#linux/types.ts";
import { vfio_pin_pages } from "#linux/vfio.ts";
import * as uapi from "#uapi/linux/vfio.ts";
import { dmar_insert_rmrr } from "../../drivers/iommu/intel/dmar.ts";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import { type pci_plan, recorded_pci } from "../../kernel/arch/x86/pci_host.ts";
import { ready_int } from "../../kernel/sched/types.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { kmemleak_scan, live_objects } from "../../kernel/mm/kmemleak.ts";

import "../../drivers/pci/pci-sysfs.ts";
import "../../kernel/arch/x86/pci.ts";

import { create, loadTiny, tiny, unloadTiny, UUID } from "./tiny-mdev.ts";
import { CALM, loadPhysical, physical, type Temper, unloadPhysical } from "./tiny-physical.ts";

const results: unknown[] = [];
const say = (x: unknown): void => void results.push(x);

/** Runs the program on a machine of its own. @return titles of what the checkers said, leaks included */
function inUserSpace(body: program, pci: readonly pci_plan[] = []): string[] {
  results.splice(0);
  boot({ arch: "x86_64", pci });
  run_user("init", body);
  const outcome = run();
  if (outcome !== "done") throw new Error([outcome, ...found().map((r) => r.text)].join("\n"));
  kmemleak_scan();
  return found().map((r) => r.title);
}
const warnings = (): string[] =>
  log()
    .filter((l) => l.level <= 4)
    .map((l) => l.text);

const MODULES = ["vfio", "vfio_iommu_type1", "vfio_virqfd", "mdev"];

/** The modules are loaded, and @devices are there. */
function* withDevices(u: user_process, devices: number, intel: boolean, body: () => Sleeps): Sleeps {
  for (const name of MODULES) yield* u.finit_module(name);
  const ret = yield* u.syscall(() => loadPhysical(devices, intel));
  if (ret) throw new Error(`devices: ${ret}`);
  yield* body();
  yield* u.syscall(unloadPhysical);
  for (const name of [...MODULES].reverse()) yield* u.delete_module(name);
}

// Intel's page tables

const K4 = 0x1000n;
const M2 = 0x200000n;
const G1 = 0x40000000n;
const RW = IOMMU_READ | IOMMU_WRITE;

interface Mapping {
  readonly iova: bigint;
  readonly phys: bigint;
  readonly size: bigint;
}
/** Page-table pages that there are. */
const tables = (): number => live_objects().filter((o) => o.type === "page").length;

interface TableCase {
  readonly name: string;
  readonly maps: readonly (Mapping & { readonly ret?: number })[];
  /** iova, and where it leads. */
  readonly leads: readonly (readonly [bigint, bigint])[];
  /** Tables below the uppermost one. */
  readonly tables: number;
  /** Unmapping that much from an address unmaps so much. */
  readonly unmaps: readonly (readonly [iova: bigint, size: bigint, unmapped: bigint])[];
}
const TABLES: readonly TableCase[] = [
  {
    name: "a page",
    maps: [{ iova: K4, phys: 0x7000n, size: K4 }],
    leads: [
      [K4, 0x7000n],
      [K4 + 0xfffn, 0x7fffn],
      [0n, 0n],
      [2n * K4, 0n],
    ],
    tables: 3,
    unmaps: [
      [K4, K4, K4],
      [K4, K4, K4],
    ],
  },
  {
    name: "large pages where both addresses allow it",
    maps: [
      { iova: M2, phys: 4n * M2, size: 2n * M2 },
      { iova: 8n * M2, phys: 4n * M2 + K4, size: M2 },
    ],
    leads: [
      [M2 + 0x12345n, 4n * M2 + 0x12345n],
      [2n * M2 + 0x12345n, 5n * M2 + 0x12345n],
      [8n * M2 + 5n, 4n * M2 + K4 + 5n],
      [9n * M2 - 1n, 5n * M2 + K4 - 1n],
    ],
    // Only the second one needs the last level
    tables: 3,
    unmaps: [
      [M2, K4, M2],
      [2n * M2, M2, M2],
      [8n * M2, K4, K4],
    ],
  },
  {
    name: "from small pages to large ones and back",
    maps: [{ iova: M2 - K4, phys: 3n * M2 - K4, size: 2n * M2 + 2n * K4 }],
    leads: [
      [M2 - K4, 3n * M2 - K4],
      [M2, 3n * M2],
      [3n * M2, 5n * M2],
      [3n * M2 + K4, 0n],
    ],
    tables: 4,
    unmaps: [[M2 - K4, 2n * M2 + 2n * K4, 2n * M2 + 2n * K4]],
  },
  {
    name: "a gigabyte in one entry",
    maps: [{ iova: G1, phys: 2n * G1, size: G1 }],
    leads: [[G1 + 0x3fffffffn, 2n * G1 + 0x3fffffffn]],
    tables: 1,
    unmaps: [[G1, K4, G1]],
  },
  {
    name: "the last addresses, and those behind them",
    maps: [
      { iova: (1n << 48n) - K4, phys: K4, size: K4 },
      { iova: 1n << 48n, phys: K4, size: K4, ret: -EFAULT },
      { iova: 5n, phys: 0n, size: K4, ret: -EINVAL },
      { iova: 0n, phys: 1n, size: K4, ret: -EINVAL },
    ],
    leads: [
      [(1n << 48n) - 1n, 0x1fffn],
      [1n << 48n, 0n],
    ],
    tables: 3,
    unmaps: [[5n, K4, 0n]],
  },
];

function* tableCase(c: TableCase): Sleeps<number> {
  const dev = physical.devices[0]!;
  const before = tables();
  const domain = iommu_domain_alloc(dev.bus)!;
  say([domain.pgsize_bitmap, domain.geometry.aperture_end]);
  say(yield* iommu_attach_device(domain, dev));
  say([domain.pgsize_bitmap, domain.geometry.aperture_end]);
  for (const { iova, phys, size } of c.maps) say(iommu_map(domain, iova, phys, size, RW));
  for (const [iova] of c.leads) say(iommu_iova_to_phys(domain, iova));
  say(tables() - before - 1);
  for (const [iova, size] of c.unmaps) say(iommu_unmap(domain, iova, size));
  yield* iommu_detach_device(domain, dev);
  iommu_domain_free(domain);
  say(tables() - before);
  return 0;
}
for (const c of TABLES)
  test.serial(`Intel's page tables: ${c.name}`, (t) => {
    t.deepEqual(
      inUserSpace((u) =>
        withDevices(u, 1, true, function* () {
          yield* u.syscall(() => tableCase(c));
        }),
      ),
      [],
    );
    t.deepEqual(results, [
      [K4, (1n << 57n) - 1n],
      0,
      [K4 | M2 | G1, (1n << 48n) - 1n],
      ...c.maps.map((m) => m.ret ?? 0),
      ...c.leads.map(([, phys]) => phys),
      c.tables,
      ...c.unmaps.map(([, , unmapped]) => unmapped),
      0,
    ]);
  });

test.serial("an entry that is there already is told, and stays", (t) => {
  const reports = inUserSpace((u) =>
    withDevices(u, 1, true, function* () {
      yield* u.syscall(function* (): Sleeps<number> {
        const dev = physical.devices[0]!;
        const domain = iommu_domain_alloc(dev.bus)!;
        yield* iommu_attach_device(domain, dev);
        iommu_map(domain, K4, K4, K4, RW);
        say(iommu_map(domain, K4, 2n * K4, K4, RW));
        say(iommu_iova_to_phys(domain, K4));
        yield* iommu_detach_device(domain, dev);
        iommu_domain_free(domain);
        return 0;
      });
    }),
  );
  t.is(reports.length, 1);
  t.regex(reports[0]!, /^WARNING: .*__domain_mapping/);
  t.deepEqual(results, [0, K4]);
  t.true(warnings().includes("DMAR: ERROR: DMA PTE for vPFN 0x1 already set (to 1003 not 2003)"));
});

function* groups(u: user_process): Sleeps {
  const type = "/sys/kernel/iommu_groups/0/type";
  const show = (path: string): Sleeps<{ text: string }> => u.sysfs_read(path);
  say((yield* show(type)).text);
  say((yield* show("/sys/kernel/iommu_groups/0/reserved_regions")).text);
  say((yield* u.readlink("/sys/devices/tp0/iommu")).text);
  say((yield* u.ls("/sys/class/iommu/dmar0/devices")).names.join());
  say((yield* show("/sys/class/iommu/dmar0/intel-iommu/domains_used")).text);
  for (const text of ["DMA-FQ", "frob", "identity"]) say([text, yield* u.sysfs_write(type, text)]);
  yield* u.sysfs_write("/sys/bus/tinybus/drivers/tiny-physical/unbind", "tp0");
  for (const text of ["identity", "auto", "DMA-FQ"]) {
    say([text, yield* u.sysfs_write(type, text)]);
    say((yield* show(type)).text);
  }
}
test.serial("a group's default domain, as sysfs shows and changes it", (t) => {
  t.deepEqual(
    inUserSpace((u) => withDevices(u, 1, true, () => groups(u))),
    [],
  );
  t.deepEqual(results, [
    "DMA\n",
    "0x00000000fee00000 0x00000000feefffff msi\n",
    "../virtual/iommu/dmar0",
    "tp0@",
    // 0, the one for pass-through, and this one
    "3\n",
    ["DMA-FQ", 6],
    ["frob", -EINVAL],
    ["identity", -EBUSY],
    ["identity", 8],
    "identity\n",
    ["auto", 4],
    "DMA\n",
    ["DMA-FQ", 6],
    "DMA-FQ\n",
  ]);
});

const GROUPS = [
  "0000:00:00.0",
  "0000:00:05.0",
  "0000:00:06.0",
  "0000:00:07.0",
  "0000:00:08.0",
  // Functions of one device
  "0000:00:1f.0 0000:00:1f.2 0000:00:1f.3",
  "0000:01:00.0",
  // Behind a bridge that speaks for them
  "0000:02:00.0 0000:03:01.0 0000:03:02.0 0000:03:03.0",
];
test.serial("groups of the recorded machine's PCI devices", (t) => {
  const reports = inUserSpace(function* (u) {
    const numbers = (yield* u.ls("/sys/kernel/iommu_groups")).names.map((n) => n.replace(/\W/, ""));
    for (const n of numbers.sort()) {
      const { names } = yield* u.ls(`/sys/kernel/iommu_groups/${n}/devices`);
      say(
        names
          .map((name) => name.replace("@", ""))
          .sort()
          .join(" "),
      );
    }
    say((yield* u.sysfs_read("/sys/kernel/iommu_groups/1/type")).text);
    say((yield* u.sysfs_read("/sys/kernel/iommu_groups/5/reserved_regions")).text);
    say(yield* u.sysfs_write("/sys/kernel/iommu_groups/7/type", "identity"));
  }, recorded_pci);
  t.deepEqual(reports, []);
  t.deepEqual(results, [
    ...GROUPS,
    "DMA\n",
    "0x0000000000000000 0x0000000000ffffff direct-relaxable\n0x00000000fee00000 0x00000000feefffff msi\n",
    -EINVAL,
  ]);
  t.deepEqual(warnings(), ["iommu: Cannot change default domain: Group has more than one device"]);
});

// Type 1

interface Opened {
  readonly u: user_process;
  readonly container: number;
  readonly groups: number[];
  readonly memory: bigint;
}
function* openGroups(u: user_process, count: number): Sleeps<Opened> {
  const container = yield* u.open("/dev/vfio/vfio", O_RDWR);
  const groups = [];
  for (let i = 0; i < count; i++) groups.push(yield* u.open(`/dev/vfio/${i}`, O_RDWR));
  return { u, container, groups, memory: yield* u.alloc(0x40_0000) };
}
function* attach({ u, container, groups }: Opened, i: number): Sleeps<number> {
  const arg = yield* u.alloc(4);
  u.poke_u32(arg, container);
  return yield* u.ioctl(groups[i]!, uapi.VFIO_GROUP_SET_CONTAINER, arg);
}
const detach = ({ u, groups }: Opened, i: number): Sleeps<number> =>
  u.ioctl(groups[i]!, uapi.VFIO_GROUP_UNSET_CONTAINER, 0n);
const setIommu = ({ u, container }: Opened, type = uapi.VFIO_TYPE1v2_IOMMU): Sleeps<number> =>
  u.ioctl(container, uapi.VFIO_SET_IOMMU, BigInt(type));
function* map(o: Opened, iova: bigint, size: bigint, at = 0n, flags = 3): Sleeps<number> {
  const arg = yield* o.u.alloc(32);
  o.u.poke_u32(arg, 32);
  o.u.poke_u32(arg + 4n, flags);
  o.u.poke_u64(arg + 8n, o.memory + at);
  o.u.poke_u64(arg + 16n, iova);
  o.u.poke_u64(arg + 24n, size);
  return yield* o.u.ioctl(o.container, uapi.VFIO_IOMMU_MAP_DMA, arg);
}
function* unmap(o: Opened, iova: bigint, size: bigint, flags = 0): Sleeps<string> {
  const arg = yield* o.u.alloc(24);
  o.u.poke_u32(arg, 24);
  o.u.poke_u32(arg + 4n, flags);
  o.u.poke_u64(arg + 8n, iova);
  o.u.poke_u64(arg + 16n, size);
  const ret = yield* o.u.ioctl(o.container, uapi.VFIO_IOMMU_UNMAP_DMA, arg);
  return `${ret} ${o.u.peek_u64(arg + 16n).toString(16)}`;
}
/** Page sizes, and the ranges that may be mapped. */
function* info(o: Opened): Sleeps<string> {
  const { bytes } = yield* o.u.ioctl_bytes(
    o.container,
    uapi.VFIO_IOMMU_GET_INFO,
    new Uint8Array(512).fill(0).fill(2, 1, 2),
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const ranges = [];
  for (let at = view.getUint32(16, true); at; at = view.getUint32(at + 4, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    for (let i = 0; i < view.getUint32(at + 8, true); i++)
      ranges.push(
        [view.getBigUint64(at + 16 + 16 * i, true), view.getBigUint64(at + 24 + 16 * i, true)]
          .map((v) => v.toString(16))
          .join("-"),
      );
  }
  return [view.getBigUint64(8, true).toString(16), ...ranges].join(" ");
}
const locked = ({ u }: Opened): string => `${u.mm.locked_vm} locked`;

interface Scene {
  readonly name: string;
  /** Of each unmanaged domain, as they come. */
  readonly tempers?: readonly Temper[];
  readonly groups?: number;
  readonly act: (o: Opened) => Sleeps;
  readonly says: readonly unknown[];
  /** Calls of the IOMMU from the first attachment to a domain of user space on, the test for large pages left out. */
  readonly calls?: readonly string[];
  readonly reports?: readonly string[];
  readonly warns?: readonly string[];
}
const MSI: Temper = { ...CALM, reserved: [[0xfee00000n, 0x100000n, IOMMU_RESV_MSI]] };
const NARROW: Temper = { ...CALM, aperture: [0x100000n, 0xffffffn] };

const SCENES: readonly Scene[] = [
  {
    name: "memory is mapped, locked and unlocked",
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* info(o)]);
      say([yield* map(o, 0x10000n, 0x4000n), locked(o)]);
      say([yield* map(o, 0x12000n, 0x1000n), yield* map(o, 0x40000n, 0x2000n, 0x100000n, 1), locked(o)]);
      say([yield* unmap(o, 0x10000n, 0x4000n), locked(o)]);
    },
    says: [
      [0, 0, "201000 0-ffffffffff"],
      [0, "4 locked"],
      [-EEXIST, 0, "6 locked"],
      ["0 4000", "2 locked"],
    ],
    calls: ["map 10000 4000", "map 40000 2000", "unmap 10000 4000", "unmap 40000 2000"],
  },
  {
    name: "reserved regions are no addresses, but for what can be given up",
    tempers: [
      {
        ...MSI,
        reserved: [
          ...MSI.reserved,
          [0n, 0x1000n, IOMMU_RESV_RESERVED],
          [0x5000n, 0x1000n, IOMMU_RESV_DIRECT],
          [0x8000n, 0x1000n, IOMMU_RESV_DIRECT_RELAXABLE],
        ],
      },
    ],
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* info(o)]);
      for (const iova of [0n, 0x1000n, 0x5000n, 0x8000n, 0xfeefff000n, 0xfee00000n, 0xfedff000n])
        say(yield* map(o, iova, 0x1000n));
      say(yield* map(o, 0x4000n, 0x3000n));
      say(yield* map(o, 1n << 40n, 0x1000n));
    },
    says: [
      [0, 0, "201000 1000-4fff 6000-fedfffff fef00000-ffffffffff"],
      -EINVAL,
      0,
      -EINVAL,
      0,
      0,
      -EINVAL,
      0,
      -EINVAL,
      -EINVAL,
    ],
  },
  {
    name: "a second domain: what is mapped is mapped there, and the addresses shrink and grow",
    tempers: [CALM, NARROW],
    groups: 2,
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o)]);
      say(yield* map(o, 0x200000n, 0x3000n));
      say([yield* attach(o, 1), yield* info(o), locked(o)]);
      say([yield* map(o, 0x1000n, 0x1000n), yield* map(o, 0x300000n, 0x1000n), locked(o)]);
      say([yield* detach(o, 1), yield* info(o), locked(o)]);
      say(yield* map(o, 0x1000n, 0x1000n));
    },
    says: [
      [0, 0],
      0,
      [0, "201000 100000-ffffff", "3 locked"],
      [-EINVAL, 0, "4 locked"],
      [0, "201000 0-ffffffffff", "4 locked"],
      0,
    ],
    calls: [
      "map 200000 3000",
      "map 200000 3000",
      "map 300000 1000",
      "map 300000 1000",
      "free 5 with 4 mapped",
      "map 1000 1000",
      "unmap 1000 1000",
      "unmap 200000 3000",
      "unmap 300000 1000",
    ],
  },
  {
    name: "a second domain whose addresses leave out what is mapped",
    tempers: [CALM, NARROW],
    groups: 2,
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* map(o, 0x1000n, 0x1000n)]);
      say([yield* attach(o, 1), yield* info(o)]);
    },
    says: [
      [0, 0, 0],
      [-EINVAL, "201000 0-ffffffffff"],
    ],
  },
  {
    name: "a second domain with a reserved region where something is mapped",
    tempers: [CALM, MSI],
    groups: 2,
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* map(o, 0xfee01000n, 0x1000n)]);
      say([yield* attach(o, 1), yield* info(o)]);
    },
    says: [
      [0, 0, 0],
      [-EINVAL, "201000 0-ffffffffff"],
    ],
  },
  {
    name: "mapping fails in the second domain, and is undone in the first",
    tempers: [CALM, NARROW],
    groups: 2,
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* attach(o, 1)]);
      physical.maps_left = 1;
      say([yield* map(o, 0x200000n, 0x2000n), locked(o)]);
      physical.maps_left = Infinity;
      say([yield* map(o, 0x200000n, 0x2000n), locked(o)]);
    },
    says: [
      [0, 0, 0],
      [-ENOMEM, "0 locked"],
      [0, "2 locked"],
    ],
    calls: [
      "map 200000 2000",
      "unmap 200000 2000",
      "map 200000 2000",
      "map 200000 2000",
      "free 3 with 2 mapped",
      "unmap 200000 2000",
    ],
  },
  {
    name: "what is mapped cannot be mapped in a second domain: nothing is left there",
    tempers: [CALM, NARROW],
    groups: 2,
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o)]);
      say([yield* map(o, 0x200000n, 0x1000n), yield* map(o, 0x300000n, 0x1000n, 0x10000n)]);
      // One for the test of large pages
      physical.maps_left = 2;
      say([yield* attach(o, 1), locked(o), yield* info(o)]);
    },
    says: [
      [0, 0],
      [0, 0],
      [-ENOMEM, "2 locked", "201000 0-ffffffffff"],
    ],
    calls: [
      "map 200000 1000",
      "map 300000 1000",
      "map 200000 1000",
      "unmap 200000 1000",
      "unmap 200000 1000",
      "unmap 300000 1000",
    ],
  },
  {
    name: "smaller pages than the processor's do not show",
    tempers: [{ ...CALM, pgsizes: 0x201400n }],
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* info(o)]);
      say(yield* map(o, 0x400n, 0x400n));
    },
    says: [[0, 0, "201000 0-ffffffffff"], -EINVAL],
  },
  {
    name: "an MSI window of the kernel's choice",
    tempers: [{ ...CALM, reserved: [[0x8000000n, 0x100000n, IOMMU_RESV_SW_MSI]] }],
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* info(o)]);
    },
    says: [[0, 0, "201000 0-7ffffff 8100000-ffffffffff"]],
  },
  {
    name: "without interrupt remapping, unless that is said to be fine",
    tempers: [{ ...CALM, remaps: false }],
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o)]);
      yield* o.u.sysfs_write("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y");
      say(yield* setIommu(o));
    },
    says: [[0, -EPERM], 0],
    warns: [
      'vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform',
    ],
  },
  {
    name: "nested page tables: only if the IOMMU has them",
    tempers: [CALM, { ...CALM, nests: true }],
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o, uapi.VFIO_TYPE1_NESTING_IOMMU)]);
      say(yield* setIommu(o, uapi.VFIO_TYPE1_NESTING_IOMMU));
    },
    says: [[0, -EINVAL], 0],
  },
  {
    name: "coherency that is enforced shows as an extension",
    tempers: [{ ...CALM, snoops: true }],
    *act(o) {
      const ask = (): Sleeps<number> =>
        o.u.ioctl(o.container, uapi.VFIO_CHECK_EXTENSION, BigInt(uapi.VFIO_DMA_CC_IOMMU));
      say([yield* ask(), yield* attach(o, 0), yield* setIommu(o), yield* ask()]);
    },
    says: [[0, 0, 0, 1]],
  },
  {
    name: "the IOMMU does not take the group",
    *act(o) {
      say(yield* attach(o, 0));
      physical.attach_result = -EIO;
      say(yield* setIommu(o));
      physical.attach_result = 0;
      say(yield* setIommu(o));
    },
    says: [0, -EIO, 0],
    reports: ["WARNING: __iommu_attach_group"],
  },
  {
    name: "no more than RLIMIT_MEMLOCK is locked",
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o)]);
      yield* o.u.setrlimit(RLIMIT_MEMLOCK, 0x3000n);
      yield* o.u.setuid(1000);
      say([yield* map(o, 0n, 0x4000n), locked(o)]);
      say([yield* map(o, 0n, 0x3000n), locked(o), yield* map(o, 0x10000n, 0x1000n)]);
    },
    says: [
      [0, 0],
      [-ENOMEM, "0 locked"],
      [0, "3 locked", -ENOMEM],
    ],
    warns: [
      "vfio_pin_pages_remote: RLIMIT_MEMLOCK (12288) exceeded",
      "vfio_pin_pages_remote: RLIMIT_MEMLOCK (12288) exceeded",
    ],
  },
  {
    name: "more than a batch, out of order in memory",
    *act(o) {
      // Touched backwards, so that each page lies before the last one
      for (let i = 1023n; i >= 0n; i--) o.u.poke(o.memory + i * 0x1000n, Uint8Array.of(1));
      say([yield* attach(o, 0), yield* setIommu(o)]);
      physical.calls.splice(0);
      say([yield* map(o, 0n, 0x400000n), locked(o), physical.calls.length]);
      physical.calls.splice(0);
      say([yield* unmap(o, 0n, 0x400000n), locked(o), physical.calls.length]);
    },
    says: [
      [0, 0],
      [0, "1024 locked", 1024],
      ["0 400000", "0 locked", 1024],
    ],
  },
  {
    name: "page by page, if that is wanted",
    *act(o) {
      yield* o.u.sysfs_write("/sys/module/vfio_iommu_type1/parameters/disable_hugepages", "Y");
      say([yield* attach(o, 0), yield* setIommu(o), yield* map(o, 0n, 0x3000n), locked(o)]);
    },
    says: [[0, 0, 0, "3 locked"]],
    calls: ["map 0 1000", "map 1000 1000", "map 2000 1000", "unmap 0 3000"],
  },
  {
    name: "an IOMMU that unmaps whole what was mapped together is asked page by page",
    tempers: [{ ...CALM, whole: true }],
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* map(o, 0x4000n, 0x3000n)]);
      physical.calls.splice(0);
      say([yield* unmap(o, 0x4000n, 0x3000n), locked(o)]);
    },
    says: [
      [0, 0, 0],
      ["0 3000", "0 locked"],
    ],
    calls: ["unmap 4000 3000"],
  },
  {
    name: "registers, which have no pages, are mapped and not locked",
    groups: 2,
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o)]);
      const device = yield* o.u.ioctl(o.groups[0]!, uapi.VFIO_GROUP_GET_DEVICE_FD, yield* o.u.string("tp0"));
      const areas = [];
      for (const off of [0n, 0x1000n]) areas.push(yield* o.u.mmap(0x2000, 3, 1, device, off));
      const readable = yield* o.u.mmap(0x2000, 1, 1, device, 0n);
      physical.calls.splice(0);
      for (const [i, at] of areas.entries())
        say([yield* map({ ...o, memory: at }, BigInt(i) << 20n, 0x2000n), locked(o)]);
      // To read only
      say([
        yield* map({ ...o, memory: readable }, 0x40000n, 0x1000n),
        yield* map({ ...o, memory: readable }, 0x40000n, 0x1000n, 0n, 1),
      ]);
      say([yield* unmap(o, 0n, 0x2000n), locked(o)]);
      // What is mapped of it keeps the device open
      for (const at of [...areas, readable]) yield* o.u.munmap(at, 0x2000);
      yield* o.u.close(device);
    },
    says: [
      [0, 0],
      [0, "0 locked"],
      [0, "0 locked"],
      [-EFAULT, 0],
      ["0 2000", "0 locked"],
    ],
    calls: [
      "map 0 2000",
      "fault",
      "map 100000 2000",
      "map 40000 1000",
      "unmap 0 2000",
      "unmap 40000 1000",
      "unmap 100000 2000",
    ],
  },
  {
    name: "the last group goes, and everything with it",
    *act(o) {
      say([yield* attach(o, 0), yield* setIommu(o), yield* map(o, 0n, 0x3000n), locked(o)]);
      say([yield* detach(o, 0), locked(o)]);
      say([yield* attach(o, 0), yield* setIommu(o), yield* map(o, 0n, 0x3000n), locked(o)]);
    },
    says: [
      [0, 0, 0, "3 locked"],
      [0, "0 locked"],
      [0, 0, 0, "3 locked"],
    ],
  },
];

/** What was mapped, without the two pages that the test for large pages maps in each new domain. */
function mapped(calls: readonly string[]): string[] {
  const said = calls.filter((c) => /map|with|fault/.test(c));
  return said.filter((c, i) => {
    const test = (at: number): boolean =>
      /^map [0-9a-f]+ 2000$/.test(said[at] ?? "") && /^unmap [0-9a-f]+ 1000$/.test(said[at + 1] ?? "");
    return c !== "" && ![i, i - 1, i - 2].some(test);
  });
}
test.serial("type 1: with emulated devices beside, what these have pinned stays locked", (t) => {
  const reports = inUserSpace((u) =>
    withDevices(u, 1, false, function* () {
      yield* u.syscall(loadTiny);
      yield* create(u);
      const o = yield* openGroups(u, 2);
      say([yield* attach(o, 0), yield* setIommu(o), yield* attach(o, 1)]);
      const device = yield* u.ioctl(o.groups[1]!, uapi.VFIO_GROUP_GET_DEVICE_FD, yield* u.string(UUID));
      say([device > 0, yield* map(o, 0x10000n, 0x3000n), locked(o)]);
      yield* u.syscall(function* (): Sleeps<number> {
        const pages = new struct_array<page | null>(1, ptr<page>());
        const ret = yield* vfio_pin_pages(tiny.states[0]!.vdev, 0x11000n, 1, IOMMU_READ, pages);
        tiny.pinned.push({ iova: 0x11000n, page: pages.at(0) });
        return say([ret, locked(o)]) ?? 0;
      });
      say([yield* detach(o, 0), locked(o)]);
      // The domain of the group that comes back pins the rest again.
      say([yield* attach(o, 0), locked(o)]);
      say([yield* unmap(o, 0x10000n, 0x3000n), locked(o)]);
      for (const fd of [device, ...o.groups, o.container]) yield* u.close(fd);
      yield* u.syscall(unloadTiny);
    }),
  );
  // As in C: see the test of mapping with emulated devices alone
  t.deepEqual(reports, ["WARNING: possible circular locking dependency detected"]);
  t.deepEqual(results, [
    [0, 0, 0],
    [true, 0, "3 locked"],
    [1, "3 locked"],
    [0, "1 locked"],
    [0, "3 locked"],
    ["0 3000", "0 locked"],
  ]);
});

test.serial("a device whose memory the firmware goes on using is not given away", (t) => {
  const reports = inUserSpace((u) =>
    withDevices(u, 1, true, function* () {
      yield* u.syscall(() => ready_int(Number(dmar_insert_rmrr(0x7f000000n, 0x7f0fffffn, [physical.devices[0]!]))));
      say((yield* u.sysfs_read("/sys/kernel/iommu_groups/0/reserved_regions")).text);
      const o = yield* openGroups(u, 1);
      say([yield* attach(o, 0), yield* setIommu(o)]);
      for (const fd of [...o.groups, o.container]) yield* u.close(fd);
    }),
  );
  t.deepEqual(results, [
    "0x000000007f000000 0x000000007f0fffff direct\n0x00000000fee00000 0x00000000feefffff msi\n",
    // The domain that blocks its DMA is one of user space's kind
    [-EPERM, -EINVAL],
  ]);
  t.true(warnings().some((w) => w.includes("Device is ineligible for IOMMU domain attach due to platform RMRR")));
  t.deepEqual(reports, []);
});

function* playScene(u: user_process, scene: Scene): Sleeps {
  physical.tempers = [...(scene.tempers ?? [])];
  const o = yield* openGroups(u, scene.groups ?? 1);
  physical.calls.splice(0);
  yield* scene.act(o);
  for (const fd of [...o.groups, o.container]) yield* u.close(fd);
  say(locked(o));
}
for (const scene of SCENES)
  test.serial(`type 1: ${scene.name}`, (t) => {
    const reports = inUserSpace((u) => withDevices(u, 2, false, () => playScene(u, scene)));
    t.deepEqual(
      reports.map((r) => r.replace(/:\d+ .*/, "").replace(/ at /, " ")).map((r) => r.replace("CPU: ", "")),
      [...(scene.reports ?? [])],
    );
    t.deepEqual(results, [...scene.says, "0 locked"]);
    if (scene.calls) t.deepEqual(mapped(physical.calls), [...scene.calls]);
    if (scene.warns) t.deepEqual(warnings(), [...scene.warns]);
  });
