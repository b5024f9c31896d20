// SPDX-License-Identifier: GPL-2.0-only
/**
 * The machine's channel subsystem: subchannels, channel reports, interruptions, and the I/O instructions with their
 * condition codes. Behaves as an emulated machine does (s390-ccw-virtio). `hw` is the operator's side: plugging and pulling.
 */
import { per_boot } from "../../boot.ts";
import { early_initcall } from "../../init.ts";
import { happenings } from "../../outside.ts";
import { raise_irq } from "../../sched/interrupts.ts";
import { type crw, CRW_ERC_INIT, CRW_ERC_IPARM, CRW_ERC_PERRN, CRW_RSC_CPATH, CRW_RSC_SCH } from "#asm/crw.ts";
import type { subchannel_id } from "#asm/schid.ts";
import { on_s390 } from "#asm/setup.ts";
import { tpi_info } from "#asm/tpi.ts";
import { type byte_memory, cast_to, type Spins } from "#linux/types.ts";
import { type channel_device, simple_device } from "./channel_devices.ts";
import { ctl_on_set, ctl_store } from "./ctl_reg.ts";
import { hw_irb, hw_orb, hw_schib, ORB_CTRL0_INVALID, ORB_CTRL1_INVALID } from "./hw_schib.ts";
import { hw_subchannel, PROGRAM_CHECK, type subchannel_config } from "./hw_subchannel.ts";
import { do_crw_machine_check, do_io_irq } from "./irq.ts";

export { type subchannel_config } from "./hw_subchannel.ts";
const EIO = 5;

/** What the next boot finds. Devices are made anew at each power-on, so they are given as functions. */
export interface subchannel_plan extends Omit<subchannel_config, "device"> {
  readonly device: () => channel_device;
}
const DEFAULT_PLAN: readonly subchannel_plan[] = [0, 1, 2].map((n) => ({
  sch_no: n,
  devno: 0x1000 + n,
  device: () => new simple_device(),
}));
const plan = { subchannels: DEFAULT_PLAN };

/** Configures the machine that the next boot() switches on; without arguments, three simple devices. From outside. */
export function configure_channel_subsystem(subchannels: readonly subchannel_plan[] = DEFAULT_PLAN): void {
  plan.subchannels = subchannels;
}

interface channel_report {
  readonly rsc: number;
  readonly erc: number;
  readonly rsid: number;
  readonly chain: boolean;
}

const s = per_boot(() => ({
  /** By subchannel set and number. */
  subchannels: new Map<number, hw_subchannel>(),
  /** Gone because the schedule wanted it: whoever is at the machine may still put a hand on them, which does nothing. */
  pulled: new Map<number, hw_subchannel>(),
  reports: [] as channel_report[],
  /** A report was lost. */
  overflow: false,
  /** Subchannel sets beyond 0 can be addressed. */
  mss: false,
}));

/* The machine is there before the kernel looks at it; the byte order is known only once boot() has begun. */
function power_on(): number {
  for (const p of plan.subchannels) plug(s.subchannels, { ...p, device: p.device() });
  return 0;
}
early_initcall(on_s390(power_on));
ctl_on_set(raise_what_is_due);

const key = (ssid: number, sch_no: number): number => ssid * 0x10000 + sch_no;
function plug(into: Map<number, hw_subchannel>, c: subchannel_config): hw_subchannel {
  const sch = new hw_subchannel(c, interrupt);
  into.set(key(sch.ssid, sch.sch_no), sch);
  return sch;
}

/* Interruptions. They float: any CPU may take them, lowest subclass number first. */

function interrupt(sch: hw_subchannel): void {
  if (isc_enabled(sch.isc))
    raise_irq({ name: `I/O 0.${sch.ssid}.${sch.sch_no.toString(16).padStart(4, "0")}`, handler: io_interruption });
}
function isc_enabled(isc: number): boolean {
  return (ctl_store(6) & (1 << (31 - isc))) !== 0;
}
function raise_what_is_due(): void {
  for (const sch of s.subchannels.values()) if (sch.interruption) interrupt(sch);
}
/* Taken by a CPU: whatever is due by then; nothing if it was withdrawn meanwhile. */
function* io_interruption(): Spins {
  const code = new tpi_info();
  if (store_interruption_code(code)) yield* do_io_irq(code);
}
function store_interruption_code(into: tpi_info): boolean {
  let first: hw_subchannel | null = null;
  for (const sch of s.subchannels.values()) {
    if (sch.interruption && sch.usable && isc_enabled(sch.isc) && (!first || sch.isc < first.isc)) first = sch;
  }
  if (!first) return false;
  first.interruption = false;
  into.schid.one = 1;
  into.schid.ssid = first.ssid;
  into.schid.sch_no = first.sch_no;
  into.intparm = first.schib.pmcw.intparm;
  into.isc = first.isc;
  return true;
}

/* The instructions. Each gives its condition code, or -EIO for a program check. Any context; they take no time. */

/** @return the subchannel, null if it is not operational, or PROGRAM_CHECK */
function address(schid: subchannel_id): hw_subchannel | null | typeof PROGRAM_CHECK {
  if (!schid.one || (schid.ssid > 0 && !s.mss)) return PROGRAM_CHECK;
  return s.subchannels.get(key(schid.ssid, schid.sch_no)) ?? null;
}
function with_subchannel(schid: subchannel_id, act: (sch: hw_subchannel) => number): number {
  const sch = address(schid);
  if (sch === PROGRAM_CHECK) return -EIO;
  const cc = sch === null ? 3 : act(sch);
  return cc === PROGRAM_CHECK ? -EIO : cc;
}

/** STORE SUBCHANNEL. A gap among the subchannels of a set is stored as zeros; beyond the last one, condition code 3. */
export function hw_stsch(schid: subchannel_id, into: byte_memory): number {
  const sch = address(schid);
  if (sch === PROGRAM_CHECK) return -EIO;
  if (sch) into.$bytes.set(sch.schib.$bytes);
  else {
    const { ssid, sch_no } = schid;
    if (![...s.subchannels.values()].some((other) => other.ssid === ssid && other.sch_no > sch_no)) return 3;
    into.$bytes.fill(0);
  }
  return 0;
}
export function hw_msch(schid: subchannel_id, from: byte_memory): number {
  return with_subchannel(schid, (sch) => sch.msch(cast_to(hw_schib, from)));
}
export function hw_tsch(schid: subchannel_id, into: byte_memory): number {
  return with_subchannel(schid, (sch) => sch.tsch(cast_to(hw_irb, into)));
}
export function hw_ssch(schid: subchannel_id, from: byte_memory): number {
  const orb = new hw_orb();
  orb.$bytes.set(from.$bytes.subarray(0, orb.$bytes.length));
  const word = orb.$view.getUint32(4);
  if ((word >>> 16) & ORB_CTRL0_INVALID || word & ORB_CTRL1_INVALID || orb.cpa > 0x7fffffff) return -EIO;
  return with_subchannel(schid, (sch) => sch.ssch(orb));
}
export function hw_csch(schid: subchannel_id): number {
  return with_subchannel(schid, (sch) => sch.csch());
}
export function hw_hsch(schid: subchannel_id): number {
  return with_subchannel(schid, (sch) => sch.hsch());
}
export function hw_xsch(schid: subchannel_id): number {
  return with_subchannel(schid, (sch) => sch.xsch());
}
/** RESUME SUBCHANNEL: nothing is ever resumed here. */
export function hw_rsch(schid: subchannel_id): number {
  return with_subchannel(schid, (sch) => (sch.usable ? 2 : 3));
}
/** TEST PENDING INTERRUPTION. @return 1 if there was one */
export function hw_tpi(into: tpi_info): number {
  return store_interruption_code(into) ? 1 : 0;
}
/** STORE CHANNEL REPORT WORD. @return 1 if there is none */
export function hw_stcrw(into: crw): number {
  const r = s.reports.shift();
  into.$bytes.fill(0);
  if (!r) return 1;
  into.oflw = s.overflow ? 1 : 0;
  s.overflow = false;
  into.chn = r.chain ? 1 : 0;
  into.rsc = r.rsc;
  into.erc = r.erc;
  into.rsid = r.rsid;
  return 0;
}

/**
 * CHANNEL SUBSYSTEM CALL, the commands of an emulated machine: characteristics (10), channel-path description (02, format 0),
 * multiple subchannel sets (31), no events (0e); any other gives response 4.
 */
export function hw_chsc(area: byte_memory): number {
  const v = area.$view;
  const length = v.getUint16(0);
  const command = v.getUint16(2);
  const respond = (code: number, n = 8): number => {
    v.setUint16(length, n);
    v.setUint16(length + 2, code);
    return 0;
  };
  switch (command) {
    case 0x0010: // General: bits 45 to 48 and 51. Subsystem: none that the kernel looks at.
      v.setUint32(length + 8, 0x03000000);
      v.setUint32(length + 12, 0x00079000);
      return respond(1, 4080);
    case 0x0002: {
      const word = v.getUint32(4);
      if (((word >>> 8) & 0xf) !== 0) return respond(7);
      const chpid = word & 0xff;
      if (![...s.subchannels.values()].some((sch) => has_path(sch, chpid))) return respond(1);
      v.setUint32(length + 8, 0x80000000 | chpid);
      v.setUint32(length + 12, 0);
      return respond(1, 16);
    }
    case 0x0031:
      if (v.getUint16(6) !== 2) return respond(0x0101);
      s.mss = true;
      return respond(1);
    case 0x000e:
      return respond(5);
    default:
      return respond(4);
  }
}
function has_path(sch: hw_subchannel, chpid: number): boolean {
  const p = sch.schib.pmcw;
  return [...p.chpid.$bytes].some((id, i) => id === chpid && p.pim & (0x80 >> i));
}

/* The operator. */

const MAX_REPORTS = 200;
function queue_report(...reports: channel_report[]): void {
  for (const r of reports) {
    if (s.reports.length >= MAX_REPORTS) s.overflow = true;
    else s.reports.push(r);
  }
  // Channel-report-pending machine checks are masked until kmcheck runs; what is queued then waits for the next one.
  if (ctl_store(14) & (1 << 28)) raise_irq({ name: "machine check", handler: do_crw_machine_check });
}
function subchannel_report(ssid: number, sch_no: number): void {
  queue_report(
    { rsc: CRW_RSC_SCH, erc: CRW_ERC_IPARM, rsid: sch_no, chain: true },
    { rsc: CRW_RSC_SCH, erc: CRW_ERC_IPARM, rsid: ssid << 4, chain: false },
  );
}
function find(sch_no: number, ssid: number): hw_subchannel {
  const sch = s.subchannels.get(key(ssid, sch_no)) ?? s.pulled.get(key(ssid, sch_no));
  if (!sch) throw new RangeError(`the machine has no subchannel 0.${ssid}.${sch_no.toString(16)}`);
  return sch;
}

/** What somebody at the machine can do while it runs; from outside or from a task. Subchannels are named by their number. */
function pull(sch: hw_subchannel): void {
  s.pulled.set(key(sch.ssid, sch.sch_no), sch);
  hw.unplug(sch.sch_no, sch.ssid);
}
happenings("event", () =>
  [...s.subchannels.values()].flatMap((sch) => {
    const no = sch.sch_no.toString(16).padStart(4, "0");
    return [
      { name: `device 0.${sch.ssid}.${no} goes away`, happen: () => pull(sch) },
      { name: `an interrupt of 0.${sch.ssid}.${no}`, happen: () => void hw.spurious(sch.sch_no, undefined, sch.ssid) },
    ];
  }),
);

export const hw = {
  /** Plugs a device in, and reports it. */
  attach(c: subchannel_config): void {
    plug(s.subchannels, c);
    subchannel_report(c.ssid ?? 0, c.sch_no);
  },
  /** Pulls a device out: subchannel and I/O are gone at once, and reported. */
  unplug(sch_no: number, ssid = 0): void {
    find(sch_no, ssid);
    if (s.subchannels.delete(key(ssid, sch_no))) subchannel_report(ssid, sch_no);
  },
  /** The device ends the program that it holds. `cpa`: real address, `residual`: bytes. */
  complete(
    sch_no: number,
    how: { ended?: "end" | "program-check" | "reject"; cpa?: number; residual?: number } = {},
    ssid = 0,
  ): void {
    find(sch_no, ssid).end(how.ended ?? "end", how.cpa ?? 0, how.residual ?? 0);
  },
  /** The device answers a halt or a clear that it held back. */
  halted(sch_no: number, ssid = 0): void {
    find(sch_no, ssid).halted();
  },
  cleared(sch_no: number, ssid = 0): void {
    find(sch_no, ssid).cleared();
  },
  /** Status that nobody asked for; attention by default. @return false if the subchannel is disabled or has status pending */
  raise_unsolicited(sch_no: number, dstat = 0x80, ssid = 0): boolean {
    return find(sch_no, ssid).unsolicited(dstat);
  },
  /** The same from a subchannel that is disabled and should keep quiet. */
  spurious(sch_no: number, dstat = 0x80, ssid = 0): boolean {
    return find(sch_no, ssid).unsolicited(dstat, true);
  },
  /** A channel path comes or goes. */
  chp_event(chpid: number, event: "online" | "offline"): void {
    const mask = event === "online" ? -1 : 0;
    for (const sch of s.subchannels.values()) {
      const p = sch.schib.pmcw;
      for (let i = 0; i < 8; i++) {
        const bit = 0x80 >> i;
        if (p.pim & bit && p.chpid.$bytes[i] === chpid) p.pam = (p.pam & ~bit) | (bit & mask);
      }
    }
    queue_report({
      rsc: CRW_RSC_CPATH,
      erc: event === "online" ? CRW_ERC_INIT : CRW_ERC_PERRN,
      rsid: chpid,
      chain: false,
    });
  },
  /** The subchannel as the machine has it, for tests to look at. */
  subchannel(sch_no: number, ssid = 0): hw_subchannel | null {
    return s.subchannels.get(key(ssid, sch_no)) ?? null;
  },
};
