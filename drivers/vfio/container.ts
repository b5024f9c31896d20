// SPDX-License-Identifier: GPL-2.0-only
/** Containers, /dev/vfio/vfio: what ties groups to an IOMMU back end. */
import { capable, CAP_SYS_RAWIO } from "#linux/capability.ts";
import { EINVAL, ENODEV, ENOMEM, ENOTTY, EPERM, E2BIG } from "#linux/errno.ts";
import { ERR_PTR, IS_ERR, PTR_ERR } from "#linux/err.ts";
import { kbuild } from "#linux/export.ts";
import { fput } from "#linux/file.ts";
import { compat_ptr_ioctl, type file, type file_operations, get_file, type inode } from "#linux/fs.ts";
import { iommu_group_claim_dma_owner, iommu_group_release_dma_owner, type iommu_group } from "#linux/iommu.ts";
import { kref, kref_get, kref_init, kref_put } from "#linux/kref.ts";
import {
  INIT_LIST_HEAD,
  list_add,
  list_del,
  list_empty,
  list_for_each_entry,
  list_for_each_entry_continue_reverse,
  list_head,
} from "#linux/list.ts";
import { lockdep_assert_held } from "#linux/lockdep.ts";
import { misc_deregister, misc_register, miscdevice, VFIO_MINOR } from "#linux/miscdevice.ts";
import { module_put, try_module_get } from "#linux/module.ts";
import { mutex, mutex_destroy, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { pr_err } from "#linux/printk.ts";
import { down_read, down_write, init_rwsem, rw_semaphore, up_read, up_write } from "#linux/rwsem.ts";
import { either } from "#linux/sched.ts";
import { GFP_KERNEL, GFP_KERNEL_ACCOUNT, kfree, kzalloc } from "#linux/slab.ts";
import { WARN_ON } from "#linux/bug.ts";
import { bool, type byte_memory, container_of, embed, initialise, ptr, type Sleeps, struct } from "#linux/types.ts";
import { type page_pointers, type vfio_device, VFIO_PIN_PAGES_MAX_ENTRIES } from "#linux/vfio.ts";
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_GET_API_VERSION,
  VFIO_NOIOMMU_IOMMU,
  VFIO_SET_IOMMU,
} from "#uapi/linux/vfio.ts";
import {
  vfio_assert_device_open,
  vfio_group,
  type vfio_group_type,
  VFIO_IOMMU,
  VFIO_IOMMU_CONTAINER_CLOSE,
  vfio_iommu_driver,
  type vfio_iommu_driver_ops,
  VFIO_NO_IOMMU,
  vfio_noiommu,
} from "./vfio.ts";

const { THIS_MODULE, per_boot, EXPORT_SYMBOL, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

export class vfio_container extends struct("vfio_container", {
  kref: embed(() => kref),
  group_list: embed(() => list_head),
  group_lock: embed(() => rw_semaphore),
  iommu_driver: ptr<vfio_iommu_driver>(),
  iommu_data: ptr<object>(),
  noiommu: bool(),
}) {}

const vfio = per_boot(() => ({
  iommu_drivers_list: new list_head(),
  iommu_drivers_lock: new mutex(),
}));

const CONFIG_VFIO_NOIOMMU: boolean = false;

function* vfio_noiommu_open(arg: bigint): Sleeps<object | null> {
  if (arg !== BigInt(VFIO_NOIOMMU_IOMMU)) return ERR_PTR(-EINVAL);
  if (!capable(CAP_SYS_RAWIO)) return ERR_PTR(-EPERM);

  return null;
}

function vfio_noiommu_release(_iommu_data: object | null): void {}

function vfio_noiommu_ioctl(_iommu_data: object | null, cmd: number, arg: bigint): number {
  if (cmd === VFIO_CHECK_EXTENSION) return vfio_noiommu && arg === BigInt(VFIO_NOIOMMU_IOMMU) ? 1 : 0;

  return -ENOTTY;
}

function vfio_noiommu_attach_group(
  _iommu_data: object | null,
  _iommu_group: iommu_group | null,
  _type: vfio_group_type,
): number {
  return 0;
}

function vfio_noiommu_detach_group(_iommu_data: object | null, _iommu_group: iommu_group | null): void {}

const vfio_noiommu_ops: vfio_iommu_driver_ops = {
  name: "vfio-noiommu",
  owner: THIS_MODULE,
  open: vfio_noiommu_open,
  release: vfio_noiommu_release,
  ioctl: vfio_noiommu_ioctl,
  attach_group: vfio_noiommu_attach_group,
  detach_group: vfio_noiommu_detach_group,
};

/** Containers without an IOMMU and the back end without one are for each other only. */
function vfio_iommu_driver_allowed(container: vfio_container, driver: vfio_iommu_driver): boolean {
  if (!CONFIG_VFIO_NOIOMMU) return true;
  return container.noiommu === (driver.ops === vfio_noiommu_ops);
}

/**
 * Makes a back end known.
 * @return 0, -EINVAL if it is known already or half of the device callbacks are missing, -ENOMEM. Context: may sleep.
 * Source: drivers/vfio/container.c
 */
export function* vfio_register_iommu_driver(ops: vfio_iommu_driver_ops): Sleeps<number> {
  if (WARN_ON(!ops.register_device !== !ops.unregister_device)) return -EINVAL;

  const driver = kzalloc(vfio_iommu_driver, GFP_KERNEL);
  if (!driver) return -ENOMEM;

  driver.ops = ops;

  yield* mutex_lock(vfio.iommu_drivers_lock);

  for (const tmp of list_for_each_entry(vfio.iommu_drivers_list, vfio_iommu_driver, "vfio_next")) {
    if (tmp.ops === ops) {
      mutex_unlock(vfio.iommu_drivers_lock);
      kfree(driver);
      return -EINVAL;
    }
  }

  list_add(driver.vfio_next, vfio.iommu_drivers_list);

  mutex_unlock(vfio.iommu_drivers_lock);

  return 0;
}
EXPORT_SYMBOL_GPL(vfio_register_iommu_driver);

/** Forgets a back end. Context: may sleep. Source: drivers/vfio/container.c */
export function* vfio_unregister_iommu_driver(ops: vfio_iommu_driver_ops): Sleeps {
  yield* mutex_lock(vfio.iommu_drivers_lock);
  for (const driver of list_for_each_entry(vfio.iommu_drivers_list, vfio_iommu_driver, "vfio_next")) {
    if (driver.ops === ops) {
      list_del(driver.vfio_next);
      mutex_unlock(vfio.iommu_drivers_lock);
      kfree(driver);
      return;
    }
  }
  mutex_unlock(vfio.iommu_drivers_lock);
}
EXPORT_SYMBOL_GPL(vfio_unregister_iommu_driver);

// A container is made by the open and goes with its last user: container, group and device may be closed in any order.

function vfio_container_release(kref: kref): void {
  const container = container_of(kref, vfio_container, "kref");

  kfree(container);
}

function vfio_container_get(container: vfio_container): void {
  kref_get(container.kref);
}

function vfio_container_put(container: vfio_container): Sleeps<number> {
  return kref_put(container.kref, vfio_container_release);
}

/** Tells the back end of the device's group that it is open. Context: may sleep; group_lock held. */
export function* vfio_device_container_register(device: vfio_device): Sleeps {
  const iommu_driver = device.group!.container!.iommu_driver;

  if (iommu_driver && iommu_driver.ops!.register_device)
    yield* either(iommu_driver.ops!.register_device(device.group!.container!.iommu_data, device));
}

/** The opposite. Context: may sleep; group_lock held. */
export function* vfio_device_container_unregister(device: vfio_device): Sleeps {
  const iommu_driver = device.group!.container!.iommu_driver;

  if (iommu_driver && iommu_driver.ops!.unregister_device)
    yield* either(iommu_driver.ops!.unregister_device(device.group!.container!.iommu_data, device));
}

/**
 * VFIO_CHECK_EXTENSION: asks the container's back end, or all of them if it has none yet.
 * @return positive: yes. Context: may sleep. Source: drivers/vfio/container.c
 */
export function* vfio_container_ioctl_check_extension(container: vfio_container, arg: bigint): Sleeps<number> {
  let ret = 0;

  yield* down_read(container.group_lock);

  const driver = container.iommu_driver;

  // The core has no extensions of its own. The first back end that says yes decides.
  if (!driver) {
    yield* mutex_lock(vfio.iommu_drivers_lock);
    for (const driver of list_for_each_entry(vfio.iommu_drivers_list, vfio_iommu_driver, "vfio_next")) {
      if (!list_empty(container.group_list) && !vfio_iommu_driver_allowed(container, driver)) continue;
      if (!try_module_get(driver.ops!.owner)) continue;

      ret = yield* either(driver.ops!.ioctl(null, VFIO_CHECK_EXTENSION, arg));
      module_put(driver.ops!.owner);
      if (ret > 0) break;
    }
    mutex_unlock(vfio.iommu_drivers_lock);
  } else ret = yield* either(driver.ops!.ioctl(container.iommu_data, VFIO_CHECK_EXTENSION, arg));

  up_read(container.group_lock);

  return ret;
}

/** Context: may sleep; container->group_lock held for writing. */
function* __vfio_container_attach_groups(
  container: vfio_container,
  driver: vfio_iommu_driver,
  data: object | null,
): Sleeps<number> {
  let ret = -ENODEV;

  for (const group of list_for_each_entry(container.group_list, vfio_group, "container_next")) {
    ret = yield* either(driver.ops!.attach_group(data, group.iommu_group, group.type));
    if (ret) {
      for (const back of list_for_each_entry_continue_reverse(
        group,
        container.group_list,
        vfio_group,
        "container_next",
      )) {
        yield* either(driver.ops!.detach_group(data, back.iommu_group));
      }
      return ret;
    }
  }

  return ret;
}

function* vfio_ioctl_set_iommu(container: vfio_container, arg: bigint): Sleeps<number> {
  let ret = -ENODEV;

  yield* down_write(container.group_lock);

  // Anybody may open a container; it is the group in it that gives the right to use an IOMMU. There is no way to unset
  // it but to take all groups out.
  if (list_empty(container.group_list) || container.iommu_driver) {
    up_write(container.group_lock);
    return -EINVAL;
  }

  yield* mutex_lock(vfio.iommu_drivers_lock);
  for (const driver of list_for_each_entry(vfio.iommu_drivers_list, vfio_iommu_driver, "vfio_next")) {
    if (!vfio_iommu_driver_allowed(container, driver)) continue;
    if (!try_module_get(driver.ops!.owner)) continue;

    // The number is that of CHECK_EXTENSION, and the back end that has the extension is opened with it.
    if ((yield* either(driver.ops!.ioctl(null, VFIO_CHECK_EXTENSION, arg))) <= 0) {
      module_put(driver.ops!.owner);
      continue;
    }

    const data = yield* driver.ops!.open(arg);
    if (IS_ERR(data)) {
      ret = PTR_ERR(data);
      module_put(driver.ops!.owner);
      continue;
    }

    ret = yield* __vfio_container_attach_groups(container, driver, data);
    if (ret) {
      yield* either(driver.ops!.release(data));
      module_put(driver.ops!.owner);
      continue;
    }

    container.iommu_driver = driver;
    container.iommu_data = data;
    break;
  }

  mutex_unlock(vfio.iommu_drivers_lock);
  up_write(container.group_lock);

  return ret;
}

function* vfio_fops_unl_ioctl(filep: file, cmd: number, arg: bigint): Sleeps<number> {
  const container = filep.private_data as vfio_container | null;
  let ret = -EINVAL;

  if (!container) return ret;

  switch (cmd) {
    case VFIO_GET_API_VERSION:
      ret = VFIO_API_VERSION;
      break;
    case VFIO_CHECK_EXTENSION:
      ret = yield* vfio_container_ioctl_check_extension(container, arg);
      break;
    case VFIO_SET_IOMMU:
      ret = yield* vfio_ioctl_set_iommu(container, arg);
      break;
    default: {
      const driver = container.iommu_driver;
      const data = container.iommu_data;

      // Everything else is the back end's
      if (driver) ret = yield* either(driver.ops!.ioctl(data, cmd, arg));
    }
  }

  return ret;
}

function vfio_fops_open(_inode: inode, filep: file): number {
  const container = kzalloc(vfio_container, GFP_KERNEL_ACCOUNT);
  if (!container) return -ENOMEM;

  INIT_LIST_HEAD(container.group_list);
  init_rwsem(container.group_lock);
  kref_init(container.kref);

  filep.private_data = container;

  return 0;
}

function* vfio_fops_release(_inode: inode, filep: file): Sleeps<number> {
  const container = filep.private_data as vfio_container;
  const driver = container.iommu_driver;

  if (driver && driver.ops!.notify) yield* either(driver.ops!.notify(container.iommu_data, VFIO_IOMMU_CONTAINER_CLOSE));

  filep.private_data = null;

  yield* vfio_container_put(container);

  return 0;
}

const vfio_fops: file_operations = {
  owner: THIS_MODULE,
  open: vfio_fops_open,
  release: vfio_fops_release,
  unlocked_ioctl: vfio_fops_unl_ioctl,
  compat_ioctl: compat_ptr_ioctl,
};

/** The container that is behind an open file; NULL if it is some other file. Any context. */
export function vfio_container_from_file(file: file): vfio_container | null {
  if (file.f_op !== vfio_fops) return null;

  const container = file.private_data as vfio_container | null;
  // Whoever has the file keeps vfio_fops_release() away
  WARN_ON(!container);
  return container;
}

const s = per_boot(() => ({
  vfio_dev: initialise(new miscdevice(), {
    minor: VFIO_MINOR,
    name: "vfio",
    fops: vfio_fops,
    nodename: "vfio/vfio",
    mode: 0o666,
  }),
}));

/**
 * Puts a group into a container. Context: may sleep; group_lock held.
 * @return 0; -EPERM for a group without IOMMU if the user may not, or if it does not go with those that are in; what
 * claiming the group or attaching it to the back end gives
 */
export function* vfio_container_attach_group(container: vfio_container, group: vfio_group): Sleeps<number> {
  let ret = 0;

  lockdep_assert_held(group.group_lock);

  if (group.type === VFIO_NO_IOMMU && !capable(CAP_SYS_RAWIO)) return -EPERM;

  yield* down_write(container.group_lock);

  out_unlock_container: {
    // With or without an IOMMU, not both
    if (!list_empty(container.group_list) && container.noiommu !== (group.type === VFIO_NO_IOMMU)) {
      ret = -EPERM;
      break out_unlock_container;
    }

    if (group.type === VFIO_IOMMU) {
      ret = yield* iommu_group_claim_dma_owner(group.iommu_group!, group);
      if (ret) break out_unlock_container;
    }

    const driver = container.iommu_driver;
    if (driver) {
      ret = yield* either(driver.ops!.attach_group(container.iommu_data, group.iommu_group, group.type));
      if (ret) {
        if (group.type === VFIO_IOMMU) yield* iommu_group_release_dma_owner(group.iommu_group!);
        break out_unlock_container;
      }
    }

    group.container = container;
    group.container_users = 1;
    container.noiommu = group.type === VFIO_NO_IOMMU;
    list_add(group.container_next, container.group_list);

    // The group is a user of the container
    vfio_container_get(container);
  }
  up_write(container.group_lock);
  return ret;
}

/** Takes a group out of its container; the last one takes the back end with it. Context: may sleep; group_lock held. */
export function* vfio_group_detach_container(group: vfio_group): Sleeps {
  const container = group.container!;

  lockdep_assert_held(group.group_lock);
  WARN_ON(group.container_users !== 1);

  yield* down_write(container.group_lock);

  const driver = container.iommu_driver;
  if (driver) yield* either(driver.ops!.detach_group(container.iommu_data, group.iommu_group));

  if (group.type === VFIO_IOMMU) yield* iommu_group_release_dma_owner(group.iommu_group!);

  group.container = null;
  group.container_users = 0;
  list_del(group.container_next);

  // No group, no right to use an IOMMU
  if (driver && list_empty(container.group_list)) {
    yield* either(driver.ops!.release(container.iommu_data));
    module_put(driver.ops!.owner);
    container.iommu_driver = null;
    container.iommu_data = null;
  }

  up_write(container.group_lock);

  yield* vfio_container_put(container);
}

/** Counts a device file as user of the container, and keeps the group's file open for it. Context: group_lock held. */
export function vfio_device_assign_container(device: vfio_device): number {
  const group = device.group!;

  lockdep_assert_held(group.group_lock);

  if (!group.container || !group.container.iommu_driver || WARN_ON(!group.container_users)) return -EINVAL;

  if (group.type === VFIO_NO_IOMMU && !capable(CAP_SYS_RAWIO)) return -EPERM;

  get_file(group.opened_file!);
  group.container_users++;
  return 0;
}

/** The opposite. Context: may sleep. */
export function* vfio_device_unassign_container(device: vfio_device): Sleeps {
  yield* mutex_lock(device.group!.group_lock);
  WARN_ON(device.group!.container_users <= 1);
  device.group!.container_users--;
  fput(device.group!.opened_file!);
  mutex_unlock(device.group!.group_lock);
}

/**
 * Pins user pages that are contiguous in I/O address space, for a device of vfio_register_emulated_iommu_dev().
 * @iova: of the first; @npage: at most VFIO_PIN_PAGES_MAX_ENTRIES; @prot: IOMMU_READ, IOMMU_WRITE; @pages: filled
 * @return number of pages, or errno. Context: may sleep; the device is open. Source: drivers/vfio/container.c
 */
export function* vfio_pin_pages(
  device: vfio_device,
  iova: bigint,
  npage: number,
  prot: number,
  pages: page_pointers | null,
): Sleeps<number> {
  const group = device.group;
  let ret;

  if (!pages || !npage || !vfio_assert_device_open(device)) return -EINVAL;

  // Compared as unsigned long
  if (npage < 0 || npage > VFIO_PIN_PAGES_MAX_ENTRIES) return -E2BIG;

  // The container stays while a device is open
  const container = group!.container;
  const driver = container!.iommu_driver;
  if (driver && driver.ops!.pin_pages)
    ret = yield* either(driver.ops!.pin_pages(container!.iommu_data, group!.iommu_group, iova, npage, prot, pages));
  else ret = -ENOTTY;

  return ret;
}
EXPORT_SYMBOL(vfio_pin_pages);

/**
 * Unpins pages that vfio_pin_pages() pinned.
 * @iova: of the first; @npage: at most VFIO_PIN_PAGES_MAX_ENTRIES. Context: may sleep; the device is open.
 * Source: drivers/vfio/container.c
 */
export function* vfio_unpin_pages(device: vfio_device, iova: bigint, npage: number): Sleeps {
  if (WARN_ON(npage <= 0 || npage > VFIO_PIN_PAGES_MAX_ENTRIES)) return;

  if (WARN_ON(!vfio_assert_device_open(device))) return;

  // The container stays while a device is open
  const container = device.group!.container;
  const driver = container!.iommu_driver;

  yield* either(driver!.ops!.unpin_pages!(container!.iommu_data, iova, npage));
}
EXPORT_SYMBOL(vfio_unpin_pages);

/**
 * Reads or writes user memory at an I/O address, by the CPU and without pinning it.
 * @iova: where; @data: kernel memory; @len: bytes; @write: to user memory
 * @return 0 or errno. Context: may sleep; the device is open. Source: drivers/vfio/container.c
 */
export function* vfio_dma_rw(
  device: vfio_device,
  iova: bigint,
  data: byte_memory | null,
  len: number,
  write: boolean,
): Sleeps<number> {
  let ret = 0;

  if (!data || len <= 0 || !vfio_assert_device_open(device)) return -EINVAL;

  // The container stays while a device is open
  const container = device.group!.container;
  const driver = container!.iommu_driver;

  if (driver && driver.ops!.dma_rw)
    ret = yield* either(driver.ops!.dma_rw(container!.iommu_data, iova, data, len, write));
  else ret = -ENOTTY;
  return ret;
}
EXPORT_SYMBOL(vfio_dma_rw);

/** Context: module load. */
export function* vfio_container_init(): Sleeps<number> {
  mutex_init(vfio.iommu_drivers_lock, "&vfio.iommu_drivers_lock");
  INIT_LIST_HEAD(vfio.iommu_drivers_list);

  let ret = yield* misc_register(s.vfio_dev);
  if (ret) {
    pr_err("vfio: misc device register failed\n");
    return ret;
  }

  err_misc: {
    if (CONFIG_VFIO_NOIOMMU) {
      ret = yield* vfio_register_iommu_driver(vfio_noiommu_ops);
      if (ret) break err_misc;
    }
    return 0;
  }
  yield* misc_deregister(s.vfio_dev);
  return ret;
}

/** Context: module unload. */
export function* vfio_container_cleanup(): Sleeps {
  if (CONFIG_VFIO_NOIOMMU) yield* vfio_unregister_iommu_driver(vfio_noiommu_ops);
  yield* misc_deregister(s.vfio_dev);
  mutex_destroy(vfio.iommu_drivers_lock);
}
