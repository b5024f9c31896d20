// SPDX-License-Identifier: GPL-2.0-only
/** Handlers that go with the driver. Source: kernel/irq/devres.c */
import { WARN_ON } from "#linux/bug.ts";
import { dev_name, type device, devres_add, devres_alloc, devres_destroy, devres_free } from "#linux/device.ts";
import { ENOMEM } from "#linux/errno.ts";
import { GFP_KERNEL } from "#linux/slab.ts";
import { type kobj_memory, ptr, type Sleeps, struct, u32 } from "#linux/types.ts";
import { free_irq, type irq_handler_t, type irq_thread_t, request_threaded_irq } from "./manage.ts";

class irq_devres extends struct("irq_devres", { irq: u32(), dev_id: ptr<object>() }) {}

function* devm_irq_release(_dev: device, res: kobj_memory): Sleeps {
  const this_ = res as irq_devres;
  yield* free_irq(this_.irq, this_.dev_id);
}
interface which {
  readonly irq: number;
  readonly dev_id: object | null;
}
function devm_irq_match(_dev: device, res: kobj_memory, match: which): boolean {
  const this_ = res as irq_devres;
  return this_.irq === match.irq && this_.dev_id === match.dev_id;
}

/** As request_threaded_irq(), for as long as the device has its driver. @devname: default the device's. May sleep */
export function* devm_request_threaded_irq(
  dev: device,
  irq: number,
  handler: irq_handler_t,
  thread_fn: irq_thread_t | null,
  irqflags: number,
  devname: string | null,
  dev_id: object | null,
): Sleeps<number> {
  const dr = devres_alloc(devm_irq_release, irq_devres, GFP_KERNEL);
  if (!dr) return -ENOMEM;

  const rc = yield* request_threaded_irq(irq, handler, thread_fn, irqflags, devname ?? dev_name(dev), dev_id);
  if (rc) {
    devres_free(dr);
    return rc;
  }

  dr.irq = irq;
  dr.dev_id = dev_id;
  yield* devres_add(dev, dr);

  return 0;
}

/** Gives such a handler back before its time. May sleep. */
export function* devm_free_irq(dev: device, irq: number, dev_id: object | null): Sleeps {
  const match_data: which = { irq, dev_id };

  const rc = yield* devres_destroy(dev, devm_irq_release, devm_irq_match, match_data);
  WARN_ON(rc !== 0);
  yield* free_irq(irq, dev_id);
}
