// SPDX-License-Identifier: GPL-2.0-only
/** Channel programs run on the port: one machine for many of them, and what became of each. */
import { boot, found, run } from "../../kernel/arch/machine.ts";
import type { channel_device, start_result } from "../../kernel/arch/s390/channel_devices.ts";
import { configure_channel_subsystem } from "../../kernel/arch/s390/channel_subsystem.ts";
import { type control_unit, run_channel_program } from "../../kernel/arch/s390/ckd_channel.ts";
import type { hw_orb } from "../../kernel/arch/s390/hw_schib.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { bind, create, eventfdFor, IO_IRQ, loadModules, mapDma, open, type Opened } from "./ccw.ts";
import type { End } from "./cp-model.ts";
import { BASE, newDevice, type Program, SIZE } from "./cp-programs.ts";
import "../../drivers/s390/cio/css.ts";
import "../../drivers/s390/cio/vfio_ccw_drv.ts";
import "../../drivers/vfio/mdev/mdev_core.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/vfio_main.ts";

/** A device whose control unit is another one for each program. */
class Socket implements channel_device {
  // eslint-disable-next-line @typescript-eslint/naming-convention -- the kernel's name
  readonly sense_data = new Uint8Array(32);
  unit: control_unit | null = null;
  start(orb: hw_orb): start_result {
    if (!this.unit) throw new Error("no device is plugged in");
    return run_channel_program(orb, this.unit);
  }
  halt(): boolean {
    return true;
  }
  clear(): boolean {
    return true;
  }
  disabled(): void {}
}

export interface Ran {
  readonly end: End;
  readonly memory: Uint8Array;
  /** The device, as newDevice() tells about it. */
  readonly state: unknown;
  /** New since the program before. */
  readonly reports: readonly string[];
}

const CLEAR = 2;

/** A machine with a device that is open and memory that is mapped. */
export class Machine {
  #socket = new Socket();
  #job: Program | null = null;
  #ran: Ran | null = null;
  #ready = false;
  #reports = 0;
  constructor() {
    configure_channel_subsystem([{ sch_no: 1, devno: 0x1001, device: () => this.#socket }]);
    boot({ max_seconds: 1e6 });
    configure_channel_subsystem();
    const serve = (u: user_process): Sleeps => this.#serve(u);
    run_user("guest", serve);
    run(() => this.#ready);
  }

  *#serve(u: user_process): Sleeps {
    yield* loadModules(u);
    yield* bind(u);
    yield* create(u);
    const opened = yield* open(u);
    const efd = yield* eventfdFor(u, opened.device, IO_IRQ);
    const memory = yield* u.alloc(SIZE);
    yield* mapDma(u, opened.container, memory, BigInt(BASE), SIZE);
    const region = yield* u.alloc(4096);
    this.#ready = true;
    for (;;) {
      const job = this.#job;
      this.#job = null;
      if (job) this.#ran = yield* this.#run(u, job, { opened, efd, memory, region });
      else yield* u.sleep_ms(1);
    }
  }

  *#run(
    u: user_process,
    { device, orb, image }: Program,
    at: { opened: Opened; efd: number; memory: bigint; region: bigint },
  ): Sleeps<Ran> {
    const { unit, state } = newDevice(device);
    this.#socket.unit = unit;
    u.poke(at.memory, image);
    const bytes = new Uint8Array(124);
    const v = new DataView(bytes.buffer);
    v.setUint8(5, (orb.fmt ? 0x80 : 0) | 0x40 | (orb.c64 ? 2 : 0) | (orb.i2k ? 1 : 0));
    v.setUint8(6, 0xff);
    v.setUint8(7, orb.ils ? 0x80 : 0);
    v.setUint32(8, orb.cpa);
    v.setUint32(12, 0x4000);
    u.poke(at.region, bytes);
    const ret = yield* u.pwrite(at.opened.device, at.region, 124, 0n);
    let end: End;
    if (ret < 0) end = { errno: ret };
    else if ((yield* u.eventfd_read(at.efd, 50)) === 1n) end = yield* this.#status(u, at);
    else {
      end = "running";
      u.poke_u32(at.region, CLEAR);
      yield* u.pwrite(at.opened.device, at.region, 8, 0x400n);
      yield* u.eventfd_read(at.efd, 50);
    }
    const reports = found().slice(this.#reports);
    this.#reports = found().length;
    return { end, memory: u.peek(at.memory, SIZE), state: state(), reports: reports.map((r) => r.title) };
  }
  *#status(u: user_process, at: { opened: Opened; region: bigint }): Sleeps<End> {
    yield* u.pread(at.opened.device, at.region, 124, 0n);
    const scsw = new DataView(u.peek(at.region + 24n, 12).slice().buffer);
    return { dstat: scsw.getUint8(8), cstat: scsw.getUint8(9), cpa: scsw.getUint32(4), count: scsw.getUint16(10) };
  }

  /** Runs one program to its end, or until it turns out that it has none. */
  perform(program: Program): Ran {
    this.#ran = null;
    this.#job = program;
    const outcome = run(() => this.#ran !== null);
    if (!this.#ran) throw new Error(`the machine stopped: ${outcome}: ${found().at(-1)?.text ?? ""}`);
    return this.#ran;
  }
}
