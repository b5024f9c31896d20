// SPDX-License-Identifier: GPL-2.0-only
/** Everything at once: a guest does I/O while the machine around it falls apart, under a random schedule. */
import assert from "node:assert/strict";
import { boot, found, run } from "../../kernel/arch/machine.ts";
import { type channel_device, held_device } from "../../kernel/arch/s390/channel_devices.ts";
import { configure_channel_subsystem, hw } from "../../kernel/arch/s390/channel_subsystem.ts";
import { dasd_3390 } from "../../kernel/arch/s390/dasd_3390.ts";
import { prng, random_schedule } from "../../kernel/explore/random.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
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
  remove,
  SCH_NO,
  unbind,
  VFIO_DEVICE_RESET,
} from "./ccw.ts";
import "../../drivers/s390/cio/css.ts";
import "../../drivers/s390/cio/vfio_ccw_drv.ts";
import "../../drivers/vfio/mdev/mdev_core.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/vfio_main.ts";

export const KINDS = ["interrupts", "channel reports", "unplug", "reset"] as const;
export type Kind = (typeof KINDS)[number];

/** What C itself does wrong in such weather. */
interface Known {
  readonly report: RegExp;
  /** A function that the report's text names. */
  readonly where: RegExp;
  readonly why: string;
  readonly kinds: readonly Kind[];
  /** Memory is not sound after it, so that what comes later in the run says nothing. */
  readonly last?: boolean;
}
const KNOWN: readonly Known[] = [
  {
    report: /^BUG: sleeping function called from invalid context/,
    where: / fsm_notoper\b/,
    why: "fsm_notoper() unpins the program's pages with sch->lock held, which vfio_ccw_sch_event() has taken",
    kinds: ["unplug"],
  },
  {
    report: /^\[ BUG: Invalid wait context \]/,
    where: / fsm_notoper\b/,
    why: "the same, as the lock validator says it",
    kinds: ["unplug"],
  },
  {
    report: /^BUG: scheduling while atomic/,
    where: / fsm_notoper\b/,
    why: "the same, when it has to wait for a mutex",
    kinds: ["unplug"],
    last: true,
  },
  {
    report: /^ODEBUG: free active .* hint: vfio_ccw_(crw|sch_io)_todo/,
    where: / vfio_ccw_free_private\b/,
    why: "the private struct is freed with work queued: nobody flushes it",
    kinds: KINDS,
    last: true,
  },
  {
    report: /^BUG: KASAN: use-after-free/,
    where: / (vfio_ccw_crw_todo|vfio_ccw_sch_io_todo|process_one_work) /,
    why: "that work runs",
    kinds: KINDS,
    last: true,
  },
  {
    report: /^WARNING: vfio_remove_dma/,
    where: / vfio_group_fops_release\b/,
    why: "close_device finds a program that the worker has begun to free, and does not wait for it: its pages are still pinned when the group goes, and the worker unpins them in a container that is gone",
    kinds: KINDS,
    last: true,
  },
  {
    report: /^(BUG: |WARNING: |ODEBUG: |list_)/,
    where: / (fsm_io_request|cp_free|cp_prefetch|cp_init) /,
    why: "VFIO_DEVICE_RESET and an unplug do without io_mutex: fsm_close() or fsm_notoper() frees the program that a write() is translating",
    kinds: ["reset", "unplug"],
    last: true,
  },
];

/** Where the guest has its program. */
const PROGRAM_IOVA = 0x10000n;
const HALT = 1;
const CLEAR = 2;

/** What a storm reads and writes, shared by its processes. */
class Storm {
  readonly kind: Kind;
  readonly numbers: prng;
  up = false;
  over = false;
  /** What happened, for who wants to know whether anything did. */
  readonly seen: Record<string, number> = {};
  constructor(kind: Kind, seed: number) {
    this.kind = kind;
    this.numbers = new prng(seed ^ 0x5702);
  }
  device(): channel_device {
    const { numbers } = this;
    if (numbers.chance(0.4)) return new dasd_3390();
    return new held_device({
      becomes: numbers.chance(0.5) ? "active" : "start-pending",
      answers_halt: numbers.chance(0.7),
    });
  }

  *guest(u: user_process): Sleeps {
    const { numbers } = this;
    yield* loadModules(u);
    yield* bind(u);
    yield* create(u);
    const opened = yield* open(u);
    const efd = yield* eventfdFor(u, opened.device, IO_IRQ);
    yield* eventfdFor(u, opened.device, CRW_IRQ);
    const pids: number[] = [];
    if (this.kind === "reset") pids.push(yield* u.fork((v) => this.resets(v, opened.device)));
    this.up = true;
    const page = yield* u.alloc(4096);
    yield* mapDma(u, opened.container, page, PROGRAM_IOVA, 4096);
    // BASIC SENSE of up to 32 bytes, so that a page stays pinned while it runs.
    u.poke(page, Uint8Array.of(0x04, 0x20, 0x00, 0x20, 0, 1, 8, 0));
    for (let i = 0; i < 5; i++) {
      this.#count(`start ${yield* this.#start(u, opened.device)}`);
      yield* u.sleep_ms(numbers.below(2));
      if (numbers.chance(0.3)) {
        const command = new Uint8Array(8);
        new DataView(command.buffer).setUint32(0, numbers.chance(0.5) ? HALT : CLEAR);
        yield* u.pwrite_bytes(opened.device, command, 0x400n);
      }
      yield* u.eventfd_read(efd, numbers.below(3));
      yield* u.pread_bytes(opened.device, 124, 0n);
      yield* u.pread_bytes(opened.device, 8, 3n << 10n);
    }
    for (const pid of pids) yield* u.waitpid(pid);
    yield* close(u, opened);
    yield* remove(u);
    yield* unbind(u);
    this.over = true;
  }
  #start(u: user_process, device: number): Sleeps<number> {
    const region = new Uint8Array(124);
    const words = new DataView(region.buffer);
    words.setUint32(4, 0x00c2ff00);
    words.setUint32(8, Number(PROGRAM_IOVA));
    words.setUint32(12, 0x4000);
    return u.pwrite_bytes(device, region, 0n);
  }
  *resets(u: user_process, device: number): Sleeps {
    for (let i = 0; i < 3; i++) {
      yield* u.ioctl(device, VFIO_DEVICE_RESET, 0n);
      yield* u.sleep_ms(this.numbers.below(3));
    }
  }

  /** What goes on at the machine, meanwhile. */
  *operator(u: user_process): Sleeps {
    while (!this.up) yield* u.sleep_ms(1);
    for (let i = 0; i < 12 && !this.over; i++) {
      this.#happen();
      if (this.numbers.chance(0.5)) yield* u.sleep_ms(this.numbers.below(3));
      else yield* u.sleep_ms(0);
    }
    // Nobody waits for ever for a device that nobody serves.
    while (!this.over) {
      if (hw.subchannel(SCH_NO)) hw.cleared(SCH_NO);
      yield* u.sleep_ms(2000);
    }
  }
  #count(what: string): void {
    this.seen[what] = (this.seen[what] ?? 0) + 1;
  }
  #happen(): void {
    const { numbers } = this;
    const sch = hw.subchannel(SCH_NO);
    this.#count(sch ? `happened with actl ${sch.schib.scsw.cmd.actl}` : "gone");
    if (this.kind === "channel reports") {
      for (let n = 1 + numbers.below(4); n > 0; n--) hw.chp_event(0, numbers.chance(0.5) ? "offline" : "online");
    }
    if (!sch) return;
    if (this.kind === "interrupts") {
      if (numbers.chance(0.3)) hw.spurious(SCH_NO);
      else hw.raise_unsolicited(SCH_NO);
    }
    if (this.kind === "unplug" && numbers.chance(0.2)) {
      hw.unplug(SCH_NO);
      return;
    }
    // ACTL: the subchannel or the device is active.
    if (sch.schib.scsw.cmd.actl & 0x26 && numbers.chance(0.6)) hw.complete(SCH_NO);
  }
}

/** Runs one storm. @throws AssertionError for a report that is not known, or an end that is none */
export function storm(
  kind: Kind,
  seed: number,
): { readonly reports: readonly string[]; readonly seen: Readonly<Record<string, number>> } {
  const s = new Storm(kind, seed);
  configure_channel_subsystem([{ sch_no: SCH_NO, devno: 0x1001, device: () => s.device() }]);
  try {
    boot({ schedule: random_schedule(seed), max_steps: 400_000 });
  } finally {
    configure_channel_subsystem();
  }
  run_user("guest", (u) => s.guest(u));
  run_user("operator", (u) => s.operator(u));
  const outcome = run();
  const reports = found();
  for (const { title, text } of reports) {
    const known = KNOWN.find((k) => k.report.test(title) && k.where.test(`${text}\n`) && k.kinds.includes(kind));
    assert.ok(known, `${kind}, seed ${seed}: a report that is not known: ${title}\n${text}`);
    if (known.last) break;
  }
  if (reports.length === 0) assert.equal(outcome, "done", `${kind}, seed ${seed}`);
  return { reports: reports.map((r) => r.title), seen: s.seen };
}

/** Runs `n` storms, with seeds from `first` on. @return how many of them each thing happened in */
export function storms(kind: Kind, first: number, n: number): Record<string, number> {
  const all: Record<string, number> = {};
  for (let seed = first; seed < first + n; seed++) {
    const { reports, seen } = storm(kind, seed);
    for (const what of new Set([...reports, ...Object.keys(seen)])) all[what] = (all[what] ?? 0) + 1;
  }
  return all;
}
