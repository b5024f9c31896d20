// SPDX-License-Identifier: GPL-2.0-only
/** Variables that each CPU has one of. */
import { smp_processor_id } from "../../sched/task.ts";

/** DEFINE_PER_CPU(): made in a per_boot(), so that each boot starts afresh. */
export class per_cpu<T> {
  readonly #copies: T[] = [];
  readonly #make: () => T;
  constructor(make: () => T) {
    this.#make = make;
  }
  on(cpu: number): T {
    return (this.#copies[cpu] ??= this.#make());
  }
}

/** This CPU's copy. The caller must not be moved to another CPU while it uses it. */
export function this_cpu_ptr<T>(variable: per_cpu<T>): T {
  return variable.on(smp_processor_id());
}
