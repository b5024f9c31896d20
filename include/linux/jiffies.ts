// SPDX-License-Identifier: GPL-2.0-only
// custom: virtual time in ticks, from 0 at power-on; comparisons need no care for wrapping
import { HZ, jiffies, NSEC_PER_JIFFY } from "../../kernel/time/clock.ts";

export {
  HZ,
  jiffies,
  jiffies_to_msecs,
  MAX_SCHEDULE_TIMEOUT,
  msecs_to_jiffies,
  usecs_to_jiffies,
} from "../../kernel/time/clock.ts";
export const MAX_JIFFY_OFFSET = Number.MAX_SAFE_INTEGER;

export const time_after = (a: number, b: number): boolean => a > b;
export const time_before = (a: number, b: number): boolean => a < b;
export const time_after_eq = (a: number, b: number): boolean => a >= b;
export const time_before_eq = (a: number, b: number): boolean => a <= b;
/** Whether `a` lies in the past. */
export const time_is_before_jiffies = (a: number): boolean => jiffies() > a;
export const time_is_after_jiffies = (a: number): boolean => jiffies() < a;
export const jiffies_to_usecs = (j: number): number => (j * 1_000_000) / HZ;
export const nsecs_to_jiffies = (ns: number): number => Math.floor(ns / NSEC_PER_JIFFY);
