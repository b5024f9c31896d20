// SPDX-License-Identifier: GPL-2.0-only
/** vfio-pci as user space sees it: binding, opening, what a device says of itself, resets alone and together, power, and the way out. */
import test from "ava";
import { EAGAIN, EBADF, EBUSY, EFAULT, EINVAL, ENODEV, ENOSPC, ENOTTY, EPERM } from "#linux/errno.ts";
import { O_RDWR } from "#linux/fcntl.ts";
import { __pci_register_driver, pci_driver, pci_unregister_driver } from "#linux/pci.ts";
import { initialise, type Sleeps } from "#linux/types.ts";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import type { function_model } from "../../kernel/arch/x86/pci_function.ts";
import { pci_hw, type pci_plan } from "../../kernel/arch/x86/pci_host.ts";
import { pci_models } from "../../kernel/arch/x86/pci_models.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { make_it_fail, set_fail_nth, fault_injections } from "../../kernel/lib/fault-inject.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { eventfdFor, type Opened } from "../helpers/ccw.ts";
import {
  BUS3,
  closeAll,
  DEVICE_FEATURE,
  deviceOf,
  EDU,
  GET_INFO,
  GET_IRQ_INFO,
  GET_REGION_INFO,
  give,
  hotReset,
  hotResetInfo,
  MACHINE,
  NIC,
  opening,
  place,
  removeDevice,
  RESET,
  takeBack,
  withBound,
  words,
} from "../helpers/pci.ts";
import {
  bind,
  type BusDevice,
  driverOf,
  loadModules,
  open,
  override,
  pciDevice,
  sysDevice,
  unbind,
  unloadModules,
} from "../helpers/vfio-bus.ts";

import "#linux/device.ts";
import "../../drivers/iommu/intel/iommu.ts";
import "../../drivers/pci/pci-sysfs.ts";
import "../../kernel/arch/x86/pci.ts";
import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/virqfd.ts";
import "../../drivers/vfio/pci/vfio_pci_core.ts";
import "../../drivers/vfio/pci/vfio_pci.ts";

const results: unknown[] = [];
const say = (x: unknown): void => void results.push(x);

/** Runs the program on a machine of its own. @return titles of what the checkers said, leaks included */
function inUserSpace(body: program, pci: readonly pci_plan[] = MACHINE.pci, others: readonly program[] = []): string[] {
  results.splice(0);
  boot({ arch: "x86_64", pci, stacks: false });
  run_user("init", body);
  others.forEach((other, i) => run_user(`other${i}`, other));
  const outcome = run();
  if (outcome !== "done") throw new Error([outcome, ...found().map((r) => r.text)].join("\n"));
  kmemleak_scan();
  return found().map((r) => r.title);
}
/** What the driver and its core said since the modules were loaded, without the devices being found. */
const said = (): string[] =>
  log()
    .map((l) => l.text)
    .filter((text) => /^(vfio|stub)/.test(text));

/** @devices are bound while @body runs. */
const bound = (devices: readonly BusDevice[], body: (u: user_process) => Sleeps): program =>
  function* (u) {
    yield* withBound(u, devices, () => body(u));
  };
/** The device is bound and open. */
const opened = (d: BusDevice, body: (u: user_process, o: Opened) => Sleeps): program =>
  bound([d], (u) => opening(u, d, (o) => body(u, o)));
/** Several devices are bound, the first is open. */
const opened3 = (body: (u: user_process, o: Opened) => Sleeps): program =>
  bound(BUS3, (u) => opening(u, BUS3[0]!, (o) => body(u, o)));

// Binding

interface BindCase {
  readonly title: string;
  readonly body: (u: user_process) => Sleeps;
  readonly gives: readonly unknown[];
  readonly says?: readonly string[];
  readonly args?: string;
  readonly pci?: readonly pci_plan[];
}
const MODEL_QAT: function_model = { ...pci_models.edu, vendor: 0x8086, device: 0x37c8 };
const QAT = pciDevice("0000:00:04.0");
const QAT_MACHINE: readonly pci_plan[] = [...MACHINE.pci, { slot: 4, device: MODEL_QAT }];

const BINDS: readonly BindCase[] = [
  {
    title: "without an override nothing matches",
    *body(u) {
      say(yield* u.sysfs_write("/sys/bus/pci/drivers/vfio-pci/bind", EDU.name));
      say(yield* u.sysfs_write("/sys/bus/pci/drivers_probe", EDU.name));
      say(yield* driverOf(u, EDU));
    },
    gives: [-ENODEV, 12, ""],
  },
  {
    title: "driver_override and a probe; bind again is refused",
    *body(u) {
      say(yield* give(u, EDU));
      say(yield* driverOf(u, EDU));
      say(yield* bind(u, EDU));
      say(yield* takeBack(u, EDU));
      say(yield* driverOf(u, EDU));
    },
    gives: [12, "vfio-pci", -EBUSY, 12, ""],
  },
  {
    title: "new_id binds all of that kind at once",
    *body(u) {
      say(yield* u.sysfs_write("/sys/bus/pci/drivers/vfio-pci/new_id", "1234 11e8"));
      say(yield* driverOf(u, EDU));
      say(yield* driverOf(u, BUS3[0]!));
      say(yield* u.sysfs_write("/sys/bus/pci/drivers/vfio-pci/remove_id", "1234 11e8"));
      say(yield* unbind(u, EDU));
      say(yield* u.sysfs_write("/sys/bus/pci/drivers/vfio-pci/bind", EDU.name));
    },
    gives: [9, "vfio-pci", "vfio-pci", 9, 12, -ENODEV],
  },
  {
    title: "ids= at load",
    args: "ids=1234:11e8,,8086:10d3:ffffffff:ffffffff:020000:ffff00,zz",
    *body(u) {
      say(yield* driverOf(u, EDU));
      say(yield* driverOf(u, NIC));
      say(yield* u.exists("/sys/module/vfio_pci/parameters/ids"));
      say((yield* u.sysfs_read("/sys/module/vfio_pci/parameters/disable_denylist")).text);
    },
    gives: ["vfio-pci", "vfio-pci", false, "N\n"],
    says: [
      "vfio_pci: add [1234:11e8[ffffffff:ffffffff]] class 0x000000/00000000",
      "vfio_pci: add [8086:10d3[ffffffff:ffffffff]] class 0x020000/00ffff00",
      'vfio_pci: invalid id string "zz"',
    ],
  },
  {
    title: "a bridge is none of its business",
    *body(u) {
      const port = pciDevice("0000:00:07.0");
      yield* override(u, port);
      say(yield* bind(u, port));
    },
    gives: [-EINVAL],
    says: [`vfio-pci: probe of 0000:00:07.0 failed with error -${EINVAL}`],
  },
  {
    title: "the denylist",
    pci: QAT_MACHINE,
    *body(u) {
      say(yield* bind(u, QAT));
    },
    gives: [-EINVAL],
    says: [
      "vfio-pci 0000:00:04.0: 8086:37c8 exists in vfio-pci device denylist, driver probing disallowed.",
      `vfio-pci: probe of 0000:00:04.0 failed with error -${EINVAL}`,
    ],
  },
  {
    title: "the denylist, disabled",
    pci: QAT_MACHINE,
    args: "disable_denylist=1",
    *body(u) {
      say(yield* bind(u, QAT));
      yield* takeBack(u, QAT);
    },
    gives: [12],
    says: [
      "vfio_pci: device denylist disabled.",
      "vfio-pci 0000:00:04.0: device denylist disabled - allowing device 8086:37c8.",
    ],
  },
];
for (const { title, body, gives, says = [], args = "", pci } of BINDS)
  test(`bind: ${title}`, (t) => {
    const reports = inUserSpace(function* (u) {
      for (const name of EDU.modules) yield* u.finit_module(name, name === "vfio_pci" ? args : "");
      yield* body(u);
      yield* unloadModules(u, EDU);
    }, pci);
    t.deepEqual(reports, []);
    t.deepEqual(results, gives);
    t.deepEqual(said(), says);
  });

test("a wrong parameter keeps the module out", (t) => {
  inUserSpace(function* (u) {
    for (const name of EDU.modules.slice(0, -1)) yield* u.finit_module(name);
    say(yield* u.finit_module("vfio_pci", "nointxmask=maybe"));
    say(yield* u.finit_module("vfio_pci", "nosuch=1 disable-idle-d3"));
    say((yield* u.sysfs_read("/sys/module/vfio_pci/parameters/disable_idle_d3")).text);
  });
  t.deepEqual(results, [-EINVAL, 0, "Y\n"]);
  t.deepEqual(said(), [
    "vfio_pci: `maybe' invalid for parameter `nointxmask'",
    "vfio_pci: unknown parameter 'nosuch' ignored",
  ]);
});

// What a device says of itself

interface Face {
  readonly d: BusDevice;
  readonly flags: number;
  /** Bytes of the regions; those of memory can be mapped from a page on. */
  readonly sizes: readonly number[];
  /** Interrupts by index; null: -EINVAL. */
  readonly irqs: readonly (number | null)[];
}
const FACES: readonly Face[] = [
  { d: EDU, flags: 2, sizes: [0x100000, 0, 0, 0, 0, 0, 0, 256], irqs: [1, 1, 0, null, 1] },
  { d: NIC, flags: 3, sizes: [0x20000, 0x20000, 32, 0x4000, 0, 0, 0, 4096], irqs: [1, 1, 5, 1, 1] },
  { d: BUS3[1]!, flags: 2, sizes: [4096, 256, 0, 0, 0, 0, 0, 256], irqs: [0, 0, 0, null, 1] },
];
for (const { d, flags, sizes, irqs } of FACES)
  test(`info, regions and interrupts of ${d.name}`, (t) => {
    const reports = inUserSpace(
      bound(d === BUS3[1] ? BUS3 : [d], (u) =>
        opening(u, d, function* ({ device }) {
          t.deepEqual(yield* words(u, device, GET_INFO, [20, 0, 0, 0, 9]), { ret: 0, words: [20, flags, 9, 5, 0] });
          t.is((yield* words(u, device, GET_INFO, [15])).ret, -EINVAL);
          for (const [i, size] of sizes.entries()) {
            const r = yield* words(u, device, GET_REGION_INFO, [32, 0, i, 0, 0, 0, 0, 0]);
            t.is(r.ret, 0);
            t.deepEqual([r.words[4], r.words[5], r.words[6], r.words[7]], [size, 0, 0, i << 8], `region ${i}`);
          }
          t.is((yield* words(u, device, GET_REGION_INFO, [32, 0, 8])).ret, -EINVAL);
          t.is((yield* words(u, device, GET_REGION_INFO, [32, 0, 9])).ret, -EINVAL);
          t.is((yield* words(u, device, GET_REGION_INFO, [31, 0, 0])).ret, -EINVAL);
          for (const [i, count] of irqs.entries()) {
            const r = yield* words(u, device, GET_IRQ_INFO, [16, 0, i, 0]);
            if (count === null) t.is(r.ret, -EINVAL);
            else t.deepEqual(r, { ret: 0, words: [16, i === 0 ? 7 : 9, i, count] });
          }
          t.is((yield* words(u, device, GET_IRQ_INFO, [16, 0, 5, 0])).ret, -EINVAL);
          t.is(yield* u.ioctl(device, GET_INFO, 1n), -EFAULT);
          t.is(yield* u.ioctl(device, 0x3bff), -ENOTTY);
        }),
      ),
    );
    t.deepEqual(reports, []);
  });

test("the BAR with the MSI-X table says that it can be mapped", (t) => {
  const reports = inUserSpace(
    opened(NIC, function* (u, { device }) {
      const small = yield* words(u, device, GET_REGION_INFO, [32, 0, 3, 0, 0, 0, 0, 0]);
      t.deepEqual(small.words.slice(0, 4), [40, 15, 3, 0]);
      const whole = yield* words(u, device, GET_REGION_INFO, [40, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
      t.deepEqual(whole.words, [40, 15, 3, 32, 0x4000, 0, 0, 0x300, 0x00010003, 0]);
    }),
  );
  t.deepEqual(reports, []);
});

test("the rest of the page of a small BAR is reserved while the device is open", (t) => {
  const SMALL: function_model = { ...pci_models.edu, bars: [{ n: 0, size: 0x100, kind: "mem32" }] };
  const reports = inUserSpace(
    opened(QAT, function* (u, { device }) {
      const r = yield* words(u, device, GET_REGION_INFO, [32, 0, 0, 0, 0, 0, 0, 0]);
      t.deepEqual(r.words.slice(0, 6), [32, 7, 0, 0, 0x100, 0]);
    }),
    [
      { slot: 0, device: "host-bridge" },
      { slot: 4, device: SMALL },
    ],
  );
  t.deepEqual(reports, []);
});

test("configuration space: capabilities that are not passed on are named", (t) => {
  const ODD: function_model = {
    ...pci_models.edu,
    capabilities: [
      { id: 0x0d, at: 0x40, bytes: [0, 0, 0, 0] },
      { id: 0x09, at: 0x44, bytes: [0, 0, 8, 0, 0, 0, 0, 0] },
      { id: 0x01, at: 0x48, bytes: [0, 0, 3, 0, 0, 0, 0, 0], writable: [0, 0, 0, 0, 3, 0] },
    ],
  };
  inUserSpace(
    opened(QAT, function* () {}),
    [
      { slot: 0, device: "host-bridge" },
      { slot: 4, device: ODD },
    ],
  );
  t.deepEqual(said(), [
    "vfio-pci 0000:00:04.0: vfio_cap_init: hiding cap 0xd@0x40",
    ...[0x48, 0x49, 0x4a, 0x4b].map(
      (at) =>
        `vfio-pci 0000:00:04.0: vfio_cap_init: PCI config conflict @0x${at.toString(16)}, was cap 0x9 now cap 0x1`,
    ),
  ]);
});

test("names: a token where there is none to give", (t) => {
  const uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
  inUserSpace(
    opened(EDU, function* (u, { group }) {
      for (const name of [
        EDU.name,
        `${EDU.name} `,
        `${EDU.name}x`,
        `${EDU.name} x`,
        `${EDU.name} vf_token=${uuid}`,
        `${EDU.name} vf_token=${uuid.slice(1)}`,
        `${EDU.name} vf_token=${uuid.replace("8", "g")}`,
        `${EDU.name} vf_token=${uuid} vf_token=${uuid}`,
        "0000:00:06.0",
      ]) {
        const fd = yield* deviceOf(u, group, name);
        say(Math.min(fd, 0));
        if (fd >= 0) yield* u.close(fd);
      }
    }),
  );
  t.deepEqual(results, [0, 0, -ENODEV, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -ENODEV]);
  t.deepEqual(said(), ["vfio-pci 0000:00:05.0: VF token incorrectly provided, not a PF or VF"]);
});

// Resets

test("a reset of one device", (t) => {
  const reports = inUserSpace(
    bound([EDU, NIC], function* (u) {
      yield* opening(u, EDU, function* ({ device }) {
        say(yield* u.ioctl(device, RESET));
      });
      yield* u.sleep_ms(100);
      say(pci_hw.func("01:00.0")?.resets);
      yield* opening(u, NIC, function* ({ device }) {
        // Opening is one, and before that it came from D3hot.
        say(pci_hw.func("01:00.0")?.resets);
        say(yield* u.ioctl(device, RESET));
        say(pci_hw.func("01:00.0")?.resets);
      });
      say(pci_hw.func("01:00.0")?.read(0x10, 4));
    }),
  );
  t.deepEqual(reports, []);
  const [edu, before, open1, reset, after, bar] = results as number[];
  t.deepEqual([edu, reset], [-EINVAL, 0]);
  t.is(open1, before! + 2);
  t.is(after, open1! + 1);
  t.is(bar, 0xc0200000);
});

test("hot reset: which devices, and what is refused", (t) => {
  const reports = inUserSpace(
    opened3(function* (u, { device, group, container }) {
      const info = yield* hotResetInfo(u, device);
      const [first = ""] = info.devices;
      const number = first.split(" ")[0] ?? "";
      t.deepEqual(info, { ret: 0, count: 3, devices: ["03:01.0", "03:02.0", "03:03.0"].map((a) => `${number} ${a}`) });
      const small = yield* hotResetInfo(u, device, 2);
      t.deepEqual([small.ret, small.count], [-ENOSPC, 3]);
      t.is((yield* words(u, device, 0x3b64 + 12, [11, 0, 0])).ret, -EINVAL);
      t.is(yield* hotReset(u, device, []), -EINVAL);
      t.is(yield* hotReset(u, device, [group], 1), -EINVAL);
      t.is(yield* hotReset(u, device, [group, group, group, group]), -EINVAL);
      t.is(yield* hotReset(u, device, [container]), -EINVAL);
      t.is(yield* hotReset(u, device, [99]), -EBADF);
      t.is(yield* hotReset(u, device, [group, 99]), -EBADF);
      const before = BUS3.map((d) => pci_hw.func(place(d))!.resets);
      t.is(yield* hotReset(u, device, [group]), 0);
      t.deepEqual(
        BUS3.map((d) => pci_hw.func(place(d))!.resets),
        before.map((n) => n + 1),
      );
      t.is(pci_hw.func("03:01.0")?.read(0x10, 4), 0xc0400000);
    }),
  );
  t.deepEqual(reports, []);
});

test("hot reset: not on a root bus, and not with a device that is not in the set", (t) => {
  const reports = inUserSpace(
    bound([EDU, ...BUS3.slice(0, 2)], function* (u) {
      yield* opening(u, EDU, function* ({ device, group }) {
        say((yield* hotResetInfo(u, device)).ret);
        say(yield* hotReset(u, device, [group]));
      });
      yield* opening(u, BUS3[0]!, function* ({ device, group }) {
        say((yield* hotResetInfo(u, device)).count);
        say(yield* hotReset(u, device, [group]));
      });
    }),
  );
  t.deepEqual(reports, []);
  t.deepEqual(results, [-ENODEV, -ENODEV, 3, -EINVAL]);
});

test("the last one who closes has the bus reset, if all on it belong to vfio-pci", (t) => {
  for (const devices of [BUS3, BUS3.slice(0, 2)]) {
    const reports = inUserSpace(
      bound(devices, function* (u) {
        const resets = (): number => pci_hw.func("03:02.0")!.resets;
        const o = yield* open(u, BUS3[0]!);
        const second = yield* deviceOf(u, o.group, BUS3[1]!.name);
        say(resets());
        yield* u.close(second);
        say(resets());
        yield* closeAll(u, o);
        say(resets());
      }),
    );
    t.deepEqual(reports, []);
    t.deepEqual(results, devices.length === 3 ? [0, 0, 1] : [0, 0, 0]);
  }
});

// Groups

interface Foreign {
  readonly managed: boolean;
  /** Of SET_CONTAINER. */
  readonly open: number;
  /** Of a bind while the group is open. */
  readonly bindLater: number;
}
const FOREIGN: readonly Foreign[] = [
  { managed: false, open: -EPERM, bindLater: -EBUSY },
  { managed: true, open: 0, bindLater: 11 },
];
for (const { managed, open: expected, bindLater } of FOREIGN)
  test(`a group with a device of another driver, which ${managed ? "does no" : "does"} DMA`, (t) => {
    const stub = (): pci_driver =>
      initialise(new pci_driver(), { name: "stub", probe: () => 0, remove: () => {}, driver_managed_dma: managed });
    const other: BusDevice = { ...BUS3[1]!, driver: "stub" };
    const reports = inUserSpace(
      bound([BUS3[0]!], function* (u) {
        const drv = stub();
        yield* u.syscall(() => __pci_register_driver(drv, null, "stub"));
        yield* give(u, other);
        const link = (yield* u.readlink(`${sysDevice(other)}/iommu_group`)).text;
        const container = yield* u.open("/dev/vfio/vfio", O_RDWR);
        const group = yield* u.open(`/dev/vfio/${link.slice(link.lastIndexOf("/") + 1)}`, O_RDWR);
        const arg = yield* u.alloc(4096);
        u.poke_u32(arg, container);
        t.is(yield* u.ioctl(group, 0x3b64 + 4, arg), expected);
        yield* u.close(group);
        yield* u.close(container);
        yield* unbind(u, other);
        yield* opening(u, BUS3[0]!, function* ({ device }) {
          t.true(device >= 0);
          t.is(Math.min(yield* u.sysfs_write("/sys/bus/pci/drivers/stub/bind", other.name), 11), bindLater);
        });
        yield* u.syscall(function* () {
          yield* pci_unregister_driver(drv);
          return 0;
        });
      }),
    );
    t.deepEqual(reports, []);
  });

// Power

const power = function* (u: user_process, d: BusDevice): Sleeps {
  say(
    `${(yield* u.sysfs_read(`${sysDevice(d)}/power/runtime_status`)).text.trim()} ${(yield* u.sysfs_read(`${sysDevice(d)}/power_state`)).text.trim()}`,
  );
};
for (const [args, idle] of [
  ["", "suspended D3hot"],
  ["disable_idle_d3=1", "active D0"],
] as const)
  test(`a device that nobody uses: ${idle}${args && ", with " + args}`, (t) => {
    const reports = inUserSpace(function* (u) {
      for (const name of EDU.modules) yield* u.finit_module(name, name === "vfio_pci" ? args : "");
      yield* give(u, NIC);
      yield* u.sleep_ms(100);
      yield* power(u, NIC);
      yield* opening(u, NIC, function* () {
        yield* power(u, NIC);
      });
      yield* u.sleep_ms(100);
      yield* power(u, NIC);
      yield* takeBack(u, NIC);
      yield* power(u, NIC);
      yield* unloadModules(u, EDU);
    });
    t.deepEqual(reports, []);
    t.deepEqual(results, [idle, "active D0", idle, "active unknown"]);
  });

const FEATURE_SET = 1 << 17;
test("low power: entered, left, and left by being woken", (t) => {
  const reports = inUserSpace(
    opened(NIC, function* (u, { device }) {
      const feature = function* (which: number, more: readonly number[] = [], size = 8 + 4 * more.length): Sleeps {
        say((yield* words(u, device, DEVICE_FEATURE, [size, which | FEATURE_SET, ...more])).ret);
      };
      yield* feature(3);
      yield* u.sleep_ms(100);
      yield* power(u, NIC);
      yield* feature(3);
      yield* feature(5);
      yield* u.sleep_ms(100);
      yield* power(u, NIC);
      yield* feature(4, [99, 0]);
      yield* feature(4, [-1, 0]);
      yield* feature(4);
      const efd = yield* u.eventfd(0, 0o4000);
      yield* feature(4, [efd, 0]);
      yield* u.sleep_ms(100);
      yield* power(u, NIC);
      // Any ioctl wakes it, and that is the end of low power.
      say((yield* words(u, device, GET_INFO, [16, 0, 0, 0])).ret);
      const buf = yield* u.alloc(4096);
      say(yield* u.read(efd, buf, 8));
      yield* u.sleep_ms(100);
      yield* power(u, NIC);
      // And with nothing but its own count left, closing has to wake it.
      yield* feature(3);
      yield* u.close(efd);
    }),
  );
  t.deepEqual(reports, []);
  t.deepEqual(results, [
    0,
    "suspended D3hot",
    -EINVAL,
    0,
    "active D0",
    -EBADF,
    -EINVAL,
    -EINVAL,
    0,
    "suspended D3hot",
    0,
    8,
    "active D0",
    0,
  ]);
});

// The way out

interface Away {
  readonly title: string;
  readonly away: (u: user_process) => Sleeps<number>;
  readonly there: boolean;
}
const AWAYS: readonly Away[] = [
  { title: "unbind", away: (u) => unbind(u, EDU), there: true },
  { title: "remove", away: (u) => removeDevice(u, EDU), there: false },
  {
    title: "remove what has been pulled out",
    *away(u) {
      pci_hw.pull(place(EDU));
      return yield* removeDevice(u, EDU);
    },
    there: false,
  },
];
for (const { title, away, there } of AWAYS)
  for (const asked of [false, true])
    test(`${title} while it is open, ${asked ? "with" : "without"} an eventfd for the request`, (t) => {
      let at = 0;
      const body = bound([EDU], function* (u) {
        const o = yield* open(u, EDU);
        const efd = asked ? yield* eventfdFor(u, o.device, 4) : -1;
        yield* u.sleep_ms(25_000);
        say(at);
        if (asked) {
          const buf = yield* u.alloc(4096);
          yield* u.read(efd, buf, 8);
          say(u.peek_u64(buf));
          yield* u.close(efd);
        }
        yield* closeAll(u, o);
        yield* u.sleep_ms(1000);
        say(yield* u.exists(sysDevice(EDU)));
      });
      const reports = inUserSpace(body, MACHINE.pci, [
        function* (u) {
          yield* u.sleep_ms(1000);
          at = yield* away(u);
        },
      ]);
      t.deepEqual(reports, []);
      // It has not come back before the device is closed; it asks at once and every ten seconds.
      t.deepEqual(results, asked ? [0, 3n, there] : [0, there]);
      t.true(at > 0);
      t.deepEqual(said(), [
        asked
          ? "vfio-pci 0000:00:05.0: Relaying device request to user (#0)"
          : "vfio-pci 0000:00:05.0: No device request channel registered, blocked until released by user",
      ]);
    });

test("the group goes with the last device; a module with a user stays", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* loadModules(u, EDU);
    yield* give(u, EDU);
    const o = yield* open(u, EDU);
    say(yield* u.delete_module("vfio_pci"));
    yield* closeAll(u, o);
    const number = (yield* u.readlink(`${sysDevice(EDU)}/iommu_group`)).text.split("/").at(-1) ?? "";
    say(yield* u.exists(`/dev/vfio/${number}`));
    yield* takeBack(u, EDU);
    say(yield* u.exists(`/dev/vfio/${number}`));
    say(yield* unloadModules(u, EDU));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [-EAGAIN, true, false, 0]);
});

test("reboot with the device open", (t) => {
  boot({ arch: "x86_64", pci: MACHINE.pci, stacks: false });
  run_user(
    "init",
    opened(EDU, function* (u) {
      yield* u.reboot(0x01234567);
    }),
  );
  t.is(run(), "done");
  t.deepEqual(
    found().map((r) => r.title),
    [],
  );
});

// No memory

/** What may be said when an allocation fails, by the function that asked for it: each is the C code's, and stands in findings.md. */
const EXPLAINED: readonly (readonly [place: RegExp, title: RegExp])[] = [
  [/./, /^WARNING: vfio_group_release/],
  [/^alloc_perm_bits/, /^BUG: KASAN: (use-after-free in free_perm_bits|double-free in kfree)/],
  [/^domain_attach_iommu/, /^WARNING: (__iommu_group_set_core_domain|iommu_group_release_dma_owner)/],
];

/** A group that does not come back to its default domain has no DMA to own: again the C code's. */
const STUCK = /^domain_attach_iommu/;

test("bind and open without memory, each allocation failing in turn", (t) => {
  const wrong: string[] = [];
  const titles = new Set<string>();
  let nth = 1;
  for (; nth < 1000; nth++) {
    const reports = inUserSpace(function* (u) {
      yield* loadModules(u, EDU);
      make_it_fail(u.task);
      set_fail_nth(nth);
      yield* give(u, EDU);
      yield* opening(u, EDU, function* () {});
      make_it_fail(u.task, false);
      yield* give(u, EDU);
      yield* opening(u, EDU, function* () {});
      // The node of the group may still be missing: device_add() goes on without it, so bind once more.
      yield* takeBack(u, EDU);
      yield* give(u, EDU);
      yield* opening(u, EDU, function* ({ device }) {
        say(device >= 0);
      });
      yield* takeBack(u, EDU);
      yield* unloadModules(u, EDU);
    });
    const fault = fault_injections()[0]?.place;
    if (fault === undefined) break;
    if (results[0] !== true && !STUCK.test(fault)) wrong.push(`${fault}: cannot be opened afterwards`);
    for (const title of reports) {
      if (EXPLAINED.some(([p, r]) => p.test(fault) && r.test(title))) titles.add(title.replace(/ \[.*/, ""));
      else wrong.push(`${fault}: ${title}`);
    }
  }
  t.true(nth > 50);
  t.deepEqual(wrong, []);
  t.true(titles.has("BUG: KASAN: double-free in kfree"));
});
