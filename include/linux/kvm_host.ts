// SPDX-License-Identifier: GPL-2.0-only
// custom: a virtual machine as VFIO sees it: something that is counted; it runs nothing
import { mutex } from "./mutex.ts";
import { refcount_dec_and_test, refcount_inc, refcount_inc_not_zero, refcount_t } from "./refcount.ts";
import { kfree } from "./slab.ts";
import { embed, struct } from "./types.ts";

export class kvm extends struct("kvm", {
  lock: embed(() => mutex),
  users_count: embed(() => refcount_t),
}) {}

/** One more reference. Any context. Source: virt/kvm/kvm_main.c */
export function kvm_get_kvm(kvm: kvm): void {
  refcount_inc(kvm.users_count);
}
/** @return whether there was still a reference. Any context. Source: virt/kvm/kvm_main.c */
export function kvm_get_kvm_safe(kvm: kvm): boolean {
  return refcount_inc_not_zero(kvm.users_count);
}
/** Drops a reference; the last one frees it. Source: virt/kvm/kvm_main.c */
export function kvm_put_kvm(kvm: kvm): void {
  if (refcount_dec_and_test(kvm.users_count)) kfree(kvm);
}
