// SPDX-License-Identifier: GPL-2.0-only
// dup: characteristics of the channel subsystem
import { per_boot } from "../../kernel/boot.ts";

/** Bits of struct css_general_char and struct css_chsc_char that somebody looks at. */
// Defined here and not in chsc.ts, which fills them: inlines of other headers look at them.
export const css_general_characteristics = per_boot(() => ({ mcss: 0, fcs: 0, cib: 0, fcx: 0, util_str: 0 }));
export const css_chsc_characteristics = per_boot(() => ({ secm: 0, scmc: 0 }));
