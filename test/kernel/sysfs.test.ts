// SPDX-License-Identifier: GPL-2.0-only
/** sysfs: files, groups, links, and removal that waits for whoever is inside. */
import test from "ava";
import { boot, found, run, spawn } from "../../kernel/arch/machine.ts";
import {
  sysfs_list,
  sysfs_lookup,
  sysfs_open_file,
  sysfs_read,
  sysfs_read_path,
  sysfs_readlink,
  sysfs_release,
  sysfs_write,
  sysfs_write_path,
} from "../../kernel/fs/sysfs/mount.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { EACCES, EEXIST, EINVAL, EIO, ENODEV, ENOENT } from "../../include/linux/errno.ts";
import { PTR_ERR } from "../../include/linux/err.ts";
import {
  __ATTR,
  kobj_attribute,
  type kobject,
  kobject_create_and_add,
  kobject_put,
} from "../../include/linux/kobject.ts";
import { kernfs_put, type kernfs_open_file } from "../../include/linux/kernfs.ts";
import { msleep } from "../../include/linux/delay.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "../../include/linux/mutex.ts";
import {
  type attribute,
  sysfs_buf,
  sysfs_create_file,
  sysfs_create_group,
  sysfs_create_groups,
  sysfs_create_link,
  sysfs_emit,
  sysfs_emit_at,
  sysfs_merge_group,
  sysfs_remove_file,
  sysfs_remove_file_self,
  sysfs_remove_group,
  sysfs_streq,
  sysfs_update_group,
} from "../../include/linux/sysfs.ts";

const seen: unknown[] = [];
const say = (x: unknown): void => void seen.push(x);
test.beforeEach(() => void seen.splice(0));

function inKernel(...bodies: Sleeps[]): void {
  boot();
  for (const [i, body] of bodies.entries()) spawn(`task${i}`, body);
  const outcome = run();
  if (outcome !== "done")
    throw new Error(
      `${outcome}: ${found()
        .map((r) => r.text)
        .join("\n")}`,
    );
}

/** What the toy attribute holds; each test has its own directory. */
const toy = { value: "zero", dir: null as kobject | null, slow: 0, held: new mutex() };

function toyShow(_kobj: kobject, _attr: kobj_attribute, buf: sysfs_buf): number {
  say("show");
  return sysfs_emit(buf, "%s\n", toy.value);
}
function* toyStore(kobj: kobject, attr: kobj_attribute, buf: string, count: number): Sleeps<number> {
  say(`store ${buf.trim()} begins`);
  if (buf.startsWith("suicide")) say(yield* sysfs_remove_file_self(kobj, attr.attr));
  if (buf.startsWith("lock")) {
    yield* mutex_lock(toy.held);
    mutex_unlock(toy.held);
  }
  if (toy.slow) yield* msleep(toy.slow);
  toy.value = buf.trim();
  say(`store ${buf.trim()} ends`);
  return buf.startsWith("bad") ? -EIO : count;
}
const rw = __ATTR(kobj_attribute, "toy", 0o644, toyShow, toyStore);
const ro = __ATTR(kobj_attribute, "ro", 0o444, toyShow, null);
const silent = __ATTR(kobj_attribute, "silent", 0o644, null, null);

function* directory(): Sleeps<kobject> {
  toy.value = "zero";
  toy.slow = 0;
  toy.dir = (yield* kobject_create_and_add("dir", null))!;
  return toy.dir;
}

function* readAndWrite(): Sleeps {
  const dir = yield* directory();
  for (const attr of [rw, ro, silent]) say(yield* sysfs_create_file(dir, attr.attr));
  say(yield* sysfs_read_path("dir/toy"));
  say(yield* sysfs_write_path("dir/toy", "one\n"));
  say(yield* sysfs_write_path("dir/toy", "bad\n"));
  say(yield* sysfs_write_path("dir/toy", ""));
  say(yield* sysfs_write_path("dir/ro", "x"));
  say(yield* sysfs_read_path("dir/silent"));
  say(yield* sysfs_read_path("dir/none"));
}
test.serial("files are read and written", (t) => {
  inKernel(readAndWrite());
  t.deepEqual(seen, [
    ...[0, 0, 0, "show", "zero\n"],
    ...["store one begins", "store one ends", 4],
    ...["store bad begins", "store bad ends", -EIO],
    ...[0, -EACCES, -EIO, -ENOENT],
  ]);
});

function* seqFile(): Sleeps {
  const dir = yield* directory();
  yield* sysfs_create_file(dir, rw.attr);
  const kn = (yield* sysfs_lookup("dir/toy"))!;
  const of = yield* sysfs_open_file(kn, 1);
  kernfs_put(kn);
  const to = new sysfs_buf();
  for (const pos of [0, 3, 5]) {
    say(yield* sysfs_read(of, to, 3, pos));
    say(to.text);
  }
  toy.value = "changed";
  say(yield* sysfs_read(of, to, 100, 0));
  say(to.text);
  yield* sysfs_remove_file(dir, rw.attr);
  say(yield* sysfs_read(of, to, 100, 0));
  sysfs_release(of);
}
test.serial("an open file shows once, again from position 0, and never after removal", (t) => {
  inKernel(seqFile());
  t.deepEqual(seen, ["show", 3, "zer", 2, "o\n", 0, "", "show", 8, "changed\n", -ENODEV]);
});

function* slowWriter(): Sleeps {
  const dir = yield* directory();
  yield* sysfs_create_file(dir, rw.attr);
  toy.slow = 100;
  say(yield* sysfs_write_path("dir/toy", "slow"));
  say(yield* sysfs_write_path("dir/toy", "after"));
}
function* remover(): Sleeps {
  yield* msleep(50);
  say("removing");
  yield* sysfs_remove_file(toy.dir!, rw.attr);
  say("removed");
}
test.serial("removal of a file waits for a store that is running", (t) => {
  inKernel(slowWriter(), remover());
  t.is(seen.indexOf("removed") > seen.indexOf("store slow ends"), true);
  t.deepEqual(
    seen.filter((x) => x !== "removed"),
    ["store slow begins", "removing", "store slow ends", 4, -ENOENT],
  );
});

function* openThenGone(): Sleeps {
  const dir = yield* directory();
  yield* sysfs_create_file(dir, rw.attr);
  const kn = (yield* sysfs_lookup("dir/toy"))!;
  const of: kernfs_open_file = yield* sysfs_open_file(kn, 3);
  yield* sysfs_remove_file(dir, rw.attr);
  say(yield* sysfs_write(of, "late"));
  say(PTR_ERR(yield* sysfs_open_file(kn, 3)));
  kernfs_put(kn);
  sysfs_release(of);
  yield* kobject_put(dir);
}
test.serial("a file that is gone can be neither written nor opened", (t) => {
  inKernel(openThenGone());
  t.deepEqual(seen, [-ENODEV, -ENODEV]);
});

function* suicide(): Sleeps {
  const dir = yield* directory();
  yield* sysfs_create_file(dir, rw.attr);
  toy.slow = 100;
  say(yield* sysfs_write_path("dir/toy", "suicide"));
  say(yield* sysfs_list("dir"));
}
function* secondSuicide(): Sleeps {
  yield* msleep(1);
  say(yield* sysfs_write_path("dir/toy", "suicide"));
}
test.serial("a file removes itself from within its own store()", (t) => {
  inKernel(suicide());
  t.deepEqual(seen, ["store suicide begins", true, "store suicide ends", 7, []]);
});
test.serial("after that nobody gets in", (t) => {
  inKernel(suicide(), secondSuicide());
  t.true(seen.includes(-ENOENT) || seen.includes(-ENODEV));
});

function* locksThenRemoves(): Sleeps {
  mutex_init(toy.held, "toy.held");
  const dir = yield* directory();
  yield* sysfs_create_file(dir, rw.attr);
  yield* mutex_lock(toy.held);
  yield* msleep(100);
  yield* sysfs_remove_file(dir, rw.attr);
  mutex_unlock(toy.held);
}
function* writesMeanwhile(): Sleeps {
  yield* msleep(50);
  yield* sysfs_write_path("dir/toy", "lock");
}
test.serial("removing a file under a lock that its store() takes is a deadlock, and lockdep says so first", (t) => {
  boot();
  spawn("remover", locksThenRemoves());
  spawn("writer", writesMeanwhile());
  t.is(run(), "deadlock");
  const lockdep = found().find((r) => r.checker !== "deadlock");
  t.regex(lockdep?.text ?? "", /kn->active/);
});

function visible(_kobj: kobject, attr: attribute, i: number): number {
  return toy.value === `hide ${i}` ? 0 : attr.mode;
}
const group = { name: "group", attrs: [rw.attr, ro.attr, null, silent.attr], is_visible: visible };
function* groups(): Sleeps {
  const dir = yield* directory();
  toy.value = "hide 1";
  say(yield* sysfs_create_group(dir, group));
  say(yield* sysfs_list("dir/group"));
  toy.value = "";
  say(yield* sysfs_update_group(dir, group));
  say(yield* sysfs_list("dir/group"));
  say(yield* sysfs_create_groups(dir, [{ attrs: [silent.attr] }, group]));
  say(yield* sysfs_list("dir"));
  say(yield* sysfs_merge_group(dir, { name: "group", attrs: [silent.attr] }));
  say(yield* sysfs_list("dir/group"));
  yield* sysfs_remove_group(dir, group);
  say(yield* sysfs_list("dir"));
  say(yield* sysfs_create_group(dir, { name: "empty" }));
}
test.serial("groups: visibility, updates, all or nothing", (t) => {
  inKernel(groups());
  t.deepEqual(seen, [
    ...[0, ["toy"], 0, ["ro", "toy"]],
    // The first group of the two is taken back.
    ...[-EEXIST, ["group"]],
    ...[0, ["ro", "silent", "toy"], [], -EINVAL],
  ]);
});

function* links(): Sleeps {
  const dir = yield* directory();
  const sub = (yield* kobject_create_and_add("sub", dir))!;
  const other = (yield* kobject_create_and_add("other", null))!;
  yield* sysfs_create_file(dir, rw.attr);
  say(yield* sysfs_create_link(other, dir, "to_dir"));
  say(yield* sysfs_create_link(sub, dir, "up"));
  say(yield* sysfs_create_link(null, sub, "root_link"));
  for (const path of ["other/to_dir", "dir/sub/up", "root_link", "dir"]) say(yield* sysfs_readlink(path));
  say(yield* sysfs_read_path("other/to_dir/toy"));
  say(yield* sysfs_create_link(other, dir, "to_dir"));
  yield* kobject_put(sub);
  say(yield* sysfs_create_link(other, sub, "gone"));
}
test.serial("links lead where they should", (t) => {
  inKernel(links());
  // A released kobject is memory that is freed: the last line of it is KASAN's.
  t.deepEqual(seen.slice(0, 9), [0, 0, 0, "../dir", "../../dir", "dir/sub", null, "show", "zero\n"]);
  t.is(seen[9], -EEXIST);
  t.true(found().some((r) => r.title === "sysfs: cannot create duplicate filename '/other/to_dir'"));
  t.true(found().some((r) => r.checker === "kasan"));
});

function* noLeaks(): Sleeps {
  yield* sysfs_list("");
  const born = [...live_memory()].length;
  const dir = yield* directory();
  yield* sysfs_create_group(dir, { name: "group", attrs: [rw.attr] });
  const sub = (yield* kobject_create_and_add("sub", dir))!;
  yield* sysfs_create_link(dir, sub, "link");
  yield* sysfs_read_path("dir/group/toy");
  yield* kobject_put(sub);
  // Everything below goes with the directory.
  yield* kobject_put(dir);
  say([...live_memory()].length - born);
}
test.serial("what is removed is freed", (t) => {
  inKernel(noLeaks());
  t.deepEqual(seen, ["show", 0]);
  t.deepEqual(found(), []);
});

test("sysfs_emit() stops at the end of the page", (t) => {
  const buf = new sysfs_buf();
  t.is(sysfs_emit(buf, "%s", "x".repeat(5000)), 4095);
  t.is(sysfs_emit_at(buf, 4090, "%s", "yyyyyyyyyy"), 5);
  t.is(buf.text.length, 4095);
});
test("sysfs_streq() forgives one newline", (t) => {
  for (const [a, b, same] of [
    ["x", "x\n", true],
    ["x\n", "x", true],
    ["x\n\n", "x", false],
    ["x", "y", false],
  ] as const)
    t.is(sysfs_streq(a, b), same);
});
