// SPDX-License-Identifier: GPL-2.0-only
/**
 * C structs: classes with typed members, real embedding, and accessors that notice freed memory.
 *
 * struct() writes the accessors out as source once per class, since accessors made in a loop share their inline caches
 * and cost ten times as much. Embedded structs and arrays have no check of their own: `&p->member` reads nothing.
 */
import { type mem_object, STATIC_MEMORY } from "../mm/object.ts";

declare const member_type: unique symbol;

/** How a member of a struct is made, read and stored. */
export interface field<T> {
  readonly [member_type]?: T;
  readonly width: () => number;
  readonly align: () => number;
  readonly kind: "value" | "embed" | "array";
  /** Zero of the member. For embedded structs and arrays: a new one, in the memory that is being made. */
  readonly zero: () => unknown;
  /** The same as JavaScript source of an expression in `f`, the field. */
  readonly made: string;
  /** Conversion on store, as JavaScript source of an expression in `v`. */
  readonly store: string;
}
export interface scalar<T> extends field<T> {
  readonly kind: "value";
}
export interface embedded<T> extends field<T> {
  readonly kind: "embed" | "array";
}

export type struct_fields = Readonly<Record<string, field<unknown>>>;
type member_of<F> = F extends field<infer T> ? T : never;
/** Embedded structs and arrays are there for good: C cannot assign an array, and a struct is copied member by member. */
export type members<F extends struct_fields> = {
  -readonly [K in keyof F as F[K] extends { readonly kind: "value" } ? K : never]: member_of<F[K]>;
} & {
  readonly [K in keyof F as F[K] extends { readonly kind: "value" } ? never : K]: member_of<F[K]>;
};

/** Memory that the constructor now running belongs to. */
const building = { mem: STATIC_MEMORY };

/** Runs `make` so that everything it constructs lies in `mem`. */
export function build_in<T>(mem: mem_object, make: () => T): T {
  const outer = building.mem;
  building.mem = mem;
  try {
    return make();
  } finally {
    building.mem = outer;
  }
}

/** What the accessors call when they cannot just go on. Set by the sanitizers; `armed` also records accesses to live memory. */
export const access = {
  armed: false,
  check: (_object: kobj_memory, _member: string, _write: boolean): void => {},
};

/** Numbers of objects: those of before the first power-on keep theirs, and each boot begins with the same one again. */
export const object_ids = { next: 1 };
export function restart_object_ids(): void {
  object_ids.next = 1 << 20;
}

/** Lies beside an object and is no part of it: nothing that it points to is held by the object. */
export abstract class object_shadow {}

/** Anything that lies in memory and can be asked where. */
export abstract class kobj_memory {
  declare $mem: mem_object;
  /** Which object it is: the same in two runs that were the same up to where it was made. */
  declare $id: number;
  /** The struct this one is embedded in, and as which member. */
  declare $up: kobj_memory | null;
  declare $member: string;
  /** What a checker remembers of the accesses to it; null if there is none that would. */
  declare $shadow: object_shadow | null;
}

/** Memory that is no struct. */
export abstract class plain_memory extends kobj_memory {
  // Assigned and not initialised where they are declared, which costs more at each of very many objects.
  constructor() {
    super();
    this.$mem = building.mem;
    this.$id = object_ids.next++;
    this.$up = null;
    this.$member = "";
    this.$shadow = null;
  }
}
/** The same as source: a constructor that all structs shared would not be fast for any. */
const PLACED = `this.$mem = building.mem; this.$id = ids.next++; this.$up = null; this.$member = ""; this.$shadow = null;`;

export interface struct_layout {
  readonly name: string;
  readonly fields: struct_fields;
  size(): number;
  offset(member: string): number;
}
const layouts = new WeakMap<object, struct_layout>();

function align_up(n: number, to: number): number {
  return Math.ceil(n / to) * to;
}

/** Offsets and size as a C compiler for a 64-bit machine lays them out; worked out at first use, when all classes exist. */
class natural_layout implements struct_layout {
  readonly name: string;
  readonly fields: struct_fields;
  #offsets: Map<string, number> | null = null;
  #size = 0;
  #align = 1;

  constructor(name: string, fields: struct_fields) {
    this.name = name;
    this.fields = fields;
  }

  #compute(): Map<string, number> {
    if (this.#offsets) return this.#offsets;
    const offsets = new Map<string, number>();
    let at = 0;
    for (const [member, f] of Object.entries(this.fields)) {
      at = align_up(at, f.align());
      offsets.set(member, at);
      at += f.width();
      this.#align = Math.max(this.#align, f.align());
    }
    this.#size = align_up(at, this.#align);
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

/** The layout of a struct class or of an object of one. */
export function layout_of(what: object): struct_layout | null {
  for (
    let c: object | null = typeof what === "function" ? what : what.constructor;
    c;
    c = Object.getPrototypeOf(c) as object | null
  ) {
    const layout = layouts.get(c);
    if (layout) return layout;
  }
  return null;
}

/** For bytestruct(), which has a layout of its own. */
export function set_layout(of: object, layout: struct_layout): void {
  layouts.set(of, layout);
}

type struct_class<F extends struct_fields> = new () => kobj_memory & members<F>;

/**
 * Ends generated source. The host keeps one function for one text, with what it learnt of the objects that come by: two kernels in
 * one process, which share texts but no classes, would slow each other.
 */
export const OF_THIS_KERNEL = `\n// ${import.meta.url}`;

/**
 * A struct class: `class foo extends struct("foo", { … }) {}`.
 * An object made with `new` is static memory; kzalloc() gives slab memory.
 */
export function struct<F extends struct_fields>(name: string, fields: F): struct_class<F> {
  const members: string[] = [];
  const zeros: string[] = [];
  const accessors: string[] = [];
  for (const [member, f] of Object.entries(fields)) {
    members.push(`const f_${member} = fields.${member};`);
    const zero = f.made.replace(/\bf\b/g, `f_${member}`);
    if (f.kind !== "value") {
      // Reading an embedded member is address arithmetic, which touches nothing.
      zeros.push(`adopt(this, "${member}", this.$_${member} = ${zero});`);
      accessors.push(`get ${member}() { return this.$_${member}; }`);
      continue;
    }
    zeros.push(`this.$_${member} = ${zero};`);
    accessors.push(
      `get ${member}() { if (access.armed || this.$mem.freed) access.check(this, "${member}", false); return this.$_${member}; }`,
      `set ${member}(v) { if (access.armed || this.$mem.freed) access.check(this, "${member}", true); this.$_${member} = ${f.store}; }`,
    );
  }
  const source = `${members.join(" ")} return class ${name} extends base { constructor() { super(); ${PLACED} ${zeros.join(" ")} } ${accessors.join(" ")} };${OF_THIS_KERNEL}`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- accessors must be written out to be monomorphic; the text comes from member names only
  const make = new Function("base", "fields", "access", "adopt", "building", "ids", source) as (
    ...args: unknown[]
  ) => struct_class<F>;
  const made = make(kobj_memory, fields, access, adopt, building, object_ids);
  layouts.set(made, new natural_layout(name, fields));
  return made;
}

function adopt(outer: kobj_memory, member: string, inner: kobj_memory): void {
  inner.$up = outer;
  inner.$member = member;
}

function value<T>(zero: T & (number | bigint | boolean | null), width: number, store: string): scalar<T> {
  const made = typeof zero === "bigint" ? `${zero}n` : String(zero);
  return { kind: "value", zero: () => zero, made, width: () => width, align: () => width, store };
}

export const u8 = (): scalar<number> => value(0, 1, "v & 0xff");
export const u16 = (): scalar<number> => value(0, 2, "v & 0xffff");
export const u32 = (): scalar<number> => value(0, 4, "v >>> 0");
export const s32 = (): scalar<number> => value(0, 4, "v | 0");
export const int = s32;
export const bool = (): scalar<boolean> => value(false, 1, "v");
export const u64 = (): scalar<bigint> => value(0n, 8, "BigInt.asUintN(64, v)");
export const s64 = (): scalar<bigint> => value(0n, 8, "BigInt.asIntN(64, v)");
export const ulong = u64;
export const str = (): scalar<string | null> => value<string | null>(null, 8, "v");
export const ptr = <T>(): scalar<T | null> => value<T | null>(null, 8, "v");
/** A pointer to a function. */
export const fn = <F>(): scalar<F | null> => value<F | null>(null, 8, "v");
/** A value that has no C type, or whose zero is not 0; `zero` is called for each object. `width` in bytes, for sizeof. */
export function opaque<T>(zero: () => T, width = 8): scalar<T> {
  return {
    kind: "value",
    zero,
    made: "f.zero()",
    width: () => width,
    align: () => Math.min(width, 8) || 1,
    store: "v",
  };
}
/** A struct inside the struct. */
export function embed<T extends object>(of: () => new () => T): embedded<T> & { readonly of: () => new () => T } {
  return {
    kind: "embed",
    of,
    zero: () => new (of())(),
    made: "new (f.of())()",
    width: () => layout_of(of())?.size() ?? 8,
    align: () => {
      const layout = layout_of(of());
      return layout instanceof natural_layout ? layout.align() : Math.min(8, layout?.size() ?? 8) || 1;
    },
    store: "v",
  };
}
/** An array inside the struct: `n` elements, bounds checked. */
export function array<T>(n: number, of: field<T>): embedded<struct_array<T>> {
  return {
    kind: "array",
    zero: () => new struct_array<T>(n, of),
    made: "f.zero()",
    width: () => n * of.width(),
    align: of.align,
    store: "v",
  };
}

/** Access outside an array or outside the bytes of some memory; set by the sanitizers. Who returns lets the access read zero, or be lost. */
export const bounds = {
  check: (_array: struct_array<unknown>, index: number, _write: boolean): void => {
    throw new RangeError(`index ${index} is out of range`);
  },
  check_bytes: (_of: kobj_memory, at: number, size: number, _write: boolean): void => {
    throw new RangeError(`${size} bytes at ${at} are out of range`);
  },
};

/** A C array: in a struct, or from kcalloc(). */
export class struct_array<T> extends plain_memory {
  readonly length: number;
  readonly element: field<T>;
  readonly $items: T[] = [];

  constructor(length: number, element: field<T>) {
    super();
    this.length = length;
    this.element = element;
    for (let i = 0; i < length; i++) {
      const item = element.zero();
      if (item instanceof kobj_memory) {
        item.$up = this;
        item.$member = `[${i}]`;
      }
      this.$items.push(item as T);
    }
  }

  at(i: number): T {
    if (!(i >= 0 && i < this.length)) {
      bounds.check(this, i, false);
      // What lies there is nobody's: reads as zero.
      return this.element.zero() as T;
    }
    // Embedded elements check themselves: only a stored value is read here.
    if (this.element.kind === "value" && (access.armed || this.$mem.freed)) access.check(this, `[${i}]`, false);
    return this.$items[i] as T;
  }

  set(i: number, v: T): void {
    if (!(i >= 0 && i < this.length)) {
      bounds.check(this, i, true);
      return;
    }
    if (access.armed || this.$mem.freed) access.check(this, `[${i}]`, true);
    this.$items[i] = v;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }
}

/** Size in bytes of a struct class, an object or an array. */
export function sizeof(what: object): number {
  if (what instanceof struct_array) return what.length * what.element.width();
  return layout_of(what)?.size() ?? what_has_no_layout(what);
}
export function offsetof<T extends object>(of: new () => T, member: keyof T & string): number {
  return layout_of(of)?.offset(member) ?? what_has_no_layout(of);
}
export function offsetofend<T extends object>(of: new () => T, member: keyof T & string): number {
  const layout = layout_of(of);
  const f = layout?.fields[member];
  return layout && f ? layout.offset(member) + f.width() : what_has_no_layout(of);
}
function what_has_no_layout(what: object): never {
  throw new TypeError(`no struct layout: ${String(what)}`);
}

/** Where the bytes of byte memory begin in the buffer that they share with what they are a part of. */
function bytes_start(of: kobj_memory): number | null {
  return "$bytes" in of && of.$bytes instanceof Uint8Array ? of.$bytes.byteOffset : null;
}

/** Address of an object, as %px would print it. */
export function addr_of(object: kobj_memory): number {
  let offset = 0;
  let at = object;
  for (let up = at.$up; up; at = up, up = at.$up) {
    const [inner, outer] = [bytes_start(at), bytes_start(up)];
    if (inner !== null && outer !== null) offset += inner - outer;
    else if (up instanceof struct_array) offset += up.element.width() * Number(at.$member.slice(1, -1));
    else offset += layout_of(up)?.offset(at.$member) ?? 0;
  }
  return object.$mem.addr + offset;
}

type partial<T> = { -readonly [K in keyof T]?: T[K] extends kobj_memory ? T[K] | partial<T[K]> : T[K] };

/** A designated initialiser: sets the named members, those of embedded structs by nested objects. */
export function initialise<T extends kobj_memory>(object: T, values: partial<T>): T {
  for (const [member, v] of Object.entries<unknown>(values)) {
    const now: unknown = object[member as keyof T];
    if (
      now instanceof kobj_memory &&
      !(v instanceof kobj_memory) &&
      v !== null &&
      layout_of(object)?.fields[member]?.kind === "embed"
    )
      initialise(now, v as partial<kobj_memory>);
    else Reflect.set(object, member, v);
  }
  return object;
}

/** Where a member that is not there leads: set by the fault handler. */
export const bad_pointer = {
  make: (_why: string): object => {
    throw new TypeError("bad pointer");
  },
};

/**
 * The struct that `member` is embedded in as `name`.
 * A NULL or error pointer gives, as in C, a pointer that is NULL or an error only if the member comes first.
 */
export function container_of<C extends new () => kobj_memory, K extends keyof InstanceType<C> & string>(
  member: InstanceType<C>[K] | null,
  of: C,
  name: K,
): InstanceType<C> {
  if (member instanceof kobj_memory && member.$member === name && member.$up instanceof of)
    return member.$up as InstanceType<C>;
  if (!(member instanceof kobj_memory) && (layout_of(of)?.offset(name) ?? 0) === 0) return member as InstanceType<C>;
  const what = member === null ? "NULL" : "wrong member";
  return bad_pointer.make(`container_of(${what}, ${layout_of(of)?.name ?? of.name}, ${name})`) as InstanceType<C>;
}
