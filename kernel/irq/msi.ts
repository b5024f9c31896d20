// SPDX-License-Identifier: GPL-2.0-only
/** Interrupts that devices send as messages: domains that give out numbers for them. Source: kernel/irq/msi.c, as far as simple descriptors go */
import { WARN_ON_ONCE } from "#linux/bug.ts";
import { type device, devres_add, devres_alloc } from "#linux/device.ts";
import { EBUSY, ENOMEM } from "#linux/errno.ts";
import type { iomem } from "#linux/io.ts";
import {
  list_add_tail,
  list_del,
  list_empty,
  list_for_each_entry,
  list_for_each_entry_safe,
  list_head,
} from "#linux/list.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import {
  bool,
  embed,
  fn,
  initialise,
  type kobj_memory,
  ptr,
  type Sleeps,
  type Spins,
  str,
  struct,
  u32,
  u64,
  u8,
} from "#linux/types.ts";
import { per_boot } from "../boot.ts";
import { copy_struct } from "../lib/struct_copy.ts";
import { irq_activate, irq_alloc_descs, type irq_chip, irq_deactivate, irq_free_desc, irq_to_desc } from "./manage.ts";

/** Where a message goes, and what it says. */
export class msi_msg extends struct("msi_msg", { address: u64(), data: u32() }) {}

/** What PCI keeps for a message, or for all MSIs of a function. */
class pci_msi_desc extends struct("pci_msi_desc", {
  /** The mask register, and where it is in configuration space; of MSI-X, the entry's vector control. */
  msi_mask: u32(),
  msix_ctrl: u32(),
  mask_pos: u8(),
  is_msix: bool(),
  /** log2 of the messages that are used. */
  multiple: u8(),
  multi_cap: u8(),
  can_mask: bool(),
  is_64: bool(),
  is_virtual: bool(),
  /** Of the pin. */
  default_irq: u32(),
  mask_base: ptr<iomem>(),
}) {}

export class msi_desc extends struct("msi_desc", {
  irq: u32(),
  /** How many numbers, from `irq` on. */
  nvec_used: u32(),
  dev: ptr<device>(),
  msg: embed(() => msi_msg),
  msi_index: u32(),
  pci: embed(() => pci_msi_desc),
  list: embed(() => list_head),
}) {}

export class irq_domain extends struct("irq_domain", {
  name: str(),
  /** Address that all its messages go to; what they say is the interrupt's number. */
  $doorbell: u64(),
  /** IRQ_DOMAIN_FLAG_MSI_REMAP: the controller knows who sent a message. */
  $remap: bool(),
  /** MSI_FLAG_ACTIVATE_EARLY: the device has a message as soon as it has a number. */
  $activate_early: bool(),
  /** MSI_FLAG_MUST_REACTIVATE: and gets it again with the first handler, if it can be masked until then. */
  $must_reactivate: bool(),
  /** Programs the device. */
  $write_msg: fn<(desc: msi_desc, msg: msi_msg) => Spins | void>(),
  $mask: fn<(desc: msi_desc, irq: number) => Spins>(),
  $unmask: fn<(desc: msi_desc, irq: number) => Spins>(),
}) {}

/** Bus whose devices a domain is for. */
export const DOMAIN_BUS_ANY = 0;
export const DOMAIN_BUS_PCI_MSI = 2;
export const DOMAIN_BUS_FSL_MC_MSI = 7;

const s = per_boot(() => ({ domains: new Map<number, irq_domain>() }));

/** A domain for the devices of a bus. */
export function irq_domain_add_msi(name: string, doorbell: bigint, bus: number): irq_domain {
  const domain = initialise(new irq_domain(), { name, $doorbell: doorbell });
  s.domains.set(bus, domain);
  return domain;
}
/** The same of a controller that knows who sent a message: the GIC's. */
export function irq_domain_add_msi_remap(name: string, doorbell: bigint, bus = DOMAIN_BUS_ANY): irq_domain {
  const domain = irq_domain_add_msi(name, doorbell, bus);
  domain.$remap = true;
  return domain;
}
/** Whether nobody can send an interrupt that is not his by a message, because of a controller; an IOMMU may see to it as well. */
export function irq_domain_check_msi_remap(): boolean {
  return [...s.domains.values()].some((domain) => domain.$remap);
}
/** The domain for the devices of a bus, or NULL. */
export function irq_find_host(bus: number): irq_domain | null {
  return s.domains.get(bus) ?? null;
}

class msi_device_data extends struct("msi_device_data", {
  mutex: embed(() => mutex),
  descs: embed(() => list_head),
}) {}
const data_of = (dev: device): msi_device_data | null => dev.msi.data as msi_device_data | null;

/** Numbers below belong to lines. */
const FIRST_MSI = 1024;

function msi_device_data_release(dev: device, _res: kobj_memory): void {
  WARN_ON_ONCE(!list_empty(data_of(dev)!.descs));
  dev.msi.data = null;
}

/** What a device that sends messages needs; goes with its driver. @return 0 or -ENOMEM. May sleep */
export function* msi_setup_device_data(dev: device): Sleeps<number> {
  if (dev.msi.data) return 0;

  const md = devres_alloc(msi_device_data_release, msi_device_data, GFP_KERNEL);
  if (!md) return -ENOMEM;

  INIT_LIST_HEAD(md.descs);
  mutex_init(md.mutex);
  dev.msi.data = md;
  yield* devres_add(dev, md);
  return 0;
}
export function* msi_lock_descs(dev: device): Sleeps {
  yield* mutex_lock(data_of(dev)!.mutex);
}
export function msi_unlock_descs(dev: device): void {
  mutex_unlock(data_of(dev)!.mutex);
}
export function msi_first_desc(dev: device): msi_desc | null {
  const md = data_of(dev);
  if (!md || list_empty(md.descs)) return null;
  for (const desc of list_for_each_entry(md.descs, msi_desc, "list")) return desc;
  return null;
}
/** The descriptor of an interrupt that is a message, NULL for others. */
export function irq_get_msi_desc(irq: number): msi_desc | null {
  return irq_to_desc(irq)?.msi_desc ?? null;
}
/** The message that an interrupt was last given. */
export function get_cached_msi_msg(irq: number, msg: msi_msg): void {
  copy_struct(msg, irq_get_msi_desc(irq)!.msg);
}
/** The messages of a device, in the order in which they were added. */
export function msi_for_each_desc(dev: device): Iterable<msi_desc> {
  const md = data_of(dev);
  return md ? list_for_each_entry(md.descs, msi_desc, "list") : [];
}
/** Number of the interrupt that a device's message `index` raises, 0 if it has none. May sleep */
export function* msi_get_virq(dev: device, index: number): Sleeps<number> {
  let ret = 0;

  if (!data_of(dev)) return 0;

  yield* msi_lock_descs(dev);
  for (const desc of msi_for_each_desc(dev)) {
    // Those of MSI share a descriptor.
    if (desc.pci.is_msix || desc.nvec_used === 1) {
      if (desc.msi_index === index) ret = desc.irq;
    } else if (index < desc.nvec_used && desc.irq) ret = desc.irq + index;
    if (ret) break;
  }
  msi_unlock_descs(dev);
  return ret;
}

/** Adds a copy of a descriptor. @return 0 or -ENOMEM. Context: the descriptors' lock held */
export function msi_add_msi_desc(dev: device, init_desc: msi_desc): number {
  const desc = kzalloc(msi_desc, GFP_KERNEL);
  if (!desc) return -ENOMEM;

  desc.dev = dev;
  desc.nvec_used = init_desc.nvec_used;
  desc.msi_index = init_desc.msi_index;
  copy_struct(desc.pci, init_desc.pci);
  list_add_tail(desc.list, data_of(dev)!.descs);
  return 0;
}
function msi_add_simple_msi_descs(dev: device, ndesc: number): number {
  const desc = new msi_desc();
  desc.nvec_used = 1;
  for (let i = 0; i < ndesc; i++) {
    desc.msi_index = i;
    if (msi_add_msi_desc(dev, desc)) {
      msi_free_msi_descs(dev);
      return -ENOMEM;
    }
  }
  return 0;
}
/** Frees descriptors. Context: their lock held */
export function msi_free_msi_descs(dev: device): void {
  for (const desc of list_for_each_entry_safe(data_of(dev)!.descs, msi_desc, "list")) {
    list_del(desc.list);
    kfree(desc);
  }
}

/* One for each domain; the interrupt's descriptor has the message's. */
class msi_chip implements irq_chip {
  readonly #domain: irq_domain;
  constructor(domain: irq_domain) {
    this.#domain = domain;
  }
  *activate(irq: number): Spins {
    const msg = new msi_msg();
    msg.address = this.#domain.$doorbell;
    msg.data = irq;
    yield* this.#write(irq, msg);
  }
  *deactivate(irq: number): Spins {
    yield* this.#write(irq, new msi_msg());
  }
  *#write(irq: number, msg: msi_msg): Spins {
    const desc = irq_get_msi_desc(irq);
    // The others of MSI follow from the first.
    if (desc?.irq !== irq || !this.#domain.$write_msg) return;
    const written = this.#domain.$write_msg(desc, msg);
    if (written) yield* written;
  }
  *mask(irq: number): Spins {
    const desc = irq_get_msi_desc(irq);
    if (desc && this.#domain.$mask) yield* this.#domain.$mask(desc, irq);
  }
  *unmask(irq: number): Spins {
    const desc = irq_get_msi_desc(irq);
    if (desc && this.#domain.$unmask) yield* this.#domain.$unmask(desc, irq);
  }
}

/* All messages of a device can be masked or none: the first says which. */
function msi_check_reservation_mode(domain: irq_domain, dev: device): boolean {
  if (!domain.$must_reactivate) return false;

  const desc = msi_first_desc(dev)!;
  return desc.pci.is_msix || desc.pci.can_mask;
}

/** Numbers for the messages of a device that have none: as many as are asked for. @return 0. Context: the descriptors' lock held */
export function* msi_domain_alloc_irqs_descs_locked(domain: irq_domain, dev: device): Spins<number> {
  const chip = new msi_chip(domain);
  const can_reserve = msi_check_reservation_mode(domain, dev);
  for (const desc of msi_for_each_desc(dev)) {
    if (desc.irq) continue;
    desc.irq = irq_alloc_descs(FIRST_MSI, desc.nvec_used);
    for (let irq = desc.irq; irq < desc.irq + desc.nvec_used; irq++) {
      const irq_desc = irq_to_desc(irq)!;
      irq_desc.msi_desc = desc;
      irq_desc.$chip = chip;
      if (!domain.$activate_early) continue;
      yield* irq_activate(irq_desc);
      if (can_reserve) irq_desc.$activated = false;
    }
  }
  return 0;
}
/** The opposite: the descriptors stay. Nobody may have a handler for them any more. Context: as above */
export function* msi_domain_free_irqs_descs_locked(_domain: irq_domain, dev: device): Spins {
  for (const desc of msi_for_each_desc(dev)) {
    if (!desc.irq) continue;
    for (let irq = desc.irq; irq < desc.irq + desc.nvec_used; irq++) {
      yield* irq_deactivate(irq_to_desc(irq)!);
      irq_free_desc(irq);
    }
    desc.irq = 0;
  }
}

/** Numbers for `nvec` messages of a device. @return 0, -EBUSY if it has some, -ENOMEM. May sleep */
export function* msi_domain_alloc_irqs(domain: irq_domain, dev: device, nvec: number): Sleeps<number> {
  yield* msi_lock_descs(dev);
  let ret = -EBUSY;
  if (!msi_first_desc(dev)) ret = msi_add_simple_msi_descs(dev, nvec);
  if (!ret) ret = yield* msi_domain_alloc_irqs_descs_locked(domain, dev);
  msi_unlock_descs(dev);
  return ret;
}

/** The opposite. Nobody may have a handler for them any more. May sleep. */
export function* msi_domain_free_irqs(domain: irq_domain, dev: device): Sleeps {
  yield* msi_lock_descs(dev);
  yield* msi_domain_free_irqs_descs_locked(domain, dev);
  msi_free_msi_descs(dev);
  msi_unlock_descs(dev);
}
