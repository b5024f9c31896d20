// SPDX-License-Identifier: GPL-2.0-only
// custom: files whose text is made when they are read: all of it at once, whatever its length
import { opaque, ptr, str, type Sleeps, struct } from "#linux/types.ts";

export class seq_file extends struct("seq_file", {
  $text: opaque(() => ""),
  /** The text is from a show() that was called for this pass. */
  $shown: opaque(() => false, 1),
  $show: opaque<((m: seq_file, v: object | null) => Sleeps<number> | number) | null>(() => null),
  $name: str(),
  /** C's member `private`. */
  priv: ptr<object>(),
}) {}

export {
  seq_lseek,
  seq_printf,
  seq_putc,
  seq_puts,
  seq_read,
  single_open,
  single_release,
} from "../../kernel/fs/seq_file.ts";
