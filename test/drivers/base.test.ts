// SPDX-License-Identifier: GPL-2.0-only
/** The driver model: a toy bus, drivers and devices, binding by hand, failing probes, shutdown. */
import test from "ava";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { sysfs_list, sysfs_read_path, sysfs_readlink, sysfs_write_path } from "../../kernel/fs/sysfs/mount.ts";
import { uevents } from "../../kernel/lib/kobject_uevent.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { msleep } from "../../include/linux/delay.ts";
import { ATTRIBUTE_GROUPS, sysfs_emit, type sysfs_buf } from "../../include/linux/sysfs.ts";
import {
  BUS_NOTIFY_ADD_DEVICE,
  BUS_NOTIFY_UNBIND_DRIVER,
  bus_find_device_by_name,
  bus_for_each_dev,
  bus_register,
  bus_register_notifier,
  bus_type,
  bus_unregister,
  class_create,
  class_destroy,
  class_find_device_by_name,
  dev_err,
  dev_get_drvdata,
  dev_info,
  dev_name,
  dev_set_drvdata,
  dev_set_name,
  dev_warn_ratelimited,
  device,
  DEVICE_ATTR_RO,
  DEVICE_ATTR_RW,
  device_add,
  type device_attribute,
  device_create,
  device_destroy,
  device_driver,
  device_find_child_by_name,
  device_for_each_child,
  device_for_each_child_reverse,
  device_initialize,
  device_is_registered,
  device_lock,
  device_move,
  device_register,
  device_release_driver,
  device_shutdown,
  device_unlock,
  device_unregister,
  DPM_ORDER_NONE,
  driver_register,
  driver_unregister,
  get_device,
  put_device,
  root_device_register,
  root_device_unregister,
} from "../../include/linux/device.ts";
import { EBUSY, EEXIST, EINVAL, ENODEV, EPROBE_DEFER } from "../../include/linux/errno.ts";
import { MKDEV } from "../../include/linux/kdev_t.ts";
import { notifier_block } from "../../include/linux/notifier.ts";
import { initialise } from "../../include/linux/types.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../include/linux/slab.ts";

const seen: unknown[] = [];
const say = (x: unknown): void => void seen.push(x);

/** What the toy bus does; back to normal before each test. */
const toy = { bus: new bus_type(), drv: new device_driver(), probe: 0, groups: 0, slow: 0 };

test.beforeEach(() => {
  seen.splice(0);
  Object.assign(toy, { probe: 0, slow: 0 });
});

function inKernel(...bodies: Sleeps[]): string[] {
  boot();
  const before = log().length;
  for (const [i, body] of bodies.entries()) spawn(`task${i}`, body);
  const outcome = run();
  if (outcome !== "done")
    throw new Error(
      `${outcome}: ${found()
        .map((r) => r.text)
        .join("\n")}`,
    );
  return log()
    .slice(before)
    .map((l) => `${l.level} ${l.text}`);
}

const toyMatch = (dev: device, drv: device_driver): number => Number((dev_name(dev) ?? "").startsWith(drv.name ?? "?"));
function* toyProbe(dev: device): Sleeps<number> {
  say(`probe ${dev_name(dev)}`);
  if (toy.slow) yield* msleep(toy.slow);
  dev_set_drvdata(dev, toy);
  return toy.probe;
}
function toyRemove(dev: device): void {
  say(`remove ${dev_name(dev)} ${dev_get_drvdata(dev) === toy ? "with" : "without"} drvdata`);
}
function toyShutdown(dev: device): void {
  say(`shutdown ${dev_name(dev)}`);
}
const toyConfigure = (dev: device): number => (say(`dma_configure ${dev_name(dev)}`), 0);
const toyCleanup = (dev: device): void => say(`dma_cleanup ${dev_name(dev)}`);
function toyRelease(dev: device): void {
  say(`release ${dev_name(dev)}`);
  kfree(dev);
}
const notified: string[] = [];
function toyNotify(_nb: notifier_block, action: number, dev: unknown): number {
  notified.push(`${action} ${dev_name(dev as device)}`);
  return 0;
}

function* toyBus(): Sleeps {
  notified.splice(0);
  toy.bus = initialise(new bus_type(), {
    name: "toy",
    match: toyMatch,
    probe: toyProbe,
    remove: toyRemove,
    shutdown: toyShutdown,
    dma_configure: toyConfigure,
    dma_cleanup: toyCleanup,
  });
  say(yield* bus_register(toy.bus));
  const nb = new notifier_block();
  nb.notifier_call = toyNotify;
  yield* bus_register_notifier(toy.bus, nb);
}
function* toyDriver(name = "toy"): Sleeps<device_driver> {
  toy.drv = initialise(new device_driver(), { name, bus: toy.bus });
  say(yield* driver_register(toy.drv));
  return toy.drv;
}
function toyDevice(name: string, parent: device | null = null): device {
  const dev = kzalloc(device, GFP_KERNEL)!;
  device_initialize(dev);
  dev.bus = toy.bus;
  dev.parent = parent;
  dev.release = toyRelease;
  dev_set_name(dev, "%s", name);
  return dev;
}
function* addToy(name: string, parent: device | null = null): Sleeps<device> {
  const dev = toyDevice(name, parent);
  say(yield* device_add(dev));
  return dev;
}

function* lifeCycle(): Sleeps {
  const born = [...live_memory()].length;
  yield* toyBus();
  yield* toyDriver();
  say(yield* sysfs_list("bus/toy"));
  say(yield* sysfs_list("bus/toy/drivers/toy"));
  const dev = yield* addToy("toy0");
  say(yield* sysfs_list("devices/toy0"));
  say(yield* sysfs_readlink("devices/toy0/driver"));
  say(yield* sysfs_readlink("bus/toy/devices/toy0"));
  say(yield* sysfs_readlink("bus/toy/drivers/toy/toy0"));
  say(yield* sysfs_read_path("devices/toy0/uevent"));
  say(device_is_registered(dev));
  yield* device_unregister(dev);
  yield* driver_unregister(toy.drv);
  yield* bus_unregister(toy.bus);
  say([...live_memory()].length - born);
}
test.serial("a device, its driver and its bus come and go", (t) => {
  inKernel(lifeCycle());
  t.deepEqual(seen, [
    ...[0, 0],
    ["devices", "drivers", "drivers_autoprobe", "drivers_probe", "uevent"],
    ["bind", "uevent", "unbind"],
    ...["dma_configure toy0", "probe toy0", 0],
    ["driver", "subsystem", "uevent"],
    ...["../../bus/toy/drivers/toy", "../../../devices/toy0", "../../../../devices/toy0", "DRIVER=toy\n", true],
    ...["remove toy0 with drvdata", "dma_cleanup toy0", "release toy0", 0],
  ]);
  t.deepEqual(notified, ["1 toy0", "4 toy0", "5 toy0", "2 toy0", "6 toy0", "7 toy0", "3 toy0"]);
  t.is(BUS_NOTIFY_ADD_DEVICE, 1);
  t.is(BUS_NOTIFY_UNBIND_DRIVER, 6);
  t.deepEqual(
    uevents()
      .filter((e) => e.devpath.includes("toy"))
      .map((e) => e.header),
    [
      ...["add@/bus/toy", "add@/bus/toy/drivers/toy"],
      ...["add@/devices/toy0", "bind@/devices/toy0", "unbind@/devices/toy0", "remove@/devices/toy0"],
      ...["remove@/bus/toy/drivers/toy", "remove@/bus/toy"],
    ],
  );
  t.deepEqual(
    uevents()
      .find((e) => e.header === "bind@/devices/toy0")
      ?.env.slice(0, 4),
    ["ACTION=bind", "DEVPATH=/devices/toy0", "SUBSYSTEM=toy", "DRIVER=toy"],
  );
  t.deepEqual(found(), []);
});

function* byHand(): Sleeps {
  yield* toyBus();
  say(yield* sysfs_write_path("bus/toy/drivers_autoprobe", "0"));
  yield* toyDriver();
  const dev = yield* addToy("toy0");
  const other = yield* addToy("other");
  const bind = "bus/toy/drivers/toy/bind";
  for (const name of ["toy0\n", "toy0", "other", "nobody"]) say(yield* sysfs_write_path(bind, name));
  say(dev.driver === toy.drv);
  for (const name of ["toy0", "toy0"]) say(yield* sysfs_write_path("bus/toy/drivers/toy/unbind", name));
  say(yield* sysfs_write_path("bus/toy/drivers_probe", "toy0"));
  toy.probe = -EINVAL;
  yield* device_release_driver(dev);
  say(yield* sysfs_write_path(bind, "toy0"));
  toy.probe = -EPROBE_DEFER;
  say(yield* sysfs_write_path(bind, "toy0"));
  yield* device_unregister(other);
  yield* device_unregister(dev);
}
test.serial("bind, unbind and drivers_probe", (t) => {
  const lines = inKernel(byHand());
  t.deepEqual(seen, [
    ...[0, 1, 0, 0, 0],
    ...["dma_configure toy0", "probe toy0", 5, -EBUSY, -ENODEV, -ENODEV, true],
    ...["remove toy0 with drvdata", "dma_cleanup toy0", 4, -ENODEV],
    ...["dma_configure toy0", "probe toy0", 4, "remove toy0 with drvdata", "dma_cleanup toy0"],
    ...["dma_configure toy0", "probe toy0", "dma_cleanup toy0", -EINVAL],
    ...["dma_configure toy0", "probe toy0", "dma_cleanup toy0", -11],
    ...["release other", "release toy0"],
  ]);
  t.deepEqual(lines, ["4 toy: probe of toy0 failed with error -22"]);
});

function* failingProbe(result: number): Sleeps {
  yield* toyBus();
  yield* toyDriver();
  toy.probe = result;
  const dev = yield* addToy("toy0");
  say(dev.driver);
  say(dev_get_drvdata(dev));
  say(yield* sysfs_list("devices/toy0"));
  say(notified.slice());
  yield* device_unregister(dev);
}
for (const [name, result, lines] of [
  ["-EINVAL is said", -EINVAL, ["4 toy: probe of toy0 failed with error -22"]],
  ["-ENODEV is not", -ENODEV, []],
] as const) {
  test.serial(`a failing probe is taken back: ${name}`, (t) => {
    t.deepEqual(inKernel(failingProbe(result)), [...lines]);
    t.deepEqual(seen, [
      ...[0, 0, "dma_configure toy0", "probe toy0", "dma_cleanup toy0", 0],
      ...[null, null, ["subsystem", "uevent"], ["1 toy0", "4 toy0", "8 toy0"], "release toy0"],
    ]);
  });
}

function* deferred(): Sleeps {
  yield* toyBus();
  yield* toyDriver();
  toy.probe = -EPROBE_DEFER;
  const dev = yield* addToy("toy-late");
  toy.probe = 0;
  yield* addToy("toy-first");
  yield* msleep(10);
  say(dev.driver === toy.drv);
}
test.serial("a deferred probe is tried again when another one succeeds", (t) => {
  inKernel(deferred());
  t.deepEqual(
    seen.filter((x) => typeof x !== "string" || x.startsWith("probe")),
    [0, 0, "probe toy-late", 0, "probe toy-first", 0, "probe toy-late", true],
  );
});

const slowShow = (_dev: device, _attr: device_attribute, buf: sysfs_buf): number => sysfs_emit(buf, "%s\n", "toy");
function* slowStore(_dev: device, _attr: device_attribute, _buf: string, count: number): Sleeps<number> {
  say("store begins");
  yield* msleep(100);
  say("store ends");
  return count;
}
const slowAttr = DEVICE_ATTR_RW("slow", slowShow, slowStore);
const roAttr = DEVICE_ATTR_RO("ro", slowShow);
const toyGroups = ATTRIBUTE_GROUPS([slowAttr.attr, roAttr.attr]);

function* deviceWithGroups(): Sleeps {
  yield* toyBus();
  const dev = toyDevice("toy0");
  dev.groups = toyGroups;
  say(yield* device_add(dev));
  say(yield* sysfs_list("devices/toy0"));
  say(yield* sysfs_write_path("devices/toy0/slow", "x"));
}
function* unregisterMeanwhile(): Sleeps {
  yield* msleep(50);
  const dev = (yield* bus_find_device_by_name(toy.bus, null, "toy0"))!;
  say("unregister");
  yield* device_unregister(dev);
  say("unregistered");
  yield* put_device(dev);
}
test.serial("a device goes only when the store that runs has ended", (t) => {
  inKernel(deviceWithGroups(), unregisterMeanwhile());
  t.deepEqual(
    seen.filter((x) => x !== 1),
    [
      0,
      0,
      ["ro", "slow", "subsystem", "uevent"],
      "store begins",
      "unregister",
      "store ends",
      "unregistered",
      "release toy0",
    ],
  );
});

function* duplicates(): Sleeps {
  yield* toyBus();
  const one = yield* addToy("toy0");
  const two = yield* addToy("toy0");
  yield* put_device(two);
  say(yield* driver_register(initialise(new device_driver(), { name: "d", bus: toy.bus })));
  say(yield* driver_register(initialise(new device_driver(), { name: "d", bus: toy.bus })));
  say(
    yield* driver_register(
      initialise(new device_driver(), { name: "d", bus: initialise(new bus_type(), { name: "off" }) }),
    ),
  );
  const nameless = kzalloc(device, GFP_KERNEL)!;
  nameless.release = toyRelease;
  say(yield* device_register(nameless));
  yield* put_device(nameless);
  yield* device_unregister(one);
}
test.serial("names that are taken or missing", (t) => {
  const lines = inKernel(duplicates());
  t.deepEqual(seen, [0, 0, -EEXIST, "release toy0", 0, -EBUSY, -EINVAL, -EINVAL, "release null", "release toy0"]);
  const duplicate = found().find((r) => r.checker === "kobject");
  t.is(duplicate?.title, "sysfs: cannot create duplicate filename '/devices/toy0'");
  t.true(
    lines.includes(
      "3 kobject_add_internal failed for toy0 with -EEXIST, don't try to register things with the same name in the same directory.",
    ),
  );
  t.true(lines.includes("3 Error: Driver 'd' is already registered, aborting..."));
  t.true(
    lines.includes("3 Driver 'd' was unable to register with bus_type 'off' because the bus was not initialized."),
  );
});

function* shutdownOrder(): Sleeps {
  yield* toyBus();
  yield* toyDriver();
  const parent = yield* addToy("toy-parent");
  yield* addToy("toy-child", parent);
  yield* addToy("toy-last");
  seen.splice(0);
  yield* device_shutdown();
  toy.slow = 0;
  yield* addToy("toy-too-late");
}
test.serial("shutdown goes from the youngest to the oldest, and nothing is probed afterwards", (t) => {
  inKernel(shutdownOrder());
  t.deepEqual(seen, ["shutdown toy-last", "shutdown toy-child", "shutdown toy-parent", 0]);
});

function* shutdownWaits(): Sleeps {
  yield* toyBus();
  yield* toyDriver();
  const dev = yield* addToy("toy0");
  yield* device_lock(dev);
  yield* msleep(100);
  say("unlock");
  device_unlock(dev);
}
function* shutdownMeanwhile(): Sleeps {
  yield* msleep(50);
  yield* device_shutdown();
}
test.serial("shutdown waits for the lock of a device", (t) => {
  inKernel(shutdownWaits(), shutdownMeanwhile());
  t.deepEqual(seen.slice(-2), ["unlock", "shutdown toy0"]);
});

const nameOf = (dev: device, names: string[]): number => (names.push(dev_name(dev) ?? ""), 0);
const stopAtB = (dev: device): number => (dev_name(dev) === "b" ? 7 : 0);
function* children(): Sleeps {
  yield* toyBus();
  const root = yield* root_device_register("root", null);
  const devs: device[] = [];
  for (const name of ["a", "b", "c"]) devs.push(yield* addToy(name, root));
  const names: string[] = [];
  yield* device_for_each_child(root, names, nameOf);
  yield* device_for_each_child_reverse(root, names, nameOf);
  yield* bus_for_each_dev(toy.bus, devs[0]!, names, nameOf);
  say(names.join(""));
  say(yield* device_for_each_child(root, null, stopAtB));
  const b = yield* device_find_child_by_name(root, "b\n");
  say(b === devs[1]);
  yield* put_device(b);
  say(yield* device_move(devs[2]!, devs[0]!, DPM_ORDER_NONE));
  say(yield* sysfs_readlink("bus/toy/devices/c"));
  for (const dev of devs.reverse()) yield* device_unregister(dev);
  yield* root_device_unregister(root);
  say(yield* sysfs_list("devices"));
}
test.serial("children are walked, found and moved", (t) => {
  inKernel(children());
  // A walk that starts at a device goes on behind it.
  t.deepEqual(seen, [
    0,
    0,
    0,
    0,
    "abccbabc",
    7,
    true,
    0,
    "../../../devices/root/a/c",
    "release c",
    "release b",
    "release a",
    ["platform", "system"],
  ]);
});

function* classes(): Sleeps {
  const cls = yield* class_create(null, "toys");
  yield* toyBus();
  const parent = yield* addToy("toy0");
  const a = yield* device_create(cls, parent, MKDEV(10, 5), null, "toys!%s", "a");
  yield* device_create(cls, null, MKDEV(0, 0), null, "b");
  say(yield* sysfs_list("class/toys"));
  say(yield* sysfs_readlink("class/toys/b"));
  say(yield* sysfs_list("devices/toy0/toys/toys!a"));
  say(yield* sysfs_read_path("devices/toy0/toys/toys!a/dev"));
  say(yield* sysfs_readlink("dev/char/10:5"));
  say(
    uevents()
      .find((e) => e.env.includes("SUBSYSTEM=toys") && e.action === "add")
      ?.env.slice(1, -1),
  );
  say((yield* class_find_device_by_name(cls, "toys!a")) === a);
  yield* put_device(a);
  yield* device_destroy(cls, MKDEV(10, 5));
  // The directory of the class below the parent goes with the last device in it.
  say(yield* sysfs_list("devices/toy0"));
  yield* device_destroy(cls, MKDEV(0, 0));
  yield* class_destroy(cls);
  say(yield* sysfs_list("class"));
}
test.serial("classes, their devices and their links", (t) => {
  inKernel(classes());
  t.deepEqual(seen, [
    ...[0, 0, ["b", "toys!a"], "../../devices/virtual/toys/b"],
    ...[["dev", "device", "subsystem", "uevent"], "10:5\n", "../../devices/toy0/toys/toys!a"],
    ["DEVPATH=/devices/toy0/toys/toys!a", "SUBSYSTEM=toys", "MAJOR=10", "MINOR=5", "DEVNAME=toys/a"],
    ...[true, ["subsystem", "uevent"], (seen.at(-1) as string[]).filter((name) => name !== "toys")],
  ]);
});

function* words(): Sleeps {
  yield* toyBus();
  const dev = yield* addToy("toy0");
  dev_err(dev, "broken: %d\n", 5);
  yield* toyDriver("toy");
  dev_info(dev, "fine\n");
  dev_err(null, "nobody\n");
  for (let i = 0; i < 12; i++) dev_warn_ratelimited(dev, "again\n");
  dev_info(initialise(new device(), { init_name: "early" }), "not yet\n");
}
test.serial("every line of a device says whose it is", (t) => {
  t.deepEqual(inKernel(words()), [
    ...["3 toy toy0: broken: 5", "6 toy toy0: fine", "3 (NULL device *): nobody"],
    ...Array.from({ length: 10 }, () => "4 toy toy0: again"),
    "6  early: not yet",
  ]);
});

function* noRelease(): Sleeps {
  const dev = kzalloc(device, GFP_KERNEL)!;
  device_initialize(dev);
  dev_set_name(dev, "toy");
  get_device(dev);
  yield* put_device(dev);
  yield* put_device(dev);
}
test.serial("a device without a release function is reported in the words of Linux", (t) => {
  inKernel(noRelease());
  const [report] = found();
  t.is(report?.checker, "device");
  t.is(report?.title, "Device 'toy' does not have a release() function, it is broken and must be fixed.");
  t.regex(
    report?.text ?? "",
    /must be fixed\. See Documentation\/core-api\/kobject\.rst\.\nWARNING: CPU: 0 PID: \d+ at device_release\n/,
  );
});
