// SPDX-License-Identifier: GPL-2.0-only
/**
 * Interrupt lines of machines that have them numbered, and their handlers. Source: kernel/irq/manage.c, chip.c, irqdesc.c
 * Not here: affinity, wakeup, nested and per-CPU interrupts, forced threads, spurious ones.
 */
import { WARN, WARN_ON } from "#linux/bug.ts";
import { EBUSY, EINVAL, ENOMEM } from "#linux/errno.ts";
import { kthread_run, kthread_should_stop, kthread_stop } from "#linux/kthread.ts";
import { pr_err } from "#linux/printk.ts";
import { either, type task_struct } from "#linux/sched.ts";
import { roundup_pow_of_two } from "#linux/log2.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock_init, spin_lock_irqsave, spinlock_t, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import { bool, embed, fn, int, opaque, ptr, type Sleeps, type Spins, str, struct, u32 } from "#linux/types.ts";
import { init_waitqueue_head, wait_event, wait_event_interruptible, wait_queue_head, wake_up } from "#linux/wait.ts";
import { per_boot } from "../boot.ts";
import type { msi_desc } from "./msi.ts";
import { raise_irq } from "../sched/interrupts.ts";

export const IRQ_NONE = 0;
export const IRQ_HANDLED = 1;
export const IRQ_WAKE_THREAD = 2;
export type irqreturn_t = number;
/** In interrupt context: may spin, never sleep. */
export type irq_handler_t = (irq: number, dev_id: object | null) => Spins<irqreturn_t> | irqreturn_t;
export type irq_thread_t = (irq: number, dev_id: object | null) => Sleeps<irqreturn_t> | irqreturn_t;

export const IRQF_TRIGGER_MASK = 0xf;
export const IRQF_SHARED = 0x00000080;
export const IRQF_ONESHOT = 0x00002000;
export const IRQF_NO_SUSPEND = 0x00004000;
export const IRQF_NO_AUTOEN = 0x00080000;

export const IRQ_TYPE_NONE = 0;
export const IRQ_TYPE_EDGE_RISING = 1;
export const IRQ_TYPE_EDGE_FALLING = 2;
export const IRQ_TYPE_LEVEL_HIGH = 4;
export const IRQ_TYPE_LEVEL_LOW = 8;
export const IRQ_TYPE_LEVEL_MASK = IRQ_TYPE_LEVEL_HIGH | IRQ_TYPE_LEVEL_LOW;

/** What the controller, or the device that sends messages, is told. Called with the descriptor's lock held. */
export interface irq_chip {
  /** A first handler comes: where the interrupt goes. */
  readonly activate: (irq: number) => Spins;
  readonly unmask?: (irq: number) => Spins;
  readonly mask?: (irq: number) => Spins;
  /** The last one has gone. */
  readonly deactivate?: (irq: number) => Spins;
}

class irqaction_base extends struct("irqaction", {
  handler: fn<irq_handler_t>(),
  dev_id: ptr<object>(),
  next: ptr<irqaction>(),
  irq: u32(),
  flags: u32(),
  name: str(),
  thread_fn: fn<irq_thread_t>(),
  thread: ptr<task_struct>(),
  /** The handler asked for the thread and it has not run yet. */
  $wake: bool(),
  $wait: embed(() => wait_queue_head),
}) {}
class irqaction extends irqaction_base {}

export class irq_desc extends struct("irq_desc", {
  irq: u32(),
  lock: embed(() => spinlock_t),
  action: ptr<irqaction>(),
  /** How often it was disabled; 0: on. */
  depth: u32(),
  trigger_type: u32(),
  /** Came while it was off. */
  pending: bool(),
  inprogress: bool(),
  threads_active: int(),
  wait_for_threads: embed(() => wait_queue_head),
  /** Of a level interrupt: the device holds the line. */
  $asserted: bool(),
  msi_desc: ptr<msi_desc>(),
  /** NULL: a line, of which nobody need be told. */
  $chip: opaque<irq_chip | null>(() => null),
  /** IRQD_ACTIVATED: the chip knows where it goes. */
  $activated: bool(),
  /** IRQD_IRQ_MASKED, as the chip was last told. */
  $masked: bool(),
}) {}

const s = per_boot(() => ({ descs: new Map<number, irq_desc>() }));

/**
 * Free numbers from `from` on, with descriptors; if there are several, the first is a multiple of their number rounded up to
 * a power of two. The machine and interrupt domains call it. @return the first
 */
export function irq_alloc_descs(from: number, cnt: number): number {
  const step = roundup_pow_of_two(cnt);
  let first = Math.ceil(Math.max(from, 1) / step) * step;
  const taken = (): boolean => Array.from({ length: cnt }, (_, i) => first + i).some((irq) => s.descs.has(irq));
  while (taken()) first += step;
  for (let irq = first; irq < first + cnt; irq++) {
    const desc = new irq_desc();
    desc.irq = irq;
    desc.depth = 1;
    desc.$masked = true;
    spin_lock_init(desc.lock);
    init_waitqueue_head(desc.wait_for_threads);
    s.descs.set(irq, desc);
  }
  return first;
}
export const irq_alloc_desc = (from: number): number => irq_alloc_descs(from, 1);
export function irq_free_desc(irq: number): void {
  WARN_ON(Boolean(irq_to_desc(irq)?.action));
  s.descs.delete(irq);
}
export function irq_to_desc(irq: number): irq_desc | null {
  return s.descs.get(irq) ?? null;
}
export function irq_get_trigger_type(irq: number): number {
  return irq_to_desc(irq)?.trigger_type ?? 0;
}
export function irq_set_trigger_type(irq: number, type: number): void {
  const desc = irq_to_desc(irq);
  if (desc) desc.trigger_type = type;
}

function is_level(desc: irq_desc): boolean {
  return (desc.trigger_type & IRQ_TYPE_LEVEL_MASK) !== 0;
}
/** Whether one is still to come: a level that has gone again while it was off is not sent again. Source: check_irq_resend() */
function is_due(desc: irq_desc): boolean {
  return is_level(desc) ? desc.$asserted : desc.pending;
}
/** Has the machine deliver it as soon as a CPU lets it. */
function deliver(desc: irq_desc): void {
  const irq = desc.irq;
  raise_irq({ name: `irq ${irq}`, handler: () => generic_handle_irq(irq) });
}

/** The device drives its line, or sends its message. @asserted: of a level interrupt, whether it goes on. From the machine */
export function irq_line(irq: number, asserted = true): void {
  const desc = irq_to_desc(irq);
  if (!desc) return;
  const was = desc.$asserted;
  desc.$asserted = asserted && is_level(desc);
  if (asserted && !was) deliver(desc);
}

/** Runs the handlers of an interrupt that came. Context: hard interrupt */
export function* generic_handle_irq(irq: number): Spins {
  const desc = irq_to_desc(irq);
  if (!desc) return;

  let flags = yield* spin_lock_irqsave(desc.lock);
  if (!desc.action || desc.depth > 0 || desc.inprogress) {
    desc.pending = true;
    yield* spin_unlock_irqrestore(desc.lock, flags);
    return;
  }
  desc.pending = false;
  desc.inprogress = true;
  yield* spin_unlock_irqrestore(desc.lock, flags);

  for (let action: irqaction | null = desc.action; action; action = action.next) {
    const ret = action.handler!(irq, action.dev_id);
    const res = typeof ret === "number" ? ret : yield* ret;
    if (res === IRQ_WAKE_THREAD && action.thread) {
      action.$wake = true;
      desc.threads_active++;
      yield* wake_up(action.$wait);
    }
  }

  flags = yield* spin_lock_irqsave(desc.lock);
  desc.inprogress = false;
  const again = desc.depth === 0 && is_due(desc);
  yield* spin_unlock_irqrestore(desc.lock, flags);
  yield* wake_up(desc.wait_for_threads);
  if (again) deliver(desc);
}

function* irq_thread(action: irqaction): Sleeps<number> {
  const desc = irq_to_desc(action.irq);
  while (!kthread_should_stop()) {
    yield* wait_event_interruptible(action.$wait, () => action.$wake || kthread_should_stop());
    if (!action.$wake) continue;
    action.$wake = false;
    yield* either(action.thread_fn!(action.irq, action.dev_id));
    if (!desc) continue;
    desc.threads_active--;
    yield* wake_up(desc.wait_for_threads);
  }
  return 0;
}

/** Tells the chip where an interrupt goes, if it was not told. Any context. Source: irq_domain_activate_irq() */
export function* irq_activate(desc: irq_desc): Spins {
  if (!desc.$activated && desc.$chip) yield* desc.$chip.activate(desc.irq);
  desc.$activated = true;
}
/** The opposite, if it was told. Any context. Source: irq_domain_deactivate_irq() */
export function* irq_deactivate(desc: irq_desc): Spins {
  if (!desc.$activated) return;
  if (desc.$chip?.deactivate) yield* desc.$chip.deactivate(desc.irq);
  desc.$activated = false;
}

function* mask_irq(desc: irq_desc): Spins {
  if (desc.$masked || !desc.$chip?.mask) return;
  yield* desc.$chip.mask(desc.irq);
  desc.$masked = true;
}
function* unmask_irq(desc: irq_desc): Spins {
  if (!desc.$masked || !desc.$chip?.unmask) return;
  yield* desc.$chip.unmask(desc.irq);
  desc.$masked = false;
}

function* irq_startup(desc: irq_desc): Spins {
  desc.depth = 0;
  yield* unmask_irq(desc);
  if (is_due(desc)) deliver(desc);
}
function* irq_shutdown(desc: irq_desc): Spins {
  desc.depth = 1;
  yield* mask_irq(desc);
}

function* __setup_irq(irq: number, desc: irq_desc, new_: irqaction): Sleeps<number> {
  init_waitqueue_head(new_.$wait);
  if (new_.thread_fn) new_.thread = kthread_run(irq_thread, new_, "irq/%d-%s", irq, new_.name);

  const flags = yield* spin_lock_irqsave(desc.lock);
  const old = desc.action;
  if (old && (!(old.flags & new_.flags & IRQF_SHARED) || (old.flags ^ new_.flags) & IRQF_TRIGGER_MASK)) {
    yield* spin_unlock_irqrestore(desc.lock, flags);
    pr_err("genirq: Flags mismatch irq %d. %08x (%s) vs. %08x (%s)\n", irq, new_.flags, new_.name, old.flags, old.name);
    if (new_.thread) yield* kthread_stop(new_.thread);
    return -EBUSY;
  }
  if (old) {
    let last = old;
    while (last.next) last = last.next;
    last.next = new_;
  } else {
    desc.action = new_;
    desc.pending = false;
    if (new_.flags & IRQF_TRIGGER_MASK) desc.trigger_type = new_.flags & IRQF_TRIGGER_MASK;
    // The device learns first where to send it, even if it is off as yet.
    yield* irq_activate(desc);
    if (new_.flags & IRQF_NO_AUTOEN) desc.depth = 1;
    else yield* irq_startup(desc);
  }
  yield* spin_unlock_irqrestore(desc.lock, flags);
  return 0;
}

/**
 * Installs a handler and, if `thread_fn` is given, a thread for it.
 * @return 0; -EINVAL for a number that is no interrupt; -EBUSY if it has a handler that does not share; -ENOMEM. May sleep
 */
export function* request_threaded_irq(
  irq: number,
  handler: irq_handler_t,
  thread_fn: irq_thread_t | null,
  irqflags: number,
  devname: string | null,
  dev_id: object | null,
): Sleeps<number> {
  if (irqflags & IRQF_SHARED && !dev_id) return -EINVAL;

  const desc = irq_to_desc(irq);
  if (!desc) return -EINVAL;

  const action = kzalloc(irqaction, GFP_KERNEL);
  if (!action) return -ENOMEM;

  action.irq = irq;
  action.handler = handler;
  action.thread_fn = thread_fn;
  action.flags = irqflags;
  action.name = devname;
  action.dev_id = dev_id;

  const retval = yield* __setup_irq(irq, desc, action);
  if (retval) kfree(action);
  return retval;
}
export function request_irq(
  irq: number,
  handler: irq_handler_t,
  irqflags: number,
  name: string | null,
  dev_id: object | null,
): Sleeps<number> {
  return request_threaded_irq(irq, handler, null, irqflags, name, dev_id);
}

/** Takes a handler away, once it runs nowhere any more. @return the name it was given, or null. May sleep */
export function* free_irq(irq: number, dev_id: object | null): Sleeps<string | null> {
  const desc = irq_to_desc(irq);
  if (!desc) return null;

  let flags = yield* spin_lock_irqsave(desc.lock);
  let before: irqaction | null = null;
  let action = desc.action;
  while (action && action.dev_id !== dev_id) {
    before = action;
    action = action.next;
  }
  if (!action) {
    WARN(true, "Trying to free already-free IRQ %d\n", irq);
    yield* spin_unlock_irqrestore(desc.lock, flags);
    return null;
  }
  if (before) before.next = action.next;
  else desc.action = action.next;
  if (!desc.action) yield* irq_shutdown(desc);
  yield* spin_unlock_irqrestore(desc.lock, flags);

  yield* synchronize_irq(irq);
  if (action.thread) yield* kthread_stop(action.thread);
  if (!desc.action) {
    flags = yield* spin_lock_irqsave(desc.lock);
    yield* irq_deactivate(desc);
    yield* spin_unlock_irqrestore(desc.lock, flags);
  }

  const devname = action.name;
  kfree(action);
  return devname;
}

/** Waits until the handlers that run now, threads included, have ended. May sleep. */
export function* synchronize_irq(irq: number): Sleeps {
  const desc = irq_to_desc(irq);
  if (desc) yield* wait_event(desc.wait_for_threads, () => !desc.inprogress && desc.threads_active === 0);
}

/** Turns an interrupt off; what comes meanwhile is kept. Nests. Any context. */
export function* disable_irq_nosync(irq: number): Spins {
  const desc = irq_to_desc(irq);
  if (!desc) return;
  const flags = yield* spin_lock_irqsave(desc.lock);
  desc.depth++;
  yield* spin_unlock_irqrestore(desc.lock, flags);
}
/** The same, and waits for the handlers that run now. May sleep. */
export function* disable_irq(irq: number): Sleeps {
  yield* disable_irq_nosync(irq);
  yield* synchronize_irq(irq);
}
/** The opposite of one disable_irq(). Any context. */
export function* enable_irq(irq: number): Spins {
  const desc = irq_to_desc(irq);
  if (!desc) return;
  const flags = yield* spin_lock_irqsave(desc.lock);
  if (desc.depth === 0) WARN(true, "Unbalanced enable for IRQ %d\n", irq);
  else if (desc.depth === 1) yield* irq_startup(desc);
  else desc.depth--;
  yield* spin_unlock_irqrestore(desc.lock, flags);
}
