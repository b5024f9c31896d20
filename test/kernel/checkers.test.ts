// SPDX-License-Identifier: GPL-2.0-only
/**
 * Every checker is seen to speak, in the words that its page of Documentation/checkers/ shows: each fenced block of a page
 * is the beginning of what a planted fault makes the machine say. Addresses and process numbers count as equal.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import test from "ava";
import type { Sleeps } from "#linux/types.ts";
import { boot, found, log } from "../../kernel/arch/machine.ts";
import { arm_faults } from "../../kernel/lib/fault-inject.ts";
import { oops_of_host_error } from "../../kernel/panic.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { MODULE_STATE_LIVE, module_images } from "../../kernel/modpost.ts";
import * as faults from "../modules/checker_faults.ts";
import * as mm_faults from "../modules/mm_faults.ts";
import * as rules_locks from "../modules/rules_locks.ts";
import * as rules_memory from "../modules/rules_memory.ts";
import { comparable, hear, type Planted } from "./planted.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PAGES = join(ROOT, "Documentation/checkers");

interface Fault extends Planted {
  /** Whose report it is; null for something that only writes to the log. */
  readonly checker: string | null;
}
const by = (checker: string | null, ...tasks: (() => Sleeps)[]): Fault => ({ checker, tasks });

/** Fails the first allocation. */
function fail_once(): void {
  let left = 1;
  const decide = (kind: string): number => (kind === "fault" && left-- > 0 ? 1 : 0);
  boot({ schedule: { interferes: true, decide } });
  arm_faults(1, { all_tasks: true, verbose: 1 });
}

/** A module that is not loaded has no statics that could hold anything. */
function with_module_loaded(): void {
  boot();
  const mod = module_images().get("mm_faults");
  if (!mod) return;
  mod.state = MODULE_STATE_LIVE;
  for (const statics of mod.statics) statics.reset();
}

const PLANTED: Readonly<Record<string, readonly Fault[]>> = {
  bug: [by("bug", faults.bugs)],
  completion: [
    by("completion", faults.completion_waits, faults.completion_again),
    by("completion", rules_locks.completed_for_all_twice),
    by("completion", rules_locks.waits_for_done, rules_locks.takes_back),
  ],
  debug_objects: [
    by("odebug", rules_memory.timer_freed),
    by("odebug", rules_memory.timer_initialised),
    by("odebug", rules_memory.timer_of_zeros),
    by("odebug", rules_memory.rcu_freed),
    by("odebug", rules_memory.rcu_twice),
    by("odebug", rules_memory.rcu_initialised),
    by("warn", rules_memory.kfree_rcu_twice),
  ],
  deadlock: [by("deadlock", faults.takes_a, faults.takes_b)],
  device: [by("device", faults.no_release)],
  double_free: [by("kasan", mm_faults.double_free), by("kasan", mm_faults.free_of_member)],
  err_ptr: [by("oops", faults.error_pointer)],
  fault_injection: [{ checker: null, tasks: [mm_faults.three_allocations], powerOn: fail_once }],
  hung_task: [by("hung_task", faults.waits_long, faults.holds_long)],
  kasan: [
    by("kasan", mm_faults.use_after_free),
    by("kasan", mm_faults.out_of_bounds),
    by("kasan", mm_faults.overrun_of_vmalloc),
    by("kasan", mm_faults.end_of_scope),
    by("ubsan", mm_faults.index_of_member),
  ],
  kcsan: [{ checker: "kcsan", tasks: [faults.races_first, faults.races_second], machine: { kcsan: true } }],
  kmsan: [rules_memory.leaks_to_user, rules_memory.leaks_local_to_user].map((task) => ({
    checker: "kmsan",
    tasks: [task],
    user: rules_memory.set_user,
  })),
  kmemleak: [mm_faults.leak, mm_faults.leak_bytes].map((task) => ({
    checker: "kmemleak",
    tasks: [task],
    powerOn: with_module_loaded,
    atTheEnd: kmemleak_scan,
  })),
  kobject: [
    by("kobject", faults.kobject_twice),
    by("kobject", faults.kobject_got),
    by("kobject", faults.kobject_added),
    by("kobject", faults.kobject_nameless),
    by("kobject", faults.kobject_typeless),
    by("kobject", faults.kobject_null),
    by("kobject", faults.kobject_same_name),
  ],
  list_debug: [
    by("warn", faults.list_deleted_twice),
    by("warn", faults.list_half_poisoned),
    by("warn", faults.list_of_zeros),
    by("warn", faults.list_half_zero),
    by("warn", faults.list_prev_lost),
    by("warn", faults.list_next_lost),
    by("warn", faults.list_added_twice),
    by("warn", faults.list_head_of_zeros),
    by("warn", faults.list_add_next_lost),
    by("oops", faults.list_walked_on),
  ],
  lockdep: [
    by("lockdep", faults.lock_order),
    by("lockdep", faults.lock_again),
    by("lockdep", faults.lock_in_irq),
    by("lockdep", faults.unlock_free),
    by("lockdep", faults.lock_freed),
    by("lockdep", faults.lock_to_user_space),
    by("lockdep", faults.lock_kept),
    by("lockdep", rules_locks.irq_safe_to_unsafe),
    by("lockdep", rules_locks.irq_inversion),
    by("lockdep", faults.sleeps_in_spinlock),
    by("lockdep", rules_locks.reads_rcu_and_sleeps),
    by("lockdep", rules_locks.nests_in_nothing),
    by("lockdep", rules_locks.holds_too_many),
    by("lockdep", rules_locks.spin_of_heap_zeros),
  ],
  might_sleep: [by("might_sleep", faults.sleeps_in_spinlock), by("warn", rules_locks.blocks_while_waiting)],
  mutex: [
    by("debug_locks", faults.mutex_of_zeros),
    by("debug_locks", rules_locks.destroys_locked),
    by("debug_locks", rules_locks.uses_destroyed),
    by("debug_locks", rules_locks.rwsem_unlocks_others, rules_locks.rwsem_unlocks_for_others),
  ],
  null_deref: [
    by("oops", faults.reads_null),
    by("oops", faults.calls_null),
    by("oops", faults.calls_null_waiting),
    by("oops", faults.calls_left_out),
    by("oops", faults.calls_left_out_waiting),
    by("oops", faults.calls_null_variable),
    by("oops", faults.calls_null_nameless),
    by("oops", faults.list_walked_on),
  ],
  refcount: [
    by("warn", faults.ref_underflow),
    by("warn", faults.ref_from_zero),
    by("warn", faults.ref_overflow),
    by("warn", faults.ref_not_last),
  ],
  scheduling_while_atomic: [by("scheduling_while_atomic", faults.sleeps_in_atomic)],
  slab_cache: [by("slab_cache", mm_faults.busy_cache)],
  spinlock: [by("spinlock", faults.spin_of_zeros), by("soft_lockup", faults.spins_for_ever)],
  usercopy: [by(null, mm_faults.hidden_from_user), by("bug", mm_faults.hidden_from_user)],
  warn: [by("warn", faults.warns), by("warn", faults.warns_with_words)],
  workqueue: [
    by("odebug", faults.work_freed),
    by("odebug", faults.work_initialised),
    by("workqueue", faults.work_with_lock),
    by("warn", faults.work_drained, faults.work_late),
  ],
};

/** What the machine says, and whose words they are. */
function said(fault: Fault): string[] {
  const { reports } = hear(fault);
  if (fault.checker === null) return log().map(({ text }) => text);
  return reports.flatMap((r) => (r.checker === fault.checker ? [r.text] : []));
}

interface Page {
  readonly name: string;
  readonly blocks: readonly (readonly string[])[];
}
const pages: readonly Page[] = readdirSync(PAGES).map((file) => {
  const text = readFileSync(join(PAGES, file), "utf8");
  const blocks = [...text.matchAll(/^```text\n([^]*?)\n```$/gm)].map(([, block = ""]) => comparable(block));
  return { name: file.replace(/\.md$/, ""), blocks };
});

/** Whether `text` begins with the block. */
const begins = (text: string, block: readonly string[]): boolean =>
  block.every((line, i) => comparable(text)[i] === line);

for (const { name, blocks } of pages) {
  test(`the page ${name} shows what is said`, (t) => {
    const planted = PLANTED[name] ?? [];
    t.true(blocks.length > 0, "no fenced block");
    t.true(planted.length > 0, "no planted fault");
    const all = planted.map(said);
    for (const block of blocks) {
      const heard = all.some((texts) => texts.some((text) => begins(text, block)));
      t.true(heard, `nobody says\n${block.join("\n")}\nbut\n${all.map(([text]) => text).join("\n\n")}`);
    }
    for (const [i, texts] of all.entries()) {
      const shown = texts.some((text) => blocks.some((block) => begins(text, block)));
      t.true(shown, `not on the page: ${planted[i]?.tasks[0]?.name}\n${texts.join("\n\n")}`);
    }
  });
}

const DISABLING = "Disabling lock debugging due to kernel taint";
test("what taints the kernel ends lock debugging, and says so once", (t) => {
  const both = (first: () => Sleeps, second: () => Sleeps): string[] => {
    const { reports } = hear({
      tasks: [
        function* () {
          yield* first();
          yield* second();
        },
      ],
    });
    return reports.map(({ checker }) => checker);
  };
  const disabled = (): number => log().filter(({ text }) => text === DISABLING).length;
  t.deepEqual(both(mm_faults.use_after_free, faults.lock_order), ["kasan"]);
  t.is(disabled(), 1);
  t.deepEqual(both(faults.lock_order, mm_faults.use_after_free), ["lockdep", "kasan"]);
  t.is(disabled(), 0, "it was off already");
  t.deepEqual(both(faults.warns, faults.lock_order), ["warn", "lockdep"]);
  // An oops has ended it before it could be said.
  t.is(hear({ tasks: [faults.reads_null] }).outcome, "oops");
  t.is(disabled(), 0);
});

test("a fault of the mock kernel itself is no oops", (t) => {
  boot();
  const table: { call: (() => void) | null } = { call: null };
  const thrown = (body: () => void): unknown => t.throws(body, { any: true });
  for (const [what, body] of Object.entries<() => void>({
    // Not ported code: its types promise nothing.
    "a call in a test": () => table.call!(),
    "a function handed to the host": () => void [1].map(table.call as () => void),
    "another error": () => {
      throw new TypeError("x is not a function");
    },
  }))
    t.is(oops_of_host_error(thrown(body)), null, what);
  t.deepEqual(found(), []);
});

test("every planted fault has its page", (t) => {
  t.deepEqual(Object.keys(PLANTED).sort(), pages.map(({ name }) => name).sort());
});

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* sources(path);
    else if (path.endsWith(".ts")) yield readFileSync(join(ROOT, path), "utf8");
  }
}

test("every checker that reports has a page", (t) => {
  const onPages = new Set(Object.values(PLANTED).flatMap((all) => all.map(({ checker }) => checker)));
  const speaking = new Set<string>();
  for (const folder of ["kernel", "include", "drivers", "samples"]) {
    for (const text of sources(folder))
      for (const [, name = ""] of text.matchAll(/(?:\bchecker: |\bdie\(\s*|\bkobject_warn\(\s*)"(\w+)"/g))
        speaking.add(name);
  }
  t.true(speaking.size >= 20, [...speaking].join(" "));
  t.deepEqual(
    [...speaking].filter((name) => !onPages.has(name)),
    [],
  );
});
