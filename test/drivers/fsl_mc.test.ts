// SPDX-License-Identifier: GPL-2.0-only
/** The fsl-mc bus and VFIO for its objects. */
import test from "ava";
import { EBUSY, EINVAL, ENOTTY } from "#linux/errno.ts";
import { fsl_mc_driver, fsl_mc_driver_register, fsl_mc_driver_unregister } from "#linux/fsl/mc.ts";
import type { Sleeps } from "#linux/types.ts";
import * as uapi from "#uapi/linux/vfio.ts";
import { booted_mc, configure_device_tree, LS2088A } from "../../kernel/arch/arm64/device_tree.ts";
import type { mc_object_plan } from "../../kernel/arch/arm64/mc_firmware.ts";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { fault_injections, make_it_fail, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { close } from "../helpers/ccw.ts";
import {
  bind,
  type BusDevice,
  DPIO,
  DPRC,
  driverOf,
  loadModules,
  open,
  override,
  sysDevice,
  unbind,
  unloadModules,
} from "../helpers/vfio-bus.ts";

// Of another machine: it has to keep still.
import "../../drivers/iommu/intel/iommu.ts";
import "../../kernel/arch/arm64/setup.ts";
import "../../drivers/amba/bus.ts";
import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/virqfd.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/fsl-mc/vfio_fsl_mc.ts";

const seen: unknown[] = [];
const say = (...x: unknown[]): void => void seen.push(...x);
const warnings = (): string[] =>
  log()
    .filter((l) => l.level <= 4)
    .map((l) => l.text);

function inUserSpace(body: (u: user_process) => Sleeps): string[] {
  seen.splice(0);
  boot({ arch: "arm64", board: "ls2088a", stacks: false });
  run_user("init", body);
  run();
  kmemleak_scan();
  return found().map((r) => r.title);
}
function* devices(u: user_process): Sleeps<string> {
  return (yield* u.ls("/sys/bus/fsl-mc/devices")).names.map((n) => n.replace("@", "")).join(" ");
}

const DPNI: BusDevice = { ...DPRC, name: "dpni.0" };
const DPMCP: BusDevice = { ...DPRC, name: "dpmcp.1" };
const ROOT: BusDevice = { ...DPRC, name: "dprc.1" };

// The bus

test.serial(
  "the firmware's root container is found, and what is in it; objects that can be handed out have a driver",
  (t) => {
    const reports = inUserSpace(function* (u) {
      say(yield* devices(u));
      for (const d of [ROOT, DPMCP, DPRC]) say(yield* driverOf(u, d));
      say((yield* u.sysfs_read(`${sysDevice(DPRC)}/modalias`)).text);
      say((yield* u.sysfs_read("/sys/bus/fsl-mc/autorescan")).text);
      say(
        yield* u.sysfs_write("/sys/bus/fsl-mc/autorescan", "0"),
        (yield* u.sysfs_read("/sys/bus/fsl-mc/autorescan")).text,
      );
    });
    t.deepEqual(seen, [
      "dpmcp.1 dprc.1 dprc.2",
      "fsl_mc_dprc",
      "fsl_mc_allocator",
      "",
      "fsl-mc:v00001957ddprc\n",
      "1\n",
      1,
      "0\n",
    ]);
    t.deepEqual(reports, []);
  },
);

function* plugging(u: user_process): Sleeps {
  const root = booted_mc()?.root;
  const rescan = (): Sleeps<number> => u.sysfs_write("/sys/bus/fsl-mc/rescan", "1");
  const [added] = [{ type: "dpmcp", id: 2 }].map(
    (plan) => new (root!.constructor as new (p: mc_object_plan) => typeof root)(plan),
  );
  root!.objects.push(added!);
  say(yield* rescan(), yield* devices(u));
  root!.objects.splice(root!.objects.indexOf(added!), 1);
  say(yield* rescan(), yield* devices(u));
  // Now by the interrupt
  root!.objects.push(added!);
  root!.raise(0, 1);
  yield* u.sleep_ms(100);
  say(yield* devices(u));
  added!.plugged = false;
  yield* rescan();
  say(yield* driverOf(u, { ...DPRC, name: "dpmcp.2" }));
  added!.plugged = true;
  yield* rescan();
  say(yield* driverOf(u, { ...DPRC, name: "dpmcp.2" }));
}
test.serial(
  "objects come and go, by a rescan and by the container's interrupt; plugging gives a driver and takes it",
  (t) => {
    const reports = inUserSpace(plugging);
    t.deepEqual(seen, [
      ...[1, "dpmcp.1 dpmcp.2 dprc.1 dprc.2"],
      ...[1, "dpmcp.1 dprc.1 dprc.2"],
      "dpmcp.1 dpmcp.2 dprc.1 dprc.2",
      "",
      "fsl_mc_allocator",
    ]);
    t.deepEqual(reports, []);
  },
);

/** A driver for DPNI objects; `managed`: it looks after DMA itself. */
function dpniDriver(): fsl_mc_driver {
  const drv = new fsl_mc_driver();
  Object.assign(drv, {
    match_id_table: [{ vendor: 0x1957, obj_type: "dpni" }],
    probe: () => {
      say("probe");
      return 0;
    },
    remove: () => 0,
  });
  drv.driver.name = "toy_dpni";
  return drv;
}
function* ownership(u: user_process): Sleeps {
  const drv = dpniDriver();
  yield* loadModules(u, DPRC);
  yield* bind(u, DPRC);
  yield* fsl_mc_driver_register(drv, null);
  yield* unbind(u, DPNI);
  yield* override(u, DPNI, "toy_dpni");
  const toy = (): Sleeps<number> => u.sysfs_write("/sys/bus/fsl-mc/drivers/toy_dpni/bind", DPNI.name);
  const opened = yield* open(u, DPIO);
  say(opened.device >= 0, yield* toy());
  yield* close(u, opened);
  say(yield* toy(), yield* driverOf(u, DPNI));
  // The group has a driver of the kernel's now: user space does not get it.
  const again = yield* open(u, DPIO);
  say(again.device);
  yield* close(u, again);
  yield* fsl_mc_driver_unregister(drv);
  say(yield* unbind(u, DPRC), yield* devices(u));
}
test.serial("all objects of a container are one group: either the kernel has it or user space", (t) => {
  const reports = inUserSpace(ownership);
  t.deepEqual(seen, [
    true,
    -EBUSY,
    "probe",
    DPNI.name.length,
    "toy_dpni",
    -EINVAL,
    DPRC.name.length,
    "dpmcp.1 dprc.1 dprc.2",
  ]);
  t.true(
    warnings().includes(
      "toy_dpni dpni.0: VFIO_FSL_MC: Object dpni.0 bound to driver toy_dpni while DPRC bound to vfio-fsl-mc",
    ),
  );
  t.deepEqual(reports, []);
});

// VFIO

const u32s = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
const words = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.slice().buffer)];

test.serial("a container gives its objects to VFIO, all in one set; they go with it", (t) => {
  const reports = inUserSpace(function* (u) {
    say(yield* loadModules(u, DPRC), yield* bind(u, DPRC), yield* devices(u));
    for (const d of [DPRC, DPNI, DPIO])
      say(yield* driverOf(u, d), (yield* u.sysfs_read(`${sysDevice(d)}/driver_override`)).text.trim());
    say(yield* unloadModules(u, DPRC), yield* devices(u));
  });
  // rmmod takes the driver from the container, and that the objects
  t.deepEqual(seen, [
    ...[0, 6, "dpio.8 dpmcp.1 dpni.0 dprc.1 dprc.2"],
    ...["vfio-fsl-mc", "vfio-fsl-mc", "vfio-fsl-mc", "vfio-fsl-mc", "vfio-fsl-mc", "vfio-fsl-mc"],
    ...[0, "dpmcp.1 dprc.1 dprc.2"],
  ]);
  t.deepEqual(reports, []);
});

const FSL_MC = uapi.VFIO_DEVICE_FLAGS_FSL_MC;
const OBJECTS: readonly { readonly d: BusDevice; readonly told: readonly unknown[]; readonly resets: number }[] = [
  { d: DPRC, told: [FSL_MC | uapi.VFIO_DEVICE_FLAGS_RESET, 1, 1, [3, 0x10000], -EINVAL, [1, 1], -EINVAL], resets: 2 },
  { d: DPNI, told: [FSL_MC, 0, 1, -EINVAL, [1, 1], -EINVAL], resets: 2 },
  { d: DPIO, told: [FSL_MC, 1, 1, [7, 0x10000], -EINVAL, [1, 1], -EINVAL], resets: 2 },
];
for (const { d, told, resets } of OBJECTS)
  test.serial(`${d.name} is opened, described, reset and closed`, (t) => {
    const reports = inUserSpace(function* (u) {
      yield* loadModules(u, DPRC);
      yield* bind(u, DPRC);
      const opened = yield* open(u, d);
      const fd = opened.device;
      const [, flags, regions = 0, irqs = 0] = words(
        (yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_INFO, u32s(20, 0, 0, 0, 0))).bytes,
      );
      say(flags, regions, irqs);
      for (let i = 0; i <= regions; i++) {
        const { ret, bytes } = yield* u.ioctl_bytes(
          fd,
          uapi.VFIO_DEVICE_GET_REGION_INFO,
          u32s(32, 0, i, 0, 0, 0, 0, 0),
        );
        say(ret || [words(bytes)[1], words(bytes)[4]]);
      }
      for (let i = 0; i <= irqs; i++) {
        const { ret, bytes } = yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_IRQ_INFO, u32s(16, 0, i, 0));
        say(ret || [words(bytes)[1], words(bytes)[3]]);
      }
      say(yield* u.ioctl(fd, uapi.VFIO_DEVICE_RESET, 0n), yield* u.ioctl(fd, uapi.VFIO_DEVICE_PCI_HOT_RESET, 0n));
      yield* close(u, opened);
      const [type = "", id = "0"] = d.name.split(".");
      say(booted_mc()?.object(type, Number(id))?.resets);
      say(yield* unbind(u, DPRC), yield* unloadModules(u, DPRC));
    });
    t.deepEqual(seen, [...told, 0, -ENOTTY, resets, 6, 0]);
    t.deepEqual(reports, []);
  });

test.serial("user space sends commands through the container's portal, and gets an object's interrupt", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* loadModules(u, DPRC);
    yield* bind(u, DPRC);
    const container = yield* open(u, DPRC);
    const command = new Uint8Array(64);
    const header = new DataView(command.buffer);
    header.setUint8(2, 1);
    header.setUint16(6, 0x8311, true);
    say(yield* u.pwrite_bytes(container.device, command, 0n));
    say([...(yield* u.pread_bytes(container.device, 64, 0n)).bytes.slice(8, 20)]);
    say(
      yield* u.pwrite_bytes(container.device, command.slice(8), 0n),
      (yield* u.pread_bytes(container.device, 64, 8n)).ret,
    );
    const efd = yield* u.eventfd(0, 0o4000);
    const flags = uapi.VFIO_IRQ_SET_DATA_EVENTFD | uapi.VFIO_IRQ_SET_ACTION_TRIGGER;
    say((yield* u.ioctl_bytes(container.device, uapi.VFIO_DEVICE_SET_IRQS, u32s(24, flags, 0, 0, 1, efd))).ret);
    booted_mc()?.object("dprc", 2)?.raise(0, 1);
    say(yield* u.eventfd_read(efd, 1000));
    yield* u.close(efd);
    yield* close(u, container);
    say(yield* unbind(u, DPRC));
  });
  t.deepEqual(seen, [64, [0, 0, 0, 0, 10, 0, 0, 0, 32, 0, 0, 0], -EINVAL, -EINVAL, 0, 1n, 6]);
  t.deepEqual(reports, []);
});

test.serial("the registers of an object are mapped, the portal of a container is not", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* loadModules(u, DPRC);
    yield* bind(u, DPRC);
    for (const d of [DPRC, DPIO]) {
      const opened = yield* open(u, d);
      const addr = yield* u.mmap(0x10000, 3, 1, opened.device, 0n);
      // No model is behind it: a bus without an answer reads ones.
      say(addr > 0n ? [...(yield* u.load_bytes(addr, 4)).bytes] : addr);
      yield* close(u, opened);
    }
  });
  t.deepEqual(seen, [BigInt(-EINVAL), [255, 255, 255, 255]]);
  t.deepEqual(reports, []);
});

test.serial("unbinding the container waits for who has an object open", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* loadModules(u, DPRC);
    yield* bind(u, DPRC);
    const opened = yield* open(u, DPIO);
    say(yield* u.delete_module("vfio_fsl_mc", 0));
    yield* u.fork(function* (child) {
      yield* close(child, opened);
      say(yield* unbind(child, DPRC), "unbound");
    });
    yield* u.sleep_ms(5000);
    // It is on the bus no more, and has its driver still.
    say((yield* devices(u)).includes("dpio.8"), "closing");
    yield* close(u, opened);
    yield* u.sleep_ms(5000);
    say(yield* devices(u), yield* unloadModules(u, DPRC));
  });
  t.deepEqual(seen, [-11, false, "closing", 6, "unbound", "dpmcp.1 dprc.1 dprc.2", 0]);
  t.deepEqual(reports, []);
});

test.serial(
  "a container that is plugged when the kernel finds it: its scan is nested in its parent's, and lockdep is not told (P04)",
  (t) => {
    const plugged: mc_object_plan = {
      ...{ type: "dprc", id: 1, irq_count: 1 },
      objects: [{ type: "dprc", id: 2, irq_count: 1, regions: [{ addr: 0x80c020000n, size: 0x10000 }] }],
    };
    configure_device_tree(LS2088A, plugged);
    const reports = inUserSpace(function* (u) {
      say(yield* driverOf(u, DPRC));
      say(
        yield* unbind(u, DPRC, "fsl_mc_dprc"),
        yield* loadModules(u, DPRC),
        yield* bind(u, DPRC),
        yield* unbind(u, DPRC),
      );
    });
    configure_device_tree();
    t.deepEqual(seen, ["fsl_mc_dprc", 6, 0, 6, 6]);
    t.deepEqual(reports, ["WARNING: possible recursive locking detected"]);
  },
);

test.serial("the original's mistake: an interrupt is turned off that was never set up (P06)", (t) => {
  const reports = inUserSpace(function* (u) {
    yield* loadModules(u, DPRC);
    yield* bind(u, DPRC);
    const opened = yield* open(u, DPIO);
    const flags = uapi.VFIO_IRQ_SET_DATA_NONE | uapi.VFIO_IRQ_SET_ACTION_TRIGGER;
    yield* u.ioctl_bytes(opened.device, uapi.VFIO_DEVICE_SET_IRQS, u32s(20, flags, 0, 0, 0));
    say("survived");
  });
  t.deepEqual(seen, []);
  t.deepEqual(reports, ["BUG: kernel NULL pointer dereference in vfio_set_trigger [vfio_fsl_mc]"]);
});

test.serial("the original's mistake: the override is freed without the lock that its readers take (P07)", (t) => {
  seen.splice(0);
  boot({ arch: "arm64", board: "ls2088a", kcsan: true });
  run_user("init", function* (u) {
    yield* loadModules(u, DPRC);
    yield* bind(u, DPRC);
    yield* u.fork(function* (reader) {
      say((yield* reader.sysfs_read(`${sysDevice(DPIO)}/driver_override`)).text);
    });
    yield* u.fork(function* (taker) {
      yield* taker.sleep_ms(10);
      yield* unbind(taker, DPRC);
    });
  });
  run();
  t.deepEqual(seen, ["vfio-fsl-mc\n"]);
  t.true(
    found().some((r) => r.text.includes("struct fsl_mc_device.driver_override")),
    found()
      .map((r) => r.text)
      .join("\n"),
  );
});

/** Errors that the firmware can give when a container is to be set up. */
const BROKEN: readonly {
  readonly what: string;
  readonly objects: mc_object_plan;
  readonly ret: number;
  readonly says: RegExp;
}[] = [
  {
    what: "has no portal",
    objects: { type: "dprc", id: 1, irq_count: 1, objects: [{ type: "dprc", id: 2, plugged: false }] },
    ret: -EINVAL,
    says: /Failed to setup DPRC \(-22\)$/,
  },
  {
    what: "has an object of an unknown type",
    objects: {
      ...{ type: "dprc", id: 1, irq_count: 1 },
      objects: [
        {
          ...{ type: "dprc", id: 2, plugged: false, regions: [{ addr: 0x80c020000n, size: 0x10000 }] },
          objects: [{ type: "dpxx", id: 0 }],
        },
      ],
    },
    ret: 6,
    says: /unknown device type dpxx$/,
  },
];
for (const { what, objects, ret, says } of BROKEN)
  test.serial(`a container that ${what}`, (t) => {
    configure_device_tree(LS2088A, objects);
    const reports = inUserSpace(function* (u) {
      yield* loadModules(u, DPRC);
      say(yield* bind(u, DPRC));
      yield* unbind(u, DPRC);
      say(yield* unloadModules(u, DPRC));
    });
    configure_device_tree();
    t.deepEqual(seen, [ret, 0]);
    t.true(
      warnings().some((w) => says.test(w)),
      warnings().join("\n"),
    );
    t.deepEqual(reports, []);
  });

function* bindOpenUnbind(u: user_process, nth: number): Sleeps {
  yield* loadModules(u, DPRC);
  yield* override(u, DPRC);
  make_it_fail(u.task);
  set_fail_nth(nth);
  yield* u.sysfs_write("/sys/bus/fsl-mc/drivers/vfio-fsl-mc/bind", DPRC.name);
  const opened = yield* open(u, DPIO);
  make_it_fail(u.task, false);
  yield* close(u, opened);
  yield* unbind(u, DPRC);
  yield* unloadModules(u, DPRC);
}
/** What is said when an allocation fails, and which rows of Documentation/findings.md it is. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/vfio_group_release \[vfio\]$/, "B02"],
  [/vfio_device_open \[vfio\]$/, "B03"],
  [/iommu_group|unreferenced object: buffer/, "B02, B05"],
  [/^BUG: kernel NULL pointer dereference in fsl_mc_cleanup_resource_pool$/, "P03"],
];
test.serial("whatever allocation fails, what is said is known", (t) => {
  const said = new Map<string, string>();
  let nth = 1;
  for (; ; nth++) {
    const reports = inUserSpace((u) => bindOpenUnbind(u, nth));
    const [fault] = fault_injections();
    if (!fault) break;
    for (const r of reports) said.set(r, fault.place);
    const unknown = reports.filter((r) => !KNOWN.some(([known]) => known.test(r)));
    t.deepEqual(
      unknown,
      [],
      `${nth} ${fault.place}: ${found()
        .map((r) => r.text)
        .join("\n")}`,
    );
  }
  t.true(nth > 60, `${nth}`);
  t.true(
    [...said.keys()].some((r) => KNOWN[3]![0].test(r)),
    [...said.keys()].join("\n"),
  );
});
