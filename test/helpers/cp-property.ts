// SPDX-License-Identifier: GPL-2.0-only
/** The property of cp.test.ts and cp.long.ts. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type End, GuestMemory, interpret, interpretCopy, type Limit } from "./cp-model.ts";
import { BASE, newDevice, type Program, programs } from "./cp-programs.ts";
import { Machine, type Ran } from "./cp-run.ts";

export const SEED = 19561025;

/** What checkers say of the port where C is wrong, and in which programs. */
const KNOWN: readonly (readonly [report: RegExp, limit: Limit])[] = [
  // ccwchain_calc_length() looks at one CCW more than was copied.
  [/^BUG: KASAN: slab-out-of-bounds in ccw/, "257 CCWs"],
];

interface Side {
  readonly end: End;
  readonly memory: Uint8Array;
  readonly state: unknown;
}

function checkReports(reports: readonly string[], notes: ReadonlySet<Limit>): void {
  for (const report of reports) {
    assert.ok(
      KNOWN.some(([known, limit]) => known.test(report) && notes.has(limit)),
      `a report that is not known: ${report}`,
    );
  }
}
/** Where the model has an address of the host, the port's is whatever it is. */
function comparable(end: End, other: End): End {
  if (end === "running" || "errno" in end || other === "running" || "errno" in other) return end;
  return other.cpa === null ? { ...end, cpa: null } : end;
}
function checkEqual(port: Side, model: Side, which: string): void {
  assert.deepEqual(comparable(port.end, model.end), model.end, which);
  assert.deepEqual(port.state, model.state, `${which}: the device`);
  if (Buffer.compare(port.memory, model.memory) === 0) return;
  const first = port.memory.findIndex((b, i) => b !== model.memory[i]);
  assert.fail(`${which}: the guest's memory at 0x${(BASE + first).toString(16)}`);
}

/** Counts of what there was, for the log. */
export type Seen = Record<string, number>;
function count(seen: Seen, what: string): void {
  seen[what] = (seen[what] ?? 0) + 1;
}
function kind(end: End): string {
  if (end === "running") return "endless";
  if ("errno" in end) return `refused with ${end.errno}`;
  return end.dstat === 0x0c && end.cstat === 0 ? "ended well" : `device ${end.dstat} subchannel ${end.cstat}`;
}

/** @throws AssertionError where they disagree */
export function check(run: (program: Program) => Ran, program: Program, seen: Seen): void {
  const { device, orb, image } = program;
  const copied = new GuestMemory(BASE, image.slice());
  const second = newDevice(device);
  const { end, notes, runaway } = interpretCopy(copied, orb, second.unit);
  if (runaway) {
    count(seen, "not run: the host's memory would be overwritten");
    return;
  }
  const ran = run(program);
  checkEqual(ran, { end, memory: copied.bytes, state: second.state() }, "with the limits of vfio-ccw");
  checkReports(ran.reports, notes);
  count(seen, kind(end));
  for (const limit of notes) count(seen, `limit: ${limit}`);
  if (notes.size > 0) return;
  // Nothing shows of vfio-ccw, so it has to be what the architecture says.
  const memory = new GuestMemory(BASE, image.slice());
  const third = newDevice(device);
  const byTheBook = interpret(memory, orb, third.unit);
  checkEqual(ran, { end: byTheBook, memory: memory.bytes, state: third.state() }, "by the book");
  count(seen, "by the book");
}

/** Runs `n` programs from a seed. @return what there was among them @throws if one does not agree */
export function agree(seed: number, n: number): Seen {
  const seen: Seen = {};
  let machine: Machine | null = null;
  fc.assert(
    fc.property(programs, (program) => {
      const m = (machine ??= new Machine());
      try {
        check((p) => m.perform(p), program, seen);
      } catch (error) {
        // The next one is to find a machine that is sound.
        machine = null;
        throw error;
      }
    }),
    { seed, numRuns: n },
  );
  return seen;
}
