// SPDX-License-Identifier: GPL-2.0-only
/** Loading, linking, counting and unloading modules. */
import test from "ava";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { sysfs_list, sysfs_read_path, sysfs_readlink } from "../../kernel/fs/sysfs/mount.ts";
import type { link_table } from "../../kernel/module/main.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { uevents } from "../../kernel/lib/kobject_uevent.ts";
import {
  delete_module,
  find_module,
  finit_module,
  modprobe,
  module,
  module_put,
  module_refcount,
  request_module,
  set_link_table,
  try_module_get,
} from "../../include/linux/module.ts";
import { EBUSY, EEXIST, ENOENT, EWOULDBLOCK } from "../../include/linux/errno.ts";
import { toy_plan, toy_statics } from "../modules/toy_provider.ts";
import "../modules/toy_user.ts";
import "../modules/toy_proprietary.ts";

const NEEDS: link_table = { toy_user: [{ symbol: "toy_open_gpl", from: "toy_provider" }] };

/** Boots and runs `body` in a task. @return what was logged since */
function inKernel(body: Sleeps, table: link_table = NEEDS): string[] {
  toy_plan.init_result = 0;
  set_link_table(table);
  boot();
  const before = log().length;
  spawn("init", body);
  const outcome = run();
  if (outcome !== "done")
    throw new Error(
      `${outcome}: ${found()
        .map((r) => r.text)
        .join("\n")}`,
    );
  return log()
    .slice(before)
    .map((l) => `${l.level} ${l.text}`);
}
const results: unknown[] = [];
const say = (x: unknown): void => void results.push(x);

test.beforeEach(() => void results.splice(0));

function* insmodOfDependent(): Sleeps {
  say(yield* finit_module("toy_user"));
  say(yield* sysfs_list("module"));
}
test.serial("insmod needs the modules it links with to be there", (t) => {
  const lines = inKernel(insmodOfDependent());
  t.deepEqual(results, [-ENOENT, []]);
  t.deepEqual(lines, ["4 toy_user: Unknown symbol toy_open_gpl (err -2)"]);
});

function* loadAll(name: string): Sleeps {
  say(yield* finit_module("toy_provider"));
  say(yield* finit_module(name));
  say(module_refcount(find_module("toy_provider")!));
}
const LINKS: readonly { what: string; table: link_table; module: string; expect: unknown[]; lines: string[] }[] = [
  { what: "an exported symbol", table: NEEDS, module: "toy_user", expect: [0, 0, 1], lines: [] },
  {
    what: "a function that is not exported",
    table: {
      toy_user: [
        { symbol: "toy_hidden", from: "toy_provider" },
        { symbol: "toy_open", from: "toy_provider" },
        { symbol: "nowhere", from: null },
      ],
    },
    module: "toy_user",
    expect: [0, -ENOENT, 0],
    lines: ["4 toy_user: Unknown symbol toy_hidden (err -2)", "4 toy_user: Unknown symbol nowhere (err -2)"],
  },
  {
    what: "a GPL-only symbol for a proprietary module",
    table: { toy_proprietary: [{ symbol: "toy_open_gpl", from: "toy_provider" }] },
    module: "toy_proprietary",
    expect: [0, -ENOENT, 0],
    lines: [
      "4 toy_proprietary: module license 'Proprietary' taints kernel.",
      "4 Disabling lock debugging due to kernel taint",
      "4 toy_proprietary: Unknown symbol toy_open_gpl (err -2)",
    ],
  },
  {
    what: "any other symbol for a proprietary module",
    table: { toy_proprietary: [{ symbol: "toy_open", from: "toy_provider" }] },
    module: "toy_proprietary",
    expect: [0, 0, 1],
    lines: [
      "4 toy_proprietary: module license 'Proprietary' taints kernel.",
      "4 Disabling lock debugging due to kernel taint",
    ],
  },
];
for (const { what, table, module: name, expect, lines } of LINKS) {
  test.serial(`linking: ${what}`, (t) => {
    t.deepEqual(inKernel(loadAll(name), table), lines);
    t.deepEqual(results, expect);
  });
}

function* lifeCycle(): Sleeps {
  say(yield* modprobe("toy-user"));
  say(yield* finit_module("toy_user"));
  say(yield* sysfs_read_path("module/toy_provider/refcnt"));
  say(yield* sysfs_read_path("module/toy_provider/initstate"));
  say(yield* sysfs_readlink("module/toy_provider/holders/toy_user"));
  say(yield* delete_module("toy_provider"));
  const provider = find_module("toy_provider")!;
  say(try_module_get(find_module("toy_user")));
  say(yield* delete_module("toy_user"));
  module_put(find_module("toy_user"));
  say(yield* delete_module("toy_user"));
  say(yield* sysfs_read_path("module/toy_provider/refcnt"));
  say(yield* delete_module("toy_provider"));
  say(yield* delete_module("toy_provider"));
  say(try_module_get(provider));
  say(try_module_get(null));
  say(yield* sysfs_list("module"));
}
test.serial("a module counts those who use it", (t) => {
  inKernel(lifeCycle());
  t.deepEqual(results, [
    0,
    -EEXIST,
    "1\n",
    "live\n",
    "../../toy_user",
    -EWOULDBLOCK,
    true,
    -EWOULDBLOCK,
    0,
    "0\n",
    0,
    -ENOENT,
    false,
    true,
    [],
  ]);
  t.deepEqual(
    uevents()
      .filter((e) => e.devpath.startsWith("/module/"))
      .map((e) => e.header),
    ["add@/module/toy_provider", "add@/module/toy_user", "remove@/module/toy_user", "remove@/module/toy_provider"],
  );
});

function* failingInit(): Sleeps {
  toy_plan.init_result = -EBUSY;
  say(yield* finit_module("toy_provider"));
  say(toy_statics.loads);
  say(find_module("toy_provider"));
  toy_plan.init_result = 0;
  say(yield* finit_module("toy_provider"));
  say(toy_statics.loads);
  say(module_refcount(find_module("toy_provider")!));
}
test.serial("a failed init function leaves nothing, and statics are fresh at each load", (t) => {
  inKernel(failingInit());
  t.deepEqual(results, [-EBUSY, 1, null, 0, 1, 0]);
});

function* noExit(): Sleeps {
  say(yield* finit_module("toy_proprietary"));
  say(yield* delete_module("toy_proprietary"));
  say(yield* request_module("toy:t%d", 1));
  say(find_module("toy_provider") instanceof module);
  say(yield* request_module("nobody"));
}
test.serial("without an exit function a module stays; request_module() finds aliases", (t) => {
  inKernel(noExit());
  t.deepEqual(results, [0, -EBUSY, 0, true, 256]);
});

function* doublePut(): Sleeps {
  say(yield* finit_module("toy_provider"));
  const m = find_module("toy_provider");
  module_put(m);
  module_put(m);
}
test.serial("a reference too many is reported", (t) => {
  inKernel(doublePut());
  t.deepEqual(
    found().map((r) => r.title),
    ["WARNING: module_put"],
  );
});
