// SPDX-License-Identifier: GPL-2.0-only
/** The places that one step touches: a hash set that is emptied for free, as it is filled anew for every step of every execution. */
export class place_set {
  #keys = new Int32Array(64);
  #stamps = new Int32Array(64);
  #flags = new Uint8Array(64);
  #mask = 63;
  #stamp = 1;
  /** What is in it, in the order of the first touch. */
  readonly list: number[] = [];

  clear(): void {
    this.#stamp++;
    this.list.length = 0;
  }
  #at(place: number): number {
    let i = (Math.imul(place, 0x9e3779b1) >>> 8) & this.#mask;
    while (this.#stamps[i] === this.#stamp && this.#keys[i] !== place) i = (i + 1) & this.#mask;
    return i;
  }
  add(place: number, write: boolean): void {
    const i = this.#at(place);
    if (this.#stamps[i] === this.#stamp) {
      if (write) this.#flags[i] = 1;
      return;
    }
    this.#stamps[i] = this.#stamp;
    this.#keys[i] = place;
    this.#flags[i] = write ? 1 : 0;
    this.list.push(place);
    if (this.list.length * 2 > this.#mask) this.#grow();
  }
  /** @return 0 if the place is not in it, 1 if it is read, 2 if it is written */
  get(place: number): 0 | 1 | 2 {
    const i = this.#at(place);
    if (this.#stamps[i] !== this.#stamp) return 0;
    return this.#flags[i] ? 2 : 1;
  }
  #grow(): void {
    const kept = this.list.map((place) => [place, this.get(place) === 2] as const);
    const size = 2 * this.#keys.length;
    this.#keys = new Int32Array(size);
    this.#stamps = new Int32Array(size);
    this.#flags = new Uint8Array(size);
    this.#mask = size - 1;
    this.#stamp = 1;
    this.list.length = 0;
    for (const [place, write] of kept) this.add(place, write);
  }
}

/** What one step touched, as data: it can be kept and handed to other threads. */
export interface touched {
  readonly task: number;
  /** Commutes with nothing. */
  readonly all: boolean;
  readonly reads: readonly number[];
  readonly writes: readonly number[];
}

/** Whether the step that is in `set` and the one that `other` did might not commute. */
export function conflicts(set: place_set, other: touched): boolean {
  return other.reads.some((p) => set.get(p) === 2) || other.writes.some((p) => set.get(p) !== 0);
}
