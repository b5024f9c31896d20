// SPDX-License-Identifier: GPL-2.0-only
/** Values of the kernel as JSON: addresses and other 64-bit numbers, bytes, maps. */

/** @return `value` with everything that JSON has no word for put into words */
export function plain(value: unknown): unknown {
  if (typeof value === "bigint")
    return Number.isSafeInteger(Number(value)) ? Number(value) : `0x${BigInt.asUintN(64, value).toString(16)}`;
  if (value === undefined) return null;
  if (typeof value === "function") return `function ${value.name}`;
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, v]) => [String(key), plain(v)]));
  if (value instanceof Set) return [...value].map(plain);
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, plain(v)]));
}
