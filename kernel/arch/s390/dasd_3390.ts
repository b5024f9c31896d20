// SPDX-License-Identifier: GPL-2.0-only
/**
 * A 3390 disk behind a 3990 control unit. It knows NOP, sense, sense ID, the seeks, recalibrate, search ID equal, define extent,
 * locate record, and reading of count, data, key and data, count key and data, home address and whole tracks; writing data
 * only. Missing: formatting, record 0, search by key or high, rotational position, prefix, device characteristics,
 * reserve and release, path groups; it is always ready and ends a command within START SUBCHANNEL.
 */
import { CCW_CMD_BASIC_SENSE, CCW_CMD_NOOP, CCW_CMD_SENSE_ID } from "#asm/cio.ts";
import { DEV_STAT_STAT_MOD, DEV_STAT_UNIT_CHECK } from "#asm/scsw.ts";
import { SENSE_BYTES } from "./ccw_interpreter.ts";
import type { channel_device, start_result } from "./channel_devices.ts";
import { type control_unit, type device_answer, NORMAL_END, run_channel_program } from "./ckd_channel.ts";
import { type dasd_fault, set_sense } from "./dasd_sense.ts";
import { type ckd_record, type ckd_track, count_area, dasd_disk, type dasd_geometry } from "./dasd_track.ts";
import type { hw_orb } from "./hw_schib.ts";

export const DASD_CMD = {
  WRITE_DATA: 0x05,
  READ_DATA: 0x06,
  SEEK: 0x07,
  SEEK_CYLINDER: 0x0b,
  READ_KEY_DATA: 0x0e,
  READ_COUNT: 0x12,
  RECALIBRATE: 0x13,
  READ_HOME_ADDRESS: 0x1a,
  SEEK_HEAD: 0x1b,
  READ_CKD: 0x1e,
  SEARCH_ID_EQUAL: 0x31,
  LOCATE_RECORD: 0x47,
  DEFINE_EXTENT: 0x63,
  READ_TRACK: 0xde,
} as const;
/** Goes on with the next track at the end of one. */
export const MULTI_TRACK = 0x80;
const SENSE_ID_3990 = Uint8Array.of(0xff, 0x39, 0x90, 0xe9, 0x33, 0x90, 0x0c);
/** Of the mask of define extent; the other values permit writing of data. */
const WRITE_CONTROL = 0xc0;
const INHIBIT_ALL_WRITES = 0x40;
const LOCATE = { ORIENT: 0x00, WRITE_DATA: 0x01, READ_DATA: 0x06, READ_TRACKS: 0x0c, READ: 0x16 } as const;
const NO_DATA = { moves: "nothing", dstat: NORMAL_END } as const;

interface extent {
  readonly mask: number;
  /** First and last track, counted through the disk. */
  readonly from: number;
  readonly to: number;
}
interface domain {
  readonly operation: number;
  /** Records or tracks that are still allowed. */
  left: number;
}

export class dasd_3390 implements channel_device, control_unit {
  readonly sense_data = new Uint8Array(SENSE_BYTES);
  readonly disk: dasd_disk;
  /** Tracks, as "cylinder/head", on which nothing that passes the head can be made out. */
  readonly damaged: ReadonlySet<string>;
  #cyl = 0;
  #head = 0;
  /** Index of the record that passes next. */
  #next = 0;
  /** The record whose count area has just passed: found by a search, or read. */
  #oriented: ckd_record | null = null;
  /** A search found it: it may be written. */
  #matched = false;
  /** Index points that passed without anything read. */
  #turns = 0;
  #extent: extent | null = null;
  #domain: domain | null = null;

  constructor(how: { seed?: number; geometry?: dasd_geometry; damaged?: readonly string[] } = {}) {
    this.disk = new dasd_disk(how.seed ?? 3390, how.geometry);
    this.damaged = new Set(how.damaged);
  }

  start(orb: hw_orb): start_result {
    return run_channel_program(orb, this);
  }
  halt(): boolean {
    return true;
  }
  clear(): boolean {
    return true;
  }
  disabled(): void {}

  begin(): void {
    this.#extent = null;
    this.#leave();
    this.#domain = null;
  }
  /** Orientation is lost. */
  #leave(): void {
    this.#oriented = null;
    this.#matched = false;
    this.#turns = 0;
  }
  #check(why: dasd_fault): number {
    set_sense(this.sense_data, why, this.#cyl, this.#head);
    return NORMAL_END | DEV_STAT_UNIT_CHECK;
  }
  #refuse(why: dasd_fault): device_answer {
    return { moves: "nothing", dstat: this.#check(why) };
  }
  /** Parameters of a control command: what is to be done with all `wanted` bytes of them. */
  #parameters(wanted: number, use: (v: DataView) => dasd_fault | null): device_answer {
    const take = (bytes: Uint8Array): number => {
      const why = bytes.length < wanted ? "data shorter than required" : use(new DataView(bytes.slice().buffer));
      return why === null ? NORMAL_END : this.#check(why);
    };
    return { moves: "out", wanted, take };
  }

  command(code: number): device_answer {
    if (code === CCW_CMD_BASIC_SENSE) {
      const bytes = this.sense_data.slice();
      this.sense_data.fill(0);
      return { moves: "in", bytes, dstat: NORMAL_END };
    }
    // Sense data are about the program before.
    this.sense_data.fill(0);
    switch (code) {
      case CCW_CMD_NOOP:
        return NO_DATA;
      case CCW_CMD_SENSE_ID:
        return { moves: "in", bytes: SENSE_ID_3990.slice(), dstat: NORMAL_END };
      case DASD_CMD.RECALIBRATE:
        return this.#seek(0, 0) ? NO_DATA : this.#refuse("file protected");
      case DASD_CMD.SEEK:
      case DASD_CMD.SEEK_CYLINDER:
      case DASD_CMD.SEEK_HEAD:
        return this.#parameters(6, (v) => this.#seek_to(code, v));
      case DASD_CMD.DEFINE_EXTENT:
        return this.#extent ? this.#refuse("invalid sequence") : this.#parameters(16, (v) => this.#define_extent(v));
      case DASD_CMD.LOCATE_RECORD:
        return this.#extent ? this.#parameters(16, (v) => this.#locate(v)) : this.#refuse("invalid sequence");
      default:
        return this.#on_track(code);
    }
  }

  /* Moving. */

  #within(cyl: number, head: number): boolean {
    const track = cyl * this.disk.geometry.heads + head;
    return !this.#extent || (track >= this.#extent.from && track <= this.#extent.to);
  }
  #seek(cyl: number, head: number): boolean {
    if (!this.#within(cyl, head)) return false;
    this.#cyl = cyl;
    this.#head = head;
    this.#next = 0;
    this.#leave();
    this.#domain = null;
    return true;
  }
  #seek_to(code: number, v: DataView): dasd_fault | null {
    const cyl = code === DASD_CMD.SEEK_HEAD ? this.#cyl : v.getUint16(2);
    const head = v.getUint16(4);
    if (v.getUint16(0) !== 0 || !this.disk.has(cyl, head)) return "invalid parameter";
    return this.#seek(cyl, head) ? null : "file protected";
  }
  #define_extent(v: DataView): dasd_fault | null {
    const { heads } = this.disk.geometry;
    const [from_cyl, from_head, to_cyl, to_head] = [8, 10, 12, 14].map((at) => v.getUint16(at)) as [
      number,
      number,
      number,
      number,
    ];
    if (!this.disk.has(from_cyl, from_head) || !this.disk.has(to_cyl, to_head)) return "invalid parameter";
    const [from, to] = [from_cyl * heads + from_head, to_cyl * heads + to_head];
    if (from > to) return "invalid parameter";
    this.#extent = { mask: v.getUint8(0), from, to };
    return null;
  }
  #locate(v: DataView): dasd_fault | null {
    const operation = v.getUint8(0) & 0x3f;
    const [count, cyl, head] = [v.getUint8(3), v.getUint16(4), v.getUint16(6)];
    if (!Object.values<number>(LOCATE).includes(operation)) return "invalid parameter";
    if ((count === 0) !== (operation === LOCATE.ORIENT)) return "invalid parameter";
    if (!this.disk.has(cyl, head)) return "invalid parameter";
    if (!this.#within(cyl, head)) return "file protected";
    if (operation === LOCATE.WRITE_DATA && !this.#may_write()) return "file protected";
    this.#seek(cyl, head);
    this.#domain = { operation, left: count };
    if (operation === LOCATE.READ_TRACKS) return null;
    if (this.#is_damaged()) return "invalid track format";
    const wanted = { cyl: v.getUint16(8), head: v.getUint16(10), no: v.getUint8(12) };
    const found = this.#track().records.findIndex(
      (r) => r.cyl === wanted.cyl && r.head === wanted.head && r.no === wanted.no,
    );
    if (found < 0) return "no record found";
    this.#next = found;
    this.#pass();
    this.#matched = true;
    return null;
  }
  #may_write(): boolean {
    return !this.#extent || (this.#extent.mask & WRITE_CONTROL) !== INHIBIT_ALL_WRITES;
  }

  /* On the track. */

  #track(): ckd_track {
    return this.disk.track(this.#cyl, this.#head);
  }
  #is_damaged(): boolean {
    return this.damaged.has(`${this.#cyl}/${this.#head}`);
  }
  /** The next count area passes under the head. @return null on a track without records */
  #pass(): ckd_record | null {
    const { records } = this.#track();
    if (this.#next >= records.length) {
      this.#next = 0;
      this.#turns++;
    }
    const r = records[this.#next] ?? null;
    this.#next++;
    this.#oriented = r;
    this.#matched = false;
    return r;
  }
  /** The same with MULTI_TRACK: behind the last record comes the next track. @return why there is none */
  #pass_on(): ckd_record | dasd_fault {
    if (this.#next >= this.#track().records.length) {
      const last = this.#head + 1 >= this.disk.geometry.heads;
      const [cyl, head] = last ? [this.#cyl + 1, 0] : [this.#cyl, this.#head + 1];
      if (!this.disk.has(cyl, head) || !this.#within(cyl, head)) return "file protected";
      [this.#cyl, this.#head, this.#next] = [cyl, head, 0];
      if (this.#is_damaged()) return "invalid track format";
    }
    return this.#pass() ?? "no record found";
  }

  #on_track(code: number): device_answer {
    if (code === DASD_CMD.READ_TRACK) return this.#read_track();
    const basic = code & ~MULTI_TRACK;
    const reads = READS.get(basic);
    if (reads) return this.#read(basic, (code & MULTI_TRACK) !== 0, reads);
    switch (code) {
      case DASD_CMD.SEARCH_ID_EQUAL:
        return this.#search();
      case DASD_CMD.READ_HOME_ADDRESS: {
        const address = Uint8Array.of(0, this.#cyl >> 8, this.#cyl & 0xff, this.#head >> 8, this.#head & 0xff);
        return { moves: "in", bytes: address, dstat: NORMAL_END };
      }
      case DASD_CMD.WRITE_DATA:
      case DASD_CMD.WRITE_DATA | MULTI_TRACK:
        return this.#write(code !== DASD_CMD.WRITE_DATA);
      default:
        return this.#refuse("invalid command");
    }
  }
  #search(): device_answer {
    if (this.#domain) return this.#refuse("invalid sequence");
    if (this.#is_damaged()) return this.#refuse("invalid track format");
    const r = this.#pass();
    if (!r || this.#turns > 1) return this.#refuse("no record found");
    const take = (id: Uint8Array): number => {
      // Fewer bytes than five are compared as far as they go.
      this.#matched = id.length > 0 && id.every((b, i) => b === count_area(r)[i]);
      return this.#matched ? NORMAL_END | DEV_STAT_STAT_MOD : NORMAL_END;
    };
    return { moves: "out", wanted: 5, take };
  }
  /** Counts a record or track against the domain of a locate record. @return false if it does not allow it */
  #use_domain(...operations: readonly number[]): boolean {
    if (!this.#domain) return true;
    if (this.#domain.left === 0 || !operations.includes(this.#domain.operation)) return false;
    this.#domain.left--;
    return true;
  }
  #read(code: number, multi: boolean, reads: (r: ckd_record) => Uint8Array): device_answer {
    if (!this.#use_domain(LOCATE.READ_DATA, LOCATE.READ)) return this.#refuse("invalid sequence");
    if (this.#is_damaged()) return this.#refuse("invalid track format");
    // What begins with a count wants the next one, except for the record that locate record stopped in front of.
    const counts = code === DASD_CMD.READ_COUNT || code === DASD_CMD.READ_CKD;
    const stays = this.#oriented && (!counts || (this.#domain && this.#matched));
    const found = stays ? this.#oriented : multi ? this.#pass_on() : (this.#pass() ?? "no record found");
    if (typeof found === "string") return this.#refuse(found);
    if (!found) return this.#refuse("no record found");
    this.#turns = 0;
    this.#oriented = code === DASD_CMD.READ_COUNT ? found : null;
    this.#matched = false;
    return { moves: "in", bytes: reads(found), dstat: NORMAL_END };
  }
  #write(multi: boolean): device_answer {
    if (!this.#may_write()) return this.#refuse("file protected");
    const allowed = this.#domain ? this.#use_domain(LOCATE.WRITE_DATA) : this.#matched;
    if (!allowed) return this.#refuse("invalid sequence");
    if (this.#is_damaged()) return this.#refuse("invalid track format");
    const found = this.#oriented ?? (multi ? this.#pass_on() : (this.#pass() ?? "no record found"));
    if (typeof found === "string") return this.#refuse(found);
    this.#leave();
    const take = (bytes: Uint8Array): number => {
      // What is missing is written as zeros.
      found.data.fill(0);
      found.data.set(bytes);
      return NORMAL_END;
    };
    return { moves: "out", wanted: found.data.length, take };
  }
  /** Count areas, keys and data of all records, and behind them eight bytes that are no count area. */
  #read_track(): device_answer {
    if (this.#domain?.operation !== LOCATE.READ_TRACKS || !this.#use_domain(LOCATE.READ_TRACKS))
      return this.#refuse("invalid sequence");
    if (this.#is_damaged()) return this.#refuse("invalid track format");
    const parts = [...this.#track().records.map(whole), new Uint8Array(8).fill(0xff)];
    const bytes = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const p of parts) {
      bytes.set(p, at);
      at += p.length;
    }
    const after = this.#head + 1;
    if (this.#domain.left > 0 && this.disk.has(this.#cyl, after) && this.#within(this.#cyl, after)) this.#head = after;
    return { moves: "in", bytes, dstat: NORMAL_END };
  }
}

function whole(r: ckd_record): Uint8Array {
  return Uint8Array.of(...count_area(r), ...r.key, ...r.data);
}
/** What each of the reading commands gives of a record. */
const READS: ReadonlyMap<number, (r: ckd_record) => Uint8Array> = new Map([
  [DASD_CMD.READ_DATA, (r: ckd_record): Uint8Array => r.data.slice()],
  [DASD_CMD.READ_KEY_DATA, (r: ckd_record): Uint8Array => Uint8Array.of(...r.key, ...r.data)],
  [DASD_CMD.READ_COUNT, count_area],
  [DASD_CMD.READ_CKD, whole],
]);
