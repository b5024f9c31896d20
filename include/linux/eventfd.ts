// SPDX-License-Identifier: GPL-2.0-only
// dup: event counters that user space and the kernel share
export { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from "../uapi/linux/eventfd.ts";
export {
  eventfd_ctx,
  eventfd_ctx_do_read,
  eventfd_ctx_fdget,
  eventfd_ctx_fileget,
  eventfd_ctx_put,
  eventfd_ctx_remove_wait_queue,
  eventfd_fget,
  eventfd_signal,
  eventfd_signal_allowed,
  eventfd_signal_mask,
} from "../../kernel/fs/eventfd.ts";
