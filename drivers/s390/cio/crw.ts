// SPDX-License-Identifier: GPL-2.0-only
/** Channel reports and the thread that handles them. Port of drivers/s390/cio/crw.c. */
import { crw as struct_crw, type crw_handler_t, NR_RSCS } from "#asm/crw.ts";
import { ctl_set_bit } from "#asm/ctl_reg.ts";
import { on_s390 } from "#asm/setup.ts";
import { atomic_dec_and_test, atomic_inc, atomic_read, atomic_t } from "#linux/atomic.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EBUSY, EINVAL } from "#linux/errno.ts";
import { device_initcall } from "#linux/init.ts";
import { KERN_DEBUG, KERN_WARNING, pr_debug, printk } from "#linux/kernel.ts";
import { kthread_run } from "#linux/kthread.ts";
import { kbuild } from "#linux/module.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import type { Sleeps, Spins } from "#linux/types.ts";
import { DECLARE_WAIT_QUEUE_HEAD, wait_event, wait_event_interruptible, wake_up } from "#linux/wait.ts";
import { stcrw } from "./ioasm.ts";

const { per_boot } = kbuild(import.meta.url);

const s = per_boot(() => ({
  crw_handler_mutex: DEFINE_MUTEX("crw_handler_mutex"),
  crw_handlers: new Array<crw_handler_t | null>(NR_RSCS).fill(null),
  crw_nr_req: new atomic_t(),
  crw_handler_wait_q: DECLARE_WAIT_QUEUE_HEAD("crw_handler_wait_q"),
}));

/** Registers the handler of one reporting source. @return 0, -EINVAL, or -EBUSY if there is one. May sleep. */
export function* crw_register_handler(rsc: number, handler: crw_handler_t): Sleeps<number> {
  let rc = 0;

  if (rsc < 0 || rsc >= NR_RSCS) return -EINVAL;
  yield* mutex_lock(s.crw_handler_mutex);
  if (s.crw_handlers[rsc]) rc = -EBUSY;
  else s.crw_handlers[rsc] = handler;
  mutex_unlock(s.crw_handler_mutex);
  return rc;
}

/** Removes the handler of a reporting source. May sleep. */
export function* crw_unregister_handler(rsc: number): Sleeps {
  if (rsc < 0 || rsc >= NR_RSCS) return;
  yield* mutex_lock(s.crw_handler_mutex);
  s.crw_handlers[rsc] = null;
  mutex_unlock(s.crw_handler_mutex);
}

const REPORTS = "reports slct=%d, oflw=%d, chn=%d, rsc=%X, anc=%d, erc=%X, rsid=%X\n";
function parts(crw: struct_crw): number[] {
  return [crw.slct, crw.oflw, crw.chn, crw.rsc, crw.anc, crw.erc, crw.rsid];
}

function crw_requested(): boolean {
  return atomic_read(s.crw_nr_req) > 0;
}
function crw_all_done(): boolean {
  return atomic_read(s.crw_nr_req) === 0;
}

/* Fetches channel report words and calls the handlers, for ever. */
function* crw_collect_info(_unused: object | null): Sleeps<number> {
  const crw = [new struct_crw(), new struct_crw()] as const;

  for (;;) {
    const signal = yield* wait_event_interruptible(s.crw_handler_wait_q, crw_requested);
    if (signal) atomic_inc(s.crw_nr_req);
    let chain = 0;
    for (;;) {
      if (chain > 1) {
        const tmp_crw = new struct_crw();
        printk(
          KERN_WARNING,
          "%s: Code does not support more than two chained crws; please report to linux390@de.ibm.com!\n",
          crw_collect_info.name,
        );
        const ccode = stcrw(tmp_crw);
        printk(KERN_WARNING, "%s: crw " + REPORTS, crw_collect_info.name, ...parts(tmp_crw));
        printk(KERN_WARNING, "%s: This was crw number %x in the chain\n", crw_collect_info.name, chain);
        if (ccode !== 0) break;
        chain = tmp_crw.chn ? chain + 1 : 0;
        continue;
      }
      const here = crw[chain]!;
      const ccode = stcrw(here);
      if (ccode !== 0) break;
      printk(KERN_DEBUG, "crw_info : CRW " + REPORTS, ...parts(here));
      if (here.oflw) {
        pr_debug("%s: crw overflow detected!\n", crw_collect_info.name);
        yield* mutex_lock(s.crw_handler_mutex);
        for (let i = 0; i < NR_RSCS; i++) {
          const overflown = s.crw_handlers[i];
          if (overflown) yield* overflown(null, null, 1);
        }
        mutex_unlock(s.crw_handler_mutex);
        chain = 0;
        continue;
      }
      if (crw[0].chn && !chain) {
        chain++;
        continue;
      }
      yield* mutex_lock(s.crw_handler_mutex);
      const handler = s.crw_handlers[here.rsc];
      if (handler) yield* handler(crw[0], chain ? crw[1] : null, 0);
      mutex_unlock(s.crw_handler_mutex);
      chain = here.chn ? chain + 1 : 0;
    }
    if (atomic_dec_and_test(s.crw_nr_req)) yield* wake_up(s.crw_handler_wait_q);
  }
}

/** Has the thread look for channel reports. Any context. */
export function* crw_handle_channel_report(): Spins {
  atomic_inc(s.crw_nr_req);
  yield* wake_up(s.crw_handler_wait_q);
}

/** Waits until the channel reports that are pending now have been handled. May sleep. */
export function* crw_wait_for_channel_report(): Sleeps {
  yield* crw_handle_channel_report();
  yield* wait_event(s.crw_handler_wait_q, crw_all_done);
}

/* Channel-report machine checks are let in once the channel subsystem is set up. */
function* crw_machine_check_init(): Sleeps<number> {
  const task = kthread_run(crw_collect_info, null, "kmcheck");
  if (IS_ERR(task)) return PTR_ERR(task);
  ctl_set_bit(14, 28);
  return 0;
}
device_initcall(on_s390(crw_machine_check_init));
