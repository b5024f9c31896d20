// SPDX-License-Identifier: GPL-2.0-only
/** Who raises an interrupt and who takes it find each other by a token, so that it need not pass through us. Source: virt/lib/irqbypass.c; built in */
import { EBUSY, EINVAL, ENODEV } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { irq_bypass_consumer, irq_bypass_producer } from "#linux/irqbypass.ts";
import { might_sleep } from "#linux/kernel.ts";
import { LIST_HEAD, list_add, list_del, list_for_each_entry } from "#linux/list.ts";
import { module_put, try_module_get } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import type { Sleeps } from "#linux/types.ts";

const { THIS_MODULE, per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => {
  const made = { producers: LIST_HEAD(), consumers: LIST_HEAD(), lock: new mutex() };
  mutex_init(made.lock, "lock");
  return made;
});
const producers = (): Iterable<irq_bypass_producer> => list_for_each_entry(s.producers, irq_bypass_producer, "node");
const consumers = (): Iterable<irq_bypass_consumer> => list_for_each_entry(s.consumers, irq_bypass_consumer, "node");

/* Needs the lock. */
function __connect(prod: irq_bypass_producer, cons: irq_bypass_consumer): number {
  let ret = 0;

  prod.stop?.(prod);
  cons.stop?.(cons);

  if (prod.add_consumer) ret = prod.add_consumer(prod, cons);

  if (!ret) {
    ret = cons.add_producer!(cons, prod);
    if (ret) prod.del_consumer?.(prod, cons);
  }

  cons.start?.(cons);
  prod.start?.(prod);

  return ret;
}

/* Needs the lock. */
function __disconnect(prod: irq_bypass_producer, cons: irq_bypass_consumer): void {
  prod.stop?.(prod);
  cons.stop?.(cons);

  cons.del_producer!(cons, prod);

  prod.del_consumer?.(prod, cons);

  cons.start?.(cons);
  prod.start?.(prod);
}

/** @return 0; -EINVAL without a token; -EBUSY if somebody has this one; what the consumer says. May sleep */
export function* irq_bypass_register_producer(producer: irq_bypass_producer): Sleeps<number> {
  let ret: number;

  if (!producer.token) return -EINVAL;

  might_sleep();

  if (!try_module_get(THIS_MODULE)) return -ENODEV;

  yield* mutex_lock(s.lock);

  out_err: {
    for (const tmp of producers()) {
      if (tmp.token === producer.token) {
        ret = -EBUSY;
        break out_err;
      }
    }

    for (const consumer of consumers()) {
      if (consumer.token === producer.token) {
        ret = __connect(producer, consumer);
        if (ret) break out_err;
        break;
      }
    }

    list_add(producer.node, s.producers);

    mutex_unlock(s.lock);

    return 0;
  }
  mutex_unlock(s.lock);
  module_put(THIS_MODULE);
  return ret;
}
EXPORT_SYMBOL_GPL(irq_bypass_register_producer);

/** The opposite; nothing happens if its token is nobody's. May sleep. */
export function* irq_bypass_unregister_producer(producer: irq_bypass_producer): Sleeps {
  if (!producer.token) return;

  might_sleep();

  if (!try_module_get(THIS_MODULE)) return;

  yield* mutex_lock(s.lock);

  for (const tmp of producers()) {
    // By token: it may be somebody else's.
    if (tmp.token !== producer.token) continue;

    for (const consumer of consumers()) {
      if (consumer.token === producer.token) {
        __disconnect(producer, consumer);
        break;
      }
    }

    list_del(producer.node);
    module_put(THIS_MODULE);
    break;
  }

  mutex_unlock(s.lock);

  module_put(THIS_MODULE);
}
EXPORT_SYMBOL_GPL(irq_bypass_unregister_producer);

/** @return as above. May sleep */
export function* irq_bypass_register_consumer(consumer: irq_bypass_consumer): Sleeps<number> {
  let ret: number;

  if (!consumer.token || !consumer.add_producer || !consumer.del_producer) return -EINVAL;

  might_sleep();

  if (!try_module_get(THIS_MODULE)) return -ENODEV;

  yield* mutex_lock(s.lock);

  out_err: {
    for (const tmp of consumers()) {
      if (tmp.token === consumer.token || tmp === consumer) {
        ret = -EBUSY;
        break out_err;
      }
    }

    for (const producer of producers()) {
      if (producer.token === consumer.token) {
        ret = __connect(producer, consumer);
        if (ret) break out_err;
        break;
      }
    }

    list_add(consumer.node, s.consumers);

    mutex_unlock(s.lock);

    return 0;
  }
  mutex_unlock(s.lock);
  module_put(THIS_MODULE);
  return ret;
}
EXPORT_SYMBOL_GPL(irq_bypass_register_consumer);

/** The opposite. May sleep. */
export function* irq_bypass_unregister_consumer(consumer: irq_bypass_consumer): Sleeps {
  if (!consumer.token) return;

  might_sleep();

  if (!try_module_get(THIS_MODULE)) return;

  yield* mutex_lock(s.lock);

  for (const tmp of consumers()) {
    if (tmp !== consumer) continue;

    for (const producer of producers()) {
      if (producer.token === consumer.token) {
        __disconnect(producer, consumer);
        break;
      }
    }

    list_del(consumer.node);
    module_put(THIS_MODULE);
    break;
  }

  mutex_unlock(s.lock);

  module_put(THIS_MODULE);
}
EXPORT_SYMBOL_GPL(irq_bypass_unregister_consumer);
