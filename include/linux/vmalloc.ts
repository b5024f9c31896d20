// SPDX-License-Identifier: GPL-2.0-only
// custom: virtually contiguous memory
export {
  is_vmalloc_addr,
  vfree,
  remap_vmalloc_range,
  vmalloc_user,
  vmalloc,
  vzalloc,
} from "../../kernel/mm/vmalloc.ts";
