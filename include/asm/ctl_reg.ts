// SPDX-License-Identifier: GPL-2.0-only
// custom: control registers, as far as the channel subsystem looks at them
export { ctl_clear_bit, ctl_set_bit } from "../../kernel/arch/s390/ctl_reg.ts";
