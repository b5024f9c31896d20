// SPDX-License-Identifier: GPL-2.0-only
/** The device that tells VFIO which virtual machine uses its groups. Source: virt/kvm/vfio.c. Without coherency, and the parts of other machines. */
import { EBADF, EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, ENXIO } from "#linux/errno.ts";
import { fdget, fdput, fget, fput } from "#linux/file.ts";
import type { file } from "#linux/fs.ts";
import { type kvm, kvm_device } from "#linux/kvm_host.ts";
import {
  INIT_LIST_HEAD,
  list_add_tail,
  list_del,
  list_for_each_entry,
  list_for_each_entry_safe,
  list_head,
} from "#linux/list.ts";
import { symbol_get, symbol_put } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { b32, bytestruct, embed, ptr, type Sleeps, struct } from "#linux/types.ts";
import { copy_from_user } from "#linux/uaccess.ts";
import {
  KVM_DEV_VFIO_GROUP,
  KVM_DEV_VFIO_GROUP_ADD,
  KVM_DEV_VFIO_GROUP_DEL,
  type kvm_device_attr,
} from "#uapi/linux/kvm.ts";
import type { kvm_device_ops } from "./kvm_main.ts";

class kvm_vfio_file extends struct("kvm_vfio_file", { node: embed(() => list_head), file: ptr<file>() }) {}

class kvm_vfio extends struct("kvm_vfio", { file_list: embed(() => list_head), lock: embed(() => mutex) }) {}

/** A variable on the stack. */
class s32_cell extends bytestruct("s32", { v: b32() }) {}

function* kvm_vfio_file_set_kvm(file: file, kvm: kvm | null): Sleeps {
  const fn = symbol_get<(file: file, kvm: kvm | null) => Sleeps>("vfio_file_set_kvm");
  if (!fn) return;

  yield* fn(file, kvm);

  symbol_put("vfio_file_set_kvm");
}

function kvm_vfio_file_is_group(file: file): boolean {
  const fn = symbol_get<(file: file) => boolean>("vfio_file_is_group");
  if (!fn) return false;

  const ret = fn(file);

  symbol_put("vfio_file_is_group");

  return ret;
}

function* kvm_vfio_file_add(dev: kvm_device, fd: number): Sleeps<number> {
  const kv = dev.private as kvm_vfio;
  let ret: number;

  const filp = fget(fd);
  if (!filp) return -EBADF;

  err_fput: {
    if (!kvm_vfio_file_is_group(filp)) {
      ret = -EINVAL;
      break err_fput;
    }

    yield* mutex_lock(kv.lock);

    err_unlock: {
      let found = false;
      for (const kvf of list_for_each_entry(kv.file_list, kvm_vfio_file, "node")) found ||= kvf.file === filp;
      if (found) {
        ret = -EEXIST;
        break err_unlock;
      }

      const kvf = kzalloc(kvm_vfio_file, GFP_KERNEL);
      if (!kvf) {
        ret = -ENOMEM;
        break err_unlock;
      }

      kvf.file = filp;
      list_add_tail(kvf.node, kv.file_list);

      yield* kvm_vfio_file_set_kvm(kvf.file, dev.kvm);

      mutex_unlock(kv.lock);

      return 0;
    }
    mutex_unlock(kv.lock);
  }
  fput(filp);
  return ret;
}

function* kvm_vfio_file_del(dev: kvm_device, fd: number): Sleeps<number> {
  const kv = dev.private as kvm_vfio;

  const f = fdget(fd);
  if (!f.file) return -EBADF;

  let ret = -ENOENT;

  yield* mutex_lock(kv.lock);

  for (const kvf of list_for_each_entry(kv.file_list, kvm_vfio_file, "node")) {
    if (kvf.file !== f.file) continue;

    list_del(kvf.node);
    yield* kvm_vfio_file_set_kvm(kvf.file, null);
    fput(kvf.file);
    kfree(kvf);
    ret = 0;
    break;
  }

  mutex_unlock(kv.lock);

  fdput(f);

  return ret;
}

function* kvm_vfio_set_file(dev: kvm_device, attr: bigint, arg: bigint): Sleeps<number> {
  const fd = new s32_cell();

  switch (Number(attr)) {
    case KVM_DEV_VFIO_GROUP_ADD:
      if (yield* copy_from_user(fd, arg, 4)) return -EFAULT;
      return yield* kvm_vfio_file_add(dev, fd.v);

    case KVM_DEV_VFIO_GROUP_DEL:
      if (yield* copy_from_user(fd, arg, 4)) return -EFAULT;
      return yield* kvm_vfio_file_del(dev, fd.v);
  }

  return -ENXIO;
}

function* kvm_vfio_set_attr(dev: kvm_device, attr: kvm_device_attr): Sleeps<number> {
  return attr.group === KVM_DEV_VFIO_GROUP ? yield* kvm_vfio_set_file(dev, attr.attr, attr.addr) : -ENXIO;
}

function kvm_vfio_has_attr(_dev: kvm_device, attr: kvm_device_attr): number {
  const known = [KVM_DEV_VFIO_GROUP_ADD, KVM_DEV_VFIO_GROUP_DEL].includes(Number(attr.attr));
  return attr.group === KVM_DEV_VFIO_GROUP && known ? 0 : -ENXIO;
}

function* kvm_vfio_release(dev: kvm_device): Sleeps {
  const kv = dev.private as kvm_vfio;

  for (const kvf of list_for_each_entry_safe(kv.file_list, kvm_vfio_file, "node")) {
    yield* kvm_vfio_file_set_kvm(kvf.file!, null);
    fput(kvf.file!);
    list_del(kvf.node);
    kfree(kvf);
  }

  kfree(kv);
  kfree(dev);
}

function kvm_vfio_create(dev: kvm_device, _type: number): number {
  // Only one for each machine
  for (const tmp of list_for_each_entry(dev.kvm!.devices, kvm_device, "vm_node"))
    if (tmp.ops === kvm_vfio_ops) return -EBUSY;

  const kv = kzalloc(kvm_vfio, GFP_KERNEL);
  if (!kv) return -ENOMEM;

  INIT_LIST_HEAD(kv.file_list);
  mutex_init(kv.lock, "&kv->lock");

  dev.private = kv;

  return 0;
}

export const kvm_vfio_ops: kvm_device_ops = {
  name: "kvm-vfio",
  create: kvm_vfio_create,
  release: kvm_vfio_release,
  set_attr: kvm_vfio_set_attr,
  has_attr: kvm_vfio_has_attr,
};
