// SPDX-License-Identifier: GPL-2.0-only
/** Users of the I/O interruption subclasses. Port of drivers/s390/cio/isc.c. */
import { ctl_clear_bit, ctl_set_bit } from "#asm/ctl_reg.ts";
import { MAX_ISC } from "#asm/isc.ts";
import { WARN_ON } from "#linux/kernel.ts";
import { kbuild } from "#linux/module.ts";
import { DEFINE_SPINLOCK, spin_lock, spin_unlock } from "#linux/spinlock.ts";
import type { Spins } from "#linux/types.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({
  isc_refs: new Array<number>(MAX_ISC + 1).fill(0),
  isc_ref_lock: DEFINE_SPINLOCK("isc_ref_lock"),
}));

/** One more user of `isc`; the first one lets its interrupts in. Context: not in interrupts */
export function* isc_register(isc: number): Spins {
  if (isc > MAX_ISC) {
    WARN_ON(true);
    return;
  }

  yield* spin_lock(s.isc_ref_lock);
  if (s.isc_refs[isc] === 0) ctl_set_bit(6, 31 - isc);
  s.isc_refs[isc]!++;
  spin_unlock(s.isc_ref_lock);
}
EXPORT_SYMBOL_GPL(isc_register);

/** One user less; the last one shuts its interrupts out. Context: not in interrupts */
export function* isc_unregister(isc: number): Spins {
  yield* spin_lock(s.isc_ref_lock);
  out_unlock: {
    if (isc > MAX_ISC || s.isc_refs[isc] === 0) {
      WARN_ON(true);
      break out_unlock;
    }
    if (s.isc_refs[isc] === 1) ctl_clear_bit(6, 31 - isc);
    s.isc_refs[isc]!--;
  }
  spin_unlock(s.isc_ref_lock);
}
EXPORT_SYMBOL_GPL(isc_unregister);
