// SPDX-License-Identifier: GPL-2.0-only
// custom: variables that each CPU has one of
export { per_cpu, this_cpu_ptr } from "../../kernel/arch/s390/percpu.ts";
