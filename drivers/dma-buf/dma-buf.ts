// SPDX-License-Identifier: GPL-2.0-only
/**
 * Buffers that drivers share by descriptor. Part of drivers/dma-buf/dma-buf.c: exporting, attaching, mapping to user space.
 * Missing are fences (poll, sync ioctls), dma_buf_vmap(), names, fdinfo, debugfs and dynamic attachments.
 */
import { WARN_ON } from "#linux/bug.ts";
import type { device } from "#linux/device.ts";
import type { dma_data_direction } from "#linux/dma-mapping.ts";
import { dma_buf, dma_buf_attachment, type dma_buf_export_info } from "#linux/dma-buf.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EBADF, EINVAL, ENOENT, ENOMEM } from "#linux/errno.ts";
import { O_ACCMODE, O_NONBLOCK } from "#linux/fcntl.ts";
import { alloc_file_pseudo, fd_install, fget, fput, get_unused_fd_flags } from "#linux/file.ts";
import { either, type file, type file_operations, type inode, new_inode, SEEK_END, SEEK_SET } from "#linux/fs.ts";
import { fs_initcall } from "#linux/init.ts";
import { INIT_LIST_HEAD, list_add, list_del, list_head } from "#linux/list.ts";
import { PAGE_SHIFT, type vm_area_struct } from "#linux/mm.ts";
import { kbuild, module_put, try_module_get } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import type { sg_table } from "#linux/scatterlist.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import type { Sleeps } from "#linux/types.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const s = per_boot(() => ({ db_list: { head: new list_head(), lock: new mutex() } }));

const is_dma_buf_file = (f: file): boolean => f.f_op === dma_buf_fops;

/** In C when the directory entry goes, right after the file: there are no such entries here. */
function* dma_buf_release(dmabuf: dma_buf): Sleeps {
  yield* either<void>(dmabuf.ops!.release!(dmabuf));
  module_put(dmabuf.owner);
  kfree(dmabuf);
}

function* dma_buf_file_release(_inode: inode, f: file): Sleeps<number> {
  if (!is_dma_buf_file(f)) return -EINVAL;
  const dmabuf = f.private_data as dma_buf;
  yield* mutex_lock(s.db_list.lock);
  list_del(dmabuf.list_node);
  mutex_unlock(s.db_list.lock);
  yield* dma_buf_release(dmabuf);
  return 0;
}

function* dma_buf_mmap_internal(f: file, vma: vm_area_struct): Sleeps<number> {
  if (!is_dma_buf_file(f)) return -EINVAL;
  const dmabuf = f.private_data as dma_buf;
  if (!dmabuf.ops!.mmap) return -EINVAL;
  const pages = (vma.vm_end - vma.vm_start) >> BigInt(PAGE_SHIFT);
  if (vma.vm_pgoff + pages > BigInt(dmabuf.size >>> PAGE_SHIFT)) return -EINVAL;
  return yield* either(dmabuf.ops!.mmap(dmabuf, vma));
}

/** Tells the size by seeking to the end; and back to the beginning, nothing else. */
function dma_buf_llseek(f: file, offset: bigint, whence: number): bigint {
  if (!is_dma_buf_file(f)) return BigInt(-EBADF);
  const dmabuf = f.private_data as dma_buf;
  if ((whence !== SEEK_END && whence !== SEEK_SET) || offset !== 0n) return BigInt(-EINVAL);
  return whence === SEEK_END ? BigInt(dmabuf.size) : 0n;
}

const dma_buf_fops: file_operations = {
  release: dma_buf_file_release,
  mmap: dma_buf_mmap_internal,
  llseek: dma_buf_llseek,
};

function dma_buf_getfile(size: number, flags: number): file {
  const inode = new_inode(0o600);
  if (!inode) return ERR_PTR(-ENOMEM);
  inode.i_size = BigInt(size);
  return alloc_file_pseudo(inode, "/dmabuf:", flags & (O_ACCMODE | O_NONBLOCK), dma_buf_fops);
}

/**
 * Makes a buffer with a file of its own; the file's reference is the caller's.
 * @exp_info: of DEFINE_DMA_BUF_EXPORT_INFO(), with ops, size and priv
 * @return the buffer or ERR_PTR. Context: may sleep. Source: drivers/dma-buf/dma-buf.c
 */
export function* dma_buf_export(exp_info: dma_buf_export_info): Sleeps<dma_buf> {
  const ops = exp_info.ops;
  if (WARN_ON(!exp_info.priv || !ops || !ops.map_dma_buf || !ops.unmap_dma_buf || !ops.release))
    return ERR_PTR(-EINVAL);
  if (!try_module_get(exp_info.owner)) return ERR_PTR(-ENOENT);

  let ret: number;
  err_module: {
    const f = dma_buf_getfile(exp_info.size, exp_info.flags);
    if (IS_ERR(f)) {
      ret = PTR_ERR(f);
      break err_module;
    }
    const dmabuf = kzalloc(dma_buf, GFP_KERNEL);
    if (!dmabuf) {
      // Its release has nothing to release.
      f.f_op = {};
      fput(f);
      ret = -ENOMEM;
      break err_module;
    }
    dmabuf.priv = exp_info.priv;
    dmabuf.ops = ops;
    dmabuf.size = exp_info.size;
    dmabuf.owner = exp_info.owner;
    f.private_data = dmabuf;
    dmabuf.file = f;
    mutex_init(dmabuf.lock, "&dmabuf->lock");
    INIT_LIST_HEAD(dmabuf.attachments);

    yield* mutex_lock(s.db_list.lock);
    list_add(dmabuf.list_node, s.db_list.head);
    mutex_unlock(s.db_list.lock);
    return dmabuf;
  }
  module_put(exp_info.owner);
  return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(dma_buf_export);

/** A descriptor for the file, whose reference becomes the descriptor's. @return it or errno. Source: drivers/dma-buf/dma-buf.c */
export function dma_buf_fd(dmabuf: dma_buf | null, flags: number): number {
  if (!dmabuf?.file) return -EINVAL;
  const fd = get_unused_fd_flags(flags);
  if (fd < 0) return fd;
  fd_install(fd, dmabuf.file);
  return fd;
}
EXPORT_SYMBOL_GPL(dma_buf_fd);

/** @return the buffer of a descriptor with a reference on its file, or ERR_PTR. Source: drivers/dma-buf/dma-buf.c */
export function dma_buf_get(fd: number): dma_buf {
  const f = fget(fd);
  if (!f) return ERR_PTR(-EBADF);
  if (!is_dma_buf_file(f)) {
    fput(f);
    return ERR_PTR(-EINVAL);
  }
  return f.private_data as dma_buf;
}
EXPORT_SYMBOL_GPL(dma_buf_get);

export function dma_buf_put(dmabuf: dma_buf | null): void {
  if (WARN_ON(!dmabuf?.file)) return;
  fput(dmabuf!.file!);
}
EXPORT_SYMBOL_GPL(dma_buf_put);

/** @dev: who is going to access it. @return the attachment or ERR_PTR. Context: may sleep. Source: drivers/dma-buf/dma-buf.c */
export function* dma_buf_attach(dmabuf: dma_buf | null, dev: device | null): Sleeps<dma_buf_attachment> {
  if (WARN_ON(!dmabuf || !dev)) return ERR_PTR(-EINVAL);
  const attach = kzalloc(dma_buf_attachment, GFP_KERNEL);
  if (!attach) return ERR_PTR(-ENOMEM);
  attach.dev = dev;
  attach.dmabuf = dmabuf;
  if (dmabuf!.ops!.attach) {
    const ret = yield* either(dmabuf!.ops!.attach(dmabuf!, attach));
    if (ret) {
      kfree(attach);
      return ERR_PTR(ret);
    }
  }
  yield* mutex_lock(dmabuf!.lock);
  list_add(attach.node, dmabuf!.attachments);
  mutex_unlock(dmabuf!.lock);
  return attach;
}
EXPORT_SYMBOL_GPL(dma_buf_attach);

export function* dma_buf_detach(dmabuf: dma_buf | null, attach: dma_buf_attachment | null): Sleeps {
  if (WARN_ON(!dmabuf || !attach || dmabuf !== attach.dmabuf)) return;
  yield* mutex_lock(dmabuf!.lock);
  list_del(attach!.node);
  mutex_unlock(dmabuf!.lock);
  if (dmabuf!.ops!.detach) yield* either<void>(dmabuf!.ops!.detach(dmabuf!, attach!));
  kfree(attach);
}
EXPORT_SYMBOL_GPL(dma_buf_detach);

/** @return the pieces of the buffer, mapped for the device, or ERR_PTR. Context: may sleep. Source: drivers/dma-buf/dma-buf.c */
export function* dma_buf_map_attachment(
  attach: dma_buf_attachment | null,
  direction: dma_data_direction,
): Sleeps<sg_table> {
  if (WARN_ON(!attach?.dmabuf)) return ERR_PTR(-EINVAL);
  const table = yield* either(attach!.dmabuf!.ops!.map_dma_buf!(attach!, direction));
  return table ?? ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL_GPL(dma_buf_map_attachment);

export function* dma_buf_unmap_attachment(
  attach: dma_buf_attachment | null,
  table: sg_table | null,
  direction: dma_data_direction,
): Sleeps {
  if (WARN_ON(!attach?.dmabuf || !table)) return;
  yield* either<void>(attach!.dmabuf!.ops!.unmap_dma_buf!(attach!, table!, direction));
}
EXPORT_SYMBOL_GPL(dma_buf_unmap_attachment);

function dma_buf_init(): number {
  mutex_init(s.db_list.lock, "&db_list.lock");
  INIT_LIST_HEAD(s.db_list.head);
  return 0;
}
fs_initcall(dma_buf_init);
