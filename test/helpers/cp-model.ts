// SPDX-License-Identifier: GPL-2.0-only
/**
 * A second interpreter of channel programs, for comparing: it works on the guest's memory byte by byte and translates
 * nothing. It comes in two kinds: what the architecture says, and what it says of programs that vfio-ccw has
 * copied; each way in which those are not the same program is a limit of C, named and noted when it shows.
 */
import type { control_unit, device_answer } from "../../kernel/arch/s390/ckd_channel.ts";

const EINVAL = 22;
const EOPNOTSUPP = 95;
const CC = 0x40;
const DC = 0x80;
const SLI = 0x20;
const SKIP = 0x10;
const IDA = 0x04;
const SUSPEND = 0x02;
const MIDA = 0x01;
const TIC = 8;
const NORMAL = 0x0c;
const STATUS_MODIFIER = 0x40;
const UNIT_CHECK = 0x02;
const INCORRECT_LENGTH = 0x40;
const PROGRAM_CHECK = 0x20;
/** As many CCWs count as endless. */
const ENDLESS = 4096;
const PAGE = 4096;

/** What vfio-ccw does with a guest's program that a channel would not do with it. */
export const LIMITS = {
  /* ccwchain_handle_ccw() */
  "2 KB": "2 KB from the first CCW of each chain on have to be mapped, however short it is",
  "CCW alignment": "a chain may begin anywhere: its copy is aligned",
  /* ccwchain_calc_length() */
  IDAL: "only IDALs of 64-bit words and 4 KB blocks, also in CCWs that are never executed",
  "257 CCWs": "more than 256 CCWs in one piece are refused",
  "end of chain": "a chain ends with a TIC out of it, though a status modifier may skip that TIC",
  /* convert_ccw0_to_ccw1() */
  "format 0":
    "a program of format 0 runs as one of format 1, which allows a count of 0 and checks lengths of immediate commands",
  /* ccwchain_fetch_direct() */
  prefetch: "all data addresses and IDALs have to be mapped, whether they are used or not",
  "IDAL alignment": "an IDAL may lie anywhere: its copy is aligned",
  "31 bits": "an address beyond 2 GB is replaced by that of the copy, and no longer an error",
  /* ccw_does_data_transfer() */
  "data chaining":
    "whether a CCW transfers data is told by its own code, which means nothing in data chaining: not pinned",
  /* page_array_idal_create_words() */
  "IDAW offset": "the offset in the page of all IDAWs but the first is dropped",
  /* cp_init() */
  "2 KB blocks": "IDALs of 64-bit words are switched on, those of 2 KB blocks are not switched off",
} as const;
export type Limit = keyof typeof LIMITS;

export interface Orb {
  readonly fmt: 0 | 1;
  readonly c64: boolean;
  readonly i2k: boolean;
  readonly ils: boolean;
  readonly cpa: number;
}
export interface Ccw {
  readonly code: number;
  readonly flags: number;
  readonly count: number;
  readonly cda: number;
}

/** cpa null: an address of the host, which a guest should not see. */
export type End =
  | { readonly errno: number }
  | {
      readonly dstat: number;
      readonly cstat: number;
      readonly cpa: number | null;
      readonly count: number;
    }
  | "running";

/** The guest's memory: one piece. */
export class GuestMemory {
  readonly base: number;
  readonly bytes: Uint8Array;
  constructor(base: number, bytes: Uint8Array) {
    this.base = base;
    this.bytes = bytes;
  }
  has(at: number, n = 1): boolean {
    const end = this.base + this.bytes.length;
    return at >= this.base && at < end && at + n <= end;
  }
  /** Big-endian; null if some of it is not there. */
  word(at: number, n: number): number | null {
    if (!this.has(at, n)) return null;
    let v = 0;
    for (let i = 0; i < n; i++) v = v * 256 + this.#byte(at + i);
    return v;
  }
  #byte(at: number): number {
    return this.bytes[at - this.base] ?? 0;
  }
  get(at: number): number {
    return this.#byte(at);
  }
  set(at: number, byte: number): void {
    this.bytes[at - this.base] = byte;
  }
  copy(): GuestMemory {
    return new GuestMemory(this.base, this.bytes.slice());
  }
}

function decode(memory: GuestMemory, at: number, fmt: 0 | 1): Ccw | null {
  const high = memory.word(at, 4);
  const low = memory.word(at + 4, 4);
  if (high === null || low === null) return null;
  if (fmt === 1) return { code: high >>> 24, flags: (high >>> 16) & 0xff, count: high & 0xffff, cda: low };
  const code = high >>> 24;
  if ((code & 15) === TIC) return { code: TIC, flags: 0, count: 0, cda: high & 0xffffff };
  return { code, flags: low >>> 24, count: low & 0xffff, cda: high & 0xffffff };
}

/** Where a CCW is: in the guest's memory, or in the copy of a chain. */
interface Place {
  readonly chain: number;
  /** The guest's address. */
  readonly at: number;
}

/** Where the channel finds CCWs and data. */
interface Storage {
  readonly fmt: 0 | 1;
  readonly first: Place;
  fetch(p: Place): Ccw | null;
  jump(target: number): Place;
  /** What the status says after the CCW there was fetched. */
  cpa(p: Place): number | null;
  /** The guest's address of byte `n` of the data. */
  address(p: Place, c: Ccw, n: number): number | null;
  note(limit: Limit): void;
}

/** As the architecture has it. CCWs and IDAWs are fetched before anything runs, which the ORB allows. */
class ByTheBook implements Storage {
  readonly #memory: GuestMemory;
  readonly #orb: Orb;
  readonly fmt: 0 | 1;
  readonly first: Place;
  constructor(memory: GuestMemory, orb: Orb) {
    this.#memory = memory.copy();
    this.#orb = orb;
    this.fmt = orb.fmt;
    this.first = this.jump(orb.cpa);
  }
  note(): void {}
  jump(target: number): Place {
    return { chain: -1, at: target };
  }
  cpa({ at }: Place): number {
    return (at + 8) >>> 0;
  }
  fetch({ at }: Place): Ccw | null {
    return at % 8 || at > this.#limit ? null : decode(this.#memory, at, this.fmt);
  }
  get #limit(): number {
    return this.fmt ? 0x7fffffff : 0xffffff;
  }
  address(_p: Place, c: Ccw, n: number): number | null {
    if (!(c.flags & IDA)) return c.cda + n > this.#limit ? null : c.cda + n;
    const width = this.#orb.c64 ? 8 : 4;
    const block = this.#orb.c64 && !this.#orb.i2k ? 4096 : 2048;
    if (c.cda % width) return null;
    const first = this.#memory.word(c.cda, width);
    if (first === null) return null;
    const behind = (first % block) + n;
    const index = Math.floor(behind / block);
    if (index === 0) return first + n;
    const idaw = this.#memory.word(c.cda + index * width, width);
    return idaw === null || idaw % block ? null : idaw + (behind % block);
  }
}

interface Translated {
  readonly ccw: Ccw;
  /** The guest's pages, where data are transferred; empty where nothing is pinned. */
  pages: number[];
}
interface Chain {
  readonly iova: number;
  readonly ccws: readonly Translated[];
}

/** What vfio-ccw makes of the same program. */
class Copied implements Storage {
  readonly fmt = 1;
  readonly #memory: GuestMemory;
  readonly #orb: Orb;
  readonly #chains: Chain[] = [];
  readonly notes = new Set<Limit>();
  /** C's channel goes on with whatever lies behind the list of IDAWs in the host's memory. */
  runaway = false;
  readonly #errno: number;
  constructor(memory: GuestMemory, orb: Orb) {
    this.#memory = memory.copy();
    this.#orb = orb;
    this.#errno = this.#chain(orb.cpa) || this.#pin();
  }
  get errno(): number {
    return this.#errno;
  }
  get first(): Place {
    return { chain: 0, at: this.#orb.cpa };
  }
  note(limit: Limit): void {
    this.notes.add(limit);
  }
  #refuse(limit: Limit, errno: number): number {
    this.note(limit);
    return -errno;
  }

  #chain(iova: number): number {
    if (!this.#memory.has(iova, 2048)) return this.#refuse("2 KB", EINVAL);
    if (iova % 8) this.note("CCW alignment");
    const ccws: Translated[] = [];
    for (;;) {
      if (ccws.length === 256) return this.#refuse("257 CCWs", EINVAL);
      const ccw = decode(this.#memory, iova + 8 * ccws.length, this.#orb.fmt);
      if (!ccw) return -EINVAL;
      ccws.push({ ccw, pages: [] });
      const { flags, code, cda } = ccw;
      if (flags & IDA && (!this.#orb.c64 || this.#orb.i2k)) return this.#refuse("IDAL", EOPNOTSUPP);
      const back = code === TIC && cda >= iova && cda <= iova + 8 * (ccws.length - 1);
      if (!(flags & (CC | DC)) && !back) break;
    }
    this.#chains.push({ iova, ccws });
    for (const { ccw } of ccws) {
      if (ccw.code !== TIC || this.#holding(ccw.cda) >= 0) continue;
      const errno = this.#chain(ccw.cda);
      if (errno) return errno;
    }
    return 0;
  }
  #holding(at: number): number {
    return this.#chains.findIndex((c) => at >= c.iova && at <= c.iova + 8 * (c.ccws.length - 1));
  }

  #pin(): number {
    for (const { ccws } of this.#chains) {
      for (const t of ccws) {
        if (t.ccw.code === TIC) continue;
        const pages = this.#pages(t.ccw);
        if (pages === null) return this.#refuse("prefetch", EINVAL);
        if (!transfers(t.ccw)) continue;
        if (!pages.every((p) => this.#memory.has(p - (p % PAGE), PAGE))) return this.#refuse("prefetch", EINVAL);
        t.pages = pages;
      }
    }
    return 0;
  }
  /** One address for each page; null if the IDAL is not there. */
  #pages({ flags, count, cda }: Ccw): number[] | null {
    const bytes = count || 1;
    const first = flags & IDA ? this.#memory.word(cda, 8) : cda;
    if (first === null) return null;
    const n = Math.ceil(((first % PAGE) + bytes) / PAGE);
    if (!(flags & IDA)) return Array.from({ length: n }, (_, i) => first + i * PAGE);
    if (cda % 8) this.note("IDAL alignment");
    const words: number[] = [];
    for (let i = 0; i < n; i++) {
      const word = this.#memory.word(cda + 8 * i, 8);
      if (word === null) return null;
      if (i > 0 && word % PAGE) this.note("IDAW offset");
      words.push(i > 0 ? word - (word % PAGE) : word);
    }
    return words;
  }

  jump(target: number): Place {
    return { chain: this.#holding(target), at: target };
  }
  #translated({ chain, at }: Place): Translated | undefined {
    const c = this.#chains[chain];
    return c?.ccws[Math.floor((at - c.iova) / 8)];
  }
  cpa({ chain, at }: Place): number | null {
    const c = this.#chains[chain];
    return c && at + 8 <= c.iova + 8 * c.ccws.length ? at + 8 : null;
  }
  fetch(p: Place): Ccw | null {
    const c = this.#chains[p.chain];
    if (!c || (p.at - c.iova) % 8) return null;
    const t = this.#translated(p);
    // C's channel finds there whatever lies behind the copy; the structs that follow it here begin with zeros.
    if (!t) this.note("end of chain");
    if (t && t.ccw.cda > 0x7fffffff) this.note("31 bits");
    if (t && this.#orb.fmt === 0 && t.ccw.count === 0 && t.ccw.code !== TIC) this.note("format 0");
    return t && t.ccw.code !== TIC ? { ...t.ccw, cda: 0 } : (t?.ccw ?? null);
  }
  get #block(): number {
    return this.#orb.i2k ? 2048 : 4096;
  }
  address(p: Place, _c: Ccw, n: number): number | null {
    const pages = this.#translated(p)?.pages ?? [];
    const [first] = pages;
    if (first === undefined) {
      this.note("data chaining");
      return null;
    }
    const behind = (first % this.#block) + n;
    const index = Math.floor(behind / this.#block);
    if (index === 0) return first + n;
    if (this.#orb.i2k) this.note("2 KB blocks");
    const page = pages[index];
    if (page === undefined) this.runaway = true;
    return page === undefined ? null : page - (page % PAGE) + (behind % this.#block);
  }
  /** Immediate commands of format 0 have no incorrect length. */
  immediate(count: number): void {
    if (this.#orb.fmt === 0 && count > 0 && !this.#orb.ils) this.note("format 0");
  }
}
function transfers({ code, flags, count }: Ccw): boolean {
  if (count === 0 || code === 3) return false;
  return !(flags & SKIP) || !((code & 3) === 2 || (code & 15) === 12 || (code & 15) === 4);
}

/** A channel at work. */
class Channel {
  readonly #storage: Storage;
  readonly #memory: GuestMemory;
  readonly #ils: boolean;
  readonly #unit: control_unit;
  #place: Place;
  #here: Place;
  #cpa: number | null = 0;
  #fetched = 0;
  #mayJump = false;
  #left = 0;
  constructor(storage: Storage, memory: GuestMemory, ils: boolean, unit: control_unit) {
    this.#storage = storage;
    this.#memory = memory;
    this.#ils = ils;
    this.#unit = unit;
    this.#place = storage.first;
    this.#here = this.#place;
  }

  run(): End {
    this.#unit.begin();
    while (this.#fetched <= ENDLESS) {
      const end = this.#command();
      if (end) return end;
    }
    return "running";
  }
  #end(dstat: number, cstat: number): End {
    return { dstat, cstat, cpa: this.#cpa, count: this.#left };
  }
  #fetch(chained: boolean): Ccw | null {
    for (;;) {
      this.#fetched++;
      this.#cpa = this.#storage.cpa(this.#place);
      const c = this.#storage.fetch(this.#place);
      if (!c) return null;
      if ((c.code & 15) === TIC) {
        if (!this.#mayJump || c.code !== TIC || c.flags || c.count) return null;
        this.#mayJump = false;
        this.#place = this.#storage.jump(c.cda);
        continue;
      }
      this.#mayJump = true;
      this.#here = this.#place;
      this.#skip();
      if (!chained && (c.code & 15) === 0) return null;
      if (c.flags & (MIDA | SUSPEND)) return null;
      if (c.count === 0 && (this.#storage.fmt === 0 || chained || c.flags & DC)) return null;
      return c.cda > 0x7fffffff ? null : c;
    }
  }
  #skip(): void {
    this.#place = { chain: this.#place.chain, at: this.#place.at + 8 };
  }

  #command(): End | null {
    const c = this.#fetch(false);
    if (!c) return this.#end(0, PROGRAM_CHECK);
    this.#left = c.count;
    const answer = this.#unit.command(c.code);
    if (answer.moves === "nothing") {
      if (this.#storage instanceof Copied) this.#storage.immediate(c.count);
      const checked = this.#storage.fmt === 1 && !this.#ils && !(answer.dstat & UNIT_CHECK);
      return this.#ended(c, answer.dstat, checked && c.count > 0);
    }
    const inward = answer.moves === "in";
    const { last, moved, length } = this.#transfer(c, answer);
    const dstat = inward ? answer.dstat : answer.take(Uint8Array.from(moved));
    if (!last) return this.#end(dstat, PROGRAM_CHECK);
    return this.#ended(last, dstat, moved.length < length || this.#left > 0);
  }
  /** last is null if the program was checked */
  #transfer(
    c: Ccw,
    answer: Exclude<device_answer, { moves: "nothing" }>,
  ): { last: Ccw | null; moved: number[]; length: number } {
    const length = answer.moves === "in" ? answer.bytes.length : answer.wanted;
    const moved: number[] = [];
    let last = c;
    this.#left = c.count;
    for (;;) {
      if (this.#left === 0) {
        if (!(last.flags & DC)) return { last, moved, length };
        const next = this.#fetch(true);
        if (!next) return { last: null, moved, length };
        last = next;
        this.#left = next.count;
      } else if (moved.length === length) {
        return { last, moved, length };
      } else if (answer.moves === "in" && last.flags & SKIP) {
        moved.push(0);
        this.#left--;
      } else {
        const at = this.#storage.address(this.#here, last, last.count - this.#left);
        if (at === null || !this.#memory.has(at)) return { last: null, moved, length };
        const byte = answer.moves === "in" ? (answer.bytes[moved.length] ?? 0) : this.#memory.get(at);
        if (answer.moves === "in") this.#memory.set(at, byte);
        moved.push(byte);
        this.#left--;
      }
    }
  }
  #ended(c: Ccw, dstat: number, wrong: boolean): End | null {
    const cstat = wrong && (c.flags & (SLI | DC)) !== SLI ? INCORRECT_LENGTH : 0;
    const ends = (c.flags & (CC | DC)) !== CC || cstat !== 0 || (dstat & ~STATUS_MODIFIER) !== NORMAL;
    if (ends) return this.#end(dstat, cstat);
    if (dstat & STATUS_MODIFIER) this.#skip();
    return null;
  }
}

/** What a channel does with the program; `memory` is changed by it. */
export function interpret(memory: GuestMemory, orb: Orb, unit: control_unit): End {
  return new Channel(new ByTheBook(memory, orb), memory, orb.ils, unit).run();
}
/** What becomes of it with vfio-ccw in between, and which limits of vfio-ccw showed on the way; runaway: nobody can say. */
export function interpretCopy(
  memory: GuestMemory,
  orb: Orb,
  unit: control_unit,
): { readonly end: End; readonly notes: ReadonlySet<Limit>; readonly runaway: boolean } {
  const copied = new Copied(memory, orb);
  const end = copied.errno ? { errno: copied.errno } : new Channel(copied, memory, orb.ils, unit).run();
  return { end, notes: copied.notes, runaway: copied.runaway };
}
