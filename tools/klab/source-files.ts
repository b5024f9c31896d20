// SPDX-License-Identifier: GPL-2.0-only
/** Which file a case or a scenario came from. */

const files = new WeakMap<object, string>();

export function cameFrom(file: string, things: Iterable<object>): void {
  for (const thing of things) files.set(thing, file);
}

/** Its file; null for what a test has made. */
export function sourceFileOf(thing: object): string | null {
  return files.get(thing) ?? null;
}
