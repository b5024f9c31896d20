// SPDX-License-Identifier: GPL-2.0-only
/** Powers on the machine that a `boot` record describes. */
import { InputError } from "../errors.ts";
import type { Kernel } from "../states/load.ts";
import type { Args } from "./args.ts";
import type { Preemption } from "./preemption.ts";

/** Numbers of virtio devices, which are the models of their control units. */
const VIRTIO_IDS: Readonly<Record<string, number>> = { "virtio-serial-ccw": 3, "virtio-rng-ccw": 4 };

function part(text: unknown, what: string): { ssid: number; no: number } {
  const found = /^0\.([0-3])\.([0-9a-f]{4})$/.exec(String(text));
  if (!found) throw new InputError(`${JSON.stringify(text)} is no ${what} in the boot record`);
  return { ssid: Number(found[1]), no: Number.parseInt(found[2] ?? "", 16) };
}

/** @args: of the record; @schedule: who runs @throws InputError if it asks for what cannot be built */
export function powerOn(kernel: Kernel, args: Args, schedule: Preemption): void {
  const subchannels = args.list("subchannels").map((entry) => {
    const { sch, devno, device } = entry as Record<string, unknown>;
    const model = VIRTIO_IDS[String(device)];
    if (model === undefined) throw new InputError(`the boot record has a ${String(device)}, which is not known here`);
    const at = part(sch, "subchannel");
    return {
      sch_no: at.no,
      ssid: at.ssid,
      devno: part(devno, "device number").no,
      device: () => new kernel.simple_device({ cu_model: model }),
    };
  });
  const { cpus = 1 } = Object.fromEntries(args.entries("machine")) as { cpus?: number };
  kernel.configure_channel_subsystem(subchannels);
  const end = kernel.boot({ arch: "s390x", cpus, schedule, bug_on_data_corruption: true });
  if (end !== "done") throw new InputError(`the machine of the boot record does not come up: ${end}`);
}
