// SPDX-License-Identifier: GPL-2.0-only
// stub: there are no 32-bit programs
export { compat_ptr_ioctl } from "../../kernel/fs/ioctl.ts";

/** The address that a 32-bit program means. Never asked here. */
export function compat_ptr(uptr: bigint): bigint {
  return uptr;
}
export function in_compat_syscall(): boolean {
  return false;
}
