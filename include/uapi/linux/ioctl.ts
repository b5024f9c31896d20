// SPDX-License-Identifier: GPL-2.0-only
// dup: numbers of ioctl commands
import { sizeof } from "../../../kernel/lib/struct.ts";

export const _IOC_NRBITS = 8;
export const _IOC_TYPEBITS = 8;
export const _IOC_SIZEBITS = 14;
export const _IOC_DIRBITS = 2;

export const _IOC_NRMASK = (1 << _IOC_NRBITS) - 1;
export const _IOC_TYPEMASK = (1 << _IOC_TYPEBITS) - 1;
export const _IOC_SIZEMASK = (1 << _IOC_SIZEBITS) - 1;
export const _IOC_DIRMASK = (1 << _IOC_DIRBITS) - 1;

export const _IOC_NRSHIFT = 0;
export const _IOC_TYPESHIFT = _IOC_NRSHIFT + _IOC_NRBITS;
export const _IOC_SIZESHIFT = _IOC_TYPESHIFT + _IOC_TYPEBITS;
export const _IOC_DIRSHIFT = _IOC_SIZESHIFT + _IOC_SIZEBITS;

export const _IOC_NONE = 0;
export const _IOC_WRITE = 1;
export const _IOC_READ = 2;

/** What a command's argument is: a size in bytes, or the struct itself. */
export type ioctl_argument = number | (new () => object);

function size_of(argument: ioctl_argument): number {
  return typeof argument === "number" ? argument : sizeof(argument);
}
/** @type: the number or the character that a driver's commands have in common */
export function _IOC(dir: number, type: number | string, nr: number, size: number): number {
  const t = typeof type === "string" ? type.charCodeAt(0) : type;
  return ((dir << _IOC_DIRSHIFT) | (t << _IOC_TYPESHIFT) | (nr << _IOC_NRSHIFT) | (size << _IOC_SIZESHIFT)) >>> 0;
}
export function _IO(type: number | string, nr: number): number {
  return _IOC(_IOC_NONE, type, nr, 0);
}
export function _IOR(type: number | string, nr: number, argument: ioctl_argument): number {
  return _IOC(_IOC_READ, type, nr, size_of(argument));
}
export function _IOW(type: number | string, nr: number, argument: ioctl_argument): number {
  return _IOC(_IOC_WRITE, type, nr, size_of(argument));
}
export function _IOWR(type: number | string, nr: number, argument: ioctl_argument): number {
  return _IOC(_IOC_READ | _IOC_WRITE, type, nr, size_of(argument));
}
export const _IOC_DIR = (nr: number): number => (nr >>> _IOC_DIRSHIFT) & _IOC_DIRMASK;
export const _IOC_TYPE = (nr: number): number => (nr >>> _IOC_TYPESHIFT) & _IOC_TYPEMASK;
export const _IOC_NR = (nr: number): number => (nr >>> _IOC_NRSHIFT) & _IOC_NRMASK;
export const _IOC_SIZE = (nr: number): number => (nr >>> _IOC_SIZESHIFT) & _IOC_SIZEMASK;

/** Commands that every file knows. */
export const FIONREAD = 0x541b;
export const FIONBIO = 0x5421;
export const FIONCLEX = 0x5450;
export const FIOCLEX = 0x5451;
export const FIOASYNC = 0x5452;
export const FIOQSIZE = 0x5460;
