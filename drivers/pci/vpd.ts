// SPDX-License-Identifier: GPL-2.0-only
/**
 * Vital product data: what a device says of itself in a memory behind its VPD capability, a dword at a time.
 * Source: drivers/pci/vpd.c
 *
 * Not here: finding keywords and checksums in the data, which network drivers do, and quirks: of devices whose data has another
 * size, or none that can be trusted, and of Intel's network functions that share those of function 0 (nobody sets
 * PCI_DEV_FLAGS_VPD_REF_F0).
 */
import { usleep_range } from "#linux/delay.ts";
import { kobj_to_dev } from "#linux/device.ts";
import { EINTR, EINVAL, ENODEV, ETIMEDOUT } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { jiffies, msecs_to_jiffies, time_after } from "#linux/jiffies.ts";
import type { kobject } from "#linux/kobject.ts";
import { mutex_init, mutex_lock_killable, mutex_unlock } from "#linux/mutex.ts";
import {
  PCI_CAP_ID_VPD,
  type pci_dev,
  PCI_DEV_FLAGS_VPD_REF_F0,
  pci_dev_put,
  PCI_DEVFN,
  pci_find_capability,
  pci_get_slot,
  pci_info,
  PCI_SLOT,
  pci_user_read_config_dword,
  pci_user_read_config_word,
  pci_user_write_config_dword,
  pci_user_write_config_word,
  PCI_VPD_ADDR,
  PCI_VPD_ADDR_F,
  PCI_VPD_ADDR_MASK,
  PCI_VPD_DATA,
  PCI_VPD_LRDT,
  pci_warn,
  to_pci_dev,
} from "#linux/pci.ts";
import { current, fatal_signal_pending } from "#linux/sched.ts";
import { byte_at, le_at, set_byte_at } from "#linux/string.ts";
import { type attribute_group, bin_attribute } from "#linux/sysfs.ts";
import { bytes_at, initialise, kbuf, type Sleeps } from "#linux/types.ts";

const { EXPORT_SYMBOL } = kbuild(import.meta.url);

const PCI_VPD_LRDT_TAG_SIZE = 3;
const PCI_VPD_SRDT_LEN_MASK = 0x07;
const PCI_VPD_SRDT_TAG_SIZE = 1;
const PCI_VPD_STIN_END = 0x0f;

function pci_vpd_lrdt_size(lrdt: kbuf): number {
  return byte_at(lrdt, 1) | (byte_at(lrdt, 2) << 8);
}
function pci_vpd_srdt_tag(srdt: kbuf): number {
  return byte_at(srdt, 0) >> 3;
}
function pci_vpd_srdt_size(srdt: kbuf): number {
  return byte_at(srdt, 0) & PCI_VPD_SRDT_LEN_MASK;
}

function* pci_get_func0_dev(dev: pci_dev): Sleeps<pci_dev | null> {
  return yield* pci_get_slot(dev.bus!, PCI_DEVFN(PCI_SLOT(dev.devfn), 0));
}

const PCI_VPD_MAX_SIZE = PCI_VPD_ADDR_MASK + 1;
/** UINT_MAX */
const PCI_VPD_SZ_INVALID = 0xffffffff;

/** How much of it there really is, up to its end tag. */
function* pci_vpd_size(dev: pci_dev): Sleeps<number> {
  const header = new kbuf(1 + 2);
  let off = 0;
  let size = 0;

  error: {
    while ((yield* pci_read_vpd_any(dev, off, 1, header)) === 1) {
      size = 0;

      if (off === 0 && (byte_at(header, 0) === 0x00 || byte_at(header, 0) === 0xff)) break error;

      if (byte_at(header, 0) & PCI_VPD_LRDT) {
        if ((yield* pci_read_vpd_any(dev, off + 1, 2, bytes_at(header, 1, 2))) !== 2) {
          pci_warn(dev, "failed VPD read at offset %zu\n", off + 1);
          return off || PCI_VPD_SZ_INVALID;
        }
        size = pci_vpd_lrdt_size(header);
        if (off + size > PCI_VPD_MAX_SIZE) break error;

        off += PCI_VPD_LRDT_TAG_SIZE + size;
      } else {
        const tag = pci_vpd_srdt_tag(header);
        size = pci_vpd_srdt_size(header);
        if (off + size > PCI_VPD_MAX_SIZE) break error;

        off += PCI_VPD_SRDT_TAG_SIZE + size;
        if (tag === PCI_VPD_STIN_END) return off;
      }
    }
    return off;
  }
  pci_info(
    dev,
    "invalid VPD tag %#04x (size %zu) at offset %zu%s\n",
    byte_at(header, 0),
    size,
    off,
    off === 0 ? "; assume missing optional EEPROM" : "",
  );
  return off || PCI_VPD_SZ_INVALID;
}

function* pci_vpd_available(dev: pci_dev, check_size: boolean): Sleeps<boolean> {
  const { vpd } = dev;

  if (!vpd.cap) return false;

  if (vpd.len === 0 && check_size) {
    vpd.len = yield* pci_vpd_size(dev);
    if (vpd.len === PCI_VPD_SZ_INVALID) {
      vpd.cap = 0;
      return false;
    }
  }

  return true;
}

/** Waits until the flag is as a transfer that is done leaves it: the hardware tells nobody. @return 0, -ETIMEDOUT after 125 ms */
function* pci_vpd_wait(dev: pci_dev, set: boolean): Sleeps<number> {
  const { vpd } = dev;
  const timeout = jiffies() + msecs_to_jiffies(125);
  const status = { value: 0 };
  let max_sleep = 16;

  for (;;) {
    const ret = yield* pci_user_read_config_word(dev, vpd.cap + PCI_VPD_ADDR, status);
    if (ret < 0) return ret;

    if (((status.value & PCI_VPD_ADDR_F) !== 0) === set) return 0;

    if (time_after(jiffies(), timeout)) break;

    yield* usleep_range(10, max_sleep);
    if (max_sleep < 1024) max_sleep *= 2;
  }

  pci_warn(
    dev,
    "VPD access failed.  This is likely a firmware bug on this device.  Contact the card vendor for a firmware update\n",
  );
  return -ETIMEDOUT;
}

function* pci_vpd_read(dev: pci_dev, pos: number, count: number, arg: kbuf, check_size: boolean): Sleeps<number> {
  const { vpd } = dev;
  const val = { value: 0 };
  let ret = 0;
  let end = pos + count;
  let buf = 0;

  if (!(yield* pci_vpd_available(dev, check_size))) return -ENODEV;

  if (pos < 0) return -EINVAL;

  const max_len = check_size ? vpd.len : PCI_VPD_MAX_SIZE;

  if (pos >= max_len) return 0;

  if (end > max_len) {
    end = max_len;
    count = end - pos;
  }

  if (yield* mutex_lock_killable(vpd.lock)) return -EINTR;

  while (pos < end) {
    if (fatal_signal_pending(current())) {
      ret = -EINTR;
      break;
    }

    ret = yield* pci_user_write_config_word(dev, vpd.cap + PCI_VPD_ADDR, pos & ~3);
    if (ret < 0) break;
    ret = yield* pci_vpd_wait(dev, true);
    if (ret < 0) break;

    ret = yield* pci_user_read_config_dword(dev, vpd.cap + PCI_VPD_DATA, val);
    if (ret < 0) break;

    const skip = pos & 3;
    for (let i = 0; i < 4; i++) {
      if (i >= skip) {
        set_byte_at(arg, buf++, val.value & 0xff);
        if (++pos === end) break;
      }
      val.value >>>= 8;
    }
  }

  mutex_unlock(vpd.lock);
  return ret ? ret : count;
}

function* pci_vpd_write(dev: pci_dev, pos: number, count: number, arg: kbuf, check_size: boolean): Sleeps<number> {
  const { vpd } = dev;
  const end = pos + count;
  let buf = 0;
  let ret = 0;

  if (!(yield* pci_vpd_available(dev, check_size))) return -ENODEV;

  if (pos < 0 || pos & 3 || count & 3) return -EINVAL;

  const max_len = check_size ? vpd.len : PCI_VPD_MAX_SIZE;

  if (end > max_len) return -EINVAL;

  if (yield* mutex_lock_killable(vpd.lock)) return -EINTR;

  while (pos < end) {
    ret = yield* pci_user_write_config_dword(dev, vpd.cap + PCI_VPD_DATA, le_at(arg, buf, 4));
    if (ret < 0) break;
    ret = yield* pci_user_write_config_word(dev, vpd.cap + PCI_VPD_ADDR, pos | PCI_VPD_ADDR_F);
    if (ret < 0) break;

    ret = yield* pci_vpd_wait(dev, false);
    if (ret < 0) break;

    buf += 4;
    pos += 4;
  }

  mutex_unlock(vpd.lock);
  return ret ? ret : count;
}

/** Whether a new device has any. */
export function pci_vpd_init(dev: pci_dev): void {
  if (dev.vpd.len === PCI_VPD_SZ_INVALID) return;

  dev.vpd.cap = pci_find_capability(dev, PCI_CAP_ID_VPD);
  mutex_init(dev.vpd.lock);
}

function vpd_read(kobj: kobject, _attr: bin_attribute, buf: kbuf, off: number, count: number): Sleeps<number> {
  const dev = to_pci_dev(kobj_to_dev(kobj));

  return pci_read_vpd(dev, off, count, buf);
}
function vpd_write(kobj: kobject, _attr: bin_attribute, buf: kbuf, off: number, count: number): Sleeps<number> {
  const dev = to_pci_dev(kobj_to_dev(kobj));

  return pci_write_vpd(dev, off, count, buf);
}
const bin_attr_vpd = initialise(new bin_attribute(), {
  attr: { name: "vpd", mode: 0o600 },
  read: vpd_read,
  write: vpd_write,
});

function vpd_attr_is_visible(kobj: kobject, a: bin_attribute, _n: number): number {
  const pdev = to_pci_dev(kobj_to_dev(kobj));

  if (!pdev.vpd.cap) return 0;

  return a.attr.mode;
}
export const pci_dev_vpd_attr_group: attribute_group = {
  bin_attrs: [bin_attr_vpd],
  is_bin_visible: vpd_attr_is_visible,
};

function* __pci_read_vpd(dev: pci_dev, pos: number, count: number, buf: kbuf, check_size: boolean): Sleeps<number> {
  if (dev.dev_flags & PCI_DEV_FLAGS_VPD_REF_F0) {
    const f0 = yield* pci_get_func0_dev(dev);
    if (!f0) return -ENODEV;

    const ret = yield* pci_vpd_read(f0, pos, count, buf, check_size);
    yield* pci_dev_put(f0);
    return ret;
  }

  return yield* pci_vpd_read(dev, pos, count, buf, check_size);
}

/**
 * Reads vital product data. @pos: where in it. @return bytes, fewer at its end; -ENODEV if the device has none, -EINTR, -ETIMEDOUT.
 * May sleep
 */
export function pci_read_vpd(dev: pci_dev, pos: number, count: number, buf: kbuf): Sleeps<number> {
  return __pci_read_vpd(dev, pos, count, buf, true);
}
EXPORT_SYMBOL(pci_read_vpd);
/** The same without asking how much there is. */
export function pci_read_vpd_any(dev: pci_dev, pos: number, count: number, buf: kbuf): Sleeps<number> {
  return __pci_read_vpd(dev, pos, count, buf, false);
}
EXPORT_SYMBOL(pci_read_vpd_any);

function* __pci_write_vpd(dev: pci_dev, pos: number, count: number, buf: kbuf, check_size: boolean): Sleeps<number> {
  if (dev.dev_flags & PCI_DEV_FLAGS_VPD_REF_F0) {
    const f0 = yield* pci_get_func0_dev(dev);
    if (!f0) return -ENODEV;

    const ret = yield* pci_vpd_write(f0, pos, count, buf, check_size);
    yield* pci_dev_put(f0);
    return ret;
  }

  return yield* pci_vpd_write(dev, pos, count, buf, check_size);
}

/** Writes whole dwords of it. @return bytes; -EINVAL for others and beyond the end, and as pci_read_vpd(). May sleep */
export function pci_write_vpd(dev: pci_dev, pos: number, count: number, buf: kbuf): Sleeps<number> {
  return __pci_write_vpd(dev, pos, count, buf, true);
}
EXPORT_SYMBOL(pci_write_vpd);
/** The same without asking how much there is. */
export function pci_write_vpd_any(dev: pci_dev, pos: number, count: number, buf: kbuf): Sleeps<number> {
  return __pci_write_vpd(dev, pos, count, buf, false);
}
EXPORT_SYMBOL(pci_write_vpd_any);
