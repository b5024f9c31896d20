// SPDX-License-Identifier: GPL-2.0-only
// custom: the table of open files of a process, one flat table that grows
import { atomic_t } from "#linux/atomic.ts";
import type { file } from "#linux/fs.ts";
import { embed, opaque, struct, u32 } from "#linux/types.ts";

export class files_struct extends struct("files_struct", {
  count: embed(() => atomic_t),
  next_fd: u32(),
  fd: opaque<(file | null)[]>(() => []),
  /** A descriptor can be taken while it has no file yet: between get_unused_fd_flags() and fd_install(). */
  open_fds: opaque<boolean[]>(() => []),
  close_on_exec: opaque<boolean[]>(() => []),
}) {}

export {
  close_fd,
  current_files,
  dup_fd,
  exit_files,
  files_of,
  get_close_on_exec,
  set_close_on_exec,
} from "../../kernel/fs/file.ts";
