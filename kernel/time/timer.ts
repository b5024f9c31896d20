// SPDX-License-Identifier: GPL-2.0-only
/** Timers on virtual time, run as softirqs in the order in which they expire. */
import { per_boot_books } from "../boot.ts";
import { kcsan_acquire, kcsan_release } from "../kcsan/order.ts";
import { object_ids } from "../lib/struct.ts";
import { touch_part } from "../sched/footprint.ts";
import { raise_softirq } from "../sched/interrupts.ts";
import type { Spins } from "../sched/types.ts";
import { clock, NSEC_PER_JIFFY } from "./clock.ts";

/** One entry of the timer wheel. What `struct timer_list` and schedule_timeout() are made of. */
export class wheel_entry {
  expires_ns = 0;
  /** Order of arming: of two timers that expire together, the one armed first runs first. */
  seq = 0;
  pending = false;
  /** For footprints, as of other objects. */
  readonly id = object_ids.next++;
  readonly expire: (entry: wheel_entry) => Spins;
  constructor(expire: (entry: wheel_entry) => Spins) {
    this.expire = expire;
  }
}

const s = per_boot_books(() => ({
  /** Sorted, next to expire first. */
  wheel: [] as wheel_entry[],
  seq: 0,
}));

function before(a: wheel_entry, b: wheel_entry): boolean {
  return a.expires_ns < b.expires_ns || (a.expires_ns === b.expires_ns && a.seq < b.seq);
}

/** Arms `entry` for a time on the virtual clock, in nanoseconds. @return whether it was pending before */
export function arm(entry: wheel_entry, expires_ns: number): boolean {
  const was = disarm(entry);
  entry.expires_ns = expires_ns;
  entry.seq = s.seq++;
  entry.pending = true;
  let lo = 0;
  let hi = s.wheel.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    const there = s.wheel[mid];
    if (there && before(there, entry)) lo = mid + 1;
    else hi = mid;
  }
  s.wheel.splice(lo, 0, entry);
  // Of those that expire together, the one armed first runs first.
  touch_part(expires_ns, "timers", true);
  kcsan_release(entry);
  return was;
}
export function disarm(entry: wheel_entry): boolean {
  touch_part(entry.id, "timer", true);
  if (!entry.pending) return false;
  touch_part(entry.expires_ns, "timers", true);
  entry.pending = false;
  const at = s.wheel.indexOf(entry);
  if (at >= 0) s.wheel.splice(at, 1);
  kcsan_acquire(entry);
  return true;
}
export function arm_jiffies(entry: wheel_entry, jiffies_from_now: number): boolean {
  // A timeout of n jiffies ends at a tick, the n-th after the current one began.
  return arm(entry, (Math.floor(clock.ns / NSEC_PER_JIFFY) + Math.max(0, jiffies_from_now)) * NSEC_PER_JIFFY);
}

/** Next expiry in virtual nanoseconds, or null. */
export function next_expiry(): number | null {
  return s.wheel[0]?.expires_ns ?? null;
}

/** Queues everything that has expired by now as softirqs. */
export function run_expired(): void {
  for (let first = s.wheel[0]; first && first.expires_ns <= clock.ns; first = s.wheel[0]) {
    s.wheel.shift();
    first.pending = false;
    const entry = first;
    raise_softirq(() => {
      kcsan_acquire(entry);
      return entry.expire(entry);
    });
  }
}

/** Nobody can run: time jumps to the next expiry. @return false if nothing is armed */
export function advance_clock(): boolean {
  const at = next_expiry();
  if (at === null) return false;
  clock.ns = Math.max(clock.ns, at);
  run_expired();
  return true;
}
