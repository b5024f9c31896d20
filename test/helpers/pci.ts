// SPDX-License-Identifier: GPL-2.0-only
/** PCI devices and what user space does with them: the words that the tests and the scenarios about vfio-pci share. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import type { Opened } from "./ccw.ts";
import {
  type BusDevice,
  loadModules,
  open,
  override,
  pciDevice,
  sysDevice,
  unbind,
  unloadModules,
} from "./vfio-bus.ts";

/** An edu device alone in its group; behind a bridge three in one group; a network card, alone behind its port. */
export const MACHINE = {
  arch: "x86_64",
  pci: [
    { slot: 0, device: "host-bridge" },
    { slot: 5, device: "edu" },
    { slot: 7, device: "pcie-root-port", behind: [{ slot: 0, device: "e1000e" }] },
    {
      slot: 8,
      device: "pcie-root-port",
      behind: [
        {
          slot: 0,
          device: "pcie-pci-bridge",
          behind: [
            { slot: 1, device: "edu" },
            { slot: 2, device: "pci-testdev" },
            { slot: 3, device: "e1000" },
          ],
        },
      ],
    },
  ],
} as const;

export const EDU = pciDevice("0000:00:05.0");
export const NIC = pciDevice("0000:01:00.0");
/** The three that share a bus, and so a group and a reset. */
export const BUS3: readonly BusDevice[] = ["1", "2", "3"].map((n) => pciDevice(`0000:03:0${n}.0`));
/** Address of a device for who is at the machine. */
export const place = (d: BusDevice): string => d.name.slice("0000:".length);

/** driver_override, then a probe, as the recorded machine was told. @return what the probe gave */
export function* give(u: user_process, d: BusDevice, driver = d.driver): Sleeps<number> {
  yield* override(u, d, driver);
  return yield* u.sysfs_write("/sys/bus/pci/drivers_probe", d.name);
}
/** The opposite: without a driver, and without the override. */
export function* takeBack(u: user_process, d: BusDevice): Sleeps<number> {
  const ret = yield* unbind(u, d);
  yield* override(u, d, "");
  return ret;
}
/** Takes the device away from the kernel, as before it is pulled. It waits for whoever has it open. */
export function* removeDevice(u: user_process, d: BusDevice): Sleeps<number> {
  return yield* u.sysfs_write(`${sysDevice(d)}/remove`, "1");
}
export function* rescan(u: user_process): Sleeps<number> {
  return yield* u.sysfs_write("/sys/bus/pci/rescan", "1");
}

/** The modules are loaded and @devices given to vfio-pci; afterwards all is taken apart that is still there. */
export function* withBound(u: user_process, devices: readonly BusDevice[], body: () => Sleeps): Sleeps {
  yield* loadModules(u, EDU);
  for (const d of devices) yield* give(u, d);
  yield* body();
  for (const d of devices) if (yield* u.exists(sysDevice(d))) yield* takeBack(u, d);
  yield* unloadModules(u, EDU);
}

const VFIO = 0x3b64;
const GET_DEVICE_FD = VFIO + 6;
export const GET_INFO = VFIO + 7;
export const GET_REGION_INFO = VFIO + 8;
export const GET_IRQ_INFO = VFIO + 9;
export const SET_IRQS = VFIO + 10;
export const RESET = VFIO + 11;
const GET_PCI_HOT_RESET_INFO = VFIO + 12;
const PCI_HOT_RESET = VFIO + 13;
export const DEVICE_FEATURE = VFIO + 17;

/** One more device of a group that is open. @return an fd, or -errno */
export function* deviceOf(u: user_process, group: number, name: string): Sleeps<number> {
  const arg = yield* u.alloc(4096);
  u.poke(arg, new TextEncoder().encode(name + "\0"));
  return yield* u.ioctl(group, GET_DEVICE_FD, arg);
}

/** An ioctl whose argument is words, the first of them its size. @return words: what is there afterwards */
export function* words(
  u: user_process,
  fd: number,
  cmd: number,
  given: readonly number[],
): Sleeps<{ ret: number; words: number[] }> {
  const arg = yield* u.alloc(4096);
  for (let i = 0; i < 32; i++) u.poke_u32(arg + BigInt(4 * i), given[i] ?? 0);
  const ret = yield* u.ioctl(fd, cmd, arg);
  return { ret, words: given.map((_, i) => u.peek_u32(arg + BigInt(4 * i))) };
}

export interface HotResetInfo {
  readonly ret: number;
  readonly count: number;
  /** Like "4 03:01.0": group and address. */
  readonly devices: readonly string[];
}
/** @room: for how many devices the buffer is */
export function* hotResetInfo(u: user_process, device: number, room = 8): Sleeps<HotResetInfo> {
  const size = 12 + 8 * room;
  const { ret, words: w } = yield* words(u, device, GET_PCI_HOT_RESET_INFO, [
    size,
    ...new Array<number>(2 + 2 * room).fill(0),
  ]);
  const count = w[2] ?? 0;
  const devices = [];
  for (let i = 0; ret === 0 && i < count; i++) {
    const where = w[4 + 2 * i] ?? 0;
    const [bus, devfn] = [(where >>> 16) & 0xff, where >>> 24];
    const hex = (n: number): string => n.toString(16).padStart(2, "0");
    devices.push(`${w[3 + 2 * i] ?? 0} ${hex(bus)}:${hex(devfn >> 3)}.${devfn & 7}`);
  }
  return { ret, count, devices };
}
export function* hotReset(u: user_process, device: number, groups: readonly number[], flags = 0): Sleeps<number> {
  const { ret } = yield* words(u, device, PCI_HOT_RESET, [12 + 4 * groups.length, flags, groups.length, ...groups]);
  return ret;
}

export function* closeAll(u: user_process, opened: Opened): Sleeps {
  for (const fd of [opened.device, opened.group, opened.container]) if (fd >= 0) yield* u.close(fd);
}
/** Opens, does something and closes. */
export function* opening(u: user_process, d: BusDevice, body: (opened: Opened) => Sleeps): Sleeps {
  const opened = yield* open(u, d);
  yield* body(opened);
  yield* closeAll(u, opened);
}
