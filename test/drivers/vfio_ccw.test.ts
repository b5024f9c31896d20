// SPDX-License-Identifier: GPL-2.0-only
/** vfio_ccw on the machine's channel subsystem, as user space and the operator see it. Expected bytes come from recordings of real runs. */
import test from "ava";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import { held_device, simple_device } from "../../kernel/arch/s390/channel_devices.ts";
import { configure_channel_subsystem, hw, type subchannel_plan } from "../../kernel/arch/s390/channel_subsystem.ts";
import { debug_find, debug_set_level, debug_view } from "../../kernel/arch/s390/debug.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { clock } from "../../kernel/time/clock.ts";
import { ALL_EVENTS, trace_line, trace_subscribe } from "../../kernel/trace/trace.ts";
import {
  bind,
  close,
  create,
  CRW_IRQ,
  eventfdFor,
  IO_IRQ,
  loadModules,
  mapDma,
  open,
  type Opened,
  remove,
  SCH,
  unbind,
  unbindFrom,
} from "../helpers/ccw.ts";
import "../../drivers/s390/cio/css.ts";
import "../../drivers/s390/cio/vfio_ccw_drv.ts";
import "../../drivers/vfio/mdev/mdev_core.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/vfio_main.ts";

const EIO = -5;
const EBUSY = -16;
const ENODEV = -19;
const EINVAL = -22;

const IOVA = 0x100000n;
const DATA = 0x108000n;
const SIZE = 0x10000;
const NOP = "0320000100108000";
const SENSE_ID = "e420004000108000";
const HALT = 1;
const CLEAR = 2;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

/** A bound subchannel with an mdev that is open, 64 KB mapped for it, and its eventfds. */
class Device {
  readonly u: user_process;
  opened: Opened = { container: -1, group: -1, device: -1 };
  io = -1;
  crw = -1;
  memory = 0n;
  constructor(u: user_process) {
    this.u = u;
  }
  *open(): Sleeps {
    this.opened = yield* open(this.u);
    this.io = yield* eventfdFor(this.u, this.opened.device, IO_IRQ);
    this.crw = yield* eventfdFor(this.u, this.opened.device, CRW_IRQ);
    this.memory = yield* this.u.alloc(SIZE);
    yield* mapDma(this.u, this.opened.container, this.memory, IOVA, SIZE);
  }
  put(iova: bigint, text: string): void {
    this.u.poke(this.memory + (iova - IOVA), unhex(text));
  }
  get(iova: bigint, n: number): string {
    return hex(this.u.peek(this.memory + (iova - IOVA), n));
  }
  /** Writes the I/O region; word 0 of the SCSW is START unless given. @return what write() gave */
  *start(program: string, orb = "1234567800c2ff0000100000", scsw = "00004000"): Sleeps<number> {
    if (program) this.put(IOVA, program);
    const region = new Uint8Array(124);
    region.set(unhex(orb + scsw));
    return yield* this.u.pwrite_bytes(this.opened.device, region, 0n);
  }
  *events(fd = this.io): Sleeps<number> {
    return Number(yield* this.u.eventfd_read(fd, 100));
  }
  /** The SCSW of the I/O region, in hex. */
  *scsw(): Sleeps<string> {
    const { bytes } = yield* this.u.pread_bytes(this.opened.device, 124, 0n);
    return hex(bytes.subarray(24, 36));
  }
  *async(command: number): Sleeps<number> {
    const region = new Uint8Array(8);
    new DataView(region.buffer).setUint32(0, command);
    return yield* this.u.pwrite_bytes(this.opened.device, region, 0x400n);
  }
  *region(index: number, n: number): Sleeps<string | number> {
    const { ret, bytes } = yield* this.u.pread_bytes(this.opened.device, n, BigInt(index) << 10n);
    return ret < 0 ? ret : hex(bytes);
  }
  close(): Sleeps {
    return close(this.u, this.opened);
  }
}

type Seen = Record<string, unknown>;
type Story = (d: Device, seen: Seen, u: user_process) => Sleeps;

/** Boots, runs `story` with the device open, takes everything apart. */
function play(
  story: Story,
  plan?: readonly subchannel_plan[],
  setUp = true,
): { seen: Seen; outcome: string; dmesg: string[]; ftrace: string[]; reports: string[] } {
  configure_channel_subsystem(plan);
  const seen: Seen = {};
  const ftrace: string[] = [];
  boot();
  const off = trace_subscribe(ALL_EVENTS, (r) => ftrace.push(trace_line(r)));
  const body = function* (u: user_process): Sleeps {
    yield* loadModules(u);
    for (const name of ["vfio_ccw_msg", "vfio_ccw_trace"]) debug_set_level(debug_find(name), 6);
    const d = new Device(u);
    if (setUp) {
      yield* bind(u);
      yield* create(u);
      yield* d.open();
    }
    yield* story(d, seen, u);
  };
  run_user("init", body);
  const outcome = run();
  off();
  configure_channel_subsystem();
  const reports = found().map((r) => r.title);
  return { seen, outcome, dmesg: log().map((l) => l.text), ftrace, reports };
}
const held = (how?: ConstructorParameters<typeof held_device>[0]): readonly subchannel_plan[] => [
  { sch_no: 1, devno: 0x1001, device: () => new held_device(how) },
];

test.serial("a subchannel goes to vfio_ccw and back by name, and by driver_override", (t) => {
  const { seen, dmesg } = play(
    function* (_d, seen, u) {
      seen["bind while bound"] = yield* u.sysfs_write("/sys/bus/css/drivers/vfio_ccw/bind", SCH);
      seen.unbind = yield* unbindFrom(u, "io_subchannel");
      const override = `/sys/bus/css/devices/${SCH}/driver_override`;
      seen.override = yield* u.sysfs_write(override, "vfio_ccw\n");
      seen.shown = (yield* u.sysfs_read(override)).text;
      seen["other driver"] = yield* u.sysfs_write("/sys/bus/css/drivers/io_subchannel/bind", SCH);
      seen.probe = yield* u.sysfs_write("/sys/bus/css/drivers_probe", SCH);
      seen.driver = (yield* u.readlink(`/sys/bus/css/devices/${SCH}/driver`)).text;
      seen.back = yield* unbind(u);
    },
    undefined,
    false,
  );
  t.deepEqual(seen, {
    "bind while bound": EBUSY,
    unbind: 8,
    override: 9,
    shown: "vfio_ccw\n",
    "other driver": ENODEV,
    probe: 8,
    driver: "../../../bus/css/drivers/vfio_ccw",
    back: 8,
  });
  t.deepEqual(
    dmesg.filter((l) => l.includes("MDEV")),
    ["vfio_ccw 0.0.0001: MDEV: Registered", "vfio_ccw 0.0.0001: MDEV: Unregistering"],
  );
});

test.serial("a QDIO subchannel is refused", (t) => {
  const plan = [{ sch_no: 1, devno: 0x1001, qf: true, device: () => new simple_device() }];
  const { seen, dmesg } = play(
    function* (_d, seen, u) {
      seen.bind = yield* bind(u);
    },
    plan,
    false,
  );
  t.is(seen.bind, ENODEV);
  t.true(dmesg.includes("vfio_ccw 0.0.0001: vfio: ccw: does not support QDIO: 0.0.0001"), dmesg.join("\n"));
});

/** Program, SCSW afterwards, data at DATA. What the recorded machine answered. */
const PROGRAMS: readonly [name: string, program: string, scsw: string, data: string][] = [
  ["NOP", NOP, "00804007001000080c000000", "00000000"],
  ["SENSE ID", SENSE_ID, "00804007001000080c000000", "ff383204"],
  ["SENSE ID of 2 bytes", "e420000200108000", "00804007001000080c000000", "00380000"],
  ["SENSE ID that skips", "e430004000108000", "00804007001000080c000000", "00000000"],
  ["BASIC SENSE, length checked", "0400001000108000", "008040170010000800200000", "00000000"],
  ["NOP, command chained", `0360000100108000${SENSE_ID}`, "00804007001000100c000000", "ff383204"],
  ["TIC to NOP", `0800000000100010${"0".repeat(16)}${NOP}`, "00804007001000180c000000", "00000000"],
  ["TIC to TIC", "08000000001000080800000000100000", "008040170010001000200000", "00000000"],
  ["command 00", "0020000100108000", "008040170010000800200000", "00000000"],
  ["unknown command", "ff20000100108000", "048240170010000802000000", "00000000"],
  ["READ_FEAT", "1200000500108000", "00804007001000080c000000", "00000039"],
  ["suspend not allowed", "0322000100108000", "008040170010000800200000", "00000000"],
];
for (const [name, program, scsw, data] of PROGRAMS) {
  test.serial(`program: ${name}`, (t) => {
    const { seen, ftrace, reports } = play(function* (d, seen) {
      seen.ret = yield* d.start(program);
      seen.events = yield* d.events();
      seen.scsw = yield* d.scsw();
      seen.data = d.get(DATA, 4);
      seen.dbf = debug_view("vfio_ccw_trace").map((l) =>
        Buffer.from(l.slice(2).replaceAll(" ", ""), "hex").toString("latin1").replaceAll("\0", ""),
      );
      yield* d.close();
    });
    t.deepEqual(seen, { ret: 124, events: 1, scsw, data, dbf: ["stIO", "0.0.0001", "", "IRQ", "0.0.0001"] });
    t.deepEqual(
      ftrace.map((l) => l.replace("vfio_ccw_fsm_event: schid=0.0.0001 ", "")),
      ["state=1 event=4", "state=2 event=1", "state=4 event=2", "state=2 event=5"],
    );
    t.deepEqual(reports, []);
  });
}

/** ORB and SCSW that no program is run for: what write() gives, what the tracepoint says. */
const REFUSED: readonly [name: string, orb: string, scsw: string, ret: number, info: string][] = [
  ["transport mode", "1234567800c6ff0000100000", "00004000", -95, "fctl=0x4 errno=-95 info=transport mode"],
  ["program outside the mapping", "1234567800c2ff007ff00000", "00004000", EINVAL, "fctl=0x4 errno=-22 info=cp init"],
  ["halt on the I/O region", "1234567800c2ff0000100000", "00002000", -95, "fctl=0x2 errno=-95 info=request"],
  ["clear on the I/O region", "1234567800c2ff0000100000", "00001000", -95, "fctl=0x1 errno=-95 info=request"],
];
for (const [name, orb, scsw, ret, info] of REFUSED) {
  test.serial(`refused: ${name}`, (t) => {
    const { seen, ftrace } = play(function* (d, seen) {
      seen.ret = yield* d.start(NOP, orb, scsw);
      yield* d.close();
    });
    t.is(seen.ret, ret);
    t.true(ftrace.includes(`vfio_ccw_fsm_io_request: schid=0.0.0001 ${info}`), ftrace.join("\n"));
  });
}

test.serial("data that is not mapped: cp_prefetch fails, and everything is given back", (t) => {
  const { seen, ftrace, reports } = play(function* (d, seen) {
    seen.ret = yield* d.start(`0360000100108000e42000407ff00000`);
    seen.again = yield* d.start(NOP);
    yield* d.close();
  });
  t.deepEqual(seen, { ret: EINVAL, again: 124 });
  t.true(ftrace.includes("vfio_ccw_fsm_io_request: schid=0.0.0001 fctl=0x4 errno=-22 info=cp prefetch"));
  t.deepEqual(reports, []);
});

test.serial("halt and clear while idle", (t) => {
  const { seen, ftrace } = play(function* (d, seen) {
    for (const [name, command] of [
      ["halt", HALT],
      ["clear", CLEAR],
    ] as const) {
      const ret = yield* d.async(command);
      const events = yield* d.events();
      const scsw = yield* d.scsw();
      seen[name] = [ret, events, scsw.slice(0, 8), scsw.slice(16)];
    }
    seen.unknown = yield* d.async(4);
    yield* d.close();
  });
  // fmt is 0: no program has run on this subchannel.
  t.deepEqual(seen, { halt: [8, 1, "00002001", "04000000"], clear: [8, 1, "00001001", "00000000"], unknown: EINVAL });
  t.true(ftrace.includes("vfio_ccw_fsm_async_request: schid=0.0.0001 command=0x1 errno=0"));
});

test.serial("one program at a time; its end makes room for the next", (t) => {
  const { seen } = play(function* (d, seen, u) {
    seen.first = yield* d.start(NOP);
    seen.second = yield* d.start(NOP);
    hw.complete(1);
    yield* u.sleep_ms(10);
    seen.events = yield* d.events();
    seen.third = yield* d.start(NOP);
    hw.complete(1);
    yield* u.sleep_ms(10);
    yield* d.close();
  }, held());
  t.deepEqual(seen, { first: 124, second: EBUSY, events: 1, third: 124 });
});

/** How a device that holds a program answers, and how long closing it takes, in seconds. */
const QUIESCE: readonly [name: string, how: ConstructorParameters<typeof held_device>[0], seconds: number][] = [
  ["a start that has not begun is cancelled", { becomes: "start-pending" }, 0],
  ["a halt that is answered", {}, 0],
  ["a halt that is not: cleared after the timeout", { answers_halt: false }, 3],
  ["neither, until a clear is answered late", { answers_halt: false, answers_clear: false }, 7],
];
for (const [name, how, seconds] of QUIESCE) {
  test.serial(`close with a program running: ${name}`, (t) => {
    const { seen, outcome, reports } = play(function* (d, seen, u) {
      seen.ret = yield* d.start(NOP);
      const begun = clock.ns;
      if (seconds > 3)
        run_user("operator", function* (o) {
          yield* o.sleep_ms(7000);
          hw.cleared(1);
        });
      yield* d.close();
      seen.seconds = Math.floor((clock.ns - begun) / 1e9);
      seen.remove = yield* remove(u);
      seen.unbind = yield* unbind(u);
    }, held(how));
    t.deepEqual(seen, { ret: 124, seconds, remove: 1, unbind: 8 });
    t.is(outcome, "done");
    t.deepEqual(reports, []);
  });
}

test.serial("unplug with the device open: I/O fails from then on, the subchannel goes with the last close", (t) => {
  const { seen, dmesg, reports } = play(function* (d, seen, u) {
    hw.unplug(1);
    yield* u.sleep_ms(50);
    seen.start = yield* d.start(NOP);
    seen.halt = yield* d.async(HALT);
    seen.schib = yield* d.region(2, 52);
    seen.reset = yield* u.ioctl(d.opened.device, 0x3b64 + 11);
    seen.there = yield* u.exists(`/sys/devices/css0/${SCH}`);
    seen.msg = debug_view("vfio_ccw_msg");
    yield* d.close();
    yield* u.sleep_ms(50);
    seen.after = yield* u.exists(`/sys/devices/css0/${SCH}`);
  });
  t.deepEqual(seen, {
    start: EIO,
    halt: EIO,
    schib: ENODEV,
    reset: EINVAL,
    there: true,
    msg: [
      "4 bound to subchannel 0.0.0001",
      "2 sch 0.0.0001: create",
      "2 sch 0.0.0001: notoper event 0 state 2",
      "2 sch 0.0.0001: remove",
    ],
    after: false,
  });
  const expected = [
    "crw_info : CRW reports slct=0, oflw=0, chn=1, rsc=3, anc=0, erc=4, rsid=1",
    "crw_info : CRW reports slct=0, oflw=0, chn=0, rsc=3, anc=0, erc=4, rsid=0",
    "vfio-ccw: FSM: I/O request from state:0",
    "vfio-ccw: FSM: halt request from state:0",
  ];
  t.deepEqual(
    dmesg.filter((l) => /crw_info|FSM/.test(l)),
    expected,
  );
  t.deepEqual(reports, []);
});

test.serial("unplug with a program running: C frees it with sch->lock held", (t) => {
  const { reports } = play(function* (d, _seen, u) {
    yield* d.start(SENSE_ID);
    hw.unplug(1);
    yield* u.sleep_ms(50);
    yield* d.close();
    yield* u.sleep_ms(50);
  }, held());
  t.true(
    reports.some((r) => r.startsWith("BUG: sleeping function called from invalid context")),
    reports.join("\n"),
  );
});

test.serial(
  "a program whose second transfer leads nowhere: C gives back the segment that failed, and not the one before it",
  (t) => {
    const { seen } = play(function* (d, seen) {
      d.put(0x104000n, NOP);
      // A transfer ends a segment unless its chaining bit is set, of which the channel thinks nothing.
      seen.first = yield* d.start("0840000000104000" + "080000000f000000");
      // It is lost when the next program has the list begun anew.
      seen.second = yield* d.start(NOP);
      yield* d.close();
    });
    t.deepEqual([seen.first, seen.second], [EINVAL, 124]);
    t.deepEqual(
      kmemleak_scan().map((r) => r.title),
      ["unreferenced object: struct ccwchain (size 80)"],
    );
  },
);

test.serial("paths: vary queues nothing, going and coming queues a channel report word each", (t) => {
  const { seen, ftrace } = play(function* (d, seen, u) {
    const status = "/sys/devices/css0/chp0.00/status";
    seen.off = yield* u.sysfs_write(status, "off");
    seen.on = yield* u.sysfs_write(status, "on");
    seen.vary = yield* d.events(d.crw);
    hw.chp_event(0, "offline");
    yield* u.sleep_ms(50);
    hw.chp_event(0, "online");
    yield* u.sleep_ms(50);
    seen.crws = yield* d.events(d.crw);
    seen.words = [yield* d.region(3, 8), yield* d.region(3, 8), yield* d.region(3, 8)];
    yield* d.close();
  });
  t.deepEqual(seen, {
    off: 3,
    on: 2,
    vary: 0,
    crws: 2,
    words: ["0406000000000000", "0402000000000000", "0".repeat(16)],
  });
  t.deepEqual(
    ftrace.filter((l) => l.startsWith("vfio_ccw_chp_event")).map((l) => l.slice(-7)),
    ["event=3", "event=2", "event=1", "event=0"],
  );
});

test.serial("status that nobody asked for reaches user space and changes no state", (t) => {
  const { seen } = play(function* (d, seen, u) {
    seen.raised = hw.raise_unsolicited(1);
    yield* u.sleep_ms(10);
    seen.events = yield* d.events();
    seen.scsw = (yield* d.scsw()).slice(0, 8);
    seen.start = yield* d.start(NOP);
    yield* d.close();
    seen.closed = hw.raise_unsolicited(1);
  });
  t.deepEqual(seen, { raised: true, events: 1, scsw: "00000011", start: 124, closed: false });
});
