// SPDX-License-Identifier: GPL-2.0-only
// custom: parameters of modules
export {
  type kernel_param,
  type kernel_param_ops,
  param_bool,
  param_int,
  param_string,
  param_uint,
} from "../../kernel/module/params.ts";
