// SPDX-License-Identifier: GPL-2.0-only
/** The general scenarios do all that user space and the machine can do; the signs of the catalogues let nothing pass but what they are for. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import test from "ava";
import type { user_process } from "../../kernel/fs/process.ts";
import type { decision_kind, schedule } from "../../kernel/sched/decide.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { explanationOf, expectedIn, readCatalogue } from "../../tools/klab/bugs/catalogue.ts";
import { type Finding, findingsOf } from "../../tools/klab/explore/finding.ts";
import { generalScenarios } from "../../tools/klab/bugs/hunt.ts";
import { ROOT } from "../../tools/klab/paths.ts";
import { allScenarios, type Lab, runScenario, type Scenario } from "../../tools/klab/scenario.ts";
import { state as stateOf } from "../../tools/klab/states/index.ts";
import { loadState } from "../../tools/klab/states/load.ts";
import { SCH, VFIO_DEVICE_SET_IRQS } from "../helpers/ccw.ts";

/** What was called, with its plain arguments: `hw.unplug 1`, `open /dev/vfio/vfio`. */
type Note = (call: string) => void;

function words(args: readonly unknown[]): string {
  return args
    .map((a) => (typeof a === "bigint" || typeof a === "number" ? `0x${a.toString(16)}` : a))
    .filter((a) => typeof a === "string")
    .join(" ");
}
/** The eventfd that an interrupt is to be told by, after its index: user memory says it. */
function irqSet(u: user_process, arg: bigint): string {
  const set = new DataView(u.peek(arg, 24).slice().buffer);
  return ` irq ${set.getUint32(8)} ${set.getInt32(20) < 0 ? "taken away" : "set"}`;
}
/** `target`, and each call of a method told. */
function told<T extends object>(target: T, prefix: string, note: Note, arg = (a: unknown): unknown => a): T {
  return new Proxy(target, {
    get(of, name) {
      const value: unknown = Reflect.get(of, name, of);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        const more = name === "ioctl" && args[1] === VFIO_DEVICE_SET_IRQS ? irqSet(of as never, args[2] as bigint) : "";
        note(`${prefix}${String(name)} ${words(args)}${more}`);
        return Reflect.apply(value, of, args.map(arg)) as unknown;
      };
    },
  });
}
type Program = (u: user_process) => Sleeps;
function watched(lab: Lab, note: Note): Lab {
  const watch = (body: unknown): unknown =>
    typeof body === "function" ? (u: user_process) => (body as Program)(told(u, "", note, watch)) : body;
  return {
    ...lab,
    hw: told(lab.hw, "hw.", note),
    run_user: (comm, program) => lab.run_user(comm, watch(program) as Program),
  };
}
/** Each thing that may happen, one after the other, whenever it is asked; everything else the quiet way. */
class EachInTurn implements schedule {
  readonly interferes = true;
  #next: number;
  constructor(first: number) {
    this.#next = first;
  }
  decide(kind: decision_kind, n: number): number {
    return kind === "event" ? this.#next++ % n : 0;
  }
}
/** Further than any list of happenings is long, in steps that meet each of them while the device is open. */
const TURNS = [0, 5, 10, 15, 20];

const SYSFS = "/sys/bus";
/** What there is to be done, and how it is known. */
const ACTIONS: readonly (readonly [string, RegExp])[] = [
  ["insmod", /^finit_module vfio_ccw/],
  ["rmmod of the driver", /^delete_module vfio_ccw/],
  ["rmmod of mdev", /^delete_module mdev/],
  ["rmmod of vfio", /^delete_module vfio /],
  ["bind", new RegExp(`^sysfs_write ${SYSFS}/css/drivers/vfio_ccw/bind`)],
  ["unbind", new RegExp(`^sysfs_write ${SYSFS}/css/drivers/vfio_ccw/unbind`)],
  ["create", new RegExp(`^sysfs_write ${SYSFS}/css/devices/${SCH}/.*/create`)],
  ["remove", new RegExp(`^sysfs_write ${SYSFS}/mdev/devices/.*/remove`)],
  ["open", /^ioctl 0x\w+ 0x3b6a /],
  ["close", /^close /],
  ["kill", /^kill 0x\w+ 0x9/],
  ["ioctl: what the device is", /^ioctl 0x\w+ 0x3b6b /],
  ["ioctl: its regions", /^ioctl 0x\w+ 0x3b6c /],
  ["ioctl: its interrupts", /^ioctl 0x\w+ 0x3b6d /],
  ["ioctl: reset", /^ioctl 0x\w+ 0x3b6f /],
  ["ioctl: map", /^ioctl 0x\w+ 0x3b71 /],
  ["ioctl: unmap", /^ioctl 0x\w+ 0x3b72 /],
  ...["I/O", "CRW", "request"].flatMap((what, irq) =>
    ["set", "taken away"].map((how) => [`${what} eventfd ${how}`, new RegExp(`^ioctl .* irq ${irq} ${how}`)] as const),
  ),
  ["write: start", /^pwrite_bytes 0x\w+ 0x0$/],
  ["write: halt or clear", /^pwrite_bytes 0x\w+ 0x400$/],
  ["read: the I/O region", /^pread_bytes 0x\w+ 0x7c 0x0$/],
  ["read: the schib", /^pread_bytes 0x\w+ 0x\w+ 0x800$/],
  ["read: channel report words", /^pread_bytes 0x\w+ 0x\w+ 0xc00$/],
  ["read: an eventfd", /^eventfd_read/],
  ["reboot", /^reboot/],
  ["an interrupt: a program is over", /^hw\.complete/],
  ["an interrupt: unsolicited", /^hw\.raise_unsolicited/],
  ["an interrupt: spurious", /^hw\.spurious/],
  ["a path goes", /^hw\.chp_event 0x0 offline/],
  ["a path comes", /^hw\.chp_event 0x0 online/],
  ["vary off", /^sysfs_write .*chp0\.00\/status off/],
  ["vary on", /^sysfs_write .*chp0\.00\/status on/],
  ["unplug", /^hw\.unplug/],
  ["plug", /^hw\.attach/],
];

test("every action of user space and of the machine is in a general scenario, and beside other actors", async (t) => {
  t.timeout(110_000);
  const kernel = await loadState(await stateOf("base"));
  const done = new Map<string, Set<Scenario>>();
  for (const scenario of await generalScenarios()) {
    const note: Note = (call) => {
      for (const [what, pattern] of ACTIONS)
        if (pattern.test(call)) done.set(what, (done.get(what) ?? new Set()).add(scenario));
    };
    const { run } = scenario;
    const listening: Scenario = { ...scenario, run: (lab) => run(watched(lab, note)) };
    for (const first of TURNS)
      runScenario(kernel, listening, { state: "base", schedule: new EachInTurn(first), stacks: false });
  }
  for (const [what] of ACTIONS) {
    const where = [...(done.get(what) ?? [])];
    t.true(where.length > 0, `nobody does: ${what}`);
    // Others than the guest: processes of their own, or what comes between its steps.
    t.true(
      where.some((s) => s.id !== "general-guest"),
      `only the guest alone does: ${what}`,
    );
  }
  t.deepEqual(
    [...new Set([...done.values()].flatMap((all) => [...all].map((s) => s.processes.length)))].sort(),
    [1, 2, 3],
    "one, two and three actors",
  );
});

test("a race of bytes has both its places, by whatever name the other side knows them", async (t) => {
  t.timeout(110_000);
  const kernel = await loadState(await stateOf("base"));
  const busy = (await generalScenarios()).find((s) => s.id === "general-busy");
  if (!busy) return t.fail();
  // What klab bugs asks for when it has heard of a race of schib: the interrupt copies scsw, which lies in it.
  const how = {
    kcsan: true,
    kcsanStacksOf: new Set(["struct schib"]),
    schedule: { interferes: true, decide: () => 0 },
  };
  const races = runScenario(kernel, busy, { state: "base", ...how }).reports.filter((r) =>
    r.text.includes("\nmember: struct schib\n"),
  );
  t.true(races.length > 0);
  for (const { title } of races) t.notRegex(title, /unknown/);
});

/** The plain scenarios of vfio-ccw, those that only tell what user space and the machine do. */
const PLAIN = /^(unplug|interrupt|paths|reboot|remove-while|unbind-while)-|^(start-io|create-remove|bind-unbind)$/;
/** `| R01 | all | `unplug-*` `interrupt-*` | …`: the id and its scenarios. */
const ROW = /^\| ([RU]\d\d) \| [^|]+ \| ((?:`[^`]+` ?)+)\|/gm;
test("what the plain scenarios say, races included, is explained, and shown where findings.md says", async (t) => {
  t.timeout(110_000);
  const all = [readCatalogue("faults.json"), readCatalogue("findings.json")];
  /** By id: the scenarios that show it. */
  const shown = new Map<string, string[]>();
  const states = ["base", "v1:4"];
  for (const state of states) {
    const kernel = await loadState(await stateOf(state));
    for (const scenario of (await allScenarios()).filter(({ id }) => PLAIN.test(id)))
      for (const finding of findingsOf(runScenario(kernel, scenario, { state, kcsan: true })).values()) {
        const known = explanationOf(all, finding, state);
        const { title, object, places } = finding;
        if (!known || !expectedIn(known, state))
          t.fail(`${scenario.id} in ${state}: ${title}, ${object}, ${places.join()}`);
        else shown.set(known.id, [...(shown.get(known.id) ?? []), scenario.id]);
      }
  }
  const page = readFileSync(resolve(ROOT, "Documentation/findings.md"), "utf8");
  for (const [, id = "", scenarios = ""] of page.matchAll(ROW)) {
    const known = all.flat().find((e) => e.id === id);
    if (!known || !states.some((state) => expectedIn(known, state))) continue;
    for (const [, name = ""] of scenarios.matchAll(/`([^`]+)`/g)) {
      if (name.startsWith("general-")) continue;
      const pattern = new RegExp(`^${name.replace("*", ".*")}$`);
      t.true(
        shown.get(id)?.some((scenario) => pattern.test(scenario)),
        `${id} is not shown by ${name}`,
      );
    }
  }
});

const STATES = ["v1:1", "v2:3", "v3:7"];
const STATE = "struct vfio_ccw_private.state";
/** Of KCSAN: what it is about, the two places, and functions that the stacks name besides. */
function race(object: string, one: string, other: string, ...stacks: readonly string[]): Finding {
  return kcsan("data-race", object, one, other, stacks);
}
function unorderedFree(object: string, one: string, other: string, ...stacks: readonly string[]): Finding {
  return kcsan("unordered free", object, one, other, stacks);
}
function kcsan(what: string, object: string, one: string, other: string, stacks: readonly string[]): Finding {
  const title = `BUG: KCSAN: ${what} in ${one} / ${other}`;
  const text = [title, ...[one, other, ...stacks].map((f) => ` ${f} [vfio_ccw]`), `member: ${object}`].join("\n");
  return { checker: "kcsan", title, text, object, places: [`${one} [vfio_ccw]`, other], injected: [] };
}
function kasan(where: string, freed: string): Finding {
  const title = `BUG: KASAN: use-after-free in ${where.split(" ")[0]}`;
  return { checker: "kasan", title, text: title, object: "kmalloc-128", places: [where, freed], injected: [] };
}
/** A sign's id, a report that it is for, and one beside it that nothing may explain: what both sides of it hold is said after it. */
const SIGNS: readonly (readonly [string, Finding, Finding])[] = [
  [
    "R01",
    race("struct subchannel.driver", "css_probe", "do_cio_interrupt"),
    race("struct subchannel.driver", "css_probe", "css_remove"),
  ], // the device lock
  [
    "R02",
    race("struct device.driver_data", "vfio_ccw_sch_probe", "vfio_ccw_sch_irq"),
    race("struct device.driver_data", "vfio_ccw_sch_probe", "vfio_ccw_sch_shutdown"),
  ], // the device lock
  [
    "R05",
    race("struct device.driver_data", "vfio_ccw_mdev_probe", "vfio_ccw_chp_event"),
    race("struct device.driver_data", "vfio_ccw_mdev_probe", "vfio_ccw_mdev_remove"),
  ], // the mdev's device lock
  ["R06", race(STATE, "fsm_open", "vfio_ccw_sch_io_todo"), race(STATE, "fsm_open", "fsm_io_helper")], // sch->lock
  ["R06", race(STATE, "fsm_io_request", "vfio_ccw_mdev_reset"), race(STATE, "fsm_io_request", "fsm_io_request")], // io_mutex
  [
    "R07",
    race("struct pmcw.qf", "cio_update_schib", "vfio_ccw_sch_probe"),
    race("struct pmcw.ena", "cio_update_schib", "vfio_ccw_sch_probe"),
  ], // what probe does not look at
  [
    "R17",
    race("struct schib", "cio_update_schib", "cio_update_schib", "vfio_ccw_schib_region_read"),
    race("struct schib", "cio_update_schib", "cio_update_schib", "vfio_ccw_sch_event"),
  ], // sch->lock
  [
    "R08",
    race("struct list_head.next", "__list_add_valid", "vfio_ccw_crw_region_read", "vfio_ccw_queue_crw"),
    race("struct list_head.next", "__list_add_valid", "__list_del_entry_valid", "vfio_group_get"),
  ], // another list
  [
    "R09",
    race("struct vfio_ccw_private.req_trigger", "vfio_ccw_mdev_set_irqs", "vfio_ccw_mdev_request"),
    race("struct vfio_ccw_private.req_trigger", "vfio_ccw_mdev_set_irqs", "vfio_ccw_sch_io_todo"),
  ], // another trigger's user
  [
    "R12",
    race("struct vfio_ccw_private.io_trigger", "vfio_ccw_mdev_set_irqs", "vfio_ccw_sch_io_todo"),
    race("struct vfio_ccw_private.io_trigger", "vfio_ccw_mdev_set_irqs", "vfio_ccw_alloc_private"),
  ], // before it is published
  [
    "R12",
    race("struct eventfd_ctx.count", "do_eventfd", "eventfd_signal_mask"),
    race("struct eventfd_ctx.count", "eventfd_read", "eventfd_signal_mask"),
  ], // wqh.lock
  [
    "R10",
    race("struct channel_path.state", "chp_get_status", "set_chp_logically_online"),
    race("struct channel_path.state", "set_chp_logically_online", "set_chp_logically_online"),
  ], // chp->lock
  [
    "R13",
    race("struct channel_program.initialized", "cp_init", "cp_free"),
    race("struct channel_program.initialized", "cp_init", "cp_prefetch"),
  ], // io_mutex
  [
    "R13",
    race("struct list_head.next", "ccwchain_alloc", "cp_update_scsw", "cp_init"),
    race("struct ccwchain.ch_len", "cp_update_scsw", "cp_update_scsw"),
  ], // one run of io_work after the other
  ["R14", race("struct irb", "fsm_irq", "vfio_ccw_sch_io_todo"), race("struct irb", "fsm_irq", "fsm_irq")], // sch->lock
  [
    "R14",
    race("struct vfio_ccw_private.completion", "fsm_irq", "vfio_ccw_sch_quiesce"),
    race("struct vfio_ccw_private.completion", "vfio_ccw_sch_quiesce", "vfio_ccw_sch_quiesce"),
  ], // the device set's lock
  [
    "R15",
    race("struct device.driver", "unbind_store", "device_unbind_cleanup"),
    race("struct device.driver", "really_probe", "device_unbind_cleanup"),
  ], // the device lock
  [
    "R16",
    race("struct vfio_container.iommu_driver", "vfio_fops_unl_ioctl", "vfio_group_detach_container"),
    race("struct vfio_container.iommu_driver", "vfio_ioctl_set_iommu", "vfio_group_detach_container"),
  ], // group_lock
  [
    "R18",
    race("struct mdev_device.active", "mdev_device_create", "mdev_device_remove"),
    race("struct mdev_device.active", "mdev_device_remove", "mdev_device_remove"),
  ], // mdev_list_lock
  [
    "R11",
    race("struct kernfs_node.flags", "kernfs_get_active", "__kernfs_remove"),
    race("struct kernfs_node.flags", "__kernfs_remove", "__kernfs_remove"),
  ], // kernfs_rwsem
  [
    "U03",
    unorderedFree(STATE, "vfio_ccw_fsm_event", "vfio_ccw_free_private", "vfio_ccw_sch_irq"),
    unorderedFree(STATE, "vfio_ccw_fsm_event", "vfio_ccw_free_private", "vfio_ccw_mdev_write_io_region"),
  ], // an open device
  [
    "U06",
    unorderedFree("struct debug_info.level", "VFIO_CCW_MSG_EVENT", "vfio_ccw_debug_exit"),
    unorderedFree("struct debug_info.level", "VFIO_CCW_MSG_EVENT", "debug_unregister"),
  ], // somebody else's end
  [
    "U07",
    unorderedFree("struct spinlock.owner", "spin_lock_irqsave", "eventfd_free_ctx", "vfio_ccw_crw_todo"),
    unorderedFree("struct eventfd_ctx.count", "eventfd_read", "eventfd_free_ctx"),
  ], // an open file
  [
    "U07",
    kasan("waitqueue_active < vfio_ccw_sch_io_todo [vfio_ccw]", "eventfd_free_ctx"),
    kasan("waitqueue_active < vfio_ccw_sch_io_todo [vfio_ccw]", "eventfd_release"),
  ], // not the driver's put
  [
    "U08",
    unorderedFree("struct ccwchain.ch_ccw", "cp_update_scsw", "ccwchain_free"),
    unorderedFree("struct ccwchain.ch_ccw", "fsm_io_helper", "ccwchain_free"),
  ], // nobody who is known to be late
  [
    "U09",
    unorderedFree("struct crw.rsc", "vfio_ccw_queue_crw", "vfio_ccw_crw_region_read"),
    unorderedFree("struct crw.rsc", "vfio_ccw_crw_todo", "vfio_ccw_crw_region_read"),
  ], // crw_work does not look into them
  [
    "U10",
    unorderedFree("struct mdev_device.active", "mdev_device_create", "mdev_device_release"),
    unorderedFree("struct mdev_device.uuid", "mdev_device_create", "mdev_device_release"),
  ], // mdev_list_lock
  [
    "B10",
    kasan("mutex_lock < vfio_ccw_sch_io_todo [vfio_ccw]", "vfio_ccw_free_private [vfio_ccw]"),
    kasan("mutex_lock < vfio_ccw_mdev_read [vfio_ccw]", "vfio_ccw_free_private [vfio_ccw]"),
  ], // an open device
  [
    "B14",
    kasan("cp_prefetch [vfio_ccw]", "ccwchain_free [vfio_ccw]"),
    kasan("cp_prefetch [vfio_ccw]", "vfio_ccw_free_private [vfio_ccw]"),
  ], // more than the program is gone
];
test("a sign lets no neighbour pass: what a lock of the C code keeps apart is never explained", (t) => {
  const all = [readCatalogue("faults.json"), readCatalogue("findings.json")];
  const explained = (finding: Finding, state: string): string | null => {
    const known = explanationOf(all, finding, state);
    return known && expectedIn(known, state) ? known.id : null;
  };
  for (const [id, its, neighbour] of SIGNS)
    for (const state of STATES) {
      const known = all.flat().find((e) => e.id === id);
      t.is(explained(its, state), known && expectedIn(known, state) ? id : null, `${id} in ${state}: ${its.title}`);
      t.is(explained(neighbour, state), null, `${id} in ${state}: ${neighbour.title}`);
    }
});
