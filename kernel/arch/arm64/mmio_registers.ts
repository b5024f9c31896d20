// SPDX-License-Identifier: GPL-2.0-only
/** Registers that keep what is written to them. */
import type { mmio_device } from "../mmio.ts";

export class mmio_registers implements mmio_device {
  readonly view: DataView;
  constructor(size: number) {
    this.view = new DataView(new ArrayBuffer(size));
  }
  read(off: number, size: number): bigint {
    let v = 0n;
    for (let i = size; i-- > 0;) v = (v << 8n) | BigInt(this.view.getUint8(off + i));
    return v;
  }
  write(off: number, size: number, value: bigint): void {
    for (let i = 0; i < size; i++) this.view.setUint8(off + i, Number((value >> BigInt(8 * i)) & 0xffn));
  }
}
