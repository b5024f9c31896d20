// SPDX-License-Identifier: GPL-2.0-only
// dup: numbers of ioctl commands
export * from "../uapi/linux/ioctl.ts";
