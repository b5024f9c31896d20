// SPDX-License-Identifier: GPL-2.0-only
/** The channel subsystem: instructions, the css bus, channel reports, the io_subchannel driver. */
import test from "ava";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { held_device, simple_device } from "../../kernel/arch/s390/channel_devices.ts";
import {
  configure_channel_subsystem,
  hw,
  hw_hsch,
  hw_msch,
  hw_ssch,
  hw_stsch,
  hw_tsch,
  hw_xsch,
  type subchannel_plan,
} from "../../kernel/arch/s390/channel_subsystem.ts";
import { hw_irb, hw_orb, hw_schib, PMCW_DNV, PMCW_ENA } from "../../kernel/arch/s390/hw_schib.ts";
import { debug_find, debug_set_level, debug_view } from "../../kernel/arch/s390/debug.ts";
import { irq_stat } from "../../kernel/arch/s390/irq.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { subchannel_id } from "../../include/asm/schid.ts";
import { spin_lock_irq, spin_unlock_irq } from "../../include/linux/spinlock.ts";
import {
  cio_cancel_halt_clear,
  cio_disable_subchannel,
  cio_enable_subchannel,
  pmcw,
  schib,
  type subchannel,
} from "../../drivers/s390/cio/cio.ts";
import { css_globals, get_subchannel_by_schid } from "../../drivers/s390/cio/css.ts";
import { isc_unregister } from "../../drivers/s390/cio/isc.ts";
import { orb } from "../../drivers/s390/cio/orb.ts";
import { sizeof } from "../../include/linux/types.ts";
import { irb } from "../../include/asm/cio.ts";
import { scsw } from "../../include/asm/scsw.ts";
import { crw } from "../../include/asm/crw.ts";
import { put_device } from "../../include/linux/device.ts";

const EBUSY = -16;
const ENODEV = -19;

function id(schNo: number, ssid = 0): subchannel_id {
  const schid = new subchannel_id();
  schid.one = 1;
  schid.ssid = ssid;
  schid.sch_no = schNo;
  return schid;
}
const simple = (schNo: number): subchannel_plan => ({
  sch_no: schNo,
  devno: 0x1000 + schNo,
  device: () => new simple_device(),
});
const held = (schNo: number, how?: ConstructorParameters<typeof held_device>[0]): subchannel_plan => ({
  sch_no: schNo,
  devno: 0x1000 + schNo,
  device: () => new held_device(how),
});

function bootWith(...plan: subchannel_plan[]): void {
  configure_channel_subsystem(plan.length > 0 ? plan : undefined);
  boot();
  configure_channel_subsystem();
}
function inUserSpace(body: (u: user_process) => Sleeps): string {
  run_user("init", body);
  return run();
}

test.serial("structs that the hardware sees have its sizes", (t) => {
  bootWith();
  const sizes = [subchannel_id, pmcw, schib, scsw, irb, orb, crw, hw_schib, hw_irb].map(sizeof);
  t.deepEqual(sizes, [4, 28, 52, 12, 64, 32, 4, 52, 64]);
});

/** Instructions on subchannels 1 (enabled by the first step) and 2: condition codes, in turn. */
test.serial("condition codes", (t) => {
  bootWith(held(1, { becomes: "start-pending" }), held(3));
  const block = new hw_schib();
  const response = new hw_irb();
  const program = new hw_orb();
  program.fmt = 1;
  program.lpm = 0xff;
  program.cpa = 0x1000;
  const cc: Record<string, number> = {};
  cc["stsch in a gap"] = hw_stsch(id(2), block);
  t.is(block.pmcw.flags & PMCW_DNV, 0, "a gap has no device");
  cc["stsch behind the last"] = hw_stsch(id(4), block);
  cc["stsch in another set"] = hw_stsch(id(0, 1), block);
  cc["ssch disabled"] = hw_ssch(id(1), program);
  hw_stsch(id(1), block);
  block.pmcw.flags |= PMCW_ENA;
  cc.msch = hw_msch(id(1), block);
  cc["tsch without status"] = hw_tsch(id(1), response);
  cc.ssch = hw_ssch(id(1), program);
  cc["ssch again"] = hw_ssch(id(1), program);
  cc["msch while busy"] = hw_msch(id(1), block);
  cc.xsch = hw_xsch(id(1));
  cc["xsch again"] = hw_xsch(id(1));
  cc.hsch = hw_hsch(id(1));
  cc["hsch with status pending"] = hw_hsch(id(1));
  cc["msch with status pending"] = hw_msch(id(1), block);
  cc.tsch = hw_tsch(id(1), response);
  block.pmcw.flags |= 0x0100;
  cc["msch with a reserved bit"] = hw_msch(id(1), block);
  program.cpa = 0x80000000;
  cc["ssch beyond 31 bits"] = hw_ssch(id(1), program);
  t.deepEqual(cc, {
    "stsch in a gap": 0,
    "stsch behind the last": 3,
    "stsch in another set": 3,
    "ssch disabled": 3,
    msch: 0,
    "tsch without status": 1,
    ssch: 0,
    "ssch again": 2,
    "msch while busy": 2,
    xsch: 0,
    "xsch again": 2,
    hsch: 0,
    "hsch with status pending": 1,
    "msch with status pending": 1,
    tsch: 0,
    "msch with a reserved bit": -5,
    "ssch beyond 31 bits": -5,
  });
});

test.serial("subchannels found at boot are on io_subchannel, with their attributes", (t) => {
  bootWith();
  const seen: Record<string, string> = {};
  inUserSpace(function* (u) {
    seen.devices = (yield* u.ls("/sys/bus/css/devices")).names.join(" ");
    seen.files = (yield* u.ls("/sys/bus/css/devices/0.0.0001")).names.join(" ");
    for (const file of ["type", "modalias", "chpids", "pimpampom", "dev_busid", "driver_override", "vpm", "uevent"])
      seen[file] = (yield* u.sysfs_read(`/sys/bus/css/devices/0.0.0001/${file}`)).text;
    seen.chp = (yield* u.sysfs_read("/sys/devices/css0/chp0.00/status")).text;
    seen.io = String(yield* u.sysfs_write("/sys/bus/css/drivers/io_subchannel/unbind", "0.0.0001"));
    seen.unbound = (yield* u.ls("/sys/bus/css/devices/0.0.0001")).names.join(" ");
    seen.bind = String(yield* u.sysfs_write("/sys/bus/css/drivers/io_subchannel/bind", "0.0.0001"));
  });
  t.deepEqual(seen, {
    devices: "0.0.0000@ 0.0.0001@ 0.0.0002@",
    files: "chpids dev_busid driver@ driver_override logging modalias pimpampom subsystem@ type uevent vpm",
    type: "0\n",
    modalias: "css:t0\n",
    chpids: "00 00 00 00 00 00 00 00 \n",
    pimpampom: "80 80 ff\n",
    dev_busid: "0.0.1001\n",
    driver_override: "(null)\n",
    vpm: "00\n",
    uevent: "DRIVER=io_subchannel\nST=0\nMODALIAS=css:t0\n",
    chp: "online\n",
    io: "8",
    unbound: "chpids dev_busid driver_override modalias pimpampom subsystem@ type uevent",
    bind: "8",
  });
  t.deepEqual(found(), []);
});

test.serial("a device that is plugged in is found; one that is pulled goes, unless others lie behind it", (t) => {
  bootWith(simple(1), simple(2));
  const seen: Record<string, string> = {};
  const list = function* (u: user_process): Sleeps<string> {
    yield* u.sleep_ms(20);
    return (yield* u.ls("/sys/bus/css/devices")).names.join(" ");
  };
  inUserSpace(function* (u) {
    hw.attach({ sch_no: 5, devno: 0x1005, device: new simple_device() });
    seen.attached = yield* list(u);
    hw.unplug(5);
    seen["last one pulled"] = yield* list(u);
    // STSCH then stores zeros for it, and C keeps subchannels that have no working device.
    hw.unplug(1);
    seen["first one pulled"] = yield* list(u);
  });
  t.deepEqual(seen, {
    attached: "0.0.0001@ 0.0.0002@ 0.0.0005@",
    "last one pulled": "0.0.0001@ 0.0.0002@",
    "first one pulled": "0.0.0001@ 0.0.0002@",
  });
  t.is(log().filter((l) => l.text.startsWith("crw_info")).length, 6);
  t.true(
    debug_view("cio_crw").some((l) => l.includes("CRW0 reports slct=0, oflw=0, chn=1, rsc=3, anc=0, erc=4, rsid=5")),
  );
  t.deepEqual(found(), []);
});

test.serial("rescan finds what was not reported, and lost reports have everything looked at", (t) => {
  bootWith(simple(1));
  inUserSpace(function* (u) {
    yield* u.sysfs_write("/sys/devices/css0/rescan", "1");
    yield* u.sleep_ms(20);
    for (let i = 0; i < 250; i++) hw.chp_event(0, "online");
    yield* u.sleep_ms(2000);
  });
  t.true(log().some((l) => l.text.includes("oflw=1")));
  t.deepEqual(found(), []);
});

/** cio_cancel_halt_clear(): device, then result and tries left of each call. */
const STAGES: readonly [
  name: string,
  how: ConstructorParameters<typeof held_device>[0] | null,
  steps: readonly (readonly [number, number])[],
][] = [
  // Nothing runs: cancelling is not applicable, and halting gives an interrupt.
  ["idle", null, [[EBUSY, 2]]],
  [
    "start pending: cancelled",
    { becomes: "start-pending" },
    [
      [0, 255],
      [EBUSY, 2],
    ],
  ],
  [
    "active, halt unanswered: then clear",
    { answers_halt: false, answers_clear: false },
    [
      [EBUSY, 2],
      [EBUSY, 254],
      [EBUSY, 253],
    ],
  ],
];
for (const [name, how, steps] of STAGES) {
  test.serial(`cio_cancel_halt_clear: ${name}`, (t) => {
    bootWith(held(1, how ?? {}));
    const got: (readonly [number, number])[] = [];
    const stages = function* (): Sleeps {
      const sch: subchannel = (yield* get_subchannel_by_schid(id(1)))!;
      yield* spin_lock_irq(sch.lock!);
      t.is(cio_enable_subchannel(sch, 0), 0);
      const program = new hw_orb();
      program.fmt = 1;
      program.lpm = 0xff;
      program.cpa = 0x1000;
      if (how) t.is(hw_ssch(sch.schid, program), 0);
      const tries = { value: 255 };
      for (let i = 0; i < steps.length; i++) {
        const ret = cio_cancel_halt_clear(sch, tries);
        got.push([ret, tries.value]);
      }
      yield* spin_unlock_irq(sch.lock!);
      yield* put_device(sch.dev);
    };
    spawn("stages", stages());
    run();
    t.deepEqual(got, steps);
  });
}

test.serial("a subchannel that is gone cannot be enabled; an interrupt without a driver's interest is counted", (t) => {
  bootWith(simple(1));
  const got: Record<string, number> = {};
  const enable = function* (): Sleeps {
    const sch: subchannel = (yield* get_subchannel_by_schid(id(1)))!;
    yield* spin_lock_irq(sch.lock!);
    sch.isc = 3;
    got.enable = cio_enable_subchannel(sch, 0);
    yield* spin_unlock_irq(sch.lock!);
    got.before = irq_stat().get("CIO") ?? 0;
    hw.raise_unsolicited(1);
    yield* spin_lock_irq(sch.lock!);
    yield* spin_unlock_irq(sch.lock!);
    got.after = irq_stat().get("CIO") ?? 0;
    hw.unplug(1);
    yield* spin_lock_irq(sch.lock!);
    got.disable = cio_disable_subchannel(sch);
    got.again = cio_enable_subchannel(sch, 0);
    yield* spin_unlock_irq(sch.lock!);
    yield* put_device(sch.dev);
  };
  spawn("enable", enable());
  run();
  t.deepEqual(got, { enable: 0, before: 0, after: 1, disable: ENODEV, again: ENODEV });
});

test.serial("misuse of an interruption subclass is warned of", (t) => {
  bootWith();
  const misuse = function* (): Sleeps {
    yield* isc_unregister(5);
  };
  spawn("misuse", misuse());
  run();
  t.deepEqual(
    found().map((r) => r.title),
    ["WARNING: isc_unregister"],
  );
});

test.serial("an x86 machine has no channel subsystem", (t) => {
  boot({ arch: "x86_64" });
  t.is(css_globals.channel_subsystems[0], null);
  t.is(debug_find("cio_msg"), null);
  debug_set_level(debug_find("cio_msg"), 6);
});
