// SPDX-License-Identifier: GPL-2.0-only
// custom: 64 bits in registers, where a machine may have to write the lower half first
export { iowrite64_lo_hi as iowrite64 } from "../../kernel/arch/iomem.ts";
