// SPDX-License-Identifier: GPL-2.0-only
// custom: who a task acts for
import { struct, u32 } from "#linux/types.ts";

export class cred extends struct("cred", {
  uid: u32(),
  gid: u32(),
  euid: u32(),
  egid: u32(),
}) {}

export { current_cred, current_euid, current_uid } from "../../kernel/cred.ts";
