// SPDX-License-Identifier: GPL-2.0-only
/** What user space does with a subchannel, an mdev and a vfio device: the words that the scenarios are written in. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";

export const SCH = "0.0.0001";
export const SCH_NO = 1;
export const UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
export const OTHER_UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002";

const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const VFIO = 0x3b64;
export const VFIO_SET_IOMMU = VFIO + 2;
export const VFIO_GROUP_SET_CONTAINER = VFIO + 4;
export const VFIO_GROUP_GET_DEVICE_FD = VFIO + 6;
export const VFIO_DEVICE_SET_IRQS = VFIO + 10;
export const VFIO_DEVICE_RESET = VFIO + 11;
const VFIO_TYPE1v2_IOMMU = 3;
const SET_DATA_EVENTFD_TRIGGER = 4 | 0x20;

export const IO_IRQ = 0;
export const CRW_IRQ = 1;
export const REQ_IRQ = 2;

/** A device opened through its group and a container of its own. The numbers are fds, or the error that opening ended in. */
export interface Opened {
  container: number;
  group: number;
  device: number;
}

export function* unbindFrom(u: user_process, driver: string, sch = SCH): Sleeps<number> {
  return yield* u.sysfs_write(`/sys/bus/css/drivers/${driver}/unbind`, sch);
}

/** Takes the subchannel from the default driver and gives it to vfio_ccw, as driverctl does it. */
export function* bind(u: user_process, sch = SCH): Sleeps<number> {
  yield* unbindFrom(u, "io_subchannel", sch);
  return yield* u.sysfs_write("/sys/bus/css/drivers/vfio_ccw/bind", sch);
}

export function* unbind(u: user_process, sch = SCH): Sleeps<number> {
  return yield* unbindFrom(u, "vfio_ccw", sch);
}

export function* create(u: user_process, uuid = UUID, sch = SCH): Sleeps<number> {
  return yield* u.sysfs_write(`/sys/bus/css/devices/${sch}/mdev_supported_types/vfio_ccw-io/create`, uuid);
}

export function* remove(u: user_process, uuid = UUID): Sleeps<number> {
  return yield* u.sysfs_write(`/sys/bus/mdev/devices/${uuid}/remove`, "1");
}

/** @before: what is to be done with the group before the device is opened */
export function* open(
  u: user_process,
  uuid = UUID,
  before: ((group: number) => Sleeps<unknown>) | null = null,
): Sleeps<Opened> {
  const link = yield* u.readlink(`/sys/bus/mdev/devices/${uuid}/iommu_group`);
  const opened: Opened = { container: -1, group: -1, device: -1 };
  if (link.ret < 0) return { ...opened, group: link.ret };
  opened.container = yield* u.open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  opened.group = yield* u.open(`/dev/vfio/${link.text.slice(link.text.lastIndexOf("/") + 1)}`, O_RDWR | O_CLOEXEC);
  if (opened.container < 0 || opened.group < 0) return opened;
  const arg = yield* u.alloc(4096);
  u.poke_u32(arg, opened.container);
  yield* u.ioctl(opened.group, VFIO_GROUP_SET_CONTAINER, arg);
  yield* u.ioctl(opened.container, VFIO_SET_IOMMU, BigInt(VFIO_TYPE1v2_IOMMU));
  if (before) yield* before(opened.group);
  u.poke(arg, new TextEncoder().encode(uuid + "\0"));
  opened.device = yield* u.ioctl(opened.group, VFIO_GROUP_GET_DEVICE_FD, arg);
  return opened;
}

/** Device first, as user space that ends in good order does it. */
export function* close(u: user_process, opened: Opened): Sleeps {
  for (const fd of [opened.device, opened.group, opened.container]) if (fd >= 0) yield* u.close(fd);
}

/** An eventfd that the driver signals for the interrupt `index`. @return the eventfd */
export function* eventfdFor(u: user_process, device: number, index: number): Sleeps<number> {
  const efd = yield* u.eventfd(0, EFD_NONBLOCK);
  const arg = yield* u.alloc(4096);
  for (const [i, word] of [24, SET_DATA_EVENTFD_TRIGGER, index, 0, 1, efd].entries())
    u.poke_u32(arg + BigInt(4 * i), word);
  yield* u.ioctl(device, VFIO_DEVICE_SET_IRQS, arg);
  return efd;
}

/** The four modules of the stack, in the order in which they need each other. */
export function* loadModules(u: user_process): Sleeps {
  for (const module of ["vfio", "vfio_iommu_type1", "mdev", "vfio_ccw"]) yield* u.finit_module(module);
}

export function* unloadModules(u: user_process): Sleeps {
  for (const module of ["vfio_ccw", "mdev", "vfio_iommu_type1", "vfio"]) yield* u.delete_module(module, 0);
}

/** Where the channel program lies for the guest. */
const PROGRAM_IOVA = 0x10000n;

/** Maps a page, puts a NOP there and writes it to the I/O region. @return what write() returned */
export function* startNop(u: user_process, opened: Opened): Sleeps<number> {
  const page = yield* u.alloc(4096);
  yield* mapDma(u, opened.container, page, PROGRAM_IOVA, 4096);
  u.poke(page, Uint8Array.of(0x03, 0x20, 0x00, 0x01, 0, 0, 0, 0));
  const region = new Uint8Array(124);
  const words = new DataView(region.buffer);
  words.setUint32(4, 0x00c0ff00);
  words.setUint32(8, Number(PROGRAM_IOVA));
  words.setUint32(12, 0x4000);
  return yield* u.pwrite_bytes(opened.device, region, 0n);
}

const VFIO_IOMMU_MAP_DMA = VFIO + 13;
export const VFIO_IOMMU_UNMAP_DMA = VFIO + 14;

export function* mapDma(u: user_process, container: number, vaddr: bigint, iova: bigint, size: number): Sleeps<number> {
  const arg = yield* u.alloc(4096);
  u.poke_u32(arg, 32);
  u.poke_u32(arg + 4n, 3);
  u.poke_u64(arg + 8n, vaddr);
  u.poke_u64(arg + 16n, iova);
  u.poke_u64(arg + 24n, BigInt(size));
  return yield* u.ioctl(container, VFIO_IOMMU_MAP_DMA, arg);
}

export function* unmapDma(u: user_process, container: number, iova: bigint, size: number): Sleeps<number> {
  const arg = yield* u.alloc(4096);
  u.poke_u32(arg, 24);
  u.poke_u64(arg + 8n, iova);
  u.poke_u64(arg + 16n, BigInt(size));
  return yield* u.ioctl(container, VFIO_IOMMU_UNMAP_DMA, arg);
}
