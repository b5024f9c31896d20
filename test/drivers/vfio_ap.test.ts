// SPDX-License-Identifier: GPL-2.0-only
/** vfio_ap on the machine's adjunct processors: queues, matrix devices and the guests that have them, with what the C does wrong. */
import test from "ava";
import { EADDRINUSE, EADDRNOTAVAIL, EBUSY, EINVAL, ENODEV, EOPNOTSUPP, EPERM, EWOULDBLOCK } from "#linux/errno.ts";
import type { bitmap } from "#linux/bitmap.ts";
import type { file } from "#linux/fs.ts";
import { type kvm, kvm_s390_crypto_cb, kvm_vcpu } from "#linux/kvm_host.ts";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import { ap_hw } from "../../kernel/arch/s390/ap.ts";
import { debug_find } from "../../kernel/arch/s390/debug.ts";
import { fput } from "../../kernel/fs/file_table.ts";
import { fget } from "../../kernel/fs/file.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { fault_injections, make_it_fail, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { uevents } from "../../kernel/lib/kobject_uevent.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import { ready_int, type Sleeps } from "../../kernel/sched/types.ts";
import { clock } from "../../kernel/time/clock.ts";
import { kvm_s390_intercept_pqap } from "../../kernel/virt/kvm_s390.ts";
import {
  AP_MACHINE,
  assign,
  closeGuest,
  create,
  type Guest,
  loadModules,
  mask,
  type MatrixFile,
  openForGuest,
  queueStatus,
  rescan,
  setUp,
  show,
  tearDown,
  unloadModules,
} from "../helpers/ap.ts";
import { close, mapDma, open, OTHER_UUID, remove, UUID, VFIO_DEVICE_RESET } from "../helpers/ccw.ts";
import { addGroup, closeVm, createVm, setMemory } from "../helpers/kvm.ts";
import "../../drivers/s390/cio/css.ts";
import "../../drivers/s390/crypto/ap_bus.ts";
import "../../drivers/s390/crypto/vfio_ap_drv.ts";
import "../../drivers/vfio/mdev/mdev_core.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/vfio_main.ts";
import "../../kernel/virt/kvm_main.ts";
import "../modules/ap_default.ts";

type Body = (u: user_process) => Sleeps;

const results: unknown[] = [];
const say = (x: unknown): void => void results.push(x);

/** kvm->lock is taken with the group's lock held at the first open, and the other way round when the machine's VFIO device is closed. */
const CIRCULAR = "WARNING: possible circular locking dependency detected";

interface Ran {
  readonly outcome: string;
  readonly titles: string[];
}
function play(...bodies: readonly Body[]): Ran {
  return playOn(AP_MACHINE, ...bodies);
}
function playOn(machine: object, ...bodies: readonly Body[]): Ran {
  results.splice(0);
  boot({ ...machine, stacks: false });
  for (const [i, body] of bodies.entries()) run_user(i === 0 ? "init" : `other${i}`, body);
  const outcome = run();
  if (outcome === "done") kmemleak_scan();
  return { outcome, titles: found().map((r) => r.title) };
}
const WELL: Ran = { outcome: "done", titles: [] };
const AS_WELL_AS_LINUX: Ran = { outcome: "done", titles: [CIRCULAR] };

function* within(u: user_process, body: Body): Sleeps {
  yield* setUp(u);
  yield* create(u);
  yield* body(u);
  yield* remove(u);
  yield* tearDown(u);
}
const withMdev =
  (body: Body): Body =>
  (u) =>
    within(u, body);

function* giveQueues(u: user_process, uuid = UUID): Sleeps {
  for (const adapter of [5, 6]) yield* assign(u, "assign_adapter", adapter, uuid);
  for (const domain of [4, 0x2b]) yield* assign(u, "assign_domain", domain, uuid);
}

/** Calls `look` with the machine behind a "kvm-vm" file. */
function* withKvm(u: user_process, vm: number, look: (machine: kvm) => Sleeps<number>): Sleeps<number> {
  const f: file[] = [];
  yield* u.syscall(() => (f.push(fget(vm)!), ready_int(0)));
  const ret = yield* u.syscall(() => look(f[0]!.private_data as kvm));
  yield* u.syscall(() => (fput(f[0]!), ready_int(0)));
  return ret;
}
/** What the guest behind a "kvm-vm" file may use. */
function* guestMasks(u: user_process, vm: number): Sleeps<string> {
  let text = "";
  yield* withKvm(u, vm, (machine) => {
    const { apm, aqm, adm } = machine.arch.crypto.crycb!.apcb1;
    text = [apm, aqm, adm].map((m) => bits(m)).join(" ");
    return ready_int(0);
  });
  return text;
}
function bits(map: bitmap): string {
  const all: string[] = [];
  for (let w = 0; w < 4; w++)
    for (let b = 0; b < 64; b++) if ((map.at(w) >> BigInt(63 - b)) & 1n) all.push((64 * w + b).toString(16));
  return all.join(",") || "-";
}

function* lookAround(u: user_process): Sleeps {
  say((yield* u.ls("/sys/bus/ap/devices")).names);
  say((yield* u.ls("/sys/devices/ap/card05/05.0004")).names.filter((n) => n !== "power/"));
  for (const file of ["apmask", "ap_max_adapter_id", "ap_max_domain_id", "bindings", "ap_domain", "config_time"])
    say((yield* u.sysfs_read(`/sys/bus/ap/${file}`)).text.trim());
  yield* u.finit_module("ap_default");
  say((yield* u.sysfs_read("/sys/bus/ap/bindings")).text.trim());
  yield* loadModules(u);
  say(yield* queueStatus(u, "05.0004"));
  say(yield* mask(u, "apmask", "-5"));
  say(yield* queueStatus(u, "05.0004"));
  say(yield* queueStatus(u, "06.0004"));
  say((yield* u.ls("/sys/devices/vfio_ap/matrix")).names.filter((n) => n !== "power/"));
  say((yield* u.ls("/sys/bus/matrix/drivers/vfio_ap")).names);
  say((yield* u.ls("/sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough")).names);
  const type = "/sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough";
  for (const file of ["name", "device_api", "available_instances"])
    say((yield* u.sysfs_read(`${type}/${file}`)).text.trim());
  yield* create(u);
  say((yield* u.ls(`/sys/bus/mdev/devices/${UUID}`)).names.filter((n) => /assign|matrix|domain/.test(n)));
  yield* remove(u);
  yield* mask(u, "apmask", "+5");
  yield* unloadModules(u);
  yield* u.delete_module("ap_default");
}
test.serial("what user space sees", (t) => {
  t.deepEqual(play(lookAround), WELL);
  t.deepEqual(results, [
    ["05.0004@", "05.002b@", "05.0047@", "06.0004@", "06.002b@", "06.0047@", "card05@", "card06@"],
    ["chkstop", "config", "subsystem@", "uevent"],
    `0x${"f".repeat(64)}`,
    "63",
    "84",
    "0/6",
    "4",
    "30",
    "6/6 (complete)",
    "ap_default",
    2,
    "vfio_ap unassigned",
    "ap_default",
    ["mdev_supported_types/", "subsystem@", "driver@", "uevent"].sort(),
    ["matrix@", "uevent"],
    ["available_instances", "create", "device_api", "devices/", "name"],
    "VFIO AP Passthrough Device",
    "vfio-ap",
    "65536",
    [
      "assign_adapter",
      "assign_control_domain",
      "assign_domain",
      "control_domains",
      "guest_matrix",
      "matrix",
      "unassign_adapter",
      "unassign_control_domain",
      "unassign_domain",
    ],
  ]);
  const masks = uevents().flatMap((e) => e.env.filter((v) => /^(APMASK|INITSCAN|BINDINGS)/.test(v)));
  t.deepEqual(masks.slice(0, 3), ["INITSCAN=done", "BINDINGS=complete", "BINDINGS=complete"]);
  t.is(masks.filter((m) => m.startsWith("APMASK")).length, 2);
});

test.serial("without the instructions there is neither bus nor driver", (t) => {
  function* body(u: user_process): Sleeps {
    for (const module of ["vfio", "mdev", "kvm"]) yield* u.finit_module(module);
    say(yield* u.finit_module("vfio_ap"));
    say(yield* u.exists("/sys/bus/ap"));
  }
  const { outcome, titles } = playOn({}, body);
  t.deepEqual(results, [-ENODEV, false]);
  t.deepEqual({ outcome, titles }, WELL);
  // What was registered first is not given back: the log stays.
  t.not(debug_find("vfio_ap"), null);
  t.true(log().some((l) => l.text === "ap: The hardware system does not support AP instructions"));
});

type Step = readonly [MatrixFile | "apmask" | "aqmask", number | string, number];
interface Assignments {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly matrix: string;
  readonly guest?: string;
  readonly control?: string;
  /** Steps on another mdev before these. */
  readonly others?: readonly Step[];
}
const assignments: readonly Assignments[] = [
  {
    name: "adapters, then domains",
    steps: [
      ["assign_adapter", 5, 1],
      ["assign_adapter", "0x6", 3],
      ["assign_domain", 4, 1],
      ["assign_domain", "0x2b", 4],
    ],
    matrix: "05.0004 05.002b 06.0004 06.002b",
  },
  {
    name: "domains, then adapters",
    steps: [
      ["assign_domain", 4, 1],
      ["assign_domain", "053", 3],
      ["assign_adapter", 6, 1],
    ],
    matrix: "06.0004 06.002b",
  },
  {
    name: "adapters only",
    steps: [
      ["assign_adapter", 5, 1],
      ["assign_adapter", 6, 1],
    ],
    matrix: "05. 06.",
  },
  { name: "domains only", steps: [["assign_domain", 4, 1]], matrix: ".0004" },
  {
    name: "again what it has",
    steps: [
      ["assign_adapter", 5, 1],
      ["assign_adapter", 5, 1],
      ["unassign_adapter", 6, 1],
    ],
    matrix: "05.",
  },
  {
    name: "what is no number, and what is too big",
    steps: [
      ["assign_adapter", "five", -EINVAL],
      ["assign_adapter", "-1", -EINVAL],
      ["assign_adapter", 64, -ENODEV],
      ["assign_adapter", 63, 2],
      ["assign_domain", 85, -ENODEV],
      ["unassign_domain", 85, -ENODEV],
      ["assign_control_domain", 85, -ENODEV],
      ["unassign_control_domain", "x", -EINVAL],
    ],
    matrix: "3f.",
    guest: "",
  },
  {
    name: "what belongs to the host",
    steps: [
      ["assign_domain", 4, 1],
      ["assign_adapter", 7, -EADDRNOTAVAIL],
      ["assign_adapter", 5, 1],
    ],
    matrix: "05.0004",
  },
  {
    name: "a whole adapter that the host has, with no domain yet",
    steps: [
      ["assign_adapter", 7, 1],
      ["assign_domain", 4, -EADDRNOTAVAIL],
      ["unassign_adapter", 7, 1],
      ["assign_domain", 4, 1],
    ],
    matrix: ".0004",
  },
  {
    name: "what another mdev has",
    others: [
      ["assign_adapter", 5, 1],
      ["assign_domain", 4, 1],
    ],
    steps: [
      ["assign_domain", 4, 1],
      ["assign_adapter", 5, -EADDRINUSE],
      ["assign_adapter", 6, 1],
      ["assign_domain", 5, 1],
    ],
    matrix: "06.0004 06.0005",
    guest: "06.0004",
  },
  {
    name: "the other order of the same",
    others: [
      ["assign_adapter", 5, 1],
      ["assign_domain", 4, 1],
    ],
    steps: [
      ["assign_adapter", 5, 1],
      ["assign_domain", 4, -EADDRINUSE],
      ["assign_domain", "0x2b", 4],
    ],
    matrix: "05.002b",
  },
  {
    name: "what is taken away again",
    steps: [
      ["assign_adapter", 5, 1],
      ["assign_adapter", 6, 1],
      ["assign_domain", 4, 1],
      ["assign_domain", "0x2b", 4],
      ["unassign_adapter", 5, 1],
      ["unassign_domain", 4, 1],
    ],
    matrix: "06.002b",
  },
  {
    name: "a domain that the machine has and the guest cannot get: the whole adapters are left out",
    steps: [
      ["assign_adapter", 5, 1],
      ["assign_domain", 4, 1],
      ["assign_domain", 5, 1],
    ],
    matrix: "05.0004 05.0005",
    guest: "05.0004",
  },
  {
    name: "control domains, also such that the machine does not have",
    steps: [
      ["assign_control_domain", 4, 1],
      ["assign_control_domain", 5, 1],
      ["assign_control_domain", 9, 1],
      ["unassign_control_domain", 5, 1],
      ["unassign_control_domain", 6, 1],
    ],
    matrix: "",
    control: "0004 0009",
  },
  {
    name: "queues in use stay from the host",
    steps: [
      ["assign_adapter", 5, 1],
      ["assign_domain", 4, 1],
      ["apmask", "+5", -EBUSY],
      ["aqmask", "+4", 2],
      ["apmask", "+6", 2],
    ],
    matrix: "05.0004",
  },
];
function* doSteps(u: user_process, steps: readonly Step[], uuid: string): Sleeps<number[]> {
  const rets: number[] = [];
  for (const [file, what] of steps)
    rets.push(
      file === "apmask" || file === "aqmask" ? yield* mask(u, file, String(what)) : yield* assign(u, file, what, uuid),
    );
  return rets;
}
for (const c of assignments) {
  test.serial(`assign: ${c.name}`, (t) => {
    function* body(u: user_process): Sleeps {
      if (c.others) {
        yield* create(u, OTHER_UUID);
        yield* doSteps(u, c.others, OTHER_UUID);
      }
      say(yield* doSteps(u, c.steps, UUID));
      say(yield* show(u, "matrix"));
      say(yield* show(u, "guest_matrix"));
      say(yield* show(u, "control_domains"));
      if (c.others) yield* remove(u, OTHER_UUID);
    }
    t.deepEqual(play(withMdev(body)), WELL);
    const matrix = /^[0-9a-f.]* ?/.test(c.matrix) ? c.matrix : "";
    t.deepEqual(results, [c.steps.map(([, , ret]) => ret), c.matrix, c.guest ?? matrix, c.control ?? ""]);
  });
}

test.serial("who has a queue is told: the sharing that was refused, and the mask", (t) => {
  function* body(u: user_process): Sleeps {
    yield* giveQueues(u);
    yield* create(u, OTHER_UUID);
    yield* assign(u, "assign_domain", 4, OTHER_UUID);
    say(yield* assign(u, "assign_adapter", 5, OTHER_UUID));
    yield* remove(u, OTHER_UUID);
  }
  t.deepEqual(play(withMdev(body)), WELL);
  t.deepEqual(results, [-EADDRINUSE]);
  t.deepEqual(
    log()
      .map((l) => l.text)
      .filter((l) => l.includes("queue")),
    [`vfio_ap_mdev ${OTHER_UUID}: Userspace may not assign queue 05.0004 to mdev: already assigned to ${UUID}`],
  );
});

function* guestLife(u: user_process): Sleeps {
  yield* giveQueues(u);
  yield* assign(u, "assign_control_domain", 5);
  const guest = yield* openForGuest(u);
  say(yield* queueStatus(u, "05.0004"));
  say(yield* guestMasks(u, guest.vm.vm));
  say(yield* assign(u, "unassign_adapter", 5));
  say(yield* guestMasks(u, guest.vm.vm));
  say(yield* queueStatus(u, "05.0004"));
  say(yield* assign(u, "assign_adapter", 5));
  say(yield* guestMasks(u, guest.vm.vm));
  say(yield* assign(u, "unassign_control_domain", 5));
  say(yield* assign(u, "unassign_domain", 4));
  say(yield* guestMasks(u, guest.vm.vm));
  const before = ap_hw.resets(6, 0x2b);
  say(yield* u.ioctl(guest.opened.device, VFIO_DEVICE_RESET, 0n));
  say(ap_hw.resets(6, 0x2b) - before);
  const info = yield* u.ioctl_bytes(guest.opened.device, 0x3b64 + 7, Uint8Array.of(0, 0, 0, 20, ...new Uint8Array(16)));
  say([info.ret, Buffer.from(info.bytes).toString("hex")]);
  say((yield* u.ioctl_bytes(guest.opened.device, 0x3b64 + 7, new Uint8Array(20))).ret);
  say(yield* u.ioctl(guest.opened.device, 0x3b64 + 8, 0n));
  yield* close(u, guest.opened);
  say(yield* guestMasks(u, guest.vm.vm));
  yield* closeVm(u, guest.vm);
}
test.serial("a guest gets what is assigned, as it changes, and loses it when the device is closed", (t) => {
  t.deepEqual(play(withMdev(guestLife)), AS_WELL_AS_LINUX);
  t.deepEqual(results, [
    "vfio_ap in use",
    "5,6 4,2b 5",
    1,
    "6 4,2b 5",
    "vfio_ap unassigned",
    1,
    "5,6 4,2b 5",
    1,
    1,
    "5,6 2b -",
    0,
    1,
    [0, "00000014000000210000000000000000" + "00000000"],
    -EINVAL,
    -EOPNOTSUPP,
    "- - -",
  ]);
});

interface Opening {
  readonly name: string;
  readonly body: Body;
  readonly results: readonly unknown[];
  readonly ran?: Ran;
}
function* withoutGuest(u: user_process): Sleeps {
  const opened = yield* open(u);
  say(opened.device);
  yield* close(u, opened);
}
/* The hook of the machine has been turned to the second mdev before it is refused, and nobody turns it back. */
function* twoForOne(u: user_process): Sleeps {
  yield* create(u, OTHER_UUID);
  const first = yield* openForGuest(u);
  const second = yield* openForGuest(u, OTHER_UUID, first.vm);
  say(second.opened.device);
  yield* withKvm(u, first.vm.vm, ({ arch }) => (say(arch.crypto.pqap_hook !== null), ready_int(0)));
  yield* close(u, second.opened);
  yield* closeGuest(u, first);
  yield* remove(u, OTHER_UUID);
}
function* secondMachine(u: user_process): Sleeps {
  const vm = yield* createVm(u);
  const guest = yield* openForGuest(u);
  say(yield* addGroup(u, vm, guest.opened.group));
  yield* closeGuest(u, guest);
  yield* closeVm(u, vm);
}
/* The last reference of the machine is dropped with its lock held, which is then given back. */
function* machineFirst(u: user_process): Sleeps {
  const guest = yield* openForGuest(u);
  yield* closeVm(u, guest.vm);
  yield* close(u, guest.opened);
}
const openings: readonly Opening[] = [
  { name: "without a machine", body: withoutGuest, results: [-EINVAL], ran: WELL },
  { name: "two devices for one machine", body: twoForOne, results: [-EPERM, true] },
  { name: "a second machine for the group", body: secondMachine, results: [0] },
  {
    name: "the machine is closed first",
    body: machineFirst,
    results: [],
    ran: {
      outcome: "done",
      titles: [CIRCULAR, "BUG: KASAN: use-after-free in mutex_unlock"],
    },
  },
];
for (const c of openings) {
  test.serial(`open: ${c.name}`, (t) => {
    t.deepEqual(play(withMdev(c.body)), c.ran ?? AS_WELL_AS_LINUX);
    t.deepEqual(results, [...c.results]);
  });
}

/** One process has the device for 25 seconds, another does something to it meanwhile. */
function whileOpen(take: Body): Ran {
  const state: { guest: Guest | null } = { guest: null };
  function* owner(u: user_process): Sleeps {
    yield* setUp(u);
    yield* create(u);
    yield* giveQueues(u);
    const guest = yield* openForGuest(u);
    state.guest = guest;
    yield* u.sleep_ms(25_000);
    yield* closeGuest(u, guest);
  }
  function* taker(u: user_process): Sleeps {
    while (!state.guest) yield* u.sleep_ms(10);
    yield* take(u);
    while (clock.ns < 40e9) yield* u.sleep_ms(1000);
    yield* remove(u);
    yield* tearDown(u);
  }
  return play(owner, taker);
}
function* removeOpen(u: user_process): Sleeps {
  say(yield* remove(u));
  say(Math.round(clock.ns / 1e9));
}
function* unloadOpen(u: user_process): Sleeps {
  say(yield* u.delete_module("vfio_ap"));
}
function* unplugAdapter(u: user_process): Sleeps {
  ap_hw.unplug(5);
  say(yield* rescan(u));
  say(yield* u.exists("/sys/bus/ap/devices/card05"));
  say(yield* show(u, "matrix"));
  say(yield* show(u, "guest_matrix"));
  ap_hw.plug({ id: 5 });
  say(yield* rescan(u));
  say(yield* queueStatus(u, "05.0004"));
  say(yield* show(u, "guest_matrix"));
}
/* Whether anything is left decides whether the guest is told. */
function* unplugAll(u: user_process): Sleeps {
  yield* assign(u, "unassign_adapter", 6);
  ap_hw.unplug(5);
  yield* rescan(u);
  say(yield* u.exists("/sys/bus/ap/devices/card05"));
  say(yield* show(u, "guest_matrix"));
  for (const mem of live_memory()) if (mem.root instanceof kvm_s390_crypto_cb) say(bits(mem.root.apcb1.apm));
}
function* unbindQueue(u: user_process): Sleeps {
  say(yield* u.sysfs_write("/sys/bus/ap/drivers/vfio_ap/unbind", "05.0004"));
  say(yield* show(u, "guest_matrix"));
  say(yield* u.sysfs_write("/sys/bus/ap/drivers/vfio_ap/bind", "05.0004"));
  say(yield* show(u, "guest_matrix"));
}
const taken: readonly Opening[] = [
  { name: "the mdev is removed: that waits, as nobody can be asked", body: removeOpen, results: [1, 25] },
  { name: "the module is to be unloaded", body: unloadOpen, results: [-EWOULDBLOCK] },
  {
    name: "an adapter is pulled, and plugged again",
    body: unplugAdapter,
    results: [
      1,
      false,
      "05.0004 05.002b 06.0004 06.002b",
      "06.0004 06.002b",
      1,
      "vfio_ap in use",
      "05.0004 05.002b 06.0004 06.002b",
    ],
  },
  {
    name: "the last of its adapters is pulled: the guest keeps it",
    body: unplugAll,
    results: [false, ".0004 .002b", "5"],
  },
  {
    name: "a queue is unbound, and bound again",
    body: unbindQueue,
    results: [7, "06.0004 06.002b", 7, "05.0004 05.002b 06.0004 06.002b"],
  },
];
for (const c of taken) {
  test.serial(`while it is open: ${c.name}`, (t) => {
    t.deepEqual(whileOpen(c.body), c.ran ?? AS_WELL_AS_LINUX);
    t.deepEqual(results, [...c.results]);
  });
}

/* The guest's kvm is used without looking whether there is one. */
test.serial(
  "an adapter is pulled while an mdev without a guest exists: the callback of the scan falls over it",
  (t) => {
    function* body(u: user_process): Sleeps {
      yield* giveQueues(u);
      ap_hw.unplug(6);
      yield* rescan(u);
    }
    t.deepEqual(play(withMdev(body)), {
      outcome: "oops",
      titles: ["BUG: kernel NULL pointer dereference in vfio_ap_mdev_cfg_remove [vfio_ap]"],
    });
  },
);

/* No driver for a queue that changes hands: its flags are looked at all the same. */
test.serial("apmask is written while a queue has no driver", (t) => {
  function* body(u: user_process): Sleeps {
    yield* mask(u, "apmask", "-5");
  }
  t.deepEqual(play(body), {
    outcome: "oops",
    titles: ["BUG: kernel NULL pointer dereference in __ap_revise_reserved"],
  });
});

interface Reset {
  readonly name: string;
  readonly before: () => void;
  readonly ret: number;
  readonly guest: string;
  readonly titles?: readonly string[];
}
const resets: readonly Reset[] = [
  { name: "at once", before: () => undefined, ret: 0, guest: "05.0004 05.002b 05.0047 06.0004 06.002b 06.0047" },
  { name: "switched off", before: () => ap_hw.configure(5, false), ret: -EBUSY, guest: "06.0004 06.002b 06.0047" },
  { name: "checkstopped", before: () => ap_hw.checkstop(5, true), ret: -EBUSY, guest: "06.0004 06.002b 06.0047" },
  { name: "gone", before: () => ap_hw.unplug(6), ret: -EBUSY, guest: "05.0004 05.002b 05.0047" },
  {
    name: "slow: it is verified at the second look, which the warning takes for none",
    before: () => ap_hw.set_reset_ms(15),
    titles: ["WARNING: vfio_ap_mdev_reset_queue [vfio_ap]"],
    ret: 0,
    guest: "05.0004 05.002b 05.0047 06.0004 06.002b 06.0047",
  },
];
for (const c of resets) {
  test.serial(`reset of queues: ${c.name}`, (t) => {
    function* body(u: user_process): Sleeps {
      yield* giveQueues(u);
      const guest = yield* openForGuest(u);
      c.before();
      say(yield* u.ioctl(guest.opened.device, VFIO_DEVICE_RESET, 0n));
      // What the guest gets is worked out anew.
      yield* assign(u, "assign_domain", 0x47);
      say(yield* show(u, "guest_matrix"));
      yield* closeGuest(u, guest);
    }
    const { titles } = play(withMdev(body));
    t.deepEqual(results, [c.ret, c.guest]);
    t.deepEqual(titles, [...(c.titles ?? []), CIRCULAR]);
  });
}

const NIB = 0x5000n;
interface Pqap {
  readonly name: string;
  readonly apqn: number;
  readonly ir: boolean;
  readonly nib?: bigint;
  readonly code: number;
  readonly ret?: number;
  readonly aiv?: boolean;
  readonly again?: number;
}
const pqaps: readonly Pqap[] = [
  { name: "on", apqn: 0x504, ir: true, code: 0, again: 7 },
  { name: "off, when it is", apqn: 0x504, ir: false, code: 7 },
  { name: "of a queue that the guest does not have", apqn: 0x547, ir: true, code: 1 },
  { name: "without an address", apqn: 0x504, ir: true, nib: 0n, code: 6 },
  { name: "with an address outside of its memory", apqn: 0x504, ir: true, nib: 0x900000n, code: 6 },
  { name: "with an address that is not mapped for devices", apqn: 0x504, ir: true, nib: 0x8000n, code: 6 },
  { name: "without the facility", apqn: 0x504, ir: true, code: 0, ret: -EOPNOTSUPP, aiv: false },
];
function* execute(u: user_process, vm: number, c: Pqap): Sleeps<{ ret: number; code: number }> {
  const vcpu = new kvm_vcpu();
  const ret = yield* withKvm(u, vm, (machine) => {
    vcpu.kvm = machine;
    vcpu.eca = c.aiv === false ? 0 : 0x00200000;
    vcpu.run.gprs.set(0, BigInt(c.apqn) | (3n << 24n));
    vcpu.run.gprs.set(1, (c.ir ? 1n << 47n : 0n) | 3n);
    vcpu.run.gprs.set(2, c.nib ?? NIB);
    return kvm_s390_intercept_pqap(vcpu);
  });
  return { ret, code: Number((vcpu.run.gprs.at(1) >> 16n) & 0xffn) };
}
for (const c of pqaps) {
  test.serial(`interruptions of a queue: ${c.name}`, (t) => {
    function* body(u: user_process): Sleeps {
      yield* giveQueues(u);
      const guest = yield* openForGuest(u);
      const memory = yield* u.alloc(0x10000);
      yield* setMemory(u, guest.vm, 0, 0n, 0x10000n, memory);
      yield* mapDma(u, guest.opened.container, memory, 0n, 0x8000);
      const { ret, code } = yield* execute(u, guest.vm.vm, c);
      say(ret);
      if (!ret) say(code);
      if (c.again !== undefined) say((yield* execute(u, guest.vm.vm, c)).code);
      yield* closeGuest(u, guest);
    }
    t.deepEqual(play(withMdev(body)), AS_WELL_AS_LINUX);
    t.deepEqual(results, [c.ret ?? 0, ...(c.ret ? [] : [c.code]), ...(c.again === undefined ? [] : [c.again])]);
  });
}

interface Dangling {
  readonly name: string;
  readonly machine: object;
  readonly body: Body;
}
/* hash_for_each() goes on from a node that its body has taken out of the list: the rest of the bucket is not seen. */
function* sameBucket(u: user_process): Sleeps {
  yield* mask(u, "apmask", "-3,-63");
  for (const adapter of [3, 63]) yield* assign(u, "assign_adapter", adapter);
  yield* assign(u, "assign_domain", 0);
  yield* assign(u, "unassign_domain", 0);
  yield* remove(u);
  yield* mask(u, "apmask", "+3,+63");
}
/* Only queues that the guest has are put into the table of those that lose their mdev. */
function* notTheGuests(u: user_process): Sleeps {
  yield* giveQueues(u);
  yield* u.sysfs_write("/sys/bus/ap/drivers/vfio_ap/unbind", "05.002b");
  say(yield* show(u, "guest_matrix"));
  yield* assign(u, "unassign_domain", 4);
  yield* remove(u);
  for (const queue of ["05.0004", "05.002b"]) {
    if (queue === "05.0004") yield* u.sysfs_write("/sys/bus/ap/drivers/vfio_ap/unbind", queue);
    yield* u.sysfs_write("/sys/bus/ap/drivers/vfio_ap/bind", queue);
  }
}
const dangling: readonly Dangling[] = [
  {
    name: "the second one of two in a bucket",
    machine: { ap: { adapters: [{ id: 3 }, { id: 63 }], domains: [0] } },
    body: sameBucket,
  },
  { name: "one that the guest did not get", machine: AP_MACHINE, body: notTheGuests },
];
for (const c of dangling) {
  test.serial(`queues are taken from an mdev, and one keeps pointing to it: ${c.name}`, (t) => {
    t.deepEqual(playOn(c.machine, withMdev(c.body)), {
      outcome: "done",
      titles: [
        "BUG: KASAN: use-after-free in get_update_locks_for_queue [vfio_ap]",
        "BUG: KASAN: use-after-free in read",
        "BUG: KASAN: use-after-free in release_update_locks_for_mdev [vfio_ap]",
      ],
    });
  });
}

/** What is said when each allocation of a life fails in turn, in the order in which it is first said. */
function* life(u: user_process, nth: number): Sleeps {
  yield* u.finit_module("ap_default");
  make_it_fail(u.task);
  set_fail_nth(nth);
  if (yield* loadModules(u)) yield* use(u);
  make_it_fail(u.task, false);
  yield* remove(u);
  yield* mask(u, "apmask", "+5,+6");
  yield* unloadModules(u);
  yield* u.delete_module("ap_default");
}
function* use(u: user_process): Sleeps {
  yield* mask(u, "apmask", "-5,-6");
  yield* create(u);
  yield* giveQueues(u);
  const guest = yield* openForGuest(u);
  yield* closeGuest(u, guest);
  yield* assign(u, "unassign_adapter", 5);
}
/** Titles, and the row of Documentation/findings.md that explains each. */
const EXPLAINED: Readonly<Record<string, string>> = {
  "unreferenced object: buffer (size N)": "B05",
  "BUG: KASAN: use-after-free in kobject_put": "A02",
  "BUG: KASAN: use-after-free in refcount_warn_saturate": "A02",
  "WARNING: refcount_warn_saturate": "A02",
  "BUG: kernel NULL pointer dereference in __ap_revise_reserved": "A03",
  "BUG: KASAN: use-after-free in get_update_locks_for_queue [vfio_ap]": "A04",
  "BUG: KASAN: use-after-free in read": "A04",
  "BUG: KASAN: use-after-free in release_update_locks_for_mdev [vfio_ap]": "A04",
  "WARNING: vfio_group_release [vfio]": "B02",
  "BUG: kernel NULL pointer dereference in vfio_device_open [vfio]": "B03",
  "BUG: kernel NULL pointer dereference in vfio_ap_mdev_hot_unplug_adapter [vfio_ap]": "A06",
};
test.serial("each allocation fails in turn, and every report is explained", (t) => {
  t.timeout(600_000);
  const said = new Set<string>();
  let failed = 0;
  for (let nth = 1; ; nth++) {
    const { outcome, titles } = play((u) => life(u, nth));
    if (fault_injections().length === 0) break;
    failed++;
    t.true(["done", "oops"].includes(outcome), `allocation ${nth}: ${outcome}`);
    for (const title of titles) if (title !== CIRCULAR) said.add(title.replace(/(buffer) \(size \d+\)/, "$1 (size N)"));
  }
  t.true(failed > 300, String(failed));
  t.deepEqual([...said].sort(), Object.keys(EXPLAINED).sort());
});
