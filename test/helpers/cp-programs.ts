// SPDX-License-Identifier: GPL-2.0-only
/** Random channel programs: mostly sensible, with now and then something that is not. */
import fc from "fast-check";
import { type control_unit, type device_answer, NORMAL_END } from "../../kernel/arch/s390/ckd_channel.ts";
import { dasd_3390 } from "../../kernel/arch/s390/dasd_3390.ts";
import { pattern } from "../../kernel/arch/s390/dasd_track.ts";
import type { Orb } from "./cp-model.ts";

export const BASE = 0x100000;
export const SIZE = 0x14000;
/** Room for 256 CCWs each; behind the last one there is less than the 2 KB that vfio-ccw copies. */
const CHAINS = [BASE, BASE + 0x800, BASE + 0x1000, BASE + SIZE - 0x100];
const IDALS = BASE + 0x1800;
const DATA = BASE + 0x3000;
const DATA_SIZE = SIZE - 0x3000;
const PAGE = 4096;

const CC = 0x40;
const DC = 0x80;
const SLI = 0x20;
const SKIP = 0x10;
const IDA = 0x04;
const TIC = 8;

/** Where the data of a CCW are to be. */
interface Place {
  readonly kind: "direct" | "idal" | "bad" | "program";
  /** From the beginning of the data on. */
  readonly offset: number;
  /** What is wrong with an IDAL. */
  readonly flaw: "none" | "moved" | "offset" | "bad";
}
interface Step {
  readonly code: number;
  readonly flags: number;
  readonly count: number;
  readonly place: Place;
  /** What the data begin with. */
  readonly bytes?: readonly number[];
  /** Target of a TIC: a chain and a CCW of it. */
  readonly to?: readonly [chain: number, index: number, odd: boolean];
}
export interface Program {
  readonly device: "toy" | "dasd";
  readonly orb: Orb;
  readonly image: Uint8Array;
  /** What fast-check prints of one that failed: everything in its chains. */
  [fc.toStringMethod](): string;
}

/** Commands with many lengths, immediate ones, a status modifier now and then, and unit checks; what it got, it keeps. */
export class ToyUnit implements control_unit {
  readonly got: number[] = [];
  #n = 0;
  static readonly #LENGTHS = [1, 16, 100, 256, 1000, 4096, 5000, 65535];
  begin(): void {
    this.#n = 0;
  }
  command(code: number): device_answer {
    this.#n++;
    const length = ToyUnit.#LENGTHS[(code >> 4) & 7] ?? 1;
    const low = code & 15;
    if (code === 3) return { moves: "nothing", dstat: NORMAL_END };
    if (low === 0xb || low === 0xc) return { moves: "nothing", dstat: NORMAL_END | (low === 0xb ? 0x40 : 0x02) };
    if ((code & 3) === 2 || low === 4)
      return { moves: "in", bytes: pattern(this.#n, 1, code, 0, length), dstat: NORMAL_END };
    return { moves: "out", wanted: length, take: (bytes) => this.#take(bytes, low === 7) };
  }
  #take(bytes: Uint8Array, search: boolean): number {
    let sum = bytes.length;
    for (const b of bytes) sum = (Math.imul(sum, 31) + b) | 0;
    this.got.push(sum);
    return search && this.#n % 3 === 0 ? NORMAL_END | 0x40 : NORMAL_END;
  }
}

/** A device as it is before a program, and what can be said about it afterwards. */
export function newDevice(device: Program["device"]): { unit: control_unit; state: () => unknown } {
  if (device === "toy") {
    const unit = new ToyUnit();
    return { unit, state: () => unit.got };
  }
  const geometry = { cylinders: 2, heads: 2, records: 3, key_length: 2, data_length: 700 };
  const unit = new dasd_3390({ geometry, damaged: ["1/1"] });
  return { unit, state: () => [unit.disk.track(0, 0), unit.disk.track(0, 1), unit.disk.track(1, 0)] };
}

const often = <T>(most: fc.Arbitrary<T>, weight: number, rare: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ arbitrary: most, weight }, { arbitrary: rare, weight: 1 });

const place: fc.Arbitrary<Place> = fc.record({
  kind: fc.oneof(
    { arbitrary: fc.constant("direct" as const), weight: 20 },
    { arbitrary: fc.constant("idal" as const), weight: 12 },
    { arbitrary: fc.constantFrom("bad" as const, "program" as const), weight: 1 },
  ),
  offset: fc.oneof(
    fc.nat(DATA_SIZE - 1),
    fc.nat(16).map((n) => n * PAGE),
    fc.nat(16).map((n) => n * PAGE + 2040),
  ),
  flaw: often(fc.constant("none" as const), 30, fc.constantFrom("moved" as const, "offset" as const, "bad" as const)),
});
const flags = fc
  .tuple(
    fc.constantFrom(CC, CC, CC, CC, DC, DC | CC, 0),
    fc.constantFrom(SLI, SLI, SLI, 0),
    fc.constantFrom(0, 0, 0, 0, 0, SKIP),
    often(fc.constant(0), 60, fc.constantFrom(0x08, 0x02, 0x01)),
  )
  .map((parts) => parts.reduce((a, b) => a | b, 0));
const count = fc.oneof(
  fc.constantFrom(1, 5, 8, 16, 100, 256, 1000, 4096, 5000),
  fc.nat(300),
  often(fc.integer({ min: 1, max: 9000 }), 6, fc.constantFrom(0, 65535)),
);
const target = fc.tuple(
  fc.oneof({ arbitrary: fc.constant(0), weight: 3 }, { arbitrary: fc.nat(3), weight: 2 }),
  fc.nat(9),
  often(fc.constant(false), 20, fc.constant(true)),
);
const tic: fc.Arbitrary<Step> = fc.record({
  code: often(fc.constant(TIC), 30, fc.constantFrom(0x18, 0xf8)),
  flags: often(fc.constant(0), 30, fc.constantFrom(CC, IDA, SLI)),
  count: often(fc.constant(0), 30, fc.constant(4)),
  place,
  to: target,
});

const TOY_CODES = [1, 2, 3, 4, 6, 0x05, 0x0b, 0x12, 0x16, 0x22, 0x31, 0x32, 0x42, 0x41, 0x52, 0x55, 0x62, 0x71, 0x72];
const toyStep: fc.Arbitrary<Step> = fc.record({
  code: fc.oneof(
    { arbitrary: fc.constantFrom(...TOY_CODES, 0x07, 0x17, 0x27), weight: 12 },
    { arbitrary: fc.nat(255), weight: 1 },
  ),
  flags,
  count,
  place,
});
const toyChain = fc.array(fc.oneof({ arbitrary: toyStep, weight: 5 }, { arbitrary: tic, weight: 1 }), {
  minLength: 1,
  maxLength: 9,
});

/** Control data that a disk takes, most of the time. */
const track = fc.constantFrom([0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 1], [0, 9, 0, 0]);
const record = fc.constantFrom(1, 1, 2, 3, 7);
const parameter = fc.oneof(
  fc
    .tuple(fc.constantFrom(0x40, 0xc0, 0x00), track, track)
    .map(([mask, a, b]) => ({ code: 0x63, count: 16, bytes: [mask, 0, 0, 0, 0, 0, 0, 0, ...a, ...b] })),
  fc
    .tuple(fc.constantFrom(0, 1, 6, 12, 0x16, 9), fc.constantFrom(1, 1, 2, 0), track, record)
    .map(([op, n, t, r]) => ({ code: 0x47, count: 16, bytes: [op, 0, 0, n, ...t, ...t, r, 0, 0, 0] })),
  track.map((t) => ({ code: 0x07, count: 6, bytes: [0, 0, ...t] })),
  fc.tuple(track, record).map(([t, r]) => ({ code: 0x31, count: 5, bytes: [...t, r] })),
);
const controlStep: fc.Arbitrary<Step> = fc
  .tuple(parameter, place, often(fc.constant(CC), 12, flags))
  .map(([p, where, f]) => ({ ...p, flags: f, place: { ...where, kind: where.kind === "idal" ? "idal" : "direct" } }));
const diskStep: fc.Arbitrary<Step> = fc.record({
  code: fc.constantFrom(0x06, 0x86, 0x05, 0x85, 0x12, 0x92, 0x0e, 0x1e, 0xde, 0x1a, 0x03, 0x04, 0xe4, 0x13),
  flags: flags.map((f) => f & ~0x03),
  count: fc.constantFrom(700, 702, 710, 8, 5, 32, 7, 3000, 350, 350),
  place,
});
/** Search, and back until it is found. */
const search: fc.Arbitrary<readonly Step[]> = fc.tuple(track, record, place, diskStep).map(([t, r, where, then]) => [
  { code: 0x07, flags: CC, count: 6, bytes: [0, 0, ...t], place: { ...where, kind: "direct" } },
  {
    code: 0x31,
    flags: CC,
    count: 5,
    bytes: [...t, r],
    place: { ...where, kind: "direct", offset: where.offset ^ 64 },
  },
  { code: TIC, flags: 0, count: 0, place: where, to: [0, 1, false] },
  then,
]);
const locate: fc.Arbitrary<readonly Step[]> = fc.array(fc.oneof(controlStep, controlStep, diskStep), {
  minLength: 1,
  maxLength: 6,
});
const diskChain = fc.oneof(search, locate);

/** As long as it may be, and a little longer. */
const longChain = fc
  .tuple(fc.integer({ min: 253, max: 258 }), toyStep)
  .map(([n, step]): readonly Step[] => [
    ...Array.from({ length: n - 1 }, (): Step => ({ ...step, code: 3, flags: CC | SLI, count: 1 })),
    { ...step, flags: step.flags & ~(CC | DC) },
  ]);

function idal(v: DataView, at: number, orb: Orb, place: Place, count: number): void {
  const block = orb.c64 && !orb.i2k ? 4096 : 2048;
  const first = DATA + place.offset;
  const n = Math.ceil(((first % block) + count) / block) || 1;
  for (let i = 0; i < n; i++) {
    // Blocks in no order.
    const scattered = DATA + ((Math.floor(place.offset / block) + i * 5) % Math.floor(DATA_SIZE / block)) * block;
    let word = i === 0 ? first : scattered;
    if (i === n - 1 && place.flaw === "bad") word = BASE + SIZE + 0x3000;
    if (i === 1 && place.flaw === "offset") word += 40;
    if (orb.c64) v.setBigUint64(at - BASE + 8 * i, BigInt(word));
    else v.setUint32(at - BASE + 4 * i, word);
  }
}

const BACKGROUND = pattern(7, 0, 0, 0, SIZE);
function build(device: Program["device"], orb: Orb, chains: readonly (readonly Step[])[], ends: boolean): Program {
  const image = BACKGROUND.slice();
  const v = new DataView(image.buffer);
  image.fill(0, 0, 0x3000);
  let list = IDALS;
  for (const [c, steps] of chains.entries()) {
    const start = CHAINS[c] ?? BASE;
    for (const [i, step] of steps.entries()) {
      const at = start + 8 * i;
      if (at + 8 > BASE + SIZE) break;
      let { flags } = step;
      if (ends && i === steps.length - 1) flags &= ~(CC | DC);
      let cda = DATA + step.place.offset;
      if (step.to) {
        const [chain, index, odd] = step.to;
        cda = (CHAINS[chain] ?? BASE) + 8 * index + (odd ? 4 : 0);
      } else if (step.place.kind === "bad") cda = BASE + SIZE + step.place.offset;
      else if (step.place.kind === "program") cda = BASE + (step.place.offset % 0x2800);
      else if (step.place.kind === "idal" && list + 0x200 < DATA) {
        cda = list + (step.place.flaw === "moved" ? 4 : 0);
        idal(v, cda, orb, step.place, step.count);
        flags |= IDA;
        list += 0x100;
      }
      if (step.bytes)
        image.set(step.bytes.slice(0, SIZE - (DATA - BASE) - step.place.offset), DATA - BASE + step.place.offset);
      if (orb.fmt) {
        v.setUint8(at - BASE, step.code);
        v.setUint8(at - BASE + 1, flags);
        v.setUint16(at - BASE + 2, step.count);
        v.setUint32(at - BASE + 4, cda);
      } else {
        v.setUint32(at - BASE, cda & 0xffffff);
        v.setUint8(at - BASE, step.code);
        v.setUint8(at - BASE + 4, flags);
        v.setUint16(at - BASE + 6, step.count);
      }
    }
  }
  const said = JSON.stringify({ device, orb, ends, chains });
  return { device, orb, image, [fc.toStringMethod]: () => said };
}

const orb: fc.Arbitrary<Orb> = fc.record({
  fmt: often(fc.constant(1 as const), 2, fc.constant(0 as const)),
  c64: often(fc.constant(true), 15, fc.constant(false)),
  i2k: often(fc.constant(false), 15, fc.constant(true)),
  ils: fc.boolean(),
  cpa: often(fc.constant(BASE), 40, fc.constantFrom(BASE + 8, BASE + 4, BASE + SIZE - 0x100, BASE + SIZE, 0)),
});
const ends = often(fc.constant(true), 12, fc.constant(false));

export const programs: fc.Arbitrary<Program> = fc.oneof(
  {
    arbitrary: fc
      .tuple(orb, fc.array(toyChain, { minLength: 1, maxLength: 4 }), ends)
      .map(([o, chains, e]) => build("toy", o, chains, e)),
    weight: 12,
  },
  { arbitrary: fc.tuple(orb, diskChain, ends).map(([o, chain, e]) => build("dasd", o, [chain], e)), weight: 8 },
  { arbitrary: fc.tuple(orb, longChain, ends).map(([o, chain, e]) => build("toy", o, [chain], e)), weight: 1 },
);
