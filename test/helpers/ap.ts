// SPDX-License-Identifier: GPL-2.0-only
/** What user space does with AP queues and their mdevs. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { close, open, type Opened, UUID } from "./ccw.ts";
import { addGroup, closeVm, createVm, type Vm } from "./kvm.ts";

/** boot({ ap }): two CEX7 and three domains, of which vfio_ap will get adapters 5 and 6 with domains 4 and 0x2b. */
export const AP_MACHINE = {
  ap: { adapters: [{ id: 5 }, { id: 6 }], domains: [4, 0x2b, 0x47], control_domains: [4, 5] },
};

const MODULES = ["vfio", "vfio_iommu_type1", "mdev", "kvm", "vfio_ap"] as const;

/** @return whether all of them could be loaded; the first one that cannot be is the last one tried */
export function* loadModules(u: user_process): Sleeps<boolean> {
  for (const module of MODULES) if ((yield* u.finit_module(module)) < 0) return false;
  return true;
}
export function* unloadModules(u: user_process): Sleeps {
  for (const module of [...MODULES].reverse()) yield* u.delete_module(module);
}

export function mask(u: user_process, which: "apmask" | "aqmask", text: string): Sleeps<number> {
  return u.sysfs_write(`/sys/bus/ap/${which}`, text);
}
export function rescan(u: user_process): Sleeps<number> {
  return u.sysfs_write("/sys/bus/ap/scans", "1");
}

/** The host's driver first, so that no queue is ever without one; then the two adapters go to vfio_ap. */
export function* setUp(u: user_process): Sleeps {
  yield* u.finit_module("ap_default");
  yield* loadModules(u);
  yield* mask(u, "apmask", "-5,-6");
}
export function* tearDown(u: user_process): Sleeps {
  yield* mask(u, "apmask", "+5,+6");
  yield* unloadModules(u);
  yield* u.delete_module("ap_default");
}

const TYPE = "/sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough";

export function create(u: user_process, uuid = UUID): Sleeps<number> {
  return u.sysfs_write(`${TYPE}/create`, uuid);
}

/** The mdev's files. */
export type MatrixFile =
  | "assign_adapter"
  | "assign_control_domain"
  | "assign_domain"
  | "unassign_adapter"
  | "unassign_control_domain"
  | "unassign_domain";

export function assign(u: user_process, file: MatrixFile, what: number | string, uuid = UUID): Sleeps<number> {
  return u.sysfs_write(`/sys/bus/mdev/devices/${uuid}/${file}`, String(what));
}
export function* show(
  u: user_process,
  file: "control_domains" | "guest_matrix" | "matrix",
  uuid = UUID,
): Sleeps<string> {
  const { ret, text } = yield* u.sysfs_read(`/sys/bus/mdev/devices/${uuid}/${file}`);
  return ret < 0 ? String(ret) : text.trimEnd().replaceAll("\n", " ");
}
/** The file `status` of a queue, and who drives it. */
export function* queueStatus(u: user_process, queue: string): Sleeps<string> {
  const driver = yield* u.readlink(`/sys/bus/ap/devices/${queue}/driver`);
  const { text } = yield* u.sysfs_read(`/sys/bus/ap/devices/${queue}/status`);
  return `${driver.text.split("/").at(-1) ?? ""} ${text}`.trim();
}

export interface Guest {
  readonly vm: Vm;
  readonly opened: Opened;
}
/** Opens the mdev for a virtual machine: the group is the machine's before the device is opened. */
export function* openForGuest(u: user_process, uuid = UUID, vm: Vm | null = null): Sleeps<Guest> {
  const machine = vm ?? (yield* createVm(u));
  const opened = yield* open(u, uuid, (group) => addGroup(u, machine, group));
  return { vm: machine, opened };
}
export function* closeGuest(u: user_process, { vm, opened }: Guest): Sleeps {
  yield* close(u, opened);
  yield* closeVm(u, vm);
}
