// SPDX-License-Identifier: GPL-2.0-only
// dup: which licenses may have GPL-only symbols
const GPL_COMPATIBLE = ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/** @license: as MODULE_LICENSE() has it, "" if it has none */
export function license_is_gpl_compatible(license: string): boolean {
  return GPL_COMPATIBLE.includes(license);
}
