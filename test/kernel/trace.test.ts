// SPDX-License-Identifier: GPL-2.0-only
/** Tracepoints and those who listen to them. */
import test from "ava";
import { device } from "../../include/linux/device.ts";
import { kref, kref_get, kref_init, kref_put } from "../../include/linux/kref.ts";
import { GFP_KERNEL, kfree, kzalloc } from "../../include/linux/slab.ts";
import { boot, run } from "../../kernel/arch/machine.ts";
import { pct_schedule } from "../../kernel/explore/pct.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { __module_get } from "../../kernel/module/refcount.ts";
import { LOGLEVEL_INFO, printk } from "../../kernel/printk.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import {
  ALL_EVENTS,
  KERNEL_EVENTS,
  TRACE_EVENT,
  trace_events,
  trace_line,
  type trace_record,
  trace_subscribe,
} from "../../kernel/trace/trace.ts";

let assigned = 0;
const traceTestHit = TRACE_EVENT(
  "test",
  "test_hit",
  (what: string, n: number) => {
    assigned++;
    return { n, what };
  },
  "what=%s n=0x%x",
  ["what", "n"],
);

test.serial("nobody listens: the entry is not even made", (t) => {
  boot();
  assigned = 0;
  traceTestHit("a", 1);
  t.is(assigned, 0);
  t.is(trace_events().get("test_hit"), "test");
});

test.serial("listeners of one event and of all", (t) => {
  boot();
  const one: trace_record[] = [];
  const all: string[] = [];
  const off = trace_subscribe("test_hit", (r) => one.push(r));
  const offAll = trace_subscribe(ALL_EVENTS, (r) => all.push(trace_line(r)));
  traceTestHit("a", 255);
  off();
  traceTestHit("b", 1);
  offAll();
  traceTestHit("c", 2);
  t.deepEqual(all, ["test_hit: what=a n=0xff", "test_hit: what=b n=0x1"]);
  t.is(one.length, 1);
  t.like(one[0], { system: "test", name: "test_hit", fields: { what: "a", n: 255 }, pid: 0 });
});

function* life(u: user_process): Sleeps {
  const mem = kzalloc(device, GFP_KERNEL);
  const ref = new kref();
  kref_init(ref);
  kref_get(ref);
  yield* kref_put(ref, () => {});
  __module_get(null);
  kfree(mem);
  yield* u.open("/nowhere", 0);
  yield* u.sleep_ms(5);
  printk(LOGLEVEL_INFO, "hello\n");
}

test.serial("what the kernel tells of itself is for who asks for it", (t) => {
  const told: trace_record[] = [];
  const all: trace_record[] = [];
  boot();
  const offAll = trace_subscribe(ALL_EVENTS, (r) => all.push(r));
  const off = trace_subscribe(KERNEL_EVENTS, (r) => told.push(r));
  run_user("init", life);
  t.is(run(), "done");
  off();
  offAll();
  t.deepEqual(all, [], "tracepoints of ports only");
  const of = (name: string): trace_record["fields"][] => told.filter((r) => r.name === name).map((r) => r.fields);
  const [born] = of("kmalloc").filter((f) => f["type"] === "device");
  t.truthy(born);
  t.true(of("kfree").some((f) => f["birth"] === born?.["birth"] && f["type"] === "device"));
  t.true(of("ref_get").some((f) => f["refs"] === 2 && f["type"] === "static"));
  t.true(of("ref_put").some((f) => f["refs"] === 1 && f["type"] === "static"));
  t.deepEqual(
    of("sys_exit").map((f) => [f["id"], f["ret"]]),
    [
      ["open", -2],
      ["sleep_ms", 0],
    ],
  );
  t.true(of("sched_stat_blocked").some((f) => f["what"] === "time to pass" && f["delay"] === 5_000_000));
  t.deepEqual(of("console"), [{ level: LOGLEVEL_INFO, text: "hello" }]);
  const before = told.length;
  boot();
  t.is(told.length, before, "nobody hears any more");
});

test("PCT: the highest priority goes on, until a point of change", (t) => {
  const label = (i: number): string => `task/${i}`;
  for (let seed = 0; seed < 20; seed++) {
    const chosen = (depth: number): number[] => {
      const s = pct_schedule(seed, depth, 20);
      return Array.from({ length: 20 }, () => s.decide("switch", 3, label));
    };
    t.is(new Set(chosen(1)).size, 1, "without a point of change it is always the same one");
    const changes = chosen(3).filter((c, i, all) => i > 0 && c !== all[i - 1]).length;
    t.true(changes <= 2, `${changes} changes`);
    t.deepEqual(chosen(3), chosen(3));
    const irqs = pct_schedule(seed, 1, 1);
    t.true([0, 1].includes(irqs.decide("irq", 2, label)));
    t.is(irqs.decide("fault", 2, label), 0);
  }
});
