// SPDX-License-Identifier: GPL-2.0-only
/** What user space does with a device of a bus that VFIO has a driver for: the words of the scenarios and the tests. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { type Opened, VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU } from "./ccw.ts";

const EEXIST = 17;
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const VFIO_TYPE1v2_IOMMU = 3;

/** A device, the bus it is on, and the VFIO driver for it. */
export interface BusDevice {
  readonly bus: "platform" | "amba" | "fsl-mc" | "pci";
  readonly name: string;
  readonly driver: string;
  /** What has to be loaded, each after what it needs. */
  readonly modules: readonly string[];
}

const CORE = ["vfio", "vfio_virqfd", "vfio_iommu_type1"];
export const XGMAC: BusDevice = {
  bus: "platform",
  name: "fff50000.ethernet",
  driver: "vfio-platform",
  modules: [...CORE, "vfio_platform_base", "vfio_platform"],
};
/** Nobody can reset it. */
export const DEMO: BusDevice = { ...XGMAC, name: "10000000.demo" };
export const PL330: BusDevice = {
  bus: "amba",
  name: "fff3d000.dma",
  driver: "vfio-amba",
  modules: [...CORE, "vfio_platform_base", "vfio_amba"],
};

/** A function of the PCI bus, like 0000:00:05.0. */
export const pciDevice = (name: string): BusDevice => ({
  bus: "pci",
  name,
  driver: "vfio-pci",
  modules: [...CORE, "vfio_pci_core", "vfio_pci"],
});

export function* loadModules(u: user_process, d: BusDevice): Sleeps<number> {
  for (const name of d.modules) {
    const ret = yield* u.finit_module(name);
    if (ret && ret !== -EEXIST) return ret;
  }
  return 0;
}
export function* unloadModules(u: user_process, d: BusDevice): Sleeps<number> {
  let ret = 0;
  for (const name of [...d.modules].reverse()) ret ||= yield* u.delete_module(name, 0);
  return ret;
}

export const sysDevice = (d: BusDevice): string => `/sys/bus/${d.bus}/devices/${d.name}`;
export function* override(u: user_process, d: BusDevice, driver = d.driver): Sleeps<number> {
  return yield* u.sysfs_write(`${sysDevice(d)}/driver_override`, `${driver}\n`);
}
/** driver_override, then bind: as driverctl does it. @return what bind gave */
export function* bind(u: user_process, d: BusDevice): Sleeps<number> {
  yield* override(u, d);
  return yield* u.sysfs_write(`/sys/bus/${d.bus}/drivers/${d.driver}/bind`, d.name);
}
export function* unbind(u: user_process, d: BusDevice, driver = d.driver): Sleeps<number> {
  return yield* u.sysfs_write(`/sys/bus/${d.bus}/drivers/${driver}/unbind`, d.name);
}
/** Name of the driver that has it, or "". */
export function* driverOf(u: user_process, d: BusDevice): Sleeps<string> {
  const { ret, text } = yield* u.readlink(`${sysDevice(d)}/driver`);
  return ret < 0 ? "" : text.slice(text.lastIndexOf("/") + 1);
}

/** Opens the device through its group and a container of its own. The numbers are fds, or the error that opening ended in. */
export function* open(u: user_process, d: BusDevice): Sleeps<Opened> {
  const link = yield* u.readlink(`${sysDevice(d)}/iommu_group`);
  const opened: Opened = { container: -1, group: -1, device: -1 };
  if (link.ret < 0) return { ...opened, group: link.ret };
  opened.container = yield* u.open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  opened.group = yield* u.open(`/dev/vfio/${link.text.slice(link.text.lastIndexOf("/") + 1)}`, O_RDWR | O_CLOEXEC);
  if (opened.container < 0 || opened.group < 0) return opened;
  const arg = yield* u.alloc(4096);
  u.poke_u32(arg, opened.container);
  yield* u.ioctl(opened.group, VFIO_GROUP_SET_CONTAINER, arg);
  yield* u.ioctl(opened.container, VFIO_SET_IOMMU, BigInt(VFIO_TYPE1v2_IOMMU));
  u.poke(arg, new TextEncoder().encode(d.name + "\0"));
  opened.device = yield* u.ioctl(opened.group, VFIO_GROUP_GET_DEVICE_FD, arg);
  return opened;
}

export const DPRC: BusDevice = {
  bus: "fsl-mc",
  name: "dprc.2",
  driver: "vfio-fsl-mc",
  modules: [...CORE, "vfio_fsl_mc"],
};
/** An object in it. */
export const DPIO: BusDevice = { ...DPRC, name: "dpio.8" };
