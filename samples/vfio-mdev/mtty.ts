// SPDX-License-Identifier: GPL-2.0-only
/** A serial port on a PCI card that is not there: mdev of types 1 and 2. Port of samples/vfio-mdev/mtty.c. */
import { ATOMIC_INIT, atomic_add, atomic_read, atomic_try_cmpxchg } from "#linux/atomic.ts";
import { cdev, cdev_add, cdev_del, cdev_init } from "#linux/cdev.ts";
import {
  type class_,
  class_create,
  class_destroy,
  dev_dbg,
  dev_get_drvdata,
  dev_name,
  dev_set_drvdata,
  dev_set_name,
  device,
  DEVICE_ATTR_RO,
  type device_attribute,
  device_register,
  device_unregister,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EFAULT, EINVAL, ENOMEM, ENOSPC, ENOTTY } from "#linux/errno.ts";
import { type eventfd_ctx, eventfd_ctx_fdget, eventfd_ctx_put, eventfd_signal } from "#linux/eventfd.ts";
import { alloc_chrdev_region, type file_operations, type loff_ptr, unregister_chrdev_region } from "#linux/fs.ts";
import { idr, idr_destroy, idr_init } from "#linux/idr.ts";
import { on_stack } from "#linux/kasan.ts";
import { MAJOR, MINORMASK } from "#linux/kdev_t.ts";
import { list_head } from "#linux/list.ts";
import {
  type mdev_device,
  mdev_driver,
  mdev_parent,
  mdev_register_driver,
  mdev_register_parent,
  mdev_type,
  mdev_unregister_driver,
  mdev_unregister_parent,
  to_mdev_device,
} from "#linux/mdev.ts";
import { kbuild } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_MEM_MASK,
  PCI_BASE_ADDRESS_MEM_TYPE_1M,
  PCI_BASE_ADDRESS_MEM_TYPE_32,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_MEM_TYPE_MASK,
} from "#linux/pci.ts";
import { pr_err, pr_info } from "#linux/printk.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { byte_at, memcpy, memset, set_byte_at, set_u16_at, set_u32_at, u32_at } from "#linux/string.ts";
import { type attribute_group, type attribute_groups, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import {
  array,
  b16,
  b32,
  b8,
  bool,
  type byte_memory,
  bytes_at,
  bytestruct,
  container_of,
  embed,
  initialise,
  int,
  type kbuf,
  offsetofend,
  ptr,
  sizeof,
  type Sleeps,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "#linux/types.ts";
import { copy_from_user, copy_to_user, memdup_user } from "#linux/uaccess.ts";
import {
  type out,
  vfio_alloc_device,
  vfio_device,
  type vfio_device_ops,
  vfio_free_device,
  vfio_put_device,
  vfio_register_emulated_iommu_dev,
  vfio_set_irqs_validate_and_prepare,
  vfio_unregister_group_dev,
} from "#linux/vfio.ts";
import {
  UART_FCR,
  UART_FCR_CLEAR_RCVR,
  UART_FCR_CLEAR_XMIT,
  UART_FCR_ENABLE_FIFO,
  UART_FCR_TRIGGER_1,
  UART_FCR_TRIGGER_14,
  UART_FCR_TRIGGER_4,
  UART_FCR_TRIGGER_8,
  UART_FCR_TRIGGER_MASK,
  UART_IER,
  UART_IER_MSI,
  UART_IER_RDI,
  UART_IER_RLSI,
  UART_IER_THRI,
  UART_IIR,
  UART_IIR_MSI,
  UART_IIR_NO_INT,
  UART_IIR_RDI,
  UART_IIR_RLSI,
  UART_IIR_THRI,
  UART_LCR,
  UART_LCR_DLAB,
  UART_LSR,
  UART_LSR_DR,
  UART_LSR_OE,
  UART_LSR_TEMT,
  UART_LSR_THRE,
  UART_MCR,
  UART_MCR_AFE,
  UART_MCR_DTR,
  UART_MCR_OUT2,
  UART_MCR_RTS,
  UART_MSR,
  UART_MSR_CTS,
  UART_MSR_DCD,
  UART_MSR_DCTS,
  UART_MSR_DDSR,
  UART_MSR_DSR,
  UART_RX,
  UART_SCR,
  UART_TX,
} from "#uapi/linux/serial_reg.ts";
import {
  VFIO_DEVICE_API_PCI_STRING,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_TYPE_MASK,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_BAR0_REGION_INDEX,
  VFIO_PCI_BAR1_REGION_INDEX,
  VFIO_PCI_BAR2_REGION_INDEX,
  VFIO_PCI_BAR3_REGION_INDEX,
  VFIO_PCI_BAR4_REGION_INDEX,
  VFIO_PCI_BAR5_REGION_INDEX,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_ERR_IRQ_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_PCI_REQ_IRQ_INDEX,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  vfio_device_info,
  vfio_irq_info,
  vfio_irq_set,
  vfio_region_info,
} from "#uapi/linux/vfio.ts";

const { THIS_MODULE, KBUILD_MODNAME, per_boot, module_init, module_exit, MODULE_LICENSE, MODULE_VERSION } = kbuild(
  import.meta.url,
);

const VERSION_STRING = "0.1";

const MTTY_CLASS_NAME = "mtty";
const MTTY_NAME = "mtty";

const MTTY_CONFIG_SPACE_SIZE = 0xff;
const MTTY_IO_BAR_SIZE = 0x8;

const MAX_FIFO_SIZE = 16;

const CIRCULAR_BUF_INC_IDX = (idx: number): number => (idx + 1) & (MAX_FIFO_SIZE - 1);

const MTTY_VFIO_PCI_OFFSET_SHIFT = 40n;

/** Assigned to an unsigned int in C. */
const MTTY_VFIO_PCI_OFFSET_TO_INDEX = (off: bigint): number =>
  Number(BigInt.asUintN(32, off >> MTTY_VFIO_PCI_OFFSET_SHIFT));
const MTTY_VFIO_PCI_INDEX_TO_OFFSET = (index: number): bigint => BigInt(index) << MTTY_VFIO_PCI_OFFSET_SHIFT;
const MTTY_VFIO_PCI_OFFSET_MASK = (1n << MTTY_VFIO_PCI_OFFSET_SHIFT) - 1n;
const MAX_MTTYS = 24;

class mtty_dev extends struct("mtty_dev", {
  vd_devt: u32(),
  vd_class: ptr<class_>(),
  vd_cdev: embed(() => cdev),
  vd_idr: embed(() => idr),
  dev: embed(() => device),
  parent: embed(() => mdev_parent),
}) {}

class mdev_region_info extends struct("mdev_region_info", {
  start: u64(),
  phys_start: u64(),
  size: u32(),
  vfio_offset: u64(),
}) {}

/** What is sent comes back here. */
class rxtx extends struct("rxtx", {
  fifo: array(MAX_FIFO_SIZE, u8()),
  head: u8(),
  tail: u8(),
  count: u8(),
}) {}

class serial_port extends struct("serial_port", {
  uart_reg: array(8, u8()),
  rxtx: embed(() => rxtx),
  dlab: bool(),
  overrun: bool(),
  divisor: u16(),
  fcr: u8(),
  max_fifo_size: u8(),
  intr_trigger_level: u8(),
}) {}

class mdev_state extends struct("mdev_state", {
  vdev: embed(() => vfio_device),
  irq_fd: int(),
  intx_evtfd: ptr<eventfd_ctx>(),
  msi_evtfd: ptr<eventfd_ctx>(),
  irq_index: int(),
  vconfig: ptr<kbuf>(),
  ops_lock: embed(() => mutex),
  mdev: ptr<mdev_device>(),
  region_info: array(
    VFIO_PCI_NUM_REGIONS,
    embed(() => mdev_region_info),
  ),
  bar_mask: array(VFIO_PCI_NUM_REGIONS, u32()),
  next: embed(() => list_head),
  s: array(
    2,
    embed(() => serial_port),
  ),
  rxtx_lock: embed(() => mutex),
  dev_info: embed(() => vfio_device_info),
  nr_ports: int(),
}) {}

class mtty_type extends struct("mtty_type", {
  type: embed(() => mdev_type),
  nr_ports: int(),
}) {}

/** Variables on the stack. */
class val_u32 extends bytestruct("u32", { v: b32() }) {}
class val_u16 extends bytestruct("u16", { v: b16() }) {}
class val_u8 extends bytestruct("u8", { v: b8() }) {}

const vd_fops: file_operations = {
  owner: THIS_MODULE,
};

/** Compiled in with DEBUG only. */
function dump_buffer(_buf: byte_memory, _count: number): void {}

function mtty_create_config_space(mdev_state: mdev_state): void {
  const vconfig = mdev_state.vconfig!;

  // Vendor and device
  set_u32_at(vconfig, 0x0, 0x32534348);

  // I/O, no memory, no bus master
  set_u16_at(vconfig, 0x4, 0x0001);

  // No list of capabilities
  set_u16_at(vconfig, 0x6, 0x0200);

  set_byte_at(vconfig, 0x8, 0x10);

  // A serial controller that is compatible to the 16550
  set_byte_at(vconfig, 0x9, 0x02);
  set_byte_at(vconfig, 0xa, 0x00);
  set_byte_at(vconfig, 0xb, 0x07);

  // BAR 0: I/O
  set_u32_at(vconfig, 0x10, 0x000001);
  mdev_state.bar_mask.set(0, (~MTTY_IO_BAR_SIZE + 1) >>> 0);

  if (mdev_state.nr_ports === 2) {
    // BAR 1: I/O
    set_u32_at(vconfig, 0x14, 0x000001);
    mdev_state.bar_mask.set(1, (~MTTY_IO_BAR_SIZE + 1) >>> 0);
  }

  // Subsystem
  set_u32_at(vconfig, 0x2c, 0x32534348);

  set_byte_at(vconfig, 0x34, 0x00);
  // INTA#
  set_byte_at(vconfig, 0x3d, 0x01);

  // The vendor's own
  set_byte_at(vconfig, 0x40, 0x23);
  set_byte_at(vconfig, 0x43, 0x80);
  set_byte_at(vconfig, 0x44, 0x23);
  set_byte_at(vconfig, 0x48, 0x23);
  set_byte_at(vconfig, 0x4c, 0x23);

  set_byte_at(vconfig, 0x60, 0x50);
  set_byte_at(vconfig, 0x61, 0x43);
  set_byte_at(vconfig, 0x62, 0x49);
  set_byte_at(vconfig, 0x63, 0x20);
  set_byte_at(vconfig, 0x64, 0x53);
  set_byte_at(vconfig, 0x65, 0x65);
  set_byte_at(vconfig, 0x66, 0x72);
  set_byte_at(vconfig, 0x67, 0x69);
  set_byte_at(vconfig, 0x68, 0x61);
  set_byte_at(vconfig, 0x69, 0x6c);
  set_byte_at(vconfig, 0x6a, 0x2f);
  set_byte_at(vconfig, 0x6b, 0x55);
  set_byte_at(vconfig, 0x6c, 0x41);
  set_byte_at(vconfig, 0x6d, 0x52);
  set_byte_at(vconfig, 0x6e, 0x54);
}

function handle_pci_cfg_write(mdev_state: mdev_state, offset: number, buf: byte_memory, count: number): void {
  const vconfig = mdev_state.vconfig!;
  let bar_index = 0;

  switch (offset) {
    case 0x04:
    case 0x06:
      // Device control and status
      break;
    case 0x3c:
      set_byte_at(vconfig, 0x3c, byte_at(buf, 0));
      break;
    case 0x3d:
      // The pin is wired to INTA
      break;
    case 0x10:
    case 0x14: {
      if (offset === 0x10) bar_index = 0;
      else if (offset === 0x14) bar_index = 1;

      if (mdev_state.nr_ports === 1 && bar_index === 1) {
        set_u32_at(vconfig, offset, 0);
        break;
      }

      let cfg_addr = u32_at(buf, 0);
      pr_info("BAR%d addr 0x%x\n", bar_index, cfg_addr);

      if (cfg_addr === 0xffffffff) {
        const bar_mask = mdev_state.bar_mask.at(bar_index);
        cfg_addr = (cfg_addr & bar_mask) >>> 0;
      }

      cfg_addr = (cfg_addr | (byte_at(vconfig, offset) & 0x3)) >>> 0;
      set_u32_at(vconfig, offset, cfg_addr);
      break;
    }
    case 0x18:
    case 0x1c:
    case 0x20:
      set_u32_at(vconfig, offset, 0);
      break;
    default:
      pr_info("PCI config write @0x%x of %d bytes not handled\n", offset, count);
      break;
  }
}

function* handle_bar_write(
  index: number,
  mdev_state: mdev_state,
  offset: number,
  buf: byte_memory,
  _count: number,
): Sleeps {
  const data = byte_at(buf, 0);
  const s = mdev_state.s;

  switch (offset) {
    case UART_TX:
      // With DLAB, the low byte of the divisor
      if (s.at(index).dlab) {
        s.at(index).divisor |= data;
        break;
      }

      yield* mutex_lock(mdev_state.rxtx_lock);

      if (s.at(index).rxtx.count < s.at(index).max_fifo_size) {
        s.at(index).rxtx.fifo.set(s.at(index).rxtx.head, data);
        s.at(index).rxtx.count++;
        s.at(index).rxtx.head = CIRCULAR_BUF_INC_IDX(s.at(index).rxtx.head);
        s.at(index).overrun = false;

        if (
          s.at(index).uart_reg.at(UART_IER) & UART_IER_RDI &&
          s.at(index).rxtx.count === s.at(index).intr_trigger_level
        )
          yield* mtty_trigger_interrupt(mdev_state);
      } else {
        s.at(index).overrun = true;

        if (s.at(index).uart_reg.at(UART_IER) & UART_IER_RLSI) yield* mtty_trigger_interrupt(mdev_state);
      }
      mutex_unlock(mdev_state.rxtx_lock);
      break;

    case UART_IER:
      // With DLAB, the high byte of the divisor
      if (s.at(index).dlab) s.at(index).divisor |= data << 8;
      else {
        s.at(index).uart_reg.set(offset, data);
        yield* mutex_lock(mdev_state.rxtx_lock);
        if (data & UART_IER_THRI && s.at(index).rxtx.head === s.at(index).rxtx.tail)
          yield* mtty_trigger_interrupt(mdev_state);

        mutex_unlock(mdev_state.rxtx_lock);
      }

      break;

    case UART_FCR:
      s.at(index).fcr = data;

      yield* mutex_lock(mdev_state.rxtx_lock);
      if (data & (UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT)) {
        s.at(index).rxtx.count = 0;
        s.at(index).rxtx.head = 0;
        s.at(index).rxtx.tail = 0;
      }
      mutex_unlock(mdev_state.rxtx_lock);

      switch (data & UART_FCR_TRIGGER_MASK) {
        case UART_FCR_TRIGGER_1:
          s.at(index).intr_trigger_level = 1;
          break;

        case UART_FCR_TRIGGER_4:
          s.at(index).intr_trigger_level = 4;
          break;

        case UART_FCR_TRIGGER_8:
          s.at(index).intr_trigger_level = 8;
          break;

        case UART_FCR_TRIGGER_14:
          s.at(index).intr_trigger_level = 14;
          break;
      }

      // Always 1: there is no timer that would tell of what stays below the level
      s.at(index).intr_trigger_level = 1;
      if (data & UART_FCR_ENABLE_FIFO) s.at(index).max_fifo_size = MAX_FIFO_SIZE;
      else {
        s.at(index).max_fifo_size = 1;
        s.at(index).intr_trigger_level = 1;
      }

      break;

    case UART_LCR:
      if (data & UART_LCR_DLAB) {
        s.at(index).dlab = true;
        s.at(index).divisor = 0;
      } else s.at(index).dlab = false;

      s.at(index).uart_reg.set(offset, data);
      break;

    case UART_MCR:
      s.at(index).uart_reg.set(offset, data);

      if (s.at(index).uart_reg.at(UART_IER) & UART_IER_MSI && data & UART_MCR_OUT2)
        yield* mtty_trigger_interrupt(mdev_state);

      if (s.at(index).uart_reg.at(UART_IER) & UART_IER_MSI && data & (UART_MCR_RTS | UART_MCR_DTR))
        yield* mtty_trigger_interrupt(mdev_state);
      break;

    case UART_LSR:
    case UART_MSR:
      break;

    case UART_SCR:
      s.at(index).uart_reg.set(offset, data);
      break;

    default:
      break;
  }
}

function* handle_bar_read(
  index: number,
  mdev_state: mdev_state,
  offset: number,
  buf: byte_memory,
  _count: number,
): Sleeps {
  const s = mdev_state.s;

  switch (offset) {
    case UART_RX:
      // With DLAB, the low byte of the divisor
      if (s.at(index).dlab) {
        set_byte_at(buf, 0, s.at(index).divisor & 0xff);
        break;
      }

      yield* mutex_lock(mdev_state.rxtx_lock);
      if (s.at(index).rxtx.head !== s.at(index).rxtx.tail) {
        set_byte_at(buf, 0, s.at(index).rxtx.fifo.at(s.at(index).rxtx.tail));
        s.at(index).rxtx.count--;
        s.at(index).rxtx.tail = CIRCULAR_BUF_INC_IDX(s.at(index).rxtx.tail);
      }

      if (s.at(index).rxtx.head === s.at(index).rxtx.tail) {
        if (s.at(index).uart_reg.at(UART_IER) & UART_IER_THRI) yield* mtty_trigger_interrupt(mdev_state);
      }
      mutex_unlock(mdev_state.rxtx_lock);

      break;

    case UART_IER:
      if (s.at(index).dlab) {
        set_byte_at(buf, 0, s.at(index).divisor >> 8);
        break;
      }
      set_byte_at(buf, 0, s.at(index).uart_reg.at(offset) & 0x0f);
      break;

    case UART_IIR: {
      const ier = s.at(index).uart_reg.at(UART_IER);
      set_byte_at(buf, 0, 0);

      yield* mutex_lock(mdev_state.rxtx_lock);
      // First in priority: overrun
      if (ier & UART_IER_RLSI && s.at(index).overrun) set_byte_at(buf, 0, byte_at(buf, 0) | UART_IIR_RLSI);

      // Second: the FIFO has reached its level
      if (ier & UART_IER_RDI && s.at(index).rxtx.count >= s.at(index).intr_trigger_level)
        set_byte_at(buf, 0, byte_at(buf, 0) | UART_IIR_RDI);

      // Third: nothing left to send
      if (ier & UART_IER_THRI && s.at(index).rxtx.head === s.at(index).rxtx.tail)
        set_byte_at(buf, 0, byte_at(buf, 0) | UART_IIR_THRI);

      // Fourth: modem status
      if (ier & UART_IER_MSI && s.at(index).uart_reg.at(UART_MCR) & (UART_MCR_RTS | UART_MCR_DTR))
        set_byte_at(buf, 0, byte_at(buf, 0) | UART_IIR_MSI);

      // Bit 0 is 0 if an interrupt is pending
      if (byte_at(buf, 0) === 0) set_byte_at(buf, 0, UART_IIR_NO_INT);

      // A 16550 has these two
      set_byte_at(buf, 0, byte_at(buf, 0) | 0xc0);
      mutex_unlock(mdev_state.rxtx_lock);
      break;
    }

    case UART_LCR:
    case UART_MCR:
      set_byte_at(buf, 0, s.at(index).uart_reg.at(offset));
      break;

    case UART_LSR: {
      let lsr = 0;

      yield* mutex_lock(mdev_state.rxtx_lock);
      // There is something to read
      if (s.at(index).rxtx.head !== s.at(index).rxtx.tail) lsr |= UART_LSR_DR;

      if (s.at(index).overrun) lsr |= UART_LSR_OE;

      // Nothing left to send
      if (s.at(index).rxtx.head === s.at(index).rxtx.tail) lsr |= UART_LSR_TEMT | UART_LSR_THRE;

      mutex_unlock(mdev_state.rxtx_lock);
      set_byte_at(buf, 0, lsr);
      break;
    }
    case UART_MSR:
      set_byte_at(buf, 0, UART_MSR_DSR | UART_MSR_DDSR | UART_MSR_DCD);

      yield* mutex_lock(mdev_state.rxtx_lock);
      // With AFE, CTS says that there is room
      if (s.at(index).uart_reg.at(UART_MCR) & UART_MCR_AFE) {
        if (s.at(index).rxtx.count < s.at(index).max_fifo_size)
          set_byte_at(buf, 0, byte_at(buf, 0) | UART_MSR_CTS | UART_MSR_DCTS);
      } else set_byte_at(buf, 0, byte_at(buf, 0) | UART_MSR_CTS | UART_MSR_DCTS);
      mutex_unlock(mdev_state.rxtx_lock);

      break;

    case UART_SCR:
      set_byte_at(buf, 0, s.at(index).uart_reg.at(offset));
      break;

    default:
      break;
  }
}

function mdev_read_base(mdev_state: mdev_state): void {
  let pos = PCI_BASE_ADDRESS_0;

  for (let index = 0; index <= VFIO_PCI_BAR5_REGION_INDEX; index++) {
    let start_hi: number;

    if (!mdev_state.region_info.at(index).size) continue;

    const start_lo = (u32_at(mdev_state.vconfig!, pos) & PCI_BASE_ADDRESS_MEM_MASK) >>> 0;
    const mem_type = u32_at(mdev_state.vconfig!, pos) & PCI_BASE_ADDRESS_MEM_TYPE_MASK;

    switch (mem_type) {
      case PCI_BASE_ADDRESS_MEM_TYPE_64:
        start_hi = u32_at(mdev_state.vconfig!, pos + 4);
        pos += 4;
        break;
      case PCI_BASE_ADDRESS_MEM_TYPE_32:
      case PCI_BASE_ADDRESS_MEM_TYPE_1M:
      // A BAR below 1 MB, and one of unknown type, count as 32 bits wide
      // fallthrough
      default:
        start_hi = 0;
        break;
    }
    pos += 4;
    mdev_state.region_info.at(index).start = (BigInt(start_hi) << 32n) | BigInt(start_lo);
  }
}

function* mdev_access(
  mdev_state: mdev_state,
  buf: byte_memory | null,
  count: number,
  pos: bigint,
  is_write: boolean,
): Sleeps<number> {
  let ret = 0;

  if (!buf) return -EINVAL;

  yield* mutex_lock(mdev_state.ops_lock);

  accessfailed: {
    const index = MTTY_VFIO_PCI_OFFSET_TO_INDEX(pos);
    const offset = pos & MTTY_VFIO_PCI_OFFSET_MASK;
    switch (index) {
      case VFIO_PCI_CONFIG_REGION_INDEX:
        if (is_write) {
          dump_buffer(buf, count);
          handle_pci_cfg_write(mdev_state, Number(offset & 0xffffn), buf, count);
        } else {
          memcpy(buf, bytes_at(mdev_state.vconfig!, Number(offset)), count);
          dump_buffer(buf, count);
        }

        break;

      case VFIO_PCI_BAR0_REGION_INDEX:
      case VFIO_PCI_BAR1_REGION_INDEX:
      case VFIO_PCI_BAR2_REGION_INDEX:
      case VFIO_PCI_BAR3_REGION_INDEX:
      case VFIO_PCI_BAR4_REGION_INDEX:
      case VFIO_PCI_BAR5_REGION_INDEX:
        if (!mdev_state.region_info.at(index).start) mdev_read_base(mdev_state);

        if (is_write) {
          dump_buffer(buf, count);

          yield* handle_bar_write(index, mdev_state, Number(offset & 0xffffn), buf, count);
        } else {
          yield* handle_bar_read(index, mdev_state, Number(offset & 0xffffn), buf, count);
          dump_buffer(buf, count);
        }
        break;

      default:
        ret = -1;
        break accessfailed;
    }

    ret = count;
  }
  mutex_unlock(mdev_state.ops_lock);

  return ret;
}

function mtty_init_dev(vdev: vfio_device): number {
  const state = container_of(vdev, mdev_state, "vdev");
  const mdev = to_mdev_device(vdev.dev);
  const type = container_of(mdev.type, mtty_type, "type");
  const avail_ports = { value: atomic_read(d.mdev_avail_ports) };
  let ret: number;

  do {
    if (avail_ports.value < type.nr_ports) return -ENOSPC;
  } while (!atomic_try_cmpxchg(d.mdev_avail_ports, avail_ports, avail_ports.value - type.nr_ports));

  state.nr_ports = type.nr_ports;
  state.irq_index = -1;
  state.s.at(0).max_fifo_size = MAX_FIFO_SIZE;
  state.s.at(1).max_fifo_size = MAX_FIFO_SIZE;
  mutex_init(state.rxtx_lock, "&mdev_state->rxtx_lock");

  err_nr_ports: {
    state.vconfig = kzalloc(MTTY_CONFIG_SPACE_SIZE, GFP_KERNEL);
    if (!state.vconfig) {
      ret = -ENOMEM;
      break err_nr_ports;
    }

    mutex_init(state.ops_lock, "&mdev_state->ops_lock");
    state.mdev = mdev;
    mtty_create_config_space(state);
    return 0;
  }
  atomic_add(type.nr_ports, d.mdev_avail_ports);
  return ret;
}

function* mtty_probe(mdev: mdev_device): Sleeps<number> {
  const state = yield* vfio_alloc_device(mdev_state, "vdev", mdev.dev, mtty_dev_ops);
  if (IS_ERR(state)) return PTR_ERR(state);

  const ret = yield* vfio_register_emulated_iommu_dev(state.vdev);
  err_put_vdev: {
    if (ret) break err_put_vdev;
    dev_set_drvdata(mdev.dev, state);
    return 0;
  }
  yield* vfio_put_device(state.vdev);
  return ret;
}

function mtty_release_dev(vdev: vfio_device): void {
  const state = container_of(vdev, mdev_state, "vdev");

  atomic_add(state.nr_ports, d.mdev_avail_ports);
  kfree(state.vconfig);
  vfio_free_device(vdev);
}

function* mtty_remove(mdev: mdev_device): Sleeps {
  const state = dev_get_drvdata<mdev_state>(mdev.dev);

  yield* vfio_unregister_group_dev(state!.vdev);
  yield* vfio_put_device(state!.vdev);
}

function mtty_reset(_mdev_state: mdev_state): number {
  pr_info("%s: called\n", "mtty_reset");

  return 0;
}

function* mtty_read(vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const state = container_of(vdev, mdev_state, "vdev");
  let done = 0;
  let ret: number;

  read_err: {
    while (count) {
      let filled: number;

      if (count >= 4 && !(ppos.value % 4n)) {
        using val = on_stack(val_u32);

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, false);
        if (ret <= 0) break read_err;

        if (yield* copy_to_user(buf, val, sizeof(val))) break read_err;

        filled = 4;
      } else if (count >= 2 && !(ppos.value % 2n)) {
        using val = on_stack(val_u16);

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, false);
        if (ret <= 0) break read_err;

        if (yield* copy_to_user(buf, val, sizeof(val))) break read_err;

        filled = 2;
      } else {
        using val = on_stack(val_u8);

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, false);
        if (ret <= 0) break read_err;

        if (yield* copy_to_user(buf, val, sizeof(val))) break read_err;

        filled = 1;
      }

      count -= filled;
      done += filled;
      ppos.value += BigInt(filled);
      buf += BigInt(filled);
    }

    return done;
  }
  return -EFAULT;
}

function* mtty_write(vdev: vfio_device, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const state = container_of(vdev, mdev_state, "vdev");
  let done = 0;
  let ret: number;

  write_err: {
    while (count) {
      let filled: number;

      if (count >= 4 && !(ppos.value % 4n)) {
        using val = on_stack(val_u32);

        if (yield* copy_from_user(val, buf, sizeof(val))) break write_err;

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, true);
        if (ret <= 0) break write_err;

        filled = 4;
      } else if (count >= 2 && !(ppos.value % 2n)) {
        using val = on_stack(val_u16);

        if (yield* copy_from_user(val, buf, sizeof(val))) break write_err;

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, true);
        if (ret <= 0) break write_err;

        filled = 2;
      } else {
        using val = on_stack(val_u8);

        if (yield* copy_from_user(val, buf, sizeof(val))) break write_err;

        ret = yield* mdev_access(state, val, sizeof(val), ppos.value, true);
        if (ret <= 0) break write_err;

        filled = 1;
      }
      count -= filled;
      done += filled;
      ppos.value += BigInt(filled);
      buf += BigInt(filled);
    }

    return done;
  }
  return -EFAULT;
}

function* mtty_set_irqs(
  mdev_state: mdev_state,
  flags: number,
  index: number,
  _start: number,
  _count: number,
  data: kbuf | null,
): Sleeps<number> {
  let ret = 0;

  yield* mutex_lock(mdev_state.ops_lock);
  switch (index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_MASK:
        case VFIO_IRQ_SET_ACTION_UNMASK:
          break;
        case VFIO_IRQ_SET_ACTION_TRIGGER: {
          if (flags & VFIO_IRQ_SET_DATA_NONE) {
            pr_info("%s: disable INTx\n", "mtty_set_irqs");
            if (mdev_state.intx_evtfd) eventfd_ctx_put(mdev_state.intx_evtfd);
            break;
          }

          if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
            const fd = u32_at(data!, 0) | 0;

            if (fd > 0) {
              const evt = eventfd_ctx_fdget(fd);
              if (IS_ERR(evt)) {
                ret = PTR_ERR(evt);
                break;
              }
              mdev_state.intx_evtfd = evt;
              mdev_state.irq_fd = fd;
              mdev_state.irq_index = index;
              break;
            }
          }
          break;
        }
      }
      break;
    case VFIO_PCI_MSI_IRQ_INDEX:
      switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
        case VFIO_IRQ_SET_ACTION_MASK:
        case VFIO_IRQ_SET_ACTION_UNMASK:
          break;
        case VFIO_IRQ_SET_ACTION_TRIGGER:
          if (flags & VFIO_IRQ_SET_DATA_NONE) {
            if (mdev_state.msi_evtfd) eventfd_ctx_put(mdev_state.msi_evtfd);
            pr_info("%s: disable MSI\n", "mtty_set_irqs");
            mdev_state.irq_index = VFIO_PCI_INTX_IRQ_INDEX;
            break;
          }
          if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
            const fd = u32_at(data!, 0) | 0;

            if (fd <= 0) break;

            if (mdev_state.msi_evtfd) break;

            const evt = eventfd_ctx_fdget(fd);
            if (IS_ERR(evt)) {
              ret = PTR_ERR(evt);
              break;
            }
            mdev_state.msi_evtfd = evt;
            mdev_state.irq_fd = fd;
            mdev_state.irq_index = index;
          }
          break;
      }
      break;
    case VFIO_PCI_MSIX_IRQ_INDEX:
      pr_info("%s: MSIX_IRQ\n", "mtty_set_irqs");
      break;
    case VFIO_PCI_ERR_IRQ_INDEX:
      pr_info("%s: ERR_IRQ\n", "mtty_set_irqs");
      break;
    case VFIO_PCI_REQ_IRQ_INDEX:
      pr_info("%s: REQ_IRQ\n", "mtty_set_irqs");
      break;
  }

  mutex_unlock(mdev_state.ops_lock);
  return ret;
}

function* mtty_trigger_interrupt(mdev_state: mdev_state): Sleeps<number> {
  let ret = -1;

  if (mdev_state.irq_index === VFIO_PCI_MSI_IRQ_INDEX && !mdev_state.msi_evtfd) return -EINVAL;
  else if (mdev_state.irq_index === VFIO_PCI_INTX_IRQ_INDEX && !mdev_state.intx_evtfd) {
    pr_info("%s: Intr eventfd not found\n", "mtty_trigger_interrupt");
    return -EINVAL;
  }

  // No interrupt was ever set up, irq_index is -1: the eventfd is NULL
  if (mdev_state.irq_index === VFIO_PCI_MSI_IRQ_INDEX) ret = Number(yield* eventfd_signal(mdev_state.msi_evtfd!, 1));
  else ret = Number(yield* eventfd_signal(mdev_state.intx_evtfd!, 1));

  if (ret !== 1) pr_err("%s: eventfd signal failed (%d)\n", "mtty_trigger_interrupt", ret);

  return ret;
}

function* mtty_get_region_info(
  mdev_state: mdev_state,
  region_info: vfio_region_info,
  _cap_type_id: out<number>,
  _cap_type: out<object | null>,
): Sleeps<number> {
  let size = 0;

  const bar_index = region_info.index;
  if (bar_index >= VFIO_PCI_NUM_REGIONS) return -EINVAL;

  yield* mutex_lock(mdev_state.ops_lock);

  switch (bar_index) {
    case VFIO_PCI_CONFIG_REGION_INDEX:
      size = MTTY_CONFIG_SPACE_SIZE;
      break;
    case VFIO_PCI_BAR0_REGION_INDEX:
      size = MTTY_IO_BAR_SIZE;
      break;
    case VFIO_PCI_BAR1_REGION_INDEX:
      if (mdev_state.nr_ports === 2) size = MTTY_IO_BAR_SIZE;
      break;
    default:
      size = 0;
      break;
  }

  mdev_state.region_info.at(bar_index).size = size;
  mdev_state.region_info.at(bar_index).vfio_offset = MTTY_VFIO_PCI_INDEX_TO_OFFSET(bar_index);

  region_info.size = BigInt(size);
  region_info.offset = MTTY_VFIO_PCI_INDEX_TO_OFFSET(bar_index);
  region_info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  mutex_unlock(mdev_state.ops_lock);
  return 0;
}

function mtty_get_irq_info(irq_info: vfio_irq_info): number {
  switch (irq_info.index) {
    case VFIO_PCI_INTX_IRQ_INDEX:
    case VFIO_PCI_MSI_IRQ_INDEX:
    case VFIO_PCI_REQ_IRQ_INDEX:
      break;

    default:
      return -EINVAL;
  }

  irq_info.flags = VFIO_IRQ_INFO_EVENTFD;
  irq_info.count = 1;

  if (irq_info.index === VFIO_PCI_INTX_IRQ_INDEX) irq_info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
  else irq_info.flags |= VFIO_IRQ_INFO_NORESIZE;

  return 0;
}

function mtty_get_device_info(dev_info: vfio_device_info): number {
  dev_info.flags = VFIO_DEVICE_FLAGS_PCI;
  dev_info.num_regions = VFIO_PCI_NUM_REGIONS;
  dev_info.num_irqs = VFIO_PCI_NUM_IRQS;

  return 0;
}

function* mtty_ioctl(vdev: vfio_device, cmd: number, arg: bigint): Sleeps<number> {
  const state = container_of(vdev, mdev_state, "vdev");
  let ret = 0;

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      const info = new vfio_device_info();

      const minsz = offsetofend(vfio_device_info, "num_irqs");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      ret = mtty_get_device_info(info);
      if (ret) return ret;

      memcpy(state.dev_info, info, sizeof(info));

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;

      return 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      const info = new vfio_region_info();
      const cap_type_id = { value: 0 };
      const cap_type = { value: null };

      const minsz = offsetofend(vfio_region_info, "offset");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz) return -EINVAL;

      ret = yield* mtty_get_region_info(state, info, cap_type_id, cap_type);
      if (ret) return ret;

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;

      return 0;
    }

    case VFIO_DEVICE_GET_IRQ_INFO: {
      const info = new vfio_irq_info();

      const minsz = offsetofend(vfio_irq_info, "count");

      if (yield* copy_from_user(info, arg, minsz)) return -EFAULT;

      if (info.argsz < minsz || info.index >= state.dev_info.num_irqs) return -EINVAL;

      ret = mtty_get_irq_info(info);
      if (ret) return ret;

      if (yield* copy_to_user(arg, info, minsz)) return -EFAULT;

      return 0;
    }
    case VFIO_DEVICE_SET_IRQS: {
      const hdr = new vfio_irq_set();
      let data: kbuf | null = null;
      let ptr: kbuf | null = null;
      const data_size = { value: 0 };

      const minsz = offsetofend(vfio_irq_set, "count");

      if (yield* copy_from_user(hdr, arg, minsz)) return -EFAULT;

      ret = vfio_set_irqs_validate_and_prepare(hdr, state.dev_info.num_irqs, VFIO_PCI_NUM_IRQS, data_size);
      if (ret) return ret;

      if (data_size.value) {
        ptr = data = yield* memdup_user(arg + BigInt(minsz), data_size.value);
        if (IS_ERR(data)) return PTR_ERR(data);
      }

      ret = yield* mtty_set_irqs(state, hdr.flags, hdr.index, hdr.start, hdr.count, data);

      kfree(ptr);
      return ret;
    }
    case VFIO_DEVICE_RESET:
      return mtty_reset(state);
  }
  return -ENOTTY;
}

function sample_mdev_dev_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "This is MDEV %s\n", dev_name(dev));
}

const dev_attr_sample_mdev_dev = DEVICE_ATTR_RO("sample_mdev_dev", sample_mdev_dev_show);

const mdev_dev_group: attribute_group = {
  name: "vendor",
  attrs: [dev_attr_sample_mdev_dev.attr],
};

const mdev_dev_groups: attribute_groups = [mdev_dev_group];

function mtty_get_available(mtype: mdev_type): number {
  const type = container_of(mtype, mtty_type, "type");

  return Math.trunc(atomic_read(d.mdev_avail_ports) / type.nr_ports);
}

const mtty_dev_ops: vfio_device_ops = {
  name: "vfio-mtty",
  init: mtty_init_dev,
  release: mtty_release_dev,
  read: mtty_read,
  write: mtty_write,
  ioctl: mtty_ioctl,
};

const d = per_boot(() => {
  const mtty_types = [
    initialise(new mtty_type(), { nr_ports: 1, type: { sysfs_name: "1", pretty_name: "Single port serial" } }),
    initialise(new mtty_type(), { nr_ports: 2, type: { sysfs_name: "2", pretty_name: "Dual port serial" } }),
  ];
  return {
    mtty_dev: new mtty_dev(),
    mtty_types,
    mtty_mdev_types: mtty_types.map((t) => t.type),
    mdev_avail_ports: ATOMIC_INIT(MAX_MTTYS),
    mtty_driver: initialise(new mdev_driver(), {
      device_api: VFIO_DEVICE_API_PCI_STRING,
      driver: {
        name: "mtty",
        owner: THIS_MODULE,
        mod_name: KBUILD_MODNAME,
        dev_groups: mdev_dev_groups,
      },
      probe: mtty_probe,
      remove: mtty_remove,
      get_available: mtty_get_available,
    }),
  };
});

function mtty_device_release(dev: device): void {
  dev_dbg(dev, "mtty: released\n");
}

function* mtty_dev_init(): Sleeps<number> {
  const mtty_dev = d.mtty_dev;
  let ret = 0;

  pr_info("mtty_dev: %s\n", "mtty_dev_init");

  memset(mtty_dev, 0, sizeof(mtty_dev));

  idr_init(mtty_dev.vd_idr);

  const vd_devt = { value: mtty_dev.vd_devt };
  ret = yield* alloc_chrdev_region(vd_devt, 0, MINORMASK + 1, MTTY_NAME);
  mtty_dev.vd_devt = vd_devt.value;

  if (ret < 0) {
    pr_err("Error: failed to register mtty_dev, err:%d\n", ret);
    return ret;
  }

  cdev_init(mtty_dev.vd_cdev, vd_fops);
  yield* cdev_add(mtty_dev.vd_cdev, mtty_dev.vd_devt, MINORMASK + 1);

  pr_info("major_number:%d\n", MAJOR(mtty_dev.vd_devt));

  err_cdev: {
    ret = yield* mdev_register_driver(d.mtty_driver);
    if (ret) break err_cdev;

    err_driver: {
      mtty_dev.vd_class = yield* class_create(THIS_MODULE, MTTY_CLASS_NAME);

      if (IS_ERR(mtty_dev.vd_class)) {
        pr_err("Error: failed to register mtty_dev class\n");
        ret = PTR_ERR(mtty_dev.vd_class);
        break err_driver;
      }

      mtty_dev.dev.class = mtty_dev.vd_class;
      mtty_dev.dev.release = mtty_device_release;
      dev_set_name(mtty_dev.dev, "%s", MTTY_NAME);

      err_class: {
        ret = yield* device_register(mtty_dev.dev);
        if (ret) break err_class;

        err_device: {
          ret = yield* mdev_register_parent(
            mtty_dev.parent,
            mtty_dev.dev,
            d.mtty_driver,
            d.mtty_mdev_types,
            d.mtty_mdev_types.length,
          );
          if (ret) break err_device;
          return 0;
        }
        yield* device_unregister(mtty_dev.dev);
      }
      yield* class_destroy(mtty_dev.vd_class);
    }
    yield* mdev_unregister_driver(d.mtty_driver);
  }
  yield* cdev_del(mtty_dev.vd_cdev);
  yield* unregister_chrdev_region(mtty_dev.vd_devt, MINORMASK + 1);
  return ret;
}

function* mtty_dev_exit(): Sleeps {
  const mtty_dev = d.mtty_dev;

  mtty_dev.dev.bus = null;
  yield* mdev_unregister_parent(mtty_dev.parent);

  yield* device_unregister(mtty_dev.dev);
  idr_destroy(mtty_dev.vd_idr);
  yield* mdev_unregister_driver(d.mtty_driver);
  yield* cdev_del(mtty_dev.vd_cdev);
  yield* unregister_chrdev_region(mtty_dev.vd_devt, MINORMASK + 1);
  yield* class_destroy(mtty_dev.vd_class);
  mtty_dev.vd_class = null;
  pr_info("mtty_dev: Unloaded!\n");
}

module_init(mtty_dev_init);
module_exit(mtty_dev_exit);

MODULE_LICENSE("GPL v2");
MODULE_VERSION(VERSION_STRING);
