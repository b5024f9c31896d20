// SPDX-License-Identifier: GPL-2.0-only
/**
 * Every rule that a checker watches over: broken, it is reported, in exactly the words of rules.golden.txt; kept, but only just,
 * nobody speaks. KLAB_UPDATE=1 writes the file anew; its changes are then to be read against the C sources.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { Sleeps } from "#linux/types.ts";
import type { outcome } from "../../kernel/arch/machine.ts";
import { boot, log } from "../../kernel/arch/machine.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { MODULE_STATE_LIVE, module_images } from "../../kernel/modpost.ts";
import { set_source_lines } from "../../kernel/stacktrace.ts";
import { lineOf } from "../../tools/klab/states/lines.ts";
import * as faults from "../modules/checker_faults.ts";
import * as mm_faults from "../modules/mm_faults.ts";
import * as locks from "../modules/rules_locks.ts";
import * as memory from "../modules/rules_memory.ts";
import { comparable, hear, type Heard, type Planted } from "./planted.ts";

const GOLDEN = join(import.meta.dirname, "rules.golden.txt");

interface Rule {
  readonly rule: string;
  /** Who reports it. */
  readonly checker: string;
  readonly broken: Planted;
  /** null where nothing comes nearer than what another rule shows. */
  readonly kept: Planted;
  /** How the run ends that breaks it. */
  readonly ends?: outcome;
}

type Body = () => Sleeps;
const by = (...tasks: Body[]): Planted => ({ tasks });
const rule = (checker: string, name: string, broken: Body, kept: Body, ends: outcome = "done"): Rule => ({
  rule: name,
  checker,
  broken: by(broken),
  kept: by(kept),
  ends,
});

/** A module that is not loaded has no statics that could hold anything. */
function withLoaded(name: string): () => void {
  return () => {
    boot();
    const mod = module_images().get(name);
    if (!mod) return;
    mod.state = MODULE_STATE_LIVE;
    for (const statics of mod.statics) statics.reset();
  };
}
const leaks = (name: string, body: Body): Planted => ({
  tasks: [body],
  powerOn: withLoaded(name),
  atTheEnd: kmemleak_scan,
});
const racing = (...tasks: Body[]): Planted => ({ tasks, machine: { kcsan: true } });
const inUser = (body: Body): Planted => ({ tasks: [body], user: memory.set_user });

const RULES: readonly Rule[] = [
  rule("kasan", "use-after-free, read and write", mm_faults.use_after_free, memory.used_before_free_ok),
  rule("kasan", "use-after-free, write", memory.write_after_free, memory.used_before_free_ok),
  rule("kasan", "use-after-free, bytes", mm_faults.use_after_free_bytes, memory.used_before_free_ok),
  rule("kasan", "double-free", mm_faults.double_free, memory.free_of_null_ok),
  rule("kasan", "invalid-free of a member", mm_faults.free_of_member, memory.free_of_null_ok),
  rule("kasan", "invalid-free of a static", mm_faults.free_of_static, memory.free_of_null_ok),
  rule("kasan", "slab-out-of-bounds of an array", mm_faults.out_of_bounds, memory.inside_bounds_ok),
  rule("kasan", "slab-out-of-bounds, write of a byte", memory.write_past_buffer, memory.inside_bounds_ok),
  rule("kasan", "slab-out-of-bounds, read to the left", memory.read_before_buffer, memory.inside_bounds_ok),
  rule("kasan", "slab-out-of-bounds, memset", memory.memset_past_buffer, memory.inside_bounds_ok),
  rule("kasan", "slab-out-of-bounds, memcpy", mm_faults.overrun_of_memcpy, memory.inside_bounds_ok),
  rule("kasan", "slab-out-of-bounds of a view", mm_faults.overrun_of_view, memory.inside_bounds_ok),
  rule("kasan", "use-after-free after krealloc", mm_faults.stale_element, memory.inside_bounds_ok),
  rule("kasan", "vmalloc-out-of-bounds", mm_faults.overrun_of_vmalloc, memory.inside_bounds_ok),
  rule("kasan", "global-out-of-bounds", memory.past_static, memory.inside_static_ok),
  rule("kasan", "stack-out-of-bounds: the block has ended", mm_faults.end_of_scope, memory.inside_block_ok),
  rule("ubsan", "array-index-out-of-bounds", mm_faults.index_of_member, memory.inside_bounds_ok),
  rule("oops", "null-ptr-deref", faults.reads_null, memory.null_asked_ok, "oops"),
  rule("oops", "null-ptr-deref, call", faults.calls_null, memory.null_asked_ok, "oops"),
  rule("oops", "error pointer used", faults.error_pointer, memory.error_pointer_asked_ok, "oops"),
  rule("oops", "general protection fault on poison", faults.list_walked_on, memory.lists_ok, "oops"),
  {
    rule: "kmemleak",
    checker: "kmemleak",
    broken: leaks("mm_faults", mm_faults.leak),
    kept: leaks("rules_memory", memory.kept_ok),
  },
  {
    rule: "kmemleak: bytes",
    checker: "kmemleak",
    broken: leaks("mm_faults", mm_faults.leak_bytes),
    kept: leaks("rules_memory", memory.kept_ok),
  },
  {
    rule: "kmemleak: reachability, not use",
    checker: "kmemleak",
    broken: leaks("rules_memory", memory.ring),
    kept: leaks("rules_memory", memory.kept_ok),
  },
  {
    rule: "KMSAN: kernel-infoleak",
    checker: "kmsan",
    broken: inUser(memory.leaks_to_user),
    kept: inUser(memory.all_written_ok),
  },
  {
    rule: "KMSAN: kernel-infoleak, a member of a struct",
    checker: "kmsan",
    broken: inUser(memory.leaks_member_to_user),
    kept: inUser(memory.all_written_ok),
  },
  {
    rule: "KMSAN: kernel-infoleak, a local variable",
    checker: "kmsan",
    broken: inUser(memory.leaks_local_to_user),
    kept: inUser(memory.all_written_ok),
  },
  rule("warn", "refcount_t: underflow", faults.ref_underflow, memory.refs_ok),
  rule("warn", "refcount_t: addition on 0", faults.ref_from_zero, memory.refs_ok),
  rule("warn", "refcount_t: saturated", faults.ref_overflow, memory.refs_ok),
  rule("warn", "refcount_t: decrement hit 0", faults.ref_not_last, memory.refs_ok),
  rule("lockdep", "recursion", faults.lock_again, locks.nested_ok),
  rule("lockdep", "order cycle of two", faults.lock_order, locks.cycle_ok),
  rule("lockdep", "order cycle of three", locks.cycle_of_three, locks.cycle_ok),
  rule("lockdep", "order cycle through readers", locks.cycle_of_readers, locks.recursive_readers_ok),
  rule("lockdep", "recursion of readers", locks.reads_again, locks.recursive_readers_ok),
  rule("lockdep", "writes what it reads, recursively", locks.writes_what_it_reads, locks.recursive_readers_ok),
  rule("lockdep", "order cycle of reader and writer", locks.recursive_reader_and_writer, locks.recursive_readers_ok),
  rule("lockdep", "order cycle, the middle one unlocked first", locks.unlocks_across, locks.cycle_ok),
  rule("lockdep", "more locks than anybody holds", locks.holds_too_many, locks.holds_many_ok),
  rule("lockdep", "nested in what is not held", locks.nests_in_nothing, locks.nested_ok),
  rule("lockdep", "in hardirq and with it on", faults.lock_in_irq, locks.irq_ok),
  rule("lockdep", "in softirq and with it on", locks.lock_in_softirq, locks.irq_ok),
  rule("lockdep", "irq-safe to irq-unsafe", locks.irq_safe_to_unsafe, locks.irq_order_ok),
  rule("lockdep", "irq-safe to irq-unsafe through a third", locks.irq_safe_to_unsafe_chain, locks.irq_order_ok),
  rule("lockdep", "irq lock inversion", locks.irq_inversion, locks.irq_order_ok),
  rule("lockdep", "irq lock inversion, seen from behind", locks.irq_inversion_behind, locks.irq_order_ok),
  rule("lockdep", "read in hardirq", locks.writes_and_reads_in_irq, locks.reads_and_reads_in_irq_ok),
  rule("lockdep", "interrupts switched on while held", locks.irqs_on_too_early, locks.irq_ok),
  rule("lockdep", "held at exit", faults.lock_kept, locks.held_ok),
  rule("lockdep", "held on return to user space", faults.lock_to_user_space, locks.held_ok),
  rule("lockdep", "held and freed", faults.lock_freed, locks.freed_unlocked_ok),
  rule("lockdep", "held and initialised", locks.initialises_held, locks.mutex_ok),
  rule("lockdep", "unlock of what nobody holds", faults.unlock_free, locks.held_ok),
  rule("warn", "lockdep_assert_held", locks.not_held, locks.held_ok),
  rule("warn", "lockdep_assert_not_held", locks.held_all_the_same, locks.held_ok),
  rule("warn", "lockdep_assert_held_write", locks.held_for_reading_only, locks.asserts_ok),
  rule("warn", "lockdep_assert_held_read", locks.held_for_writing_only, locks.asserts_ok),
  rule("warn", "lockdep_assert_irqs_disabled", locks.irqs_on_all_the_same, locks.asserts_ok),
  rule("warn", "lockdep_assert_in_irq", locks.not_in_irq, locks.asserts_ok),
  rule("warn", "lockdep_assert_none_held_once", locks.held_after_all, locks.asserts_ok),
  rule("lockdep", "RCU: sleeping while reading", locks.reads_rcu_and_sleeps, locks.rcu_ok),
  rule("lockdep", "RCU: waiting for readers while reading", locks.reads_rcu_and_waits, locks.rcu_ok, "oops"),
  rule("lockdep", "RCU: dereferenced by who does not read", locks.dereferences_outside, locks.rcu_ok),
  rule("lockdep", "RCU: dereferenced unprotected", locks.dereferences_unprotected, locks.rcu_ok),
  {
    rule: "mutex: unlocked by another",
    checker: "lockdep",
    broken: by(locks.unlocks_others, locks.unlocks_for_others),
    kept: by(locks.held_ok, locks.held_ok),
  },
  rule("debug_locks", "mutex: destroyed while locked", locks.destroys_locked, locks.mutex_ok),
  rule("debug_locks", "mutex: used after it was destroyed", locks.uses_destroyed, locks.mutex_ok),
  rule("debug_locks", "mutex: never initialised", faults.mutex_of_zeros, locks.mutex_ok),
  rule("lockdep", "rwsem: never initialised", locks.rwsem_of_zeros, locks.rwsem_ok),
  rule("debug_locks", "rwsem: never initialised, tried", locks.rwsem_tried_of_zeros, locks.rwsem_ok),
  {
    rule: "rwsem: unlocked by another",
    checker: "debug_locks",
    broken: by(locks.rwsem_unlocks_others, locks.rwsem_unlocks_for_others),
    kept: by(locks.rwsem_ok),
  },
  rule("debug_locks", "rwsem: unlocked by who does not read", locks.rwsem_unreads, locks.rwsem_ok),
  rule("debug_locks", "rwsem: downgraded while free", locks.downgrades_free, locks.rwsem_ok),
  rule("warn", "rwsem: downgraded by a reader", locks.downgrades_reader, locks.rwsem_ok),
  rule("spinlock", "spinlock: never initialised", faults.spin_of_zeros, locks.spin_ok),
  rule("lockdep", "spinlock: never initialised, on the heap", locks.spin_of_heap_zeros, locks.spin_ok),
  rule("soft_lockup", "spinlock: taken twice, soft lockup", faults.spins_for_ever, locks.spin_ok, "deadlock"),
  rule("might_sleep", "sleeping with a spinlock", faults.sleeps_in_spinlock, locks.sleeps_after_spinlock_ok),
  rule("might_sleep", "sleeping with interrupts off", locks.sleeps_in_irqs_off, locks.sleeps_after_spinlock_ok),
  rule("might_sleep", "GFP_KERNEL in atomic context", locks.allocates_in_spinlock, memory.allocates_atomic_ok),
  rule("warn", "blocking while about to wait", locks.blocks_while_waiting, locks.blocks_before_waiting_ok),
  rule("scheduling_while_atomic", "scheduling while atomic", faults.sleeps_in_atomic, locks.preempt_ok, "oops"),
  rule("completion", "complete_all() twice", locks.completed_for_all_twice, locks.completes_twice_ok),
  {
    rule: "completion: initialised with a waiter",
    checker: "completion",
    broken: by(faults.completion_waits, faults.completion_again),
    kept: by(locks.completes_twice_ok),
    ends: "deadlock",
  },
  {
    rule: "completion: reinitialised under who was woken",
    checker: "completion",
    broken: by(locks.waits_for_done, locks.takes_back),
    kept: by(locks.completes_twice_ok),
  },
  rule("kasan", "completion: on a stack that is gone", locks.completes_gone, locks.completes_twice_ok),
  rule("odebug", "ODEBUG: work freed", faults.work_freed, memory.work_cancelled_ok),
  rule("odebug", "ODEBUG: work initialised", faults.work_initialised, memory.work_cancelled_ok),
  rule("odebug", "ODEBUG: delayed work freed", memory.delayed_work_freed, memory.delayed_work_cancelled_ok),
  rule("odebug", "ODEBUG: timer freed", memory.timer_freed, memory.timer_deleted_ok),
  rule("odebug", "ODEBUG: timer initialised", memory.timer_initialised, memory.timer_deleted_ok),
  rule("odebug", "ODEBUG: timer never initialised", memory.timer_of_zeros, memory.timer_deleted_ok),
  rule("odebug", "ODEBUG: rcu head freed", memory.rcu_freed, memory.rcu_over_ok),
  rule("odebug", "ODEBUG: rcu head queued twice", memory.rcu_twice, memory.rcu_over_ok),
  rule("odebug", "ODEBUG: rcu head initialised", memory.rcu_initialised, memory.rcu_over_ok),
  rule("warn", "kfree_rcu() twice", memory.kfree_rcu_twice, memory.rcu_over_ok),
  rule("kobject", "kobject: initialised twice", faults.kobject_twice, memory.kobject_ok),
  rule("kobject", "kobject: got before it is initialised", faults.kobject_got, memory.kobject_ok),
  rule("kobject", "kobject: added before it is initialised", faults.kobject_added, memory.kobject_ok),
  rule("kobject", "kobject: without a name", faults.kobject_nameless, memory.kobject_ok),
  rule("kobject", "kobject: without a type", faults.kobject_typeless, memory.kobject_ok),
  rule("kobject", "kobject: NULL", faults.kobject_null, memory.kobject_ok),
  rule("kobject", "kobject: a name that is taken", faults.kobject_same_name, memory.kobject_ok),
  rule("device", "device: without release()", faults.no_release, memory.device_ok),
  rule("warn", "list: deleted twice", faults.list_deleted_twice, memory.lists_ok),
  rule("warn", "list: added twice", faults.list_added_twice, memory.lists_ok),
  rule("slab_cache", "slab cache with objects destroyed", mm_faults.busy_cache, memory.cache_ok),
  rule("bug", "usercopy of what is not for user space", mm_faults.hidden_from_user, memory.usercopy_ok, "oops"),
  rule("workqueue", "workqueue: lock kept", faults.work_with_lock, locks.work_ok),
  {
    rule: "hung task",
    checker: "hung_task",
    broken: by(faults.waits_long, faults.holds_long),
    kept: by(locks.waits_short_ok, locks.holds_short_ok),
  },
  {
    rule: "deadlock",
    checker: "deadlock",
    broken: by(faults.takes_a, faults.takes_b),
    kept: by(locks.takes_in_order_ok, locks.takes_in_order_ok),
    ends: "deadlock",
  },
  rule("warn", "WARN_ON", faults.warns, locks.warns_not_ok),
  rule("warn", "WARN with words", faults.warns_with_words, locks.warns_not_ok),
  rule("warn", "WARN_ON_ONCE, once", locks.warns_twice_once, locks.warns_not_ok),
  rule("bug", "BUG_ON", faults.bugs, locks.warns_not_ok, "oops"),
  {
    rule: "KCSAN: data race",
    checker: "kcsan",
    broken: racing(faults.races_first, faults.races_second),
    kept: racing(memory.races_marked, memory.races_known),
  },
  {
    rule: "KCSAN: data race, and a lock",
    checker: "kcsan",
    broken: racing(faults.races_first, faults.races_second),
    kept: racing(memory.races_locked, memory.races_locked),
  },
  {
    rule: "KCSAN: unordered free",
    checker: "kcsan",
    broken: racing(memory.visits, memory.frees_later),
    kept: racing(memory.visits_told_ok, memory.tells),
  },
];

function textOf({ reports }: Heard): string {
  return reports.flatMap(({ checker, text }) => [`--- ${checker}`, ...comparable(text)]).join("\n");
}

function golden(): Map<string, string> {
  const sections = readFileSync(GOLDEN, "utf8").split(/^=== /m).slice(1);
  return new Map(
    sections.map((section) => {
      const end = section.indexOf("\n");
      return [section.slice(0, end), section.slice(end + 1).replace(/\n+$/, "")];
    }),
  );
}
if (process.env["KLAB_UPDATE"] === "1")
  writeFileSync(
    GOLDEN,
    `SPDX-License-Identifier: GPL-2.0-only\n\n${RULES.map((r) => `=== ${r.rule}\n${textOf(hear(r.broken))}\n`).join("\n")}`,
  );

for (const { rule: name, checker, broken, kept, ends = "done" } of RULES) {
  test.serial(`broken: ${name}`, (t) => {
    const heard = hear(broken);
    t.is(heard.outcome, ends);
    t.true(heard.reports.some((r) => r.checker === checker));
    t.is(textOf(heard), golden().get(name) ?? "");
    for (const { at, cpu, comm, title, text } of heard.reports) {
      t.regex(comm, /^(init|other|kworker|ksoftirqd|swapper)/, "the task is named");
      t.is(typeof cpu, "number");
      // Of what a run as a whole is about nobody is the place.
      if (!["deadlock", "hung_task", "kmemleak", "soft_lockup"].includes(checker)) t.truthy(at, "so is the function");
      t.notRegex(title, /\b[0-9a-f]{16}\b.*\bPID\b/);
      t.notRegex(text, /undefined|\[object/);
    }
  });
  test.serial(`kept: ${name}`, (t) => {
    const heard = hear(kept);
    t.is(textOf(heard), "");
    t.is(heard.outcome, "done");
  });
}

test.serial("a report names lines of the source, once somebody knows them", (t) => {
  set_source_lines(lineOf);
  t.teardown(() => set_source_lines(null));
  const source = readFileSync(join(import.meta.dirname, "../modules/mm_faults.ts"), "utf8").split("\n");
  const [read] = hear(by(mm_faults.use_after_free)).reports;
  t.like(read?.at, { name: "use_after_free", file: "test/modules/mm_faults.ts", module: "mm_faults" });
  t.regex(source[(read?.at?.line ?? 0) - 1] ?? "", /s\.seen = in_\.b;/);
  const places = [
    ...(read?.text ?? "").matchAll(/^ use_after_free \(test\/modules\/mm_faults\.ts:(\d+)\) \[mm_faults\]$/gm),
  ];
  t.deepEqual(
    places.map(([, line]) => source[Number(line) - 1]?.trim()),
    ["s.seen = in_.b;", "const p = kzalloc(item, GFP_KERNEL)!;", "kfree(p);"],
    "of the access, of the allocation and of the free",
  );
  const [warned] = hear(by(faults.warns)).reports;
  t.regex(
    warned?.text ?? "",
    /^WARNING: CPU: 0 PID: 2 at test\/modules\/checker_faults\.ts:\d+ warns \[checker_faults\]$/m,
  );
  const [dead] = hear(by(faults.reads_null)).reports;
  t.is(source.length > 0 && dead?.at?.name, "reads_null");
  t.true((dead?.at?.line ?? 0) > 100, "an error of the host has its line as well");
  t.is(JSON.parse(JSON.stringify(read)).at.line, read?.at?.line, "all of it is plain data");
});

test.serial("below a hung task stand the locks of all tasks", (t) => {
  hear(by(faults.waits_long, faults.holds_long));
  const lines = log().map(({ text }) => text);
  const from = lines.indexOf("Showing all locks held in the system:");
  const lock = (by: string): RegExp =>
    new RegExp(` #0: 0{16} \\(a\\)\\{\\+\\.\\+\\.\\}-\\{3:3\\}, at: ${by} \\[checker_faults\\]`);
  const expected = [
    /^1 lock held by init\/\d+:$/,
    lock("waits_long"),
    /^1 lock held by other\/\d+:$/,
    lock("holds_long"),
  ];
  t.true(from > 0, lines.join("\n"));
  for (const [i, line] of expected.entries()) t.regex(lines[from + 1 + i] ?? "", line);
  t.is(lines[from + 6], "=".repeat(45));
});

test("the table has each rule once, and the file nothing else", (t) => {
  const names = RULES.map((r) => r.rule);
  t.deepEqual([...new Set(names)], names);
  t.deepEqual([...golden().keys()].sort(), [...names].sort());
});
