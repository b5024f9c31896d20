// SPDX-License-Identifier: GPL-2.0-only
/** The sample drivers beyond what their traces show: mistakes that end in a report, files, dma-buf. */
import test, { type ExecutionContext } from "ava";
import { dma_buf_attach, dma_buf_detach, dma_buf_get, dma_buf_map_attachment } from "#linux/dma-buf.ts";
import { dma_buf_export, dma_buf_export_info, dma_buf_fd, dma_buf_put } from "#linux/dma-buf.ts";
import { dma_buf_unmap_attachment } from "#linux/dma-buf.ts";
import { DMA_BIDIRECTIONAL, DMA_NONE } from "#linux/dma-mapping.ts";
import { device } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import type { Sleeps } from "#linux/types.ts";
import * as uapi from "#uapi/linux/vfio.ts";
import { boot, found, run } from "../../kernel/arch/machine.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { vmalloc_user, remap_vmalloc_range } from "../../kernel/mm/vmalloc.ts";
import { vm_area_struct } from "../../kernel/mm/mm_struct.ts";
import { vm_insert_page } from "../../kernel/mm/memory.ts";

import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/mdev/mdev_core.ts";
import "../../samples/vfio-mdev/mtty.ts";
import "../../samples/vfio-mdev/mdpy.ts";
import "../../samples/vfio-mdev/mbochs.ts";

const UUID = "11111111-2222-3333-4444-555555555501";
const MODULES = ["vfio", "vfio_iommu_type1", "mdev", "mtty", "mdpy", "mbochs"];
const O_RDWR = 2;
const MEM_BAR = 0x3000n;

function u32s(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, v] of values.entries()) view.setUint32(4 * i, v, true);
  return bytes;
}
const DATA_NONE = uapi.VFIO_IRQ_SET_DATA_NONE | uapi.VFIO_IRQ_SET_ACTION_TRIGGER;
const DATA_EVENTFD = uapi.VFIO_IRQ_SET_DATA_EVENTFD | uapi.VFIO_IRQ_SET_ACTION_TRIGGER;

/** An mdev of type TYPE, opened. @return the device's descriptor */
function* opened(u: user_process, type: string): Sleeps<number> {
  for (const name of MODULES) yield* u.finit_module(name);
  const parent = type.split("-", 1)[0] ?? "";
  yield* u.sysfs_write(`/sys/class/mdev_bus/${parent}/mdev_supported_types/${type}/create`, UUID);
  const { text } = yield* u.readlink(`/sys/bus/mdev/devices/${UUID}/iommu_group`);
  const container = yield* u.open("/dev/vfio/vfio", O_RDWR);
  const group = yield* u.open(`/dev/vfio/${text.slice(text.lastIndexOf("/") + 1)}`, O_RDWR);
  yield* u.ioctl_bytes(group, uapi.VFIO_GROUP_SET_CONTAINER, u32s(container));
  yield* u.ioctl(container, uapi.VFIO_SET_IOMMU, BigInt(uapi.VFIO_TYPE1v2_IOMMU));
  const fd = yield* u.ioctl(group, uapi.VFIO_GROUP_GET_DEVICE_FD, yield* u.string(UUID));
  yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_INFO, u32s(24, 0, 0, 0, 0, 0));
  return fd;
}
const setIrqs = (
  u: user_process,
  fd: number,
  flags: number,
  index: number,
  ...data: number[]
): Sleeps<{ ret: number }> =>
  u.ioctl_bytes(
    fd,
    uapi.VFIO_DEVICE_SET_IRQS,
    u32s(20 + 4 * data.length, flags, index, 0, data.length || Number(Boolean(flags & 1)), ...data),
  );

function perform(t: ExecutionContext, body: (u: user_process) => Sleeps): string[] {
  t.is(boot({ arch: "x86_64" }), "done");
  run_user("init", body);
  run();
  return found().map((r) => r.title);
}

const BAR = (n: number): bigint => BigInt(n) << 40n;
const MISTAKES: readonly {
  readonly what: string;
  readonly type: string;
  readonly body: (u: user_process, fd: number) => Sleeps;
  readonly report: RegExp;
}[] = [
  {
    what: "registers of a BAR that has no port",
    type: "mtty-1",
    *body(u, fd) {
      yield* u.pread_bytes(fd, 1, BAR(2) + 5n);
    },
    report: /^UBSAN: array-index-out-of-bounds in handle_bar_read \[mtty\]$/,
  },
  {
    what: "an interrupt that was never set up",
    type: "mtty-2",
    *body(u, fd) {
      // IER_THRI with an empty FIFO
      yield* u.pwrite_bytes(fd, Uint8Array.of(2), BAR(0) + 1n);
    },
    report: /^BUG: kernel NULL pointer dereference/,
  },
  {
    what: "eventfds, but none of them",
    type: "mtty-2",
    *body(u, fd) {
      yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_SET_IRQS, u32s(20, DATA_EVENTFD, 0, 0, 0));
    },
    report: /^BUG: kernel NULL pointer dereference/,
  },
  {
    what: "disabling INTx twice",
    type: "mtty-2",
    *body(u, fd) {
      const efd = yield* u.eventfd(0, 0);
      yield* setIrqs(u, fd, DATA_EVENTFD, 0, efd);
      yield* u.close(efd);
      for (let i = 0; i < 2; i++) yield* setIrqs(u, fd, DATA_NONE, 0);
    },
    report: /^BUG: KASAN: use-after-free in eventfd_ctx_put$/,
  },
  {
    what: "the last bytes of mtty's configuration space",
    type: "mtty-1",
    *body(u, fd) {
      yield* u.pread_bytes(fd, 4, BAR(7) + 0xfcn);
    },
    report: /^BUG: KASAN: slab-out-of-bounds in mdev_access \[mtty\]$/,
  },
  {
    what: "half a BAR of mtty is written",
    type: "mtty-1",
    *body(u, fd) {
      yield* u.pwrite_bytes(fd, Uint8Array.of(1, 2), BAR(7) + 0x10n);
    },
    report: /^BUG: KASAN: stack-out-of-bounds in handle_pci_cfg_write \[mtty\]$/,
  },
  {
    what: "registers of a BAR that has no port, written",
    type: "mtty-1",
    *body(u, fd) {
      yield* u.pwrite_bytes(fd, Uint8Array.of(0x80), BAR(5) + 3n);
    },
    report: /^UBSAN: array-index-out-of-bounds in handle_bar_write \[mtty\]$/,
  },
  {
    what: "a byte of a FIFO that is empty",
    type: "mtty-1",
    *body(u, fd) {
      yield* u.pread_bytes(fd, 1, BAR(0));
    },
    report: /^BUG: KMSAN: kernel-infoleak in mtty_read \[mtty\]$/,
  },
  {
    what: "an eventfd that disabling has let go, used for an interrupt",
    type: "mtty-1",
    *body(u, fd) {
      const efd = yield* u.eventfd(0, 0);
      yield* setIrqs(u, fd, DATA_EVENTFD, 0, efd);
      yield* u.close(efd);
      yield* setIrqs(u, fd, DATA_NONE, 0);
      // IER_THRI with an empty FIFO
      yield* u.pwrite_bytes(fd, Uint8Array.of(2), BAR(0) + 1n);
    },
    report: /^BUG: KASAN: use-after-free in /,
  },
  {
    what: "the last bytes of mdpy's configuration space",
    type: "mdpy-vga",
    *body(u, fd) {
      yield* u.pread_bytes(fd, 4, 0xfcn);
    },
    report: /^BUG: KASAN: slab-out-of-bounds in mdev_access \[mdpy\]$/,
  },
  {
    what: "half a BAR of mdpy is written",
    type: "mdpy-vga",
    *body(u, fd) {
      yield* u.pwrite_bytes(fd, Uint8Array.of(1, 2), 0x10n);
    },
    report: /^BUG: KASAN: stack-out-of-bounds in handle_pci_cfg_write \[mdpy\]$/,
  },
  {
    what: "the last bytes of mbochs' configuration space",
    type: "mbochs-small",
    *body(u, fd) {
      yield* u.pread_bytes(fd, 4, 0xfcn);
    },
    report: /^BUG: KASAN: slab-out-of-bounds in mdev_access \[mbochs\]$/,
  },
  {
    what: "half a BAR of mbochs is written",
    type: "mbochs-small",
    *body(u, fd) {
      yield* u.pwrite_bytes(fd, Uint8Array.of(1), 0x18n);
    },
    report: /^BUG: KASAN: stack-out-of-bounds in handle_pci_cfg_write \[mbochs\]$/,
  },
  {
    what: "room for a capability that a region of mbochs has not",
    type: "mbochs-small",
    *body(u, fd) {
      yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_REGION_INFO, u32s(48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    },
    report: /^BUG: KMSAN: kernel-infoleak in mbochs_ioctl \[mbochs\]$/,
  },
  {
    what: "a place of mbochs' EDID region where nothing is",
    type: "mbochs-small",
    *body(u, fd) {
      yield* u.pread_bytes(fd, 4, 0x2000n + 0x40n);
    },
    report: /^BUG: KMSAN: kernel-infoleak in mbochs_read \[mbochs\]$/,
  },
  {
    what: "pages behind the memory",
    type: "mbochs-small",
    *body(u, fd) {
      yield* u.pread_bytes(fd, 4, MEM_BAR + 4n * 1024n * 1024n - 4n);
    },
    report: /^BUG: KASAN: slab-out-of-bounds in __mbochs_get_page \[mbochs\]$/,
  },
];
for (const { what, type, body, report } of MISTAKES)
  test(`the original's mistake: ${what}`, (t) => {
    const titles = perform(t, function* (u) {
      yield* body(u, yield* opened(u, type));
    });
    t.true(titles.length > 0);
    t.regex(titles[0] ?? "", report);
  });

test("interrupts of mtty: INTx and MSI, masks, and those that are only told of", (t) => {
  const seen: unknown[] = [];
  const titles = perform(t, function* (u) {
    const fd = yield* opened(u, "mtty-2");
    const efd = yield* u.eventfd(0, 0o4000);
    seen.push((yield* setIrqs(u, fd, DATA_EVENTFD, 1, efd)).ret);
    yield* u.pwrite_bytes(fd, Uint8Array.of(2), BAR(0) + 1n);
    seen.push(yield* u.eventfd_read(efd));
    // A second one is not taken, one that is none is an error only while there is none.
    seen.push((yield* setIrqs(u, fd, DATA_EVENTFD, 1, efd)).ret, (yield* setIrqs(u, fd, DATA_EVENTFD, 0, 77)).ret);
    seen.push((yield* setIrqs(u, fd, DATA_NONE, 1)).ret);
    for (const index of [2, 3, 4]) seen.push((yield* setIrqs(u, fd, DATA_NONE, index)).ret);
    for (const index of [0, 1]) seen.push((yield* setIrqs(u, fd, 1 | uapi.VFIO_IRQ_SET_ACTION_MASK, index)).ret);
  });
  t.deepEqual(seen, [0, 1n, 0, -9, 0, 0, 0, 0, 0, 0]);
  t.deepEqual(titles, []);
});

test("parameters and versions of modules, and the power files of a device", (t) => {
  const power = `/sys/bus/mdev/devices/${UUID}/power`;
  const type1 = "/sys/module/vfio_iommu_type1/parameters";
  const reads: readonly (readonly [path: string, write: string | null, wrote: number, text: string])[] = [
    ["/sys/module/mdpy/parameters/count", null, 0, "4\n"],
    ["/sys/module/mbochs/parameters/count", null, 0, "256\n"],
    ["/sys/module/mtty/version", null, 0, "0.1\n"],
    [`${type1}/disable_hugepages`, "yes", 3, "Y\n"],
    [`${type1}/disable_hugepages`, "off", 3, "N\n"],
    [`${type1}/disable_hugepages`, "maybe", -22, "N\n"],
    [`${type1}/dma_entry_limit`, "12", 2, "12\n"],
    [`${type1}/dma_entry_limit`, "-1", -22, "12\n"],
    [`${power}/control`, "on", 2, "on\n"],
    [`${power}/control`, "auto", 4, "auto\n"],
    [`${power}/control`, "off", -22, "auto\n"],
    [`${power}/runtime_status`, null, 0, "unsupported\n"],
    [`${power}/runtime_active_time`, null, 0, "0\n"],
    [`${power}/autosuspend_delay_ms`, "5", -5, ""],
  ];
  const got: unknown[] = [];
  const titles = perform(t, function* (u) {
    yield* opened(u, "mdpy-vga");
    for (const [path, write] of reads) {
      const wrote = write === null ? 0 : yield* u.sysfs_write(path, write);
      got.push([path, write, wrote, (yield* u.sysfs_read(path)).text]);
    }
  });
  t.deepEqual(got, reads);
  t.deepEqual(titles, []);
});

test("modules go again, and what is mapped stays until it is unmapped", (t) => {
  const seen: unknown[] = [];
  const titles = perform(t, function* (u) {
    const fd = yield* opened(u, "mdpy-vga");
    const addr = yield* u.mmap(0x2000, 3, 1, fd, 0x1000n);
    seen.push(yield* u.store_bytes(addr, Uint8Array.of(1, 2)), (yield* u.load_bytes(addr, 2)).bytes);
    seen.push((yield* u.load_bytes(addr + 0x2000n, 1)).ret);
    const readOnly = yield* u.mmap(0x1000, 1, 1, fd, 0x1000n);
    seen.push(yield* u.store_bytes(readOnly, Uint8Array.of(1)));
    yield* u.munmap(addr, 0x2000);
    yield* u.munmap(readOnly, 0x1000);
    for (let n = fd; n >= 0; n--) yield* u.close(n);
    seen.push(yield* u.sysfs_write(`/sys/bus/mdev/devices/${UUID}/remove`, "1"));
    for (const name of ["mtty", "mdpy", "mbochs"]) seen.push(yield* u.delete_module(name));
  });
  t.deepEqual(seen, [0, Uint8Array.of(1, 2), -14, -14, 1, 0, 0, 0]);
  t.deepEqual(titles, []);
});

/** Shows 64 lines of 64 pixels and exports that: the first query only makes the buffer. */
function* exported(u: user_process, fd: number): Sleeps<number[]> {
  for (const [index, value] of [
    [1, 64],
    [2, 64],
    [3, 32],
    [4, 1],
  ] as const)
    yield* u.pwrite_bytes(fd, Uint8Array.of(value & 0xff, value >> 8), 0x1500n + BigInt(2 * index));
  const query = new Uint8Array(64);
  query.set(u32s(64, uapi.VFIO_GFX_PLANE_TYPE_DMABUF, 1));
  const first = (yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_QUERY_GFX_PLANE, query)).ret;
  const second = (yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_QUERY_GFX_PLANE, query)).ret;
  return [first, second, (yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_GFX_DMABUF, u32s(1))).ret];
}

test("dma-buf: exported, looked at, attached, mapped for a device", (t) => {
  const seen: unknown[] = [];
  const titles = perform(t, function* (u) {
    const fd = yield* opened(u, "mbochs-small");
    const [first, second, buf = -1] = yield* exported(u, fd);
    seen.push(first, second, buf > 0, yield* u.lseek(buf, 0n, 2), yield* u.lseek(buf, 1n, 0));
    const other = dma_buf_get(fd);
    seen.push(PTR_ERR(other), PTR_ERR(dma_buf_get(99)));
    const dmabuf = dma_buf_get(buf);
    const dev = new device();
    const at = yield* dma_buf_attach(dmabuf, dev);
    const table = yield* dma_buf_map_attachment(at, DMA_BIDIRECTIONAL);
    seen.push(
      table.sgl!.at(0).length > 0,
      [...table.sgl!].reduce((n, sg) => n + sg.dma_length, 0),
    );
    yield* dma_buf_unmap_attachment(at, table, DMA_BIDIRECTIONAL);
    seen.push(IS_ERR(yield* dma_buf_map_attachment(at, DMA_NONE)));
    yield* dma_buf_detach(dmabuf, at);
    dma_buf_put(dmabuf);
    yield* u.close(buf);
    seen.push(dma_buf_fd(null, 0));
  });
  t.deepEqual(seen, [-12, 0, true, 16384n, -22n, -22, -9, true, 16384, true, -22]);
  t.deepEqual(titles, []);
});

test("dma-buf: an exporter without operations, and a descriptor twice", (t) => {
  const titles = perform(t, function* (u) {
    t.is(PTR_ERR(yield* dma_buf_export(new dma_buf_export_info())), -22);
    const fd = yield* opened(u, "mbochs-small");
    const [, , buf = -1] = yield* exported(u, fd);
    // The second descriptor has no reference of its own.
    const again = (yield* u.ioctl_bytes(fd, uapi.VFIO_DEVICE_GET_GFX_DMABUF, u32s(1))).ret;
    yield* u.close(buf);
    yield* u.close(again);
  });
  t.regex(titles[0] ?? "", /dma_buf_export/);
  t.regex(titles[1] ?? "", /use-after-free|BUG/);
});

test("mapping vmalloc memory: only such memory, and no more of it than there is", (t) => {
  t.is(boot({ arch: "x86_64" }), "done");
  run_user("init", function* (u) {
    const area = vmalloc_user(0x2000)!;
    const vma = new vm_area_struct();
    vma.vm_mm = u.mm;
    vma.vm_start = yield* u.alloc(0x3000);
    vma.vm_end = vma.vm_start + 0x3000n;
    t.is(remap_vmalloc_range(vma, area, 0), -22);
    vma.vm_end = vma.vm_start + 0x2000n;
    t.is(remap_vmalloc_range(vma, area, 1), -22);
    t.is(remap_vmalloc_range(vma, area, 0), 0);
    t.is(remap_vmalloc_range(vma, area, 0), -16);
    t.is(vm_insert_page(vma, vma.vm_end, u.mm.$pages.values().next().value!), -14);
  });
  run();
});
