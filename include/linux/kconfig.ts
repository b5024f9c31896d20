// SPDX-License-Identifier: GPL-2.0-only
// custom: what depends on the machine that is booted: IS_ENABLED() as a member
export { kconfig } from "../../kernel/arch/kconfig.ts";
