// SPDX-License-Identifier: GPL-2.0-only
/** Options of the configuration that machines differ in. Set at power-on; a leaf. */
export const kconfig = {
  /** s390 has none: it suspends nothing. */
  CONFIG_PM: false,
  /** A list that is none any more stops the task instead of warning, as distributions have it. */
  CONFIG_BUG_ON_DATA_CORRUPTION: false,
  CONFIG_ARM64: false,
  /** Only ARM systems have that bus. */
  CONFIG_ARM_AMBA: false,
  /** And only some of those this one. */
  CONFIG_FSL_MC_BUS: false,
  /** s390's own IOMMU is not here. */
  CONFIG_INTEL_IOMMU: false,
};
