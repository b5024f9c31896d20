// SPDX-License-Identifier: GPL-2.0-only
/**
 * Channel paths. Port of drivers/s390/cio/chp.c and chp.h. Left out: configuring through SCLP (attribute configure, chp_cfg_*,
 * chp_info_get_status), channel measurement, description formats 1 and 3 (chid, chid_external, esc, util_string).
 */
import { channel_path_desc_fmt0, chp_id, chp_id_init, chp_id_is_equal } from "#asm/chpid.ts";
import { type crw, CRW_ERC_INIT, CRW_ERC_IPARM, CRW_ERC_PERRI, CRW_ERC_PERRN, CRW_RSC_CPATH } from "#asm/crw.ts";
import { on_s390 } from "#asm/setup.ts";
import { dev_set_name, device, DEVICE_ATTR, device_register, put_device } from "#linux/device.ts";
import { EINVAL, ENODEV, ENOMEM } from "#linux/errno.ts";
import { subsys_initcall } from "#linux/init.ts";
import { sprintf } from "#linux/kernel.ts";
import { kbuild } from "#linux/module.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kmalloc, kzalloc } from "#linux/slab.ts";
import { memcpy } from "#linux/string.ts";
import { type attribute_groups, type sysfs_buf, sysfs_emit } from "#linux/sysfs.ts";
import { container_of, embed, int, type kbuf, type Sleeps, sizeof, struct, u16, u32 } from "#linux/types.ts";
import {
  chsc_chp_offline,
  chsc_chp_online,
  chsc_chp_vary,
  chsc_determine_fmt0_channel_path_desc,
  type chsc_ssd_info,
} from "./chsc.ts";
import type { subchannel } from "./cio.ts";
import { CIO_CRW_EVENT, CIO_MSG_EVENT, CIO_TRACE_EVENT } from "./cio_debug.ts";
import { crw_register_handler } from "./crw.ts";
import { css_by_id, css_schedule_eval_all, css_wait_for_slow_path } from "./css.ts";

const { EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

export const CHP_ONLINE = 0;
export const CHP_OFFLINE = 1;
export const CHP_VARY_ON = 2;
export const CHP_VARY_OFF = 3;
export const CHP_FCES_EVENT = 4;

/** A channel path, or a link on it. */
export class chp_link extends struct("chp_link", {
  chpid: embed(() => chp_id),
  fla_mask: u32(),
  fla: u16(),
}) {}

export function chp_test_bit(bitmap: kbuf, num: number): boolean {
  return (bitmap.$bytes[num >> 3]! & (128 >> (num & 7))) !== 0;
}

export class channel_path extends struct("channel_path", {
  dev: embed(() => device),
  chpid: embed(() => chp_id),
  lock: embed(() => mutex),
  state: int(),
  desc: embed(() => channel_path_desc_fmt0),
  cmg: int(),
  shared: int(),
}) {}

function to_channelpath(dev: device): channel_path {
  return container_of(dev, channel_path, "dev");
}

/** The registered path of that id, or NULL. Any context. */
export function chpid_to_chp(chpid: chp_id): channel_path | null {
  return css_by_id(chpid.cssid).chps.at(chpid.id);
}

function set_chp_logically_online(chpid: chp_id, onoff: number): void {
  chpid_to_chp(chpid)!.state = onoff;
}

/** @return 1 if the path is switched on, 0 if off, -ENODEV if it is not registered. Any context. */
export function chp_get_status(chpid: chp_id): number {
  return chpid_to_chp(chpid) ? chpid_to_chp(chpid)!.state : -ENODEV;
}

/** Operational-path mask of a subchannel: those of its paths that are not switched off. Any context. */
export function chp_get_sch_opm(sch: subchannel): number {
  const chpid = new chp_id();
  let opm = 0;

  chp_id_init(chpid);
  for (let i = 0; i < 8; i++) {
    opm <<= 1;
    chpid.id = sch.schib.pmcw.chpid.$bytes[i]!;
    if (chp_get_status(chpid) !== 0) opm |= 1;
  }
  return opm;
}
EXPORT_SYMBOL_GPL(chp_get_sch_opm);

export function chp_is_registered(chpid: chp_id): boolean {
  return chpid_to_chp(chpid) !== null;
}

function* s390_vary_chpid(chpid: chp_id, on: number): Sleeps<number> {
  CIO_TRACE_EVENT(2, sprintf(on ? "varyon%x.%02x" : "varyoff%x.%02x", chpid.cssid, chpid.id));

  const status = chp_get_status(chpid);
  if (!on && !status) return 0;

  set_chp_logically_online(chpid, on);
  yield* chsc_chp_vary(chpid, on);
  return 0;
}

function* chp_status_show(dev: device, _attr: object, buf: sysfs_buf): Sleeps<number> {
  const chp = to_channelpath(dev);

  yield* mutex_lock(chp.lock);
  const status = chp.state;
  mutex_unlock(chp.lock);

  return status ? sysfs_emit(buf, "online\n") : sysfs_emit(buf, "offline\n");
}

function* chp_status_write(dev: device, _attr: object, buf: string, count: number): Sleeps<number> {
  const cp = to_channelpath(dev);
  let error: number;

  const cmd = /^\s*(\S{1,5})/.exec(buf)?.[1];
  if (cmd === undefined) return count;

  yield* css_wait_for_slow_path();

  if (/^on/i.test(cmd) || cmd === "1") {
    yield* mutex_lock(cp.lock);
    error = yield* s390_vary_chpid(cp.chpid, 1);
    mutex_unlock(cp.lock);
  } else if (/^off/i.test(cmd) || cmd === "0") {
    yield* mutex_lock(cp.lock);
    error = yield* s390_vary_chpid(cp.chpid, 0);
    mutex_unlock(cp.lock);
  } else error = -EINVAL;

  return error < 0 ? error : count;
}
const dev_attr_status = DEVICE_ATTR("status", 0o644, chp_status_show, chp_status_write);

function* chp_type_show(dev: device, _attr: object, buf: sysfs_buf): Sleeps<number> {
  const chp = to_channelpath(dev);

  yield* mutex_lock(chp.lock);
  const type = chp.desc.desc;
  mutex_unlock(chp.lock);
  return sysfs_emit(buf, "%x\n", type);
}
const dev_attr_type = DEVICE_ATTR("type", 0o444, chp_type_show, null);

function chp_cmg_show(dev: device, _attr: object, buf: sysfs_buf): number {
  const chp = to_channelpath(dev);

  if (chp.cmg === -1) return sysfs_emit(buf, "unknown\n");
  return sysfs_emit(buf, "%x\n", chp.cmg);
}
const dev_attr_cmg = DEVICE_ATTR("cmg", 0o444, chp_cmg_show, null);

function chp_shared_show(dev: device, _attr: object, buf: sysfs_buf): number {
  const chp = to_channelpath(dev);

  if (chp.shared === -1) return sysfs_emit(buf, "unknown\n");
  return sysfs_emit(buf, "%x\n", chp.shared);
}
const dev_attr_shared = DEVICE_ATTR("shared", 0o444, chp_shared_show, null);

const chp_attr_groups: attribute_groups = [
  { attrs: [dev_attr_status.attr, dev_attr_type.attr, dev_attr_cmg.attr, dev_attr_shared.attr] },
];

function chp_release(dev: device): void {
  kfree(to_channelpath(dev));
}

/** Asks anew what the path is. @return 0 or errno. May sleep. */
export function* chp_update_desc(chp: channel_path): Sleeps<number> {
  const rc = yield* chsc_determine_fmt0_channel_path_desc(chp.chpid, chp.desc);
  if (rc) return rc;

  // What chsc_get_channel_measurement_chars() leaves where there is no measurement.
  chp.shared = -1;
  chp.cmg = -1;

  return 0;
}

/** Registers a channel path, if it is not yet. @return 0 or errno. May sleep. */
export function* chp_new(chpid: chp_id): Sleeps<number> {
  const css = css_by_id(chpid.cssid);
  let ret = 0;

  yield* mutex_lock(css.mutex);
  out: {
    if (chp_is_registered(chpid)) break out;

    const chp = kzalloc(channel_path, GFP_KERNEL);
    if (!chp) {
      ret = -ENOMEM;
      break out;
    }
    memcpy(chp.chpid, chpid, sizeof(chp_id));
    chp.state = 1;
    chp.dev.parent = css.device;
    chp.dev.groups = chp_attr_groups;
    chp.dev.release = chp_release;
    mutex_init(chp.lock);

    out_free: {
      ret = yield* chp_update_desc(chp);
      if (ret) break out_free;
      if ((chp.desc.flags & 0x80) === 0) {
        ret = -ENODEV;
        break out_free;
      }
      dev_set_name(chp.dev, "chp%x.%02x", chpid.cssid, chpid.id);

      ret = yield* device_register(chp.dev);
      if (ret) {
        CIO_MSG_EVENT(0, "Could not register chp%x.%02x: %d\n", chpid.cssid, chpid.id, ret);
        yield* put_device(chp.dev);
        break out;
      }

      css.chps.set(chpid.id, chp);
      break out;
    }
    kfree(chp);
  }
  mutex_unlock(css.mutex);
  return ret;
}

/** A copy of a path's description, which the caller frees; NULL on error. May sleep. */
export function* chp_get_chp_desc(chpid: chp_id): Sleeps<channel_path_desc_fmt0 | null> {
  const chp = chpid_to_chp(chpid);
  if (!chp) return null;
  const desc = kmalloc(channel_path_desc_fmt0, GFP_KERNEL);
  if (!desc) return null;

  yield* mutex_lock(chp.lock);
  memcpy(desc, chp.desc, sizeof(channel_path_desc_fmt0));
  mutex_unlock(chp.lock);
  return desc;
}

function* chp_process_crw(crw0: crw | null, _crw1: crw | null, overflow: number): Sleeps {
  const chpid = new chp_id();

  if (overflow) {
    yield* css_schedule_eval_all();
    return;
  }
  const c = crw0!;
  CIO_CRW_EVENT(
    2,
    "CRW reports slct=%d, oflw=%d, chn=%d, rsc=%X, anc=%d, erc=%X, rsid=%X\n",
    c.slct,
    c.oflw,
    c.chn,
    c.rsc,
    c.anc,
    c.erc,
    c.rsid,
  );
  // What resetting a path causes needs no handling.
  if (c.slct) {
    CIO_CRW_EVENT(2, "solicited machine check for channel path %02X\n", c.rsid);
    return;
  }
  chp_id_init(chpid);
  chpid.id = c.rsid;
  switch (c.erc) {
    case CRW_ERC_IPARM:
    case CRW_ERC_INIT:
      yield* chp_new(chpid);
      yield* chsc_chp_online(chpid);
      break;
    case CRW_ERC_PERRI:
    case CRW_ERC_PERRN:
      yield* chsc_chp_offline(chpid);
      break;
    default:
      CIO_CRW_EVENT(2, "Don't know how to handle erc=%x\n", c.erc);
  }
}

/** The bit of the path in the subchannel's masks, or 0 if the subchannel is not on it. Any context. */
export function chp_ssd_get_mask(ssd: chsc_ssd_info, link: chp_link): number {
  for (let i = 0; i < 8; i++) {
    const mask = 0x80 >> i;
    if (!(ssd.path_mask & mask)) continue;
    if (!chp_id_is_equal(ssd.chpid.at(i), link.chpid)) continue;
    if (ssd.fla_valid_mask & mask && (ssd.fla.at(i) & link.fla_mask) !== link.fla) continue;
    return mask;
  }
  return 0;
}
EXPORT_SYMBOL_GPL(chp_ssd_get_mask);

function* chp_init(): Sleeps<number> {
  const ret = yield* crw_register_handler(CRW_RSC_CPATH, chp_process_crw);
  if (ret) return ret;
  // Without SCLP nobody can say which paths there are: those of the subchannels are registered with these.
  return 0;
}
subsys_initcall(on_s390(chp_init));
