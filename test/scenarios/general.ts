// SPDX-License-Identifier: GPL-2.0-only
/**
 * General scenarios: what user space and the machine may do at any time, shaped after no fault. What happens when, and what
 * fails, is the schedule's to choose; the quiet schedule lets nothing happen that the guest does not do itself.
 */
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import {
  ANSWER,
  ANYONE,
  DAY,
  day,
  Guest,
  type Happening,
  MACHINE,
  SHORT_DAY,
  type Step,
  USE,
} from "../helpers/general.ts";
import { bind, create, loadModules, remove, SCH_NO, unbind, unloadModules } from "../helpers/ccw.ts";

/** An execution that goes on for longer than any of these does is cut, and told. */
const LIMITS = { max_steps: 300_000, max_seconds: 900 };
const SIGKILL = 9;
/** Looks at the I/O region, a millisecond apart. */
const POLLS = 8;
/** Virtual time in which an event may show what it leads to. */
const PAUSE = 50;

function ofGuest(id: string, summary: string, steps: readonly Step[], happenings: readonly Happening[]): Scenario {
  return {
    id,
    summary,
    machine: LIMITS,
    processes: ["guest"],
    run: (lab) =>
      lab.run_user("guest", (u) => day(u, new Guest(lab, happenings.length === 0), steps, happenings, PAUSE)),
  };
}

/** What two actors share; they look at it between system calls only. */
interface Board {
  up: boolean;
  over: boolean;
}

/** How long somebody waits for another who, without memory, may never have come into being; longer than those take who have. */
const UP_MS = 5_000;
const OVER_MS = 120_000;
function* up(u: user_process, board: Board): Sleeps {
  for (let waited = 0; !board.up && waited < UP_MS; waited++) yield* u.sleep_ms(1);
}
function* over(u: user_process, board: Board): Sleeps {
  for (let waited = 0; !board.over && waited < OVER_MS; waited += 10) yield* u.sleep_ms(10);
}

function* owner(u: user_process, g: Guest, board: Board): Sleeps {
  yield* loadModules(u);
  yield* bind(u);
  board.up = true;
  yield* create(u, g.uuid);
  for (const step of USE) yield* step(u, g);
  yield* remove(u, g.uuid);
  board.over = true;
}
/** Takes away, and gives back, what the owner is just about to use. */
function* rival(u: user_process, g: Guest, board: Board): Sleeps {
  yield* up(u, board);
  yield* remove(u, g.uuid);
  yield* unbind(u);
  yield* bind(u);
  yield* create(u, g.uuid);
  yield* g.open(u);
  yield* g.reset(u);
  yield* g.close(u);
  yield* over(u, board);
  yield* remove(u, g.uuid);
  yield* unbind(u);
  yield* unloadModules(u);
}

/** A guest with three threads of execution, and a device that answers when the machine wants it to. */
function* busy(u: user_process, g: Guest, board: Board): Sleeps {
  yield* loadModules(u);
  yield* bind(u);
  yield* create(u, g.uuid);
  yield* g.open(u);
  yield* g.listen(u);
  board.up = true;
  const shared = new Guest(g.lab);
  shared.opened = g.opened;
  const child = yield* u.fork(function* (v) {
    yield* shared.start(v);
    yield* shared.look(v);
    if (g.lab.decide("event", 2, () => "the program's memory is unmapped")) yield* shared.unmap(v);
    yield* shared.reset(v);
    yield* shared.listen(v);
    yield* shared.deafen(v);
  });
  const poller = yield* u.fork(function* (v) {
    for (let i = 0; i < POLLS; i++) {
      yield* shared.poll(v);
      yield* v.sleep_ms(1);
    }
  });
  yield* g.start(u);
  yield* g.wait(u);
  yield* g.signal(u, 1);
  yield* g.look(u);
  yield* u.sleep_ms(5);
  yield* u.kill(child, SIGKILL);
  yield* g.close(u);
  yield* u.waitpid(child);
  yield* u.waitpid(poller);
  yield* remove(u, g.uuid);
  yield* unbind(u);
  yield* unloadModules(u);
  board.over = true;
}
function* operator(u: user_process, g: Guest, board: Board, happenings: readonly Happening[]): Sleeps {
  yield* up(u, board);
  for (let i = 0; i < 6 && !board.over; i++) {
    // Here the quiet way is not that nothing happens: the device answers.
    const what = happenings[g.lab.decide("event", happenings.length, (n) => happenings[n]?.name ?? "?")];
    if (what) yield* what.happen(u, g);
    yield* u.sleep_ms(1);
  }
  for (let waited = 0; !board.over && waited < OVER_MS; waited += 1000) {
    yield* ANSWER.happen(u, g);
    yield* u.sleep_ms(1000);
  }
}

/** Takes away, and gives back, while others are in it. */
function* administrator(u: user_process, g: Guest, board: Board): Sleeps {
  yield* up(u, board);
  yield* remove(u, g.uuid);
  yield* create(u, g.uuid);
  yield* unbind(u);
  yield* bind(u);
  yield* create(u, g.uuid);
  yield* over(u, board);
  yield* remove(u, g.uuid);
  yield* unbind(u);
  yield* unloadModules(u);
}

/** However it ends, and be it that it is killed, nobody waits for it any longer. */
function* ending(actor: Sleeps, board: Board): Sleeps {
  try {
    yield* actor;
  } finally {
    board.up = true;
    board.over = true;
  }
}

function together(
  id: string,
  summary: string,
  actors: Readonly<Record<string, (u: user_process, g: Guest, board: Board) => Sleeps>>,
  before: (lab: Lab) => void = () => {},
): Scenario {
  return {
    id,
    summary,
    machine: LIMITS,
    processes: Object.keys(actors),
    run(lab) {
      before(lab);
      const board: Board = lab.shared({ up: false, over: false });
      // One guest for all would share descriptors that are of one process only.
      for (const [comm, actor] of Object.entries(actors))
        lab.run_user(comm, (u) => ending(actor(u, new Guest(lab), board), board));
    },
  };
}

/** In place of the simple device, before anybody has looked at it. */
function held(lab: Lab): void {
  lab.hw.unplug(SCH_NO);
  lab.hw.attach({ sch_no: SCH_NO, devno: 0x1001, device: new lab.held_device() });
}

export const scenarios: readonly Scenario[] = [
  ofGuest("general-machine", "a guest's day; the machine may do something before each step", SHORT_DAY, MACHINE),
  ofGuest("general-anyone", "a guest's day; another process may do something before each step", SHORT_DAY, ANYONE),
  ofGuest("general-guest", "a guest's day, from insmod to rmmod, with nobody else about", DAY, []),
  together("general-rivals", "two processes take, use and take away the same subchannel", { owner, rival }),
  together(
    "general-busy",
    "three threads use a device that answers late, and the machine goes on around them",
    { guest: busy, operator: (u, g, board) => operator(u, g, board, [ANSWER, ...MACHINE]) },
    held,
  ),
  together("general-crowd", "a guest, an administrator and the machine, each going its own way", {
    guest: owner,
    administrator,
    operator: (u, g, board) => operator(u, g, board, [ANSWER, ...MACHINE]),
  }),
];
