// SPDX-License-Identifier: GPL-2.0-only
// custom: the kernel log
export {
  LOGLEVEL_DEBUG,
  LOGLEVEL_EMERG,
  LOGLEVEL_ERR,
  LOGLEVEL_INFO,
  LOGLEVEL_NOTICE,
  LOGLEVEL_WARNING,
  pr_debug,
  pr_emerg,
  pr_err,
  pr_info,
  pr_notice,
  pr_warn,
  printk,
} from "../../kernel/printk.ts";
export { type printf_arg, sprintf } from "../../kernel/lib/vsprintf.ts";
export { pr_alert, pr_crit } from "../../kernel/printk_once.ts";
export { pr_err_once, pr_info_once, pr_notice_once, pr_warn_once } from "../../kernel/printk_once.ts";

/** Levels of a message; in C they are strings in front of the format. */
export const KERN_EMERG = 0;
export const KERN_ALERT = 1;
export const KERN_CRIT = 2;
export const KERN_ERR = 3;
export const KERN_WARNING = 4;
export const KERN_NOTICE = 5;
export const KERN_INFO = 6;
export const KERN_DEBUG = 7;
