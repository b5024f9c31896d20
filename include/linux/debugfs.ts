// SPDX-License-Identifier: GPL-2.0-only
// custom: directories and files with operations; there is no CONFIG_DEBUG_FS=n
export { debugfs_create_dir, debugfs_create_file, debugfs_lookup, debugfs_remove } from "../../kernel/fs/debugfs.ts";
export { debugfs_create_bool, debugfs_create_ulong } from "../../kernel/fs/debugfs_files.ts";
export { type tree_entry as dentry } from "../../kernel/fs/file_tree.ts";
