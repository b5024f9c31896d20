// SPDX-License-Identifier: GPL-2.0-only
/** What a suspended task hands to the scheduler, and the two types that say in a signature whether a function may wait. */

const cpu: unique symbol = Symbol("waits for a CPU");
const sleep: unique symbol = Symbol("sleeps");

export interface CpuPoint {
  readonly [cpu]: true;
}
export interface SleepPoint {
  readonly [sleep]: true;
}

/** May have to wait for another CPU, or be interrupted; never sleeps. Callable with spinlocks held and from interrupts. */
export type Spins<T = void> = Iterable<CpuPoint, T, void>;
/** May sleep: process context only. */
export type Sleeps<T = void> = Iterable<CpuPoint | SleepPoint, T, void>;

export const CPU_POINT: CpuPoint = { [cpu]: true };
export const SLEEP_POINT: SleepPoint = { [sleep]: true };

class ready_result<T> implements Iterator<never, T, void> {
  readonly done = true;
  readonly value: T;
  constructor(value: T) {
    this.value = value;
  }
  [Symbol.iterator](): this {
    return this;
  }
  next(): this {
    return this;
  }
}

/** Nothing had to wait. Shared: it holds no state. */
export const READY: Spins = new ready_result<void>(undefined);
const READY_0: Spins<number> = new ready_result(0);
const READY_1: Spins<number> = new ready_result(1);

/** Nothing had to wait, and this is the result. */
export function ready<T>(value: T): Spins<T> {
  return new ready_result(value);
}

/** ready() for the results that nearly every primitive gives; shares its objects. */
export function ready_int(value: number): Spins<number> {
  return value === 0 ? READY_0 : value === 1 ? READY_1 : new ready_result(value);
}

/**
 * Hands a call that may sleep on as one that does not: where C calls a function, or through a table, from both contexts.
 * For the types only: if it does sleep, the checks at run time speak.
 */
export function atomic_context<T>(call: Sleeps<T>): Spins<T> {
  return call as Spins<T>;
}
