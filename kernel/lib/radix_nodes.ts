// SPDX-License-Identifier: GPL-2.0-only
/**
 * Memory for the inner nodes of XArrays, IDRs and IDAs. The nodes themselves are not modelled; that one has to be
 * allocated, and may not be to be had, is.
 */
import { should_failslab } from "../mm/failslab.ts";
import { might_alloc } from "../mm/slab.ts";
import { __GFP_NOWARN, GFP_NOWAIT, type gfp_t } from "../../include/linux/gfp_types.ts";

export const XA_CHUNK_SHIFT = 6n;
const NODE_SIZE = 576;

/** Whether storing at `index` needs a node, given what is there. An entry at 0 alone sits in the head. */
function needs_node(entries: ReadonlyMap<bigint, unknown>, index: bigint): boolean {
  if (entries.has(index)) return false;
  if (index === 0n && entries.size === 0) return false;
  for (const there of entries.keys())
    if (there >> XA_CHUNK_SHIFT === index >> XA_CHUNK_SHIFT && entries.size > 1) return false;
  return true;
}

/**
 * A node for an XArray or an IDA: first without waiting, and if there is none, with the lock dropped, as `gfp` says.
 * @return false if there is no memory. Source: lib/xarray.c, xas_alloc() and __xas_nomem()
 */
export function xas_node(entries: ReadonlyMap<bigint, unknown>, index: bigint, gfp: gfp_t): boolean {
  if (!needs_node(entries, index)) return true;
  if (!should_failslab("radix_tree_node", NODE_SIZE, GFP_NOWAIT | __GFP_NOWARN)) return true;
  return !should_failslab("radix_tree_node", NODE_SIZE, gfp);
}

/** A node for an IDR, whose caller holds its locks all the time. Source: lib/radix-tree.c, radix_tree_node_alloc() */
export function radix_tree_node(entries: ReadonlyMap<bigint, unknown>, index: bigint, gfp: gfp_t): boolean {
  if (!needs_node(entries, index)) return true;
  might_alloc(gfp);
  return !should_failslab("radix_tree_node", NODE_SIZE, gfp);
}
