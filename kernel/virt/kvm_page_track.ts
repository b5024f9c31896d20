// SPDX-License-Identifier: GPL-2.0-only
/** Who wants to know of a guest's writes. Source: arch/x86/kvm/mmu/page_track.c. No guest runs: nobody ever writes. */
import { WARN_ON_ONCE } from "#linux/bug.ts";
import type { kvm, kvm_memory_slot, kvm_page_track_notifier_node as notifier_node } from "#linux/kvm_host.ts";
import { kvm_page_track_notifier_node } from "#linux/kvm_host.ts";
import { hlist_add_head, hlist_del, hlist_for_each_entry } from "#linux/list.ts";
import { synchronize_rcu } from "#linux/rcupdate.ts";
import { spin_lock, spin_unlock } from "#linux/spinlock.ts";
import type { Sleeps, Spins } from "#linux/types.ts";
import { kbuild } from "../modpost.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

export const KVM_PAGE_TRACK_WRITE = 0;

/** Any context. */
export function* kvm_page_track_register_notifier(kvm: kvm, n: notifier_node): Spins {
  yield* spin_lock(kvm.mmu_lock);
  hlist_add_head(n.node, kvm.arch.track_notifier_head.track_notifier_list);
  spin_unlock(kvm.mmu_lock);
}
EXPORT_SYMBOL_GPL(kvm_page_track_register_notifier);

/** Nobody calls the functions of `n` any more when this returns. May sleep. */
export function* kvm_page_track_unregister_notifier(kvm: kvm, n: notifier_node): Sleeps {
  yield* spin_lock(kvm.mmu_lock);
  hlist_del(n.node);
  spin_unlock(kvm.mmu_lock);
  // Sleepable RCU in C
  yield* synchronize_rcu();
}
EXPORT_SYMBOL_GPL(kvm_page_track_unregister_notifier);

function update_gfn_track(kvm: kvm, gfn: bigint, count: number): void {
  const val = (kvm.arch.gfn_track.get(gfn) ?? 0) + count;
  if (WARN_ON_ONCE(val < 0 || val > 0xffff)) return;
  kvm.arch.gfn_track.set(gfn, val);
}

/** A page of the guest is tracked. There are no shadow page tables that would have to be write-protected. mmu_lock held. */
export function kvm_slot_page_track_add_page(kvm: kvm, _slot: kvm_memory_slot, gfn: bigint, _mode: number): void {
  update_gfn_track(kvm, gfn, 1);
}
EXPORT_SYMBOL_GPL(kvm_slot_page_track_add_page);

/** It is not any more. mmu_lock held. */
export function kvm_slot_page_track_remove_page(kvm: kvm, _slot: kvm_memory_slot, gfn: bigint, _mode: number): void {
  update_gfn_track(kvm, gfn, -1);
}
EXPORT_SYMBOL_GPL(kvm_slot_page_track_remove_page);

/** A slot goes: everybody who tracks pages is told. kvm->slots_lock held. May sleep. */
export function* kvm_page_track_flush_slot(kvm: kvm, slot: kvm_memory_slot): Sleeps {
  const list = kvm.arch.track_notifier_head.track_notifier_list;
  for (const n of hlist_for_each_entry(list, kvm_page_track_notifier_node, "node"))
    if (n.track_flush_slot) yield* n.track_flush_slot(kvm, slot, n);
}
