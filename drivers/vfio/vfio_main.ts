// SPDX-License-Identifier: GPL-2.0-only
/** The VFIO core: groups, devices and the files by which user space reaches them. */
import { anon_inode_getfile } from "#linux/anon_inodes.ts";
import { WARN_ON, WARN_ON_ONCE } from "#linux/bug.ts";
import { READ_ONCE } from "#linux/compiler.ts";
import { capable, CAP_SYS_RAWIO } from "#linux/capability.ts";
import { cdev_device_add, cdev_device_del, cdev_init } from "#linux/cdev.ts";
import { compat_ptr_ioctl } from "#linux/compat.ts";
import {
  complete,
  init_completion,
  try_wait_for_completion,
  wait_for_completion_interruptible_timeout,
  wait_for_completion_timeout,
} from "#linux/completion.ts";
import {
  type class_,
  class_create,
  class_destroy,
  dev_dbg,
  dev_info_ratelimited,
  dev_name,
  dev_set_name,
  dev_warn,
  dev_WARN,
  type device,
  device_add,
  device_del,
  device_initialize,
  put_device,
} from "#linux/device.ts";
import { E2BIG, EBADF, EBUSY, EFAULT, EINVAL, EIO, ENODEV, ENOMEM, ENOTTY, EOVERFLOW, EPERM } from "#linux/errno.ts";
import { ERR_CAST, ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { kbuild } from "#linux/export.ts";
import { O_CLOEXEC, O_RDWR } from "#linux/fcntl.ts";
import { fd_install, fdget, fdput, fput, get_unused_fd_flags, put_unused_fd } from "#linux/file.ts";
import {
  alloc_chrdev_region,
  type file,
  type file_operations,
  FMODE_PREAD,
  FMODE_PWRITE,
  type inode,
  type loff_ptr,
  unregister_chrdev_region,
} from "#linux/fs.ts";
import { ida, ida_alloc_max, ida_destroy, ida_free, ida_init } from "#linux/idr.ts";
import { interval_tree_insert, interval_tree_iter_first, interval_tree_node } from "#linux/interval_tree.ts";
import {
  device_iommu_capable,
  IOMMU_CAP_CACHE_COHERENCY,
  type iommu_group,
  iommu_group_add_device,
  iommu_group_alloc,
  iommu_group_dma_owner_claimed,
  iommu_group_get,
  iommu_group_id,
  iommu_group_put,
  iommu_group_ref_get,
  iommu_group_remove_device,
  iommu_group_set_name,
} from "#linux/iommu.ts";
import { type iova_bitmap, iova_bitmap_alloc, iova_bitmap_for_each, iova_bitmap_free } from "#linux/iova_bitmap.ts";
import { HZ } from "#linux/jiffies.ts";
import { MAJOR, MINOR, MINORMASK, MKDEV } from "#linux/kdev_t.ts";
import { add_taint, LOCKDEP_STILL_OK, TAINT_USER } from "#linux/kernel.ts";
import type { kvm } from "#linux/kvm_host.ts";
import {
  INIT_LIST_HEAD,
  list_add,
  list_add_tail,
  list_del,
  list_empty,
  list_for_each_entry,
  list_head,
} from "#linux/list.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import { PAGE_SIZE, type vm_area_struct } from "#linux/mm.ts";
import { module_put, try_module_get } from "#linux/module.ts";
import { mutex, mutex_destroy, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { BLOCKING_INIT_NOTIFIER_HEAD } from "#linux/notifier.ts";
import { pm_runtime_put, pm_runtime_resume_and_get } from "#linux/pm_runtime.ts";
import { pr_info } from "#linux/printk.ts";
import { rb_root_cached } from "#linux/rbtree.ts";
import {
  refcount_dec_and_mutex_lock,
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  refcount_read,
  refcount_set,
} from "#linux/refcount.ts";
import { current, either, task_pid_nr } from "#linux/sched.ts";
import { GFP_KERNEL, kasprintf, kfree, kmalloc_array, krealloc, kvfree, kvzalloc, kzalloc } from "#linux/slab.ts";
import { memcpy, memset } from "#linux/string.ts";
import {
  addr_of,
  type byte_memory,
  bytes_at,
  cast_to,
  container_of,
  type kbuf,
  type kobj_memory,
  offsetof,
  offsetofend,
  ready,
  type Sleeps,
  sizeof,
  type Spins,
} from "#linux/types.ts";
import { copy_from_user, copy_to_user, get_user, strndup_user } from "#linux/uaccess.ts";
import {
  type out,
  vfio_check_feature,
  vfio_device,
  type vfio_device_ops,
  vfio_device_set,
  type vfio_info_cap,
} from "#linux/vfio.ts";
import {
  __xa_cmpxchg,
  __xa_erase,
  DEFINE_XARRAY,
  xa_destroy,
  xa_err,
  xa_is_err,
  xa_load,
  xa_lock,
  xa_unlock,
} from "#linux/xarray.ts";
import {
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_MIGRATION,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  VFIO_DEVICE_STATE_ERROR,
  VFIO_DEVICE_STATE_RESUMING,
  VFIO_DEVICE_STATE_RUNNING,
  VFIO_DEVICE_STATE_RUNNING_P2P,
  VFIO_DEVICE_STATE_STOP,
  VFIO_DEVICE_STATE_STOP_COPY,
  VFIO_DMA_CC_IOMMU,
  VFIO_GROUP_FLAGS_CONTAINER_SET,
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_GROUP_UNSET_CONTAINER,
  VFIO_IRQ_SET_ACTION_TYPE_MASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_IRQ_SET_DATA_TYPE_MASK,
  VFIO_MIGRATION_P2P,
  VFIO_MIGRATION_STOP_COPY,
  vfio_device_feature,
  vfio_device_feature_dma_logging_control,
  vfio_device_feature_dma_logging_range,
  vfio_device_feature_dma_logging_report,
  vfio_device_feature_mig_state,
  vfio_device_feature_migration,
  type vfio_device_mig_state,
  vfio_group_status,
  vfio_info_cap_header,
  vfio_irq_set,
} from "#uapi/linux/vfio.ts";
import {
  vfio_container_attach_group,
  vfio_container_cleanup,
  vfio_container_from_file,
  vfio_container_init,
  vfio_container_ioctl_check_extension,
  vfio_device_assign_container,
  vfio_device_container_register,
  vfio_device_container_unregister,
  vfio_device_unassign_container,
  VFIO_EMULATED_IOMMU,
  vfio_group,
  vfio_group_detach_container,
  type vfio_group_type,
  VFIO_IOMMU,
  VFIO_NO_IOMMU,
  vfio_noiommu,
} from "./vfio.ts";

const {
  THIS_MODULE,
  per_boot,
  module_init,
  module_exit,
  EXPORT_SYMBOL,
  EXPORT_SYMBOL_GPL,
  MODULE_ALIAS,
  MODULE_LICENSE,
  MODULE_VERSION,
} = kbuild(import.meta.url);

const DRIVER_VERSION = "0.3";
const DRIVER_DESC = "VFIO - User Level meta-driver";

const vfio = per_boot(() => ({
  class: null as class_ | null,
  group_list: new list_head(),
  /** Guards group_list. */
  group_lock: new mutex(),
  group_ida: new ida(),
  group_devt: { value: 0 },
  device_class: null as class_ | null,
  device_ida: new ida(),
}));

const s = per_boot(() => ({ vfio_device_set_xa: DEFINE_XARRAY() }));

/**
 * Puts the device into the set that `set_id` names, making the set if it is the first.
 * @device: not registered yet; @set_id: any object, compared by its address
 * @return 0, -EINVAL without an id, -ENOMEM. Context: may sleep. Source: drivers/vfio/vfio_main.c
 */
export function* vfio_assign_device_set(device: vfio_device, set_id: kobj_memory | null): Sleeps<number> {
  if (WARN_ON(!set_id)) return -EINVAL;
  const idx = addr_of(set_id!);
  let dev_set: vfio_device_set | null;

  found_get_ref: {
    yield* xa_lock(s.vfio_device_set_xa);
    dev_set = xa_load(s.vfio_device_set_xa, idx);
    if (dev_set) break found_get_ref;
    xa_unlock(s.vfio_device_set_xa);

    const new_dev_set = kzalloc(vfio_device_set, GFP_KERNEL);
    if (!new_dev_set) return -ENOMEM;
    mutex_init(new_dev_set.lock);
    INIT_LIST_HEAD(new_dev_set.device_list);
    new_dev_set.set_id = set_id;

    yield* xa_lock(s.vfio_device_set_xa);
    dev_set = __xa_cmpxchg(s.vfio_device_set_xa, idx, null, new_dev_set, GFP_KERNEL);
    if (!dev_set) {
      dev_set = new_dev_set;
      break found_get_ref;
    }

    kfree(new_dev_set);
    if (xa_is_err(dev_set)) {
      xa_unlock(s.vfio_device_set_xa);
      return xa_err(dev_set);
    }
  }
  dev_set.device_count++;
  xa_unlock(s.vfio_device_set_xa);
  yield* mutex_lock(dev_set.lock);
  device.dev_set = dev_set;
  list_add_tail(device.dev_set_list, dev_set.device_list);
  mutex_unlock(dev_set.lock);
  return 0;
}
EXPORT_SYMBOL_GPL(vfio_assign_device_set);

function* vfio_release_device_set(device: vfio_device): Sleeps {
  const dev_set = device.dev_set;

  if (!dev_set) return;

  yield* mutex_lock(dev_set.lock);
  list_del(device.dev_set_list);
  mutex_unlock(dev_set.lock);

  yield* xa_lock(s.vfio_device_set_xa);
  if (!--dev_set.device_count) {
    __xa_erase(s.vfio_device_set_xa, addr_of(dev_set.set_id!));
    mutex_destroy(dev_set.lock);
    kfree(dev_set);
  }
  xa_unlock(s.vfio_device_set_xa);
}

/**
 * Sum of the open counts of a set. Context: dev_set->lock held. Source: drivers/vfio/vfio_main.c
 */
export function vfio_device_set_open_count(dev_set: vfio_device_set): number {
  let open_count = 0;

  lockdep_assert_held(dev_set.lock);

  for (const cur of list_for_each_entry(dev_set.device_list, vfio_device, "dev_set_list")) open_count += cur.open_count;
  return open_count;
}
EXPORT_SYMBOL_GPL(vfio_device_set_open_count);

// Groups

function __vfio_group_get_from_iommu(iommu_group: iommu_group): vfio_group | null {
  // A group on the list has its iommu_group for as long as vfio.group_lock is held.
  for (const group of list_for_each_entry(vfio.group_list, vfio_group, "vfio_next")) {
    if (group.iommu_group === iommu_group) {
      refcount_inc(group.drivers);
      return group;
    }
  }
  return null;
}

function* vfio_group_get_from_iommu(iommu_group: iommu_group): Sleeps<vfio_group | null> {
  yield* mutex_lock(vfio.group_lock);
  const group = __vfio_group_get_from_iommu(iommu_group);
  mutex_unlock(vfio.group_lock);
  return group;
}

function vfio_group_release(dev: device): void {
  const group = container_of(dev, vfio_group, "dev");

  mutex_destroy(group.device_lock);
  mutex_destroy(group.group_lock);
  WARN_ON(group.iommu_group !== null);
  ida_free(vfio.group_ida, MINOR(group.dev.devt));
  kfree(group);
}

function vfio_group_alloc(iommu_group: iommu_group, type: vfio_group_type): vfio_group {
  const group = kzalloc(vfio_group, GFP_KERNEL);
  if (!group) return ERR_PTR(-ENOMEM);

  const minor = ida_alloc_max(vfio.group_ida, MINORMASK, GFP_KERNEL);
  if (minor < 0) {
    kfree(group);
    return ERR_PTR(minor);
  }

  device_initialize(group.dev);
  group.dev.devt = MKDEV(MAJOR(vfio.group_devt.value), minor);
  group.dev.class = vfio.class;
  group.dev.release = vfio_group_release;
  cdev_init(group.cdev, vfio_group_fops);
  group.cdev.owner = THIS_MODULE;

  refcount_set(group.drivers, 1);
  mutex_init(group.group_lock);
  INIT_LIST_HEAD(group.device_list);
  mutex_init(group.device_lock);
  group.iommu_group = iommu_group;
  // vfio_device_remove_group() puts it
  iommu_group_ref_get(iommu_group);
  group.type = type;
  BLOCKING_INIT_NOTIFIER_HEAD(group.notifier);

  return group;
}

function* vfio_create_group(iommu_group: iommu_group, type: vfio_group_type): Sleeps<vfio_group> {
  const group = vfio_group_alloc(iommu_group, type);
  if (IS_ERR(group)) return group;

  let ret: vfio_group | null;
  err_put: {
    let err = dev_set_name(
      group.dev,
      "%s%d",
      group.type === VFIO_NO_IOMMU ? "noiommu-" : "",
      iommu_group_id(iommu_group),
    );
    if (err) {
      ret = ERR_PTR<vfio_group>(err);
      break err_put;
    }

    yield* mutex_lock(vfio.group_lock);

    err_unlock: {
      // Did somebody else make it in the meantime?
      ret = __vfio_group_get_from_iommu(iommu_group);
      if (ret) break err_unlock;

      err = yield* cdev_device_add(group.cdev, group.dev);
      if (err) {
        ret = ERR_PTR<vfio_group>(err);
        break err_unlock;
      }

      list_add(group.vfio_next, vfio.group_list);

      mutex_unlock(vfio.group_lock);
      return group;
    }
    mutex_unlock(vfio.group_lock);
  }
  yield* put_device(group.dev);
  return ret;
}

function* vfio_device_remove_group(device: vfio_device): Sleeps {
  const group = device.group!;

  if (group.type === VFIO_NO_IOMMU || group.type === VFIO_EMULATED_IOMMU) yield* iommu_group_remove_device(device.dev!);

  // Pairs with vfio_create_group() and vfio_group_get_from_iommu()
  if (!(yield* refcount_dec_and_mutex_lock(group.drivers, vfio.group_lock))) return;
  list_del(group.vfio_next);

  // Under the lock: another driver that probes in the group now may want to add the same name.
  yield* cdev_device_del(group.cdev, group.dev);

  yield* mutex_lock(group.group_lock);
  // What these would find can only be undone with a reference of the device, and there is none left.
  WARN_ON(!list_empty(group.device_list));
  WARN_ON(group.notifier.head !== null);

  // From here on nobody can use the IOMMU group through this one.
  if (group.container) yield* vfio_group_detach_container(group);
  const iommu_group = group.iommu_group;
  group.iommu_group = null;
  mutex_unlock(group.group_lock);
  mutex_unlock(vfio.group_lock);

  yield* iommu_group_put(iommu_group);
  yield* put_device(group.dev);
}

// Devices. A reference of one implies a reference of its group.

function vfio_device_put_registration(device: vfio_device): void {
  if (refcount_dec_and_test(device.refcount)) complete(device.comp);
}

function vfio_device_try_get_registration(device: vfio_device): boolean {
  return refcount_inc_not_zero(device.refcount);
}

function* vfio_group_get_device(group: vfio_group, dev: device | null): Sleeps<vfio_device | null> {
  yield* mutex_lock(group.device_lock);
  for (const device of list_for_each_entry(group.device_list, vfio_device, "group_next")) {
    if (device.dev === dev && vfio_device_try_get_registration(device)) {
      mutex_unlock(group.device_lock);
      return device;
    }
  }
  mutex_unlock(group.device_lock);
  return null;
}

// What drivers call

/** The last reference is gone: vfio_put_device() leads here. */
function* vfio_device_release(dev: device): Sleeps {
  const device = container_of(dev, vfio_device, "device");

  yield* vfio_release_device_set(device);
  ida_free(vfio.device_ida, device.index);

  // Not freed here: in vfio-ccw the memory outlives the device. So every driver has to have a release() that does it.
  yield* either(device.ops!.release!(device));
}

/**
 * Allocates a driver's struct, zeroed, and initialises the vfio_device at its beginning. Drivers call vfio_alloc_device().
 * @of: class of the struct, in place of its size; @dev: the parent; @ops: the driver's callbacks
 * @return the vfio_device or ERR_PTR. Context: may sleep. Drop it with vfio_put_device(). Source: drivers/vfio/vfio_main.c
 */
export function* _vfio_alloc_device<T extends kobj_memory>(
  of: new () => T,
  dev: device | null,
  ops: vfio_device_ops,
): Sleeps<vfio_device> {
  if (WARN_ON(sizeof(of) < sizeof(vfio_device))) return ERR_PTR(-EINVAL);

  const memory = kvzalloc(of, GFP_KERNEL);
  if (!memory) return ERR_PTR(-ENOMEM);
  const device = vfio_device_at(memory);

  const ret = yield* vfio_init_device(device, dev, ops);
  out_free: {
    if (ret) break out_free;
    return device;
  }
  kvfree(device);
  return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(_vfio_alloc_device);
/** The address of a struct taken as that of the vfio_device it begins with. */
function vfio_device_at(memory: kobj_memory): vfio_device {
  for (const member of Object.values(memory))
    if (member instanceof vfio_device && addr_of(member) === addr_of(memory)) return member;
  throw new TypeError("no vfio_device at the beginning of the struct");
}

/**
 * Prepares a vfio_device for being registered. Only vfio-ccw may call it from outside: others use vfio_alloc_device().
 * @device: zeroed; @dev: the parent; @ops: the driver's callbacks, of which init() runs here
 * @return 0 or errno, the memory stays the caller's then. Context: may sleep. Source: drivers/vfio/vfio_main.c
 */
export function* vfio_init_device(device: vfio_device, dev: device | null, ops: vfio_device_ops): Sleeps<number> {
  let ret = ida_alloc_max(vfio.device_ida, MINORMASK, GFP_KERNEL);
  if (ret < 0) {
    dev_dbg(dev, "Error to alloc index\n");
    return ret;
  }

  device.index = ret;
  init_completion(device.comp);
  device.dev = dev;
  device.ops = ops;

  out_uninit: {
    if (ops.init) {
      ret = yield* either(ops.init(device));
      if (ret) break out_uninit;
    }

    device_initialize(device.device);
    device.device.release = vfio_device_release;
    device.device.class = vfio.device_class;
    device.device.parent = device.dev;
    return 0;
  }
  yield* vfio_release_device_set(device);
  ida_free(vfio.device_ida, device.index);
  return ret;
}
EXPORT_SYMBOL_GPL(vfio_init_device);

/**
 * Frees the memory of a device: the last thing in a driver's release(), or the whole of it.
 * Source: drivers/vfio/vfio_main.c
 */
export function vfio_free_device(device: vfio_device): void {
  kvfree(device);
}
EXPORT_SYMBOL_GPL(vfio_free_device);

function* vfio_noiommu_group_alloc(dev: device, type: vfio_group_type): Sleeps<vfio_group> {
  const iommu_group = yield* iommu_group_alloc();
  if (IS_ERR(iommu_group)) return ERR_CAST(iommu_group);

  let ret;
  out_put_group: {
    ret = yield* iommu_group_set_name(iommu_group, "vfio-noiommu");
    if (ret) break out_put_group;
    ret = yield* iommu_group_add_device(iommu_group, dev);
    if (ret) break out_put_group;

    out_remove_device: {
      const group = yield* vfio_create_group(iommu_group, type);
      if (IS_ERR(group)) {
        ret = PTR_ERR(group);
        break out_remove_device;
      }
      yield* iommu_group_put(iommu_group);
      return group;
    }
    yield* iommu_group_remove_device(dev);
  }
  yield* iommu_group_put(iommu_group);
  return ERR_PTR(ret);
}

function* vfio_group_find_or_alloc(dev: device): Sleeps<vfio_group> {
  const iommu_group = iommu_group_get(dev);
  if (!iommu_group && vfio_noiommu) {
    // No group means no IOMMU: the user gets a device that can write anywhere, and the kernel says so.
    const group = yield* vfio_noiommu_group_alloc(dev, VFIO_NO_IOMMU);
    if (!IS_ERR(group)) {
      add_taint(TAINT_USER, LOCKDEP_STILL_OK);
      dev_warn(dev, "Adding kernel taint for vfio-noiommu group on device\n");
    }
    return group;
  }

  if (!iommu_group) return ERR_PTR(-EINVAL);

  // User space has no way to make DMA coherent again, so it has to be from the start.
  if (!device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY)) {
    yield* iommu_group_put(iommu_group);
    return ERR_PTR(-EINVAL);
  }

  let group = yield* vfio_group_get_from_iommu(iommu_group);
  if (!group) group = yield* vfio_create_group(iommu_group, VFIO_IOMMU);

  // The vfio_group holds a reference of its own
  yield* iommu_group_put(iommu_group);
  return group;
}

function* __vfio_register_dev(device: vfio_device, group: vfio_group): Sleeps<number> {
  // Whoever made or found the group counted us in group->drivers.
  if (IS_ERR(group)) return PTR_ERR(group);

  // Without a set of the driver's choice the device is alone in one.
  if (!device.dev_set) yield* vfio_assign_device_set(device, device);

  let ret;
  err_out: {
    const existing_device = yield* vfio_group_get_device(group, device.dev);
    if (existing_device) {
      // The group has its iommu_group as long as we are counted in group->drivers.
      dev_WARN(device.dev!, "Device already exists on group %d\n", iommu_group_id(group.iommu_group!));
      vfio_device_put_registration(existing_device);
      ret = -EBUSY;
      break err_out;
    }

    // Our reference of the group is now the device's
    device.group = group;

    ret = dev_set_name(device.device, "vfio%d", device.index);
    if (ret) break err_out;

    ret = yield* device_add(device.device);
    if (ret) break err_out;

    // Nobody may count before the driver has called register
    refcount_set(device.refcount, 1);

    yield* mutex_lock(group.device_lock);
    list_add(device.group_next, group.device_list);
    mutex_unlock(group.device_lock);

    return 0;
  }
  yield* vfio_device_remove_group(device);
  return ret;
}

/**
 * Makes a device behind an IOMMU available to user space.
 * @return 0 or errno. Context: may sleep. Source: drivers/vfio/vfio_main.c
 */
export function* vfio_register_group_dev(device: vfio_device): Sleeps<number> {
  return yield* __vfio_register_dev(device, yield* vfio_group_find_or_alloc(device.dev!));
}
EXPORT_SYMBOL_GPL(vfio_register_group_dev);

/**
 * Makes a virtual device available to user space, which must have no way to make it do DMA that nobody checks.
 * @return 0 or errno. Context: may sleep. Source: drivers/vfio/vfio_main.c
 */
export function* vfio_register_emulated_iommu_dev(device: vfio_device): Sleeps<number> {
  return yield* __vfio_register_dev(device, yield* vfio_noiommu_group_alloc(device.dev!, VFIO_EMULATED_IOMMU));
}
EXPORT_SYMBOL_GPL(vfio_register_emulated_iommu_dev);

function* vfio_device_get_from_name(group: vfio_group, buf: string): Sleeps<vfio_device> {
  let device: vfio_device = ERR_PTR(-ENODEV);

  yield* mutex_lock(group.device_lock);
  for (const it of list_for_each_entry(group.device_list, vfio_device, "group_next")) {
    let ret;

    if (it.ops!.match) {
      ret = yield* either(it.ops!.match(it, buf));
      if (ret < 0) {
        device = ERR_PTR(ret);
        break;
      }
    } else {
      ret = Number(dev_name(it.dev!) === buf);
    }

    if (ret && vfio_device_try_get_registration(it)) {
      device = it;
      break;
    }
  }
  mutex_unlock(group.device_lock);

  return device;
}

/**
 * Takes the device away from user space: waits, asking the driver every ten seconds to ask for it, until nobody has it open.
 * Context: may sleep, for as long as user space likes. Source: drivers/vfio/vfio_main.c
 */
export function* vfio_unregister_group_dev(device: vfio_device): Sleeps {
  const group = device.group!;
  let i = 0;
  let interrupted = false;

  vfio_device_put_registration(device);
  let rc = Number(try_wait_for_completion(device.comp));
  while (rc <= 0) {
    if (device.ops!.request) yield* either(device.ops!.request(device, i++));

    if (interrupted) {
      rc = yield* wait_for_completion_timeout(device.comp, HZ * 10);
    } else {
      rc = yield* wait_for_completion_interruptible_timeout(device.comp, HZ * 10);
      if (rc < 0) {
        interrupted = true;
        dev_warn(
          device.dev,
          'Device is currently in use, task "%s" (%d) blocked until device is released',
          current().comm,
          task_pid_nr(current()),
        );
      }
    }
  }

  yield* mutex_lock(group.device_lock);
  list_del(device.group_next);
  mutex_unlock(group.device_lock);

  // Balances device_add() of the registration
  yield* device_del(device.device);

  yield* vfio_device_remove_group(device);
}
EXPORT_SYMBOL_GPL(vfio_unregister_group_dev);

// The group's file, /dev/vfio/$GROUP

/** Fails while devices are open. The file is open, so the only way it can go is from one user to none. */
function* vfio_group_ioctl_unset_container(group: vfio_group): Sleeps<number> {
  let ret = 0;

  yield* mutex_lock(group.group_lock);
  out_unlock: {
    if (!group.container) {
      ret = -EINVAL;
      break out_unlock;
    }
    if (group.container_users !== 1) {
      ret = -EBUSY;
      break out_unlock;
    }
    yield* vfio_group_detach_container(group);
  }
  mutex_unlock(group.group_lock);
  return ret;
}

function* vfio_group_ioctl_set_container(group: vfio_group, arg: bigint): Sleeps<number> {
  const fd = { value: 0 };
  if (yield* get_user(fd, arg)) return -EFAULT;

  const f = fdget(fd.value);
  if (!f.file) return -EBADF;

  let ret;
  yield* mutex_lock(group.group_lock);
  out_unlock: {
    if (group.container || WARN_ON(group.container_users !== 0)) {
      ret = -EINVAL;
      break out_unlock;
    }
    if (!group.iommu_group) {
      ret = -ENODEV;
      break out_unlock;
    }

    const container = vfio_container_from_file(f.file);
    ret = -EINVAL;
    if (container) {
      ret = yield* vfio_container_attach_group(container, group);
      break out_unlock;
    }
  }
  mutex_unlock(group.group_lock);
  fdput(f);
  return ret;
}

/** Whether the device is between open_device() and close_device(); warns, once, if it is not. Any context. */
export function vfio_assert_device_open(device: vfio_device): boolean {
  return !WARN_ON_ONCE(!READ_ONCE(device, "open_count"));
}

function* vfio_device_open(device: vfio_device): Sleeps<file> {
  let ret;

  err_unassign_container: {
    err_undo_count: {
      err_close_device: {
        yield* mutex_lock(device.group!.group_lock);
        ret = vfio_device_assign_container(device);
        mutex_unlock(device.group!.group_lock);
        if (ret) return ERR_PTR(ret);

        if (!try_module_get(device.dev!.driver!.owner)) {
          ret = -ENODEV;
          break err_unassign_container;
        }

        yield* mutex_lock(device.dev_set!.lock);
        device.open_count++;
        if (device.open_count === 1) {
          // The driver may use kvm if it takes a reference in open_device() and drops it in close_device().
          yield* mutex_lock(device.group!.group_lock);
          device.kvm = device.group!.kvm;

          if (device.ops!.open_device) {
            ret = yield* either(device.ops!.open_device(device));
            if (ret) break err_undo_count;
          }
          yield* vfio_device_container_register(device);
          mutex_unlock(device.group!.group_lock);
        }
        mutex_unlock(device.dev_set!.lock);

        // Not anon_inode_getfd(): f_mode has to be changed before anybody can use the fd
        const filep = anon_inode_getfile("[vfio-device]", vfio_device_fops, device, O_RDWR);
        if (IS_ERR(filep)) {
          ret = PTR_ERR(filep);
          break err_close_device;
        }

        filep.f_mode |= FMODE_PREAD | FMODE_PWRITE;

        if (device.group!.type === VFIO_NO_IOMMU)
          dev_warn(device.dev, "vfio-noiommu device opened by user (%s:%d)\n", current().comm, task_pid_nr(current()));
        // The reference of the device is now the file's; vfio_device_fops_release() puts it
        return filep;
      }
      yield* mutex_lock(device.dev_set!.lock);
      yield* mutex_lock(device.group!.group_lock);
      if (device.open_count === 1) {
        if (device.ops!.close_device) yield* either(device.ops!.close_device(device));

        yield* vfio_device_container_unregister(device);
      }
    }
    mutex_unlock(device.group!.group_lock);
    device.open_count--;
    if (device.open_count === 0 && device.kvm) device.kvm = null;
    mutex_unlock(device.dev_set!.lock);
    module_put(device.dev!.driver!.owner);
  }
  yield* vfio_device_unassign_container(device);
  return ERR_PTR(ret);
}

function* vfio_group_ioctl_get_device_fd(group: vfio_group, arg: bigint): Sleeps<number> {
  const buf = yield* strndup_user(arg, PAGE_SIZE);
  if (IS_ERR(buf)) return PTR_ERR(buf);

  const device = yield* vfio_device_get_from_name(group, buf);
  kfree(buf);
  if (IS_ERR(device)) return PTR_ERR(device);

  let ret;
  err_put_device: {
    const fdno = get_unused_fd_flags(O_CLOEXEC);
    if (fdno < 0) {
      ret = fdno;
      break err_put_device;
    }

    err_put_fdno: {
      const filep = yield* vfio_device_open(device);
      if (IS_ERR(filep)) {
        ret = PTR_ERR(filep);
        break err_put_fdno;
      }

      fd_install(fdno, filep);
      return fdno;
    }
    put_unused_fd(fdno);
  }
  vfio_device_put_registration(device);
  return ret;
}

function* vfio_group_ioctl_get_status(group: vfio_group, arg: bigint): Sleeps<number> {
  const minsz = offsetofend(vfio_group_status, "flags");
  const status = new vfio_group_status();

  if (yield* copy_from_user(status, arg, minsz)) return -EFAULT;

  if (status.argsz < minsz) return -EINVAL;

  status.flags = 0;

  yield* mutex_lock(group.group_lock);
  if (!group.iommu_group) {
    mutex_unlock(group.group_lock);
    return -ENODEV;
  }

  if (group.container) status.flags |= VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
  else if (!(yield* iommu_group_dma_owner_claimed(group.iommu_group))) status.flags |= VFIO_GROUP_FLAGS_VIABLE;
  mutex_unlock(group.group_lock);

  if (yield* copy_to_user(arg, status, minsz)) return -EFAULT;
  return 0;
}

function* vfio_group_fops_unl_ioctl(filep: file, cmd: number, arg: bigint): Sleeps<number> {
  const group = filep.private_data as vfio_group;

  switch (cmd) {
    case VFIO_GROUP_GET_DEVICE_FD:
      return yield* vfio_group_ioctl_get_device_fd(group, arg);
    case VFIO_GROUP_GET_STATUS:
      return yield* vfio_group_ioctl_get_status(group, arg);
    case VFIO_GROUP_SET_CONTAINER:
      return yield* vfio_group_ioctl_set_container(group, arg);
    case VFIO_GROUP_UNSET_CONTAINER:
      return yield* vfio_group_ioctl_unset_container(group);
    default:
      return -ENOTTY;
  }
}

function* vfio_group_fops_open(inode: inode, filep: file): Sleeps<number> {
  const group = container_of(inode.i_cdev, vfio_group, "cdev");
  let ret;

  yield* mutex_lock(group.group_lock);
  out_unlock: {
    // Zero if vfio_device_remove_group() runs: then the driver is gone, and the file with it.
    if (refcount_read(group.drivers) === 0) {
      ret = -ENODEV;
      break out_unlock;
    }

    if (group.type === VFIO_NO_IOMMU && !capable(CAP_SYS_RAWIO)) {
      ret = -EPERM;
      break out_unlock;
    }

    // One file at a time
    if (group.opened_file) {
      ret = -EBUSY;
      break out_unlock;
    }
    group.opened_file = filep;
    filep.private_data = group;
    ret = 0;
  }
  mutex_unlock(group.group_lock);
  return ret;
}

function* vfio_group_fops_release(_inode: inode, filep: file): Sleeps<number> {
  const group = filep.private_data as vfio_group;

  filep.private_data = null;

  yield* mutex_lock(group.group_lock);
  // Device files hold this one open, so nothing that uses the group can be left.
  WARN_ON(group.notifier.head !== null);
  if (group.container) yield* vfio_group_detach_container(group);
  group.opened_file = null;
  mutex_unlock(group.group_lock);
  return 0;
}

const vfio_group_fops: file_operations = {
  owner: THIS_MODULE,
  unlocked_ioctl: vfio_group_fops_unl_ioctl,
  compat_ioctl: compat_ptr_ioctl,
  open: vfio_group_fops_open,
  release: vfio_group_fops_release,
};

/** Wakes the device up, if its driver has power management. @return 0 or -EIO */
function* vfio_device_pm_runtime_get(device: vfio_device): Sleeps<number> {
  const dev = device.dev!;

  if (dev.driver && dev.driver.pm) {
    const ret = yield* pm_runtime_resume_and_get(dev);
    if (ret) {
      dev_info_ratelimited(dev, "vfio: runtime resume failed %d\n", ret);
      return -EIO;
    }
  }

  return 0;
}

function* vfio_device_pm_runtime_put(device: vfio_device): Spins {
  const dev = device.dev!;

  if (dev.driver && dev.driver.pm) yield* pm_runtime_put(dev);
}

// The device's file

function* vfio_device_fops_release(_inode: inode, filep: file): Sleeps<number> {
  const device = filep.private_data as vfio_device;

  yield* mutex_lock(device.dev_set!.lock);
  vfio_assert_device_open(device);
  yield* mutex_lock(device.group!.group_lock);
  if (device.open_count === 1) {
    if (device.ops!.close_device) yield* either(device.ops!.close_device(device));

    yield* vfio_device_container_unregister(device);
  }
  mutex_unlock(device.group!.group_lock);
  device.open_count--;
  if (device.open_count === 0) device.kvm = null;
  mutex_unlock(device.dev_set!.lock);

  module_put(device.dev!.driver!.owner);

  yield* vfio_device_unassign_container(device);

  vfio_device_put_registration(device);

  return 0;
}

/** [from][to]: the next state on the way; ERROR where there is none. */
const vfio_from_fsm_table: Readonly<Record<number, Readonly<Record<number, vfio_device_mig_state>>>> = {
  [VFIO_DEVICE_STATE_STOP]: {
    [VFIO_DEVICE_STATE_STOP]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_RUNNING]: VFIO_DEVICE_STATE_RUNNING_P2P,
    [VFIO_DEVICE_STATE_STOP_COPY]: VFIO_DEVICE_STATE_STOP_COPY,
    [VFIO_DEVICE_STATE_RESUMING]: VFIO_DEVICE_STATE_RESUMING,
    [VFIO_DEVICE_STATE_RUNNING_P2P]: VFIO_DEVICE_STATE_RUNNING_P2P,
    [VFIO_DEVICE_STATE_ERROR]: VFIO_DEVICE_STATE_ERROR,
  },
  [VFIO_DEVICE_STATE_RUNNING]: {
    [VFIO_DEVICE_STATE_STOP]: VFIO_DEVICE_STATE_RUNNING_P2P,
    [VFIO_DEVICE_STATE_RUNNING]: VFIO_DEVICE_STATE_RUNNING,
    [VFIO_DEVICE_STATE_STOP_COPY]: VFIO_DEVICE_STATE_RUNNING_P2P,
    [VFIO_DEVICE_STATE_RESUMING]: VFIO_DEVICE_STATE_RUNNING_P2P,
    [VFIO_DEVICE_STATE_RUNNING_P2P]: VFIO_DEVICE_STATE_RUNNING_P2P,
    [VFIO_DEVICE_STATE_ERROR]: VFIO_DEVICE_STATE_ERROR,
  },
  [VFIO_DEVICE_STATE_STOP_COPY]: {
    [VFIO_DEVICE_STATE_STOP]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_RUNNING]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_STOP_COPY]: VFIO_DEVICE_STATE_STOP_COPY,
    [VFIO_DEVICE_STATE_RESUMING]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_RUNNING_P2P]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_ERROR]: VFIO_DEVICE_STATE_ERROR,
  },
  [VFIO_DEVICE_STATE_RESUMING]: {
    [VFIO_DEVICE_STATE_STOP]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_RUNNING]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_STOP_COPY]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_RESUMING]: VFIO_DEVICE_STATE_RESUMING,
    [VFIO_DEVICE_STATE_RUNNING_P2P]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_ERROR]: VFIO_DEVICE_STATE_ERROR,
  },
  [VFIO_DEVICE_STATE_RUNNING_P2P]: {
    [VFIO_DEVICE_STATE_STOP]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_RUNNING]: VFIO_DEVICE_STATE_RUNNING,
    [VFIO_DEVICE_STATE_STOP_COPY]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_RESUMING]: VFIO_DEVICE_STATE_STOP,
    [VFIO_DEVICE_STATE_RUNNING_P2P]: VFIO_DEVICE_STATE_RUNNING_P2P,
    [VFIO_DEVICE_STATE_ERROR]: VFIO_DEVICE_STATE_ERROR,
  },
  [VFIO_DEVICE_STATE_ERROR]: {
    [VFIO_DEVICE_STATE_STOP]: VFIO_DEVICE_STATE_ERROR,
    [VFIO_DEVICE_STATE_RUNNING]: VFIO_DEVICE_STATE_ERROR,
    [VFIO_DEVICE_STATE_STOP_COPY]: VFIO_DEVICE_STATE_ERROR,
    [VFIO_DEVICE_STATE_RESUMING]: VFIO_DEVICE_STATE_ERROR,
    [VFIO_DEVICE_STATE_RUNNING_P2P]: VFIO_DEVICE_STATE_ERROR,
    [VFIO_DEVICE_STATE_ERROR]: VFIO_DEVICE_STATE_ERROR,
  },
};
/** What a device has to be capable of to have the state. */
const state_flags_table: Readonly<Record<number, number>> = {
  [VFIO_DEVICE_STATE_STOP]: VFIO_MIGRATION_STOP_COPY,
  [VFIO_DEVICE_STATE_RUNNING]: VFIO_MIGRATION_STOP_COPY,
  [VFIO_DEVICE_STATE_STOP_COPY]: VFIO_MIGRATION_STOP_COPY,
  [VFIO_DEVICE_STATE_RESUMING]: VFIO_MIGRATION_STOP_COPY,
  [VFIO_DEVICE_STATE_RUNNING_P2P]: VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P,
  [VFIO_DEVICE_STATE_ERROR]: 0xffffffff,
};
const VFIO_DEVICE_NUM_STATES = VFIO_DEVICE_STATE_RUNNING_P2P + 1;

function lacks_state(device: vfio_device, state: vfio_device_mig_state): boolean {
  return (state_flags_table[state]! & device.migration_flags) >>> 0 !== state_flags_table[state];
}

/**
 * The next state on the way from one migration state to another, with those left out that the device does not have.
 * @cur_fsm: where the device is; @new_fsm: what user space wants; @next_fsm: set to the state to go to now
 * @return 0, or -EINVAL if there is no way. Any context. Source: drivers/vfio/vfio_main.c
 */
export function vfio_mig_get_next_state(
  device: vfio_device,
  cur_fsm: vfio_device_mig_state,
  new_fsm: vfio_device_mig_state,
  next_fsm: out<vfio_device_mig_state>,
): number {
  if (WARN_ON(cur_fsm >= VFIO_DEVICE_NUM_STATES || lacks_state(device, cur_fsm))) return -EINVAL;

  if (new_fsm >= VFIO_DEVICE_NUM_STATES || lacks_state(device, new_fsm)) return -EINVAL;

  // Every way is followed until it comes to a state that the device has.
  next_fsm.value = vfio_from_fsm_table[cur_fsm]![new_fsm]!;
  while (lacks_state(device, next_fsm.value)) next_fsm.value = vfio_from_fsm_table[next_fsm.value]![new_fsm]!;

  return next_fsm.value !== VFIO_DEVICE_STATE_ERROR ? 0 : -EINVAL;
}
EXPORT_SYMBOL_GPL(vfio_mig_get_next_state);

/** Gives the file of a data transfer to the user. */
function* vfio_ioct_mig_return_fd(filp: file, arg: bigint, mig: vfio_device_feature_mig_state): Sleeps<number> {
  let ret;

  out_fput: {
    const fd = get_unused_fd_flags(O_CLOEXEC);
    if (fd < 0) {
      ret = fd;
      break out_fput;
    }

    mig.data_fd = fd;
    out_put_unused: {
      if (yield* copy_to_user(arg, mig, sizeof(mig))) {
        ret = -EFAULT;
        break out_put_unused;
      }
      fd_install(fd, filp);
      return 0;
    }
    put_unused_fd(fd);
  }
  fput(filp);
  return ret;
}

function* vfio_ioctl_device_feature_mig_device_state(
  device: vfio_device,
  flags: number,
  arg: bigint,
  argsz: number,
): Sleeps<number> {
  const minsz = offsetofend(vfio_device_feature_mig_state, "data_fd");
  const mig = new vfio_device_feature_mig_state();
  let filp: file | null = null;

  if (!device.mig_ops) return -ENOTTY;

  let ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_GET, sizeof(mig));
  if (ret !== 1) return ret;

  if (yield* copy_from_user(mig, arg, minsz)) return -EFAULT;

  out_copy: {
    if (flags & VFIO_DEVICE_FEATURE_GET) {
      const curr_state = { value: VFIO_DEVICE_STATE_ERROR };

      ret = yield* either(device.mig_ops.migration_get_state!(device, curr_state));
      if (ret) return ret;
      mig.device_state = curr_state.value;
      break out_copy;
    }

    // VFIO_DEVICE_FEATURE_SET
    filp = yield* device.mig_ops.migration_set_state!(device, mig.device_state);
    if (IS_ERR(filp) || !filp) break out_copy;

    return yield* vfio_ioct_mig_return_fd(filp, arg, mig);
  }
  mig.data_fd = -1;
  if (yield* copy_to_user(arg, mig, sizeof(mig))) return -EFAULT;
  if (IS_ERR(filp)) return PTR_ERR(filp);
  return 0;
}

function* vfio_ioctl_device_feature_migration(
  device: vfio_device,
  flags: number,
  arg: bigint,
  argsz: number,
): Sleeps<number> {
  const mig = new vfio_device_feature_migration();
  mig.flags = BigInt(device.migration_flags);

  if (!device.mig_ops) return -ENOTTY;

  const ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, sizeof(mig));
  if (ret !== 1) return ret;
  if (yield* copy_to_user(arg, mig, sizeof(mig))) return -EFAULT;
  return 0;
}

/** As many ranges as fit in a page. */
const LOG_MAX_RANGES = (): number => PAGE_SIZE / sizeof(vfio_device_feature_dma_logging_range);

const U64 = (v: bigint): bigint => BigInt.asUintN(64, v);
const IS_ALIGNED = (x: bigint, a: bigint): boolean => (x & U64(a - 1n)) === 0n;

function* vfio_ioctl_device_feature_logging_start(
  device: vfio_device,
  flags: number,
  arg: bigint,
  argsz: number,
): Sleeps<number> {
  const minsz = offsetofend(vfio_device_feature_dma_logging_control, "ranges");
  const control = new vfio_device_feature_dma_logging_control();
  const range = new vfio_device_feature_dma_logging_range();
  const root = new rb_root_cached();

  if (!device.log_ops) return -ENOTTY;

  let ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(control));
  if (ret !== 1) return ret;

  if (yield* copy_from_user(control, arg, minsz)) return -EFAULT;

  const nnodes = control.num_ranges;
  if (!nnodes) return -EINVAL;

  if (nnodes > LOG_MAX_RANGES()) return -E2BIG;

  const ranges = control.ranges;
  const nodes = kmalloc_array(nnodes, interval_tree_node, GFP_KERNEL);
  if (!nodes) return -ENOMEM;

  end: {
    for (let i = 0; i < nnodes; i++) {
      if (yield* copy_from_user(range, ranges + BigInt(i * sizeof(range)), sizeof(range))) {
        ret = -EFAULT;
        break end;
      }
      if (!IS_ALIGNED(range.iova, control.page_size) || !IS_ALIGNED(range.length, control.page_size)) {
        ret = -EINVAL;
        break end;
      }

      // iova_end > ULONG_MAX besides, where long is shorter than u64
      if (range.iova + range.length !== U64(range.iova + range.length)) {
        ret = -EOVERFLOW;
        break end;
      }

      const node = nodes.at(i);
      node.start = range.iova;
      node.last = range.iova + range.length - 1n;
      if (interval_tree_iter_first(root, node.start, node.last)) {
        // Ranges overlap
        ret = -EINVAL;
        break end;
      }
      interval_tree_insert(node, root);
    }

    const page_size = { value: control.page_size };
    ret = yield* either(device.log_ops.log_start!(device, root, nnodes, page_size));
    control.page_size = page_size.value;
    if (ret) break end;

    if (yield* copy_to_user(arg, control, sizeof(control))) {
      ret = -EFAULT;
      yield* either(device.log_ops.log_stop!(device));
    }
  }
  kfree(nodes);
  return ret;
}

function* vfio_ioctl_device_feature_logging_stop(
  device: vfio_device,
  flags: number,
  _arg: bigint,
  argsz: number,
): Sleeps<number> {
  if (!device.log_ops) return -ENOTTY;

  const ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);
  if (ret !== 1) return ret;

  return yield* either(device.log_ops.log_stop!(device));
}

function vfio_device_log_read_and_clear(
  iter: iova_bitmap,
  iova: bigint,
  length: bigint,
  opaque: object | null,
): Sleeps<number> {
  const device = opaque as vfio_device;

  return either(device.log_ops!.log_read_and_clear!(device, iova, length, iter));
}

function* vfio_ioctl_device_feature_logging_report(
  device: vfio_device,
  flags: number,
  arg: bigint,
  argsz: number,
): Sleeps<number> {
  const minsz = offsetofend(vfio_device_feature_dma_logging_report, "bitmap");
  const report = new vfio_device_feature_dma_logging_report();

  if (!device.log_ops) return -ENOTTY;

  let ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET, sizeof(report));
  if (ret !== 1) return ret;

  if (yield* copy_from_user(report, arg, minsz)) return -EFAULT;

  if (report.page_size < SZ_4K || (report.page_size & (report.page_size - 1n)) !== 0n) return -EINVAL;

  if (report.iova + report.length !== U64(report.iova + report.length)) return -EOVERFLOW;

  const iter = yield* iova_bitmap_alloc(report.iova, report.length, report.page_size, report.bitmap);
  if (IS_ERR(iter)) return PTR_ERR(iter);

  ret = yield* iova_bitmap_for_each(iter, device, vfio_device_log_read_and_clear);

  iova_bitmap_free(iter);
  return ret;
}
const SZ_4K = 0x1000n;

function* vfio_ioctl_device_feature(device: vfio_device, arg: bigint): Sleeps<number> {
  const minsz = offsetofend(vfio_device_feature, "flags");
  const feature = new vfio_device_feature();

  if (yield* copy_from_user(feature, arg, minsz)) return -EFAULT;

  if (feature.argsz < minsz) return -EINVAL;

  if (
    feature.flags &
    ~(VFIO_DEVICE_FEATURE_MASK | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_PROBE)
  )
    return -EINVAL;

  // A probe may ask for both
  if (
    !(feature.flags & VFIO_DEVICE_FEATURE_PROBE) &&
    feature.flags & VFIO_DEVICE_FEATURE_SET &&
    feature.flags & VFIO_DEVICE_FEATURE_GET
  )
    return -EINVAL;

  const data = arg + BigInt(offsetof(vfio_device_feature, "data"));
  const argsz = feature.argsz - minsz;
  switch (feature.flags & VFIO_DEVICE_FEATURE_MASK) {
    case VFIO_DEVICE_FEATURE_MIGRATION:
      return yield* vfio_ioctl_device_feature_migration(device, feature.flags, data, argsz);
    case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
      return yield* vfio_ioctl_device_feature_mig_device_state(device, feature.flags, data, argsz);
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
      return yield* vfio_ioctl_device_feature_logging_start(device, feature.flags, data, argsz);
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
      return yield* vfio_ioctl_device_feature_logging_stop(device, feature.flags, data, argsz);
    case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
      return yield* vfio_ioctl_device_feature_logging_report(device, feature.flags, data, argsz);
    default:
      if (!device.ops!.device_feature) return -ENOTTY;
      return yield* either(device.ops!.device_feature(device, feature.flags, data, argsz));
  }
}

function* vfio_device_fops_unl_ioctl(filep: file, cmd: number, arg: bigint): Sleeps<number> {
  const device = filep.private_data as vfio_device;

  let ret = yield* vfio_device_pm_runtime_get(device);
  if (ret) return ret;

  switch (cmd) {
    case VFIO_DEVICE_FEATURE:
      ret = yield* vfio_ioctl_device_feature(device, arg);
      break;

    default:
      if (!device.ops!.ioctl) ret = -EINVAL;
      // C keeps it in an int
      else ret = (yield* either(device.ops!.ioctl(device, cmd, arg))) | 0;
      break;
  }

  yield* vfio_device_pm_runtime_put(device);
  return ret;
}

function vfio_device_fops_read(filep: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const device = filep.private_data as vfio_device;

  if (!device.ops!.read) return ready(-EINVAL);

  return either(device.ops!.read(device, buf, count, ppos));
}

function vfio_device_fops_write(filep: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const device = filep.private_data as vfio_device;

  if (!device.ops!.write) return ready(-EINVAL);

  return either(device.ops!.write(device, buf, count, ppos));
}

function vfio_device_fops_mmap(filep: file, vma: vm_area_struct): Sleeps<number> {
  const device = filep.private_data as vfio_device;

  if (!device.ops!.mmap) return ready(-EINVAL);

  return either(device.ops!.mmap(device, vma));
}

const vfio_device_fops: file_operations = {
  owner: THIS_MODULE,
  release: vfio_device_fops_release,
  read: vfio_device_fops_read,
  write: vfio_device_fops_write,
  unlocked_ioctl: vfio_device_fops_unl_ioctl,
  compat_ioctl: compat_ptr_ioctl,
  mmap: vfio_device_fops_mmap,
};

/** CONFIG_SPAPR_TCE_IOMMU is off. */
const CONFIG_SPAPR_TCE_IOMMU: boolean = false;

/**
 * The IOMMU group behind a group's file, with a reference. Only for KVM on POWER.
 * @return NULL on every other machine. Context: may sleep. Source: drivers/vfio/vfio_main.c
 */
export function* vfio_file_iommu_group(file: file): Sleeps<iommu_group | null> {
  const group = file.private_data as vfio_group;
  let iommu_group: iommu_group | null = null;

  if (!CONFIG_SPAPR_TCE_IOMMU) return null;

  if (!vfio_file_is_group(file)) return null;

  yield* mutex_lock(group.group_lock);
  if (group.iommu_group) {
    iommu_group = group.iommu_group;
    iommu_group_ref_get(iommu_group);
  }
  mutex_unlock(group.group_lock);
  return iommu_group;
}
EXPORT_SYMBOL_GPL(vfio_file_iommu_group);

/** Whether the functions for group files below may be called with it. Any context. Source: drivers/vfio/vfio_main.c */
export function vfio_file_is_group(file: file): boolean {
  return file.f_op === vfio_group_fops;
}
EXPORT_SYMBOL_GPL(vfio_file_is_group);

/**
 * Whether the group's DMA always goes through the caches. If not, its user may be let use wbinvd and the like.
 * @return true too if there is no container yet. Context: may sleep. Source: drivers/vfio/vfio_main.c
 */
export function* vfio_file_enforced_coherent(file: file): Sleeps<boolean> {
  const group = file.private_data as vfio_group;
  let ret: boolean;

  if (!vfio_file_is_group(file)) return true;

  yield* mutex_lock(group.group_lock);
  if (group.container) {
    ret = (yield* vfio_container_ioctl_check_extension(group.container, BigInt(VFIO_DMA_CC_IOMMU))) !== 0;
  } else {
    // Known only once there is a container, so who wants to prove something has to attach one first.
    ret = true;
  }
  mutex_unlock(group.group_lock);
  return ret;
}
EXPORT_SYMBOL_GPL(vfio_file_enforced_coherent);

/**
 * Tells the group which virtual machine uses it: its devices find it in device->kvm at their first open.
 * Context: may sleep. Source: drivers/vfio/vfio_main.c
 */
export function* vfio_file_set_kvm(file: file, kvm: kvm | null): Sleeps {
  const group = file.private_data as vfio_group;

  if (!vfio_file_is_group(file)) return;

  yield* mutex_lock(group.group_lock);
  group.kvm = kvm;
  mutex_unlock(group.group_lock);
}
EXPORT_SYMBOL_GPL(vfio_file_set_kvm);

/** Whether the file is that of the device's group. Any context. Source: drivers/vfio/vfio_main.c */
export function vfio_file_has_dev(file: file, device: vfio_device): boolean {
  const group = file.private_data as vfio_group;

  if (!vfio_file_is_group(file)) return false;

  return group === device.group;
}
EXPORT_SYMBOL_GPL(vfio_file_has_dev);

// Capability chains

/**
 * Adds a zeroed capability at the end of a chain. Offsets count from the chain's own beginning until vfio_info_cap_shift().
 * @size: bytes, header included; @id, @version: for its header
 * @return the header, in a buffer that the next call may move, or ERR_PTR(-ENOMEM) with the chain gone.
 * Source: drivers/vfio/vfio_main.c
 */
export function vfio_info_cap_add(
  caps: vfio_info_cap,
  size: number,
  id: number,
  version: number,
): vfio_info_cap_header {
  const buf = krealloc(caps.buf, caps.size + size, GFP_KERNEL);
  if (!buf) {
    kfree(caps.buf);
    caps.buf = null;
    caps.size = 0;
    return ERR_PTR(-ENOMEM);
  }

  caps.buf = buf;
  const header = cast_to(vfio_info_cap_header, buf, caps.size);

  // User space will see all of it
  memset(bytes_at(buf, caps.size, size), 0, size);

  header.id = id;
  header.version = version;

  // To the end of the chain
  let tmp = cast_to(vfio_info_cap_header, buf);
  while (tmp.next) tmp = cast_to(vfio_info_cap_header, buf, tmp.next);

  tmp.next = caps.size;
  caps.size += size;

  return header;
}
EXPORT_SYMBOL_GPL(vfio_info_cap_add);

/** Makes the offsets of a chain count from @offset bytes before it. Source: drivers/vfio/vfio_main.c */
export function vfio_info_cap_shift(caps: vfio_info_cap, offset: number): void {
  const buf = caps.buf!;

  let tmp = cast_to(vfio_info_cap_header, buf);
  while (tmp.next) {
    tmp.next += offset;
    tmp = cast_to(vfio_info_cap_header, buf, tmp.next - offset);
  }
}
EXPORT_SYMBOL(vfio_info_cap_shift);

/**
 * Adds a copy of a capability to a chain.
 * @cap: the header of one, or its header inside the whole; @size: bytes of the whole
 * @return 0 or -ENOMEM. Source: drivers/vfio/vfio_main.c
 */
export function vfio_info_add_capability(caps: vfio_info_cap, cap: vfio_info_cap_header, size: number): number {
  const header = vfio_info_cap_add(caps, size, cap.id, cap.version);
  if (IS_ERR(header)) return PTR_ERR(header);

  memcpy(behind(header), behind(cap), size - sizeof(header));

  return 0;
}
EXPORT_SYMBOL(vfio_info_add_capability);
/** `header + 1`, with as much behind it as there is of what the header lies in. */
function behind(header: vfio_info_cap_header): kbuf {
  const whole = (header.$up ?? header) as byte_memory;
  const at = header.$bytes.byteOffset - whole.$bytes.byteOffset + sizeof(header);
  return bytes_at(whole, at, whole.$bytes.length - at);
}

/**
 * Checks the header of VFIO_DEVICE_SET_IRQS.
 * @hdr: from user space; @num_irqs: how many the index has; @max_irq_type: number of indices; @data_size: set to the bytes
 * that follow the header, 0 if none; NULL if the caller cannot take any
 * @return 0 or -EINVAL. Any context. Source: drivers/vfio/vfio_main.c
 */
export function vfio_set_irqs_validate_and_prepare(
  hdr: vfio_irq_set,
  num_irqs: number,
  max_irq_type: number,
  data_size: out<number> | null,
): number {
  const minsz = offsetofend(vfio_irq_set, "count");
  let size: number;

  // Compared with u32, so the two become unsigned
  const irqs = num_irqs >>> 0;
  if (
    hdr.argsz < minsz ||
    hdr.index >= max_irq_type >>> 0 ||
    hdr.count >= 0xffffffff - hdr.start ||
    hdr.flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)
  )
    return -EINVAL;

  if (data_size) data_size.value = 0;

  if (hdr.start >= irqs || hdr.start + hdr.count > irqs) return -EINVAL;

  switch (hdr.flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
    case VFIO_IRQ_SET_DATA_NONE:
      size = 0;
      break;
    case VFIO_IRQ_SET_DATA_BOOL:
      size = 1;
      break;
    case VFIO_IRQ_SET_DATA_EVENTFD:
      size = 4;
      break;
    default:
      return -EINVAL;
  }

  if (size) {
    if (hdr.argsz - minsz < hdr.count * size) return -EINVAL;

    if (!data_size) return -EINVAL;

    data_size.value = hdr.count * size;
  }

  return 0;
}
EXPORT_SYMBOL(vfio_set_irqs_validate_and_prepare);

function vfio_devnode(dev: device, _mode: out<number> | null): string | null {
  return kasprintf(GFP_KERNEL, "vfio/%s", dev_name(dev));
}

function* vfio_init(): Sleeps<number> {
  ida_init(vfio.group_ida);
  ida_init(vfio.device_ida);
  mutex_init(vfio.group_lock, "&vfio.group_lock");
  INIT_LIST_HEAD(vfio.group_list);

  let ret = yield* vfio_container_init();
  if (ret) return ret;

  err_group_class: {
    // /dev/vfio/$GROUP
    vfio.class = yield* class_create(THIS_MODULE, "vfio");
    if (IS_ERR(vfio.class)) {
      ret = PTR_ERR(vfio.class);
      break err_group_class;
    }

    vfio.class.devnode = vfio_devnode;

    err_dev_class: {
      // /sys/class/vfio-dev/vfioX
      vfio.device_class = yield* class_create(THIS_MODULE, "vfio-dev");
      if (IS_ERR(vfio.device_class)) {
        ret = PTR_ERR(vfio.device_class);
        break err_dev_class;
      }

      err_alloc_chrdev: {
        ret = yield* alloc_chrdev_region(vfio.group_devt, 0, MINORMASK + 1, "vfio");
        if (ret) break err_alloc_chrdev;

        pr_info(DRIVER_DESC + " version: " + DRIVER_VERSION + "\n");
        return 0;
      }
      yield* class_destroy(vfio.device_class);
      vfio.device_class = null;
    }
    yield* class_destroy(vfio.class);
    vfio.class = null;
  }
  yield* vfio_container_cleanup();
  return ret;
}

function* vfio_cleanup(): Sleeps {
  WARN_ON(!list_empty(vfio.group_list));

  ida_destroy(vfio.device_ida);
  ida_destroy(vfio.group_ida);
  yield* unregister_chrdev_region(vfio.group_devt.value, MINORMASK + 1);
  yield* class_destroy(vfio.device_class);
  vfio.device_class = null;
  yield* class_destroy(vfio.class);
  yield* vfio_container_cleanup();
  vfio.class = null;
  yield* xa_destroy(s.vfio_device_set_xa);
}

module_init(vfio_init);
module_exit(vfio_cleanup);

MODULE_VERSION(DRIVER_VERSION);
MODULE_LICENSE("GPL v2");
// MODULE_ALIAS_MISCDEV(VFIO_MINOR)
MODULE_ALIAS("char-major-10-196");
MODULE_ALIAS("devname:vfio/vfio");
