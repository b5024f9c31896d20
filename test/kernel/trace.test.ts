// SPDX-License-Identifier: GPL-2.0-only
/** Tracepoints and those who listen to them. */
import test from "ava";
import { boot } from "../../kernel/arch/machine.ts";
import {
  ALL_EVENTS,
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
