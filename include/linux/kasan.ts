// SPDX-License-Identifier: GPL-2.0-only
// custom: checks of memory accesses
export { kasan_check_range } from "../../kernel/mm/kasan.ts";
export { on_stack } from "../../kernel/mm/stack.ts";
