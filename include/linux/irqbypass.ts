// SPDX-License-Identifier: GPL-2.0-only
// dup: who raises an interrupt and who takes it, for each other
import { list_head } from "./list.ts";
import { embed, fn, int, ptr, struct } from "./types.ts";

/** Who raises it: a VFIO driver. `token`: what both know, an eventfd's context. */
class irq_bypass_producer_base extends struct("irq_bypass_producer", {
  node: embed(() => list_head),
  token: ptr<object>(),
  irq: int(),
  add_consumer: fn<(prod: irq_bypass_producer, cons: irq_bypass_consumer) => number>(),
  del_consumer: fn<(prod: irq_bypass_producer, cons: irq_bypass_consumer) => void>(),
  stop: fn<(prod: irq_bypass_producer) => void>(),
  start: fn<(prod: irq_bypass_producer) => void>(),
}) {}
export class irq_bypass_producer extends irq_bypass_producer_base {}

/** Who takes it: a hypervisor. The first two functions must be there. */
class irq_bypass_consumer_base extends struct("irq_bypass_consumer", {
  node: embed(() => list_head),
  token: ptr<object>(),
  add_producer: fn<(cons: irq_bypass_consumer, prod: irq_bypass_producer) => number>(),
  del_producer: fn<(cons: irq_bypass_consumer, prod: irq_bypass_producer) => void>(),
  stop: fn<(cons: irq_bypass_consumer) => void>(),
  start: fn<(cons: irq_bypass_consumer) => void>(),
}) {}
export class irq_bypass_consumer extends irq_bypass_consumer_base {}

export {
  irq_bypass_register_consumer,
  irq_bypass_register_producer,
  irq_bypass_unregister_consumer,
  irq_bypass_unregister_producer,
} from "../../kernel/virt/irqbypass.ts";
