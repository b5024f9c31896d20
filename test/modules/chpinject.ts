// SPDX-License-Identifier: GPL-2.0-only
/**
 * Channel path events by hand: writing `SUBCHANNEL CSSID.CHPID EVENT` (numbers of the path hexadecimal, of the event decimal) to
 * /sys/kernel/debug/chpinject/fire calls the chp_event function of the driver that the subchannel is bound to.
 */
import { chp_link } from "../../drivers/s390/cio/chp.ts";
import { subchannel } from "../../drivers/s390/cio/cio.ts";
import { css_driver, css_driver_register, css_driver_unregister } from "../../drivers/s390/cio/css.ts";
import { debugfs_create_dir, debugfs_create_file, debugfs_remove, type dentry } from "../../include/linux/debugfs.ts";
import { bus_find_device_by_name, type bus_type, put_device } from "../../include/linux/device.ts";
import { EFAULT, EINVAL, ENODEV } from "../../include/linux/errno.ts";
import type { file, file_operations, loff_ptr } from "../../include/linux/fs.ts";
import { pr_info } from "../../include/linux/printk.ts";
import { spin_lock_irq, spin_unlock_irq } from "../../include/linux/spinlock.ts";
import { container_of, initialise, kbuf, type Sleeps } from "../../include/linux/types.ts";
import { copy_from_user } from "../../include/linux/uaccess.ts";
import { kbuild } from "../../kernel/modpost.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

const s = per_boot(() => ({ dir: null as dentry | null, css_bus: null as bus_type | null }));

function* fire_write(_f: file, buf: bigint, count: number, ppos: loff_ptr): Sleeps<number> {
  const bytes = new kbuf(count);
  if (yield* copy_from_user(bytes, buf, count)) return -EFAULT;
  const found = /^(\S+) ([0-9a-f]+)\.([0-9a-f]+) (\d+)\n?$/.exec(String.fromCharCode(...bytes.$bytes));
  if (!found) return -EINVAL;
  const [, name = "", cssid = "", id = "", event = ""] = found;
  const dev = yield* bus_find_device_by_name(s.css_bus, null, name);
  if (!dev) return -ENODEV;
  const sch = container_of(dev, subchannel, "dev");
  const link = new chp_link();
  link.chpid.cssid = Number.parseInt(cssid, 16);
  link.chpid.id = Number.parseInt(id, 16);
  let rc = -ENODEV;
  yield* spin_lock_irq(sch.lock!);
  const driver = dev.driver ? container_of(dev.driver, css_driver, "drv") : null;
  if (driver?.chp_event) rc = yield* driver.chp_event(sch, link, Number(event));
  yield* spin_unlock_irq(sch.lock!);
  const ssd = sch.ssd_info;
  const first = ssd.chpid.at(0);
  pr_info(
    "chpinject: %s chpid %x.%02x event %d -> rc %d lpm=%02x opm=%02x ssd chpid0=%x.%02x path_mask=%02x\n",
    name,
    link.chpid.cssid,
    link.chpid.id,
    Number(event),
    rc,
    sch.lpm,
    sch.opm,
    first.cssid,
    first.id,
    ssd.path_mask,
  );
  yield* put_device(dev);
  ppos.value += BigInt(count);
  return count;
}
const fire_fops: file_operations = { owner: THIS_MODULE, write: fire_write };

/** The bus of subchannels is not exported; a driver that drives nothing is told it. */
function* chpinject_init(): Sleeps<number> {
  const driver = initialise(new css_driver(), { drv: { name: "chpinject", owner: THIS_MODULE } });
  const ret = yield* css_driver_register(driver);
  if (ret) return ret;
  s.css_bus = driver.drv.bus;
  yield* css_driver_unregister(driver);
  s.dir = debugfs_create_dir("chpinject", null);
  debugfs_create_file("fire", 0o200, s.dir, null, fire_fops);
  return 0;
}
function chpinject_exit(): void {
  debugfs_remove(s.dir);
}
module_init(chpinject_init);
module_exit(chpinject_exit);
MODULE_LICENSE("GPL");
