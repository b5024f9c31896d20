// SPDX-License-Identifier: GPL-2.0-only
/** How much one run may do: scheduling points and allocations are counted, so that no loop goes on for ever that has one in it. */

/** Thrown where the limit is reached. Nothing in kernel code catches it. */
export class run_limit extends Error {
  override readonly name = "run_limit";
}

const work = { left: Infinity };

/** @points: scheduling points and allocations that the run may still have */
export function limit_work(points: number): void {
  work.left = points;
}
export function spend_work(): void {
  if (--work.left < 0) throw new run_limit("the run has had more scheduling points and allocations than it may");
}
