// SPDX-License-Identifier: GPL-2.0-only
// custom: tracepoints
export { TRACE_EVENT, type trace_call } from "../../kernel/trace/trace.ts";
