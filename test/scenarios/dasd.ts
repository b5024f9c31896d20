// SPDX-License-Identifier: GPL-2.0-only
/** A disk is read through vfio-ccw, from the plug to the data: what a guest's driver does, step by step and in words. */
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
  mapDma,
  open,
  type Opened,
  remove,
  unbind,
  unloadModules,
  VFIO_DEVICE_SET_IRQS,
} from "../helpers/ccw.ts";

const DASD = "0.0.0007";
const DASD_NO = 7;
const DEVNO = 0x3390;
const DASD_UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa3390";

/** Where the guest has its program, the parameters of it, and its buffer. */
const PROGRAM = 0x20000;
const EXTENT = 0x20800;
const LOCATE = 0x20810;
const BUFFER = 0x22000;
const GUEST = 0x20000n;
const GUEST_BYTES = 0x6000;

const CYLINDER = 2;
const HEAD = 5;
const RECORD = 3;
const BLOCK = 4096;

const CC = 0x40;
const DC = 0x80;
const END = 0;

function words16(...words: number[]): number[] {
  return words.flatMap((w) => [w >> 8, w & 0xff]);
}
/** A CCW of format 1. */
function ccw(command: number, flags: number, count: number, address: number): number[] {
  return [command, flags, ...words16(count, address >>> 16, address & 0xffff)];
}
const TRACK = words16(CYLINDER, HEAD);
const DEFINE_EXTENT = [0x40, 0, ...words16(BLOCK), 0, 0, 0, 0, ...TRACK, ...TRACK];
/** Of `count` records, `record` is the first. */
function locateRecord(record: number, count: number): number[] {
  return [0x06, 0, 0, count, ...TRACK, ...TRACK, record, 0xff, ...words16(BLOCK)];
}
/** The data come in two halves that lie apart: data chaining. */
const READ = [
  ...ccw(0x63, CC, 16, EXTENT),
  ...ccw(0x47, CC, 16, LOCATE),
  ...ccw(0x06, DC, BLOCK / 2, BUFFER),
  ...ccw(0x06, END, BLOCK / 2, BUFFER + 0x2000),
];

const DEVICE_STATUS: readonly (readonly [bit: number, name: string])[] = [
  [0x80, "attention"],
  [0x40, "status modifier"],
  [0x20, "control unit end"],
  [0x10, "busy"],
  [0x08, "channel end"],
  [0x04, "device end"],
  [0x02, "unit check"],
  [0x01, "unit exception"],
];
const SUBCHANNEL_STATUS: readonly (readonly [bit: number, name: string])[] = [
  [0x40, "incorrect length"],
  [0x20, "program check"],
];
const UNIT_CHECK = 0x02;
/** In the interruption-response block. */
const SENSE = 32;
const SENSE_DATA: readonly (readonly [bit: number, name: string])[] = [
  [0x8000, "command reject"],
  [0x0040, "invalid track format"],
  [0x0008, "no record found"],
  [0x0004, "file protected"],
];
const TRIGGER_BY_EVENTFD = 0x24;
function inWords(status: number, names: readonly (readonly [number, string])[]): string {
  return (
    names
      .filter(([bit]) => status & bit)
      .map(([, name]) => name)
      .join(", ") || "none"
  );
}

/** A guest's memory, and the device that it opened. */
class Guest {
  readonly u: user_process;
  readonly lab: Lab;
  opened: Opened = { container: -1, group: -1, device: -1 };
  #memory = 0n;
  #eventfd = -1;
  constructor(u: user_process, lab: Lab) {
    this.u = u;
    this.lab = lab;
  }
  *start(): Sleeps {
    this.opened = yield* open(this.u, DASD_UUID);
    this.lab.record("open the device through its group", this.opened.device >= 0 ? "a file descriptor" : this.opened);
    this.#eventfd = yield* eventfdFor(this.u, this.opened.device, IO_IRQ);
    this.#memory = yield* this.u.alloc(GUEST_BYTES);
    const ret = yield* mapDma(this.u, this.opened.container, this.#memory, GUEST, GUEST_BYTES);
    this.lab.record(`map ${GUEST_BYTES} bytes of memory at 0x${GUEST.toString(16)}`, ret);
  }
  put(at: number, bytes: readonly number[]): void {
    this.u.poke(this.#memory + BigInt(at) - GUEST, Uint8Array.from(bytes));
  }
  get(at: number, n: number): Uint8Array {
    return this.u.peek(this.#memory + BigInt(at) - GUEST, n);
  }
  /** SSCH as a virtual machine passes it on; what the status says is recorded in words. */
  *run(what: string, program: readonly number[]): Sleeps {
    this.put(PROGRAM, program);
    const region = new Uint8Array(124);
    const v = new DataView(region.buffer);
    v.setUint32(0, 0x3390cafe);
    v.setUint32(4, 0x00c2ff00);
    v.setUint32(8, PROGRAM);
    v.setUint32(12, 0x00004000);
    this.lab.record(
      `${what}: bytes of the I/O region written`,
      yield* this.u.pwrite_bytes(this.opened.device, region, 0n),
    );
    const events = yield* this.u.eventfd_read(this.#eventfd, 1000);
    this.lab.record(`${what}: interrupts that the eventfd told of`, Number(events));
    const { ret, bytes } = yield* this.u.pread_bytes(this.opened.device, 124, 0n);
    if (ret < 124) {
      this.lab.record(`${what}: no status can be read`, ret);
      return;
    }
    const irb = new DataView(bytes.slice(24, 120).buffer);
    this.lab.record(`${what}: device status`, inWords(irb.getUint8(8), DEVICE_STATUS));
    this.lab.record(`${what}: subchannel status`, inWords(irb.getUint8(9), SUBCHANNEL_STATUS));
    this.lab.record(`${what}: CCWs done`, (irb.getUint32(4) - PROGRAM) / 8);
    this.lab.record(`${what}: bytes not moved by the last one`, irb.getUint16(10));
    if (!(irb.getUint8(8) & UNIT_CHECK)) return;
    // The channel has fetched them: concurrent sense.
    this.lab.record(`${what}: sense data that came with the status`, inWords(irb.getUint16(SENSE), SENSE_DATA));
    this.lab.record(`${what}: where the arm is`, [irb.getUint16(SENSE + 29), irb.getUint8(SENSE + 31)]);
  }
  /** As a virtual machine does before it closes: the driver itself keeps the eventfd for ever. */
  *stop(): Sleeps {
    const arg = yield* this.u.alloc(4096);
    for (const [i, word] of [24, TRIGGER_BY_EVENTFD, IO_IRQ, 0, 1, 0xffffffff].entries())
      this.u.poke_u32(arg + BigInt(4 * i), word);
    this.lab.record("no more interrupts", yield* this.u.ioctl(this.opened.device, VFIO_DEVICE_SET_IRQS, arg));
    yield* close(this.u, this.opened);
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The text of a trace record, which the debug log shows as level and bytes. */
function traced(line: string): string {
  const bytes = line.slice(2).replaceAll(" ", "");
  return (bytes.match(/../g) ?? [])
    .map((byte) => Number.parseInt(byte, 16))
    .map((code) => (code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : ""))
    .join("");
}

function* readDisk(u: user_process, lab: Lab): Sleeps {
  yield* loadModules(u);
  for (const log of ["vfio_ccw_msg", "vfio_ccw_trace"]) lab.debug_set_level(lab.debug_find(log), 6);

  const disk = new lab.dasd_3390({ seed: 1956 });
  lab.hw.attach({ sch_no: DASD_NO, devno: DEVNO, device: disk });
  yield* u.sleep_ms(100);
  lab.record("a disk is plugged in: its subchannel is there", yield* u.exists(`/sys/bus/css/devices/${DASD}`));

  lab.record("give the subchannel to vfio_ccw: bytes written", yield* bind(u, DASD));
  lab.record("create the mdev: bytes written", yield* create(u, DASD_UUID, DASD));
  const guest = new Guest(u, lab);
  yield* guest.start();

  guest.put(EXTENT, DEFINE_EXTENT);
  guest.put(LOCATE, locateRecord(RECORD, 1));
  yield* guest.run(`read record ${RECORD}`, READ);
  const { data } = disk.disk.record(CYLINDER, HEAD, RECORD);
  lab.record("the first half is the disk's", equal(guest.get(BUFFER, BLOCK / 2), data.slice(0, BLOCK / 2)));
  lab.record("the second half is the disk's", equal(guest.get(BUFFER + 0x2000, BLOCK / 2), data.slice(BLOCK / 2)));

  guest.put(LOCATE, locateRecord(99, 1));
  yield* guest.run("read record 99", READ);

  yield* guest.stop();
  lab.record("remove the mdev: bytes written", yield* remove(u, DASD_UUID));
  lab.record("take the subchannel back: bytes written", yield* unbind(u, DASD));
  const debug = lab.debug_view("vfio_ccw_msg").map((line) => line.slice(2));
  lab.record("what the driver noted in its debug log", debug);
  lab.record("what it traced", lab.debug_view("vfio_ccw_trace").map(traced));
  yield* unloadModules(u);
}

export const scenario: Scenario = {
  id: "dasd-read",
  summary: "a disk is plugged in, given to a guest, and read",
  machine: {},
  processes: ["init"],
  run: (lab) => lab.run_user("init", (u) => readDisk(u, lab)),
};
