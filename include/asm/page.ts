// SPDX-License-Identifier: GPL-2.0-only
// custom: real addresses
export { __pa, __va, behind, PAGE_DEFAULT_KEY, virt_to_phys } from "../../kernel/arch/s390/real_memory.ts";
export { page_to_phys } from "../../kernel/mm/page.ts";
