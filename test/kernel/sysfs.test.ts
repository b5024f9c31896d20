// SPDX-License-Identifier: GPL-2.0-only
/** sysfs: files, groups, links, and removal that waits for whoever is inside. */
import test from "ava";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import {
  sysfs_list,
  sysfs_lookup,
  sysfs_read_bin,
  sysfs_write_bin,
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
import { EACCES, EEXIST, EFBIG, EINVAL, EIO, ENODEV, ENOENT } from "../../include/linux/errno.ts";
import { PTR_ERR } from "../../include/linux/err.ts";
import {
  __ATTR,
  kobj_attribute,
  type kobject,
  kobject_create_and_add,
  kobject_put,
} from "../../include/linux/kobject.ts";
import { kernfs_put, type kernfs_node, type kernfs_open_file } from "../../include/linux/kernfs.ts";
import { msleep } from "../../include/linux/delay.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "../../include/linux/mutex.ts";
import {
  type attribute,
  bin_attribute,
  sysfs_add_file_to_group,
  sysfs_add_link_to_group,
  sysfs_break_active_protection,
  sysfs_buf,
  sysfs_chmod_file,
  sysfs_create_bin_file,
  sysfs_create_file,
  sysfs_create_files,
  sysfs_create_group,
  sysfs_create_groups,
  sysfs_create_link,
  sysfs_emit,
  sysfs_emit_at,
  sysfs_merge_group,
  sysfs_notify,
  sysfs_remove_bin_file,
  sysfs_remove_file,
  sysfs_remove_file_from_group,
  sysfs_remove_file_self,
  sysfs_remove_files,
  sysfs_remove_group,
  sysfs_remove_groups,
  sysfs_remove_link_from_group,
  sysfs_streq,
  sysfs_unbreak_active_protection,
  sysfs_unmerge_group,
  sysfs_update_group,
  sysfs_update_groups,
} from "../../include/linux/sysfs.ts";
import { initialise, kbuf } from "../../include/linux/types.ts";

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

function* severalFiles(): Sleeps {
  const dir = yield* directory();
  say(yield* sysfs_create_files(dir, [rw.attr, ro.attr]));
  say(yield* sysfs_list("dir"));
  // As in Linux, taking back begins with the file that could not be made: whoever had the name loses it.
  say(yield* sysfs_create_files(dir, [silent.attr, ro.attr]));
  say(yield* sysfs_list("dir"));
  say(yield* sysfs_chmod_file(dir, rw.attr, 0o444));
  say(yield* sysfs_chmod_file(dir, ro.attr, 0o444));
  say(yield* sysfs_write_path("dir/toy", "x"));
  yield* sysfs_notify(dir, null, "toy");
  yield* sysfs_remove_files(dir, [rw.attr, silent.attr]);
  say(yield* sysfs_list("dir"));
}
test.serial("several files at once, and their modes", (t) => {
  inKernel(severalFiles());
  t.deepEqual(seen, [0, ["ro", "toy"], -EEXIST, ["toy"], 0, -ENOENT, -EACCES, []]);
});

function* filesOfGroups(): Sleeps {
  const dir = yield* directory();
  const other = (yield* kobject_create_and_add("other", null))!;
  say(yield* sysfs_add_file_to_group(dir, ro.attr, "group"));
  say(yield* sysfs_create_groups(dir, [{ name: "group", attrs: [rw.attr] }]));
  say(yield* sysfs_add_file_to_group(dir, ro.attr, "group"));
  say(yield* sysfs_add_file_to_group(dir, ro.attr, null));
  say(yield* sysfs_add_link_to_group(dir, "group", other, "link"));
  say(yield* sysfs_add_link_to_group(dir, "none", other, "link"));
  yield* sysfs_notify(dir, "group", "toy");
  say(yield* sysfs_list("dir/group"));
  say(yield* sysfs_readlink("dir/group/link"));
  yield* sysfs_remove_link_from_group(dir, "group", "link");
  yield* sysfs_remove_link_from_group(dir, "none", "link");
  yield* sysfs_remove_file_from_group(dir, ro.attr, "group");
  yield* sysfs_remove_file_from_group(dir, ro.attr, "none");
  say(yield* sysfs_merge_group(dir, { name: "none", attrs: [] }));
  say(yield* sysfs_merge_group(dir, { name: "group", attrs: [silent.attr] }));
  say(yield* sysfs_list("dir/group"));
  yield* sysfs_unmerge_group(dir, { name: "group", attrs: [silent.attr] });
  yield* sysfs_unmerge_group(dir, { name: "none", attrs: [silent.attr] });
  // A merge that fails takes the file away that was in its way, as in Linux.
  say(yield* sysfs_merge_group(dir, { name: "group", attrs: [silent.attr, rw.attr] }));
  say(yield* sysfs_list("dir/group"));
  say(yield* sysfs_update_groups(dir, [{ name: "none", attrs: [rw.attr] }]));
  say(yield* sysfs_update_groups(dir, [{ name: "group", attrs: [rw.attr] }]));
  say(yield* sysfs_list("dir/group"));
  yield* sysfs_remove_groups(dir, [{ name: "group", attrs: [rw.attr] }]);
  say(yield* sysfs_list("dir"));
  yield* sysfs_remove_group(dir, { name: "group", attrs: [rw.attr] });
}
test.serial("files, links and merges of groups that are there, and that are not", (t) => {
  inKernel(filesOfGroups());
  t.deepEqual(seen, [
    ...[-ENOENT, 0, 0, 0, 0, -ENOENT, ["link", "ro", "toy"], "../../other"],
    ...[-ENOENT, 0, ["silent", "toy"], -EEXIST, [], -EINVAL, 0, ["toy"], ["ro"]],
  ]);
  const said = log().map(({ text }) => text);
  t.true(said.includes("Can't update unknown attr grp name: dir/none"));
  t.true(said.includes("sysfs group 'group' not found for kobject 'dir'"));
});

function binRead(_kobj: kobject, _attr: bin_attribute, buf: kbuf, pos: number, count: number): number {
  say(`read ${pos}+${count}`);
  for (let i = 0; i < count; i++) buf.$bytes[i] = pos + i;
  return count;
}
function binWrite(_kobj: kobject, _attr: bin_attribute, buf: kbuf, pos: number, count: number): number {
  say(`write ${[...buf.$bytes.subarray(0, count)]} at ${pos}`);
  return count;
}
function binary(name: string, size: bigint, mode: number, both = true): bin_attribute {
  const attr = initialise(new bin_attribute(), { attr: { name, mode }, size, read: binRead });
  if (both) attr.write = binWrite;
  return attr;
}
function* binaries(): Sleeps {
  const dir = yield* directory();
  const eight = binary("eight", 8n, 0o600);
  say(yield* sysfs_create_bin_file(dir, eight));
  say(yield* sysfs_create_bin_file(dir, eight));
  say(yield* sysfs_create_group(dir, { name: "bins", bin_attrs: [binary("endless", 0n, 0o400, false)] }));
  const kn = (yield* sysfs_lookup("dir/eight"))!;
  const of = yield* sysfs_open_file(kn, 3);
  kernfs_put(kn);
  const buf = new kbuf(16);
  for (const [pos, count] of [
    [0, 4],
    [6, 4],
    [8, 4],
    [0, 0],
  ] as const)
    say(yield* sysfs_read_bin(of, buf, count, pos));
  say([...buf.$bytes.subarray(0, 3)]);
  buf.$bytes.set([1, 2, 3, 4]);
  for (const pos of [0, 6, 8]) say(yield* sysfs_write_bin(of, buf, 4, pos));
  sysfs_release(of);
  yield* sysfs_remove_bin_file(dir, eight);
  say(yield* sysfs_list("dir"));
  say(yield* sysfs_list("dir/bins"));
}
test.serial("binary files end at their size", (t) => {
  inKernel(binaries());
  t.deepEqual(seen, [
    ...[0, -EEXIST, 0],
    ...["read 0+4", 4, "read 6+2", 2, 0, 0, [6, 7, 2]],
    ...["write 1,2,3,4 at 0", 4, "write 1,2 at 6", 2, -EFBIG],
    ...[["bins"], ["endless"]],
  ]);
});

const left: { node: kernfs_node | null } = { node: null };
function* selfStore(kobj: kobject, attr: kobj_attribute, _buf: string, count: number): Sleeps<number> {
  // What the SCSI layer does to delete a device from within its file.
  left.node = yield* sysfs_break_active_protection(kobj, attr.attr);
  yield* sysfs_remove_file(kobj, attr.attr);
  say("removed from within");
  if (left.node) yield* sysfs_unbreak_active_protection(left.node);
  return count;
}
const selfish = __ATTR(kobj_attribute, "selfish", 0o200, null, selfStore);
function* breaksProtection(): Sleeps {
  const dir = yield* directory();
  yield* sysfs_create_file(dir, selfish.attr);
  say(yield* sysfs_write_path("dir/selfish", "x"));
  say(yield* sysfs_list("dir"));
  say(yield* sysfs_break_active_protection(dir, selfish.attr));
}
test.serial("a store() without its active protection can wait for the removal of its file", (t) => {
  inKernel(breaksProtection());
  t.deepEqual(seen, ["removed from within", 1, [], null]);
  t.deepEqual(found(), []);
});
