// SPDX-License-Identifier: GPL-2.0-only
// custom: what the machine has installed
export { test_facility } from "../../kernel/arch/s390/ap.ts";
