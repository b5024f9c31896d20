// SPDX-License-Identifier: GPL-2.0-only
/**
 * Structs whose bytes matter: what user space and the hardware see. A bytestruct is a view over bytes, its own or
 * somebody else's; members are read and written there, in the byte order of the machine.
 */
import {
  access,
  bounds,
  type kobj_memory,
  layout_of,
  plain_memory,
  set_layout,
  type struct_fields,
  type struct_layout,
} from "./struct.ts";

declare const member_type: unique symbol;

/** Byte order of the machine that is booted; set at power-on. */
export const byte_order = { little_endian: true };

/** Memory with bytes. */
abstract class memory_of_bytes extends plain_memory {
  #bytes: Uint8Array;
  #view: DataView | null = null;
  constructor(bytes: Uint8Array) {
    super();
    this.#bytes = bytes;
  }
  get $bytes(): Uint8Array {
    return this.#bytes;
  }
  set $bytes(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = null;
  }
  /** Of the same bytes. Made at first use: until then the host keeps few bytes inside the object. */
  get $view(): DataView {
    const bytes = this.#bytes;
    return (this.#view ??= new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
  }
}

/** A run of bytes in some memory: what `void *` and a length are in C. */
export class kbuf extends memory_of_bytes {
  /** @of: how many, or those of somebody else */
  constructor(of: number | Uint8Array) {
    super(typeof of === "number" ? new Uint8Array(of) : of);
  }
  get length(): number {
    return this.$bytes.length;
  }
}

export interface byte_field<T> {
  readonly [member_type]?: T;
  readonly kind: "value" | "embed";
  readonly width: () => number;
  readonly align: () => number;
  readonly get: (of: byte_memory, at: number, name: string) => T;
  /** Missing for what is embedded. A method, so that fields of different types fit one table. */
  set?(of: byte_memory, at: number, v: T): void;
  /** Bit-field of a big-endian machine: bits from the most significant one; width() is then that of the unit. */
  readonly bits?: { readonly first: number; readonly count: number };
  /** Name of an earlier member that lies at the same place: the two are in an anonymous union. */
  readonly over?: string;
}

/** Anything that has bytes at a place: a bytestruct or a buffer. */
export interface byte_memory extends kobj_memory {
  $bytes: Uint8Array;
  readonly $view: DataView;
}

export type byte_fields = Readonly<Record<string, byte_field<unknown>>>;
type member_of<F> = F extends byte_field<infer T> ? T : never;
export type byte_members<F extends byte_fields> = {
  -readonly [K in keyof F as F[K] extends { readonly kind: "value" } ? K : never]: member_of<F[K]>;
} & {
  readonly [K in keyof F as F[K] extends { readonly kind: "value" } ? never : K]: member_of<F[K]>;
};
type byte_class<F extends byte_fields> = new () => bytestruct_base & byte_members<F>;

const zero = (): number => 0;

export class byte_layout implements struct_layout {
  readonly name: string;
  readonly fields: struct_fields;
  readonly #members: byte_fields;
  readonly #union: boolean;
  #offsets: Map<string, number> | null = null;
  #size = 0;
  #align = 1;

  constructor(name: string, members: byte_fields, union: boolean) {
    this.name = name;
    this.#members = members;
    this.#union = union;
    // Width and alignment are all that a layout is asked for.
    this.fields = Object.fromEntries(
      Object.entries(members).map(([member, f]) => [member, { ...f, zero, made: "0", store: "v" }]),
    );
  }

  #compute(): Map<string, number> {
    if (this.#offsets) return this.#offsets;
    const offsets = new Map<string, number>();
    let end = 0;
    let unit_at = 0;
    for (const [member, f] of Object.entries(this.#members)) {
      const width = f.width();
      const align = f.align();
      this.#align = Math.max(this.#align, align);
      if (this.#union) {
        offsets.set(member, 0);
        end = Math.max(end, width);
        continue;
      }
      if (f.bits && f.bits.first > 0) {
        offsets.set(member, unit_at);
        continue;
      }
      if (f.over !== undefined) {
        unit_at = offsets.get(f.over) ?? 0;
        offsets.set(member, unit_at);
        end = Math.max(end, unit_at + width);
        continue;
      }
      unit_at = Math.ceil(end / align) * align;
      offsets.set(member, unit_at);
      end = unit_at + width;
    }
    this.#size = Math.ceil(end / this.#align) * this.#align;
    this.#offsets = offsets;
    return offsets;
  }
  size(): number {
    this.#compute();
    return this.#size;
  }
  align(): number {
    this.#compute();
    return this.#align;
  }
  offset(member: string): number {
    return this.#compute().get(member) ?? 0;
  }
}

/** Bytes of memory that has notes on what is written were written; set by the checker that keeps them. */
export const written = {
  mark: (_of: kobj_memory, _at: number, _n: number): void => {},
};

export abstract class bytestruct_base extends memory_of_bytes implements byte_memory {}

function has_members<F extends byte_fields>(made: new () => bytestruct_base, members: F): made is byte_class<F> {
  return Object.keys(members).every((member) => member in made.prototype);
}

function make<F extends byte_fields>(name: string, members: F, union: boolean): byte_class<F> {
  const layout = new byte_layout(name, members, union);
  const made = class extends bytestruct_base {
    constructor(bytes = new Uint8Array(layout.size())) {
      super(bytes);
    }
  };
  Object.defineProperty(made, "name", { value: name });
  for (const [member, f] of Object.entries(members)) {
    const { get, set } = f;
    let offset = -1;
    const at = (): number => (offset >= 0 ? offset : (offset = layout.offset(member)));
    Object.defineProperty(made.prototype, member, {
      get(this: byte_memory) {
        if (f.kind === "value") {
          if (access.armed || this.$mem.freed) access.check(this, member, false);
          if (at() + f.width() > this.$view.byteLength) {
            bounds.check_bytes(this, at(), f.width(), false);
            return get(no_memory(f.width()), 0, member);
          }
        }
        return get(this, at(), member);
      },
      ...(set && {
        set(this: byte_memory, v: unknown) {
          if (access.armed || this.$mem.freed) access.check(this, member, true);
          if (at() + f.width() > this.$view.byteLength) bounds.check_bytes(this, at(), f.width(), true);
          else {
            set(this, at(), v);
            if (this.$mem.unwritten) written.mark(this, at(), f.width());
          }
        },
      }),
    });
  }
  set_layout(made, layout);
  if (!has_members(made, members)) throw new TypeError(`${name}: a member is missing`);
  return made;
}

/** A struct laid out as C lays it out, in the machine's byte order. */
export function bytestruct<F extends byte_fields>(name: string, members: F): byte_class<F> {
  return make(name, members, false);
}
/** A union of such members. */
export function byteunion<F extends byte_fields>(name: string, members: F): byte_class<F> {
  return make(name, members, true);
}

function scalar<T>(
  width: number,
  get: (v: DataView, at: number, le: boolean) => T,
  set: (v: DataView, at: number, x: T, le: boolean) => void,
): byte_field<T> & { readonly kind: "value" } {
  return {
    kind: "value",
    width: () => width,
    align: () => width,
    get: (of, at) => get(of.$view, at, byte_order.little_endian),
    set: (of, at, x) => set(of.$view, at, x, byte_order.little_endian),
  };
}
export const b8 = () =>
  scalar(
    1,
    (v, at) => v.getUint8(at),
    (v, at, x: number) => v.setUint8(at, x),
  );
export const b16 = () =>
  scalar(
    2,
    (v, at, le) => v.getUint16(at, le),
    (v, at, x: number, le) => v.setUint16(at, x, le),
  );
export const b32 = () =>
  scalar(
    4,
    (v, at, le) => v.getUint32(at, le),
    (v, at, x: number, le) => v.setUint32(at, x, le),
  );
export const bs32 = () =>
  scalar(
    4,
    (v, at, le) => v.getInt32(at, le),
    (v, at, x: number, le) => v.setInt32(at, x, le),
  );
export const b64 = () =>
  scalar(
    8,
    (v, at, le) => v.getBigUint64(at, le),
    (v, at, x: bigint, le) => v.setBigUint64(at, BigInt.asUintN(64, x), le),
  );

/**
 * A bit-field in a unit of `unit` bytes: `count` bits, beginning `first` bits below the most significant one (IBM's numbering).
 * The member with first = 0 opens the unit; the others of the unit follow it.
 */
export function bits(unit: 1 | 2 | 4, first: number, count: number): byte_field<number> & { readonly kind: "value" } {
  const shift = unit * 8 - first - count;
  const mask = 2 ** count - 1;
  const word = unit === 1 ? b8() : unit === 2 ? b16() : b32();
  return {
    kind: "value",
    width: () => unit,
    align: () => unit,
    bits: { first, count },
    get: (of, at, name) => Math.floor(word.get(of, at, name) / 2 ** shift) & mask,
    set: (of, at, x) => {
      const kept = word.get(of, at, "") & ~((mask << shift) >>> 0);
      word.set?.(of, at, (kept | ((x & mask) << shift)) >>> 0);
    },
  };
}

/** The field lies where `member`, named before it, begins: members of one anonymous union. */
export function over<F extends object>(member: string, f: F): F & { readonly over: string } {
  return { ...f, over: member };
}

/** `n` bytes: a buffer that lies inside the struct. */
export function bytes(n: number): byte_field<kbuf> & { readonly kind: "embed" } {
  return { kind: "embed", width: () => n, align: () => 1, get: (of, at, name) => inside(of, at, n, name) };
}
/** A bytestruct inside the bytestruct. */
export function inner<T extends bytestruct_base>(of: () => new () => T): byte_field<T> & { readonly kind: "embed" } {
  const width = (): number => layout_of(of())?.size() ?? 0;
  const align = (): number => {
    const layout = layout_of(of());
    return layout instanceof byte_layout ? layout.align() : 1;
  };
  return { kind: "embed", width, align, get: (from, at, name) => view_in(of(), from, at, name) };
}

/** What reads as zero in place of bytes that are not there. */
function no_memory(width: number): byte_memory {
  return new kbuf(width);
}

function place<T extends byte_memory>(view: T, from: byte_memory, member: string): T {
  view.$up = from;
  view.$member = member;
  view.$mem = from.$mem;
  return view;
}
function inside(from: byte_memory, at: number, n: number, member: string): kbuf {
  return place(new kbuf(from.$bytes.subarray(at, at + n)), from, member);
}
function view_in<T extends bytestruct_base>(of: new () => T, from: byte_memory, at: number, member: string): T {
  const with_bytes: new (bytes: Uint8Array) => T = of; // every bytestruct's takes them
  return place(new with_bytes(from.$bytes.subarray(at, at + (layout_of(of)?.size() ?? 0))), from, member);
}

/** `(struct foo *)(p + at)`: the bytes of `from` seen as a `foo`. */
export function cast_to<T extends bytestruct_base>(of: new () => T, from: byte_memory, at = 0): T {
  return view_in(of, from, at, "");
}
/** `p + at`, for at most `n` bytes. */
export function bytes_at(from: byte_memory, at: number, n = from.$bytes.length - at): kbuf {
  return inside(from, at, n, "");
}
