// SPDX-License-Identifier: GPL-2.0-only
// dup: buffers that drivers share by descriptor; without fences, mapping to the kernel and dynamic attachments
import type { device } from "#linux/device.ts";
import type { dma_data_direction } from "#linux/dma-mapping.ts";
import type { file } from "#linux/fs.ts";
import { list_head } from "#linux/list.ts";
import type { vm_area_struct } from "#linux/mm.ts";
import type { module } from "#linux/module.ts";
import { mutex } from "#linux/mutex.ts";
import type { sg_table } from "#linux/scatterlist.ts";
import { embed, int, opaque, ptr, type Sleeps, struct } from "#linux/types.ts";

type may_sleep<T> = Sleeps<T> | T;

/** The first three are a must. */
export interface dma_buf_ops {
  readonly map_dma_buf?: (at: dma_buf_attachment, direction: dma_data_direction) => may_sleep<sg_table>;
  readonly unmap_dma_buf?: (at: dma_buf_attachment, sg: sg_table, direction: dma_data_direction) => may_sleep<void>;
  readonly release?: (buf: dma_buf) => may_sleep<void>;
  readonly attach?: (buf: dma_buf, at: dma_buf_attachment) => may_sleep<number>;
  readonly detach?: (buf: dma_buf, at: dma_buf_attachment) => may_sleep<void>;
  readonly mmap?: (buf: dma_buf, vma: vm_area_struct) => may_sleep<number>;
}

export class dma_buf extends struct("dma_buf", {
  /** Bytes. */
  size: opaque(() => 0),
  file: ptr<file>(),
  attachments: embed(() => list_head),
  ops: ptr<dma_buf_ops>(),
  lock: embed(() => mutex),
  owner: ptr<module>(),
  list_node: embed(() => list_head),
  priv: ptr<object>(),
}) {}

export class dma_buf_attachment extends struct("dma_buf_attachment", {
  dmabuf: ptr<dma_buf>(),
  dev: ptr<device>(),
  node: embed(() => list_head),
  priv: ptr<object>(),
}) {}

export class dma_buf_export_info extends struct("dma_buf_export_info", {
  owner: ptr<module>(),
  ops: ptr<dma_buf_ops>(),
  size: opaque(() => 0),
  /** O_ flags of the file. */
  flags: int(),
  priv: ptr<object>(),
}) {}

/** @owner: THIS_MODULE of the exporter. */
export function DEFINE_DMA_BUF_EXPORT_INFO(owner: module | null): dma_buf_export_info {
  const info = new dma_buf_export_info();
  info.owner = owner;
  return info;
}

export {
  dma_buf_attach,
  dma_buf_detach,
  dma_buf_export,
  dma_buf_fd,
  dma_buf_get,
  dma_buf_map_attachment,
  dma_buf_put,
  dma_buf_unmap_attachment,
} from "../../drivers/dma-buf/dma-buf.ts";
