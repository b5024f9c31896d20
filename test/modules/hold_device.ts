// SPDX-License-Identifier: GPL-2.0-only
/**
 * Somebody who keeps a reference of a device. Writing names from a subchannel downwards, `0.0.0001 UUID vfio0`, to
 * /sys/kernel/debug/hold_device/get takes one on the last of them; writing anything to `put` drops it.
 */
import { css_driver, css_driver_register, css_driver_unregister } from "../../drivers/s390/cio/css.ts";
import { debugfs_create_dir, debugfs_create_file, debugfs_remove, type dentry } from "../../include/linux/debugfs.ts";
import {
  bus_find_device_by_name,
  type bus_type,
  type device,
  device_find_child_by_name,
  put_device,
} from "../../include/linux/device.ts";
import { EFAULT, ENODEV } from "../../include/linux/errno.ts";
import type { file, file_operations, loff_ptr } from "../../include/linux/fs.ts";
import { initialise, kbuf, type Sleeps } from "../../include/linux/types.ts";
import { copy_from_user } from "../../include/linux/uaccess.ts";
import { kbuild } from "../../kernel/modpost.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

const s = per_boot(() => ({
  dir: null as dentry | null,
  css_bus: null as bus_type | null,
  held: null as device | null,
}));

function* get_write(_f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const bytes = new kbuf(count);
  if (yield* copy_from_user(bytes, buf, count)) return -EFAULT;
  const [first = "", ...rest] = String.fromCharCode(...bytes.$bytes).split(" ");
  let dev = yield* bus_find_device_by_name(s.css_bus, null, first);
  for (const name of rest) {
    const child: device | null = yield* device_find_child_by_name(dev, name);
    yield* put_device(dev);
    dev = child;
  }
  if (!dev) return -ENODEV;
  s.held = dev;
  ppos.value += BigInt(count);
  return count;
}
function* put_write(_f: file, _buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const { held } = s;
  s.held = null;
  yield* put_device(held);
  ppos.value += BigInt(count);
  return count;
}
const get_fops: file_operations = { owner: THIS_MODULE, write: get_write };
const put_fops: file_operations = { owner: THIS_MODULE, write: put_write };

/** The bus of subchannels is not exported; a driver that drives nothing is told it. */
function* hold_device_init(): Sleeps<number> {
  const driver = initialise(new css_driver(), { drv: { name: "hold_device", owner: THIS_MODULE } });
  const ret = yield* css_driver_register(driver);
  if (ret) return ret;
  s.css_bus = driver.drv.bus;
  yield* css_driver_unregister(driver);
  s.dir = debugfs_create_dir("hold_device", null);
  debugfs_create_file("get", 0o200, s.dir, null, get_fops);
  debugfs_create_file("put", 0o200, s.dir, null, put_fops);
  return 0;
}
function hold_device_exit(): void {
  debugfs_remove(s.dir);
}
module_init(hold_device_init);
module_exit(hold_device_exit);
MODULE_LICENSE("GPL");
