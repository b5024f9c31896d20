// SPDX-License-Identifier: GPL-2.0-only
/** Addresses of members that are pointers themselves. */

/** `&owner->member` for who reads and sets it: what `T **` is in C. */
export class member_of<O extends object, M extends keyof O> {
  readonly #owner: O;
  readonly #member: M;
  constructor(owner: O, member: M) {
    this.#owner = owner;
    this.#member = member;
  }
  get value(): O[M] {
    return this.#owner[this.#member];
  }
  set value(v: O[M]) {
    this.#owner[this.#member] = v;
  }
}
