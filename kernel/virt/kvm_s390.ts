// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a guest of an s390 machine may use of the adjunct processors, and the interception of PQAP(AQIC). Sources:
 * arch/s390/kvm/kvm-s390.c, interrupt.c, priv.c. No guest runs: nobody has to be stopped while the masks change, and
 * alerts are counted but never come.
 */
import { GAL_ISC, MAX_ISC } from "#asm/isc.ts";
import { type bitmap, bitmap_copy, bitmap_zero } from "#linux/bitmap.ts";
import { EINVAL, ENODEV, ENOMEM, ERANGE } from "#linux/errno.ts";
import { type kvm, kvm_s390_crypto_cb, type kvm_vcpu } from "#linux/kvm_host.ts";
import { down_read, init_rwsem, up_read } from "#linux/rwsem.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "#linux/spinlock.ts";
import { addr_of, type Sleeps, type Spins } from "#linux/types.ts";
import { kbuild } from "../modpost.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const CRYCB_FORMAT2 = 3;

/** @return 0 or -ENOMEM. May sleep. */
export function kvm_s390_init_vm(kvm: kvm): number {
  const crycb = kzalloc(kvm_s390_crypto_cb, GFP_KERNEL);
  if (!crycb) return -ENOMEM;
  kvm.arch.crypto.crycb = crycb;
  kvm.arch.crypto.crycbd = (addr_of(crycb) & ~3) | CRYCB_FORMAT2;
  init_rwsem(kvm.arch.crypto.pqap_hook_rwsem, "&kvm->arch.crypto.pqap_hook_rwsem");
  spin_lock_init(kvm.arch.gisa_int.alert_ref_lock, "&gi->alert.ref_lock");
  // In C the GISA is behind the crypto control block, in the same page
  kvm.arch.gisa_int.origin = BigInt(addr_of(crycb)) + 0x1000n;
  return 0;
}
export function kvm_s390_destroy_vm(kvm: kvm): void {
  kfree(kvm.arch.crypto.crycb);
}

/** Gives a guest these adapters, usage and control domains. kvm->lock held. */
export function kvm_arch_crypto_set_masks(kvm: kvm, apm: bitmap, aqm: bitmap, adm: bitmap): void {
  const { apcb1 } = kvm.arch.crypto.crycb!;

  bitmap_copy(apcb1.apm, apm, 256);
  bitmap_copy(apcb1.aqm, aqm, 256);
  bitmap_copy(apcb1.adm, adm, 256);
}
EXPORT_SYMBOL_GPL(kvm_arch_crypto_set_masks);

/** Takes everything from a guest. kvm->lock held. */
export function kvm_arch_crypto_clear_masks(kvm: kvm): void {
  const { apcb1 } = kvm.arch.crypto.crycb!;

  bitmap_zero(apcb1.apm, 256);
  bitmap_zero(apcb1.aqm, 256);
  bitmap_zero(apcb1.adm, 256);
}
EXPORT_SYMBOL_GPL(kvm_arch_crypto_clear_masks);

/** @gisc: subclass of the guest. @return the subclass of the host that alerts come in, -ENODEV or -ERANGE. Any context. */
export function* kvm_s390_gisc_register(kvm: kvm, gisc: number): Spins<number> {
  const gi = kvm.arch.gisa_int;

  if (!gi.origin) return -ENODEV;
  if (gisc > MAX_ISC) return -ERANGE;

  yield* spin_lock(gi.alert_ref_lock);
  gi.alert_ref_count.set(gisc, gi.alert_ref_count.at(gisc) + 1);
  if (gi.alert_ref_count.at(gisc) === 1) gi.alert_mask |= 0x80 >> gisc;
  spin_unlock(gi.alert_ref_lock);

  return GAL_ISC;
}
EXPORT_SYMBOL_GPL(kvm_s390_gisc_register);

/** @return 0, -ENODEV, -ERANGE, or -EINVAL if it is not registered. Any context. */
export function* kvm_s390_gisc_unregister(kvm: kvm, gisc: number): Spins<number> {
  const gi = kvm.arch.gisa_int;
  let rc = 0;

  if (!gi.origin) return -ENODEV;
  if (gisc > MAX_ISC) return -ERANGE;

  yield* spin_lock(gi.alert_ref_lock);
  out: {
    if (gi.alert_ref_count.at(gisc) === 0) {
      rc = -EINVAL;
      break out;
    }
    gi.alert_ref_count.set(gisc, gi.alert_ref_count.at(gisc) - 1);
    if (gi.alert_ref_count.at(gisc) === 0) gi.alert_mask &= ~(0x80 >> gisc);
  }
  spin_unlock(gi.alert_ref_lock);

  return rc;
}
EXPORT_SYMBOL_GPL(kvm_s390_gisc_unregister);

/**
 * A virtual CPU has executed PQAP(AQIC): operands in general registers 0 to 2, the status in 1 afterwards.
 * @return 0, or -EOPNOTSUPP for user space to see to it. May sleep. Source: handle_pqap() of arch/s390/kvm/priv.c
 */
export function* kvm_s390_intercept_pqap(vcpu: kvm_vcpu): Sleeps<number> {
  const { crypto } = vcpu.kvm!.arch;
  yield* down_read(crypto.pqap_hook_rwsem);
  if (crypto.pqap_hook) {
    const ret = yield* crypto.pqap_hook.func!(vcpu);
    up_read(crypto.pqap_hook_rwsem);
    return ret;
  }
  up_read(crypto.pqap_hook_rwsem);
  // No driver: the queue is not available
  vcpu.run.gprs.set(1, 0x00010000n);
  return 0;
}
