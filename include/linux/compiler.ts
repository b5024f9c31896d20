// SPDX-License-Identifier: GPL-2.0-only
// custom: marked accesses; the machine makes every access once and whole, so this is only what the race checker hears
export { data_race, READ_ONCE, WRITE_ONCE } from "../../kernel/kcsan/marked.ts";
