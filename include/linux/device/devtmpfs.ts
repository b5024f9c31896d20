// SPDX-License-Identifier: GPL-2.0-only
// custom: nodes in /dev, for the driver core
export { devtmpfs_create_node, devtmpfs_delete_node } from "../../../kernel/fs/devtmpfs.ts";
