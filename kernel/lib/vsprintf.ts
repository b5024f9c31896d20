// SPDX-License-Identifier: GPL-2.0-only
/** printf as the kernel has it. */
import { addr_of, kobj_memory } from "./struct.ts";
import { PTR_ERR } from "./err_ptr.ts";

export type printf_arg = string | number | bigint | boolean | object | null | undefined;

const SPEC = /%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+))?(hh|h|ll|l|z|j|t)?([diouxXcspn%])([A-Za-z]*)/g;

/** Letters that a %p may be followed by and that belong to it. */
const POINTER_KINDS = /^(?:Ul|UL|Ub|UB|R|r|e|x|K|S|s|B|V|h|hC|hD|d)/;

function integer(v: printf_arg): bigint {
  if (typeof v === "bigint") return v;
  if (typeof v === "number") return BigInt(Math.trunc(v));
  if (typeof v === "boolean") return v ? 1n : 0n;
  if (v instanceof kobj_memory) return BigInt(addr_of(v));
  return 0n;
}

function pointer(v: printf_arg, kind: string): string {
  if (kind.startsWith("U") && v !== null && typeof v === "object" && "b" in v)
    return uuid_text(v.b as Iterable<number>, kind);
  if (kind.startsWith("e")) {
    const err = PTR_ERR(v);
    return err ? String(err) : "0";
  }
  if (/^[Rr]/.test(kind) && v instanceof kobj_memory && "flags" in v)
    return resource_text(v as a_resource & kobj_memory, kind);
  if (v === null || v === undefined) return kind.startsWith("x") ? "0".repeat(16) : "(null)".padStart(16);
  return integer(v).toString(16).padStart(16, "0");
}

/** What %pR asks of a struct resource. */
interface a_resource {
  readonly start: bigint;
  readonly end: bigint;
  readonly flags: number;
}
/** The kinds of resources: bit of the flags, word, and how its numbers are printed. */
const RESOURCES = [
  [0x100, "io  ", "%#06llx"],
  [0x200, "mem ", "%#010llx"],
  [0x400, "irq ", "%llu"],
  [0x800, "dma ", "%llu"],
  [0x1000, "bus ", "%02llx"],
] as const;
/** Those that are shown behind the numbers. */
const RESOURCE_FLAGS = [
  [0x00100000, " 64bit"],
  [0x00002000, " pref"],
  [0x00200000, " window"],
  [0x10000000, " disabled"],
] as const;
const IORESOURCE_UNSET = 0x20000000;

function resource_text({ start, end, flags }: a_resource, kind: string): string {
  const [, word, number] = RESOURCES.find(([bit]) => flags & bit) ?? [0, "??? ", "%#010llx"];
  const decoded = kind === "R" && word !== "??? ";
  const range =
    decoded && flags & IORESOURCE_UNSET
      ? "size " + sprintf(number, end - start + 1n)
      : sprintf(number, start) + (start === end ? "" : "-" + sprintf(number, end));
  const rest = decoded
    ? RESOURCE_FLAGS.map(([bit, text]) => (flags & bit ? text : "")).join("")
    : sprintf(" flags %#llx", flags);
  return `[${word}${range}${rest}]`;
}

function uuid_text(b: Iterable<number>, kind: string): string {
  const hex = [...b].map((x) => x.toString(16).padStart(2, "0"));
  // %pUl: the first three groups are stored little-endian.
  const order =
    kind === "Ul" || kind === "UL" ? [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] : hex.map((_, i) => i);
  const text = order.map((i) => hex[i] ?? "00").join("");
  const out = [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
  return kind === "UL" || kind === "UB" ? out.toUpperCase() : out;
}

/** What sprintf() would have written. Unknown conversions stay as they are. */
export function sprintf(fmt: string, ...args: readonly printf_arg[]): string {
  let next = 0;
  const convert = (
    whole: string,
    flags: string,
    w?: string,
    p?: string,
    length?: string,
    conv = "",
    tail = "",
  ): string => {
    if (conv === "%") return "%" + tail;
    let left = flags.includes("-");
    let width = w === "*" ? Number(integer(args[next++])) : w ? Number(w) : 0;
    if (width < 0) {
      left = true;
      width = -width;
    }
    const precision = p === "*" ? Number(integer(args[next++])) : p === undefined ? undefined : Number(p);
    const arg = args[next++];
    let text: string;
    let rest = tail;
    switch (conv) {
      case "d":
      case "i": {
        const bits = length === "ll" || length === "l" || length === "z" || typeof arg === "bigint" ? 64 : 32;
        const v = BigInt.asIntN(bits, integer(arg));
        text = (v < 0n ? -v : v).toString();
        if (precision !== undefined) text = text.padStart(precision, "0");
        const sign = v < 0n ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
        if (flags.includes("0") && !left && precision === undefined) text = text.padStart(width - sign.length, "0");
        text = sign + text;
        break;
      }
      case "u":
      case "o":
      case "x":
      case "X": {
        const bits =
          length === "ll" || length === "l" || length === "z" || typeof arg === "bigint"
            ? 64
            : length === "hh"
              ? 8
              : length === "h"
                ? 16
                : 32;
        text = BigInt.asUintN(bits, integer(arg)).toString(conv === "u" ? 10 : conv === "o" ? 8 : 16);
        if (conv === "X") text = text.toUpperCase();
        if (precision !== undefined) text = text.padStart(precision, "0");
        const prefix = flags.includes("#") ? (conv === "o" ? "0" : conv === "u" ? "" : "0" + conv) : "";
        if (flags.includes("0") && !left && precision === undefined) text = text.padStart(width - prefix.length, "0");
        text = prefix + text;
        break;
      }
      case "c":
        text = typeof arg === "string" ? arg : String.fromCharCode(Number(integer(arg)));
        break;
      case "s":
        text = arg === null || arg === undefined ? "(null)" : String(arg);
        if (precision !== undefined) text = text.slice(0, precision);
        break;
      case "p": {
        const kind = POINTER_KINDS.exec(tail)?.[0] ?? "";
        rest = tail.slice(kind.length);
        text = pointer(arg, kind);
        break;
      }
      default:
        return whole;
    }
    return (left ? text.padEnd(width) : text.padStart(width)) + rest;
  };
  return fmt.replace(SPEC, convert);
}
