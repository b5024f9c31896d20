// SPDX-License-Identifier: GPL-2.0-only
// custom: allocation flags and whole pages
export * from "./gfp_types.ts";
export {
  __free_page,
  __get_free_page,
  __get_free_pages,
  alloc_page,
  free_page,
  free_pages,
  get_zeroed_page,
} from "../../kernel/mm/page.ts";
