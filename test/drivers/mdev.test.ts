// SPDX-License-Identifier: GPL-2.0-only
/** Mediated devices through sysfs: types, creation, removal, and what stands in their way. */
import test from "ava";
import { EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOMEM, EUSERS } from "#linux/errno.ts";
import { type Sleeps } from "#linux/types.ts";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { uevents } from "../../kernel/lib/kobject_uevent.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import { msleep } from "../../kernel/sched/timeout.ts";
import { close, create, open, OTHER_UUID, remove, setUp, tearDown, tiny, tiny_state, TYPE_DIR, unloadTiny, UUID } from "./tiny-mdev.ts";

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
  for (const file of ["name", "device_api", "available_instances"]) say((yield* u.sysfs_read(`${TYPE_DIR}/${file}`)).text);
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
    ["mdev_supported_types/", "subsystem@", "uevent"],
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
    lines.filter((l) => /VFIO|MDEV|iommu/.test(l)),
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
  { name: "more than max_instances", uuids: [UUID, OTHER_UUID, UUID.replace("1001", "1003")], results: [36, 36, -EUSERS] },
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
