// SPDX-License-Identifier: GPL-2.0-only
/** read, write, lseek. There are no iterators here: a file that has read_iter() in Linux has read(). */
import { EBADF, EFAULT, EINVAL, ENXIO, EOVERFLOW, ESPIPE } from "#linux/errno.ts";
import {
  type file,
  FMODE_CAN_READ,
  FMODE_CAN_WRITE,
  FMODE_LSEEK,
  FMODE_PREAD,
  FMODE_PWRITE,
  FMODE_READ,
  FMODE_STREAM,
  FMODE_UNSIGNED_OFFSET,
  FMODE_WRITE,
  type loff_ptr,
  MAX_RW_COUNT,
  OFFSET_MAX,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_MAX,
  SEEK_SET,
} from "#linux/fs.ts";
import { spin_lock, spin_unlock } from "#linux/spinlock.ts";
import { access_ok } from "#linux/uaccess.ts";
import { kbuild } from "../modpost.ts";
import { either } from "../sched/either.ts";
import type { Sleeps, Spins } from "../sched/types.ts";
import { fdget, fdget_pos, fdput, fdput_pos } from "./file.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

function unsigned_offsets(f: file): boolean {
  return (f.f_mode & FMODE_UNSIGNED_OFFSET) !== 0;
}

/** Whether @count bytes at @ppos can be asked for at all. @return 0, -EINVAL or -EOVERFLOW. Any context. Source: fs/read_write.c */
export function rw_verify_area(f: file, ppos: loff_ptr | null, count: number): number {
  if (count < 0) return -EINVAL;
  if (!ppos) return 0;
  const pos = ppos.value;
  if (pos < 0n) {
    if (!unsigned_offsets(f)) return -EINVAL;
    if (BigInt(count) >= -pos) return -EOVERFLOW;
  } else if (pos + BigInt(count) > OFFSET_MAX) {
    if (!unsigned_offsets(f)) return -EINVAL;
  }
  return 0;
}

/** @buf: user address; @count: bytes. @return bytes or errno. Context: process, may sleep. Source: fs/read_write.c */
export function* vfs_read(f: file, buf: bigint, count: number, ppos: loff_ptr | null): Sleeps<number> {
  if (!(f.f_mode & FMODE_READ)) return -EBADF;
  if (!(f.f_mode & FMODE_CAN_READ)) return -EINVAL;
  if (!access_ok(buf, count)) return -EFAULT;
  const ret = rw_verify_area(f, ppos, count);
  if (ret) return ret;
  if (!f.f_op!.read) return -EINVAL;
  // A stream has no position: what the callee does with one is lost.
  return yield* either(f.f_op!.read(f, buf, Math.min(count, MAX_RW_COUNT), ppos ?? { value: 0n }));
}

/** The other direction. Source: fs/read_write.c */
export function* vfs_write(f: file, buf: bigint, count: number, ppos: loff_ptr | null): Sleeps<number> {
  if (!(f.f_mode & FMODE_WRITE)) return -EBADF;
  if (!(f.f_mode & FMODE_CAN_WRITE)) return -EINVAL;
  if (!access_ok(buf, count)) return -EFAULT;
  const ret = rw_verify_area(f, ppos, count);
  if (ret) return ret;
  if (!f.f_op!.write) return -EINVAL;
  return yield* either(f.f_op!.write(f, buf, Math.min(count, MAX_RW_COUNT), ppos ?? { value: 0n }));
}

type vfs_rw = (f: file, buf: bigint, count: number, ppos: loff_ptr | null) => Sleeps<number>;

function* ksys_rw(rw: vfs_rw, fd: number, buf: bigint, count: number): Sleeps<number> {
  const f = yield* fdget_pos(fd);
  if (!f.file) return -EBADF;
  const ppos = f.file.f_mode & FMODE_STREAM ? null : { value: f.file.f_pos };
  const ret = yield* rw(f.file, buf, count, ppos);
  if (ret >= 0 && ppos) f.file.f_pos = ppos.value;
  fdput_pos(f);
  return ret;
}
export function ksys_read(fd: number, buf: bigint, count: number): Sleeps<number> {
  return ksys_rw(vfs_read, fd, buf, count);
}
export function ksys_write(fd: number, buf: bigint, count: number): Sleeps<number> {
  return ksys_rw(vfs_write, fd, buf, count);
}

function* ksys_prw(rw: vfs_rw, need: number, fd: number, buf: bigint, count: number, offset: bigint): Sleeps<number> {
  const pos = BigInt.asIntN(64, offset);
  if (pos < 0n) return -EINVAL;
  const f = fdget(fd);
  if (!f.file) return -EBADF;
  let ret = -ESPIPE;
  if (f.file.f_mode & need) ret = yield* rw(f.file, buf, count, { value: pos });
  fdput(f);
  return ret;
}
export function ksys_pread64(fd: number, buf: bigint, count: number, pos: bigint): Sleeps<number> {
  return ksys_prw(vfs_read, FMODE_PREAD, fd, buf, count, pos);
}
export function ksys_pwrite64(fd: number, buf: bigint, count: number, pos: bigint): Sleeps<number> {
  return ksys_prw(vfs_write, FMODE_PWRITE, fd, buf, count, pos);
}

/** Moves the file's position. @return it, or -EINVAL beyond @maxsize. Any context. Source: fs/read_write.c */
export function vfs_setpos(f: file, offset: bigint, maxsize: bigint): bigint {
  if (offset < 0n && !unsigned_offsets(f)) return BigInt(-EINVAL);
  if (offset > maxsize) return BigInt(-EINVAL);
  if (offset !== f.f_pos) f.f_pos = offset;
  return offset;
}
EXPORT_SYMBOL(vfs_setpos);

function* generic_file_llseek_size(
  f: file,
  offset: bigint,
  whence: number,
  maxsize: bigint,
  eof: bigint,
): Spins<bigint> {
  switch (whence) {
    case SEEK_END:
      offset += eof;
      break;
    case SEEK_CUR:
      if (offset === 0n) return f.f_pos;
      yield* spin_lock(f.f_lock);
      offset = vfs_setpos(f, BigInt.asIntN(64, f.f_pos + offset), maxsize);
      spin_unlock(f.f_lock);
      return offset;
    case SEEK_DATA:
      if (BigInt.asUintN(64, offset) >= eof) return BigInt(-ENXIO);
      break;
    case SEEK_HOLE:
      if (BigInt.asUintN(64, offset) >= eof) return BigInt(-ENXIO);
      offset = eof;
      break;
  }
  return vfs_setpos(f, BigInt.asIntN(64, offset), maxsize);
}
export function generic_file_llseek(f: file, offset: bigint, whence: number): Spins<bigint> {
  return generic_file_llseek_size(f, offset, whence, OFFSET_MAX, f.f_inode!.i_size);
}
EXPORT_SYMBOL(generic_file_llseek);

/** llseek() of a file whose size, in bytes, the driver knows. Source: fs/read_write.c */
export function* fixed_size_llseek(f: file, offset: bigint, whence: number, size: bigint): Spins<bigint> {
  if (whence !== SEEK_SET && whence !== SEEK_CUR && whence !== SEEK_END) return BigInt(-EINVAL);
  return yield* generic_file_llseek_size(f, offset, whence, size, size);
}
EXPORT_SYMBOL(fixed_size_llseek);

/** llseek() of a file that has no end. Source: fs/read_write.c */
export function* no_seek_end_llseek(f: file, offset: bigint, whence: number): Spins<bigint> {
  if (whence !== SEEK_SET && whence !== SEEK_CUR) return BigInt(-EINVAL);
  return yield* generic_file_llseek_size(f, offset, whence, OFFSET_MAX, 0n);
}
EXPORT_SYMBOL(no_seek_end_llseek);

/** llseek() that succeeds and does nothing. Source: fs/read_write.c */
export function noop_llseek(f: file, _offset: bigint, _whence: number): bigint {
  return f.f_pos;
}
EXPORT_SYMBOL(noop_llseek);

export function no_llseek(_f: file, _offset: bigint, _whence: number): bigint {
  return BigInt(-ESPIPE);
}
EXPORT_SYMBOL(no_llseek);

/** llseek() as it was before files were large. No lock is taken: i_size of what is here never changes. Source: fs/read_write.c */
export function default_llseek(f: file, offset: bigint, whence: number): bigint {
  const size = f.f_inode!.i_size;
  switch (whence) {
    case SEEK_END:
      offset += size;
      break;
    case SEEK_CUR:
      if (offset === 0n) return f.f_pos;
      offset += f.f_pos;
      break;
    case SEEK_DATA:
      if (offset >= size) return BigInt(-ENXIO);
      break;
    case SEEK_HOLE:
      if (offset >= size) return BigInt(-ENXIO);
      offset = size;
      break;
  }
  if (offset < 0n && !unsigned_offsets(f)) return BigInt(-EINVAL);
  if (offset !== f.f_pos) f.f_pos = offset;
  return offset;
}
EXPORT_SYMBOL(default_llseek);

/** @return the new position or errno. Context: process, may sleep. Source: fs/read_write.c */
export function* vfs_llseek(f: file, offset: bigint, whence: number): Sleeps<bigint> {
  if (!(f.f_mode & FMODE_LSEEK)) return BigInt(-ESPIPE);
  // FMODE_LSEEK says that there is one.
  return yield* either(f.f_op!.llseek!(f, offset, whence));
}
EXPORT_SYMBOL(vfs_llseek);

export function* ksys_lseek(fd: number, offset: bigint, whence: number): Sleeps<bigint> {
  const f = yield* fdget_pos(fd);
  if (!f.file) return BigInt(-EBADF);
  let ret = BigInt(-EINVAL);
  if (whence >= 0 && whence <= SEEK_MAX) ret = yield* vfs_llseek(f.file, offset, whence);
  fdput_pos(f);
  return ret;
}
