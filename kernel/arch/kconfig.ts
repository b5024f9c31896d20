// SPDX-License-Identifier: GPL-2.0-only
/** Options of the configuration that machines differ in. Set at power-on; a leaf. */
export const kconfig = {
  /** s390 has none: it suspends nothing. */
  CONFIG_PM: false,
  /** A list that is none any more stops the task instead of warning, as distributions have it. */
  CONFIG_BUG_ON_DATA_CORRUPTION: false,
  /** One of these at a time. */
  CONFIG_S390: true,
  CONFIG_X86: false,
  CONFIG_ARM64: false,
};
