// SPDX-License-Identifier: GPL-2.0-only
/**
 * For each rule about memory and objects a function that breaks it, where checker_faults.ts and mm_faults.ts have none, and one that
 * comes as near as it may (`_ok`).
 */
import { READ_ONCE, WRITE_ONCE, data_race } from "#linux/compiler.ts";
import { complete, completion, init_completion, wait_for_completion } from "#linux/completion.ts";
import { msleep } from "#linux/delay.ts";
import { dev_set_name, device, device_initialize, put_device } from "#linux/device.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { ENOMEM } from "#linux/errno.ts";
import { on_stack } from "#linux/kasan.ts";
import { type kobj_type, kobject, kobject_add, kobject_init, kobject_put } from "#linux/kobject.ts";
import {
  INIT_LIST_HEAD,
  LIST_HEAD,
  list_add,
  list_del,
  list_del_init,
  list_for_each_entry_safe,
  list_head,
} from "#linux/list.ts";
import { DEFINE_MUTEX, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { call_rcu, init_rcu_head, kfree_rcu, rcu_barrier, synchronize_rcu } from "#linux/rcupdate.ts";
import {
  refcount_add,
  refcount_dec,
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  REFCOUNT_MAX,
  refcount_set,
  refcount_t,
} from "#linux/refcount.ts";
import { jiffies } from "#linux/jiffies.ts";
import {
  GFP_ATOMIC,
  GFP_KERNEL,
  kcalloc,
  kfree,
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_create_usercopy,
  kmem_cache_destroy,
  kmem_cache_free,
  krealloc,
  kzalloc,
} from "#linux/slab.ts";
import { byte_at, copy_struct, memcpy, memset, set_byte_at } from "#linux/string.ts";
import { add_timer, del_timer_sync, timer_list, timer_setup } from "#linux/timer.ts";
import {
  array,
  b32,
  bytestruct,
  embed,
  int,
  kbuf,
  ptr,
  READY,
  sizeof,
  type Sleeps,
  struct,
  u32,
} from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import { vfree, vmalloc } from "#linux/vmalloc.ts";
import {
  cancel_delayed_work_sync,
  cancel_work_sync,
  delayed_work,
  INIT_DELAYED_WORK,
  INIT_WORK,
  schedule_delayed_work,
  schedule_work,
  work_struct,
} from "#linux/workqueue.ts";
import { kbuild } from "../../kernel/modpost.ts";

const { per_boot } = kbuild(import.meta.url);

class inner extends struct("inner", { a: u32(), b: u32() }) {}
class thing extends struct("thing", {
  id: u32(),
  in_: embed(() => inner),
  next: ptr<thing>(),
  table: array(4, u32()),
  list: embed(() => list_head),
  refs: embed(() => refcount_t),
  work: embed(() => work_struct),
  timer: embed(() => timer_list),
  shared: int(),
}) {}
/** Things that grow with the kernel: reports do not name their sizes. */
class gadget extends struct("gadget", { kobj: embed(() => kobject), dev: embed(() => device) }) {}
class answer extends bytestruct("answer", { argsz: b32(), flags: b32(), size: b32(), spare: b32() }) {}
/** Of its members only the last has bytes that user space is given. */
class request extends struct("request", { id: u32(), inner: embed(() => inner), reply: embed(() => answer) }) {}

const s = per_boot(() => ({
  seen: 0,
  kept: null as thing | null,
  late: null as thing | null,
  lock: DEFINE_MUTEX("lock"),
  said: DEFINE_MUTEX("said"),
  static_table: new kbuf(8),
}));

function new_thing(): thing {
  return kzalloc(thing, GFP_KERNEL)!;
}

export function* write_after_free(): Sleeps {
  const p = new_thing();
  kfree(p);
  p.id = 1;
  yield* READY;
}
export function* used_before_free_ok(): Sleeps {
  const p = new_thing();
  p.in_.b = 7;
  s.seen = p.in_.b;
  kfree(p);
  yield* READY;
}
export function* free_of_null_ok(): Sleeps {
  kfree(null);
  kfree(kzalloc(0, GFP_KERNEL));
  const p = new_thing();
  kfree(p);
  yield* READY;
}
export function* write_past_buffer(): Sleeps {
  const p = kzalloc(10, GFP_KERNEL)!;
  set_byte_at(p, 10, 1);
  kfree(p);
  yield* READY;
}
export function* read_before_buffer(): Sleeps {
  const p = kzalloc(10, GFP_KERNEL)!;
  s.seen = byte_at(p, -1);
  kfree(p);
  yield* READY;
}
export function* memset_past_buffer(): Sleeps {
  const p = kmalloc(10, GFP_KERNEL)!;
  memset(p, 0, 16);
  kfree(p);
  yield* READY;
}
export function* inside_bounds_ok(): Sleeps {
  const p = kzalloc(10, GFP_KERNEL)!;
  set_byte_at(p, 9, 1);
  s.seen = byte_at(p, 0);
  memset(p, 0, 10);
  kfree(p);
  const a = kcalloc(3, thing, GFP_KERNEL)!;
  a.at(2).table.set(3, 1);
  const longer = krealloc(a, 4, thing, GFP_KERNEL)!;
  longer.at(3).id = 1;
  kfree(longer);
  const v = vmalloc(100)!;
  set_byte_at(v, 99, 1);
  vfree(v);
  yield* READY;
}
export function* past_static(): Sleeps {
  s.seen = byte_at(s.static_table, 8);
  yield* READY;
}
export function* inside_static_ok(): Sleeps {
  s.seen = byte_at(s.static_table, 7);
  yield* READY;
}
export function* inside_block_ok(): Sleeps {
  using here = on_stack(thing);
  here.id = 1;
  yield* READY;
}
export function* error_pointer_asked_ok(): Sleeps {
  const p = ERR_PTR<thing>(-ENOMEM);
  if (IS_ERR(p)) s.seen = PTR_ERR(p);
  yield* READY;
}
export function* null_asked_ok(): Sleeps {
  const gone: { thing: thing | null } = { thing: null };
  s.seen = gone.thing?.id ?? 0;
  yield* READY;
}

/** Held by a static, by another object, by a member in the middle, and by a task that still runs: no leaks. */
export function* kept_ok(): Sleeps {
  const p = new_thing();
  p.next = new_thing();
  s.kept = p;
  const lost = new_thing();
  kfree(lost);
  yield* READY;
}
/** Two that hold each other and that nobody else does. */
export function* ring(): Sleeps {
  const [p, q] = [new_thing(), new_thing()];
  p.next = q;
  q.next = p;
  yield* READY;
}

export function* refs_ok(): Sleeps {
  const { refs } = new_thing();
  refcount_set(refs, 1);
  refcount_inc(refs);
  refcount_dec(refs);
  refcount_add(REFCOUNT_MAX - 1, refs);
  refcount_set(refs, 1);
  if (!refcount_dec_and_test(refs) || refcount_inc_not_zero(refs)) s.seen++;
  yield* READY;
}

function* slow_work(): Sleeps {
  yield* msleep(50);
}
function tick(): void {
  s.seen++;
}
export function* work_cancelled_ok(): Sleeps {
  const p = new_thing();
  INIT_WORK(p.work, slow_work);
  schedule_work(p.work);
  yield* cancel_work_sync(p.work);
  INIT_WORK(p.work, slow_work);
  kfree(p);
}
function armed(): thing {
  const p = new_thing();
  timer_setup(p.timer, tick);
  p.timer.expires = jiffies() + 10;
  add_timer(p.timer);
  return p;
}
export function* timer_freed(): Sleeps {
  kfree(armed());
  yield* READY;
}
export function* timer_initialised(): Sleeps {
  const p = armed();
  timer_setup(p.timer, tick);
  yield* READY;
}
export function* timer_of_zeros(): Sleeps {
  yield* del_timer_sync(new_thing().timer);
}
export function* timer_deleted_ok(): Sleeps {
  const p = armed();
  yield* del_timer_sync(p.timer);
  timer_setup(p.timer, tick);
  kfree(p);
}
class postponed extends struct("postponed", { work: embed(() => delayed_work) }) {}
function* late(): Sleeps {
  yield* READY;
}
function later(): postponed {
  const p = kzalloc(postponed, GFP_KERNEL)!;
  INIT_DELAYED_WORK(p.work, late);
  schedule_delayed_work(p.work, 100);
  return p;
}
/** Its timer is what is active. */
export function* delayed_work_freed(): Sleeps {
  kfree(later());
  yield* READY;
}
export function* delayed_work_cancelled_ok(): Sleeps {
  const p = later();
  yield* cancel_delayed_work_sync(p.work);
  kfree(p);
}
function nothing(): void {}
export function* rcu_freed(): Sleeps {
  const p = new_thing();
  call_rcu(p, nothing);
  kfree(p);
  yield* READY;
}
export function* rcu_twice(): Sleeps {
  const p = new_thing();
  call_rcu(p, nothing);
  call_rcu(p, nothing);
  yield* READY;
}
export function* rcu_initialised(): Sleeps {
  const p = new_thing();
  call_rcu(p, nothing);
  init_rcu_head(p);
  yield* READY;
}
export function* kfree_rcu_twice(): Sleeps {
  const p = new_thing();
  kfree_rcu(p);
  kfree_rcu(p);
  yield* READY;
}
export function* rcu_over_ok(): Sleeps {
  const p = new_thing();
  call_rcu(p, nothing);
  yield* rcu_barrier();
  init_rcu_head(p);
  call_rcu(p, nothing);
  yield* rcu_barrier();
  kfree_rcu(p);
  yield* synchronize_rcu();
}

const ktype: kobj_type = { release: (k) => kfree(k.$up) };
export function* kobject_ok(): Sleeps {
  const p = kzalloc(gadget, GFP_KERNEL)!;
  kobject_init(p.kobj, ktype);
  yield* kobject_add(p.kobj, null, "thing");
  yield* kobject_put(p.kobj);
}
export function* device_ok(): Sleeps {
  const p = kzalloc(gadget, GFP_KERNEL)!;
  device_initialize(p.dev);
  p.dev.release = (dev) => kfree(dev.$up);
  dev_set_name(p.dev, "thing");
  yield* put_device(p.dev);
}

export function* lists_ok(): Sleeps {
  const head = LIST_HEAD();
  for (let i = 0; i < 3; i++) list_add(new_thing().list, head);
  for (const p of list_for_each_entry_safe(head, thing, "list")) {
    list_del(p.list);
    INIT_LIST_HEAD(p.list);
    list_add(p.list, head);
    list_del_init(p.list);
    list_del_init(p.list);
    kfree(p);
  }
  yield* READY;
}

export function* cache_ok(): Sleeps {
  const cache = kmem_cache_create("thing_cache", thing, 0, 0)!;
  kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));
  kmem_cache_destroy(cache);
  yield* READY;
}
export function* usercopy_ok(): Sleeps {
  const cache = kmem_cache_create_usercopy("answer_cache", answer, 0, 0, 4, 8)!;
  const p = kmem_cache_alloc(cache, GFP_KERNEL)!;
  memset(p, 0, 16);
  yield* copy_to_user(0n, kmalloc(8, GFP_KERNEL), 8);
  kmem_cache_free(cache, p);
}

export function* leaks_to_user(): Sleeps {
  const p = kmalloc(answer, GFP_KERNEL)!;
  p.argsz = 16;
  p.size = 0;
  p.spare = 1;
  yield* copy_to_user(s_user(), p, 16);
  const copy = kmalloc(8, GFP_KERNEL)!;
  memcpy(copy, p, 8);
  yield* copy_to_user(s_user(), copy, 5);
}
/** In a struct, and in a copy of it. */
export function* leaks_member_to_user(): Sleeps {
  const p = kmalloc(request, GFP_KERNEL)!;
  p.id = 1;
  p.reply.argsz = p.reply.flags = 16;
  yield* copy_to_user(s_user(), p.reply, 16);
  const q = kzalloc(request, GFP_KERNEL)!;
  copy_struct(q, p);
  yield* copy_to_user(s_user(), q.reply, 12);
}
export function* leaks_local_to_user(): Sleeps {
  using info = on_stack(answer);
  info.argsz = 16;
  yield* copy_to_user(s_user(), info, 8);
}
export function* all_written_ok(): Sleeps {
  const whole = kmalloc(request, GFP_KERNEL)!;
  memset(whole, 0, sizeof(request));
  yield* copy_to_user(s_user(), whole.reply, 16);
  const part = kmalloc(request, GFP_KERNEL)!;
  const zeros = kzalloc(answer, GFP_KERNEL)!;
  copy_struct(part.reply, zeros);
  yield* copy_to_user(s_user(), part.reply, 16);
  const written = kmalloc(request, GFP_KERNEL)!;
  yield* copy_from_user(written.reply, s_user(), 16);
  yield* copy_to_user(s_user(), written.reply, 16);
  const p = kmalloc(answer, GFP_KERNEL)!;
  p.argsz = p.flags = p.size = p.spare = 0;
  yield* copy_to_user(s_user(), p, 16);
  const q = kmalloc(16, GFP_KERNEL)!;
  yield* copy_from_user(q, s_user(), 16);
  yield* copy_to_user(s_user(), q, 16);
  yield* copy_to_user(s_user(), kzalloc(16, GFP_KERNEL), 16);
  const r = krealloc(kzalloc(8, GFP_KERNEL), 100, GFP_KERNEL)!;
  memset(r, 0, 100);
  yield* copy_to_user(s_user(), r, 100);
}
const user = { addr: 0n };
const s_user = (): bigint => user.addr;
/** Where in the process's memory the two above copy to. */
export function set_user(addr: bigint): void {
  user.addr = addr;
}

export function* allocates_atomic_ok(): Sleeps {
  kfree(kmalloc(8, GFP_ATOMIC));
  yield* READY;
}

export function* races_marked(): Sleeps {
  s.kept ??= new_thing();
  WRITE_ONCE(s.kept, "shared", 1);
  s.seen = READ_ONCE(s.kept, "shared") + data_race(() => s.kept!.id);
  yield* READY;
}
export function* races_known(): Sleeps {
  WRITE_ONCE(s.kept!, "shared", 2);
  data_race(() => (s.kept!.id = 2));
  yield* READY;
}
export function* races_locked(): Sleeps {
  yield* mutex_lock(s.lock);
  s.kept ??= new_thing();
  s.kept.id++;
  mutex_unlock(s.lock);
}
/** An access in one task, the free in another, and nothing that says which comes first. */
export function* visits(): Sleeps {
  s.kept ??= new_thing();
  s.kept.id = 1;
  yield* READY;
}
export function* frees_later(): Sleeps {
  yield* msleep(10);
  kfree(s.kept);
}
export function* visits_told_ok(): Sleeps {
  using done = on_stack(completion);
  init_completion(done, "done");
  s.kept = new_thing();
  told.done = done;
  yield* wait_for_completion(done);
  kfree(s.kept);
}
const told: { done: completion | null } = { done: null };
export function* tells(): Sleeps {
  yield* msleep(10);
  s.kept!.id = 1;
  complete(told.done!);
}
