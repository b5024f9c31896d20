// SPDX-License-Identifier: GPL-2.0-only
// custom: a virtual machine as VFIO and its drivers see it: counted, with crypto masks on s390 and page tracking on x86; it runs nothing
import { hlist_head, hlist_node, list_head } from "./list.ts";
import type { mm_struct } from "./mm.ts";
import { mutex } from "./mutex.ts";
import { refcount_t } from "./refcount.ts";
import { rw_semaphore } from "./rwsem.ts";
import { spinlock_t } from "./spinlock.ts";
import { array, embed, fn, opaque, ptr, type Sleeps, type Spins, struct, u32, u64, u8 } from "./types.ts";
import { DECLARE_BITMAP } from "./bitmap.ts";
import type { kvm_device_ops } from "../../kernel/virt/kvm_main.ts";

/** One of the two masks of what a guest may use: format 2, of 256 bits each. */
export class kvm_s390_apcb1 extends struct("kvm_s390_apcb1", {
  apm: DECLARE_BITMAP(256),
  aqm: DECLARE_BITMAP(256),
  adm: DECLARE_BITMAP(256),
}) {}
export class kvm_s390_crypto_cb extends struct("kvm_s390_crypto_cb", { apcb1: embed(() => kvm_s390_apcb1) }) {}

/** Called when a guest executes PQAP(AQIC). A struct, as drivers find themselves by its address; C's is a pointer to a function. */
export class crypto_hook extends struct("crypto_hook", { func: fn<(vcpu: kvm_vcpu) => Sleeps<number>>() }) {}

export class kvm_s390_crypto extends struct("kvm_s390_crypto", {
  crycb: ptr<kvm_s390_crypto_cb>(),
  pqap_hook_rwsem: embed(() => rw_semaphore),
  pqap_hook: ptr<crypto_hook>(),
  crycbd: u32(),
}) {}

/** Interruption subclasses that a guest wants to be alerted of. */
export class kvm_s390_gisa_interrupt extends struct("kvm_s390_gisa_interrupt", {
  /** Address of the GISA; 0 if there is none. */
  origin: u64(),
  alert_ref_lock: embed(() => spinlock_t),
  alert_mask: u8(),
  alert_ref_count: array(8, u32()),
}) {}

export class kvm_page_track_notifier_head extends struct("kvm_page_track_notifier_head", {
  track_notifier_list: embed(() => hlist_head),
}) {}
export class kvm_page_track_notifier_node extends struct("kvm_page_track_notifier_node", {
  node: embed(() => hlist_node),
  /** A guest wrote to a page that is tracked. */
  track_write:
    fn<(vcpu: kvm_vcpu, gpa: bigint, val: Uint8Array, len: number, n: kvm_page_track_notifier_node) => Spins>(),
  /** A slot of its memory goes. */
  track_flush_slot: fn<(kvm: kvm, slot: kvm_memory_slot, n: kvm_page_track_notifier_node) => Spins>(),
}) {}

/** Of both architectures: this tree is one kernel for all machines. */
export class kvm_arch extends struct("kvm_arch", {
  crypto: embed(() => kvm_s390_crypto),
  gisa_int: embed(() => kvm_s390_gisa_interrupt),
  track_notifier_head: embed(() => kvm_page_track_notifier_head),
  /** How often each page is tracked; each slot has an array for it in C. */
  gfn_track: opaque(() => new Map<bigint, number>()),
}) {}

export interface kvm_memory_slot {
  readonly id: number;
  readonly base_gfn: bigint;
  readonly npages: bigint;
  readonly userspace_addr: bigint;
}

class kvm_base extends struct("kvm", {
  /** A spinlock; on x86 C has a read-write lock, of which only the writers are here. */
  mmu_lock: embed(() => spinlock_t),
  slots_lock: embed(() => mutex),
  mm: ptr<mm_struct>(),
  memslots: opaque((): kvm_memory_slot[] => [], 16),
  lock: embed(() => mutex),
  arch: embed(() => kvm_arch),
  users_count: embed(() => refcount_t),
  devices: embed(() => list_head),
}) {}
export class kvm extends kvm_base {}

/** A device of a virtual machine that lives in the kernel. */
export class kvm_device extends struct("kvm_device", {
  ops: ptr<kvm_device_ops>(),
  kvm: ptr<kvm>(),
  private: ptr<object>(),
  vm_node: embed(() => list_head),
}) {}

/** run->s.regs in C. */
export class kvm_run extends struct("kvm_run", { gprs: array(16, u64()) }) {}
/** Nothing runs it: who calls an interception handler fills in the registers. */
export class kvm_vcpu extends struct("kvm_vcpu", {
  kvm: ptr<kvm>(),
  run: embed(() => kvm_run),
  /** arch.sie_block->eca in C. */
  eca: u32(),
}) {}
export const ECA_AIV = 0x00200000;

export const gpa_to_gfn = (gpa: bigint): bigint => gpa >> 12n;

export {
  gfn_to_hva,
  gfn_to_memslot,
  KVM_HVA_ERR_BAD,
  kvm_get_kvm,
  kvm_get_kvm_safe,
  kvm_is_error_hva,
  kvm_put_kvm,
} from "../../kernel/virt/kvm_main.ts";
export {
  kvm_arch_crypto_clear_masks,
  kvm_arch_crypto_set_masks,
  kvm_s390_gisc_register,
  kvm_s390_gisc_unregister,
} from "../../kernel/virt/kvm_s390.ts";
export {
  kvm_page_track_register_notifier,
  kvm_page_track_unregister_notifier,
  kvm_slot_page_track_add_page,
  kvm_slot_page_track_remove_page,
  KVM_PAGE_TRACK_WRITE,
} from "../../kernel/virt/kvm_page_track.ts";
