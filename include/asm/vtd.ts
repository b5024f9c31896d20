// SPDX-License-Identifier: GPL-2.0-only
// custom: what the firmware says about IOMMUs
export { type vtd_firmware_table, type vtd_unit, vtd_table } from "../../kernel/arch/x86/vtd.ts";
