// SPDX-License-Identifier: GPL-2.0-only
/** The 3390 as a channel talks to it: chains of commands, each with the data for it, and what the last one gives. */
import test from "ava";
import type { device_answer } from "../../kernel/arch/s390/ckd_channel.ts";
import { DASD_CMD, dasd_3390, MULTI_TRACK } from "../../kernel/arch/s390/dasd_3390.ts";
import { count_area, dasd_disk } from "../../kernel/arch/s390/dasd_track.ts";

const END = 0x0c;
const FOUND = 0x4c;
const CHECK = 0x0e;
const GEOMETRY = { cylinders: 2, heads: 3, records: 2, key_length: 2, data_length: 64 };
/** The same disk again, to look things up. */
const DISK = new dasd_disk(3390, GEOMETRY);

type Step = readonly [code: number, data?: readonly number[]];
const at = (cyl: number, head: number): number[] => [cyl >> 8, cyl & 0xff, head >> 8, head & 0xff];
const seek = (cyl: number, head: number): Step => [DASD_CMD.SEEK, [0, 0, ...at(cyl, head)]];
const extent = (mask: number, from: number[], to: number[]): Step => [
  DASD_CMD.DEFINE_EXTENT,
  [mask, 0, 0, 0, 0, 0, 0, 0, ...from, ...to],
];
const ALL = extent(0xc0, at(0, 0), at(1, 2));
const locate = (operation: number, n: number, track: number[], record: number): Step => [
  DASD_CMD.LOCATE_RECORD,
  [operation, 0, 0, n, ...track, ...track, record, 0, 0, 0],
];
const search = (cyl: number, head: number, record: number): Step => [
  DASD_CMD.SEARCH_ID_EQUAL,
  [...at(cyl, head), record],
];

interface Outcome {
  readonly dstat: number;
  readonly bytes: Uint8Array | null;
}
function finish(answer: device_answer, data: readonly number[]): Outcome {
  switch (answer.moves) {
    case "nothing":
      return { dstat: answer.dstat, bytes: null };
    case "in":
      return { dstat: answer.dstat, bytes: answer.bytes };
    case "out":
      return { dstat: answer.take(Uint8Array.from(data.slice(0, answer.wanted))), bytes: null };
  }
}
/** Runs a chain, stops at a unit check. */
function play(steps: readonly Step[], dasd = new dasd_3390({ geometry: GEOMETRY, damaged: ["1/2"] })) {
  dasd.begin();
  let last: Outcome = { dstat: 0, bytes: null };
  let done = 0;
  for (const [code, data = []] of steps) {
    last = finish(dasd.command(code), data);
    done++;
    if (last.dstat & 2) break;
  }
  return { ...last, done, dasd };
}
const data = (cyl: number, head: number, no: number): Uint8Array => DISK.record(cyl, head, no).data;
const count = (cyl: number, head: number, no: number): Uint8Array => count_area(DISK.record(cyl, head, no));

/** Chain, device status of its last command, what that gives. */
const CHAINS: readonly [name: string, steps: readonly Step[], dstat: number, bytes: Uint8Array | null][] = [
  ["no operation", [[0x03]], END, null],
  ["sense ID", [[0xe4]], END, Uint8Array.of(0xff, 0x39, 0x90, 0xe9, 0x33, 0x90, 0x0c)],
  ["home address", [seek(1, 1), [DASD_CMD.READ_HOME_ADDRESS]], END, Uint8Array.of(0, 0, 1, 0, 1)],
  ["recalibrate", [seek(1, 1), [DASD_CMD.RECALIBRATE], [DASD_CMD.READ_COUNT]], END, count(0, 0, 1)],
  ["seek head", [[DASD_CMD.SEEK_HEAD, [0, 0, 0, 0, 0, 2]], [DASD_CMD.READ_COUNT]], END, count(0, 2, 1)],
  ["counts one after the other", [[DASD_CMD.READ_COUNT], [DASD_CMD.READ_COUNT]], END, count(0, 0, 2)],
  ["data of the count just read", [[DASD_CMD.READ_COUNT], [DASD_CMD.READ_DATA]], END, data(0, 0, 1)],
  ["a search that does not match", [search(0, 0, 2)], END, null],
  ["a search that does", [search(0, 0, 1)], FOUND, null],
  ["data of the record found", [search(0, 0, 1), [DASD_CMD.READ_DATA]], END, data(0, 0, 1)],
  ["located data", [ALL, locate(6, 1, at(1, 0), 2), [DASD_CMD.READ_DATA]], END, data(1, 0, 2)],
  [
    "on to the next track",
    [ALL, locate(6, 2, at(0, 2), 2), [0x86], [DASD_CMD.READ_DATA | MULTI_TRACK]],
    END,
    data(1, 0, 1),
  ],
  ["located count", [ALL, locate(0x16, 1, at(0, 1), 2), [DASD_CMD.READ_COUNT]], END, count(0, 1, 2)],
];
for (const [name, steps, dstat, bytes] of CHAINS) {
  test(`chain: ${name}`, (t) => {
    const last = play(steps);
    t.is(last.done, steps.length);
    t.is(last.dstat, dstat);
    t.deepEqual(last.bytes, bytes);
  });
}

/** Chains whose last command is refused: the first two bytes of sense, and the message. */
const REFUSED: readonly [name: string, steps: readonly Step[], sense: readonly [number, number, number]][] = [
  ["a command that it does not know", [[0xfa]], [0x80, 0, 1]],
  ["locate record without an extent", [locate(6, 1, at(0, 0), 1)], [0x80, 0, 2]],
  ["a second extent", [ALL, ALL], [0x80, 0, 2]],
  ["writing without a search", [[DASD_CMD.WRITE_DATA]], [0x80, 0, 2]],
  ["reading in a domain for writing", [ALL, locate(1, 1, at(0, 0), 1), [DASD_CMD.READ_DATA]], [0x80, 0, 2]],
  ["more than was located", [ALL, locate(6, 1, at(0, 0), 1), [0x06], [0x06]], [0x80, 0, 2]],
  ["a track that was not located", [[DASD_CMD.READ_TRACK]], [0x80, 0, 2]],
  ["a search in a domain", [ALL, locate(6, 1, at(0, 0), 1), search(0, 0, 2)], [0x80, 0, 2]],
  ["half an extent", [[DASD_CMD.DEFINE_EXTENT, [0xc0, 0, 0]]], [0x80, 0, 3]],
  ["a cylinder that is not there", [seek(7, 0)], [0x80, 0, 4]],
  ["an extent that ends before it begins", [extent(0, at(1, 0), at(0, 0))], [0x80, 0, 4]],
  ["an operation that is none", [ALL, locate(0x2a, 1, at(0, 0), 1)], [0x80, 0, 4]],
  ["no records to be located", [ALL, locate(6, 0, at(0, 0), 1)], [0x80, 0, 4]],
  ["a record that is not there", [ALL, locate(6, 1, at(0, 0), 9)], [0, 8, 0]],
  ["searching for ever", [1, 2, 3, 4, 5, 6, 7].map(() => search(0, 0, 9)), [0, 8, 0]],
  ["outside of the extent", [extent(0xc0, at(0, 0), at(0, 1)), seek(0, 2)], [0, 4, 0]],
  ["writing that is inhibited", [extent(0x40, at(0, 0), at(0, 1)), locate(1, 1, at(0, 0), 1)], [0, 4, 0]],
  ["beyond the extent", [extent(0, at(0, 0), at(0, 0)), locate(6, 2, at(0, 0), 2), [0x86], [0x86]], [0, 4, 0]],
  ["a damaged track", [seek(1, 2), [DASD_CMD.READ_COUNT]], [0, 0x40, 0]],
  ["locating on a damaged track", [ALL, locate(6, 1, at(1, 2), 1)], [0, 0x40, 0]],
  ["searching on a damaged track", [seek(1, 2), search(1, 2, 1)], [0, 0x40, 0]],
];
for (const [name, steps, [byte0, byte1, message]] of REFUSED) {
  test(`refused: ${name}`, (t) => {
    const { dstat, dasd } = play(steps);
    t.is(dstat, CHECK);
    const { bytes: sense } = play([[0x04]], dasd);
    t.deepEqual([sense?.[0], sense?.[1], sense?.[7]], [byte0, byte1, message]);
    t.true(
      play([[0x04]], dasd).bytes?.every((b) => b === 0),
      "sense data are given once",
    );
  });
}

test("what is written is read, short data are filled up with zeros", (t) => {
  const { dasd } = play([search(0, 0, 1), [DASD_CMD.WRITE_DATA, [1, 2, 3]]]);
  const { bytes } = play([ALL, locate(6, 1, at(0, 0), 1), [DASD_CMD.READ_DATA]], dasd);
  t.deepEqual([...(bytes ?? [])], [1, 2, 3, ...new Array<number>(61).fill(0)]);
  play([ALL, locate(1, 2, at(0, 0), 1), [DASD_CMD.WRITE_DATA, [9]], [DASD_CMD.WRITE_DATA, [8]]], dasd);
  t.is(dasd.disk.record(0, 0, 2).data[0], 8);
});

test("a track is its records, and eight bytes that are none; the next one follows", (t) => {
  const { bytes } = play([ALL, locate(12, 2, at(0, 0), 0), [DASD_CMD.READ_TRACK], [DASD_CMD.READ_TRACK]]);
  t.is(bytes?.length, 2 * (8 + 2 + 64) + 8);
  t.deepEqual(bytes?.slice(0, 8), count(0, 1, 1));
  t.deepEqual(bytes?.slice(-8), new Uint8Array(8).fill(0xff));
});

test("a record that a disk does not have", (t) => {
  t.throws(() => DISK.record(0, 0, 3), { message: "the disk has no record 0/0/3" });
});
