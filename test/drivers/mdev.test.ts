// SPDX-License-Identifier: GPL-2.0-only
/** Mediated devices through sysfs: types, creation, removal, and what stands in their way. */
import test from "ava";
import { EEXIST, EINVAL, ENODEV, ENOENT, ENOMEM, EUSERS } from "#linux/errno.ts";
import { O_WRONLY } from "#linux/fcntl.ts";
import { SIGTERM } from "#linux/signal.ts";
import type { Sleeps } from "#linux/types.ts";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { fault_injections, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { uevents } from "../../kernel/lib/kobject_uevent.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import { msleep } from "../../kernel/sched/timeout.ts";
import {
  close,
  create,
  open,
  OTHER_UUID,
  remove,
  setUp,
  tearDown,
  tiny,
  TYPE_DIR,
  unloadTiny,
  UUID,
} from "./tiny-mdev.ts";

const results: unknown[] = [];
const say = (x: unknown): void => void results.push(x);

function start(body: program): void {
  results.splice(0);
  boot({ arch: "x86_64" });
  run_user("init", body);
}
/** Runs the program; what was logged by anybody is returned, and no checker may have spoken. */
function inUserSpace(body: program): string[] {
  start(body);
  const outcome = run();
  const reports = found().map((r) => r.text);
  if (outcome !== "done" || reports.length > 0) throw new Error(`${outcome}: ${reports.join("\n")}`);
  return log().map((l) => l.text);
}

function* lookAround(u: user_process): Sleeps {
  yield* setUp(u);
  say((yield* u.ls("/sys/devices/virtual/tiny/tiny")).names);
  say((yield* u.ls("/sys/class/mdev_bus")).names);
  say((yield* u.ls("/sys/bus/mdev/drivers")).names);
  say((yield* u.ls(TYPE_DIR)).names);
  for (const file of ["name", "device_api", "available_instances"])
    say((yield* u.sysfs_read(`${TYPE_DIR}/${file}`)).text);
  say(yield* create(u));
  say((yield* u.sysfs_read(`${TYPE_DIR}/available_instances`)).text);
  say((yield* u.ls(`/sys/bus/mdev/devices/${UUID}`)).names.filter((n) => n !== "power/"));
  say((yield* u.readlink(`/sys/bus/mdev/devices/${UUID}/mdev_type`)).text);
  say((yield* u.readlink(`${TYPE_DIR}/devices/${UUID}`)).text);
  say((yield* u.readlink(`/sys/bus/mdev/devices/${UUID}/iommu_group`)).text);
  say((yield* u.ls("/sys/kernel/iommu_groups/0")).names);
  say((yield* u.sysfs_read("/sys/kernel/iommu_groups/0/name")).text);
  say((yield* u.sysfs_read("/sys/kernel/iommu_groups/0/type")).text);
  say((yield* u.ls("/sys/kernel/iommu_groups/0/devices")).names);
  say((yield* u.ls("/dev/vfio")).names);
  say((yield* u.ls(`/sys/bus/mdev/devices/${UUID}/vfio-dev`)).names);
  say(yield* remove(u));
  say((yield* u.ls("/sys/bus/mdev/devices")).names);
  say((yield* u.ls("/sys/kernel/iommu_groups")).names);
  say((yield* u.ls("/dev/vfio")).names);
  yield* tearDown(u);
  say((yield* u.ls("/sys/class")).names.filter((n) => n.startsWith("vfio") || n.startsWith("mdev")));
}
test.serial("what user space sees of types and devices", (t) => {
  const lines = inUserSpace(lookAround);
  t.deepEqual(results, [
    ["mdev_supported_types/", "power/", "subsystem@", "uevent"],
    ["tiny@"],
    ["tiny/"],
    ["available_instances", "create", "device_api", "devices/", "name"],
    "Tiny device\n",
    "vfio-ccw\n",
    "2\n",
    UUID.length,
    "1\n",
    ["driver@", "iommu_group@", "mdev_type@", "remove", "subsystem@", "uevent", "vfio-dev/"],
    "../mdev_supported_types/tiny-io",
    `../../../${UUID}`,
    "../../../../../kernel/iommu_groups/0",
    ["devices/", "name", "reserved_regions", "type"],
    "vfio-noiommu\n",
    "unknown\n",
    [`${UUID}@`],
    ["0", "vfio"],
    ["vfio0/"],
    1,
    [],
    [],
    ["vfio"],
    [],
  ]);
  t.deepEqual(
    lines.filter((l) => /VFIO|MDEV|iommu group/.test(l)),
    [
      "VFIO - User Level meta-driver version: 0.3",
      "tiny tiny: MDEV: Registered",
      `tiny ${UUID}: Adding to iommu group 0`,
      `tiny ${UUID}: Removing from iommu group 0`,
      "tiny tiny: MDEV: Unregistering",
    ],
  );
  t.deepEqual(tiny.events, ["init", "release"]);
  t.deepEqual(
    uevents()
      .filter((e) => e.env.some((v) => v.startsWith("MDEV_STATE")))
      .map((e) => e.env.filter((v) => /^(ACTION|DEVPATH|MDEV)/.test(v))),
    [
      ["ACTION=change", "DEVPATH=/devices/virtual/tiny/tiny", "MDEV_STATE=registered"],
      ["ACTION=change", "DEVPATH=/devices/virtual/tiny/tiny", "MDEV_STATE=unregistered"],
    ],
  );
});

interface Refused {
  readonly name: string;
  readonly uuids: readonly string[];
  readonly results: readonly number[];
}
const cases: readonly Refused[] = [
  { name: "a duplicate", uuids: [UUID, UUID], results: [36, -EEXIST] },
  { name: "a duplicate in other letters", uuids: [UUID, UUID.toUpperCase()], results: [36, -EEXIST] },
  {
    name: "more than max_instances",
    uuids: [UUID, OTHER_UUID, UUID.replace("1001", "1003")],
    results: [36, 36, -EUSERS],
  },
  { name: "too short", uuids: [UUID.slice(1)], results: [-EINVAL] },
  { name: "too long", uuids: [`${UUID}\nx`], results: [-EINVAL] },
  { name: "a newline", uuids: [`${UUID}\n`], results: [37] },
  { name: "a character behind it", uuids: [`${UUID}x`], results: [37] },
  { name: "a letter that is no digit", uuids: [UUID.replace("8", "g")], results: [-EINVAL] },
];
for (const c of cases) {
  test.serial(`create: ${c.name}`, (t) => {
    function* body(u: user_process): Sleeps {
      yield* setUp(u);
      for (const uuid of c.uuids) say(yield* create(u, uuid));
      yield* tearDown(u);
    }
    inUserSpace(body);
    t.deepEqual(results, [...c.results]);
  });
}

/** What of vfio and mdev is alive, by struct. */
function alive(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { type } of live_memory())
    if (/vfio|mdev|iommu|tiny|group_device/.test(type)) found[type] = (found[type] ?? 0) + 1;
  return found;
}

/** create() fails at every allocation in turn. Two places are not as they should be, in C as here. */
function* createWithFault(u: user_process, nth: number): Sleeps {
  yield* setUp(u);
  set_fail_nth(nth, { all_tasks: true });
  const ret = yield* create(u);
  set_fail_nth(0);
  say(ret);
  if (ret > 0) yield* remove(u);
  say(alive());
  say(Number((yield* u.sysfs_read(`${TYPE_DIR}/available_instances`)).text));
  yield* tearDown(u);
}
test.serial("create: whatever allocation fails, nothing is left", (t) => {
  const odd = new Set<string>();
  for (let nth = 1; ; nth++) {
    start((u) => createWithFault(u, nth));
    t.is(run(), "done");
    const [fault] = fault_injections();
    if (!fault) break;
    const [ret, left, available] = results as [number, Record<string, number>, number];
    t.true(ret === UUID.length || ret === -ENOMEM);
    if (left.iommu_group)
      odd.add(
        `a group is left, ${found()
          .map((r) => r.title)
          .join()}`,
      );
    else if (available !== 2) odd.add(`an instance is lost in ${fault.place}`);
    else t.deepEqual(found(), []);
    t.deepEqual({ ...left, iommu_group: 1 }, { vfio_iommu_driver: 1, iommu_group: 1 });
  }
  t.deepEqual(
    [...odd],
    ["an instance is lost in mdev_device_create [mdev]", "a group is left, WARNING: vfio_group_release [vfio]"],
  );
});

function* wait(seconds: number): Sleeps {
  yield* msleep(seconds * 1000);
}
function* removeLater(u: user_process): Sleeps {
  yield* u.sleep_ms(1000);
  tiny.events.push(`remove ${yield* remove(u)}`);
}
function* holdOpen(u: user_process): Sleeps {
  yield* setUp(u);
  yield* create(u);
  // Before the open: a child has its parent's descriptors.
  yield* u.fork(removeLater);
  const opened = yield* open(u);
  yield* u.sleep_ms(26000);
  tiny.events.push("closing");
  yield* close(u, opened);
  yield* u.sleep_ms(1000);
  yield* tearDown(u);
}
test.serial("remove waits for an open device and asks for it every ten seconds", (t) => {
  inUserSpace(holdOpen);
  t.deepEqual(tiny.events, [
    "init",
    "open",
    "request 0 at 1",
    "request 1 at 11",
    "request 2 at 21",
    "closing",
    "close",
    "release",
    "remove 1",
  ]);
});

function* removeInterrupted(u: user_process): Sleeps {
  yield* setUp(u);
  yield* create(u);
  const pid = yield* u.fork(removeLater);
  const opened = yield* open(u);
  yield* u.sleep_ms(3000);
  yield* u.kill(pid, SIGTERM);
  yield* u.sleep_ms(20000);
  yield* close(u, opened);
  yield* u.sleep_ms(1000);
  yield* tearDown(u);
}
test.serial("a signal does not end that wait, but is told of", (t) => {
  const lines = inUserSpace(removeInterrupted);
  t.true(
    lines.some((l) =>
      /^tiny .*: Device is currently in use, task "init" \(\d+\) blocked until device is released$/.test(l),
    ),
  );
  // The request that follows the signal comes at once, then the pace is as before. The killed process says no more.
  t.deepEqual(tiny.events, ["init", "open", "request 0 at 1", "request 1 at 3", "request 2 at 13", "close", "release"]);
});

function* removeTwice(u: user_process): Sleeps {
  yield* setUp(u);
  yield* create(u);
  yield* u.fork(removeLater);
  yield* u.fork(removeAgain);
  const opened = yield* open(u);
  yield* u.sleep_ms(5000);
  say(yield* create(u));
  yield* close(u, opened);
  yield* u.sleep_ms(1000);
  say(yield* create(u));
  yield* tearDown(u);
}
function* removeAgain(u: user_process): Sleeps {
  yield* u.sleep_ms(2000);
  // The file took itself away before it began to wait.
  say(yield* remove(u));
}
test.serial("remove while somebody removes", (t) => {
  inUserSpace(removeTwice);
  t.deepEqual(results, [-ENOENT, -EEXIST, UUID.length]);
});

function* unregister(): Sleeps {
  yield* wait(1);
  tiny.events.push("unregister");
  yield* unloadTiny();
  tiny.events.push("unregistered");
}
function* parentGoes(u: user_process): Sleeps {
  yield* setUp(u);
  yield* create(u);
  const opened = yield* open(u);
  spawn("rmmod", unregister());
  const other = yield* u.open(`${TYPE_DIR}/create`, O_WRONLY);
  yield* u.sleep_ms(2000);
  say(
    yield* u.write_bytes(
      other,
      Uint8Array.from(OTHER_UUID, (c) => c.charCodeAt(0)),
    ),
  );
  say(yield* remove(u));
  yield* close(u, opened);
  yield* u.close(other);
  yield* u.sleep_ms(1000);
}
test.serial("the parent goes while a device is open", (t) => {
  inUserSpace(parentGoes);
  // device_del() takes the files and the links away before it comes to the driver, which blocks.
  t.deepEqual(results, [-ENODEV, -ENOENT]);
  t.deepEqual(tiny.events, ["init", "open", "unregister", "request 0 at 1", "close", "release", "unregistered"]);
});
