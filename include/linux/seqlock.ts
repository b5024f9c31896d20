// SPDX-License-Identifier: GPL-2.0-only
// custom: sequence counters; what they do is in kernel/locking/seqlock.ts
import { embed, opaque, struct, u32 } from "../../kernel/lib/struct.ts";
import { lockdep_map } from "../../kernel/locking/lockdep.ts";
import { spinlock } from "./spinlock.ts";

export class seqcount extends struct("seqcount", {
  /** Odd while somebody writes. */
  sequence: u32(),
  dep_map: opaque(() => new lockdep_map(), 48),
}) {}
export { seqcount as seqcount_t };

/** A counter whose writers take turns by a spinlock. */
export class seqlock extends struct("seqlock", {
  seqcount: embed(() => seqcount),
  lock: embed(() => spinlock),
}) {}
export { seqlock as seqlock_t };

export {
  DEFINE_SEQLOCK,
  raw_read_seqcount,
  read_seqbegin,
  read_seqcount_begin,
  read_seqcount_retry,
  read_seqretry,
  seqcount_init,
  seqlock_init,
  SEQCNT_ZERO,
  write_seqcount_begin,
  write_seqcount_end,
  write_seqcount_invalidate,
  write_seqlock,
  write_seqlock_irq,
  write_seqlock_irqsave,
  write_sequnlock,
  write_sequnlock_irq,
  write_sequnlock_irqrestore,
} from "../../kernel/locking/seqlock.ts";
