// SPDX-License-Identifier: GPL-2.0-only
// custom: calls that are made to fail
export { ALLOW_ERROR_INJECTION, error_injection, within_error_injection_list } from "../../kernel/fail_function.ts";
