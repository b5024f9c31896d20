// SPDX-License-Identifier: GPL-2.0-only
// custom: error pointers
export {
  ERR_CAST,
  ERR_PTR,
  IS_ERR,
  IS_ERR_OR_NULL,
  MAX_ERRNO,
  PTR_ERR,
  PTR_ERR_OR_ZERO,
} from "../../kernel/lib/err_ptr.ts";
