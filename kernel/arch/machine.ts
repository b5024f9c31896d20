// SPDX-License-Identifier: GPL-2.0-only
/** Power-on, running, power-off: the machine as the tools see it. */
import { reset_statics } from "../boot.ts";
import { checkers } from "../checkers.ts";
import { kcsan_init } from "../kcsan/access.ts";
import { byte_order } from "../lib/bytestruct.ts";
import { restart_object_ids } from "../lib/struct.ts";
import { arm_faults } from "../lib/fault-inject.ts";
import { type kernel_report, oops, reports } from "../panic.ts";
import { kernel_log, type log_line } from "../printk.ts";
import { outside_init } from "../outside.ts";
import { footprint_init } from "../mm/footprint.ts";
import { footprint, touch_everything } from "../sched/footprint.ts";
import { check_hung_tasks, report_deadlock } from "../hung_task.ts";
import { create_task, start_cpus, step } from "../sched/core.ts";
import { limit_work, run_limit } from "../sched/limits.ts";
import { run_to_block, type schedule, set_schedule } from "../sched/decide.ts";
import { PF_KTHREAD, sched, type task_struct } from "../sched/task.ts";
import type { Sleeps } from "../sched/types.ts";
import { captured_stacks } from "../stacktrace.ts";
import { clock, NSEC_PER_SEC } from "../time/clock.ts";
import { advance_clock, run_expired } from "../time/timer.ts";
import { type module_provenance, set_module_provenance } from "../module/provenance.ts";
import { run_initcalls } from "../init.ts";
import { board, type board_name } from "./arm64/board.ts";
import { kconfig } from "./kconfig.ts";
import { type pci_plan, set_pci_plan } from "./x86/pci_host.ts";
import { type ap_plan, ap_power_on } from "./s390/ap.ts";

export interface boot_options {
  /** Default 2. */
  readonly cpus?: number;
  /** Default s390x, which is big-endian. */
  readonly arch?: "s390x" | "x86_64" | "arm64";
  /** What is on the PCI bus of an x86_64 machine. Default nothing. */
  readonly pci?: readonly pci_plan[];
  /** Crypto adapters of an s390 machine; none if not given, nor the instructions for them. */
  readonly ap?: ap_plan;
  /** Of arm64: a server with a card and a DMA engine, the default, or a network processor with a Management Complex. */
  readonly board?: board_name;
  readonly schedule?: schedule;
  /** Look for data races: every access is recorded, which costs. Changes nothing else. Default false. */
  readonly kcsan?: boolean;
  /** Keep the stacks of accesses to these only, by the name that a report gives after `member:`. Default: of all. */
  readonly kcsan_stacks_of?: ReadonlySet<string>;
  /** Whose the modules are. Default: the kernel's own, about which nothing is said. */
  readonly modules?: module_provenance;
  /** CONFIG_BUG_ON_DATA_CORRUPTION. Default false: a run that goes on finds more. */
  readonly bug_on_data_corruption?: boolean;
  /** False switches all checkers off, and the stacks with them: for measuring what they cost. Default true. */
  readonly checkers?: boolean;
  /** Steps after which a run is given up as endless. Default 2 000 000. */
  readonly max_steps?: number;
  /** Virtual seconds after which it is given up. Default 3600. */
  readonly max_seconds?: number;
  /**
   * Keep the stacks that reports show of allocations and locks. Default true; without them a run takes half the time, and
   * stacks_missed() says whether a report lacks one.
   */
  readonly stacks?: boolean;
  /** Failures that the schedule may choose once the machine is up, of calls made by any task. Default 0. */
  readonly faults?: number;
  /** What the outside may do counts among them: kernel/outside.ts. Default false: only what the scenario does happens. */
  readonly outside?: boolean;
}

/**
 * How a run ended. "done": everybody who was to end has ended; "oops": a task died and the machine stopped with it, as
 * with panic_on_oops; "deadlock": nobody can ever go on; "endless": a limit was reached.
 */
export type outcome = "done" | "oops" | "deadlock" | "endless";

const limits = { max_steps: 0, max_seconds: 0 };
/** Scheduling points and allocations for each step that is allowed: most steps have few, and a step that never ends has too many. */
const WORK_OF_A_STEP = 10;
const power = { halted: false, died: false };

/** Switches the machine on: fresh statics, virtual time 0, initcalls run. @throws if an initcall oopses */
export function boot(options: boot_options = {}): outcome {
  checkers.on = options.checkers ?? true;
  captured_stacks.kept = checkers.on && (options.stacks ?? true);
  captured_stacks.missed = false;
  restart_object_ids();
  reset_statics();
  kcsan_init(false);
  footprint_init(null);
  outside_init(false);
  power.halted = false;
  power.died = false;
  const arch = options.arch ?? "s390x";
  byte_order.little_endian = arch !== "s390x";
  kconfig.CONFIG_PM = arch !== "s390x";
  board.name = options.board ?? "highbank";
  kconfig.CONFIG_S390 = arch === "s390x";
  kconfig.CONFIG_X86 = arch === "x86_64";
  kconfig.CONFIG_ARM64 = arch === "arm64";
  ap_power_on(options.ap ?? null);
  kconfig.CONFIG_BUG_ON_DATA_CORRUPTION = options.bug_on_data_corruption ?? false;
  set_module_provenance(options.modules);
  set_pci_plan(options.pci ?? []);
  limits.max_steps = options.max_steps ?? 2_000_000;
  limit_work(WORK_OF_A_STEP * limits.max_steps);
  limits.max_seconds = options.max_seconds ?? 3600;
  set_schedule(run_to_block);
  start_cpus(options.cpus ?? 2);
  create_task("swapper/0", run_initcalls(), PF_KTHREAD);
  const up = run();
  // What was done up to here is before everything else.
  kcsan_init(options.kcsan === true, options.kcsan_stacks_of);
  if (options.faults) arm_faults(options.faults, { all_tasks: true });
  // With all that may go wrong from outside, so may what user space hands in.
  if (options.faults && options.outside)
    arm_faults(options.faults, { attrs: ["failslab", "fail_usercopy", "fail_function"] });
  // Initcalls run before there is anything to interfere with.
  set_schedule(options.schedule ?? run_to_block);
  footprint_init(options.schedule?.watcher ?? null);
  outside_init(options.outside === true);
  return up;
}

/** A kernel task made from outside: the hardware's and the tests' way in. User processes are in kernel/fs/process.ts. */
export function spawn(comm: string, body: Sleeps, flags = 0, daemon = false): task_struct {
  return create_task(comm, body, flags, daemon);
}

/** Stops the machine where it stands; run() returns. For reboot and power-off. */
export function halt(): void {
  // Nobody does anything after it.
  touch_everything();
  power.halted = true;
}

function unfinished(): task_struct[] {
  return sched.tasks.filter((t) => !t.daemon);
}

/**
 * Runs until nobody can go on, time included, or until `until` holds.
 * Virtual time only passes while somebody who is to end is still there: daemons' timers alone keep nobody up.
 */
export function run(until: () => boolean = () => false): outcome {
  const end = run_until(until);
  footprint.watcher?.pause();
  return end;
}
function run_until(until: () => boolean): outcome {
  for (let steps = 0; !power.halted; steps++) {
    if (until()) return "done";
    if (steps > limits.max_steps) return "endless";
    try {
      run_expired();
      if (step()) continue;
    } catch (error) {
      const too_much = error instanceof run_limit;
      if (!too_much && !(error instanceof oops)) throw error;
      power.halted = true;
      if (too_much) return "endless";
      power.died = true;
      return "oops";
    }
    if (unfinished().length === 0) return "done";
    footprint.watcher?.barrier();
    if (!advance_clock()) {
      report_deadlock(unfinished());
      return "deadlock";
    }
    check_hung_tasks();
    if (clock.ns > limits.max_seconds * NSEC_PER_SEC) return "endless";
  }
  return power.died ? "oops" : "done";
}

/** Whether this boot, made without `stacks`, had to show one: the same boot with them says the same, and says it whole. */
export function stacks_missed(): boolean {
  return captured_stacks.missed;
}
export function log(): readonly log_line[] {
  return kernel_log();
}
export function found(): readonly kernel_report[] {
  return reports();
}
