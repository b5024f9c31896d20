// SPDX-License-Identifier: GPL-2.0-only
/** Eventfds by which user space tells a VFIO driver something: what KVM's irqfds are, the other way round. */
import { EBADF, EBUSY, ENOMEM } from "#linux/errno.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import {
  type eventfd_ctx,
  eventfd_ctx_do_read,
  eventfd_ctx_fileget,
  eventfd_ctx_put,
  eventfd_ctx_remove_wait_queue,
} from "#linux/eventfd.ts";
import { kbuild } from "#linux/export.ts";
import { fdget, fdput } from "#linux/file.ts";
import type { file } from "#linux/fs.ts";
import { EPOLLHUP, EPOLLIN, init_poll_funcptr, type poll_table, vfs_poll } from "#linux/poll.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL_ACCOUNT, kfree, kzalloc } from "#linux/slab.ts";
import {
  DEFINE_SPINLOCK,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_unlock_irq,
  spin_unlock_irqrestore,
} from "#linux/spinlock.ts";
import { container_of, type Sleeps, type Spins } from "#linux/types.ts";
import { virqfd, type virqfd_pointer } from "#linux/vfio.ts";
import {
  add_wait_queue,
  init_waitqueue_func_entry,
  type wait_queue_entry_t,
  type wait_queue_head_t,
} from "#linux/wait.ts";
import {
  create_singlethread_workqueue,
  destroy_workqueue,
  flush_work,
  flush_workqueue,
  INIT_WORK,
  queue_work,
  schedule_work,
  type work_struct,
  type workqueue_struct,
} from "#linux/workqueue.ts";

const { per_boot, module_init, module_exit, EXPORT_SYMBOL_GPL, MODULE_LICENSE, MODULE_VERSION } = kbuild(
  import.meta.url,
);

const s = per_boot(() => ({
  vfio_irqfd_cleanup_wq: null as workqueue_struct | null,
  virqfd_lock: DEFINE_SPINLOCK("virqfd_lock"),
}));

function vfio_virqfd_init(): number {
  s.vfio_irqfd_cleanup_wq = create_singlethread_workqueue("vfio-irqfd-cleanup");
  if (!s.vfio_irqfd_cleanup_wq) return -ENOMEM;

  return 0;
}

function* vfio_virqfd_exit(): Sleeps {
  yield* destroy_workqueue(s.vfio_irqfd_cleanup_wq!);
}

function virqfd_deactivate(virqfd: virqfd): void {
  queue_work(s.vfio_irqfd_cleanup_wq!, virqfd.shutdown);
}

function* virqfd_wakeup(wait: wait_queue_entry_t, _mode: number, _sync: number, key: unknown): Spins<number> {
  const v = container_of(wait, virqfd, "wait");
  const flags = Number(key);

  if (flags & EPOLLIN) {
    const cnt = { value: 0n };
    eventfd_ctx_do_read(v.eventfd!, cnt);

    // Somebody has signalled
    if ((!v.handler || (yield* v.handler(v.opaque, v.data))) && v.thread) schedule_work(v.inject);
  }

  if (flags & EPOLLHUP) {
    const flags = yield* spin_lock_irqsave(s.virqfd_lock);

    // The eventfd is being closed. If the pointer is still there nobody has queued the release yet; the wait queue's
    // lock, which we hold, keeps the virqfd from going away meanwhile.
    if (v.pvirqfd!.value === v) {
      v.pvirqfd!.value = null;
      virqfd_deactivate(v);
    }

    yield* spin_unlock_irqrestore(s.virqfd_lock, flags);
  }

  return 0;
}

function* virqfd_ptable_queue_proc(_file: file, wqh: wait_queue_head_t, pt: poll_table): Spins {
  const v = container_of(pt, virqfd, "pt");
  yield* add_wait_queue(wqh, v.wait);
}

function* virqfd_shutdown(work: work_struct): Sleeps {
  const v = container_of(work, virqfd, "shutdown");
  const cnt = { value: 0n };

  yield* eventfd_ctx_remove_wait_queue(v.eventfd!, v.wait, cnt);
  yield* flush_work(v.inject);
  eventfd_ctx_put(v.eventfd!);

  kfree(v);
}

function* virqfd_inject(work: work_struct): Sleeps {
  const v = container_of(work, virqfd, "inject");
  if (v.thread) yield* either(v.thread(v.opaque, v.data));
}

function* virqfd_flush_inject(work: work_struct): Sleeps {
  const v = container_of(work, virqfd, "flush_inject");

  yield* flush_work(v.inject);
}

/**
 * Calls a driver each time user space signals an eventfd.
 * @opaque, @data: for the two functions; @handler: called with interrupts off, says whether @thread is to run in a worker;
 * either may be NULL; @pvirqfd: where the driver keeps the pointer, NULL at first; @fd: of the eventfd
 * @return 0; -EBADF, -EINVAL for a file that is no eventfd; -EBUSY if the pointer is set; -ENOMEM. Context: may sleep.
 * Source: drivers/vfio/virqfd.c
 */
export function* vfio_virqfd_enable(
  opaque: object | null,
  handler: virqfd["handler"],
  thread: virqfd["thread"],
  data: object | null,
  pvirqfd: virqfd_pointer,
  fd: number,
): Sleeps<number> {
  let ret = 0;

  const v = kzalloc(virqfd, GFP_KERNEL_ACCOUNT);
  if (!v) return -ENOMEM;

  v.pvirqfd = pvirqfd;
  v.opaque = opaque;
  v.handler = handler;
  v.thread = thread;
  v.data = data;

  INIT_WORK(v.shutdown, virqfd_shutdown);
  INIT_WORK(v.inject, virqfd_inject);
  INIT_WORK(v.flush_inject, virqfd_flush_inject);

  err_fd: {
    const irqfd = fdget(fd);
    if (!irqfd.file) {
      ret = -EBADF;
      break err_fd;
    }

    err_ctx: {
      const ctx: eventfd_ctx = eventfd_ctx_fileget(irqfd.file);
      if (IS_ERR(ctx)) {
        ret = PTR_ERR(ctx);
        break err_ctx;
      }

      v.eventfd = ctx;

      err_busy: {
        // Closing the eventfd and asking for it both release a virqfd, in the worker: under the lock, so that only one does.
        yield* spin_lock_irq(s.virqfd_lock);

        if (pvirqfd.value) {
          yield* spin_unlock_irq(s.virqfd_lock);
          ret = -EBUSY;
          break err_busy;
        }
        pvirqfd.value = v;

        yield* spin_unlock_irq(s.virqfd_lock);

        // From here on whoever signals calls us
        init_waitqueue_func_entry(v.wait, virqfd_wakeup);
        init_poll_funcptr(v.pt, virqfd_ptable_queue_proc);

        const events = yield* vfs_poll(irqfd.file, v.pt);

        // It may have been signalled before
        if (events & EPOLLIN) {
          if ((!handler || (yield* handler(opaque, data))) && thread) schedule_work(v.inject);
        }

        // Not earlier: the last close would come in between
        fdput(irqfd);

        return 0;
      }
      eventfd_ctx_put(ctx);
    }
    fdput(irqfd);
  }
  kfree(v);

  return ret;
}
EXPORT_SYMBOL_GPL(vfio_virqfd_enable);

/** The opposite; waits until everything that was being released is. Context: may sleep. Source: drivers/vfio/virqfd.c */
export function* vfio_virqfd_disable(pvirqfd: virqfd_pointer): Sleeps {
  const flags = yield* spin_lock_irqsave(s.virqfd_lock);

  if (pvirqfd.value) {
    virqfd_deactivate(pvirqfd.value);
    pvirqfd.value = null;
  }

  yield* spin_unlock_irqrestore(s.virqfd_lock, flags);

  // Also if we queued nothing: the eventfd's close may have
  yield* flush_workqueue(s.vfio_irqfd_cleanup_wq!);
}
EXPORT_SYMBOL_GPL(vfio_virqfd_disable);

/** Waits until a driver's thread function has run for all signals so far. Context: may sleep. Source: drivers/vfio/virqfd.c */
export function* vfio_virqfd_flush_thread(pvirqfd: virqfd_pointer): Sleeps {
  const flags = yield* spin_lock_irqsave(s.virqfd_lock);
  if (pvirqfd.value && pvirqfd.value.thread) queue_work(s.vfio_irqfd_cleanup_wq!, pvirqfd.value.flush_inject);
  yield* spin_unlock_irqrestore(s.virqfd_lock, flags);

  yield* flush_workqueue(s.vfio_irqfd_cleanup_wq!);
}
EXPORT_SYMBOL_GPL(vfio_virqfd_flush_thread);

module_init(vfio_virqfd_init);
module_exit(vfio_virqfd_exit);

MODULE_VERSION("0.1");
MODULE_LICENSE("GPL v2");
