// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the outside may do between any two steps, if the schedule wants it: a process is killed, a timer expires although somebody could
 * still run, a device goes away. Each costs one of the failures that boot() allows, and all of them are explored like a switch.
 */
import { per_boot_books } from "./boot.ts";
import { faults_left, use_fault } from "./lib/fault-inject.ts";
import { decide, interferes, outside } from "./sched/decide.ts";
import { touch_everything } from "./sched/footprint.ts";
import { sched } from "./sched/task.ts";
import { advance_clock, next_expiry } from "./time/timer.ts";
import { clock } from "./time/clock.ts";

export interface happening {
  /** As a trace names it. */
  readonly name: string;
  readonly happen: () => void;
}
type outside_kind = "timer" | "signal" | "event";
interface source {
  readonly kind: outside_kind;
  /** What could happen now. */
  readonly list: () => readonly happening[];
}

/** Those of the kernel's own files; they outlive boots, as code does. */
const sources: source[] = [];
const s = per_boot_books(() => ({ of_scenario: [] as happening[] }));

/** @list: what may happen at a time, asked whenever something may. File scope. */
export function happenings(kind: outside_kind, list: () => readonly happening[]): void {
  sources.push({ kind, list });
}
/** Something of the scenario's that may happen at any time from now on, once. After boot(). */
export function may_happen(name: string, happen: () => void): void {
  s.of_scenario.push({
    name,
    happen: () => {
      s.of_scenario = s.of_scenario.filter((h) => h.name !== name);
      happen();
    },
  });
}

/** Time passes although somebody could run: whoever could was slow. */
function expire_early(): readonly happening[] {
  const at = next_expiry();
  if (at === null || at <= clock.ns) return [];
  return [{ name: `time passes to ${at} ns`, happen: () => void advance_clock() }];
}
happenings("timer", expire_early);
happenings("event", () => s.of_scenario);

function ask(): void {
  for (const { kind, list } of sources) {
    if (faults_left() === 0 || !interferes()) return;
    const possible = list();
    const i = decide(kind, possible.length + 1, (n) => possible[n - 1]?.name ?? "nothing happens");
    const what = possible[i - 1];
    if (!what) continue;
    use_fault();
    touch_everything();
    const me = sched.current;
    // It is nobody's doing.
    sched.current = null;
    what.happen();
    sched.current = me;
  }
}

/** @on: whether anything may happen in this boot */
export function outside_init(on: boolean): void {
  outside.ask = on ? ask : null;
}
