// SPDX-License-Identifier: GPL-2.0-only
// dup: what drivers say about the devices that they are for; tables end with the array
export interface platform_device_id {
  readonly name: string;
  readonly driver_data?: number;
}
export interface of_device_id {
  readonly compatible: string;
  readonly data?: object;
}
/** `id` is compared with what `mask` leaves of a device's. A table may say that it has no entries by one with mask 0. */
export interface amba_id {
  readonly id: number;
  readonly mask: number;
  readonly data?: object | null;
}
/** Vendor 0 ends a table, as in C. */
export interface fsl_mc_device_id {
  readonly vendor: number;
  readonly obj_type: string;
}

export const PLATFORM_MODULE_PREFIX = "platform:";
