// SPDX-License-Identifier: GPL-2.0-only
/** Tracks of a count-key-data disk: records with a count of 8 bytes, perhaps a key, and data. Made from a seed when first looked at. */

/** A record as it lies on a track. */
export interface ckd_record {
  readonly cyl: number;
  readonly head: number;
  /** Its number; the first one behind record 0 is 1. */
  readonly no: number;
  readonly key: Uint8Array;
  /** Its length stays what it was formatted with. */
  readonly data: Uint8Array;
}
export interface ckd_track {
  readonly cyl: number;
  readonly head: number;
  /** In the order in which they pass; record 0 is not among them. */
  readonly records: readonly ckd_record[];
}

export interface dasd_geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly records: number;
  /** Bytes. */
  readonly key_length: number;
  /** Bytes. */
  readonly data_length: number;
}
/** A small disk, formatted as Linux does it: 12 records of 4 KB on a track, no keys. */
export const SMALL_3390: dasd_geometry = { cylinders: 4, heads: 15, records: 12, key_length: 0, data_length: 4096 };

/** `n` bytes that tell where they are from: the same for the same seed and place. */
export function pattern(seed: number, cyl: number, head: number, no: number, n: number): Uint8Array {
  let x = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul((cyl << 16) | (head << 8) | no, 0x85ebca6b)) | 0;
  const bytes = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

/** The count area of a record: cylinder, head, number, length of key and data. */
export function count_area(r: ckd_record): Uint8Array {
  const area = new Uint8Array(8);
  const v = new DataView(area.buffer);
  v.setUint16(0, r.cyl);
  v.setUint16(2, r.head);
  v.setUint8(4, r.no);
  v.setUint8(5, r.key.length);
  v.setUint16(6, r.data.length);
  return area;
}

/** All the tracks of one disk. */
export class dasd_disk {
  readonly geometry: dasd_geometry;
  readonly #seed: number;
  readonly #tracks = new Map<number, ckd_track>();

  constructor(seed: number, geometry: dasd_geometry = SMALL_3390) {
    this.#seed = seed;
    this.geometry = geometry;
  }
  has(cyl: number, head: number): boolean {
    return cyl < this.geometry.cylinders && head < this.geometry.heads;
  }
  track(cyl: number, head: number): ckd_track {
    const no = cyl * this.geometry.heads + head;
    const known = this.#tracks.get(no);
    if (known) return known;
    const { records, key_length, data_length } = this.geometry;
    const made = Array.from({ length: records }, (_, i) => ({
      cyl,
      head,
      no: i + 1,
      key: pattern(~this.#seed, cyl, head, i + 1, key_length),
      data: pattern(this.#seed, cyl, head, i + 1, data_length),
    }));
    const track = { cyl, head, records: made };
    this.#tracks.set(no, track);
    return track;
  }
  /** A record, for who prepares or inspects a disk. @no: from 1 on */
  record(cyl: number, head: number, no: number): ckd_record {
    const r = this.has(cyl, head) ? this.track(cyl, head).records[no - 1] : undefined;
    if (!r) throw new RangeError(`the disk has no record ${cyl}/${head}/${no}`);
    return r;
  }
}
