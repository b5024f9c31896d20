// SPDX-License-Identifier: GPL-2.0-only
// dup: files without a place in the file system
export { anon_inode_getfd, anon_inode_getfile } from "../../kernel/fs/anon_inodes.ts";
