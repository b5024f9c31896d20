// SPDX-License-Identifier: GPL-2.0-only
/** kobjects: names, parents, references, uevents, and what is said of misuse. */
import test from "ava";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { debug_kobject_release } from "../../kernel/lib/kobject_debug.ts";
import { sysfs_list, sysfs_write_path } from "../../kernel/fs/sysfs/mount.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { clock, NSEC_PER_SEC } from "../../kernel/time/clock.ts";
import { bus_register, bus_type } from "../../include/linux/device.ts";
import { EEXIST, EINVAL } from "../../include/linux/errno.ts";
import {
  KOBJ_ADD,
  KOBJ_CHANGE,
  type kobj_type,
  kobj_sysfs_ops,
  kobject,
  kobject_add,
  kobject_create_and_add,
  kobject_del,
  kobject_get,
  kobject_get_unless_zero,
  kobject_init,
  kobject_init_and_add,
  kobject_move,
  kobject_put,
  kobject_rename,
  kobject_set_name,
  kobject_uevent,
  kobject_uevent_env,
  kset_create_and_add,
  kset_find_obj,
  kset_unregister,
  uevents,
} from "../../include/linux/kobject.ts";
import { kref_read } from "../../include/linux/kref.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../include/linux/slab.ts";
import { msleep } from "../../include/linux/delay.ts";

const seen: unknown[] = [];
const say = (x: unknown): void => void seen.push(x);
test.beforeEach(() => void seen.splice(0));

/** Boots and runs `body` in a task, which has to end. */
function inKernel(body: Sleeps): void {
  boot();
  spawn("init", body);
  const outcome = run();
  if (outcome !== "done")
    throw new Error(
      `${outcome}: ${found()
        .map((r) => r.text)
        .join("\n")}`,
    );
}
const titles = (): string[] => found().map((r) => r.title);

function toyRelease(kobj: kobject): void {
  say(`release ${kobj.name} at ${Math.floor(clock.ns / NSEC_PER_SEC)}`);
  kfree(kobj);
}
const toyType: kobj_type = { release: toyRelease, sysfs_ops: kobj_sysfs_ops };

function* parentsAndReferences(): Sleeps {
  const born = [...live_memory()].length;
  const parent = (yield* kobject_create_and_add("parent", null))!;
  const child = kzalloc(kobject, GFP_KERNEL)!;
  say(yield* kobject_init_and_add(child, toyType, parent, "a/b%d", 1));
  say(child.name);
  say(kref_read(parent.kref));
  say(yield* sysfs_list("parent"));
  kobject_get(child);
  yield* kobject_del(child);
  say(kref_read(parent.kref));
  say(yield* sysfs_list("parent"));
  yield* kobject_put(child);
  say("one left");
  yield* kobject_put(child);
  yield* kobject_put(parent);
  say(yield* sysfs_list("parent"));
  say([...live_memory()].length - born);
}
test.serial("a child holds its parent until it is deleted; names are freed with their kobjects", (t) => {
  inKernel(parentsAndReferences());
  t.deepEqual(seen, [0, "a!b1", 2, ["a!b1"], 1, [], "one left", "release a!b1 at 0", null, 0]);
});

function* autoCleanup(): Sleeps {
  const set = (yield* kset_create_and_add("set", null, null))!;
  const kobj = kzalloc(kobject, GFP_KERNEL)!;
  kobject_init(kobj, toyType);
  kobj.kset = set;
  say(yield* kobject_add(kobj, null, "one"));
  say(kobj.parent === set.kobj);
  yield* kobject_uevent(kobj, KOBJ_ADD);
  say((yield* kset_find_obj(set, "one")) === kobj);
  yield* kobject_put(kobj);
  yield* kobject_put(kobj);
  say(yield* kset_find_obj(set, "one"));
  yield* kset_unregister(set);
  say(uevents().map((e) => e.header));
  say(uevents().at(-1)?.env.slice(0, 3));
}
test.serial("the last put takes a kobject out of sysfs and says so to user space", (t) => {
  const before = (boot(), uevents().length);
  inKernel(autoCleanup());
  t.deepEqual(seen.slice(0, 3), [0, true, true]);
  t.is(seen[3], "release one at 0");
  t.is(seen[4], null);
  // A kset without a kset of its own tells nobody.
  t.deepEqual((seen[5] as string[]).slice(before), ["add@/set/one", "remove@/set/one"]);
  t.deepEqual(seen[6], ["ACTION=remove", "DEVPATH=/set/one", "SUBSYSTEM=set"]);
});

function* renameAndMove(): Sleeps {
  const a = (yield* kobject_create_and_add("a", null))!;
  const b = (yield* kobject_create_and_add("b", null))!;
  const set = (yield* kset_create_and_add("set", null, a))!;
  const kobj = kzalloc(kobject, GFP_KERNEL)!;
  kobject_init(kobj, toyType);
  kobj.kset = set;
  say(yield* kobject_add(kobj, null, "x"));
  say(yield* kobject_rename(kobj, "y"));
  say(yield* kobject_move(kobj, b));
  say(yield* sysfs_list("b"));
  say(yield* kobject_uevent_env(kobj, KOBJ_CHANGE, ["TOY=1"]));
  say(
    uevents()
      .slice(-3)
      .map((e) => [e.header, ...e.env.slice(3, -1)].join(" ")),
  );
  say(yield* kobject_uevent(a, KOBJ_ADD));
}
test.serial("kobjects are renamed and moved", (t) => {
  inKernel(renameAndMove());
  t.deepEqual(seen, [
    0,
    0,
    0,
    ["y"],
    0,
    ["move@/a/set/y DEVPATH_OLD=/a/set/x", "move@/b/y DEVPATH_OLD=/a/set/y", "change@/b/y TOY=1"],
    -EINVAL,
  ]);
});

const misuse: Record<
  string,
  { readonly body: () => Sleeps; readonly titles: readonly string[]; readonly result?: unknown }
> = {
  "the same name twice": {
    body: sameName,
    titles: ["sysfs: cannot create duplicate filename '/twice'"],
    result: -EEXIST,
  },
  "initialising twice": {
    body: initTwice,
    titles: ["kobject: tried to init an initialized object, something is seriously wrong."],
  },
  "initialising without a type": { body: noType, titles: ["kobject: must have a ktype to be initialized properly!"] },
  "adding what is not initialised": {
    body: addUninitialised,
    titles: ["kobject '(null)': tried to add an uninitialized object, something is seriously wrong."],
    result: -EINVAL,
  },
  "adding without a name": {
    body: addNameless,
    titles: ["kobject: attempted to be registered with empty name!"],
    result: -EINVAL,
  },
  "getting what is not initialised": {
    body: getUninitialised,
    titles: ["kobject: '(null)' is not initialized, yet kobject_get() is being called."],
  },
  "putting what is not initialised": {
    body: putUninitialised,
    titles: ["kobject: 'toy' is not initialized, yet kobject_put() is being called."],
  },
};
function* sameName(): Sleeps {
  yield* kobject_create_and_add("twice", null);
  const kobj = kzalloc(kobject, GFP_KERNEL)!;
  say(yield* kobject_init_and_add(kobj, toyType, null, "twice"));
  yield* kobject_put(kobj);
}
function* initTwice(): Sleeps {
  const kobj = kzalloc(kobject, GFP_KERNEL)!;
  kobject_init(kobj, toyType);
  kobject_init(kobj, toyType);
  yield* kobject_put(kobj);
}
function* noType(): Sleeps {
  kobject_init(new kobject(), null);
}
function* addUninitialised(): Sleeps {
  say(yield* kobject_add(new kobject(), null, "x"));
}
function* addNameless(): Sleeps {
  const kobj = new kobject();
  kobject_init(kobj, toyType);
  say(yield* kobject_add(kobj, null, ""));
}
function* getUninitialised(): Sleeps {
  kobject_get(new kobject());
}
function* putUninitialised(): Sleeps {
  const kobj = new kobject();
  kobject_set_name(kobj, "toy");
  yield* kobject_put(kobj);
}
for (const [what, { body, titles: expected, result }] of Object.entries(misuse)) {
  test.serial(`misuse: ${what}`, (t) => {
    inKernel(body());
    t.deepEqual(titles().slice(0, expected.length), expected);
    if (result !== undefined) t.is(seen[0], result);
  });
}

test.serial("a duplicate name is reported in the words of Linux", (t) => {
  inKernel(sameName());
  const text = log().map((l) => l.text);
  t.true(text.includes("sysfs: cannot create duplicate filename '/twice'"));
  t.true(
    text.includes(
      "kobject_add_internal failed for twice with -EEXIST, don't try to register things with the same name in the same directory.",
    ),
  );
  t.is(seen[1], "release twice at 0");
});

test.serial("a put of something that is not initialised is reported in the words of Linux", (t) => {
  inKernel(putUninitialised());
  const [report] = found();
  t.is(report?.checker, "kobject");
  t.regex(
    report?.text ?? "",
    /^-+\[ cut here \]-+\nkobject: 'toy' \([0-9a-f]{16}\): is not initialized, yet kobject_put\(\) is being called\.\nWARNING: CPU: \d PID: \d+ at kobject_put\n/,
  );
});

function* delayed(): Sleeps {
  debug_kobject_release(true);
  const kobj = kzalloc(kobject, GFP_KERNEL)!;
  yield* kobject_init_and_add(kobj, toyType, null, "late");
  yield* kobject_put(kobj);
  say("put");
  say(kobject_get_unless_zero(kobj));
  yield* msleep(2000);
}
test.serial("CONFIG_DEBUG_KOBJECT_RELEASE releases later", (t) => {
  inKernel(delayed());
  t.deepEqual(seen, ["put", null, "release late at 1"]);
});

function* synthetic(): Sleeps {
  const before = uevents().length;
  const uuid = "00000000-0000-0000-0000-000000000001";
  for (const text of ["add\n", "bogus", `change ${uuid} A=1 B=2\n`, "change not-a-uuid"])
    say(yield* sysfs_write_path("bus/toy/uevent", text));
  say(
    uevents()
      .slice(before)
      .map((e) => [e.header, ...e.env.slice(3, -1)].join(" ")),
  );
}
function* syntheticOnBus(): Sleeps {
  const bus = new bus_type();
  bus.name = "toy";
  yield* bus_register(bus);
  yield* synthetic();
}
test.serial("user space asks for uevents", (t) => {
  inKernel(syntheticOnBus());
  t.deepEqual(seen, [
    4,
    -EINVAL,
    52,
    -EINVAL,
    [
      "add@/bus/toy SYNTH_UUID=0",
      "change@/bus/toy SYNTH_UUID=00000000-0000-0000-0000-000000000001 SYNTH_ARG_A=1 SYNTH_ARG_B=2",
    ],
  ]);
  t.true(log().some((l) => l.text === "synth uevent: /bus/toy: unknown uevent action string"));
});
