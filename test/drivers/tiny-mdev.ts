// SPDX-License-Identifier: GPL-2.0-only
/** A VFIO driver of emulated devices, as small as one can be, and what user space does with its devices. */
import {
  type class_,
  class_create,
  class_destroy,
  type device,
  device_create,
  device_unregister,
} from "#linux/device.ts";
import { O_RDWR, O_CLOEXEC } from "#linux/fcntl.ts";
import { initialise, embed, type Sleeps, struct, u32 } from "#linux/types.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import type { page } from "#linux/mm.ts";
import {
  type mdev_device,
  mdev_driver,
  mdev_parent,
  mdev_register_driver,
  mdev_register_parent,
  mdev_type,
  mdev_unregister_driver,
  mdev_unregister_parent,
} from "#linux/mdev.ts";
import {
  vfio_alloc_device,
  vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_put_device,
  vfio_register_emulated_iommu_dev,
  vfio_unpin_pages,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import * as uapi from "#uapi/linux/vfio.ts";
import { per_boot } from "../../kernel/boot.ts";
import type { user_process } from "../../kernel/fs/process.ts";
import { clock } from "../../kernel/time/clock.ts";

// The modules under test.
import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/virqfd.ts";
import "../../drivers/vfio/mdev/mdev_core.ts";

export const UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
export const OTHER_UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002";

export class tiny_state extends struct("tiny_state", {
  vdev: embed(() => vfio_device),
  opened: u32(),
}) {}

/** What the driver saw, and what it is told to do. */
export const tiny = per_boot(() => ({
  events: [] as string[],
  open_result: 0,
  /** The devices, latest last. */
  states: [] as tiny_state[],
  pinned: [] as { iova: bigint; page: page | null }[],
  class: null as class_ | null,
  parent_dev: null as device | null,
  parent: new mdev_parent(),
  driver: initialise(new mdev_driver(), {
    device_api: uapi.VFIO_DEVICE_API_CCW_STRING,
    max_instances: 2,
    probe: tinyProbe,
    remove: tinyRemove,
    driver: { name: "tiny" },
  }),
  types: [initialise(new mdev_type(), { sysfs_name: "io", pretty_name: "Tiny device" })],
}));

function say(text: string): void {
  tiny.events.push(text);
}

function tinyRelease(vdev: vfio_device): void {
  say("release");
  vfio_free_device(vdev);
}
function tinyOpen(_vdev: vfio_device): number {
  say("open");
  return tiny.open_result;
}
function tinyClose(_vdev: vfio_device): void {
  say("close");
}
function tinyRequest(_vdev: vfio_device, count: number): void {
  say(`request ${count} at ${Math.floor(clock.ns / 1e9)}`);
}
function* tinyUnmap(vdev: vfio_device, iova: bigint, length: bigint): Sleeps {
  say(`unmap ${iova.toString(16)} ${length.toString(16)}`);
  for (const { iova: at } of tiny.pinned.splice(0)) yield* vfio_unpin_pages(vdev, at, 1);
}
const tinyOps: vfio_device_ops = {
  name: "tiny",
  init: () => (say("init"), 0),
  release: tinyRelease,
  open_device: tinyOpen,
  close_device: tinyClose,
  request: tinyRequest,
  dma_unmap: tinyUnmap,
  ioctl: (_vdev, cmd) => (cmd === uapi.VFIO_DEVICE_RESET ? 0 : -25),
};

function* tinyProbe(mdev: mdev_device): Sleeps<number> {
  const state = yield* vfio_alloc_device(tiny_state, "vdev", mdev.dev, tinyOps);
  if (IS_ERR(state)) return PTR_ERR(state);
  const ret = yield* vfio_register_emulated_iommu_dev(state.vdev);
  if (ret) {
    yield* vfio_put_device(state.vdev);
    return ret;
  }
  mdev.dev.driver_data = state;
  tiny.states.push(state);
  return 0;
}
function* tinyRemove(mdev: mdev_device): Sleeps {
  const state = mdev.dev.driver_data as tiny_state;
  yield* vfio_unregister_group_dev(state.vdev);
  yield* vfio_put_device(state.vdev);
}

/** What the driver's module would do at load time: the parent is /sys/devices/virtual/tiny/tiny. */
export function* loadTiny(): Sleeps<number> {
  const ret = yield* mdev_register_driver(tiny.driver);
  if (ret) return ret;
  tiny.class = yield* class_create(null, "tiny");
  tiny.parent_dev = yield* device_create(tiny.class, null, 0, null, "tiny");
  return yield* mdev_register_parent(tiny.parent, tiny.parent_dev, tiny.driver, tiny.types, 1);
}
export function* unloadTiny(): Sleeps<number> {
  yield* mdev_unregister_parent(tiny.parent);
  yield* device_unregister(tiny.parent_dev!);
  yield* class_destroy(tiny.class!);
  yield* mdev_unregister_driver(tiny.driver);
  return 0;
}

/** Loads everything. */
export function* setUp(u: user_process): Sleeps {
  for (const name of ["vfio", "vfio_iommu_type1", "vfio_virqfd", "mdev"]) {
    const ret = yield* u.finit_module(name);
    if (ret) throw new Error(`${name}: ${ret}`);
  }
  const ret = yield* u.syscall(loadTiny);
  if (ret) throw new Error(`tiny: ${ret}`);
}
export function* tearDown(u: user_process): Sleeps {
  yield* u.syscall(unloadTiny);
  for (const name of ["mdev", "vfio_virqfd", "vfio_iommu_type1", "vfio"]) {
    const ret = yield* u.delete_module(name);
    if (ret) throw new Error(`rmmod ${name}: ${ret}`);
  }
}

export const TYPE_DIR = "/sys/devices/virtual/tiny/tiny/mdev_supported_types/tiny-io";

export function create(u: user_process, uuid = UUID): Sleeps<number> {
  return u.sysfs_write(`${TYPE_DIR}/create`, uuid);
}
export function remove(u: user_process, uuid = UUID): Sleeps<number> {
  return u.sysfs_write(`/sys/bus/mdev/devices/${uuid}/remove`, "1");
}

export interface Opened {
  container: number;
  group: number;
  device: number;
}
/** Container, group and device; the first error is in place of what could not be had. */
export function* open(u: user_process, uuid = UUID, iommu = uapi.VFIO_TYPE1v2_IOMMU): Sleeps<Opened> {
  const opened: Opened = { container: -1, group: -1, device: -1 };
  const link = yield* u.readlink(`/sys/bus/mdev/devices/${uuid}/iommu_group`);
  opened.container = yield* u.open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  opened.group = yield* u.open(`/dev/vfio/${link.text.split("/").at(-1)}`, O_RDWR | O_CLOEXEC);
  if (opened.group < 0) return opened;
  const arg = yield* u.alloc(4);
  u.poke_u32(arg, opened.container);
  opened.device = yield* u.ioctl(opened.group, uapi.VFIO_GROUP_SET_CONTAINER, arg);
  if (opened.device) return opened;
  opened.device = yield* u.ioctl(opened.container, uapi.VFIO_SET_IOMMU, BigInt(iommu));
  if (opened.device) return opened;
  opened.device = yield* u.ioctl(opened.group, uapi.VFIO_GROUP_GET_DEVICE_FD, yield* u.string(uuid));
  return opened;
}
export function* close(u: user_process, opened: Opened): Sleeps {
  for (const fd of [opened.device, opened.group, opened.container]) if (fd >= 0) yield* u.close(fd);
}
