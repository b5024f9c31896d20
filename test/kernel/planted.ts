// SPDX-License-Identifier: GPL-2.0-only
/** Faults that are planted to hear a checker speak, and what it says in a form that can be compared. */
import type { Sleeps } from "#linux/types.ts";
import { boot, type boot_options, found, type outcome, run, spawn } from "../../kernel/arch/machine.ts";
import { run_user } from "../../kernel/fs/process.ts";
import type { kernel_report } from "../../kernel/panic.ts";

export interface Planted {
  /** The first task is called init, the others other. */
  readonly tasks: readonly (() => Sleeps)[];
  readonly machine?: boot_options;
  readonly powerOn?: () => void;
  readonly atTheEnd?: () => unknown;
  /** The first task is a process, whose memory it is told of. */
  readonly user?: (addr: bigint) => void;
}

/** Lines that only frame a text. */
const FRAME = /^(-+\[ cut here \]-+|=+)$/;

/** Rows of the shadow memory, and the mark below the one in the middle: they depend on what else is allocated. */
const SHADOW = /^(?:[ >][0-9a-f]{16}:(?: [0-9a-f]{2}){16}| {19,}\^)$/;

/** Addresses and process numbers count as equal. */
export function comparable(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => !FRAME.test(line) && !SHADOW.test(line))
    .map((line) =>
      line
        .replaceAll(/\b(?:0x)?0{4,8}(?=[0-9a-f]*[1-9a-f][0-9a-f]{3})[0-9a-f]{8,12}\b(?!\/)/g, "ADDRESS")
        .replaceAll(/\b0x[89][0-9a-f]{7}\b/g, "ADDRESS")
        .replaceAll(/(@offset=|\bpid=)\d+/g, "$1N")
        .replaceAll(/\b(init|other)([/:])\d+/g, "$1$2PID")
        .replaceAll(/\b(pid:? )\d+/gi, "$1PID")
        .replaceAll(/\b(by task )\d+/g, "$1PID")
        .replace(/(leaked lock or atomic: \S+\/)\d+$/, "$1PID"),
    );
}

export interface Heard {
  readonly outcome: outcome;
  readonly reports: readonly kernel_report[];
}

/** What the machine says, from power-on to the end. */
export function hear({ tasks, machine, powerOn, atTheEnd, user }: Planted): Heard {
  if (powerOn) powerOn();
  else boot(machine);
  for (const [i, body] of tasks.entries()) {
    if (i > 0) spawn("other", body());
    else if (user)
      run_user("init", function* (u) {
        user(yield* u.alloc(4096));
        yield* body();
      });
    else spawn("init", body());
  }
  const outcome = run();
  atTheEnd?.();
  return { outcome, reports: [...found()] };
}
