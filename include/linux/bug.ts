// SPDX-License-Identifier: GPL-2.0-only
// custom: WARN and BUG
export { BUG, BUG_ON, WARN, WARN_ON, WARN_ON_ONCE, WARN_ONCE } from "../../kernel/panic.ts";
