// SPDX-License-Identifier: GPL-2.0-only
// dup: flags of eventfd()
import { O_CLOEXEC, O_NONBLOCK } from "./fcntl.ts";

export const EFD_SEMAPHORE = 1;
export const EFD_CLOEXEC = O_CLOEXEC;
export const EFD_NONBLOCK = O_NONBLOCK;
