// SPDX-License-Identifier: GPL-2.0-only
/** A record against what came of it here, field by field. */
import { isDeepStrictEqual } from "node:util";
import type { Outcome } from "./actor.ts";
import type { GoldenRecord } from "./record.ts";
import type { Drained } from "./side-channels.ts";

export interface Difference {
  readonly step: string;
  readonly field: string;
  readonly expected: unknown;
  readonly got: unknown;
}

/** Everything that one record can be compared by. */
export interface Performed {
  readonly outcome: Outcome;
  readonly drained: Drained;
  readonly refcnt?: Readonly<Record<string, number>>;
}

/** Bytes of the buffer that are recorded and need not match. */
function mask(hex: string, ranges: unknown): string {
  let masked = hex;
  for (const [start, length] of (ranges ?? []) as [number, number][])
    masked =
      masked.slice(0, 2 * start) +
      "..".repeat(Math.max(0, Math.min(length, masked.length / 2 - start))) +
      masked.slice(2 * (start + length));
  return masked;
}

/** Fields that a record may mark as unstable; what is marked is not compared, `out` except for the bytes that are. */
function isUnstable(said: GoldenRecord["said"], field: string): boolean {
  return ((said["unstable"] ?? []) as readonly string[]).includes(field);
}

type Pair = readonly [field: string, expected: unknown, got: unknown];

function answers({ said }: GoldenRecord, { outcome }: Performed): Pair[] {
  // The beginning of the buffer is recorded, which may be longer.
  const out = (said["out"] ?? "") as string;
  const got = (outcome.out ?? "").slice(0, out.length);
  const ranges = said["out_unstable"];
  const pairs: Pair[] = [
    ["errno", said["errno"] ?? null, outcome.errno ?? null],
    ["res", said["res"] ?? {}, outcome.res ?? {}],
    ["text", said["text"] ?? "", outcome.text ?? ""],
  ];
  if (said["ret"] !== undefined) pairs.unshift(["ret", said["ret"], outcome.ret ?? null]);
  if (!isUnstable(said, "out") || ranges !== undefined) pairs.push(["out", mask(out, ranges), mask(got, ranges)]);
  return pairs;
}

function withoutLevel(line: string): string {
  return line.replace(/^<\d>/, "");
}

/** Of a kernel warning the recordings keep the function, and only some of them the module that it is in. */
function withoutModule(lines: unknown): unknown {
  if (!Array.isArray(lines)) return lines;
  return lines.map((line: unknown) =>
    typeof line === "string" ? line.replace(/^(<\d>)?(WARNING: \w+) \[\w+\]$/, "$1$2") : line,
  );
}

function channels(record: GoldenRecord, { drained, refcnt }: Performed): Pair[] {
  const said = {
    ...record.said,
    dmesg: withoutModule(record.said["dmesg"]),
    events: withoutModule(record.said["events"]),
  } as Readonly<Record<string, unknown>>;
  if (record.call === "reboot") {
    // Nobody is left to read the debug logs; what was logged came over the console, without levels.
    return [
      ["dmesg", said["dmesg"] ?? [], drained.dmesg.map(withoutLevel)],
      ["ftrace", said["ftrace"] ?? [], drained.ftrace],
      ["events", said["events"] ?? [], drained.events],
    ];
  }
  const pairs: Pair[] = [
    ["dmesg", said["dmesg"] ?? [], drained.dmesg],
    ["dbf_msg", said["dbf_msg"] ?? [], drained.dbf_msg],
    ["dbf_trace", said["dbf_trace"] ?? [], drained.dbf_trace],
    ["ftrace", said["ftrace"] ?? [], drained.ftrace],
  ];
  if (said["refcnt"] !== undefined) pairs.push(["refcnt", said["refcnt"], refcnt ?? {}]);
  return pairs;
}

/** The fields in which a record differs from what came of it; none if it is equal. */
export function differences(record: GoldenRecord, performed: Performed): Difference[] {
  return [...answers(record, performed), ...channels(record, performed)]
    .filter(
      ([field, expected, got]) =>
        (field === "out" || !isUnstable(record.said, field)) && !isDeepStrictEqual(expected, got),
    )
    .map(([field, expected, got]) => ({ step: record.step, field, expected, got }));
}
