// SPDX-License-Identifier: GPL-2.0-only
/** The arguments of a record, read as what the call takes. */
import { InputError } from "../errors.ts";
import { bigOf, bytesOf, numberOf } from "./constants.ts";

export class Args {
  readonly #values: Readonly<Record<string, unknown>>;
  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }
  #get(name: string): unknown {
    const value = this.#values[name];
    if (value === undefined) throw new InputError(`the argument ${name} is missing`);
    return value;
  }
  text(name: string, otherwise?: string): string {
    const value = otherwise !== undefined && !this.has(name) ? otherwise : this.#get(name);
    if (typeof value !== "string") throw new InputError(`the argument ${name} is no text`);
    return value;
  }
  number(name: string, otherwise?: number): number {
    return otherwise !== undefined && !this.has(name) ? otherwise : numberOf(this.#get(name));
  }
  big(name: string): bigint {
    return bigOf(this.#get(name));
  }
  flag(name: string): boolean {
    return this.has(name) && this.#get(name) === true;
  }
  list(name: string): readonly unknown[] {
    const value = this.has(name) ? this.#get(name) : [];
    if (!Array.isArray(value)) throw new InputError(`the argument ${name} is no list`);
    return value;
  }
  /** Members of an object, none if it is not there. */
  entries(name: string): [string, unknown][] {
    return this.has(name) ? Object.entries(this.#get(name) as object) : [];
  }

  /**
   * The buffer that the arguments describe: `in` first, the rest of its `len` bytes filled with `fill`.
   * @fdOf: numbers of the descriptors that stand in it by name
   */
  buffer(fdOf: (name: string) => number, bytes = this.text("in", "")): Uint8Array {
    const first = bytesOf(bytes);
    const len = this.number("len", first.length);
    const buffer = new Uint8Array(len).fill(Number.parseInt(this.text("fill", "00"), 16));
    buffer.set(first.subarray(0, len));
    this.putFds(buffer, 0, fdOf);
    return buffer;
  }
  /** Puts the descriptors of `fds` into @buffer, big-endian, each at its place from byte @from on. */
  putFds(buffer: Uint8Array, from: number, fdOf: (name: string) => number): void {
    const view = new DataView(buffer.buffer);
    for (const [at, name] of this.entries("fds")) view.setUint32(from + Number(at), fdOf(String(name)));
  }
}
