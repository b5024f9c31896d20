// SPDX-License-Identifier: GPL-2.0-only
/** Function pointers that some fill with a function that sleeps and others with one that does not. */
import { ready, type Sleeps } from "./types.ts";

function is_iterable<T>(x: Sleeps<T> | T): x is Sleeps<T> {
  return typeof x === "object" && x !== null && Symbol.iterator in x;
}

/**
 * The result of a call through such a pointer: `yield* either(table.fn(…))`.
 * @return what the function returned, once it has. T itself must not be iterable.
 */
export function either<T>(result: Sleeps<T> | T): Sleeps<T> {
  return is_iterable(result) ? result : ready(result);
}
