// SPDX-License-Identifier: GPL-2.0-only
/**
 * A channel that runs programs by the book: command and data chaining, CCWs of both formats, IDAWs of 2 and 4 KB, skipping,
 * incorrect length and its suppression, status modifier. Source: the architecture's Principles of Operation. Missing:
 * storage keys, MIDAWs, program-controlled interruptions, reading backward, RESUME SUBCHANNEL; addresses are checked when
 * they are used.
 */
import {
  CCW_CMD_TIC,
  CCW_FLAG_CC,
  CCW_FLAG_DC,
  CCW_FLAG_IDA,
  CCW_FLAG_SKIP,
  CCW_FLAG_SLI,
  CCW_FLAG_SUSPEND,
} from "#asm/cio.ts";
import {
  DEV_STAT_CHN_END,
  DEV_STAT_DEV_END,
  DEV_STAT_STAT_MOD,
  DEV_STAT_UNIT_CHECK,
  SCHN_STAT_INCORR_LEN,
  SCHN_STAT_PROG_CHECK,
} from "#asm/scsw.ts";
import { type ccw, fetch_ccw } from "./ccw_interpreter.ts";
import type { start_result } from "./channel_devices.ts";
import type { hw_orb } from "./hw_schib.ts";
import { read_real, write_real } from "./real_memory.ts";

const CCW_FLAG_MIDA = 0x01;
export const NORMAL_END = DEV_STAT_CHN_END | DEV_STAT_DEV_END;
/** CCWs after which a program counts as one that never ends; it stays active until it is halted or cleared. */
export const MAX_CCWS = 4096;

/** What a device makes of a command, and the device status at the end of it. */
export type device_answer =
  /** It ends at once and moves no data. */
  | { readonly moves: "nothing"; readonly dstat: number }
  /** The device has `bytes` for the channel. */
  | { readonly moves: "in"; readonly bytes: Uint8Array; readonly dstat: number }
  /** The device takes up to `wanted` bytes; `take` gets those that came. */
  | { readonly moves: "out"; readonly wanted: number; readonly take: (bytes: Uint8Array) => number };

/** A control unit with its device, as a channel talks to it. */
export interface control_unit {
  /** A program begins. */
  begin(): void;
  command(code: number): device_answer;
}

interface block {
  readonly address: bigint;
  readonly n: number;
}

/** Where byte `at` of the data of a CCW lies, and how many bytes from there on are in one piece; null: program check. */
function data_block(orb: hw_orb, c: ccw, at: number): block | null {
  const left = c.count - at;
  if (!(c.flags & CCW_FLAG_IDA)) {
    const address = c.cda + at;
    if (address > (orb.fmt ? 0x7fffffff : 0xffffff)) return null;
    return { address: BigInt(address), n: Math.min(left, 4096 - (address % 4096)) };
  }
  const size = orb.c64 && !orb.i2k ? 4096 : 2048;
  const first = idaw(orb, c.cda, 0);
  if (first === null) return null;
  const room = size - Number(first % BigInt(size));
  if (at < room) return { address: first + BigInt(at), n: Math.min(left, room - at) };
  const further = Math.floor((at - room) / size);
  const offset = (at - room) % size;
  const address = idaw(orb, c.cda, 1 + further);
  if (address === null || address % BigInt(size) !== 0n) return null;
  return { address: address + BigInt(offset), n: Math.min(left, size - offset) };
}
function idaw(orb: hw_orb, list: number, i: number): bigint | null {
  const width = orb.c64 ? 8 : 4;
  const at = list + i * width;
  const bytes = list % width === 0 && at <= 0x7fffffff ? read_real(BigInt(at), width) : null;
  if (!bytes) return null;
  let address = 0n;
  for (const b of bytes) address = (address << 8n) | BigInt(b);
  return address;
}

/** One start function in progress. */
class running_program {
  readonly #orb: hw_orb;
  readonly #unit: control_unit;
  /** Where the next CCW is. */
  #next: number;
  /** What the status will say: the address behind the CCW that was fetched last, and bytes of it that did not move. */
  cpa = 0;
  residual = 0;
  #fetched = 0;
  #may_tic = false;

  constructor(orb: hw_orb, unit: control_unit) {
    this.#orb = orb;
    this.#unit = unit;
    this.#next = orb.cpa;
  }

  get endless(): boolean {
    return this.#fetched > MAX_CCWS;
  }

  /** The next CCW that is not a TIC; null: program check. @chained: by data, so that its code does not count */
  #fetch(chained: boolean): ccw | null {
    for (;;) {
      const at = this.#next;
      const fmt1 = this.#orb.fmt === 1;
      this.#fetched++;
      this.cpa = (at + 8) >>> 0;
      if (at % 8 !== 0 || at > (fmt1 ? 0x7fffffff : 0xffffff)) return null;
      const c = fetch_ccw(at, fmt1);
      if (!c) return null;
      if ((c.cmd_code & 0xf) !== CCW_CMD_TIC) {
        this.#next = at + 8;
        this.#may_tic = true;
        return this.#valid(c, chained) ? c : null;
      }
      // Neither the first CCW nor the target of a TIC.
      if (!this.#may_tic || c.cmd_code !== CCW_CMD_TIC || c.flags || c.count) return null;
      this.#may_tic = false;
      this.#next = c.cda;
    }
  }
  #valid(c: ccw, chained: boolean): boolean {
    const { fmt } = this.#orb;
    if (!chained && (c.cmd_code & 0xf) === 0) return false;
    if (c.flags & CCW_FLAG_MIDA || (c.flags & CCW_FLAG_SUSPEND && !this.#orb.spnd)) return false;
    if (c.count === 0 && (!fmt || chained || c.flags & CCW_FLAG_DC)) return false;
    return !(fmt && c.cda > 0x7fffffff);
  }

  /**
   * Moves up to `wanted` bytes between storage and `bytes`, on to data chained CCWs as counts run out.
   * @c: the first; @return the last CCW, how many bytes moved, and whether the channel had to stop
   */
  #move(c: ccw, bytes: Uint8Array, store: boolean): { last: ccw; moved: number; stopped: boolean } {
    let last = c;
    let moved = 0;
    for (let at = 0; ;) {
      this.residual = last.count - at;
      if (at === last.count) {
        if (!(last.flags & CCW_FLAG_DC)) return { last, moved, stopped: false };
        const next = this.#fetch(true);
        if (!next) return { last, moved, stopped: true };
        last = next;
        at = 0;
        continue;
      }
      if (moved === bytes.length) return { last, moved, stopped: false };
      const n = this.#move_block(last, at, bytes.subarray(moved), store);
      if (n === null) return { last, moved, stopped: true };
      at += n;
      moved += n;
    }
  }
  /** @return bytes moved, or null for a program check */
  #move_block(c: ccw, at: number, bytes: Uint8Array, store: boolean): number | null {
    if (store && c.flags & CCW_FLAG_SKIP) return Math.min(bytes.length, c.count - at);
    const where = data_block(this.#orb, c, at);
    if (!where) return null;
    const n = Math.min(where.n, bytes.length);
    if (store) return write_real(where.address, bytes.subarray(0, n)) ? n : null;
    const read = read_real(where.address, n);
    if (!read) return null;
    bytes.set(read);
    return n;
  }

  #ended(dstat: number, cstat: number): start_result {
    return { ended: "status", dstat, cstat, cpa: this.cpa, residual: this.residual };
  }

  /** One command with all its data. @return how the program ended, or null: it goes on */
  step(): start_result | null {
    const c = this.#fetch(false);
    if (!c) return this.#ended(0, SCHN_STAT_PROG_CHECK);
    this.residual = c.count;
    if (c.flags & CCW_FLAG_SUSPEND) return { ended: "suspended" };
    const answer = this.#unit.command(c.cmd_code);
    if (answer.moves === "nothing") {
      const counts = c.count !== 0 && this.#orb.fmt && !this.#orb.ils && !(answer.dstat & DEV_STAT_UNIT_CHECK);
      return this.#chain(c, answer.dstat, Boolean(counts));
    }
    const store = answer.moves === "in";
    const bytes = store ? answer.bytes : new Uint8Array(answer.wanted);
    const { last, moved, stopped } = this.#move(c, bytes, store);
    const dstat = store ? answer.dstat : answer.take(bytes.subarray(0, moved));
    if (stopped) return this.#ended(dstat, SCHN_STAT_PROG_CHECK);
    return this.#chain(last, dstat, moved < bytes.length || this.residual > 0);
  }
  /** Command chaining. @wrong: the length is incorrect */
  #chain(c: ccw, dstat: number, wrong: boolean): start_result | null {
    const suppressed = c.flags & CCW_FLAG_SLI && !(c.flags & CCW_FLAG_DC);
    const cstat = wrong && !suppressed ? SCHN_STAT_INCORR_LEN : 0;
    const goes_on = c.flags & CCW_FLAG_CC && !(c.flags & CCW_FLAG_DC);
    if (!goes_on || cstat || (dstat & ~DEV_STAT_STAT_MOD) !== NORMAL_END) return this.#ended(dstat, cstat);
    if (dstat & DEV_STAT_STAT_MOD) this.#next += 8;
    return null;
  }
}

/**
 * Runs a channel program; any context, takes no time.
 * @return its status; "active" for one that does not end; "suspended"
 */
export function run_channel_program(orb: hw_orb, unit: control_unit): start_result {
  const program = new running_program(orb, unit);
  unit.begin();
  while (!program.endless) {
    const result = program.step();
    if (result) return result;
  }
  return { ended: "active" };
}
