// SPDX-License-Identifier: GPL-2.0-only
/** Binding, creating, opening, and taking it all apart again: in the right order, too early, twice. */
import type { Lab, Scenario } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import {
  bind,
  close,
  create,
  eventfdFor,
  IO_IRQ,
  loadModules,
  type Opened,
  open,
  OTHER_UUID,
  remove,
  REQ_IRQ,
  startNop,
  unbind,
  unloadModules,
  UUID,
  VFIO_DEVICE_RESET,
} from "../helpers/ccw.ts";

/** A scenario of one process, which loads the modules first and unloads them last. */
function ofInit(id: string, summary: string, body: (u: user_process, lab: Lab) => Sleeps): Scenario {
  function* init(u: user_process, lab: Lab): Sleeps {
    yield* loadModules(u);
    yield* body(u, lab);
    yield* unloadModules(u);
  }
  return { id, summary, machine: {}, processes: ["init"], run: (lab) => lab.run_user("init", (u) => init(u, lab)) };
}

function* bindUnbind(u: user_process, lab: Lab): Sleeps {
  lab.record("bind", yield* bind(u));
  lab.record("unbind", yield* unbind(u));
  lab.record("bind again", yield* bind(u));
  lab.record("unbind again", yield* unbind(u));
}

function* createRemove(u: user_process, lab: Lab): Sleeps {
  yield* bind(u);
  for (let round = 0; round < 2; round++) {
    lab.record("create", yield* create(u));
    lab.record("remove", yield* remove(u));
  }
  lab.record("unbind", yield* unbind(u));
}

function* openClose(u: user_process, lab: Lab): Sleeps {
  yield* bind(u);
  yield* create(u);
  for (let round = 0; round < 2; round++) {
    const opened = yield* open(u);
    lab.record("open", opened.device >= 0 ? 0 : opened.device);
    lab.record("reset", yield* u.ioctl(opened.device, VFIO_DEVICE_RESET, 0n));
    yield* close(u, opened);
  }
  lab.record("remove", yield* remove(u));
  yield* unbind(u);
}

function* startIo(u: user_process, lab: Lab): Sleeps {
  yield* bind(u);
  yield* create(u);
  const opened = yield* open(u);
  const efd = yield* eventfdFor(u, opened.device, IO_IRQ);
  lab.record("start", yield* startNop(u, opened));
  lab.record("interrupts", Number(yield* u.eventfd_read(efd, 1000)));
  yield* u.close(efd);
  yield* close(u, opened);
  yield* remove(u);
  yield* unbind(u);
}

function* createTwice(u: user_process, lab: Lab): Sleeps {
  yield* bind(u);
  lab.record("create", yield* create(u));
  lab.record("create another", yield* create(u, OTHER_UUID));
  lab.record("remove", yield* remove(u));
  lab.record("create another now", yield* create(u, OTHER_UUID));
  lab.record("remove", yield* remove(u, OTHER_UUID));
  yield* unbind(u);
}

function* badUuid(u: user_process, lab: Lab): Sleeps {
  yield* bind(u);
  for (const uuid of ["", "1234", "not-a-uuid-at-all-but-thirty-six-ch!", `${UUID}0`, UUID.replaceAll("-", "")])
    lab.record(`create ${JSON.stringify(uuid)}`, yield* create(u, uuid));
  lab.record("create", yield* create(u));
  lab.record("create the same", yield* create(u));
  lab.record("create the same on another subchannel", yield* otherSubchannel(u));
  yield* remove(u);
  yield* unbind(u);
}
function* otherSubchannel(u: user_process): Sleeps<number> {
  yield* bind(u, "0.0.0002");
  const ret = yield* create(u, UUID, "0.0.0002");
  yield* unbind(u, "0.0.0002");
  return ret;
}

/** Somebody takes away what the owner still has open; the owner lets go when asked to. */
function whileOpen(id: string, summary: string, take: (u: user_process) => Sleeps<number>, asked: boolean): Scenario {
  function* owner(u: user_process, lab: Lab, ready: { opened: Opened | null }): Sleeps {
    yield* loadModules(u);
    yield* bind(u);
    yield* create(u);
    const opened = yield* open(u);
    const efd = asked ? yield* eventfdFor(u, opened.device, REQ_IRQ) : -1;
    ready.opened = opened;
    if (asked) {
      lab.record("request", yield* u.poll([{ fd: efd, events: 1, revents: 0 }], 60_000));
      // The request is repeated every ten seconds for as long as it is not answered.
      yield* u.sleep_ms(25_000);
      lab.record("requests", Number(yield* u.eventfd_read(efd, 1000)));
      yield* u.close(efd);
    } else yield* u.sleep_ms(25_000);
    yield* close(u, opened);
  }
  function* taker(u: user_process, lab: Lab, ready: { opened: Opened | null }): Sleeps {
    while (!ready.opened) yield* u.sleep_ms(10);
    const began = uptimeMs(lab);
    lab.record("taken", yield* take(u));
    lab.record("blocked for seconds", Math.round((uptimeMs(lab) - began) / 1000));
    yield* remove(u);
    yield* unbind(u);
    yield* unloadModules(u);
  }
  return {
    id,
    summary,
    machine: {},
    processes: ["owner", "taker"],
    run(lab) {
      const ready = { opened: null as Opened | null };
      lab.run_user("owner", (u) => owner(u, lab, ready));
      lab.run_user("taker", (u) => taker(u, lab, ready));
    },
  };
}

function uptimeMs(lab: Lab): number {
  return lab.clock.ns / 1e6;
}

/** The owner is killed instead of asked. */
function* killed(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u);
  yield* bind(u);
  yield* create(u);
  const child = yield* u.fork(holdOpen);
  yield* u.sleep_ms(100);
  lab.record("kill", yield* u.kill(child, 9));
  yield* u.waitpid(child, 0);
  lab.record("remove", yield* remove(u));
  yield* unbind(u);
  yield* unloadModules(u);
}
function* holdOpen(u: user_process): Sleeps {
  yield* open(u);
  yield* u.sleep_ms(1_000_000);
}

export const scenarios: readonly Scenario[] = [
  ofInit("bind-unbind", "a subchannel is given to vfio_ccw and taken back, twice", bindUnbind),
  ofInit("create-remove", "an mdev is created and removed, twice", createRemove),
  ofInit("open-close", "the device is opened through its group, reset and closed, twice", openClose),
  ofInit("start-io", "a channel program of one NOP is started and its interrupt awaited", startIo),
  ofInit("create-twice", "a second mdev where only one fits", createTwice),
  ofInit("bad-uuid", "mdevs with malformed and with duplicate UUIDs", badUuid),
  whileOpen(
    "remove-while-open",
    "the mdev is removed while its device is open; the owner lets go when asked",
    remove,
    true,
  ),
  whileOpen(
    "unbind-while-open",
    "the subchannel is unbound while the device is open; the owner lets go when asked",
    unbind,
    true,
  ),
  whileOpen(
    "remove-while-open-deaf",
    "the mdev is removed while its device is open; the owner does not listen for requests",
    remove,
    false,
  ),
  {
    id: "kill-owner",
    summary: "the process that has the device open is killed",
    machine: {},
    processes: ["init"],
    run: (lab) => lab.run_user("init", (u) => killed(u, lab)),
  },
];
