// SPDX-License-Identifier: GPL-2.0-only
/**
 * Error pointers, and every other pointer that points nowhere. Using one as a pointer faults; comparing, storing and
 * asking IS_ERR() do not.
 */
import { bad_pointer } from "./struct.ts";

const values = new WeakMap<object, number>();
const errors = new Map<number, object>();

/** Raises the fault; set by the fault handler. `address` as the machine would report it. */
export const bad_access = {
  fault: (address: bigint, _what: string, _write: boolean): never => {
    throw new TypeError(`bad access at ${address.toString(16)}`);
  },
};

function wild(address: bigint, what: string): object {
  return new Proxy(Object.create(null) as object, {
    // Symbols are asked by the host (iteration, printing), never by ported code.
    get: (_t, member) =>
      typeof member === "symbol" ? undefined : bad_access.fault(address, `${what}.${member}`, false),
    set: (_t, member) => bad_access.fault(address, `${what}.${String(member)}`, true),
    getPrototypeOf: () => null,
  });
}
bad_pointer.make = (why) => wild(0n, why);

const wild_addresses = new WeakMap<object, bigint>();
/** A pointer to where nothing is: poison and internal values. File scope, one for each address. @what: its name in a report */
export function wild_pointer<T>(address: bigint, what: string): T {
  const p = wild(address, what);
  wild_addresses.set(p, address);
  return p as T;
}
/** Where such a pointer, or an error pointer, goes; null for one that goes somewhere. */
export function wild_address(p: unknown): bigint | null {
  if (typeof p !== "object" || p === null) return null;
  const error = values.get(p);
  return error === undefined ? (wild_addresses.get(p) ?? null) : BigInt.asUintN(64, BigInt(error));
}

/** The pointer that carries errno -`error`. @error: negative errno */
export function ERR_PTR<T>(error: number): T {
  let p = errors.get(error);
  if (!p) {
    p = wild(BigInt.asUintN(64, BigInt(error)), `ERR_PTR(${error})`);
    values.set(p, error);
    errors.set(error, p);
  }
  return p as T;
}

export function IS_ERR(p: unknown): boolean {
  return typeof p === "object" && p !== null && values.has(p);
}
export function IS_ERR_OR_NULL(p: unknown): boolean {
  return p === null || IS_ERR(p);
}
export function PTR_ERR(p: unknown): number {
  return typeof p === "object" && p !== null ? (values.get(p) ?? 0) : 0;
}
export const PTR_ERR_OR_ZERO = PTR_ERR;
/** The same error as a pointer of another type. */
export function ERR_CAST<T>(p: unknown): T {
  return p as T;
}
export const MAX_ERRNO = 4095;
