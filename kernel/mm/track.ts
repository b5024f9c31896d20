// SPDX-License-Identifier: GPL-2.0-only
/** Who allocated or freed something, and from where. Taken at every allocation, so nothing is put into words until asked for. */
import { current_name } from "../panic.ts";
import { capture_stack, format_call, format_place, type stack_frame } from "../stacktrace.ts";
import { jiffies } from "../time/clock.ts";
import type { track } from "./object.ts";

export class stack_track implements track {
  readonly pid: number;
  readonly comm: string;
  readonly jiffies: number;
  readonly #frames: () => readonly stack_frame[];

  constructor(frames: () => readonly stack_frame[]) {
    const { pid, comm } = current_name();
    this.pid = pid;
    this.comm = comm;
    this.jiffies = jiffies();
    this.#frames = frames;
  }
  get stack(): readonly string[] {
    return this.#frames().map(format_call);
  }
  get module(): string | null {
    return this.#frames()[0]?.module ?? null;
  }
  /** The innermost function, as a report names it. */
  get place(): string {
    return format_place(this.#frames());
  }
}

/** @above: leaves out this function and what it called */
export function take_track(above: (...args: never[]) => unknown = take_track): stack_track {
  return new stack_track(capture_stack(16, above));
}
