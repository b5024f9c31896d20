// SPDX-License-Identifier: GPL-2.0-only
// custom: notifier chains; what they do is in kernel/notifier.ts
import { embed, fn, int, opaque, struct } from "../../kernel/lib/struct.ts";
import type { notifier_fn } from "../../kernel/notifier.ts";
import { rw_semaphore } from "./rwsem.ts";
import { spinlock } from "./spinlock.ts";

export class notifier_block extends struct("notifier_block", {
  notifier_call: fn<notifier_fn>(),
  next: opaque<unknown>(() => null),
  /** Higher comes first. */
  priority: int(),
}) {}
const chain = () => opaque<notifier_block | null>(() => null);

export class blocking_notifier_head extends struct("blocking_notifier_head", {
  rwsem: embed(() => rw_semaphore),
  head: chain(),
}) {}
export class atomic_notifier_head extends struct("atomic_notifier_head", {
  lock: embed(() => spinlock),
  head: chain(),
}) {}
export class raw_notifier_head extends struct("raw_notifier_head", { head: chain() }) {}

export const NOTIFY_DONE = 0x0000;
export const NOTIFY_OK = 0x0001;
export const NOTIFY_STOP_MASK = 0x8000;
export const NOTIFY_BAD = NOTIFY_STOP_MASK | 0x0002;
export const NOTIFY_STOP = NOTIFY_OK | NOTIFY_STOP_MASK;
/** @err: 0 or negative errno */
export const notifier_from_errno = (err: number): number => (err ? NOTIFY_STOP_MASK | (NOTIFY_OK - err) : NOTIFY_OK);
export const notifier_to_errno = (ret: number): number => {
  const plain = ret & ~NOTIFY_STOP_MASK;
  return plain > NOTIFY_OK ? NOTIFY_OK - plain : 0;
};

export {
  atomic_notifier_call_chain,
  atomic_notifier_chain_register,
  ATOMIC_INIT_NOTIFIER_HEAD,
  atomic_notifier_chain_unregister,
  BLOCKING_INIT_NOTIFIER_HEAD,
  blocking_notifier_call_chain,
  BLOCKING_NOTIFIER_HEAD,
  blocking_notifier_chain_register,
  blocking_notifier_chain_unregister,
  RAW_INIT_NOTIFIER_HEAD,
  raw_notifier_call_chain,
  raw_notifier_chain_register,
  raw_notifier_chain_unregister,
  type notifier_fn,
} from "../../kernel/notifier.ts";
