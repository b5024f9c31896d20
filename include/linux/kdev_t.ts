// SPDX-License-Identifier: GPL-2.0-only
// dup: device numbers
export const MINORBITS = 20;
export const MINORMASK = (1 << MINORBITS) - 1;

export type dev_t = number;

export const MAJOR = (dev: dev_t): number => (dev >>> MINORBITS) & 0xfff;
export const MINOR = (dev: dev_t): number => dev & MINORMASK;
export const MKDEV = (major: number, minor: number): dev_t => ((major << MINORBITS) | minor) >>> 0;
/** `major:minor`, as the names in /sys/dev/ are. */
export const format_dev_t = (dev: dev_t): string => `${MAJOR(dev)}:${MINOR(dev)}`;
