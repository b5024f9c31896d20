// SPDX-License-Identifier: GPL-2.0-only
/**
 * Attributes, as drivers declare them at file scope: struct attribute, what embeds it, and the macros that make them.
 * A leaf: it is evaluated before anything that uses it, whatever circles the other imports make. Constant at run time.
 */
import { bool, embed, fn, initialise, type kobj_memory, ptr, str, struct, u16, ulong } from "#linux/types.ts";
import type { bus_type, device, device_driver } from "#linux/device.ts";
import type { class_ } from "#linux/device/class.ts";
import type { kobject } from "#linux/kobject.ts";
import type { kbuf } from "../../lib/bytestruct.ts";
import { type printf_arg, sprintf } from "../../lib/vsprintf.ts";
import type { Sleeps } from "../../sched/types.ts";

/** Bytes of the buffer that a show function gets; a show function that fills it completely has gone too far. */
export const SYSFS_PAGE_SIZE = 4096;

/** The page that a show function writes to. */
export class sysfs_buf {
  text = "";

  /** Puts `text` at `at`, as sprintf(buf + at, …) does; what stood behind is gone. @return characters written */
  write(at: number, text: string): number {
    this.text = this.text.slice(0, at).padEnd(at, "\0") + text;
    return text.length;
  }
}

/**
 * Prints to the page of a show function. Any context.
 * @return characters written, never more than fit. Source: fs/sysfs/file.c
 */
export function sysfs_emit(buf: sysfs_buf, fmt: string, ...args: readonly printf_arg[]): number {
  return buf.write(0, sprintf(fmt, ...args).slice(0, SYSFS_PAGE_SIZE - 1));
}
/** The same from offset `at` on. */
export function sysfs_emit_at(buf: sysfs_buf, at: number, fmt: string, ...args: readonly printf_arg[]): number {
  return buf.write(at, sprintf(fmt, ...args).slice(0, SYSFS_PAGE_SIZE - 1 - at));
}

export type sysfs_result = Sleeps<number> | number;

export class attribute extends struct("attribute", { name: str(), mode: u16(), ignore_lockdep: bool() }) {}

/** How the attributes of one kind of kobject are read and written. */
export interface sysfs_ops {
  readonly show?: (kobj: kobject, attr: attribute, buf: sysfs_buf) => sysfs_result;
  readonly store?: (kobj: kobject, attr: attribute, buf: string, count: number) => sysfs_result;
}

export class bin_attribute extends struct("bin_attribute", {
  attr: embed(() => attribute),
  size: ulong(),
  private: ptr<object>(),
  read: fn<(kobj: kobject, attr: bin_attribute, buf: kbuf, pos: number, count: number) => sysfs_result>(),
  write: fn<(kobj: kobject, attr: bin_attribute, buf: kbuf, pos: number, count: number) => sysfs_result>(),
}) {}

export interface attribute_group {
  readonly name?: string;
  readonly is_visible?: (kobj: kobject, attr: attribute, i: number) => number;
  readonly is_bin_visible?: (kobj: kobject, attr: bin_attribute, i: number) => number;
  /** Ends with the array; a null in it ends it as well, as in C. */
  readonly attrs?: readonly (attribute | null)[];
  readonly bin_attrs?: readonly (bin_attribute | null)[];
}
export type attribute_groups = readonly (attribute_group | null)[];

/** A group without a name, and the array of groups around it. */
export function ATTRIBUTE_GROUPS(attrs: readonly (attribute | null)[]): attribute_groups {
  return [{ attrs }];
}

export type kobj_show = (kobj: kobject, attr: kobj_attribute, buf: sysfs_buf) => sysfs_result;
export type kobj_store = (kobj: kobject, attr: kobj_attribute, buf: string, count: number) => sysfs_result;
export class kobj_attribute extends struct("kobj_attribute", {
  attr: embed(() => attribute),
  show: fn<kobj_show>(),
  store: fn<kobj_store>(),
}) {}

export type device_show = (dev: device, attr: device_attribute, buf: sysfs_buf) => sysfs_result;
export type device_store = (dev: device, attr: device_attribute, buf: string, count: number) => sysfs_result;
export class device_attribute extends struct("device_attribute", {
  attr: embed(() => attribute),
  show: fn<device_show>(),
  store: fn<device_store>(),
}) {}

export type driver_show = (drv: device_driver, buf: sysfs_buf) => sysfs_result;
export type driver_store = (drv: device_driver, buf: string, count: number) => sysfs_result;
export class driver_attribute extends struct("driver_attribute", {
  attr: embed(() => attribute),
  show: fn<driver_show>(),
  store: fn<driver_store>(),
}) {}

export type bus_show = (bus: bus_type, buf: sysfs_buf) => sysfs_result;
export type bus_store = (bus: bus_type, buf: string, count: number) => sysfs_result;
export class bus_attribute extends struct("bus_attribute", {
  attr: embed(() => attribute),
  show: fn<bus_show>(),
  store: fn<bus_store>(),
}) {}

export type class_show = (cls: class_, attr: class_attribute, buf: sysfs_buf) => sysfs_result;
export type class_store = (cls: class_, attr: class_attribute, buf: string, count: number) => sysfs_result;
export class class_attribute extends struct("class_attribute", {
  attr: embed(() => attribute),
  show: fn<class_show>(),
  store: fn<class_store>(),
}) {}

interface shows_and_stores<S, T> extends kobj_memory {
  readonly attr: attribute;
  show: S | null;
  store: T | null;
}

/**
 * A designated initialiser for anything that is an attribute with a show and a store function: __ATTR(name, mode, show,
 * store) in C. @of: the struct, declared above the call in the same file or in a leaf
 */
export function __ATTR<S, T, A extends shows_and_stores<S, T>>(
  of: new () => A,
  name: string,
  mode: number,
  show: A["show"],
  store: A["store"],
): A {
  const made = new of();
  initialise(made.attr, { name, mode });
  made.show = show;
  made.store = store;
  return made;
}

export const DEVICE_ATTR = (
  name: string,
  mode: number,
  show: device_show | null,
  store: device_store | null,
): device_attribute => __ATTR(device_attribute, name, mode, show, store);
export const DEVICE_ATTR_RO = (name: string, show: device_show): device_attribute =>
  DEVICE_ATTR(name, 0o444, show, null);
export const DEVICE_ATTR_WO = (name: string, store: device_store): device_attribute =>
  DEVICE_ATTR(name, 0o200, null, store);
export const DEVICE_ATTR_RW = (name: string, show: device_show, store: device_store): device_attribute =>
  DEVICE_ATTR(name, 0o644, show, store);
export const DEVICE_ATTR_ADMIN_RW = (name: string, show: device_show, store: device_store): device_attribute =>
  DEVICE_ATTR(name, 0o600, show, store);

export const DRIVER_ATTR_RO = (name: string, show: driver_show): driver_attribute =>
  __ATTR(driver_attribute, name, 0o444, show, null);
export const DRIVER_ATTR_WO = (name: string, store: driver_store): driver_attribute =>
  __ATTR(driver_attribute, name, 0o200, null, store);
export const DRIVER_ATTR_RW = (name: string, show: driver_show, store: driver_store): driver_attribute =>
  __ATTR(driver_attribute, name, 0o644, show, store);
/** For files whose store functions remove what they belong to: bind and unbind. */
export function DRIVER_ATTR_IGNORE_LOCKDEP(
  name: string,
  mode: number,
  show: driver_show | null,
  store: driver_store | null,
): driver_attribute {
  const made = __ATTR(driver_attribute, name, mode, show, store);
  made.attr.ignore_lockdep = true;
  return made;
}

export const BUS_ATTR_RO = (name: string, show: bus_show): bus_attribute =>
  __ATTR(bus_attribute, name, 0o444, show, null);
export const BUS_ATTR_WO = (name: string, store: bus_store): bus_attribute =>
  __ATTR(bus_attribute, name, 0o200, null, store);
export const BUS_ATTR_RW = (name: string, show: bus_show, store: bus_store): bus_attribute =>
  __ATTR(bus_attribute, name, 0o644, show, store);

export const CLASS_ATTR_RO = (name: string, show: class_show): class_attribute =>
  __ATTR(class_attribute, name, 0o444, show, null);
export const CLASS_ATTR_WO = (name: string, store: class_store): class_attribute =>
  __ATTR(class_attribute, name, 0o200, null, store);
export const CLASS_ATTR_RW = (name: string, show: class_show, store: class_store): class_attribute =>
  __ATTR(class_attribute, name, 0o644, show, store);
