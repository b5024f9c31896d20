// SPDX-License-Identifier: GPL-2.0-only
/**
 * A channel program run to its end within START SUBCHANNEL, one CCW after the other. The rules are those of an emulated
 * machine (s390-ccw-virtio), faults included: there is no data chaining, and a transfer starts over at each further IDAW.
 */
import {
  CCW_CMD_BASIC_SENSE,
  CCW_CMD_NOOP,
  CCW_CMD_SENSE_ID,
  CCW_CMD_TIC,
  CCW_FLAG_CC,
  CCW_FLAG_DC,
  CCW_FLAG_IDA,
  CCW_FLAG_SKIP,
  CCW_FLAG_SLI,
  CCW_FLAG_SUSPEND,
} from "#asm/cio.ts";
import type { hw_orb } from "./hw_schib.ts";
import { read_real, write_real } from "./real_memory.ts";

const CCW_FLAG_MIDA = 0x01;
export const SENSE_BYTES = 32;
const SENSE_ID_BYTES = 256;

/** A CCW, format 1 or translated to it. */
export interface ccw {
  readonly cmd_code: number;
  readonly flags: number;
  readonly count: number;
  readonly cda: number;
}

/** "end": go on or done; "program-check", "reject" (unit check, command reject), "suspended". */
export type ccw_ending = "end" | "program-check" | "reject" | "suspended";

/** What the interpreter keeps of a program in progress. */
export interface program {
  readonly orb: hw_orb;
  /** Address of the CCW that is or was executed last. */
  channel_prog: number;
  last: ccw | null;
  /** CCWs without an address so far. */
  no_data: number;
  /** Bytes that were not transferred, of the last CCW that says. */
  residual: number;
}

/** Where the data of one CCW go. */
export interface data_stream {
  readonly ccw: ccw;
  /** Stores what is left of `bytes` from byte `from` of the data on. @return false: program check */
  write(bytes: Uint8Array, from?: number): boolean;
  /** @return null: program check */
  read(n: number, from?: number): Uint8Array | null;
}

/** The control unit and device behind the subchannel, as far as commands are concerned. */
export interface command_set {
  /** Sense data; cleared by who reads them. */
  readonly sense_data: Uint8Array;
  /** The first bytes of what SENSE ID gives. */
  readonly sense_id: Uint8Array;
  /** Every command that the interpreter does not know itself. */
  command(stream: data_stream, check_len: boolean, done: (residual: number) => void): ccw_ending;
}

/** Whether the channel stores nothing for this CCW. */
function skips(c: ccw): boolean {
  const low = c.cmd_code & 0xf;
  return (c.flags & CCW_FLAG_SKIP) !== 0 && (low === 0x4 || low === 0xc || (c.cmd_code & 3) === 2);
}

class stream implements data_stream {
  readonly ccw: ccw;
  readonly #orb: hw_orb;
  constructor(c: ccw, orb: hw_orb) {
    this.ccw = c;
    this.#orb = orb;
  }

  /** Real addresses of the blocks that bytes from..from+n of the data lie in; null if an IDAW cannot be used. */
  #blocks(from: number, n: number): { address: bigint; n: number }[] | null {
    const { cda, flags } = this.ccw;
    if (!(flags & CCW_FLAG_IDA)) return [{ address: BigInt(cda) + BigInt(from), n }];
    const size = this.#orb.c64 && !this.#orb.i2k ? 4096 : 2048;
    const width = this.#orb.c64 ? 8 : 4;
    const blocks: { address: bigint; n: number }[] = [];
    let skip = from;
    let left = n;
    for (let i = 0; left > 0; i++) {
      const at = cda + i * width;
      if (at % width !== 0 || at > 0x7fffffff) return null;
      const raw = read_real(BigInt(at), width);
      if (!raw) return null;
      let address = 0n;
      for (const b of raw) address = (address << 8n) | BigInt(b);
      const room = size - Number(address % BigInt(size));
      const here = Math.min(left, Math.max(0, room - skip));
      if (here > 0) blocks.push({ address: address + BigInt(skip), n: here });
      skip = Math.max(0, skip - room);
      left -= here;
    }
    return blocks;
  }

  write(bytes: Uint8Array, from = 0): boolean {
    const n = Math.min(bytes.length, Math.max(0, this.ccw.count - from));
    if (n === 0 || skips(this.ccw)) return true;
    const blocks = this.#blocks(from, n);
    // Each block begins with the first byte of the data again: the fault of the emulated machine.
    return blocks !== null && blocks.every((b) => write_real(b.address, bytes.subarray(0, b.n)));
  }
  read(n: number, from = 0): Uint8Array | null {
    const blocks = this.#blocks(from, n);
    if (!blocks) return null;
    const bytes = new Uint8Array(n);
    for (const b of blocks) {
      const part = read_real(b.address, b.n);
      if (!part) return null;
      bytes.set(part, 0);
    }
    return bytes;
  }
}

/** The CCW at a real address, in the words of format 1; null if there is no memory. */
export function fetch_ccw(address: number, fmt1: boolean): ccw | null {
  const b = read_real(BigInt(address), 8);
  if (!b) return null;
  const v = new DataView(b.buffer);
  if (fmt1) return { cmd_code: v.getUint8(0), flags: v.getUint8(1), count: v.getUint16(2), cda: v.getUint32(4) };
  const tic = (v.getUint8(0) & 0xf) === CCW_CMD_TIC;
  return {
    cmd_code: tic ? CCW_CMD_TIC : v.getUint8(0),
    flags: tic ? 0 : v.getUint8(4),
    count: tic ? 0 : v.getUint16(6),
    cda: v.getUint32(0) & 0xffffff,
  };
}

function execute(p: program, c: ccw, unit: command_set): ccw_ending {
  const check_len = !(c.flags & CCW_FLAG_SLI && !(c.flags & CCW_FLAG_DC));
  if (!c.cda) {
    if (p.no_data === 255) return "program-check";
    p.no_data++;
  }
  const data = new stream(c, p.orb);
  switch (c.cmd_code) {
    case CCW_CMD_NOOP:
      return "end";
    case CCW_CMD_BASIC_SENSE: {
      if (check_len && c.count !== SENSE_BYTES) return "program-check";
      const n = Math.min(c.count, SENSE_BYTES);
      if (!data.write(unit.sense_data.slice(0, n))) return "program-check";
      p.residual = c.count - n;
      unit.sense_data.fill(0);
      return "end";
    }
    case CCW_CMD_SENSE_ID: {
      if (check_len && c.count !== SENSE_ID_BYTES) return "program-check";
      const n = Math.min(c.count, SENSE_ID_BYTES);
      const id = new Uint8Array(SENSE_ID_BYTES);
      id.set(unit.sense_id);
      id[0] = n >= 4 ? 0xff : 0;
      if (!data.write(id.subarray(0, n))) return "program-check";
      p.residual = c.count - n;
      return "end";
    }
    default:
      return unit.command(data, check_len, (residual) => {
        p.residual = residual;
      });
  }
}

/** Executes one CCW. @return "next": the program goes on with the CCW at p.channel_prog */
function interpret(p: program, unit: command_set): ccw_ending | "next" {
  const at = p.channel_prog;
  const fmt1 = p.orb.fmt === 1;
  if (at === 0 || at % 8 !== 0 || at > (fmt1 ? 0x7fffffff : 0xffffff)) return "program-check";
  const c = fetch_ccw(at, fmt1);
  if (!c) return "program-check";
  if ((c.cmd_code & 0xf) === 0) return "program-check";
  if ((c.cmd_code & 0xf) === CCW_CMD_TIC && c.cmd_code & 0xf0) return "program-check";
  if (!fmt1 && c.count === 0 && c.cmd_code !== CCW_CMD_TIC) return "program-check";
  if (c.flags & CCW_FLAG_MIDA) return "program-check";
  if (c.flags & CCW_FLAG_SUSPEND) return p.orb.spnd ? "suspended" : "program-check";
  if (c.cmd_code === CCW_CMD_TIC) {
    if (p.last?.cmd_code === CCW_CMD_TIC || c.flags || c.count) return "program-check";
    if (!c.cda && ++p.no_data > 255) return "program-check";
    p.last = c;
    p.channel_prog = c.cda;
    return "next";
  }
  const ending = execute(p, c, unit);
  p.last = c;
  if (ending === "end" && c.flags & CCW_FLAG_CC) {
    p.channel_prog += 8;
    return "next";
  }
  return ending;
}

/** Longest program that is run: a loop of NOP and TIC would never end. */
const MAX_CCWS = 100_000;

/** Runs a program to its end. Any context; takes no time. */
export function run_program(p: program, unit: command_set): ccw_ending {
  for (let n = 0; n < MAX_CCWS; n++) {
    const ending = interpret(p, unit);
    if (ending !== "next") return ending;
  }
  return "program-check";
}
