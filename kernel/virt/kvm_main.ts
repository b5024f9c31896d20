// SPDX-License-Identifier: GPL-2.0-only
/**
 * /dev/kvm, as far as VFIO's users need it: virtual machines that are counted and have memory slots and devices, but no
 * CPUs. Source: virt/kvm/kvm_main.c. Left out is all that runs a guest, and what is shown of it in debugfs and uevents.
 */
import { anon_inode_getfd, anon_inode_getfile } from "#linux/anon_inodes.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EEXIST, EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY, EPERM } from "#linux/errno.ts";
import { O_CLOEXEC, O_RDWR } from "#linux/fcntl.ts";
import { fd_install, get_unused_fd_flags, put_unused_fd } from "#linux/file.ts";
import { type file, type file_operations, type inode, noop_llseek } from "#linux/fs.ts";
import { kvm, kvm_device, type kvm_memory_slot } from "#linux/kvm_host.ts";
import { INIT_LIST_HEAD, list_add, list_del } from "#linux/list.ts";
import { KVM_MINOR, miscdevice, misc_deregister, misc_register } from "#linux/miscdevice.ts";
import { mmdrop, mmgrab, task_mm } from "#linux/mm.ts";
import { __module_get, kbuild, module_put } from "#linux/module.ts";
import { mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { refcount_dec_and_test, refcount_inc, refcount_inc_not_zero, refcount_set } from "#linux/refcount.ts";
import { current } from "#linux/sched.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { spin_lock_init } from "#linux/spinlock.ts";
import { initialise, type Sleeps, sizeof } from "#linux/types.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import {
  KVM_API_VERSION,
  KVM_CREATE_DEVICE,
  KVM_CREATE_DEVICE_TEST,
  KVM_CREATE_VM,
  kvm_create_device,
  KVM_DEV_TYPE_VFIO,
  kvm_device_attr,
  KVM_GET_API_VERSION,
  KVM_HAS_DEVICE_ATTR,
  KVM_SET_DEVICE_ATTR,
  KVM_SET_USER_MEMORY_REGION,
  kvm_userspace_memory_region,
} from "#uapi/linux/kvm.ts";
import { byte_order } from "../lib/bytestruct.ts";
import { kvm_page_track_flush_slot } from "./kvm_page_track.ts";
import { kvm_s390_destroy_vm, kvm_s390_init_vm } from "./kvm_s390.ts";
import { kvm_vfio_ops } from "./kvm_vfio.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, EXPORT_SYMBOL_GPL, MODULE_LICENSE } = kbuild(import.meta.url);

MODULE_LICENSE("GPL");

/** A kind of device that a machine can have in the kernel. Called with kvm->lock held, but for the two about attributes. */
export interface kvm_device_ops {
  readonly name: string;
  readonly create: (dev: kvm_device, type: number) => number;
  /** The last user of its file is gone; frees the device. */
  readonly release?: (dev: kvm_device) => Sleeps;
  readonly set_attr: (dev: kvm_device, attr: kvm_device_attr) => Sleeps<number>;
  readonly has_attr: (dev: kvm_device, attr: kvm_device_attr) => number;
}

const s = per_boot(() => ({
  kvm_dev: initialise(new miscdevice(), { minor: KVM_MINOR, name: "kvm", fops: kvm_chardev_ops }),
}));

function kvm_create_vm(): kvm {
  const vm = kzalloc(kvm, GFP_KERNEL);
  if (!vm) return ERR_PTR(-ENOMEM);

  __module_get(THIS_MODULE);

  const mm = task_mm(current())!;
  spin_lock_init(vm.mmu_lock, "&kvm->mmu_lock");
  mmgrab(mm);
  vm.mm = mm;
  mutex_init(vm.lock, "&kvm->lock");
  mutex_init(vm.slots_lock, "&kvm->slots_lock");
  INIT_LIST_HEAD(vm.devices);
  refcount_set(vm.users_count, 1);

  const r = byte_order.little_endian ? 0 : kvm_s390_init_vm(vm);
  if (r) {
    mmdrop(mm);
    module_put(THIS_MODULE);
    kfree(vm);
    return ERR_PTR(r);
  }
  return vm;
}

function kvm_destroy_vm(kvm: kvm): void {
  const mm = kvm.mm!;

  kvm_s390_destroy_vm(kvm);
  // A device holds a reference, so none is left
  kfree(kvm);
  mmdrop(mm);
  module_put(THIS_MODULE);
}

/** One more reference. Any context. */
export function kvm_get_kvm(kvm: kvm): void {
  refcount_inc(kvm.users_count);
}
EXPORT_SYMBOL_GPL(kvm_get_kvm);

/** @return whether there was still a reference. Any context. */
export function kvm_get_kvm_safe(kvm: kvm): boolean {
  return refcount_inc_not_zero(kvm.users_count);
}
EXPORT_SYMBOL_GPL(kvm_get_kvm_safe);

/** Drops a reference; the last one frees it. May sleep. */
export function kvm_put_kvm(kvm: kvm): void {
  if (refcount_dec_and_test(kvm.users_count)) kvm_destroy_vm(kvm);
}
EXPORT_SYMBOL_GPL(kvm_put_kvm);

function kvm_vm_release(_inode: inode, filp: file): number {
  kvm_put_kvm(filp.private_data as kvm);
  return 0;
}

/** @return the slot that a page of the guest lies in, or NULL. */
export function gfn_to_memslot(kvm: kvm, gfn: bigint): kvm_memory_slot | null {
  return kvm.memslots.find((m) => gfn >= m.base_gfn && gfn < m.base_gfn + m.npages) ?? null;
}
EXPORT_SYMBOL_GPL(gfn_to_memslot);

export const KVM_HVA_ERR_BAD = 0xffff_8000_0000_0000n;
/** @return where user space has a page of the guest, or an error address. */
export function gfn_to_hva(kvm: kvm, gfn: bigint): bigint {
  const slot = gfn_to_memslot(kvm, gfn);
  return slot ? slot.userspace_addr + ((gfn - slot.base_gfn) << 12n) : KVM_HVA_ERR_BAD;
}
EXPORT_SYMBOL_GPL(gfn_to_hva);
/** @inline */
export const kvm_is_error_hva = (addr: bigint): boolean => addr === KVM_HVA_ERR_BAD;

/* A slot comes, or goes when its size is 0; moving one is refused. */
function* kvm_set_memory_region(kvm: kvm, mem: kvm_userspace_memory_region): Sleeps<number> {
  if ((mem.memory_size | mem.guest_phys_addr) & 0xfffn) return -EINVAL;
  const old = kvm.memslots.find((m) => m.id === mem.slot);
  if (mem.memory_size === 0n) {
    if (!old) return -EINVAL;
    kvm.memslots.splice(kvm.memslots.indexOf(old), 1);
    yield* kvm_page_track_flush_slot(kvm, old);
    return 0;
  }
  if (old) return -EINVAL;
  const base_gfn = mem.guest_phys_addr >> 12n;
  const npages = mem.memory_size >> 12n;
  if (kvm.memslots.some((m) => base_gfn < m.base_gfn + m.npages && m.base_gfn < base_gfn + npages)) return -EEXIST;
  kvm.memslots.push({ id: mem.slot, base_gfn, npages, userspace_addr: mem.userspace_addr });
  return 0;
}

function* kvm_ioctl_create_device(kvm: kvm, cd: kvm_create_device): Sleeps<number> {
  if (cd.type !== KVM_DEV_TYPE_VFIO) return -ENODEV;
  const ops: kvm_device_ops = kvm_vfio_ops;

  if (cd.flags & KVM_CREATE_DEVICE_TEST) return 0;

  const dev = kzalloc(kvm_device, GFP_KERNEL);
  if (!dev) return -ENOMEM;

  dev.ops = ops;
  dev.kvm = kvm;

  yield* mutex_lock(kvm.lock);
  let ret = ops.create(dev, cd.type);
  if (ret < 0) {
    mutex_unlock(kvm.lock);
    kfree(dev);
    return ret;
  }
  list_add(dev.vm_node, kvm.devices);
  mutex_unlock(kvm.lock);

  kvm_get_kvm(kvm);
  ret = anon_inode_getfd(ops.name, kvm_device_fops, dev, O_RDWR | O_CLOEXEC);
  if (ret < 0) {
    kvm_put_kvm(kvm);
    yield* mutex_lock(kvm.lock);
    list_del(dev.vm_node);
    if (ops.release) yield* ops.release(dev);
    mutex_unlock(kvm.lock);
    return ret;
  }

  cd.fd = ret;
  return 0;
}

function* kvm_vm_ioctl(filp: file, ioctl: number, arg: bigint): Sleeps<number> {
  const kvm = filp.private_data as kvm;

  if (kvm.mm !== task_mm(current())) return -EINVAL;
  switch (ioctl) {
    case KVM_SET_USER_MEMORY_REGION: {
      const mem = new kvm_userspace_memory_region();
      if (yield* copy_from_user(mem, arg, sizeof(mem))) return -EFAULT;
      yield* mutex_lock(kvm.slots_lock);
      const r = yield* kvm_set_memory_region(kvm, mem);
      mutex_unlock(kvm.slots_lock);
      return r;
    }
    case KVM_CREATE_DEVICE: {
      const cd = new kvm_create_device();
      if (yield* copy_from_user(cd, arg, sizeof(cd))) return -EFAULT;
      const r = yield* kvm_ioctl_create_device(kvm, cd);
      if (r) return r;
      return (yield* copy_to_user(arg, cd, sizeof(cd))) ? -EFAULT : 0;
    }
  }
  return -ENOTTY;
}

const kvm_vm_fops: file_operations = {
  release: kvm_vm_release,
  unlocked_ioctl: kvm_vm_ioctl,
  llseek: noop_llseek,
};

function* kvm_device_ioctl(filp: file, ioctl: number, arg: bigint): Sleeps<number> {
  const dev = filp.private_data as kvm_device;

  if (dev.kvm!.mm !== task_mm(current())) return -EPERM;
  if (ioctl !== KVM_SET_DEVICE_ATTR && ioctl !== KVM_HAS_DEVICE_ATTR) return -ENOTTY;
  const attr = new kvm_device_attr();
  if (yield* copy_from_user(attr, arg, sizeof(attr))) return -EFAULT;
  return ioctl === KVM_SET_DEVICE_ATTR ? yield* dev.ops!.set_attr(dev, attr) : dev.ops!.has_attr(dev, attr);
}

function* kvm_device_release(_inode: inode, filp: file): Sleeps<number> {
  const dev = filp.private_data as kvm_device;
  const kvm = dev.kvm!;

  if (dev.ops!.release) {
    yield* mutex_lock(kvm.lock);
    list_del(dev.vm_node);
    yield* dev.ops!.release(dev);
    mutex_unlock(kvm.lock);
  }

  kvm_put_kvm(kvm);
  return 0;
}

const kvm_device_fops: file_operations = { unlocked_ioctl: kvm_device_ioctl, release: kvm_device_release };

function kvm_dev_ioctl_create_vm(): number {
  const fd = get_unused_fd_flags(O_CLOEXEC);
  if (fd < 0) return fd;

  let r: number;
  put_fd: {
    const vm = kvm_create_vm();
    if (IS_ERR(vm)) {
      r = PTR_ERR(vm);
      break put_fd;
    }

    const file = anon_inode_getfile("kvm-vm", kvm_vm_fops, vm, O_RDWR);
    if (IS_ERR(file)) {
      r = PTR_ERR(file);
      kvm_put_kvm(vm);
      break put_fd;
    }

    fd_install(fd, file);
    return fd;
  }
  put_unused_fd(fd);
  return r;
}

function kvm_dev_ioctl(_filp: file, ioctl: number, arg: bigint): number {
  switch (ioctl) {
    case KVM_GET_API_VERSION:
      return arg ? -EINVAL : KVM_API_VERSION;
    case KVM_CREATE_VM:
      return kvm_dev_ioctl_create_vm();
  }
  return -ENOTTY;
}

const kvm_chardev_ops: file_operations = { owner: THIS_MODULE, unlocked_ioctl: kvm_dev_ioctl, llseek: noop_llseek };

function* kvm_init(): Sleeps<number> {
  return yield* misc_register(s.kvm_dev);
}

function* kvm_exit(): Sleeps {
  yield* misc_deregister(s.kvm_dev);
}

module_init(kvm_init);
module_exit(kvm_exit);
