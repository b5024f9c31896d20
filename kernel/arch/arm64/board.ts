// SPDX-License-Identifier: GPL-2.0-only
/** Which arm64 machine is booted. Set at power-on; a leaf. */
export type board_name = "highbank" | "ls2088a";
export const board: { name: board_name } = { name: "highbank" };
