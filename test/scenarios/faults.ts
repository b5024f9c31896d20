// SPDX-License-Identifier: GPL-2.0-only
/** Memory that is not there: each allocation fails once, and what was taken has to be given back. */
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { bind, close, create, loadModules, open, remove, unbind, unloadModules } from "../helpers/ccw.ts";

function* bindCreateOpen(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u);
  lab.make_it_fail(u.task);
  lab.set_fail_nth(lab.faultNth);
  yield* bind(u);
  yield* create(u);
  yield* close(u, yield* open(u));
  lab.make_it_fail(u.task, false);
  yield* remove(u);
  yield* unbind(u);
  yield* unloadModules(u);
}

function* load(u: user_process, lab: Lab): Sleeps {
  lab.make_it_fail(u.task);
  lab.set_fail_nth(lab.faultNth);
  yield* loadModules(u);
  lab.make_it_fail(u.task, false);
  yield* unloadModules(u);
}

export const scenarios: readonly Scenario[] = [
  {
    id: "fault-each",
    summary: "bind, create and open, each allocation failing in turn",
    machine: {},
    processes: ["init"],
    faults: true,
    run: (lab) => lab.run_user("init", (u) => bindCreateOpen(u, lab)),
  },
  {
    id: "fault-each-load",
    summary: "the modules are loaded, each allocation failing in turn",
    machine: {},
    processes: ["init"],
    faults: true,
    run: (lab) => lab.run_user("init", (u) => load(u, lab)),
  },
];
