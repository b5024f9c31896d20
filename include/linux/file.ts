// SPDX-License-Identifier: GPL-2.0-only
// dup: file descriptors from inside the kernel
import type { file } from "#linux/fs.ts";

/** What fdget() gives; `file` is NULL if the descriptor is not open. */
export interface fd {
  readonly file: file | null;
  readonly flags: number;
}
export { __fput_sync, alloc_file_pseudo, flush_delayed_fput, fput } from "../../kernel/fs/file_table.ts";
export {
  fd_install,
  fdget,
  FDPUT_FPUT,
  fdput,
  fget,
  fget_raw,
  fget_task,
  get_unused_fd_flags,
  put_unused_fd,
  receive_fd,
} from "../../kernel/fs/file.ts";
