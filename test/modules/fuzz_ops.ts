// SPDX-License-Identifier: GPL-2.0-only
/**
 * Primitives, each behind one small number: what random programs are made of. Nothing here takes care: locks are given back by
 * who never took them, memory is used after it was freed, things of zeros are used as if they were something.
 */
import { atomic_dec_and_test, atomic_inc, atomic_t } from "#linux/atomic.ts";
import { bitmap_clear, bitmap_free, bitmap_set, bitmap_weight, bitmap_zalloc } from "#linux/bitmap.ts";
import { WARN_ON_ONCE } from "#linux/bug.ts";
import {
  complete,
  complete_all,
  completion,
  completion_done,
  init_completion,
  reinit_completion,
  try_wait_for_completion,
  wait_for_completion_interruptible_timeout,
  wait_for_completion_killable_timeout,
  wait_for_completion_timeout,
} from "#linux/completion.ts";
import { msleep } from "#linux/delay.ts";
import { ERR_PTR, PTR_ERR } from "#linux/err.ts";
import {
  ida,
  ida_alloc,
  ida_alloc_range,
  ida_destroy,
  ida_free,
  idr,
  idr_alloc,
  idr_find,
  idr_remove,
} from "#linux/idr.ts";
import { local_irq_disable, local_irq_enable } from "#linux/irqflags.ts";
import { jiffies } from "#linux/jiffies.ts";
import { kref, kref_get, kref_get_unless_zero, kref_init, kref_put } from "#linux/kref.ts";
import {
  hlist_add_head,
  hlist_del,
  hlist_del_init,
  hlist_head,
  hlist_node,
  INIT_LIST_HEAD,
  list_add,
  list_add_tail,
  list_del,
  list_del_init,
  list_empty,
  list_for_each_entry_safe,
  list_head,
  list_move,
} from "#linux/list.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import {
  mutex,
  mutex_destroy,
  mutex_init,
  mutex_lock,
  mutex_lock_interruptible,
  mutex_lock_killable,
  mutex_lock_nested,
  mutex_trylock,
  mutex_unlock,
} from "#linux/mutex.ts";
import { preempt_disable, preempt_enable } from "#linux/preempt.ts";
import { call_rcu, kfree_rcu, rcu_barrier, rcu_read_lock, rcu_read_unlock, synchronize_rcu } from "#linux/rcupdate.ts";
import {
  refcount_dec,
  refcount_dec_and_mutex_lock,
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  refcount_set,
  refcount_t,
} from "#linux/refcount.ts";
import {
  down_read,
  down_read_killable,
  down_read_trylock,
  down_write,
  down_write_trylock,
  downgrade_write,
  init_rwsem,
  rw_semaphore,
  up_read,
  up_write,
} from "#linux/rwsem.ts";
import { cond_resched, current, schedule_timeout_interruptible } from "#linux/sched.ts";
import {
  read_seqbegin,
  read_seqretry,
  seqlock_init,
  seqlock_t,
  write_seqlock,
  write_sequnlock,
} from "#linux/seqlock.ts";
import {
  GFP_ATOMIC,
  GFP_KERNEL,
  kcalloc,
  kfree,
  kmalloc,
  type kmem_cache,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  krealloc,
  ksize,
  kzalloc,
} from "#linux/slab.ts";
import {
  spin_lock,
  spin_lock_init,
  spin_lock_irq,
  spin_trylock,
  spin_unlock,
  spin_unlock_irq,
  spinlock_t,
} from "#linux/spinlock.ts";
import { byte_at, memcmp, memcpy, memset, set_byte_at } from "#linux/string.ts";
import { add_timer, del_timer, del_timer_sync, mod_timer, timer_list, timer_setup } from "#linux/timer.ts";
import { container_of, embed, type kbuf, ptr, type Sleeps, type Spins, struct, u32 } from "#linux/types.ts";
import { vfree, vmalloc } from "#linux/vmalloc.ts";
import {
  init_waitqueue_head,
  wait_event_interruptible_timeout,
  wait_event_timeout,
  wait_queue_head,
  wake_up,
  wake_up_all,
} from "#linux/wait.ts";
import {
  cancel_delayed_work_sync,
  cancel_work_sync,
  delayed_work,
  flush_work,
  INIT_DELAYED_WORK,
  INIT_WORK,
  schedule_delayed_work,
  schedule_work,
  work_struct,
} from "#linux/workqueue.ts";
import { xa_erase, xa_init, xa_insert, xa_load, xa_store, xarray } from "#linux/xarray.ts";
import { kbuild } from "../../kernel/modpost.ts";
import { raise_irq } from "../../kernel/sched/interrupts.ts";
import { send_sig } from "../../kernel/signal.ts";

const { per_boot } = kbuild(import.meta.url);

/** One of everything. */
class lot extends struct("lot", {
  refs: embed(() => kref),
  count: embed(() => refcount_t),
  hits: embed(() => atomic_t),
  lock: embed(() => mutex),
  sem: embed(() => rw_semaphore),
  spin: embed(() => spinlock_t),
  seq: embed(() => seqlock_t),
  done: embed(() => completion),
  wq: embed(() => wait_queue_head),
  list: embed(() => list_head),
  hash: embed(() => hlist_node),
  work: embed(() => work_struct),
  dwork: embed(() => delayed_work),
  timer: embed(() => timer_list),
  next: ptr<lot>(),
  value: u32(),
}) {}

const s = per_boot(() => ({
  lots: [] as (lot | null)[],
  buf: null as kbuf | null,
  far: null as kbuf | null,
  cache: null as kmem_cache<lot> | null,
  head: new list_head(),
  table: new hlist_head(),
  ids: new ida(),
  idr: new idr(),
  xa: new xarray(),
  seen: 0,
}));

export const LOTS = 3;
/** The world that the programs find. */
export function set_the_scene(): void {
  s.lots = [];
  s.buf = s.far = null;
  s.cache = null;
  s.head = new list_head();
  s.table = new hlist_head();
  s.ids = new ida();
  s.idr = new idr();
  s.xa = new xarray();
  INIT_LIST_HEAD(s.head);
  xa_init(s.xa);
}

function release(k: kref): void {
  kfree(container_of(k, lot, "refs"));
}
function* works(work: work_struct): Sleeps {
  const p = container_of(work, lot, "work");
  yield* mutex_lock(p.lock);
  p.value++;
  mutex_unlock(p.lock);
}
function* works_later(): Sleeps {
  yield* msleep(1);
}
function ticks(timer: timer_list): void {
  container_of(timer, lot, "timer").value++;
}
function* interrupts(): Spins {
  const p = s.lots[0];
  if (!p) return;
  yield* spin_lock(p.spin);
  p.value++;
  spin_unlock(p.spin);
  complete(p.done);
}
function set_up(p: lot): void {
  kref_init(p.refs);
  refcount_set(p.count, 1);
  mutex_init(p.lock);
  init_rwsem(p.sem);
  spin_lock_init(p.spin);
  seqlock_init(p.seq);
  init_completion(p.done);
  init_waitqueue_head(p.wq);
  INIT_LIST_HEAD(p.list);
  INIT_WORK(p.work, works);
  INIT_DELAYED_WORK(p.dwork, works_later);
  timer_setup(p.timer, ticks);
}
function new_lot(i: number): lot {
  const p = kzalloc(lot, GFP_KERNEL)!;
  set_up(p);
  s.lots[i] = p;
  return p;
}
/** The `i`-th lot; made if there never was one. Freed ones stay where they are. */
function the(i: number): lot {
  return s.lots[i] ?? new_lot(i);
}

/** What an operation gives that is a number is an errno if it is negative. */
export type op = (i: number, n: number) => Sleeps<unknown> | number | boolean | void;

export const ops: readonly op[] = [
  (i) => void new_lot(i),
  (i) => void (s.lots[i] = kzalloc(lot, GFP_KERNEL)),
  (i) => kfree(the(i)),
  (i) => kfree(the(i).next),
  (i) => kfree_rcu(the(i)),
  (i) => set_up(the(i)),
  (i) => the(i).value++,
  (i, n) => void (the(i).next = n & 1 ? the((i + 1) % LOTS) : null),
  (i) => the(i).next!.value,
  (i) => kref_get(the(i).refs),
  (i) => kref_get_unless_zero(the(i).refs),
  (i) => kref_put(the(i).refs, release),
  (i) => refcount_inc(the(i).count),
  (i) => refcount_inc_not_zero(the(i).count),
  (i) => refcount_dec(the(i).count),
  (i) => refcount_dec_and_test(the(i).count),
  (i, n) => refcount_set(the(i).count, n - 2),
  (i) => refcount_dec_and_mutex_lock(the(i).count, the(i).lock),
  (i) => atomic_inc(the(i).hits),
  (i) => atomic_dec_and_test(the(i).hits),
  (i) => mutex_lock(the(i).lock),
  (i) => mutex_lock_nested(the(i).lock, 1),
  (i) => mutex_lock_interruptible(the(i).lock),
  (i) => mutex_lock_killable(the(i).lock),
  (i) => mutex_trylock(the(i).lock),
  (i) => mutex_unlock(the(i).lock),
  (i) => mutex_unlock(the(i).lock),
  (i) => mutex_destroy(the(i).lock),
  (i) => lockdep_assert_held(the(i).lock),
  (i) => down_read(the(i).sem),
  (i) => down_read_killable(the(i).sem),
  (i) => down_read_trylock(the(i).sem),
  (i) => down_write(the(i).sem),
  (i) => down_write_trylock(the(i).sem),
  (i) => downgrade_write(the(i).sem),
  (i) => up_read(the(i).sem),
  (i) => up_write(the(i).sem),
  (i) => spin_lock(the(i).spin),
  (i) => spin_lock_irq(the(i).spin),
  (i) => spin_trylock(the(i).spin),
  (i) => spin_unlock(the(i).spin),
  (i) => spin_unlock(the(i).spin),
  (i) => spin_unlock_irq(the(i).spin),
  (i) => write_seqlock(the(i).seq),
  (i) => write_sequnlock(the(i).seq),
  function* (i): Sleeps<boolean> {
    return read_seqretry(the(i).seq, yield* read_seqbegin(the(i).seq));
  },
  () => preempt_disable(),
  () => preempt_enable(),
  () => local_irq_disable(),
  () => local_irq_enable(),
  () => rcu_read_lock(),
  () => rcu_read_unlock(),
  () => synchronize_rcu(),
  () => rcu_barrier(),
  (i) => call_rcu(the(i), kfree),
  (i) => complete(the(i).done),
  (i) => complete_all(the(i).done),
  (i) => reinit_completion(the(i).done),
  (i) => init_completion(the(i).done),
  (i) => completion_done(the(i).done),
  (i) => try_wait_for_completion(the(i).done),
  (i, n) => wait_for_completion_timeout(the(i).done, n),
  (i, n) => wait_for_completion_interruptible_timeout(the(i).done, n),
  (i, n) => wait_for_completion_killable_timeout(the(i).done, n),
  (i, n) => wait_event_timeout(the(i).wq, () => s.seen > n, n),
  (i, n) => wait_event_interruptible_timeout(the(i).wq, () => s.seen > n, n),
  (i) => {
    s.seen++;
    return wake_up(the(i).wq);
  },
  (i) => wake_up_all(the(i).wq),
  (i) => list_add(the(i).list, s.head),
  (i) => list_add_tail(the(i).list, s.head),
  (i) => list_del(the(i).list),
  (i) => list_del_init(the(i).list),
  (i) => list_move(the(i).list, s.head),
  () => list_empty(s.head),
  function* (): Sleeps {
    let left = 8;
    for (const p of list_for_each_entry_safe(s.head, lot, "list")) {
      if (!left--) break;
      p.value++;
      yield* cond_resched();
    }
  },
  (i) => hlist_add_head(the(i).hash, s.table),
  (i) => hlist_del(the(i).hash),
  (i) => hlist_del_init(the(i).hash),
  (i) => schedule_work(the(i).work),
  (i) => flush_work(the(i).work),
  (i) => cancel_work_sync(the(i).work),
  (i, n) => schedule_delayed_work(the(i).dwork, n),
  (i) => cancel_delayed_work_sync(the(i).dwork),
  (i, n) => mod_timer(the(i).timer, jiffies() + n),
  (i) => add_timer(the(i).timer),
  (i) => del_timer(the(i).timer),
  (i) => del_timer_sync(the(i).timer),
  (i, n) => void (s.buf = kmalloc(n * 3, n & 1 ? GFP_ATOMIC : GFP_KERNEL)),
  () => kfree(s.buf),
  (i, n) => void (s.buf = krealloc(s.buf, n * 5, GFP_KERNEL)),
  () => ksize(s.buf),
  (i, n) => byte_at(s.buf!, n * 2),
  (i, n) => set_byte_at(s.buf!, n * 2, i),
  (i, n) => memset(s.buf!, i, n),
  (i, n) => memcpy(s.far!, s.buf!, n),
  (i, n) => memcmp(s.far!, s.buf!, n),
  (i, n) => void (s.far = vmalloc(n)),
  () => vfree(s.far),
  (i, n) => void kcalloc(n, lot, GFP_KERNEL)?.at(i),
  () => void (s.cache = kmem_cache_create("lots", lot, 0, 0)),
  (i) => void (s.lots[i] = kmem_cache_alloc(s.cache!, GFP_KERNEL)),
  (i) => kmem_cache_free(s.cache!, the(i)),
  () => kmem_cache_destroy(s.cache),
  () => ida_alloc(s.ids, GFP_KERNEL),
  (i, n) => ida_alloc_range(s.ids, i, n, GFP_KERNEL),
  (i, n) => ida_free(s.ids, n),
  () => ida_destroy(s.ids),
  (i, n) => idr_alloc(s.idr, the(i), i, n, GFP_KERNEL),
  (i, n) => idr_find(s.idr, n),
  (i, n) => void idr_remove(s.idr, n),
  (i, n) => xa_store(s.xa, BigInt(n), the(i), GFP_KERNEL),
  (i, n) => xa_insert(s.xa, BigInt(n), the(i), GFP_KERNEL),
  (i, n) => void xa_load(s.xa, BigInt(n)),
  (i, n) => xa_erase(s.xa, BigInt(n)),
  (i, n) => {
    const map = bitmap_zalloc(n + 1, GFP_KERNEL);
    if (!map) return;
    bitmap_set(map, 0, n);
    bitmap_clear(map, 0, i);
    s.seen = bitmap_weight(map, n + 1);
    bitmap_free(map);
  },
  (i, n) => PTR_ERR(ERR_PTR(-n)),
  (i, n) => msleep(n),
  (i, n) => schedule_timeout_interruptible(n),
  () => cond_resched(),
  () => raise_irq({ name: "fuzz", handler: interrupts }),
  (i, n) => send_sig(n & 1 ? 9 : 10, current(), 1),
  (i, n) => WARN_ON_ONCE(n === i),
];
