// SPDX-License-Identifier: GPL-2.0-only
/** What the general scenarios are made of: a guest's day from insmod to rmmod, and everything that may come in between. */
import type { Lab } from "../../tools/klab/scenario.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import {
  bind,
  close,
  create,
  CRW_IRQ,
  eventfdFor,
  IO_IRQ,
  loadModules,
  mapDma,
  open,
  type Opened,
  OTHER_UUID,
  remove,
  REQ_IRQ,
  SCH_NO,
  unbind,
  unloadModules,
  unmapDma,
  UUID,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  VFIO_GROUP_GET_DEVICE_FD,
} from "./ccw.ts";

const VFIO_DEVICE_GET_INFO = VFIO_DEVICE_RESET - 4;
const VFIO_DEVICE_GET_REGION_INFO = VFIO_DEVICE_RESET - 3;
const VFIO_DEVICE_GET_IRQ_INFO = VFIO_DEVICE_RESET - 2;
const SET_DATA_EVENTFD_TRIGGER = 0x24;
const O_NONBLOCK = 0o4000;
const SIGKILL = 9;
const LINUX_REBOOT_CMD_RESTART = 0x01234567;

/** Offsets of the regions beyond the first. */
const ASYNC_REGION = 1n << 10n;
const SCHIB_REGION = 2n << 10n;
const CRW_REGION = 3n << 10n;
const HALT = 1;
const CLEAR = 2;

const DEVNO = 0x1001;
const EIO = 5;
const EBUSY = 16;

/** Where the guest has its program, and what it reads. */
const PROGRAM = 0x10000n;
const SEGMENT = PROGRAM + 0x800n;
const DATA = PROGRAM + 0xc00n;
const NOWHERE = PROGRAM + 0x100000n;
const PAGE = 4096;
const NOP = 0x03;
const TIC = 0x08;
/** The simple device's: the features, of which the guest takes five bytes. */
const READ_FEAT = 0x12;
const CC = 0x40;
const SLI = 0x20;
function address(at: bigint): number[] {
  const n = Number(at);
  return [n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff];
}

/** The device that a guest has open, and what it made for it. */
export class Guest {
  readonly lab: Lab;
  readonly uuid = UUID;
  opened: Opened = { container: -1, group: -1, device: -1 };
  eventfd = -1;
  /** What lies at PROGRAM; mapped anew for each container. */
  #page = 0n;
  /** Nobody else is about: what the device says is about what this guest did. */
  readonly alone: boolean;
  constructor(lab: Lab, alone = false) {
    this.lab = lab;
    this.alone = alone;
  }

  *open(u: user_process): Sleeps {
    this.opened = yield* open(u, this.uuid);
  }
  *ask(u: user_process): Sleeps {
    for (const [cmd, words] of [
      [VFIO_DEVICE_GET_INFO, [24, 0, 0, 0]],
      [VFIO_DEVICE_GET_REGION_INFO, [32, 0, 1]],
      [VFIO_DEVICE_GET_IRQ_INFO, [16, 0, CRW_IRQ]],
    ] as const) {
      const arg = yield* u.alloc(4096);
      for (const [i, word] of words.entries()) u.poke_u32(arg + BigInt(4 * i), word);
      yield* u.ioctl(this.opened.device, cmd, arg);
    }
  }
  *listen(u: user_process): Sleeps {
    this.eventfd = yield* eventfdFor(u, this.opened.device, IO_IRQ);
    for (const index of [CRW_IRQ, REQ_IRQ]) yield* u.close(yield* eventfdFor(u, this.opened.device, index));
  }
  /** The eventfds are the driver's no more. */
  *deafen(u: user_process): Sleeps {
    const arg = yield* u.alloc(4096);
    for (const index of [IO_IRQ, CRW_IRQ, REQ_IRQ]) {
      for (const [i, word] of [24, SET_DATA_EVENTFD_TRIGGER, index, 0, 1, 0xffffffff].entries())
        u.poke_u32(arg + BigInt(4 * i), word);
      yield* u.ioctl(this.opened.device, VFIO_DEVICE_SET_IRQS, arg);
    }
    if (this.eventfd >= 0) yield* u.close(this.eventfd);
    this.eventfd = -1;
  }
  /** A program of two segments: a NOP and a transfer to the other, which reads into the guest's memory. @return what write() returned */
  *start(u: user_process): Sleeps<number> {
    const ret = yield* this.#program(u, SEGMENT);
    if (this.alone) this.lab.must(ret !== -EIO, "a device that nobody took away is not operational");
    return ret;
  }
  /** One whose second segment is not in the guest's memory. */
  *startNowhere(u: user_process): Sleeps {
    yield* this.#program(u, NOWHERE);
  }
  *#program(u: user_process, second: bigint): Sleeps<number> {
    if (this.#page === 0n) this.#page = yield* u.alloc(PAGE);
    const page = this.#page;
    yield* mapDma(u, this.opened.container, page, PROGRAM, PAGE);
    u.poke(page, Uint8Array.of(NOP, CC | SLI, 0, 1, 0, 0, 0, 0, TIC, 0, 0, 0, ...address(second)));
    u.poke(page + SEGMENT - PROGRAM, Uint8Array.of(READ_FEAT, SLI, 0, 5, ...address(DATA)));
    const region = new Uint8Array(124);
    const words = new DataView(region.buffer);
    words.setUint32(4, 0x00c0ff00);
    words.setUint32(8, Number(PROGRAM));
    words.setUint32(12, 0x4000);
    return yield* u.pwrite_bytes(this.opened.device, region, 0n);
  }
  /** @return how often the device was heard of */
  *wait(u: user_process): Sleeps<bigint> {
    return this.eventfd < 0 ? 0n : yield* u.eventfd_read(this.eventfd, 10);
  }
  /** The memory of the program goes, be it that the program runs. */
  *unmap(u: user_process): Sleeps {
    yield* unmapDma(u, this.opened.container, PROGRAM, PAGE);
  }
  /** Starts again as soon as the first program is known to be over, as a guest with a lot to do does. */
  *startTwice(u: user_process): Sleeps {
    if ((yield* this.start(u)) < 0 || (yield* this.wait(u)) <= 0n) return;
    const again = yield* this.start(u);
    if (this.alone)
      this.lab.must(again !== -EBUSY, "a start was refused as busy after the end of the one before was told");
    yield* this.wait(u);
  }
  /** A second descriptor of the same device, closed again. */
  *openTwice(u: user_process): Sleeps {
    const name = yield* u.string(this.uuid);
    const other = yield* u.ioctl(this.opened.group, VFIO_GROUP_GET_DEVICE_FD, name);
    if (other >= 0) yield* u.close(other);
  }
  *look(u: user_process): Sleeps {
    const { device } = this.opened;
    yield* u.pread_bytes(device, 124, 0n);
    yield* u.pread_bytes(device, 52, SCHIB_REGION);
    yield* u.pread_bytes(device, 8, CRW_REGION);
  }
  /** Whether the program is over: without an eventfd, it is asked again and again. */
  *poll(u: user_process): Sleeps {
    yield* u.pread_bytes(this.opened.device, 124, 0n);
  }
  *signal(u: user_process, command: number): Sleeps {
    const region = new Uint8Array(8);
    new DataView(region.buffer).setUint32(0, command);
    yield* u.pwrite_bytes(this.opened.device, region, ASYNC_REGION);
  }
  *reset(u: user_process): Sleeps {
    yield* u.ioctl(this.opened.device, VFIO_DEVICE_RESET, 0n);
  }
  *close(u: user_process): Sleeps {
    const was = this.opened;
    this.opened = { container: -1, group: -1, device: -1 };
    yield* close(u, was);
    if (this.eventfd >= 0) yield* u.close(this.eventfd);
    this.eventfd = -1;
  }
}

/** One of the things that a guest and its operator do, in this order. */
export type Step = (u: user_process, g: Guest) => Sleeps;
function* bindStep(u: user_process): Sleeps {
  yield* bind(u);
}
function* createStep(u: user_process, g: Guest): Sleeps {
  yield* create(u, g.uuid);
}
function* removeStep(u: user_process, g: Guest): Sleeps {
  yield* remove(u, g.uuid);
}
function* unbindStep(u: user_process): Sleeps {
  yield* unbind(u);
}

function* startStep(u: user_process, g: Guest): Sleeps {
  yield* g.start(u);
}
function* waitStep(u: user_process, g: Guest): Sleeps {
  yield* g.wait(u);
}

/** With the device open. */
export const USE: readonly Step[] = [
  (u, g) => g.open(u),
  (u, g) => g.ask(u),
  (u, g) => g.listen(u),
  (u, g) => g.startTwice(u),
  (u, g) => g.openTwice(u),
  (u, g) => g.look(u),
  (u, g) => g.signal(u, HALT),
  (u, g) => startStep(u, g),
  (u, g) => g.signal(u, CLEAR),
  (u, g) => g.reset(u),
  (u, g) => g.startNowhere(u),
  (u, g) => g.deafen(u),
  (u, g) => g.close(u),
];
/** With less ceremony. */
const BRIEF_USE: readonly Step[] = [
  (u, g) => g.open(u),
  (u, g) => g.listen(u),
  (u, g) => startStep(u, g),
  (u, g) => waitStep(u, g),
  (u, g) => g.look(u),
  (u, g) => g.deafen(u),
  (u, g) => g.close(u),
];
export const DAY: readonly Step[] = [
  (u) => loadModules(u),
  bindStep,
  createStep,
  ...USE,
  removeStep,
  createStep,
  ...BRIEF_USE,
  removeStep,
  unbindStep,
  bindStep,
  createStep,
  unbindStep,
  (u) => unloadModules(u),
  // What the modules left behind is in the way of their second life.
  (u) => loadModules(u),
  (u) => unloadModules(u),
];
/** The same without what only takes time: where others come in at every step. */
export const SHORT_DAY: readonly Step[] = [
  (u) => loadModules(u),
  bindStep,
  createStep,
  ...BRIEF_USE,
  removeStep,
  unbindStep,
  (u) => unloadModules(u),
];

/** Something that happens beside the guest. @return what is to be waited for at the end: a child */
export interface Happening {
  readonly name: string;
  happen(u: user_process, g: Guest): Sleeps<number>;
}

/** What the machine does by itself, or its operator at the console. */
function machine(name: string, act: (g: Guest) => void): Happening {
  function* happen(_u: user_process, g: Guest): Sleeps<number> {
    act(g);
    return 0;
  }
  return { name, happen };
}
/** What another process does, which has nothing of the guest's open. */
function other(name: string, act: (u: user_process, g: Guest) => Sleeps<unknown>): Happening {
  return {
    name,
    happen: (u, g) => {
      const { opened, eventfd } = g;
      return u.fork(function* (v) {
        yield* close(v, opened);
        if (eventfd >= 0) yield* v.close(eventfd);
        yield* act(v, g);
      });
    },
  };
}
/** What another process does with the files of the guest, which it has inherited. */
function helper(name: string, act: (u: user_process, g: Guest) => Sleeps<unknown>): Happening {
  return {
    name,
    happen: (u, g) => {
      const own = new Guest(g.lab);
      own.opened = g.opened;
      own.eventfd = g.eventfd;
      return u.fork(function* (v) {
        yield* act(v, own);
      });
    },
  };
}

function plugged(g: Guest): boolean {
  return g.lab.hw.subchannel(SCH_NO) !== null;
}
export const MACHINE: readonly Happening[] = [
  machine("an interrupt that nobody asked for", (g) => {
    if (plugged(g)) g.lab.hw.spurious(SCH_NO);
  }),
  machine("attention", (g) => {
    if (plugged(g)) g.lab.hw.raise_unsolicited(SCH_NO);
  }),
  machine("the device is pulled", (g) => {
    if (plugged(g)) g.lab.hw.unplug(SCH_NO);
  }),
  machine("the device is plugged in again", (g) => {
    if (!plugged(g)) g.lab.hw.attach({ sch_no: SCH_NO, devno: DEVNO, device: new g.lab.simple_device() });
  }),
  machine("the path goes", (g) => g.lab.hw.chp_event(0, "offline")),
  machine("the path comes", (g) => g.lab.hw.chp_event(0, "online")),
  other("vary off", (u) => u.sysfs_write("/sys/devices/css0/chp0.00/status", "off")),
  other("vary on", (u) => u.sysfs_write("/sys/devices/css0/chp0.00/status", "on")),
  other("reboot", (u) => u.reboot(LINUX_REBOOT_CMD_RESTART)),
];
/** Ends a program that the device holds. */
export const ANSWER = machine("the device answers", (g) => {
  const sch = g.lab.hw.subchannel(SCH_NO);
  if (!sch) return;
  // Function and activity control: a clear, a halt, a start that is pending or active.
  const { fctl, actl } = sch.schib.scsw.cmd;
  if (fctl & 1) g.lab.hw.cleared(SCH_NO);
  else if (fctl & 2) g.lab.hw.halted(SCH_NO);
  else if (actl & 0x26) g.lab.hw.complete(SCH_NO);
});

export const ANYONE: readonly Happening[] = [
  other("bind", (u) => bind(u)),
  other("unbind", (u) => unbind(u)),
  other("create", (u, g) => create(u, g.uuid)),
  other("create another", (u) => create(u, OTHER_UUID)),
  other("remove", (u, g) => remove(u, g.uuid)),
  other("remove the other", (u) => remove(u, OTHER_UUID)),
  other("rmmod vfio_ccw", (u) => u.delete_module("vfio_ccw", O_NONBLOCK)),
  other("rmmod mdev", (u) => u.delete_module("mdev", O_NONBLOCK)),
  other("insmod", (u) => loadModules(u)),
  other("open and die", function* (u, g) {
    yield* open(u, g.uuid);
    yield* u.kill(yield* u.getpid(), SIGKILL);
  }),
  other("insmod of a module that is not in the tree", function* (u) {
    yield* u.finit_module("vfio");
    yield* u.finit_module("vfio_init_user");
    yield* u.delete_module("vfio_init_user", O_NONBLOCK);
  }),
  helper("reset", (u, g) => g.reset(u)),
  helper("eventfds set again", (u, g) => g.listen(u)),
  helper("eventfds taken away", (u, g) => g.deafen(u)),
  helper("start", (u, g) => g.start(u)),
  helper("halt", (u, g) => g.signal(u, HALT)),
  helper("read", (u, g) => g.look(u)),
  helper("unmap", (u, g) => g.unmap(u)),
  helper("close", (u, g) => g.close(u)),
  {
    name: "kill",
    *happen(u) {
      const guest = yield* u.getpid();
      return yield* u.fork(function* (v) {
        yield* v.kill(guest, SIGKILL);
      });
    },
  },
];

/**
 * A day, and before each step of it the schedule may let something happen.
 * @pause: milliseconds that are given to it
 */
export function* day(
  u: user_process,
  g: Guest,
  steps: readonly Step[],
  happenings: readonly Happening[],
  pause: number,
): Sleeps {
  const children: number[] = [];
  for (const step of steps) {
    const i = g.lab.decide("event", 1 + happenings.length, (n) => happenings[n - 1]?.name ?? "nothing");
    const what = happenings[i - 1];
    if (what) {
      const child = yield* what.happen(u, g);
      if (child > 0) children.push(child);
      yield* u.sleep_ms(pause);
    }
    yield* step(u, g);
  }
  for (const child of children) yield* u.waitpid(child);
  // Somebody may have put back what the guest took away.
  if (children.length > 0) for (const step of [removeStep, unbindStep]) yield* step(u, g);
  if (children.length > 0) yield* unloadModules(u);
}
