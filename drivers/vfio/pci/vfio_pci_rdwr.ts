// SPDX-License-Identifier: GPL-2.0-only
/** What user space reads and writes of a device's memory and ports, and eventfds that write there. Source: drivers/vfio/pci/vfio_pci_rdwr.c */
import { EEXIST, EFAULT, EINVAL, EIO, ENODEV, ENOMEM, ENOSPC } from "#linux/errno.ts";
import type { loff_ptr } from "#linux/fs.ts";
import {
  type iomem,
  ioport_map,
  ioport_unmap,
  ioread16,
  ioread32,
  ioread8,
  ioremap,
  iounmap,
  iowrite16,
  iowrite32,
  iowrite8,
} from "#linux/io.ts";
import { iowrite64 } from "#linux/io-64-nonatomic-lo-hi.ts";
import { IORESOURCE_MEM, IORESOURCE_ROM_SHADOW } from "#linux/ioport.ts";
import { list_add, list_del, list_for_each_entry } from "#linux/list.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  pci_iomap,
  pci_map_rom,
  pci_release_selected_regions,
  pci_request_selected_regions,
  pci_resource_len,
  pci_resource_start,
  PCI_ROM_RESOURCE,
  pci_unmap_rom,
} from "#linux/pci.ts";
import { down_read, down_read_trylock, up_read } from "#linux/rwsem.ts";
import { GFP_KERNEL_ACCOUNT, kfree, kzalloc } from "#linux/slab.ts";
import { byte_at, set_byte_at, set_u16_at, set_u32_at, u16_at, u32_at } from "#linux/string.ts";
import { atomic_context, kbuf, member_of, type Sleeps, type Spins } from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import { vfio_virqfd_disable, vfio_virqfd_enable } from "#linux/vfio.ts";
import { VGA_RSRC_LEGACY_IO, VGA_RSRC_LEGACY_MEM, vga_get_interruptible, vga_put } from "#linux/vgaarb.ts";
import { type vfio_pci_core_device, VFIO_PCI_OFFSET_MASK, VFIO_PCI_OFFSET_TO_INDEX } from "#linux/vfio_pci_core.ts";
import { VFIO_PCI_BAR5_REGION_INDEX } from "#uapi/linux/vfio.ts";
import { __vfio_pci_memory_enabled } from "./vfio_pci_config.ts";
import { vfio_pci_ioeventfd as ioeventfd_struct, VFIO_PCI_IOEVENTFD_MAX } from "./vfio_pci_priv.ts";

const vfio_ioread8 = ioread8;
const vfio_ioread16 = ioread16;
const vfio_ioread32 = ioread32;
const vfio_iowrite8 = iowrite8;
const vfio_iowrite16 = iowrite16;
const vfio_iowrite32 = iowrite32;
const vfio_iowrite64 = iowrite64;

type iowrite<T> = (val: T, io: iomem, off: number) => void;
type ioread = (io: iomem, off: number) => number;

/** vfio_pci_iowrite8() and so on, by what writes. @return 0, -EIO if memory is not enabled */
function* VFIO_IOWRITE<T extends number | bigint>(
  write: iowrite<T>,
  vdev: vfio_pci_core_device,
  test_mem: boolean,
  val: T,
  io: iomem,
  off: number,
): Sleeps<number> {
  if (test_mem) {
    yield* down_read(vdev.memory_lock);
    if (!__vfio_pci_memory_enabled(vdev)) {
      up_read(vdev.memory_lock);
      return -EIO;
    }
  }

  write(val, io, off);

  if (test_mem) up_read(vdev.memory_lock);

  return 0;
}

/** vfio_pci_ioread8() and so on, by what reads. @return as above */
function* VFIO_IOREAD(
  read: ioread,
  vdev: vfio_pci_core_device,
  test_mem: boolean,
  val: { value: number },
  io: iomem,
  off: number,
): Sleeps<number> {
  if (test_mem) {
    yield* down_read(vdev.memory_lock);
    if (!__vfio_pci_memory_enabled(vdev)) {
      up_read(vdev.memory_lock);
      return -EIO;
    }
  }

  val.value = read(io, off);

  if (test_mem) up_read(vdev.memory_lock);

  return 0;
}

/** How a width is read, written, and kept in memory. */
interface width {
  readonly bytes: 1 | 2 | 4;
  readonly read: ioread;
  readonly write: iowrite<number>;
  readonly load: (p: kbuf, i: number) => number;
  readonly store: (p: kbuf, i: number, v: number) => void;
}
const WIDTH_32: width = { bytes: 4, read: vfio_ioread32, write: vfio_iowrite32, load: u32_at, store: set_u32_at };
const WIDTH_16: width = { bytes: 2, read: vfio_ioread16, write: vfio_iowrite16, load: u16_at, store: set_u16_at };
const WIDTH_8: width = { bytes: 1, read: vfio_ioread8, write: vfio_iowrite8, load: byte_at, store: set_byte_at };

/**
 * Reads or writes registers, but for a range that nobody gets at: there writes are dropped and reads give ones. That is the
 * table of MSI-X, or what a ROM leaves of its BAR.
 * @off: of the first byte; @x_start, @x_end: the range. @return bytes, -EIO if memory is not enabled, -EFAULT
 */
function* do_io_rw(
  vdev: vfio_pci_core_device,
  test_mem: boolean,
  io: iomem,
  buf: bigint,
  off: number,
  count: number,
  x_start: number,
  x_end: number,
  iswrite: boolean,
): Sleeps<number> {
  let done = 0;
  let ret: number;

  while (count) {
    let fillable: number;
    let filled: number;

    if (off < x_start) fillable = Math.min(count, x_start - off);
    else if (off >= x_end) fillable = count;
    else fillable = 0;

    let by: width | null = null;
    if (fillable >= 4 && !(off % 4)) by = WIDTH_32;
    else if (fillable >= 2 && !(off % 2)) by = WIDTH_16;
    else if (fillable) by = WIDTH_8;

    if (by) {
      const val = new kbuf(by.bytes);

      if (iswrite) {
        if (yield* copy_from_user(val, buf, by.bytes)) return -EFAULT;

        ret = yield* VFIO_IOWRITE(by.write, vdev, test_mem, by.load(val, 0), io, off);
        if (ret) return ret;
      } else {
        const v = { value: 0 };
        ret = yield* VFIO_IOREAD(by.read, vdev, test_mem, v, io, off);
        if (ret) return ret;

        by.store(val, 0, v.value);
        if (yield* copy_to_user(buf, val, by.bytes)) return -EFAULT;
      }

      filled = by.bytes;
    } else {
      filled = Math.min(count, x_end - off);
      if (!iswrite) {
        const val = new kbuf(1);
        set_byte_at(val, 0, 0xff);

        for (let i = 0; i < filled; i++) if (yield* copy_to_user(buf + BigInt(i), val, 1)) return -EFAULT;
      }
    }

    count -= filled;
    done += filled;
    off += filled;
    buf += BigInt(filled);
  }

  return done;
}

/** Takes a BAR and maps it, for as long as the device is open. @return 0, -EBUSY, -ENOMEM */
function* vfio_pci_setup_barmap(vdev: vfio_pci_core_device, bar: number): Sleeps<number> {
  const pdev = vdev.pdev!;

  if (vdev.barmap.at(bar)) return 0;

  const ret = yield* pci_request_selected_regions(pdev, 1 << bar, "vfio");
  if (ret) return ret;

  const io = pci_iomap(pdev, bar, 0);
  if (!io) {
    yield* pci_release_selected_regions(pdev, 1 << bar);
    return -ENOMEM;
  }

  vdev.barmap.set(bar, io);

  return 0;
}

/** read() and write() of a BAR or ROM. @return bytes or -errno. Context: may sleep */
export function* vfio_pci_bar_rw(
  vdev: vfio_pci_core_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
  iswrite: boolean,
): Sleeps<number> {
  const pdev = vdev.pdev!;
  const pos = Number(ppos.value & VFIO_PCI_OFFSET_MASK);
  const bar = VFIO_PCI_OFFSET_TO_INDEX(ppos.value);
  const x_start = { value: 0 };
  let x_end = 0;
  let end: number;
  let io: iomem | null;
  const res = vdev.pdev!.resource.at(bar);

  if (pci_resource_start(pdev, bar)) end = Number(pci_resource_len(pdev, bar));
  else if (bar === PCI_ROM_RESOURCE && pdev.resource.at(bar).flags & IORESOURCE_ROM_SHADOW) end = 0x20000;
  else return -EINVAL;

  if (pos >= end) return -EINVAL;

  count = Math.min(count, end - pos);

  if (bar === PCI_ROM_RESOURCE) {
    // What is behind the ROM's end need not be read.
    io = yield* pci_map_rom(pdev, x_start);
    if (!io) return -ENOMEM;
    x_end = end;
  } else {
    const ret = yield* vfio_pci_setup_barmap(vdev, bar);
    if (ret) return ret;

    io = vdev.barmap.at(bar);
  }

  if (bar === vdev.msix_bar) {
    x_start.value = vdev.msix_offset;
    x_end = (vdev.msix_offset + vdev.msix_size) >>> 0;
  }

  const done = yield* do_io_rw(
    vdev,
    (res.flags & IORESOURCE_MEM) !== 0,
    io!,
    buf,
    pos,
    count,
    x_start.value,
    x_end,
    iswrite,
  );

  if (done >= 0) ppos.value += BigInt(done);

  if (bar === PCI_ROM_RESOURCE) pci_unmap_rom(pdev, io!);

  return done;
}

/** read() and write() of what a VGA device decodes beside its BARs. @return bytes or -errno. Context: may sleep */
export function* vfio_pci_vga_rw(
  vdev: vfio_pci_core_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
  iswrite: boolean,
): Sleeps<number> {
  const pos = Number(ppos.value & VFIO_PCI_OFFSET_MASK);
  let off: number;
  let iomem: iomem | null;
  let rsrc: number;
  let is_ioport: boolean;

  if (!vdev.has_vga) return -EINVAL;

  if (pos > 0xbffff) return -EINVAL;

  if (pos >= 0xa0000 && pos <= 0xbffff) {
    count = Math.min(count, 0xc0000 - pos);
    iomem = ioremap(0xa0000n, 0x20000n);
    off = pos - 0xa0000;
    rsrc = VGA_RSRC_LEGACY_MEM;
    is_ioport = false;
  } else if (pos >= 0x3b0 && pos <= 0x3bb) {
    count = Math.min(count, 0x3bc - pos);
    iomem = ioport_map(0x3b0n, 0x3bb - 0x3b0 + 1);
    off = pos - 0x3b0;
    rsrc = VGA_RSRC_LEGACY_IO;
    is_ioport = true;
  } else if (pos >= 0x3c0 && pos <= 0x3df) {
    count = Math.min(count, 0x3e0 - pos);
    iomem = ioport_map(0x3c0n, 0x3df - 0x3c0 + 1);
    off = pos - 0x3c0;
    rsrc = VGA_RSRC_LEGACY_IO;
    is_ioport = true;
  } else {
    return -EINVAL;
  }

  if (!iomem) return -ENOMEM;

  const ret = vga_get_interruptible(vdev.pdev!, rsrc);
  if (ret) {
    if (is_ioport) ioport_unmap(iomem);
    else iounmap(iomem);
    return ret;
  }

  // Memory that is no BAR: whether the command register enables it is not looked at.
  const done = yield* do_io_rw(vdev, false, iomem, buf, off, count, 0, 0, iswrite);

  vga_put(vdev.pdev!, rsrc);

  if (is_ioport) ioport_unmap(iomem);
  else iounmap(iomem);

  if (done >= 0) ppos.value += BigInt(done);

  return done;
}

function* vfio_pci_ioeventfd_do_write(ioeventfd: ioeventfd_struct, test_mem: boolean): Sleeps {
  const { vdev, addr, data } = ioeventfd;
  const off = Number(ioeventfd.pos);

  switch (ioeventfd.count) {
    case 1:
      yield* VFIO_IOWRITE(vfio_iowrite8, vdev!, test_mem, Number(data & 0xffn), addr!, off);
      break;
    case 2:
      yield* VFIO_IOWRITE(vfio_iowrite16, vdev!, test_mem, Number(data & 0xffffn), addr!, off);
      break;
    case 4:
      yield* VFIO_IOWRITE(vfio_iowrite32, vdev!, test_mem, Number(data & 0xffffffffn), addr!, off);
      break;
    case 8:
      yield* VFIO_IOWRITE(vfio_iowrite64, vdev!, test_mem, data, addr!, off);
      break;
  }
}

function* vfio_pci_ioeventfd_handler(opaque: object | null, _unused: object | null): Spins<number> {
  const ioeventfd = opaque as ioeventfd_struct;
  const vdev = ioeventfd.vdev!;

  if (ioeventfd.test_mem) {
    // Somebody has it: not here, but in the worker
    if (!down_read_trylock(vdev.memory_lock)) return 1;
    if (!__vfio_pci_memory_enabled(vdev)) {
      up_read(vdev.memory_lock);
      return 0;
    }
  }

  yield* atomic_context(vfio_pci_ioeventfd_do_write(ioeventfd, false));

  if (ioeventfd.test_mem) up_read(vdev.memory_lock);

  return 0;
}

function* vfio_pci_ioeventfd_thread(opaque: object | null, _unused: object | null): Sleeps {
  const ioeventfd = opaque as ioeventfd_struct;

  yield* vfio_pci_ioeventfd_do_write(ioeventfd, ioeventfd.test_mem);
}

/**
 * VFIO_DEVICE_IOEVENTFD: an eventfd that has a value written to a BAR when it is signalled.
 * @offset: region and place; @count: bytes; @fd: -1 to have it no more
 * @return 0; -EINVAL; -EEXIST; -ENODEV if there is none to take away; -ENOSPC; -errno. Context: may sleep
 */
export function* vfio_pci_ioeventfd(
  vdev: vfio_pci_core_device,
  offset: bigint,
  data: bigint,
  count: number,
  fd: number,
): Sleeps<number> {
  const pdev = vdev.pdev!;
  const pos = offset & VFIO_PCI_OFFSET_MASK;
  // Signed, both: an offset with the highest bit set gives a BAR below the first, which passes.
  const bar = VFIO_PCI_OFFSET_TO_INDEX(BigInt.asIntN(64, offset)) | 0;

  if (bar > VFIO_PCI_BAR5_REGION_INDEX) return -EINVAL;

  if (pos + BigInt(count) > pci_resource_len(pdev, bar)) return -EINVAL;

  // Not a way to the table of MSI-X either
  if (
    bar === vdev.msix_bar &&
    !(pos + BigInt(count) <= BigInt(vdev.msix_offset) || pos >= BigInt((vdev.msix_offset + vdev.msix_size) >>> 0))
  )
    return -EINVAL;

  let ret = yield* vfio_pci_setup_barmap(vdev, bar);
  if (ret) return ret;

  yield* mutex_lock(vdev.ioeventfds_lock);

  out_unlock: {
    for (const ioeventfd of list_for_each_entry(vdev.ioeventfds_list, ioeventfd_struct, "next")) {
      if (ioeventfd.pos === pos && ioeventfd.bar === bar && ioeventfd.data === data && ioeventfd.count === count) {
        if (fd === -1) {
          yield* vfio_virqfd_disable(new member_of(ioeventfd, "virqfd"));
          list_del(ioeventfd.next);
          vdev.ioeventfds_nr--;
          kfree(ioeventfd);
          ret = 0;
        } else ret = -EEXIST;

        break out_unlock;
      }
    }

    if (fd < 0) {
      ret = -ENODEV;
      break out_unlock;
    }

    if (vdev.ioeventfds_nr >= VFIO_PCI_IOEVENTFD_MAX) {
      ret = -ENOSPC;
      break out_unlock;
    }

    const ioeventfd = kzalloc(ioeventfd_struct, GFP_KERNEL_ACCOUNT);
    if (!ioeventfd) {
      ret = -ENOMEM;
      break out_unlock;
    }

    ioeventfd.vdev = vdev;
    ioeventfd.addr = vdev.barmap.at(bar);
    ioeventfd.data = data;
    ioeventfd.pos = pos;
    ioeventfd.bar = bar;
    ioeventfd.count = count;
    ioeventfd.test_mem = (vdev.pdev!.resource.at(bar).flags & IORESOURCE_MEM) !== 0;

    ret = yield* vfio_virqfd_enable(
      ioeventfd,
      vfio_pci_ioeventfd_handler,
      vfio_pci_ioeventfd_thread,
      null,
      new member_of(ioeventfd, "virqfd"),
      fd,
    );
    if (ret) {
      kfree(ioeventfd);
      break out_unlock;
    }

    list_add(ioeventfd.next, vdev.ioeventfds_list);
    vdev.ioeventfds_nr++;
  }
  mutex_unlock(vdev.ioeventfds_lock);

  return ret;
}
