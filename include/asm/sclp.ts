// SPDX-License-Identifier: GPL-2.0-only
// custom: the service processor, as far as crypto adapters need it
export { sclp_ap_configure, sclp_ap_deconfigure } from "../../kernel/arch/s390/ap.ts";
