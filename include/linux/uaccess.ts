// SPDX-License-Identifier: GPL-2.0-only
// custom: copies to and from user space
export {
  access_ok,
  clear_user,
  copy_from_user,
  copy_to_user,
  get_user,
  memdup_user,
  memdup_user_nul,
  put_user,
  strndup_user,
  strnlen_user,
  type user_value,
} from "../../kernel/mm/uaccess.ts";
