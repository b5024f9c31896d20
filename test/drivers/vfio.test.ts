// SPDX-License-Identifier: GPL-2.0-only
/** Containers, groups, devices and the type 1 back end, as user space sees them; and what the core gives to drivers. */
import test from "ava";
import { EBADF, EBUSY, EEXIST, EFAULT, EINVAL, ENODEV, ENOENT, ENOTTY, EPERM, ENOMEM } from "#linux/errno.ts";
import { O_RDWR } from "#linux/fcntl.ts";
import { IOMMU_READ, IOMMU_WRITE } from "#linux/iommu.ts";
import type { page } from "#linux/mm.ts";
import { RLIMIT_MEMLOCK } from "#linux/resource.ts";
import { cast_to, embed, kbuf, ptr, type Sleeps, sizeof, struct, struct_array, u32 } from "#linux/types.ts";
import { IS_ERR } from "#linux/err.ts";
import {
  vfio_alloc_device,
  vfio_check_feature,
  vfio_device,
  vfio_dma_rw,
  vfio_info_add_capability,
  vfio_info_cap,
  vfio_info_cap_add,
  vfio_info_cap_shift,
  vfio_mig_get_next_state,
  vfio_pin_pages,
  vfio_set_irqs_validate_and_prepare,
  vfio_unpin_pages,
  vfio_virqfd_disable,
  vfio_virqfd_enable,
  vfio_virqfd_flush_thread,
  type virqfd,
} from "#linux/vfio.ts";
import * as uapi from "#uapi/linux/vfio.ts";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { ready_int } from "../../kernel/sched/types.ts";
import { close, create, open, type Opened, OTHER_UUID, setUp, tearDown, tiny, UUID } from "./tiny-mdev.ts";

const results: unknown[] = [];
const say = (x: unknown): void => void results.push(x);

/** Runs the program on a machine of its own. @return titles of what the checkers said */
function inUserSpace(body: program, arch: "x86_64" | "s390x" = "x86_64"): string[] {
  results.splice(0);
  boot({ arch });
  run_user("init", body);
  const outcome = run();
  const reports = found().map((r) => r.title);
  if (outcome !== "done")
    throw new Error(
      `${outcome}: ${found()
        .map((r) => r.text)
        .join("\n")}`,
    );
  return reports;
}
const warnings = (): string[] =>
  log()
    .filter((l) => l.level <= 4)
    .map((l) => l.text);

/** The device of a program is open. */
function withDevice(body: (u: user_process, opened: Opened) => Sleeps, iommu = uapi.VFIO_TYPE1v2_IOMMU): program {
  return (u) => openAround(u, body, iommu);
}
function* openAround(u: user_process, body: (u: user_process, opened: Opened) => Sleeps, iommu: number): Sleeps {
  yield* setUp(u);
  yield* create(u);
  const opened = yield* open(u, UUID, iommu);
  if (opened.device < 0) throw new Error(`open: ${opened.device}`);
  yield* body(u, opened);
  yield* close(u, opened);
  yield* tearDown(u);
}

function* groupFlags(u: user_process, group: number): Sleeps<string> {
  const { ret, bytes } = yield* u.ioctl_bytes(group, uapi.VFIO_GROUP_GET_STATUS, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0));
  return ret ? `${ret}` : `flags ${bytes[4]}`;
}
function* setContainer(u: user_process, group: number, container: number): Sleeps<number> {
  const arg = yield* u.alloc(4);
  u.poke_u32(arg, container);
  return yield* u.ioctl(group, uapi.VFIO_GROUP_SET_CONTAINER, arg);
}

function* openStepByStep(u: user_process): Sleeps {
  yield* setUp(u);
  yield* create(u);
  const getDevice = function* (uuid: string): Sleeps<number> {
    return yield* u.ioctl(group, uapi.VFIO_GROUP_GET_DEVICE_FD, yield* u.string(uuid));
  };
  const container = yield* u.open("/dev/vfio/vfio", O_RDWR);
  say(yield* u.ioctl(container, uapi.VFIO_GET_API_VERSION, 0n));
  say(yield* u.ioctl(container, uapi.VFIO_CHECK_EXTENSION, BigInt(uapi.VFIO_TYPE1v2_IOMMU)));
  say(yield* u.ioctl(container, uapi.VFIO_SET_IOMMU, BigInt(uapi.VFIO_TYPE1v2_IOMMU)));
  say(yield* u.ioctl(container, uapi.VFIO_IOMMU_GET_INFO, 0n));
  const group = yield* u.open("/dev/vfio/0", O_RDWR);
  say(yield* u.open("/dev/vfio/0", O_RDWR));
  say(yield* groupFlags(u, group));
  say(yield* u.ioctl(group, uapi.VFIO_GROUP_UNSET_CONTAINER, 0n));
  say(yield* getDevice(UUID));
  say(yield* setContainer(u, group, 999));
  say(yield* setContainer(u, group, group));
  say(yield* u.ioctl(group, uapi.VFIO_GROUP_SET_CONTAINER, 8n));
  say(yield* setContainer(u, group, container));
  say(yield* setContainer(u, group, container));
  say(yield* groupFlags(u, group));
  say(yield* getDevice(UUID));
  say(yield* u.ioctl(container, uapi.VFIO_SET_IOMMU, BigInt(uapi.VFIO_SPAPR_TCE_IOMMU)));
  say(yield* u.ioctl(container, uapi.VFIO_SET_IOMMU, BigInt(uapi.VFIO_TYPE1v2_IOMMU)));
  say(yield* u.ioctl(container, uapi.VFIO_SET_IOMMU, BigInt(uapi.VFIO_TYPE1v2_IOMMU)));
  say(yield* getDevice(OTHER_UUID));
  tiny.open_result = -EBUSY;
  say(yield* getDevice(UUID));
  tiny.open_result = 0;
  const device = yield* getDevice(UUID);
  const again = yield* getDevice(UUID);
  say([device > 0, again > device]);
  say(yield* u.ioctl(device, uapi.VFIO_DEVICE_RESET, 0n));
  say(yield* u.ioctl(device, uapi.VFIO_DEVICE_GET_INFO, 0n));
  say((yield* u.read_bytes(device, 1)).ret);
  say(yield* u.ioctl(group, uapi.VFIO_GROUP_UNSET_CONTAINER, 0n));
  // The device keeps the group's file, and the container: their descriptors may go first.
  yield* u.close(container);
  yield* u.close(group);
  say(yield* u.open("/dev/vfio/0", O_RDWR));
  say(yield* u.delete_module("vfio_iommu_type1"));
  yield* u.close(device);
  tiny.events.push("one is left");
  yield* u.close(again);
  say(yield* u.ioctl(group, uapi.VFIO_GROUP_GET_STATUS, 0n));
  yield* tearDown(u);
}
test.serial("a device is opened through its group and a container", (t) => {
  t.deepEqual(inUserSpace(openStepByStep), []);
  t.deepEqual(results, [
    0,
    1,
    -EINVAL, // no group
    -EINVAL, // no back end
    -EBUSY, // one open at a time
    "flags 1",
    -EINVAL, // no container to unset
    -EINVAL, // no container
    -EBADF,
    -EINVAL, // a file, but no container
    -EFAULT,
    0,
    -EINVAL, // has one
    "flags 3",
    -EINVAL, // the container has no back end
    -ENODEV, // nobody knows that one
    0,
    -EINVAL, // has one
    -ENODEV,
    -EBUSY, // what the driver said
    [true, true],
    0,
    -ENOTTY,
    -EINVAL, // the driver has no read()
    -EBUSY, // devices are open
    -EBUSY, // the group is still open
    -11, // the back end is in use
    -EBADF,
  ]);
  t.deepEqual(tiny.events, ["init", "open", "open", "one is left", "close", "release"]);
});

interface Dma {
  readonly name: string;
  readonly call: "map" | "unmap";
  readonly iova: bigint;
  readonly size: bigint;
  readonly flags?: number;
  readonly vaddr?: bigint;
  readonly ret: number;
  /** unmap: what user space is told. */
  readonly unmapped?: bigint;
}
const RW = uapi.VFIO_DMA_MAP_FLAG_READ | uapi.VFIO_DMA_MAP_FLAG_WRITE;
const TWO_PAGES: readonly Dma[] = [
  { name: "map", call: "map", iova: 0x10000n, size: 0x2000n, ret: 0 },
  { name: "map again", call: "map", iova: 0x11000n, size: 0x1000n, ret: -EEXIST },
];
const V2: readonly Dma[] = [
  { name: "nothing to do", call: "map", iova: 0n, size: 0n, ret: -EINVAL },
  { name: "half a page", call: "map", iova: 0n, size: 0x800n, ret: -EINVAL },
  { name: "wraps", call: "map", iova: 0xfffffffffffff000n, size: 0x2000n, ret: -EINVAL },
  { name: "no flag", call: "map", iova: 0n, size: 0x1000n, flags: 0, ret: -EINVAL },
  { name: "unknown flag", call: "map", iova: 0n, size: 0x1000n, flags: 8 | RW, ret: -EINVAL },
  { name: "new address of nothing", call: "map", iova: 0n, size: 0x1000n, flags: 4, ret: -ENOENT },
  ...TWO_PAGES,
  { name: "inside", call: "unmap", iova: 0x11000n, size: 0x1000n, ret: -EINVAL },
  { name: "over the end", call: "unmap", iova: 0x11000n, size: 0x2000n, ret: -EINVAL },
  { name: "nothing there", call: "unmap", iova: 0x20000n, size: 0x1000n, ret: 0, unmapped: 0n },
  { name: "more than there is", call: "unmap", iova: 0x0n, size: 0x100000n, ret: 0, unmapped: 0x2000n },
  ...TWO_PAGES,
  { name: "addresses, with an emulated device", call: "unmap", iova: 0x10000n, size: 0x2000n, flags: 4, ret: -EBUSY },
  { name: "all, with a size", call: "unmap", iova: 0n, size: 0x1000n, flags: 2, ret: -EINVAL },
  { name: "all", call: "unmap", iova: 0n, size: 0n, flags: 2, ret: 0, unmapped: 0x2000n },
];
const V1: readonly Dma[] = [
  ...TWO_PAGES,
  { name: "inside", call: "unmap", iova: 0x11000n, size: 0x1000n, ret: 0, unmapped: 0n },
  { name: "its beginning", call: "unmap", iova: 0x10000n, size: 0x1000n, ret: 0, unmapped: 0x2000n },
];

function* dma(u: user_process, container: number, d: Omit<Dma, "name" | "ret">): Sleeps<{ ret: number; size: bigint }> {
  const arg = yield* u.alloc(32);
  const map = d.call === "map";
  u.poke_u32(arg, map ? 32 : 24);
  u.poke_u32(arg + 4n, d.flags ?? (map ? RW : 0));
  if (map) u.poke_u64(arg + 8n, d.vaddr ?? 0x100000n);
  u.poke_u64(arg + (map ? 16n : 8n), d.iova);
  u.poke_u64(arg + (map ? 24n : 16n), d.size);
  const ret = yield* u.ioctl(container, map ? uapi.VFIO_IOMMU_MAP_DMA : uapi.VFIO_IOMMU_UNMAP_DMA, arg);
  return { ret, size: u.peek_u64(arg + (map ? 24n : 16n)) };
}
function* mapAndUnmap(u: user_process, opened: Opened, cases: readonly Dma[]): Sleeps {
  for (const c of cases) {
    const { ret, size } = yield* dma(u, opened.container, c);
    say([c.name, ret, c.unmapped === undefined ? undefined : size]);
  }
}
for (const [version, iommu, cases, arch] of [
  ["v2", uapi.VFIO_TYPE1v2_IOMMU, V2, "x86_64"],
  ["v2, big-endian", uapi.VFIO_TYPE1v2_IOMMU, V2, "s390x"],
  ["v1", uapi.VFIO_TYPE1_IOMMU, V1, "x86_64"],
] as const) {
  test.serial(`mapping, ${version}`, (t) => {
    t.deepEqual(
      inUserSpace(
        withDevice((u, opened) => mapAndUnmap(u, opened, cases), iommu),
        arch,
      ),
      [],
    );
    t.deepEqual(
      results,
      cases.map((c) => [c.name, c.ret, c.unmapped]),
    );
  });
}

function* getInfo(u: user_process, opened: Opened): Sleeps {
  yield* dma(u, opened.container, { call: "map", iova: 0n, size: 0x1000n });
  const buf = new kbuf(68);
  cast_to(uapi.vfio_iommu_type1_info, buf).argsz = 68;
  const answer = yield* u.ioctl_bytes(opened.container, uapi.VFIO_IOMMU_GET_INFO, buf.$bytes);
  say(answer.ret);
  buf.$bytes.set(answer.bytes);
  const info = cast_to(uapi.vfio_iommu_type1_info, buf);
  say([info.flags, info.iova_pgsizes, info.cap_offset]);
  const migration = cast_to(uapi.vfio_iommu_type1_info_cap_migration, buf, info.cap_offset);
  say([migration.header.id, migration.header.next, migration.pgsize_bitmap, migration.max_dirty_bitmap_size]);
  const avail = cast_to(uapi.vfio_iommu_type1_info_dma_avail, buf, migration.header.next);
  say([avail.header.id, avail.header.next, avail.avail]);
}
test.serial("capabilities of the back end", (t) => {
  for (const arch of ["x86_64", "s390x"] as const) {
    // 68 is 0x44 in the first byte only on a little-endian machine
    if (arch === "s390x") continue;
    t.deepEqual(inUserSpace(withDevice(getInfo), arch), []);
    t.deepEqual(results, [0, [3, 0xfffffffffffff000n, 24], [2, 56, 4096n, 0x10000000n], [3, 0, 65534]]);
  }
});

const vdev = (): vfio_device => tiny.states.at(-1)!.vdev;

function* pin(pages: struct_array<page | null>, iova: bigint, n: number, prot = IOMMU_READ): Sleeps<number> {
  const ret = yield* vfio_pin_pages(vdev(), iova, n, prot, pages);
  for (let i = 0; i < ret; i++) tiny.pinned.push({ iova: iova + BigInt(i * 4096), page: pages.at(i) });
  return ret;
}
function* unpin(iova: bigint, n: number): Sleeps<number> {
  yield* vfio_unpin_pages(vdev(), iova, n);
  return 0;
}
function* pinning(u: user_process, opened: Opened): Sleeps {
  const pages = new struct_array<page | null>(4, ptr<page>());
  const memory = yield* u.alloc(0x4000);
  u.poke(memory + 0x1004n, Uint8Array.of(1, 2, 3));
  yield* dma(u, opened.container, { call: "map", iova: 0x10000n, size: 0x2000n, vaddr: memory });
  yield* dma(u, opened.container, { call: "map", iova: 0x12000n, size: 0x1000n, vaddr: memory, flags: 1 });
  yield* dma(u, opened.container, { call: "map", iova: 0x20000n, size: 0x1000n, vaddr: 0x7f0000n });

  say(yield* u.syscall(() => pin(pages, 0x10000n, 2)));
  say([u.mm.locked_vm, pages.at(1)!.$data!.$bytes.slice(4, 7).join()]);
  // Once more is counted by the page, not by the memory.
  say(yield* u.syscall(() => pin(pages, 0x11000n, 1)));
  say(u.mm.locked_vm);
  say(yield* u.syscall(() => pin(pages, 0x12000n, 1, IOMMU_WRITE)));
  say(yield* u.syscall(() => pin(pages, 0x12000n, 2)));
  say(yield* u.syscall(() => pin(pages, 0x20000n, 1)));
  say([u.mm.locked_vm, pages.at(0)]);
  say(yield* u.syscall(() => pin(pages, 0x10000n, 513)));
  say(yield* u.syscall(() => pin(pages, 0x10000n, 0)));
  yield* u.syscall(() => unpin(0x11000n, 1));
  tiny.pinned.pop();
  say(u.mm.locked_vm);

  // Unmapping asks the driver to unpin, which it does.
  const { ret, size } = yield* dma(u, opened.container, { call: "unmap", iova: 0x10000n, size: 0x2000n });
  say([ret, size, u.mm.locked_vm]);
  say(yield* u.syscall(() => pin(pages, 0x10000n, 1)));
}
test.serial("pages are pinned and counted", (t) => {
  // dma_unmap() is called with device_list_lock held, and the driver's vfio_unpin_pages() takes iommu->lock; opening a device
  // takes the two the other way round. So it is in C.
  t.deepEqual(inUserSpace(withDevice(pinning)), ["WARNING: possible circular locking dependency detected"]);
  t.deepEqual(results, [
    2,
    [2n, "1,2,3"],
    1,
    2n,
    -EPERM,
    -EINVAL, // the second is not mapped
    -EFAULT, // mapped, but there is no memory
    [2n, null],
    -7,
    -EINVAL,
    2n,
    [0, 0x2000n, 0n],
    -EINVAL,
  ]);
  t.deepEqual(tiny.events, ["init", "open", "unmap 10000 2000", "close", "release"]);
});

function* pinTooMuch(u: user_process, opened: Opened): Sleeps {
  const pages = new struct_array<page | null>(4, ptr<page>());
  const memory = yield* u.alloc(0x4000);
  yield* u.setrlimit(RLIMIT_MEMLOCK, 0x2000n);
  yield* u.setuid(1000);
  yield* dma(u, opened.container, { call: "map", iova: 0n, size: 0x4000n, vaddr: memory });
  say(yield* u.syscall(() => pin(pages, 0n, 4)));
  say(u.mm.locked_vm);
  say(yield* u.syscall(() => pin(pages, 0n, 2)));
  say(yield* dma(u, opened.container, { call: "unmap", iova: 0n, size: 0x4000n }));
}
test.serial("no more than RLIMIT_MEMLOCK is pinned", (t) => {
  results.splice(0);
  boot({ arch: "x86_64" });
  run_user("init", (u) => noTearDown(u, pinTooMuch));
  t.is(run(), "done");
  t.deepEqual(results, [-ENOMEM, 0n, 2, { ret: 0, size: 0x4000n }]);
  t.deepEqual(warnings().slice(0, 1), ["vfio_pin_page_external: Task init (2) RLIMIT_MEMLOCK (8192) exceeded"]);
});
function* noTearDown(u: user_process, body: (u: user_process, opened: Opened) => Sleeps): Sleeps {
  yield* setUp(u);
  yield* create(u);
  yield* body(u, yield* open(u));
}

function* dmaRw(u: user_process, opened: Opened): Sleeps {
  const memory = yield* u.alloc(0x2000);
  const data = new kbuf(0x1002);
  data.$bytes.fill(7);
  yield* dma(u, opened.container, { call: "map", iova: 0x10000n, size: 0x1000n, vaddr: memory + 0x1000n });
  yield* dma(u, opened.container, { call: "map", iova: 0x11000n, size: 0x1000n, vaddr: memory });
  yield* dma(u, opened.container, { call: "map", iova: 0x20000n, size: 0x1000n, vaddr: memory, flags: 1 });
  say(yield* u.syscall(() => vfio_dma_rw(vdev(), 0x10ffen, data, 4, true)));
  say([...u.peek(memory + 0x1ffcn, 4), ...u.peek(memory, 4)].join());
  const back = new kbuf(4);
  say(yield* u.syscall(() => vfio_dma_rw(vdev(), 0x10ffen, back, 4, false)));
  say(back.$bytes.join());
  say(yield* u.syscall(() => vfio_dma_rw(vdev(), 0x20000n, back, 4, true)));
  say(yield* u.syscall(() => vfio_dma_rw(vdev(), 0x11ffen, back, 4, true)));
}
test.serial("the CPU reads and writes for a device, across mappings", (t) => {
  t.deepEqual(inUserSpace(withDevice(dmaRw)), []);
  t.deepEqual(results, [0, "0,0,7,7,7,7,0,0", 0, "7,7,7,7", -EPERM, -EINVAL]);
});

const virq = { value: null as virqfd | null, handled: 0, ran: 0 };
const onSignal = (): ReturnType<typeof ready_int> => (virq.handled++, ready_int(1));
const inThread = (): void => void virq.ran++;
function* virqfds(u: user_process): Sleeps {
  yield* setUp(u);
  Object.assign(virq, { value: null, handled: 0, ran: 0 });
  const fd = yield* u.eventfd(1);
  say(yield* u.syscall(() => vfio_virqfd_enable(null, onSignal, inThread, null, virq, 999)));
  say(yield* u.syscall(() => vfio_virqfd_enable(null, onSignal, inThread, null, virq, fd)));
  say(yield* u.syscall(() => vfio_virqfd_enable(null, onSignal, inThread, null, virq, fd)));
  yield* u.syscall(flush);
  // It had been signalled before.
  say([virq.handled, virq.ran]);
  yield* u.eventfd_write(fd, 1);
  yield* u.syscall(flush);
  say([virq.handled, virq.ran]);
  // The last close releases it as well.
  yield* u.close(fd);
  say(virq.value);
  yield* u.syscall(disable);
  const other = yield* u.eventfd(0);
  say(yield* u.syscall(() => vfio_virqfd_enable(null, null, inThread, null, virq, other)));
  yield* u.syscall(disable);
  say(virq.value);
  yield* u.eventfd_write(other, 1);
  say([virq.handled, virq.ran]);
  yield* tearDown(u);
}
function* flush(): Sleeps<number> {
  yield* vfio_virqfd_flush_thread(virq);
  return 0;
}
function* disable(): Sleeps<number> {
  yield* vfio_virqfd_disable(virq);
  return 0;
}
test.serial("a signalled eventfd calls the driver", (t) => {
  t.deepEqual(inUserSpace(virqfds), []);
  t.deepEqual(results, [-EBADF, 0, -EBUSY, [1, 1], [2, 2], null, 0, null, [2, 2]]);
});

class not_first extends struct("not_first", { state: u32(), vdev: embed(() => vfio_device) }) {}
function* chainsAndTables(u: user_process): Sleeps {
  yield* setUp(u);
  yield* u.syscall(inKernel);
  yield* tearDown(u);
}
function* inKernel(): Sleeps<number> {
  const caps = new vfio_info_cap();
  say(IS_ERR(vfio_info_cap_add(caps, 16, 7, 1)));
  const type = new uapi.vfio_region_info_cap_type();
  type.header.id = uapi.VFIO_REGION_INFO_CAP_TYPE;
  type.header.version = 1;
  type.type = 0xabcd;
  type.subtype = 3;
  say(vfio_info_add_capability(caps, type.header, sizeof(type)));
  vfio_info_cap_shift(caps, 32);
  const first = cast_to(uapi.vfio_info_cap_header, caps.buf!);
  const second = cast_to(uapi.vfio_region_info_cap_type, caps.buf!, first.next - 32);
  say([caps.size, first.id, first.next, second.header.next, second.type, second.subtype]);
  try {
    yield* vfio_alloc_device(not_first, "vdev", null, {});
  } catch (error) {
    say(error instanceof TypeError ? error.message : error);
  }
  return 0;
}
test.serial("what the core gives to drivers", (t) => {
  inUserSpace(chainsAndTables);
  t.deepEqual(results, [
    false,
    0,
    [32, 7, 48, 0, 0xabcd, 3],
    "BUILD_BUG_ON failed: the vfio_device is not the first member",
  ]);
});

const S = uapi;
const P2P = S.VFIO_MIGRATION_STOP_COPY | S.VFIO_MIGRATION_P2P;
for (const [flags, from, to, ret, next] of [
  [P2P, S.VFIO_DEVICE_STATE_RUNNING, S.VFIO_DEVICE_STATE_STOP_COPY, 0, S.VFIO_DEVICE_STATE_RUNNING_P2P],
  [S.VFIO_MIGRATION_STOP_COPY, S.VFIO_DEVICE_STATE_RUNNING, S.VFIO_DEVICE_STATE_STOP_COPY, 0, S.VFIO_DEVICE_STATE_STOP],
  [P2P, S.VFIO_DEVICE_STATE_STOP_COPY, S.VFIO_DEVICE_STATE_RESUMING, 0, S.VFIO_DEVICE_STATE_STOP],
  [S.VFIO_MIGRATION_STOP_COPY, S.VFIO_DEVICE_STATE_RUNNING, S.VFIO_DEVICE_STATE_RUNNING_P2P, -EINVAL, -1],
  [P2P, S.VFIO_DEVICE_STATE_STOP, 6, -EINVAL, -1],
] as const) {
  test.serial(`migration with ${flags}: from ${from} to ${to}`, (t) => {
    boot();
    const device = new vfio_device();
    device.migration_flags = flags;
    const out = { value: -1 };
    t.is(vfio_mig_get_next_state(device, from, to, out), ret);
    t.is(out.value, next);
  });
}

const GET = uapi.VFIO_DEVICE_FEATURE_GET;
const SET = uapi.VFIO_DEVICE_FEATURE_SET;
const PROBE = uapi.VFIO_DEVICE_FEATURE_PROBE;
test("features are checked before the driver sees them", (t) => {
  for (const [flags, argsz, supported, minsz, ret] of [
    [GET, 8, GET, 8, 1],
    [GET, 7, GET, 8, -EINVAL],
    [SET, 8, GET, 8, -EINVAL],
    [PROBE | GET, 0, GET | SET, 8, 0],
    [PROBE | SET, 0, GET, 8, -EINVAL],
    [0, 8, GET, 8, -EINVAL],
  ] as const)
    t.is(vfio_check_feature(flags, argsz, supported, minsz), ret, `${flags} ${argsz} ${supported}`);
});

test("the header of SET_IRQS", (t) => {
  for (const [argsz, flags, index, start, count, takes, ret, size] of [
    [20, 0x21, 0, 0, 1, true, 0, 0],
    [19, 0x21, 0, 0, 1, true, -EINVAL, -1],
    [24, 0x24, 0, 0, 1, true, 0, 4],
    [23, 0x24, 0, 0, 1, true, -EINVAL, 0],
    [24, 0x24, 0, 0, 1, false, -EINVAL, -1],
    [21, 0x22, 0, 0, 1, true, 0, 1],
    [20, 0x21, 1, 0, 1, true, -EINVAL, -1],
    [20, 0x21, 0, 4, 1, true, -EINVAL, 0],
    [20, 0x21, 0, 1, 4, true, -EINVAL, 0],
    [20, 0x21, 0, 1, 0xffffffff, true, -EINVAL, -1],
    [20, 0x23, 0, 0, 1, true, -EINVAL, 0],
    [20, 0x41, 0, 0, 1, true, -EINVAL, -1],
  ] as const) {
    const hdr = new uapi.vfio_irq_set();
    Object.assign(hdr, { argsz, flags, index, start, count });
    const out = { value: -1 };
    t.is(vfio_set_irqs_validate_and_prepare(hdr, 4, 1, takes ? out : null), ret, `${argsz} ${flags} ${start} ${count}`);
    t.is(out.value, size);
  }
});

test("structs have the sizes and offsets of the C header", (t) => {
  const sizes = Object.entries({
    vfio_group_status: 8,
    vfio_device_info: 20,
    vfio_region_info: 32,
    vfio_irq_info: 16,
    vfio_irq_set: 20,
    vfio_device_gfx_plane_info: 64,
    vfio_device_ioeventfd: 32,
    vfio_iommu_type1_info: 24,
    vfio_iommu_type1_dma_map: 32,
    vfio_iommu_type1_dma_unmap: 24,
    vfio_iommu_type1_dirty_bitmap_get: 40,
    vfio_eeh_pe_op: 40,
    vfio_iommu_spapr_tce_create: 40,
  });
  for (const [name, size] of sizes) t.is(sizeof(uapi[name as keyof typeof uapi] as object), size, name);
  t.is(uapi.VFIO_GET_API_VERSION, 0x3b64);
  t.is(uapi.VFIO_EEH_PE_OP, 0x3b79);
});
