// SPDX-License-Identifier: GPL-2.0-only
// custom: virtual time in nanoseconds
export { ktime_get_ns } from "../../kernel/time/clock.ts";
