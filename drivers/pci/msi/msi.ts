// SPDX-License-Identifier: GPL-2.0-only
/**
 * Interrupts that PCI functions send as messages. Source: drivers/pci/msi/msi.c
 * Not here: spreading over CPUs, quirks, entries of the driver's choice, devices that pcim_enable_device() manages, msi_irqs in sysfs.
 */
import { WARN_ON_ONCE } from "#linux/bug.ts";
import { EINVAL, ENOMEM, ENOSPC, ERANGE } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { type iomem, ioremap, iounmap, readl, writel } from "#linux/io.ts";
import { IORESOURCE_UNSET } from "#linux/ioport.ts";
import { roundup_pow_of_two } from "#linux/log2.ts";
import {
  irq_get_msi_desc,
  msi_add_msi_desc,
  msi_desc,
  msi_first_desc,
  msi_for_each_desc,
  msi_get_virq,
  msi_lock_descs,
  type msi_msg,
  msi_setup_device_data,
  msi_unlock_descs,
} from "#linux/msi.ts";
import {
  type pci_bus,
  PCI_BUS_FLAGS_NO_MSI,
  PCI_D0,
  type pci_dev,
  pci_dev_is_disconnected,
  pci_info,
  pci_intx,
  PCI_IRQ_LEGACY,
  PCI_IRQ_MSI,
  PCI_IRQ_MSIX,
  PCI_MSI_ADDRESS_HI,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_32,
  PCI_MSI_DATA_64,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_64BIT,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSI_FLAGS_MASKBIT,
  PCI_MSI_FLAGS_QMASK,
  PCI_MSI_FLAGS_QSIZE,
  PCI_MSI_MASK_32,
  PCI_MSI_MASK_64,
  PCI_MSIX_ENTRY_CTRL_MASKBIT,
  PCI_MSIX_ENTRY_DATA,
  PCI_MSIX_ENTRY_LOWER_ADDR,
  PCI_MSIX_ENTRY_SIZE,
  PCI_MSIX_ENTRY_UPPER_ADDR,
  PCI_MSIX_ENTRY_VECTOR_CTRL,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_ENABLE,
  PCI_MSIX_FLAGS_MASKALL,
  PCI_MSIX_FLAGS_QSIZE,
  PCI_MSIX_TABLE,
  PCI_MSIX_TABLE_BIR,
  PCI_MSIX_TABLE_OFFSET,
  pci_read_config_dword,
  pci_read_config_word,
  pci_resource_flags,
  pci_resource_start,
  pci_write_config_dword,
  pci_write_config_word,
  to_pci_dev,
} from "#linux/pci.ts";
import { raw_spin_lock_irqsave, raw_spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { copy_struct } from "#linux/string.ts";
import type { Sleeps, Spins } from "#linux/types.ts";
import { pci_msi_setup_msi_irqs, pci_msi_teardown_msi_irqs } from "./irqdomain.ts";

const { EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const msi_desc_to_pci_dev = (desc: msi_desc): pci_dev => to_pci_dev(desc.dev!);
const msix_table_size = (flags: number): number => (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
/** The bits of all messages that the function can send. */
const msi_multi_mask = (desc: msi_desc): number =>
  desc.pci.multi_cap >= 5 ? 0xffffffff : 2 ** (1 << desc.pci.multi_cap) - 1;

function* pci_msi_update_mask(desc: msi_desc, clear: number, set: number): Spins {
  const lock = msi_desc_to_pci_dev(desc).msi_lock;

  if (!desc.pci.can_mask) return;

  const flags = yield* raw_spin_lock_irqsave(lock);
  desc.pci.msi_mask = (desc.pci.msi_mask & ~clear) | set;
  pci_write_config_dword(msi_desc_to_pci_dev(desc), desc.pci.mask_pos, desc.pci.msi_mask);
  yield* raw_spin_unlock_irqrestore(lock, flags);
}
const pci_msi_mask = (desc: msi_desc, mask: number): Spins => pci_msi_update_mask(desc, 0, mask);
const pci_msi_unmask = (desc: msi_desc, mask: number): Spins => pci_msi_update_mask(desc, mask, 0);

/** Where a message's entry is in the table that is mapped at mask_base. */
const pci_msix_desc_addr = (desc: msi_desc): number => desc.msi_index * PCI_MSIX_ENTRY_SIZE;

/* Neither flushed nor remembered. */
function pci_msix_write_vector_ctrl(desc: msi_desc, ctrl: number): void {
  const desc_addr = pci_msix_desc_addr(desc);

  if (desc.pci.can_mask) writel(ctrl, desc.pci.mask_base!, desc_addr + PCI_MSIX_ENTRY_VECTOR_CTRL);
}
function pci_msix_mask(desc: msi_desc): void {
  desc.pci.msix_ctrl |= PCI_MSIX_ENTRY_CTRL_MASKBIT;
  pci_msix_write_vector_ctrl(desc, desc.pci.msix_ctrl);
  // Flush
  readl(desc.pci.mask_base!);
}
function pci_msix_unmask(desc: msi_desc): void {
  desc.pci.msix_ctrl &= ~PCI_MSIX_ENTRY_CTRL_MASKBIT;
  pci_msix_write_vector_ctrl(desc, desc.pci.msix_ctrl);
}

/** Of the messages' chip. Any context. Source: drivers/pci/msi/msi.c */
export function* pci_msi_mask_irq(desc: msi_desc, irq: number): Spins {
  if (desc.pci.is_msix) pci_msix_mask(desc);
  else yield* pci_msi_mask(desc, 1 << (irq - desc.irq));
}
/** The opposite. Any context. */
export function* pci_msi_unmask_irq(desc: msi_desc, irq: number): Spins {
  if (desc.pci.is_msix) pci_msix_unmask(desc);
  else yield* pci_msi_unmask(desc, 1 << (irq - desc.irq));
}

/** Gives a device a message, if it is awake, and remembers it. Any context. Source: drivers/pci/msi/msi.c */
export function __pci_write_msi_msg(entry: msi_desc, msg: msi_msg): void {
  const dev = msi_desc_to_pci_dev(entry);
  const low = Number(BigInt.asUintN(32, msg.address));
  const high = Number(msg.address >> 32n);

  skip: {
    if (dev.current_state !== PCI_D0 || pci_dev_is_disconnected(dev)) {
      // It gets it when its state is restored.
    } else if (entry.pci.is_msix) {
      const base = pci_msix_desc_addr(entry);
      const ctrl = entry.pci.msix_ctrl;
      const unmasked = !(ctrl & PCI_MSIX_ENTRY_CTRL_MASKBIT);

      if (entry.pci.is_virtual) break skip;

      // What a device does with an entry that changes while it is not masked, nobody knows.
      if (unmasked) pci_msix_write_vector_ctrl(entry, ctrl | PCI_MSIX_ENTRY_CTRL_MASKBIT);

      writel(low, entry.pci.mask_base!, base + PCI_MSIX_ENTRY_LOWER_ADDR);
      writel(high, entry.pci.mask_base!, base + PCI_MSIX_ENTRY_UPPER_ADDR);
      writel(msg.data, entry.pci.mask_base!, base + PCI_MSIX_ENTRY_DATA);

      if (unmasked) pci_msix_write_vector_ctrl(entry, ctrl);

      // Flush
      readl(entry.pci.mask_base!, base + PCI_MSIX_ENTRY_DATA);
    } else {
      const pos = dev.msi_cap;
      const msgctl = { value: 0 };

      pci_read_config_word(dev, pos + PCI_MSI_FLAGS, msgctl);
      msgctl.value &= ~PCI_MSI_FLAGS_QSIZE;
      msgctl.value |= entry.pci.multiple << 4;
      pci_write_config_word(dev, pos + PCI_MSI_FLAGS, msgctl.value);

      pci_write_config_dword(dev, pos + PCI_MSI_ADDRESS_LO, low);
      if (entry.pci.is_64) {
        pci_write_config_dword(dev, pos + PCI_MSI_ADDRESS_HI, high);
        pci_write_config_word(dev, pos + PCI_MSI_DATA_64, msg.data & 0xffff);
      } else {
        pci_write_config_word(dev, pos + PCI_MSI_DATA_32, msg.data & 0xffff);
      }
      // Flush
      pci_read_config_word(dev, pos + PCI_MSI_FLAGS, msgctl);
    }
  }
  copy_struct(entry.msg, msg);
}

/** Gives an interrupt's device its message. Context: nobody has a handler for it. Source: drivers/pci/msi/msi.c */
export function pci_write_msi_msg(irq: number, msg: msi_msg): void {
  const entry = irq_get_msi_desc(irq);

  __pci_write_msi_msg(entry!, msg);
}
EXPORT_SYMBOL_GPL(pci_write_msi_msg);

function* free_msi_irqs(dev: pci_dev): Spins {
  yield* pci_msi_teardown_msi_irqs(dev);

  if (dev.msix_base) {
    iounmap(dev.msix_base);
    dev.msix_base = null;
  }
}

function pci_intx_for_msi(dev: pci_dev, enable: boolean): void {
  pci_intx(dev, enable);
}

function pci_msi_set_enable(dev: pci_dev, enable: boolean): void {
  const control = { value: 0 };

  pci_read_config_word(dev, dev.msi_cap + PCI_MSI_FLAGS, control);
  control.value &= ~PCI_MSI_FLAGS_ENABLE;
  if (enable) control.value |= PCI_MSI_FLAGS_ENABLE;
  pci_write_config_word(dev, dev.msi_cap + PCI_MSI_FLAGS, control.value);
}

function* __pci_restore_msi_state(dev: pci_dev): Spins {
  const control = { value: 0 };

  if (!dev.msi_enabled) return;

  const entry = irq_get_msi_desc(dev.irq)!;

  pci_intx_for_msi(dev, false);
  pci_msi_set_enable(dev, false);
  __pci_write_msi_msg(entry, entry.msg);

  pci_read_config_word(dev, dev.msi_cap + PCI_MSI_FLAGS, control);
  yield* pci_msi_update_mask(entry, 0, 0);
  control.value &= ~PCI_MSI_FLAGS_QSIZE;
  control.value |= (entry.pci.multiple << 4) | PCI_MSI_FLAGS_ENABLE;
  pci_write_config_word(dev, dev.msi_cap + PCI_MSI_FLAGS, control.value);
}

function pci_msix_clear_and_set_ctrl(dev: pci_dev, clear: number, set: number): void {
  const ctrl = { value: 0 };

  pci_read_config_word(dev, dev.msix_cap + PCI_MSIX_FLAGS, ctrl);
  ctrl.value &= ~clear;
  ctrl.value |= set;
  pci_write_config_word(dev, dev.msix_cap + PCI_MSIX_FLAGS, ctrl.value);
}

function* __pci_restore_msix_state(dev: pci_dev): Sleeps {
  if (!dev.msix_enabled) return;

  pci_intx_for_msi(dev, false);
  pci_msix_clear_and_set_ctrl(dev, 0, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);

  yield* msi_lock_descs(dev.dev);
  for (const entry of msi_for_each_desc(dev.dev)) {
    __pci_write_msi_msg(entry, entry.msg);
    pci_msix_write_vector_ctrl(entry, entry.pci.msix_ctrl);
  }
  msi_unlock_descs(dev.dev);

  pci_msix_clear_and_set_ctrl(dev, PCI_MSIX_FLAGS_MASKALL, 0);
}

/** The part of pci_restore_state() that is about messages. May sleep. Source: drivers/pci/msi/msi.c */
export function* pci_restore_msi_state(dev: pci_dev): Sleeps {
  yield* __pci_restore_msi_state(dev);
  yield* __pci_restore_msix_state(dev);
}
EXPORT_SYMBOL_GPL(pci_restore_msi_state);

const pci_setup_msi_context = (dev: pci_dev): Sleeps<number> => msi_setup_device_data(dev.dev);

function msi_setup_msi_desc(dev: pci_dev, nvec: number): number {
  const desc = new msi_desc();
  const control = { value: 0 };
  const mask = { value: 0 };

  pci_read_config_word(dev, dev.msi_cap + PCI_MSI_FLAGS, control);

  desc.nvec_used = nvec;
  desc.pci.is_64 = (control.value & PCI_MSI_FLAGS_64BIT) !== 0;
  desc.pci.can_mask = (control.value & PCI_MSI_FLAGS_MASKBIT) !== 0;
  desc.pci.default_irq = dev.irq;
  desc.pci.multi_cap = (control.value & PCI_MSI_FLAGS_QMASK) >> 1;
  desc.pci.multiple = Math.log2(roundup_pow_of_two(nvec));

  desc.pci.mask_pos = dev.msi_cap + (control.value & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);

  // As somebody before us left it
  if (desc.pci.can_mask) {
    pci_read_config_dword(dev, desc.pci.mask_pos, mask);
    desc.pci.msi_mask = mask.value;
  }

  return msi_add_msi_desc(dev.dev, desc);
}

function* msi_capability_init(dev: pci_dev, nvec: number): Sleeps<number> {
  const desc = new msi_desc();
  let ret: number;

  // Off while it is being set up, though those who set it up see that it is on.
  pci_msi_set_enable(dev, false);
  dev.msi_enabled = true;

  yield* msi_lock_descs(dev.dev);
  unlock: {
    fail: {
      ret = msi_setup_msi_desc(dev, nvec);
      if (ret) break fail;

      // All masked: what is on first does not come
      const entry = msi_first_desc(dev.dev)!;
      yield* pci_msi_mask(entry, msi_multi_mask(entry));
      // For the way out, when it has been freed
      desc.dev = entry.dev;
      copy_struct(desc.pci, entry.pci);

      err: {
        ret = yield* pci_msi_setup_msi_irqs(dev);
        if (ret) break err;

        pci_intx_for_msi(dev, false);
        pci_msi_set_enable(dev, true);

        dev.irq = entry.irq;
        break unlock;
      }
      yield* pci_msi_unmask(desc, msi_multi_mask(desc));
      yield* free_msi_irqs(dev);
    }
    dev.msi_enabled = false;
  }
  msi_unlock_descs(dev.dev);
  return ret;
}

function msix_map_region(dev: pci_dev, nr_entries: number): iomem | null {
  const table_offset = { value: 0 };

  pci_read_config_dword(dev, dev.msix_cap + PCI_MSIX_TABLE, table_offset);
  const bir = table_offset.value & PCI_MSIX_TABLE_BIR;
  const flags = pci_resource_flags(dev, bir);
  if (!flags || flags & IORESOURCE_UNSET) return null;

  const phys_addr = pci_resource_start(dev, bir) + BigInt((table_offset.value & PCI_MSIX_TABLE_OFFSET) >>> 0);

  return ioremap(phys_addr, BigInt(nr_entries * PCI_MSIX_ENTRY_SIZE));
}

function msix_setup_msi_descs(dev: pci_dev, base: iomem, nvec: number): number {
  const vec_count = pci_msix_vec_count(dev);
  const desc = new msi_desc();
  let ret = 0;

  desc.nvec_used = 1;
  desc.pci.is_msix = true;
  desc.pci.is_64 = true;
  desc.pci.default_irq = dev.irq;
  desc.pci.mask_base = base;

  for (let i = 0; i < nvec; i++) {
    desc.msi_index = i;
    desc.pci.is_virtual = desc.msi_index >= vec_count;
    desc.pci.can_mask = !desc.pci.is_virtual;

    if (desc.pci.can_mask) desc.pci.msix_ctrl = readl(base, pci_msix_desc_addr(desc) + PCI_MSIX_ENTRY_VECTOR_CTRL);

    ret = msi_add_msi_desc(dev.dev, desc);
    if (ret) break;
  }
  return ret;
}

function msix_mask_all(base: iomem, tsize: number): void {
  for (let i = 0; i < tsize; i++)
    writel(PCI_MSIX_ENTRY_CTRL_MASKBIT, base, i * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL);
}

function* msix_setup_interrupts(dev: pci_dev, base: iomem, nvec: number): Sleeps<number> {
  let ret: number;

  yield* msi_lock_descs(dev.dev);
  out_unlock: {
    out_free: {
      ret = msix_setup_msi_descs(dev, base, nvec);
      if (ret) break out_free;

      ret = yield* pci_msi_setup_msi_irqs(dev);
      if (ret) break out_free;

      break out_unlock;
    }
    yield* free_msi_irqs(dev);
  }
  msi_unlock_descs(dev.dev);
  return ret;
}

function* msix_capability_init(dev: pci_dev, nvec: number): Sleeps<number> {
  const control = { value: 0 };
  let ret: number;

  // Some want it on before they let anybody at the table: on, with all masked.
  pci_msix_clear_and_set_ctrl(dev, 0, PCI_MSIX_FLAGS_MASKALL | PCI_MSIX_FLAGS_ENABLE);

  dev.msix_enabled = true;

  pci_read_config_word(dev, dev.msix_cap + PCI_MSIX_FLAGS, control);
  out_disable: {
    const tsize = msix_table_size(control.value);
    const base = msix_map_region(dev, tsize);
    if (!base) {
      ret = -ENOMEM;
      break out_disable;
    }

    dev.msix_base = base;

    out_unmap: {
      ret = yield* msix_setup_interrupts(dev, base, nvec);
      if (ret) break out_unmap;

      pci_intx_for_msi(dev, false);

      // Entries that nobody has asked for are not to fire either.
      msix_mask_all(base, tsize);
      pci_msix_clear_and_set_ctrl(dev, PCI_MSIX_FLAGS_MASKALL, 0);

      return 0;
    }
    iounmap(dev.msix_base);
  }
  dev.msix_enabled = false;
  pci_msix_clear_and_set_ctrl(dev, PCI_MSIX_FLAGS_MASKALL | PCI_MSIX_FLAGS_ENABLE, 0);

  return ret;
}

function pci_msi_supported(dev: pci_dev, nvec: number): boolean {
  if (dev.no_msi) return false;

  if (nvec < 1) return false;

  for (let bus: pci_bus | null = dev.bus; bus; bus = bus.parent) if (bus.bus_flags & PCI_BUS_FLAGS_NO_MSI) return false;

  return true;
}

/** How many MSIs a function can send: a power of two. @return -EINVAL if it has no MSI. Source: drivers/pci/msi/msi.c */
export function pci_msi_vec_count(dev: pci_dev): number {
  const msgctl = { value: 0 };

  if (!dev.msi_cap) return -EINVAL;

  pci_read_config_word(dev, dev.msi_cap + PCI_MSI_FLAGS, msgctl);
  return 1 << ((msgctl.value & PCI_MSI_FLAGS_QMASK) >> 1);
}
EXPORT_SYMBOL(pci_msi_vec_count);

function* pci_msi_shutdown(dev: pci_dev): Spins {
  if (!dev.msi_enabled) return;

  pci_msi_set_enable(dev, false);
  pci_intx_for_msi(dev, true);
  dev.msi_enabled = false;

  // As it was after the reset
  const desc = msi_first_desc(dev.dev);
  if (!WARN_ON_ONCE(!desc)) yield* pci_msi_unmask(desc!, msi_multi_mask(desc!));

  dev.irq = desc!.pci.default_irq;
}

function* pci_disable_msi(dev: pci_dev): Sleeps {
  if (!dev.msi_enabled) return;

  yield* msi_lock_descs(dev.dev);
  yield* pci_msi_shutdown(dev);
  yield* free_msi_irqs(dev);
  msi_unlock_descs(dev.dev);
}

/** How many entries the table of a function has. @return -EINVAL if it has no MSI-X. Source: drivers/pci/msi/msi.c */
export function pci_msix_vec_count(dev: pci_dev): number {
  const control = { value: 0 };

  if (!dev.msix_cap) return -EINVAL;

  pci_read_config_word(dev, dev.msix_cap + PCI_MSIX_FLAGS, control);
  return msix_table_size(control.value);
}
EXPORT_SYMBOL(pci_msix_vec_count);

function* __pci_enable_msix(dev: pci_dev, nvec: number): Sleeps<number> {
  if (!pci_msi_supported(dev, nvec) || dev.current_state !== PCI_D0) return -EINVAL;

  const nr_entries = pci_msix_vec_count(dev);
  if (nr_entries < 0) return nr_entries;
  if (nvec > nr_entries) return nr_entries;

  if (dev.msi_enabled) {
    pci_info(dev, "can't enable MSI-X (MSI IRQ already assigned)\n");
    return -EINVAL;
  }
  return yield* msix_capability_init(dev, nvec);
}

function pci_msix_shutdown(dev: pci_dev): void {
  if (!dev.msix_enabled) return;

  if (pci_dev_is_disconnected(dev)) {
    dev.msix_enabled = false;
    return;
  }

  for (const desc of msi_for_each_desc(dev.dev)) pci_msix_mask(desc);

  pci_msix_clear_and_set_ctrl(dev, PCI_MSIX_FLAGS_ENABLE, 0);
  pci_intx_for_msi(dev, true);
  dev.msix_enabled = false;
}

function* pci_disable_msix(dev: pci_dev): Sleeps {
  if (!dev.msix_enabled) return;

  yield* msi_lock_descs(dev.dev);
  pci_msix_shutdown(dev);
  yield* free_msi_irqs(dev);
  msi_unlock_descs(dev.dev);
}

function* __pci_enable_msi_range(dev: pci_dev, minvec: number, maxvec: number): Sleeps<number> {
  if (!pci_msi_supported(dev, minvec) || dev.current_state !== PCI_D0) return -EINVAL;

  if (dev.msix_enabled) {
    pci_info(dev, "can't enable MSI (MSI-X already enabled)\n");
    return -EINVAL;
  }

  if (maxvec < minvec) return -ERANGE;

  if (WARN_ON_ONCE(dev.msi_enabled)) return -EINVAL;

  let nvec = pci_msi_vec_count(dev);
  if (nvec < 0) return nvec;
  if (nvec < minvec) return -ENOSPC;

  if (nvec > maxvec) nvec = maxvec;

  let rc = yield* pci_setup_msi_context(dev);
  if (rc) return rc;

  for (;;) {
    rc = yield* msi_capability_init(dev, nvec);
    if (rc === 0) return nvec;

    if (rc < 0) return rc;
    if (rc < minvec) return -ENOSPC;

    nvec = rc;
  }
}

function* __pci_enable_msix_range(dev: pci_dev, minvec: number, maxvec: number): Sleeps<number> {
  let nvec = maxvec;

  if (maxvec < minvec) return -ERANGE;

  if (WARN_ON_ONCE(dev.msix_enabled)) return -EINVAL;

  let rc = yield* pci_setup_msi_context(dev);
  if (rc) return rc;

  for (;;) {
    rc = yield* __pci_enable_msix(dev, nvec);
    if (rc === 0) return nvec;

    if (rc < 0) return rc;
    if (rc < minvec) return -ENOSPC;

    nvec = rc;
  }
}

/**
 * Takes interrupts for a function: as many as there are up to a maximum, of the first kind of @flags that it can have.
 * @flags: PCI_IRQ_…. @return how many; -ENOSPC if fewer than @min_vecs; -errno. May sleep. Source: drivers/pci/msi/msi.c
 */
export function* pci_alloc_irq_vectors(
  dev: pci_dev,
  min_vecs: number,
  max_vecs: number,
  flags: number,
): Sleeps<number> {
  let nvecs = -ENOSPC;

  if (flags & PCI_IRQ_MSIX) {
    nvecs = yield* __pci_enable_msix_range(dev, min_vecs, max_vecs);
    if (nvecs > 0) return nvecs;
  }

  if (flags & PCI_IRQ_MSI) {
    nvecs = yield* __pci_enable_msi_range(dev, min_vecs, max_vecs);
    if (nvecs > 0) return nvecs;
  }

  // The pin, if nothing else is there
  if (flags & PCI_IRQ_LEGACY) {
    if (min_vecs === 1 && dev.irq) {
      pci_intx(dev, true);
      return 1;
    }
  }

  return nvecs;
}
EXPORT_SYMBOL(pci_alloc_irq_vectors);

/** The opposite. Nobody may have a handler for them any more. May sleep. Source: drivers/pci/msi/msi.c */
export function* pci_free_irq_vectors(dev: pci_dev): Sleeps {
  yield* pci_disable_msix(dev);
  yield* pci_disable_msi(dev);
}
EXPORT_SYMBOL(pci_free_irq_vectors);

/** Number of the interrupt that is a function's message @nr, or 0 for its pin. @return -EINVAL if it has none. May sleep. Source: drivers/pci/msi/msi.c */
export function* pci_irq_vector(dev: pci_dev, nr: number): Sleeps<number> {
  if (!dev.msi_enabled && !dev.msix_enabled) return !nr ? dev.irq : -EINVAL;

  const irq = yield* msi_get_virq(dev.dev, nr);

  return irq ? irq : -EINVAL;
}
EXPORT_SYMBOL(pci_irq_vector);
