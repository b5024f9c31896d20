// SPDX-License-Identifier: GPL-2.0-only
/** Devices that can be attached to a subchannel: one that ends every program at once, and one that a test makes wait. */
import { DEV_STAT_CHN_END, DEV_STAT_DEV_END, DEV_STAT_UNIT_CHECK, SNS0_CMD_REJECT } from "#asm/scsw.ts";
import {
  type ccw_ending,
  type command_set,
  type data_stream,
  type program,
  run_program,
  SENSE_BYTES,
} from "./ccw_interpreter.ts";
import type { hw_orb } from "./hw_schib.ts";

/** How a channel program ends. */
export type program_end = "end" | "program-check" | "reject";

/** How a start function ended, or that it has not. */
export type start_result =
  | { readonly ended: program_end; readonly cpa: number; readonly residual: number }
  /** With just this device and subchannel status. */
  | {
      readonly ended: "status";
      readonly dstat: number;
      readonly cstat: number;
      readonly cpa: number;
      readonly residual: number;
    }
  | { readonly ended: "suspended" }
  /** Not ended: "start-pending" can still be cancelled, "active" only halted or cleared. */
  | { readonly ended: "start-pending" | "active" };

/** What a subchannel leads to. It answers within the instruction; what comes later, the attached subchannel reports. */
export interface channel_device {
  /** Sense data of the last unit check. */
  readonly sense_data: Uint8Array;
  start(orb: hw_orb): start_result;
  /** HALT and CLEAR SUBCHANNEL: whether the signal was taken at once. If not, status comes later, or never. */
  halt(): boolean;
  clear(): boolean;
  /** The subchannel was disabled. */
  disabled(): void;
}

/** A control unit with a virtio device of the legacy kind; every program ends within its instruction. */
export class simple_device implements channel_device, command_set {
  readonly sense_data = new Uint8Array(SENSE_BYTES);
  readonly sense_id: Uint8Array;
  /** Fixed by the first command after enabling. */
  revision = -1;
  /** Feature bits in revision 0. */
  readonly features: number;

  constructor(id: { cu_type?: number; cu_model?: number; features?: number } = {}) {
    const cu_type = id.cu_type ?? 0x3832;
    this.sense_id = Uint8Array.of(0xff, cu_type >> 8, cu_type & 0xff, id.cu_model ?? 0x04, 0, 0, 0);
    this.features = id.features ?? 0x39000000;
  }

  start(orb: hw_orb): start_result {
    const p: program = { orb, channel_prog: orb.cpa, last: null, no_data: 0, residual: 0 };
    const ended = run_program(p, this);
    if (ended === "suspended") return { ended };
    if (ended === "reject") this.sense_data[0] = SNS0_CMD_REJECT;
    return { ended, cpa: (p.channel_prog + 8) >>> 0, residual: p.residual };
  }

  command(data: data_stream, check_len: boolean, done: (residual: number) => void): ccw_ending {
    const { cmd_code, count } = data.ccw;
    if (cmd_code === 0x83) return this.#set_revision(data, check_len);
    if (this.revision < 0) this.revision = 0;
    switch (cmd_code) {
      case 0x12: // READ_FEAT
        if (check_len ? count !== 5 : count < 5) return "program-check";
        return this.#read_features(data, done);
      case 0x33: // VDEV_RESET
        return "end";
      default:
        return "reject";
    }
  }
  #set_revision(data: data_stream, check_len: boolean): ccw_ending {
    const { count } = data.ccw;
    if (count < 4 || !data.ccw.cda) return "program-check";
    const info = data.read(4);
    if (!info) return "program-check";
    const v = new DataView(info.buffer);
    const wanted = 4 + v.getUint16(2);
    if (count < wanted || (check_len && count > wanted)) return "program-check";
    if (this.revision >= 0 || v.getUint16(0) > 2) return "reject";
    this.revision = v.getUint16(0);
    return "end";
  }
  #read_features(data: data_stream, done: (residual: number) => void): ccw_ending {
    if (!data.ccw.cda) return "program-check";
    const index = data.read(1, 4)?.[0];
    if (index === undefined) return "program-check";
    const bits = new Uint8Array(4);
    new DataView(bits.buffer).setUint32(0, index === 0 ? this.features : 0, true);
    if (!data.write(bits)) return "program-check";
    done(data.ccw.count - 5);
    return "end";
  }

  halt(): boolean {
    return true;
  }
  clear(): boolean {
    return true;
  }
  disabled(): void {
    this.revision = -1;
  }
}

/** A device that does nothing until it is told to: I/O stays pending, and so may halt and clear. */
export class held_device implements channel_device {
  readonly sense_data = new Uint8Array(SENSE_BYTES);
  /** What a start function becomes. */
  readonly becomes: "start-pending" | "active";
  answers_halt: boolean;
  answers_clear: boolean;
  /** Programs started so far, oldest first. */
  readonly started: number[] = [];

  constructor(how: { becomes?: "start-pending" | "active"; answers_halt?: boolean; answers_clear?: boolean } = {}) {
    this.becomes = how.becomes ?? "active";
    this.answers_halt = how.answers_halt ?? true;
    this.answers_clear = how.answers_clear ?? true;
  }
  start(orb: hw_orb): start_result {
    this.started.push(orb.cpa);
    return { ended: this.becomes };
  }
  halt(): boolean {
    return this.answers_halt;
  }
  clear(): boolean {
    return this.answers_clear;
  }
  disabled(): void {}
}

/** Device status of each way a program ends. */
export function device_status(ended: program_end): number {
  switch (ended) {
    case "end":
      return DEV_STAT_CHN_END | DEV_STAT_DEV_END;
    case "reject":
      return DEV_STAT_UNIT_CHECK;
    case "program-check":
      return 0;
  }
}
