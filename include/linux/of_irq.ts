// SPDX-License-Identifier: GPL-2.0-only
// custom: interrupts of device tree nodes, which the machine has given numbers
import { EINVAL } from "./errno.ts";
import { type device_node, of_get_property, of_property_strings } from "./of.ts";
import { type irq_domain, irq_find_host } from "./msi.ts";
import { irq_set_trigger_type, irq_to_desc } from "./interrupt.ts";
import { irq_alloc_desc } from "../../kernel/irq/manage.ts";

/** Interrupts of the controller's shared lines begin here. */
export const FIRST_SPI = 32;

/**
 * The `index`th interrupt of a node: three cells each, for the kind of line (0 for a shared one), its number and its trigger.
 * @return its number, or -EINVAL if there is none. Any context
 */
export function of_irq_get(dev: device_node, index: number): number {
  const cells = of_get_property(dev, "interrupts") ?? [];
  const [, line, type] = [...cells].slice(3 * index, 3 * index + 3).map(Number);
  if (line === undefined || type === undefined) return -EINVAL;
  const irq = FIRST_SPI + line;
  if (!irq_to_desc(irq)) {
    irq_alloc_desc(irq);
    irq_set_trigger_type(irq, type);
  }
  return irq;
}
/** The controller that a node names for its messages, if it has a domain for them; or NULL. */
export function of_msi_get_domain(node: device_node | null, bus: number): irq_domain | null {
  return of_get_property(node, "msi-parent") ? irq_find_host(bus) : null;
}
export function of_irq_get_byname(dev: device_node, name: string): number {
  const index = of_property_strings(dev, "interrupt-names").indexOf(name);
  return index < 0 ? -EINVAL : of_irq_get(dev, index);
}
