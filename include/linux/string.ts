// SPDX-License-Identifier: GPL-2.0-only
// custom: memory and strings
export {
  byte_at,
  type byte_range,
  c_string,
  le_at,
  match_string,
  memchr_inv,
  memcmp,
  memcpy,
  memmove,
  memset,
  set_byte_at,
  set_le_at,
  set_u16_at,
  set_u32_at,
  skip_spaces,
  str_has_prefix,
  strcasecmp,
  strchr,
  strcmp,
  strim,
  strlen,
  strncasecmp,
  strncmp,
  strnlen,
  strrchr,
  strscpy,
  strstr,
  strstrip,
  sysfs_match_string,
  sysfs_streq,
  u16_at,
  u32_at,
} from "../../kernel/lib/string.ts";
export { copy_struct } from "../../kernel/lib/struct_copy.ts";
export { kfree_const, kfree_sensitive } from "../../kernel/mm/slab.ts";
export { kmemdup, kstrdup, kstrdup_const, kstrndup } from "../../kernel/mm/util.ts";
export { memdup_user, memdup_user_nul, strndup_user } from "../../kernel/mm/uaccess.ts";
