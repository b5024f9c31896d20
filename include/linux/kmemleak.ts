// SPDX-License-Identifier: GPL-2.0-only
// custom: what the leak checker is told
export { kmemleak_ignore, kmemleak_not_leak } from "../../kernel/mm/kmemleak.ts";
