// SPDX-License-Identifier: GPL-2.0-only
// custom: sysfs; text instead of bytes, a sysfs_buf instead of a page
export {
  __ATTR,
  attribute,
  type attribute_group,
  type attribute_groups,
  ATTRIBUTE_GROUPS,
  bin_attribute,
  sysfs_buf,
  sysfs_emit,
  sysfs_emit_at,
  type sysfs_ops,
  SYSFS_PAGE_SIZE,
  type sysfs_result,
} from "../../kernel/fs/sysfs/attribute.ts";
export {
  sysfs_create_dir,
  sysfs_move_dir,
  sysfs_remove_dir,
  sysfs_rename_dir,
  sysfs_root_kn,
  sysfs_warn_dup,
} from "../../kernel/fs/sysfs/dir.ts";
export {
  sysfs_add_file_to_group,
  sysfs_break_active_protection,
  sysfs_chmod_file,
  sysfs_create_bin_file,
  sysfs_create_file,
  sysfs_create_files,
  sysfs_notify,
  sysfs_remove_bin_file,
  sysfs_remove_file,
  sysfs_remove_file_from_group,
  sysfs_remove_file_self,
  sysfs_remove_files,
  sysfs_unbreak_active_protection,
} from "../../kernel/fs/sysfs/file.ts";
export {
  sysfs_add_link_to_group,
  sysfs_create_group,
  sysfs_create_groups,
  sysfs_merge_group,
  sysfs_remove_group,
  sysfs_remove_groups,
  sysfs_remove_link_from_group,
  sysfs_unmerge_group,
  sysfs_update_group,
  sysfs_update_groups,
} from "../../kernel/fs/sysfs/group.ts";
export {
  sysfs_create_link,
  sysfs_create_link_nowarn,
  sysfs_delete_link,
  sysfs_remove_link,
  sysfs_rename_link,
} from "../../kernel/fs/sysfs/symlink.ts";
export { sysfs_streq } from "../../kernel/fs/sysfs/string.ts";
