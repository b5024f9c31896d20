// SPDX-License-Identifier: GPL-2.0-only
// custom: order between CPUs; the machine keeps every access in its place, so this is only what the race checker hears
export { smp_load_acquire, smp_store_release } from "../../kernel/kcsan/marked.ts";
