// SPDX-License-Identifier: GPL-2.0-only
/** One subchannel of the machine: its block, its device, and what the I/O instructions do to them. */
import {
  SCHN_STAT_CHN_CTRL_CHK,
  SCHN_STAT_CHN_DATA_CHK,
  SCHN_STAT_INTF_CTRL_CHK,
  SCHN_STAT_PROG_CHECK,
  SCSW_ACTL_CLEAR_PEND,
  SCSW_ACTL_DEVACT,
  SCSW_ACTL_HALT_PEND,
  SCSW_ACTL_RESUME_PEND,
  SCSW_ACTL_SCHACT,
  SCSW_ACTL_START_PEND,
  SCSW_ACTL_SUSPENDED,
  SCSW_FCTL_CLEAR_FUNC,
  SCSW_FCTL_HALT_FUNC,
  SCSW_FCTL_START_FUNC,
  SCSW_STCTL_ALERT_STATUS,
  SCSW_STCTL_INTER_STATUS,
  SCSW_STCTL_PRIM_STATUS,
  SCSW_STCTL_SEC_STATUS,
  SCSW_STCTL_STATUS_PEND,
  DEV_STAT_CHN_END,
  DEV_STAT_DEV_END,
  DEV_STAT_STAT_MOD,
  DEV_STAT_UNIT_CHECK,
} from "#asm/scsw.ts";
import { type channel_device, device_status, type program_end } from "./channel_devices.ts";
import {
  CHARS_CSENSE,
  CHARS_INVALID,
  CHARS_MBFC,
  CHARS_XMWME,
  type hw_irb,
  type hw_orb,
  hw_schib,
  PMCW_DNV,
  PMCW_ENA,
  PMCW_INVALID,
  PMCW_MODIFIABLE,
} from "./hw_schib.ts";

/** The only path that an operation is tried on. */
const PATH = 0x80;
const ANY_STCTL = 0x1f;
const DATA_CHECKS = SCHN_STAT_CHN_DATA_CHK | SCHN_STAT_CHN_CTRL_CHK | SCHN_STAT_INTF_CTRL_CHK;
/** Ended with primary and secondary status. */
const ENDED = SCSW_STCTL_PRIM_STATUS | SCSW_STCTL_SEC_STATUS | SCSW_STCTL_STATUS_PEND;
/** Device status that is no reason for an alert. */
const EXPECTED_DSTAT = DEV_STAT_CHN_END | DEV_STAT_DEV_END | DEV_STAT_STAT_MOD;
/** Instead of a condition code: the instruction ends with a program check. */
export const PROGRAM_CHECK = -1;

/** A subchannel as the machine is configured with it. */
export interface subchannel_config {
  readonly sch_no: number;
  readonly ssid?: number;
  readonly devno: number;
  readonly device: channel_device;
  /** Channel paths, from slot 0 on. Default: one path, chpid 0. */
  readonly chpids?: readonly number[];
  /** Subchannel type, default 0: I/O. */
  readonly st?: number;
  /** QDIO facility. */
  readonly qf?: boolean;
}

export class hw_subchannel {
  readonly sch_no: number;
  readonly ssid: number;
  readonly schib = new hw_schib();
  readonly device: channel_device;
  /** An interruption is due, and nobody has taken it. */
  interruption = false;
  /** A fault of the machine: status is presented although the subchannel is disabled, until it has been tested. */
  faulty = false;
  /** Called when one becomes due. */
  readonly #interrupt: (sch: hw_subchannel) => void;

  constructor(c: subchannel_config, interrupt: (sch: hw_subchannel) => void) {
    this.sch_no = c.sch_no;
    this.ssid = c.ssid ?? 0;
    this.device = c.device;
    this.#interrupt = interrupt;
    const p = this.schib.pmcw;
    const chpids = c.chpids ?? [0];
    p.flags = PMCW_DNV | (c.qf ? 0x8000 : 0);
    p.devno = c.devno;
    p.pim = (0xff00 >> chpids.length) & 0xff;
    p.pam = p.pim;
    p.pom = 0xff;
    p.lpm = p.pim;
    chpids.forEach((id, i) => {
      p.chpid.$bytes[i] = id;
    });
    p.chars = ((c.st ?? 0) & 7) << 21;
  }

  get usable(): boolean {
    const both = PMCW_DNV | PMCW_ENA;
    return this.faulty || (this.schib.pmcw.flags & both) === both;
  }
  get isc(): number {
    return (this.schib.pmcw.flags >> 11) & 7;
  }

  /** Status becomes pending and an interruption due. */
  #present(): void {
    this.interruption = true;
    this.#interrupt(this);
  }

  msch(from: hw_schib): number {
    const p = this.schib.pmcw;
    const scsw = this.schib.scsw.cmd;
    const wanted = from.pmcw;
    if (wanted.flags & PMCW_INVALID || wanted.chars & CHARS_INVALID || wanted.chars & CHARS_XMWME) return PROGRAM_CHECK;
    if (!(p.flags & PMCW_DNV)) return 0;
    if (scsw.stctl & SCSW_STCTL_STATUS_PEND) return 1;
    if (scsw.fctl) return 2;
    const was = p.flags;
    p.intparm = wanted.intparm;
    p.flags = (p.flags & ~PMCW_MODIFIABLE) | (wanted.flags & PMCW_MODIFIABLE);
    p.lpm = wanted.lpm;
    p.mbi = wanted.mbi;
    p.chars = (p.chars & ~(CHARS_MBFC | CHARS_CSENSE)) | (wanted.chars & (CHARS_MBFC | CHARS_CSENSE));
    this.schib.mba.$bytes.set(from.mba.$bytes);
    if (was & PMCW_ENA && !(p.flags & PMCW_ENA)) this.device.disabled();
    return 0;
  }

  ssch(orb: hw_orb): number {
    const scsw = this.schib.scsw.cmd;
    if (!this.usable) return 3;
    if (scsw.stctl & SCSW_STCTL_STATUS_PEND) return 1;
    if (scsw.fctl) return 2;
    scsw.fctl |= SCSW_FCTL_START_FUNC;
    scsw.actl |= SCSW_ACTL_START_PEND;
    scsw.pno = 0;
    this.#start(orb);
    return 0;
  }
  #start(orb: hw_orb): void {
    const scsw = this.schib.scsw.cmd;
    scsw.cstat = 0;
    scsw.dstat = 0;
    this.schib.pmcw.intparm = orb.intparm;
    if (!(orb.lpm & PATH)) {
      // Deferred condition code 3; no later success resets it.
      scsw.cc = 3;
      scsw.stctl = SCSW_STCTL_ALERT_STATUS | SCSW_STCTL_STATUS_PEND;
      this.#present();
      return;
    }
    if (orb.fmt) scsw.fmt = 1;
    const r = this.device.start(orb);
    switch (r.ended) {
      case "start-pending":
        break;
      case "active":
        scsw.actl = SCSW_ACTL_SCHACT | SCSW_ACTL_DEVACT;
        break;
      case "suspended":
        scsw.actl = (scsw.actl & ~SCSW_ACTL_START_PEND) | SCSW_ACTL_SUSPENDED;
        // The emulated machine presents an interruption here as well, without status.
        this.#present();
        break;
      case "status":
        this.#status(r.dstat, r.cstat, r.cpa, r.residual);
        break;
      default:
        this.end(r.ended, r.cpa, r.residual);
    }
  }

  /** The start function ends: from the device, within the instruction or later. */
  end(ended: program_end, cpa: number, residual: number): void {
    const cstat = ended === "program-check" ? SCHN_STAT_PROG_CHECK : this.schib.scsw.cmd.cstat;
    this.#status(device_status(ended), cstat, cpa, residual);
  }
  #status(dstat: number, cstat: number, cpa: number, residual: number): void {
    const scsw = this.schib.scsw.cmd;
    scsw.actl &= ~(SCSW_ACTL_START_PEND | SCSW_ACTL_SCHACT | SCSW_ACTL_DEVACT);
    const alert = cstat !== 0 || (dstat & ~EXPECTED_DSTAT) !== 0 || dstat === 0;
    scsw.stctl = alert ? ENDED | SCSW_STCTL_ALERT_STATUS : ENDED;
    scsw.dstat = dstat;
    scsw.cstat = cstat;
    scsw.cpa = cpa;
    scsw.count = residual;
    this.#present();
  }

  xsch(): number {
    const scsw = this.schib.scsw.cmd;
    if (!this.usable) return 3;
    if (scsw.stctl) return 1;
    const can = SCSW_ACTL_RESUME_PEND | SCSW_ACTL_START_PEND | SCSW_ACTL_SUSPENDED;
    if (!(scsw.fctl & SCSW_FCTL_START_FUNC) || !(scsw.actl & can) || scsw.actl & SCSW_ACTL_SCHACT) return 2;
    scsw.fctl &= ~SCSW_FCTL_START_FUNC;
    scsw.actl &= ~can;
    scsw.dstat = 0;
    scsw.cstat = 0;
    return 0;
  }

  hsch(): number {
    const scsw = this.schib.scsw.cmd;
    if (!this.usable) return 3;
    const done = SCSW_STCTL_PRIM_STATUS | SCSW_STCTL_SEC_STATUS | SCSW_STCTL_ALERT_STATUS;
    if (scsw.stctl === SCSW_STCTL_STATUS_PEND || scsw.stctl & done) return 1;
    if (scsw.fctl & (SCSW_FCTL_HALT_FUNC | SCSW_FCTL_CLEAR_FUNC)) return 2;
    scsw.fctl = (scsw.fctl | SCSW_FCTL_HALT_FUNC) & ~SCSW_FCTL_START_FUNC;
    const active = SCSW_ACTL_SCHACT | SCSW_ACTL_DEVACT;
    if (scsw.actl === active && scsw.stctl === SCSW_STCTL_INTER_STATUS) scsw.stctl &= ~SCSW_STCTL_STATUS_PEND;
    scsw.actl |= SCSW_ACTL_HALT_PEND;
    if (this.device.halt()) this.halted();
    return 0;
  }
  /** The halt signal was issued. */
  halted(): void {
    const scsw = this.schib.scsw.cmd;
    const active = SCSW_ACTL_SCHACT | SCSW_ACTL_DEVACT;
    scsw.actl &= ~SCSW_ACTL_HALT_PEND;
    scsw.stctl |= SCSW_STCTL_STATUS_PEND;
    if (scsw.actl & active || !(scsw.actl & (SCSW_ACTL_START_PEND | SCSW_ACTL_SUSPENDED)))
      scsw.dstat = DEV_STAT_DEV_END;
    if (scsw.actl & (active | SCSW_ACTL_SUSPENDED)) scsw.cstat = 0;
    // Nothing runs any more: TEST SUBCHANNEL does not reset what is active.
    scsw.actl &= ~active;
    this.schib.pmcw.lpum = PATH;
    this.#present();
  }

  csch(): number {
    const scsw = this.schib.scsw.cmd;
    if (!this.usable) return 3;
    scsw.fctl = SCSW_FCTL_CLEAR_FUNC;
    scsw.actl = SCSW_ACTL_CLEAR_PEND;
    if (this.device.clear()) this.cleared();
    return 0;
  }
  /** The clear signal was issued. */
  cleared(): void {
    const scsw = this.schib.scsw.cmd;
    this.schib.pmcw.pom = 0xff;
    scsw.pno = 0;
    scsw.actl &= ~SCSW_ACTL_CLEAR_PEND;
    scsw.stctl |= SCSW_STCTL_STATUS_PEND;
    scsw.dstat = 0;
    scsw.cstat = 0;
    this.schib.pmcw.lpum = PATH;
    this.#present();
  }

  tsch(into: hw_irb): number {
    const scsw = this.schib.scsw.cmd;
    if (!this.usable) return 3;
    const pending = (scsw.stctl & SCSW_STCTL_STATUS_PEND) !== 0;
    this.#store_irb(into, pending);
    if (!pending) return 1;
    // Whoever tests the subchannel first takes the interruption with it.
    this.interruption = false;
    this.faulty = false;
    const { stctl, actl, fctl } = scsw;
    const all_pending = SCSW_ACTL_RESUME_PEND | SCSW_ACTL_START_PEND | SCSW_ACTL_HALT_PEND | SCSW_ACTL_CLEAR_PEND;
    scsw.stctl = 0;
    if (stctl !== (SCSW_STCTL_INTER_STATUS | SCSW_STCTL_STATUS_PEND)) {
      scsw.fctl = 0;
      scsw.pno = 0;
      scsw.actl &= ~(all_pending | SCSW_ACTL_SUSPENDED);
    } else if (actl & SCSW_ACTL_SUSPENDED) {
      scsw.pno = 0;
      if (fctl & SCSW_FCTL_HALT_FUNC) {
        scsw.fctl = 0;
        scsw.actl &= ~(all_pending | SCSW_ACTL_SUSPENDED);
      } else scsw.actl &= ~SCSW_ACTL_RESUME_PEND;
    }
    if (this.schib.pmcw.chars & CHARS_CSENSE) this.device.sense_data.fill(0);
    return 0;
  }
  #store_irb(into: hw_irb, pending: boolean): void {
    const scsw = this.schib.scsw.cmd;
    into.$bytes.fill(0);
    into.scsw.$bytes.set(this.schib.scsw.$bytes);
    if (!pending) return;
    if (scsw.cstat & DATA_CHECKS) {
      into.scsw.cmd.eswf = 1;
      into.esw.$bytes.set([0x04, 0x80, 0x40, 0x00]);
    } else into.esw.$bytes.set([0x00, 0x80, 0x00, 0x00]);
    if (scsw.dstat & DEV_STAT_UNIT_CHECK && this.schib.pmcw.chars & CHARS_CSENSE) {
      into.scsw.cmd.eswf = 1;
      into.scsw.cmd.ectl = 1;
      into.ecw.$bytes.set(this.device.sense_data);
      into.esw.$bytes.set([0x01, 0x00, this.device.sense_data.length, 0x00], 4);
    }
  }

  /**
   * Status that nobody asked for. @disabled: also while the subchannel is disabled, which sound hardware does not do
   * @return false if the subchannel takes none
   */
  unsolicited(dstat: number, disabled = false): boolean {
    const scsw = this.schib.scsw.cmd;
    if (!(this.usable || disabled) || scsw.stctl & SCSW_STCTL_STATUS_PEND) return false;
    this.faulty = disabled;
    scsw.stctl = (scsw.stctl & ~ANY_STCTL) | SCSW_STCTL_ALERT_STATUS | SCSW_STCTL_STATUS_PEND;
    scsw.dstat = dstat;
    this.#present();
    return true;
  }
}
