// SPDX-License-Identifier: GPL-2.0-only
/** Options that several commands have. */
import { availableParallelism } from "node:os";
import { InputError } from "./errors.ts";

const MOST = 999_999_999;
/** @throws InputError if it is no whole number from `least` to `most` */
export function numberOf(name: string, text: string | undefined, fallback: number, least: number, most = MOST): number {
  if (text === undefined) return fallback;
  const n = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (n < least || n > most) {
    const range = most === MOST && text.length < 10 ? `from ${least} on` : `from ${least} to ${most}`;
    throw new InputError(`--${name} ${JSON.stringify(text)} is not a whole number ${range}`);
  }
  return n;
}

/** Threads beyond which there is nothing to gain, and memory to lose. */
const MOST_WORKERS = 256;
/** How many threads: all cores, if nobody says otherwise. */
export function workersOf(text: string | undefined): number {
  return numberOf("workers", text, availableParallelism(), 1, MOST_WORKERS);
}
