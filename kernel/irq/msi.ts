// SPDX-License-Identifier: GPL-2.0-only
/** Interrupts that devices send as messages: domains that give out numbers for them. Source: kernel/irq/msi.c, as far as simple descriptors go */
import { type device, devres_add, devres_alloc } from "#linux/device.ts";
import { EBUSY, ENOMEM } from "#linux/errno.ts";
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
} from "#linux/types.ts";
import { per_boot } from "../boot.ts";
import { irq_alloc_desc, irq_free_desc, irq_to_desc } from "./manage.ts";

/** Where a message goes, and what it says. */
export class msi_msg extends struct("msi_msg", { address: u64(), data: u32() }) {}

export class msi_desc extends struct("msi_desc", {
  irq: u32(),
  dev: ptr<device>(),
  msg: embed(() => msi_msg),
  msi_index: u32(),
  list: embed(() => list_head),
}) {}

export class irq_domain extends struct("irq_domain", {
  name: str(),
  /** Address that all its messages go to; what they say is the interrupt's number. */
  $doorbell: u64(),
  /** Programs the device. */
  $write_msg: fn<(desc: msi_desc, msg: msi_msg) => Spins>(),
}) {}

/** Bus whose devices a domain is for. */
export const DOMAIN_BUS_ANY = 0;
export const DOMAIN_BUS_FSL_MC_MSI = 7;

const s = per_boot(() => ({ domains: new Map<number, irq_domain>() }));

/** A domain of a controller that knows who sent a message: the GIC's. */
export function irq_domain_add_msi_remap(name: string, doorbell: bigint, bus = DOMAIN_BUS_ANY): irq_domain {
  const domain = initialise(new irq_domain(), { name, $doorbell: doorbell });
  s.domains.set(bus, domain);
  return domain;
}
/** Whether nobody can send an interrupt that is not his by a message, because of a controller; an IOMMU may see to it as well. */
export function irq_domain_check_msi_remap(): boolean {
  return s.domains.size > 0;
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
function desc_of_irq(dev: device, irq: number): msi_desc | null {
  for (const desc of list_for_each_entry(data_of(dev)!.descs, msi_desc, "list")) if (desc.irq === irq) return desc;
  return null;
}
/** Number of the interrupt that a device's message `index` raises, 0 if it has none. */
export function msi_get_virq(dev: device, index: number): number {
  const md = data_of(dev);
  if (md)
    for (const desc of list_for_each_entry(md.descs, msi_desc, "list")) if (desc.msi_index === index) return desc.irq;
  return 0;
}

function msi_add_simple_msi_descs(dev: device, md: msi_device_data, ndesc: number): number {
  for (let i = 0; i < ndesc; i++) {
    const desc = kzalloc(msi_desc, GFP_KERNEL);
    if (!desc) {
      free_descs(md);
      return -ENOMEM;
    }
    desc.dev = dev;
    desc.msi_index = i;
    list_add_tail(desc.list, md.descs);
  }
  return 0;
}
function free_descs(md: msi_device_data): void {
  for (const desc of list_for_each_entry_safe(md.descs, msi_desc, "list")) {
    if (desc.irq) irq_free_desc(desc.irq);
    list_del(desc.list);
    kfree(desc);
  }
}

/** Numbers for `nvec` messages of a device. @return 0, -EBUSY if it has some, -ENOMEM. May sleep */
export function* msi_domain_alloc_irqs(domain: irq_domain, dev: device, nvec: number): Sleeps<number> {
  const md = data_of(dev)!;
  yield* mutex_lock(md.mutex);
  let ret = -EBUSY;
  if (list_empty(md.descs)) ret = msi_add_simple_msi_descs(dev, md, nvec);
  if (!ret) {
    for (const desc of list_for_each_entry(md.descs, msi_desc, "list")) {
      desc.irq = irq_alloc_desc(FIRST_MSI);
      irq_to_desc(desc.irq)!.$activate = (irq) => activate(domain, dev, irq);
    }
  }
  mutex_unlock(md.mutex);
  return ret;
}
function* activate(domain: irq_domain, dev: device, irq: number): Spins {
  const desc = desc_of_irq(dev, irq);
  if (!desc || !domain.$write_msg) return;
  const msg = new msi_msg();
  msg.address = domain.$doorbell;
  msg.data = irq;
  yield* domain.$write_msg(desc, msg);
}

/** The opposite. Nobody may have a handler for them any more. May sleep. */
export function* msi_domain_free_irqs(_domain: irq_domain, dev: device): Sleeps {
  const md = data_of(dev);
  if (!md) return;
  yield* mutex_lock(md.mutex);
  free_descs(md);
  mutex_unlock(md.mutex);
}
