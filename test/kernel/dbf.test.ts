// SPDX-License-Identifier: GPL-2.0-only
/** s390dbf: levels, wrapping, the two views. */
import test from "ava";
import { EFAULT, EINVAL, EPIPE } from "#linux/errno.ts";
import { O_RDWR } from "#linux/fcntl.ts";
import { boot, log, run, spawn } from "../../kernel/arch/machine.ts";
import {
  debug_event,
  debug_find,
  debug_flush,
  debug_hex_ascii_view,
  type debug_info_t,
  debug_register,
  debug_register_view,
  debug_set_level,
  debug_sprintf_event,
  debug_sprintf_view,
  debug_stop_all,
  debug_text_event,
  debug_unregister,
  debug_unregister_view,
  debug_view,
} from "../../kernel/arch/s390/debug.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";

/** A log named "x"; `body` runs in a task. */
function withLog(bufSize: number, view: typeof debug_sprintf_view, body: (id: debug_info_t) => void, pages = 1): void {
  boot();
  const task = function* (): Sleeps {
    const id = (yield* debug_register("x", pages, 1, bufSize))!;
    debug_register_view(id, view);
    body(id);
  };
  spawn("dbf", task());
  run();
}

const TEXTS: readonly [name: string, write: (id: debug_info_t) => void, lines: readonly string[]][] = [
  ["a text", (id) => debug_text_event(id, 2, "abc"), ["2 61 62 63 00"]],
  ["a text that fills an entry", (id) => debug_text_event(id, 1, "abcd"), ["1 61 62 63 64"]],
  ["a text of two entries", (id) => debug_text_event(id, 1, "abcde"), ["1 61 62 63 64", "1 65 00 00 00"]],
  ["an empty text", (id) => debug_text_event(id, 0, ""), ["0 00 00 00 00"]],
  ["an integer, big-endian", (id) => debug_event(id, 3, -5, 4), ["3 ff ff ff fb"]],
  ["above the level", (id) => debug_text_event(id, 4, "no"), []],
  ["no log at all", () => debug_text_event(null, 0, "no"), []],
];
for (const [name, write, lines] of TEXTS) {
  test.serial(`hex view: ${name}`, (t) => {
    withLog(4, debug_hex_ascii_view, write);
    t.deepEqual(debug_view("x"), lines);
  });
}

test.serial("sprintf view: as many arguments as fit in an entry", (t) => {
  withLog(3 * 8, debug_sprintf_view, (id) => {
    debug_sprintf_event(id, 2, "a=%d b=%x\n", -1, 255);
    debug_sprintf_event(id, 2, "%d %d %d\n", 1, 2, 3);
  });
  t.is(debug_view("x")[0], "2 a=-1 b=ff");
  t.true(debug_view("x")[1]?.startsWith("2 1 2 "));
});

test.serial("a log wraps at the end of its pages", (t) => {
  // 18 bytes of head and 1000 of data: four entries in a page.
  withLog(
    1000,
    debug_sprintf_view,
    (id) => {
      for (let i = 0; i < 10; i++) debug_sprintf_event(id, 0, "%d\n", i);
    },
    2,
  );
  t.deepEqual(debug_view("x"), ["0 2", "0 3", "0 4", "0 5", "0 6", "0 7", "0 8", "0 9"]);
  debug_flush("x");
  t.deepEqual(debug_view("x"), []);
});

test.serial("levels, views, stopping, unregistering", (t) => {
  withLog(16, debug_hex_ascii_view, (id) => {
    debug_set_level(id, 7);
    t.is(id.level, 3);
    debug_set_level(id, -1);
    t.is(debug_text_event(id, 0, "off"), null);
    debug_set_level(id, 6);
    t.is(debug_unregister_view(id, debug_sprintf_view), -1);
    for (let i = 0; i < 6; i++) t.is(debug_register_view(id, debug_sprintf_view), 0);
    t.is(debug_register_view(id, debug_sprintf_view), -1);
    debug_stop_all();
    t.is(debug_text_event(id, 0, "stopped"), null);
  });
  const said = log().map((l) => l.text);
  t.true(said.includes("s390dbf: x: level 7 is out of range (0 - 6)"));
  t.true(said.includes("s390dbf: x: switched off"));
  t.true(said.includes("s390dbf: Registering view x/sprintf would exceed the maximum number of views 10"));
  const gone = function* (): Sleeps {
    yield* debug_unregister(debug_find("x"));
    yield* debug_unregister(null);
  };
  spawn("dbf", gone());
  run();
  t.is(debug_find("x"), null);
  t.deepEqual(debug_view("x"), []);
});

const DIR = "/sys/kernel/debug/s390dbf/x";
function* makesLog(): Sleeps {
  const id = (yield* debug_register("x", 2, 1, 16))!;
  debug_register_view(id, debug_hex_ascii_view);
  debug_text_event(id, 2, "abc");
}
function* usesFiles(u: user_process): Sleeps {
  const read = (name: string): Sleeps<{ ret: number; text: string }> => u.sysfs_read(`${DIR}/${name}`);
  said.push((yield* u.ls(DIR)).names);
  said.push((yield* read("level")).text, (yield* read("pages")).text);
  for (const text of ["6\n", "7", "x", "-", " 2"]) {
    said.push(yield* u.sysfs_write(`${DIR}/level`, text));
    said.push((yield* read("level")).text);
  }
  said.push(debug_view("x").length, yield* u.sysfs_write(`${DIR}/flush`, "5"), debug_view("x").length);
  said.push(yield* u.sysfs_write(`${DIR}/flush`, "-"), debug_view("x").length);
  const fd = yield* u.open(`${DIR}/level`, O_RDWR);
  const at = yield* u.string("3");
  said.push(yield* u.write(fd, at, 1), yield* u.write(fd, at, 1), yield* u.pwrite(fd, 0n, 1, 0));
}
const said: unknown[] = [];
test.serial("the files of a log", (t) => {
  said.length = 0;
  boot();
  spawn("dbf", makesLog());
  run();
  run_user("init", usesFiles);
  t.is(run(), "done");
  t.deepEqual(said, [
    ...[["flush", "level", "pages"], "3\n", "2\n"],
    ...[2, "6\n", 1, "6\n", -EINVAL, "6\n", 1, "-\n", 2, "2\n"],
    ...[1, 1, 1, 1, 0],
    // Only the first write of an open file counts.
    ...[1, -EPIPE, -EFAULT],
  ]);
  t.true(log().some(({ text }) => text === "s390dbf: x is not a valid level for a debug feature"));
});
