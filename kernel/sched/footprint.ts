// SPDX-License-Identifier: GPL-2.0-only
/**
 * What each step touches, for who searches schedules: two steps of different tasks that touch nothing in common, or only read
 * it, commute. Struct members, and statics, tell of themselves; everything else that is shared is named here by those who
 * keep it. What is in no footprint: the order of log lines, of addresses, and what the checkers write down.
 */
import type { step_watcher } from "./decide.ts";

/** A name for a place: a number of the object that it is in, and which part of it. Places that fall together only make steps dependent. */
export function place(id: number, part: number): number {
  return Math.imul(id, 0x9e3779b1) ^ part;
}
/** Parts, by name. */
const parts = new Map<string, number>();
export function part_of(name: string): number {
  let h = parts.get(name);
  if (h === undefined) {
    h = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
    parts.set(name, h);
  }
  return h;
}

const TASK = part_of("task");
const PID = place(0, part_of("next pid"));

/** Who listens; looked at by every hook before anything else. */
export const footprint = { watcher: null as step_watcher | null };

/** The step touches what is called `name`: something of which there is one. */
export function touch_named(name: string, write: boolean): void {
  footprint.watcher?.touch(place(0, part_of(name)), write);
}
/** A part of an object that has a number. */
export function touch_part(id: number, name: string, write: boolean): void {
  footprint.watcher?.touch(place(id, part_of(name)), write);
}
/** The state of a task: running, asleep, its signals. */
export function touch_task(pid: number, write: boolean): void {
  footprint.watcher?.touch(place(pid, TASK), write);
}
/** A task is made: the numbers come in order. */
export function touch_new_task(pid: number): void {
  footprint.watcher?.touch(PID, true);
  touch_task(pid, true);
}
/** The step commutes with no other. */
export function touch_everything(): void {
  footprint.watcher?.everything();
}
