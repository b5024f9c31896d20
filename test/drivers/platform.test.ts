// SPDX-License-Identifier: GPL-2.0-only
/** The platform and AMBA buses, and VFIO for their devices. */
import test from "ava";
import { device_shutdown } from "#linux/device.ts";
import { EBUSY, EFAULT, EINVAL, EIO, ENODEV, ENOENT, ENOTTY, ENXIO } from "#linux/errno.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { IORESOURCE_IRQ, IORESOURCE_MEM, resource } from "#linux/ioport.ts";
import {
  __platform_create_bundle,
  __platform_register_drivers,
  type platform_device,
  platform_device_register_full,
  platform_device_unregister,
  platform_driver,
  platform_driver_register,
  platform_driver_unregister,
  platform_get_irq,
  platform_get_irq_byname,
  platform_get_irq_optional,
  platform_get_mem_or_io,
  platform_get_resource,
  platform_get_resource_byname,
  platform_irq_count,
  platform_unregister_drivers,
} from "#linux/platform_device.ts";
import { embed, initialise, sizeof, type Sleeps, type Spins, struct, struct_array, u32 } from "#linux/types.ts";
import * as uapi from "#uapi/linux/vfio.ts";
import { configure_device_tree, HIGHBANK } from "../../kernel/arch/arm64/device_tree.ts";
import { mmio_registers } from "../../kernel/arch/arm64/mmio_registers.ts";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import {
  disable_irq,
  enable_irq,
  free_irq,
  IRQ_HANDLED,
  irq_alloc_desc,
  irq_line,
  irq_to_desc,
  IRQF_NO_AUTOEN,
  request_irq,
} from "../../kernel/irq/manage.ts";
import { fault_injections, make_it_fail, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { close } from "../helpers/ccw.ts";
import {
  bind,
  type BusDevice,
  DEMO,
  driverOf,
  loadModules,
  open,
  override,
  PL330,
  sysDevice,
  unbind,
  unloadModules,
  XGMAC,
} from "../helpers/vfio-bus.ts";
import { resets } from "../modules/vfio_reset_pl330.ts";

// Of another machine: it has to keep still.
import "../../drivers/iommu/intel/iommu.ts";
import "../../kernel/arch/arm64/setup.ts";
import "../../drivers/amba/bus.ts";
import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/virqfd.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/platform/vfio_platform.ts";
import "../../drivers/vfio/platform/vfio_amba.ts";
import "../../drivers/vfio/platform/reset/vfio_platform_calxedaxgmac.ts";

const seen: unknown[] = [];
const say = (...x: unknown[]): void => void seen.push(...x);
const messages = (): string[] =>
  log()
    .filter((l) => l.level <= 4)
    .map((l) => l.text);
const warnings = (): string[] => messages().filter((m) => !m.startsWith("Call Trace"));

/** Runs a task of the kernel on a machine of its own. @return titles of what the checkers said */
function inKernel(body: () => Sleeps): string[] {
  seen.splice(0);
  boot({ arch: "arm64", stacks: false });
  spawn("kernel", body());
  run();
  kmemleak_scan();
  return found().map((r) => r.title);
}
function inUserSpace(body: (u: user_process) => Sleeps): string[] {
  seen.splice(0);
  resets.fail = false;
  resets.count = 0;
  boot({ arch: "arm64", stacks: false });
  run_user("init", body);
  run();
  kmemleak_scan();
  return found().map((r) => r.title);
}

// The bus

function resources(...plan: readonly (readonly [number, bigint, bigint, string?])[]): struct_array<resource> {
  const made = new struct_array<resource>(
    plan.length,
    embed(() => resource),
  );
  for (const [i, [flags, start, end, name]] of plan.entries())
    initialise(made.at(i), { flags, start, end, name: name ?? null });
  return made;
}
function* addDevice(name: string, id: number, res: struct_array<resource> | null = null): Sleeps<platform_device> {
  return yield* platform_device_register_full({ name, id, res, num_res: res?.length ?? 0 });
}
function driver(name: string, more: Partial<platform_driver> = {}): platform_driver {
  const drv = new platform_driver();
  const note = (what: string) => (pdev: platform_device) => {
    say(`${what} ${pdev.dev.kobj.name}`);
    return 0;
  };
  Object.assign(drv, { probe: note("probe"), remove: note("remove"), ...more });
  drv.driver.name = name;
  return drv;
}

const MATCHES: readonly {
  readonly what: string;
  readonly device: string;
  readonly override?: string;
  readonly driver: string;
  readonly ids?: readonly string[];
  readonly matches: boolean;
}[] = [
  { what: "its name", device: "toy", driver: "toy", matches: true },
  { what: "another name", device: "toy", driver: "ball", matches: false },
  { what: "the table", device: "toy", driver: "ball", ids: ["doll", "toy"], matches: true },
  { what: "a table that it is not in, whatever the name", device: "toy", driver: "toy", ids: ["doll"], matches: false },
  { what: "a table that ends before it", device: "toy", driver: "toy", ids: ["", "toy"], matches: false },
  { what: "the override", device: "toy", override: "ball", driver: "ball", matches: true },
  { what: "another override", device: "toy", override: "doll", driver: "toy", matches: false },
  { what: "the override before the table", device: "toy", override: "ball", driver: "ball", ids: ["x"], matches: true },
];
for (const { what, device, override: wanted, driver: name, ids, matches } of MATCHES)
  test.serial(`the platform bus matches by ${what}`, (t) => {
    const reports = inKernel(function* () {
      const pdev = yield* addDevice(device, -1);
      if (wanted !== undefined) pdev.driver_override = wanted;
      const drv = driver(name, { id_table: ids?.map((n) => ({ name: n })) ?? null });
      say(yield* platform_driver_register(drv, null));
      yield* platform_driver_unregister(drv);
      yield* platform_device_unregister(pdev);
    });
    t.deepEqual(seen, matches ? [0, `probe ${device}`, `remove ${device}`].toSorted(order) : [0]);
    t.deepEqual(reports, []);
  });
/** The probe comes before the registration returns. */
function order(a: unknown, b: unknown): number {
  const rank = (x: unknown): number => (x === 0 ? 1 : String(x).startsWith("probe") ? 0 : 2);
  return rank(a) - rank(b);
}

function* namesAndAddresses(): Sleeps {
  const mem = (start: bigint, end: bigint) => resources([IORESOURCE_MEM, start, end]);
  const first = yield* addDevice("toy", 3, mem(0x1000n, 0x1fffn));
  const second = yield* addDevice("toy", -2);
  const third = yield* addDevice("toy", -2);
  say(first.dev.kobj.name, second.dev.kobj.name, third.dev.kobj.name);
  const overlapping = yield* addDevice("toy", 4, mem(0x1800n, 0x27ffn));
  say(IS_ERR(overlapping) && PTR_ERR(overlapping));
  const same = yield* addDevice("toy", 3);
  say(IS_ERR(same) && PTR_ERR(same));
  yield* platform_device_unregister(first);
  const now = yield* addDevice("toy", 4, mem(0x1800n, 0x27ffn));
  say(now.dev.kobj.name);
  yield* platform_device_unregister(second);
  const again = yield* addDevice("toy", -2);
  say(again.dev.kobj.name);
  for (const d of [third, now, again]) yield* platform_device_unregister(d);
}
test.serial("names are given out, addresses are claimed, and both are given back", (t) => {
  const reports = inKernel(namesAndAddresses);
  t.deepEqual(seen, ["toy.3", "toy.0.auto", "toy.1.auto", -EBUSY, -17, "toy.4", "toy.0.auto"]);
  t.true(warnings().includes("platform toy.4: failed to claim resource 0: [mem 0x00001800-0x000027ff]"));
  t.deepEqual(reports, ["sysfs: cannot create duplicate filename '/devices/platform/toy.3'"]);
});

function* lookUp(): Sleeps {
  const res = resources(
    [IORESOURCE_MEM, 0x1000n, 0x1fffn, "regs"],
    [IORESOURCE_IRQ, 5n, 5n, "rx"],
    [IORESOURCE_MEM, 0x3000n, 0x3fffn],
    [IORESOURCE_IRQ, 0n, 0n, "none"],
  );
  const pdev = yield* addDevice("toy", -1, res);
  say(platform_get_resource(pdev, IORESOURCE_MEM, 1)?.start, platform_get_resource(pdev, IORESOURCE_MEM, 2));
  say(platform_get_mem_or_io(pdev, 0)?.name, platform_get_resource_byname(pdev, IORESOURCE_MEM, "regs")?.end);
  say(platform_get_irq_optional(pdev, 0), platform_get_irq_optional(pdev, 1), platform_get_irq(pdev, 2));
  say(platform_get_irq_byname(pdev, "rx"), platform_get_irq_byname(pdev, "tx"), platform_irq_count(pdev));
  yield* platform_device_unregister(pdev);
}
test.serial("resources and interrupts are looked up by number and by name", (t) => {
  const reports = inKernel(lookUp);
  t.deepEqual(seen, [0x3000n, null, "regs", 0x1fffn, 5, -EINVAL, -ENXIO, 5, -ENXIO, 1]);
  t.deepEqual(reports.length, 2, "0 is an invalid IRQ number, once for each that asked");
  t.true(warnings().includes("platform toy: error -6: IRQ index 2 not found"));
});

function* driversLife(): Sleeps {
  const pdev = yield* addDevice("toy", -1);
  const drv = driver("toy", {
    shutdown: () => say("shutdown"),
    remove: () => -EIO,
  });
  yield* platform_driver_register(drv, null);
  yield* device_shutdown();
  yield* platform_driver_unregister(drv);
  const picky = driver("toy", { probe: () => -ENODEV });
  say(yield* platform_driver_register(picky, null), pdev.dev.driver);
  yield* platform_driver_unregister(picky);
  yield* platform_device_unregister(pdev);
}
test.serial(
  "a driver is told of shutdown; what its remove() says does not matter; one that refuses is registered all the same",
  (t) => {
    const reports = inKernel(driversLife);
    t.deepEqual(seen, ["probe toy", "shutdown", 0, null]);
    t.true(warnings().includes("toy toy: remove callback returned a non-zero value. This will be ignored."));
    t.deepEqual(reports, []);
  },
);

class toy_data extends struct("toy_data", { answer: u32() }) {}
function* bundle(): Sleeps {
  const drv = driver("toy");
  const data = initialise(new toy_data(), { answer: 42 });
  const told = (pdev: platform_device): number => {
    say((pdev.dev.platform_data as toy_data).answer);
    return 0;
  };
  const made = yield* __platform_create_bundle(drv, told, null, 0, data, sizeof(toy_data), null);
  // Not for those that come later
  const late = yield* addDevice("toy", 7);
  say(late.dev.driver);
  yield* platform_device_unregister(late);
  yield* platform_device_unregister(made);
  yield* platform_driver_unregister(drv);
  const refused = yield* __platform_create_bundle(driver("toy"), () => -EIO, null, 0, null, 0, null);
  say(IS_ERR(refused) && PTR_ERR(refused));
  const several = ["a", "b", "a"].map((name) => driver(name));
  say(yield* __platform_register_drivers(several, null));
  yield* __platform_register_drivers(several.slice(0, 2), null);
  yield* platform_unregister_drivers(several.slice(0, 2));
}
test.serial("a driver with its one device, and several drivers at once: all or nothing", (t) => {
  const reports = inKernel(bundle);
  t.deepEqual(seen, [42, null, "remove toy", -ENODEV, -EBUSY]);
  t.deepEqual(reports, []);
});

/** An interrupt that is requested, turned on, off and on, and freed, under a chip that says what it is told. */
function* told(flags: number): Sleeps {
  const irq = irq_alloc_desc(2000);
  const tell = (what: string) =>
    function* (): Spins {
      yield* [];
      say(what);
    };
  const chip = {
    activate: tell("activate"),
    unmask: tell("unmask"),
    mask: tell("mask"),
    deactivate: tell("deactivate"),
  };
  irq_to_desc(irq)!.$chip = chip;
  const me = {};
  say(yield* request_irq(irq, () => IRQ_HANDLED, flags, "toy", me));
  if (flags & IRQF_NO_AUTOEN) yield* enable_irq(irq);
  say("on");
  // Lazily: it is masked if one comes.
  yield* disable_irq(irq);
  yield* enable_irq(irq);
  yield* free_irq(irq, me);
}
for (const [flags, first] of [
  [0, ["activate", "unmask", 0]],
  [IRQF_NO_AUTOEN, ["activate", 0, "unmask"]],
] as const)
  test.serial(`what a chip is told of an interrupt: flags ${flags.toString(16)}`, (t) => {
    t.deepEqual(
      inKernel(() => told(flags)),
      [],
    );
    t.deepEqual(seen, [...first, "on", "mask", "deactivate"]);
  });

function* files(u: user_process): Sleeps {
  for (const d of [XGMAC, PL330]) {
    const file = `${sysDevice(d)}/driver_override`;
    say((yield* u.sysfs_read(file)).text);
    say(yield* override(u, d, "somebody"), (yield* u.sysfs_read(file)).text);
    say(
      yield* u.sysfs_write(file, "x".repeat(4095)),
      yield* u.sysfs_write(file, "\n"),
      (yield* u.sysfs_read(file)).text,
    );
  }
  say((yield* u.sysfs_read(`${sysDevice(XGMAC)}/modalias`)).text, (yield* u.sysfs_read(`${sysDevice(PL330)}/id`)).text);
  say((yield* u.sysfs_read(`${sysDevice(PL330)}/resource`)).text);
  say((yield* u.ls(sysDevice(XGMAC))).names.includes("numa_node"));
}
test.serial("files of devices: driver_override, modalias, id, resource", (t) => {
  t.deepEqual(inUserSpace(files), []);
  const overrides = ["(null)\n", 9, "somebody\n", -EINVAL, 1, "(null)\n"];
  t.deepEqual(seen, [
    ...overrides,
    ...overrides,
    "of:NethernetT(null)Ccalxeda,hb-xgmac\n",
    "00041330\n",
    "\t00000000fff3d000\t00000000fff3dfff\t0000000000000200\n",
    false,
  ]);
});

test.serial("an AMBA device without an identity sends no uevent, and its drivers have to wait", (t) => {
  const silent = { name: "silent", properties: { compatible: "arm,primecell", reg: [0x20000000n, 0x1000n] } };
  const registers = new mmio_registers(0x1000);
  configure_device_tree([...HIGHBANK, { ...silent, models: () => [registers] }]);
  const d: BusDevice = { ...PL330, name: "20000000.silent" };
  const reports = inUserSpace(function* (u) {
    yield* u.modprobe("vfio_amba");
    say(yield* bind(u, d), (yield* u.sysfs_read(`${sysDevice(d)}/id`)).text);
    // It comes to itself: PL011, 4th revision
    for (const [i, byte] of [0x11, 0x10, 0x14, 0x00].entries()) registers.write(0xfe0 + 4 * i, 4, BigInt(byte));
    for (const [i, byte] of [0x0d, 0xf0, 0x05, 0xb1].entries()) registers.write(0xff0 + 4 * i, 4, BigInt(byte));
    say(yield* bind(u, d), (yield* u.sysfs_read(`${sysDevice(d)}/id`)).text);
  });
  configure_device_tree();
  // bind asks the bus, which says -EPROBE_DEFER, which is not 0, which counts as a match: the probe has the last word.
  t.deepEqual(seen, [-ENOENT, "00000000\n", -ENOENT, "00141011\n"]);
  t.deepEqual(reports, []);
});

// VFIO

const u32s = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
const words = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.slice().buffer)];

/** What user space learns of an open device. */
function* describe(u: user_process, fd: number): Sleeps {
  const info = words((yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_INFO, u32s(20, 0, 0, 0, 0))).bytes);
  const [, flags = 0, regions = 0, irqs = 0] = info;
  say(flags, regions, irqs);
  for (let i = 0; i <= regions; i++) {
    const arg = u32s(32, 0, i, 0, 0, 0, 0, 0);
    const { ret, bytes } = yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_REGION_INFO, arg);
    const [, region = 0, , , size] = words(bytes);
    say(ret || [region, size, words(bytes)[7]]);
  }
  for (let i = 0; i <= irqs; i++) {
    const { ret, bytes } = yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_IRQ_INFO, u32s(16, 0, i, 0));
    say(ret || words(bytes).filter((_, n) => n % 2 === 1));
  }
}
function* around(u: user_process, d: BusDevice, body: (fd: number) => Sleeps): Sleeps {
  say(yield* loadModules(u, d), yield* bind(u, d), yield* driverOf(u, d));
  const opened = yield* open(u, d);
  if (opened.device < 0) say(opened.device);
  else yield* body(opened.device);
  yield* close(u, opened);
  say(yield* unbind(u, d), yield* driverOf(u, d));
}
const bound = (d: BusDevice): unknown[] => [0, d.name.length, d.driver];
const unbound = (d: BusDevice): unknown[] => [d.name.length, ""];

const RWM = 7;
const AUTO = uapi.VFIO_IRQ_INFO_EVENTFD | uapi.VFIO_IRQ_INFO_MASKABLE | uapi.VFIO_IRQ_INFO_AUTOMASKED;
const RESET = uapi.VFIO_DEVICE_FLAGS_RESET;
const DEVICES: readonly { readonly d: BusDevice; readonly told: readonly unknown[]; readonly refs: RegExp }[] = [
  {
    d: XGMAC,
    told: [
      ...[uapi.VFIO_DEVICE_FLAGS_PLATFORM | RESET, 1, 3],
      ...[[RWM, 0x1000, 0], -EINVAL],
      ...[[AUTO, 1], [AUTO, 1], [AUTO, 1], -EINVAL],
    ],
    refs: /^vfio_platform_calxedaxgmac$/,
  },
  {
    d: DEMO,
    told: [
      ...[uapi.VFIO_DEVICE_FLAGS_PLATFORM | RESET, 2, 1],
      // The second one is no whole page
      ...[[RWM, 0x1000, 0], [3, 0x100, 256], -EINVAL],
      ...[[uapi.VFIO_IRQ_INFO_EVENTFD, 1], -EINVAL],
    ],
    refs: /^vfio_reset_pl330$/,
  },
  {
    d: PL330,
    told: [...[uapi.VFIO_DEVICE_FLAGS_AMBA | RESET, 1, 1], ...[[RWM, 0x1000, 0], -EINVAL], ...[[AUTO, 1], -EINVAL]],
    refs: /^vfio_reset_pl330$/,
  },
];
for (const { d, told, refs } of DEVICES)
  test.serial(`${d.driver}: ${d.name} is bound, opened, described, closed and unbound`, (t) => {
    const reports = inUserSpace(function* (u) {
      yield* around(u, d, function* (fd) {
        yield* describe(u, fd);
        say(yield* u.ioctl(fd, uapi.VFIO_DEVICE_RESET, 0n), yield* u.ioctl(fd, uapi.VFIO_DEVICE_PCI_HOT_RESET, 0n));
      });
      const modules = (yield* u.ls("/sys/module")).names;
      say(modules.filter((m) => refs.test(m.replace("/", ""))).length);
      for (const reset of ["vfio_platform_calxedaxgmac", "vfio_reset_pl330"]) yield* u.delete_module(reset, 0);
      say(yield* unloadModules(u, d));
    });
    t.deepEqual(seen, [...bound(d), ...told, 0, -ENOTTY, ...unbound(d), 1, 0]);
    // AMBA's bus has turned runtime power management on before the driver does: P01
    t.deepEqual(warnings(), d === PL330 ? ["vfio-amba fff3d000.dma: Unbalanced pm_runtime_enable!"] : []);
    t.deepEqual(reports, []);
    if (d !== XGMAC) t.is(resets.count, 3);
  });

test.serial("registers are read and written in the widest units that fit, interrupts arrive", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* around(u, DEMO, function* (fd) {
      say(yield* u.pwrite_bytes(fd, Uint8Array.of(1, 2, 3, 4, 5, 6, 7), 0x11n));
      say([...(yield* u.pread_bytes(fd, 9, 0x10n)).bytes]);
      say((yield* u.pread_bytes(fd, 16, (1n << 40n) + 0xf8n)).ret, (yield* u.pread_bytes(fd, 1, 1n << 41n)).ret);
      say((yield* u.pread_bytes(fd, 1, 0x1000n)).ret);
      const efd = yield* u.eventfd(0, 0o4000);
      const arm = u32s(24, uapi.VFIO_IRQ_SET_DATA_EVENTFD | uapi.VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, 1, efd);
      say((yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_SET_IRQS, arm)).ret);
      irq_line(32 + 40);
      say(yield* u.eventfd_read(efd, 1000));
      const mask = u32s(20, uapi.VFIO_IRQ_SET_DATA_NONE | uapi.VFIO_IRQ_SET_ACTION_MASK, 0, 0, 1);
      say((yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_SET_IRQS, mask)).ret);
      yield* u.close(efd);
    });
  });
  t.deepEqual(seen, [
    ...bound(DEMO),
    7,
    [0, 1, 2, 3, 4, 5, 6, 7, 0],
    8,
    -EINVAL,
    -EINVAL,
    0,
    1n,
    -EINVAL,
    ...unbound(DEMO),
  ]);
  t.deepEqual(reports, []);
});

const MAPS: readonly {
  readonly what: string;
  readonly len: number;
  readonly flags: number;
  readonly off: bigint;
  readonly ok: boolean;
}[] = [
  { what: "a region", len: 0x1000, flags: 1, off: 0n, ok: true },
  { what: "privately", len: 0x1000, flags: 2, off: 0n, ok: false },
  { what: "more than the region", len: 0x2000, flags: 1, off: 0n, ok: false },
  { what: "behind the region", len: 0x1000, flags: 1, off: 0x1000n, ok: false },
  { what: "a region that is no whole page", len: 0x1000, flags: 1, off: 1n << 40n, ok: false },
  { what: "a region that is not there", len: 0x1000, flags: 1, off: 2n << 40n, ok: false },
];
test.serial("registers are mapped: a load is one of the device's", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* around(u, DEMO, function* (fd) {
      for (const { len, flags, off } of MAPS) {
        const at = yield* u.mmap(len, 3, flags, fd, off);
        say(at > 0n);
        // A mapping keeps the device open.
        if (at > 0n) yield* u.munmap(at, len);
      }
      const addr = yield* u.mmap(0x1000, 3, 1, fd, 0n);
      say(yield* u.store_bytes(addr + 0x20n, Uint8Array.of(1, 2, 3, 4)));
      say([...(yield* u.pread_bytes(fd, 4, 0x20n)).bytes], [...(yield* u.load_bytes(addr + 0x22n, 2)).bytes]);
      yield* u.munmap(addr, 0x1000);
      say((yield* u.load_bytes(addr, 4)).ret);
    });
  });
  const results = [...MAPS.map(({ ok }) => ok), 0, [1, 2, 3, 4], [3, 4], -EFAULT];
  t.deepEqual(seen, [...bound(DEMO), ...results, ...unbound(DEMO)]);
  t.deepEqual(reports, []);
});

test.serial("a level interrupt is masked until user space has looked", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* around(u, XGMAC, function* (fd) {
      const efd = yield* u.eventfd(0, 0o4000);
      const set = (flags: number, ...data: number[]) =>
        u.ioctl_bytes(fd, uapi.VFIO_DEVICE_SET_IRQS, u32s(20 + 4 * data.length, flags, 0, 0, 1, ...data));
      yield* set(uapi.VFIO_IRQ_SET_DATA_EVENTFD | uapi.VFIO_IRQ_SET_ACTION_TRIGGER, efd);
      irq_line(32 + 77);
      say(yield* u.eventfd_read(efd, 1000), yield* u.eventfd_read(efd, 1000));
      yield* set(uapi.VFIO_IRQ_SET_DATA_NONE | uapi.VFIO_IRQ_SET_ACTION_UNMASK);
      say(yield* u.eventfd_read(efd, 1000));
      irq_line(32 + 77, false);
      yield* set(uapi.VFIO_IRQ_SET_DATA_NONE | uapi.VFIO_IRQ_SET_ACTION_UNMASK);
      say(yield* u.eventfd_read(efd, 1000));
      yield* u.close(efd);
    });
  });
  t.deepEqual(seen, [...bound(XGMAC), 1n, 0n, 1n, 0n, ...unbound(XGMAC)]);
  t.deepEqual(reports, []);
});

/** No module for the reset is to be found by a device without one. */
const UNRESETTABLE = [{ ...HIGHBANK[1]!, properties: { ...HIGHBANK[1]!.properties, compatible: "klab,other" } }];
const NO_RESET: readonly { readonly what: string; readonly args: string; readonly says: readonly string[] }[] = [
  {
    what: "is required",
    args: "",
    says: [
      "vfio-platform 10000000.demo: VFIO: No reset function found for device 10000000.demo",
      "vfio-platform: probe of 10000000.demo failed with error -2",
    ],
  },
  {
    // What C says and what it does are two things: P02
    what: "is not required",
    args: "reset_required=0",
    says: ["vfio-platform: probe of 10000000.demo failed with error -2"],
  },
];
for (const { what, args, says } of NO_RESET)
  test.serial(`no driver for a device that cannot be reset, where that ${what}`, (t) => {
    configure_device_tree(UNRESETTABLE);
    const reports = inUserSpace(function* (u) {
      yield* u.modprobe("vfio_platform_base");
      say(yield* u.finit_module("vfio_platform", args));
      say((yield* u.sysfs_read("/sys/module/vfio_platform/parameters/reset_required")).text);
      say(yield* bind(u, DEMO), yield* driverOf(u, DEMO));
    });
    configure_device_tree();
    t.deepEqual(seen, [0, args ? "N\n" : "Y\n", -ENOENT, ""]);
    t.deepEqual(warnings(), says);
    t.deepEqual(reports, []);
  });

const FAILING: readonly { readonly d: BusDevice; readonly opens: boolean; readonly reports: readonly string[] }[] = [
  { d: DEMO, opens: false, reports: [] },
  { d: PL330, opens: true, reports: [] },
];
for (const { d, opens, reports } of FAILING)
  test.serial(`a reset that fails keeps ${d.driver} ${opens ? "from nothing" : "from opening"}`, (t) => {
    const said = inUserSpace(function* (u) {
      yield* loadModules(u, d);
      yield* bind(u, d);
      resets.fail = true;
      const opened = yield* open(u, d);
      say(opened.device >= 0 || opened.device);
      yield* close(u, opened);
      say(yield* unbind(u, d));
    });
    t.deepEqual(seen, [opens || -EIO, d.name.length]);
    t.deepEqual(said, reports);
  });

test.serial("a reset that fails at the last close is warned of", (t) => {
  const said = inUserSpace(function* (u) {
    yield* around(u, DEMO, function* () {
      resets.fail = true;
      yield* u.sleep_ms(1);
    });
  });
  t.deepEqual(said, ["WARNING: vfio_platform_close_device [vfio_platform_base]"]);
  t.true(warnings().some((w) => w.endsWith("VFIO: reset driver is required and reset call failed in release (-5) ")));
});

for (const d of [XGMAC, PL330])
  test.serial(`${d.driver}: unbinding waits for who has it open; its modules stay while they are used`, (t) => {
    const reports = inUserSpace(function* (u) {
      yield* loadModules(u, d);
      yield* bind(u, d);
      const opened = yield* open(u, d);
      const reset = d === XGMAC ? "vfio_platform_calxedaxgmac" : "vfio_reset_pl330";
      say(yield* u.delete_module(d.driver.replace("-", "_"), 0), yield* u.delete_module(reset, 0));
      say((yield* u.sysfs_read(`/sys/bus/${d.bus}/devices/${d.name}/driver_override`)).text.trim());
      yield* u.fork(function* (child) {
        // Its copies of the descriptors are open as well.
        yield* close(child, opened);
        say(yield* unbind(child, d), "unbound");
      });
      yield* u.sleep_ms(5000);
      say(yield* driverOf(u, d), "closing");
      yield* close(u, opened);
      yield* u.sleep_ms(5000);
      say(yield* driverOf(u, d));
      say(yield* u.delete_module(reset, 0), yield* unloadModules(u, d));
    });
    t.deepEqual(seen, [-11, -11, d.driver, "", "closing", d.name.length, "unbound", "", 0, 0]);
    t.deepEqual(reports, []);
  });

test.serial("a driver of the kernel does not get a device whose group user space owns", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* loadModules(u, DEMO);
    yield* bind(u, DEMO);
    const opened = yield* open(u, DEMO);
    // The same group: only the override keeps the device from it.
    const drv = driver("toy");
    say(yield* platform_driver_register(drv, null));
    yield* override(u, DEMO, "toy");
    say(yield* u.sysfs_write("/sys/bus/platform/drivers/toy/bind", DEMO.name));
    yield* close(u, opened);
    yield* unbind(u, DEMO);
    say(yield* u.sysfs_write("/sys/bus/platform/drivers/toy/bind", DEMO.name));
    yield* platform_driver_unregister(drv);
  });
  t.deepEqual(seen, [0, -EBUSY, `probe ${DEMO.name}`, DEMO.name.length, `remove ${DEMO.name}`]);
  t.deepEqual(reports, []);
});

/** What is said when the nth allocation of binding, opening and unbinding fails; by who wanted the memory. */
function* bindOpenUnbind(u: user_process, d: BusDevice, nth: number): Sleeps {
  yield* loadModules(u, d);
  for (const reset of ["vfio_platform_calxedaxgmac", "vfio_reset_pl330"]) yield* u.finit_module(reset);
  yield* override(u, d);
  make_it_fail(u.task);
  set_fail_nth(nth);
  yield* u.sysfs_write(`/sys/bus/${d.bus}/drivers/${d.driver}/bind`, d.name);
  const opened = yield* open(u, d);
  make_it_fail(u.task, false);
  yield* close(u, opened);
  yield* unbind(u, d);
  for (const reset of ["vfio_platform_calxedaxgmac", "vfio_reset_pl330"]) yield* u.delete_module(reset, 0);
  yield* unloadModules(u, d);
}
/** B02, B03: faults of the core, which every driver of it has. */
const CORE_FAULTS = new Set(["vfio_group_release [vfio]", "vfio_device_open [vfio]"]);
for (const d of [XGMAC, PL330])
  test.serial(
    `${d.driver}: whatever allocation fails, nothing is left and nothing is said that is not the core's`,
    (t) => {
      let nth = 1;
      for (; ; nth++) {
        const reports = inUserSpace((u) => bindOpenUnbind(u, d, nth));
        const [fault] = fault_injections();
        if (!fault) break;
        const ours = reports.filter(
          (r) => ![...CORE_FAULTS].some((f) => r.endsWith(f)) && !/iommu_group|buffer/.test(r),
        );
        t.deepEqual(
          ours,
          [],
          `${fault.place}: ${found()
            .map((r) => r.text)
            .join("\n")}`,
        );
      }
      t.true(nth > 40, `${nth}`);
    },
  );
