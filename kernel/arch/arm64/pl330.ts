// SPDX-License-Identifier: GPL-2.0-only
/** A PL330 DMA engine, as far as its identity: it runs no programs. */
import { mmio_registers } from "./mmio_registers.ts";

const PERIPH_ID = 0xfe0;
const PCELL_ID = 0xff0;
const PL330_PERIPHID = 0x00041330;
const PRIMECELL = 0xb105f00d;

export class pl330 extends mmio_registers {
  constructor() {
    super(0x1000);
    // One byte of the identities in each register
    for (let i = 0; i < 4; i++) {
      this.view.setUint8(PERIPH_ID + 4 * i, (PL330_PERIPHID >>> (8 * i)) & 0xff);
      this.view.setUint8(PCELL_ID + 4 * i, (PRIMECELL >>> (8 * i)) & 0xff);
    }
  }
}
