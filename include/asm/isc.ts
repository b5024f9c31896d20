// SPDX-License-Identifier: GPL-2.0-only
// dup: I/O interruption subclasses
export const MAX_ISC = 7;
export const IO_SCH_ISC = 3;
export const CONSOLE_ISC = 1;
export const EADM_SCH_ISC = 4;
export const CHSC_SCH_ISC = 7;
export const VFIO_CCW_ISC = IO_SCH_ISC;
export const QDIO_AIRQ_ISC = IO_SCH_ISC;
export const PCI_ISC = 2;
export const GAL_ISC = 5;
export const AP_ISC = 6;
export { isc_register, isc_unregister } from "../../drivers/s390/cio/isc.ts";
