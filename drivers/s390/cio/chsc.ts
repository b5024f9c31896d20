// SPDX-License-Identifier: GPL-2.0-only
/**
 * Channel subsystem calls. Port of drivers/s390/cio/chsc.c and chsc.h as far as subchannels and their paths need it. Left out,
 * by name: chsc_ssqd, chsc_sadc, link incidents, storage class memory, AP and PCI events, channel measurement
 * (chsc_secm, chsc_get_channel_measurement_chars), formats 1 and 3 of the path description, chsc_get_cssid_iid, and all from
 * chsc_sstpc() on. Event information has no content codes here but resource accessibility (2) and path availability (7).
 */
import { css_chsc_characteristics, css_general_characteristics } from "#asm/css_chars.ts";
import { chp_id, chp_id_init, channel_path_desc_fmt0, __MAX_CHPID } from "#asm/chpid.ts";
import { type crw, CRW_RSC_CSS } from "#asm/crw.ts";
import type { subchannel_id } from "#asm/schid.ts";
import { EBUSY, EINVAL, EIO, ENODEV, ENOMEM, EOPNOTSUPP, EUSERS } from "#linux/errno.ts";
import { sprintf } from "#linux/kernel.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_DMA, GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import {
  DEFINE_SPINLOCK,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_unlock_irq,
  spin_unlock_irqrestore,
} from "#linux/spinlock.ts";
import { memcpy, memset } from "#linux/string.ts";
import {
  array,
  b16,
  b32,
  b8,
  bits,
  bytes,
  bytestruct,
  cast_to,
  embed,
  inner,
  type kbuf,
  type Sleeps,
  type Spins,
  struct,
  u16,
  u8,
  sizeof,
} from "#linux/types.ts";
import {
  CHP_FCES_EVENT,
  CHP_OFFLINE,
  CHP_ONLINE,
  CHP_VARY_OFF,
  CHP_VARY_ON,
  chp_get_status,
  chp_link,
  chp_new,
  chp_test_bit,
  chp_update_desc,
  chpid_to_chp,
} from "./chp.ts";
import { SUBCHANNEL_TYPE_IO, SUBCHANNEL_TYPE_MSG, type subchannel } from "./cio.ts";
import { CIO_CRW_EVENT, CIO_MSG_EVENT, CIO_TRACE_EVENT } from "./cio_debug.ts";
import { crw_register_handler, crw_unregister_handler } from "./crw.ts";
import {
  css_schedule_eval,
  css_schedule_eval_all,
  css_schedule_reprobe,
  css_wait_for_slow_path,
  for_each_subchannel_staged,
} from "./css.ts";
import { chsc } from "./ioasm.ts";

const { per_boot, EXPORT_SYMBOL_GPL } = kbuild(import.meta.url);

const PAGE_SIZE = 4096;
export const CHSC_SDA_OC_MSS = 0x2;

/** Paths of a subchannel, by slot. */
export class chsc_ssd_info extends struct("chsc_ssd_info", {
  path_mask: u8(),
  fla_valid_mask: u8(),
  chpid: array(
    8,
    embed(() => chp_id),
  ),
  fla: array(8, u16()),
}) {}

class chsc_header extends bytestruct("chsc_header", { length: b16(), code: b16() }) {}

const s = per_boot(() => ({
  sei_page: null as kbuf | null,
  chsc_page: null as kbuf | null,
  chsc_page_lock: DEFINE_SPINLOCK("chsc_page_lock"),
  ntsm_unsupported: 0,
}));

/** An errno for the response code of a channel subsystem call; 0 for success. Any context. */
export function chsc_error_from_response(response: number): number {
  switch (response) {
    case 0x0001:
      return 0;
    case 0x0002:
    case 0x0003:
    case 0x0006:
    case 0x0007:
    case 0x0008:
    case 0x000a:
    case 0x0104:
      return -EINVAL;
    case 0x0004:
    case 0x0106:
      return -EOPNOTSUPP;
    case 0x000b:
    case 0x0107:
      return -EBUSY;
    case 0x0100:
    case 0x0102:
      return -ENOMEM;
    case 0x0108:
      return -EUSERS;
    default:
      return -EIO;
  }
}
EXPORT_SYMBOL_GPL(chsc_error_from_response);

class chsc_ssd_area extends bytestruct("chsc_ssd_area", {
  request: inner(() => chsc_header),
  reserved1: bits(2, 0, 10),
  ssid: bits(2, 10, 2),
  f_sch: b16(),
  reserved2: b16(),
  l_sch: b16(),
  reserved3: b32(),
  response: inner(() => chsc_header),
  reserved4: b32(),
  sch_valid: bits(1, 0, 1),
  dev_valid: bits(1, 1, 1),
  st: bits(1, 2, 3),
  zeroes: bits(1, 5, 3),
  unit_addr: b8(),
  devno: b16(),
  path_mask: b8(),
  fla_valid_mask: b8(),
  sch: b16(),
  chpid: bytes(8),
  fla: bytes(16),
}) {}

/** Asks for the paths of a subchannel. @ssd: filled in. @return 0 or errno. May not sleep. */
export function* chsc_get_ssd_info(schid: subchannel_id, ssd: chsc_ssd_info): Spins<number> {
  let ret: number;

  const flags = yield* spin_lock_irqsave(s.chsc_page_lock);
  out: {
    memset(s.chsc_page!, 0, PAGE_SIZE);
    const ssd_area = cast_to(chsc_ssd_area, s.chsc_page!);
    ssd_area.request.length = 0x0010;
    ssd_area.request.code = 0x0004;
    ssd_area.ssid = schid.ssid;
    ssd_area.f_sch = schid.sch_no;
    ssd_area.l_sch = schid.sch_no;

    const ccode = chsc(s.chsc_page!);
    if (ccode > 0) {
      ret = ccode === 3 ? -ENODEV : -EBUSY;
      break out;
    }
    ret = chsc_error_from_response(ssd_area.response.code);
    if (ret !== 0) {
      CIO_MSG_EVENT(2, "chsc: ssd failed for 0.%x.%04x (rc=%04x)\n", schid.ssid, schid.sch_no, ssd_area.response.code);
      break out;
    }
    if (!ssd_area.sch_valid) {
      ret = -ENODEV;
      break out;
    }
    ret = 0;
    memset(ssd, 0, sizeof(chsc_ssd_info));
    if (ssd_area.st !== SUBCHANNEL_TYPE_IO && ssd_area.st !== SUBCHANNEL_TYPE_MSG) break out;
    ssd.path_mask = ssd_area.path_mask;
    ssd.fla_valid_mask = ssd_area.fla_valid_mask;
    for (let i = 0; i < 8; i++) {
      const mask = 0x80 >> i;
      if (ssd_area.path_mask & mask) {
        chp_id_init(ssd.chpid.at(i));
        ssd.chpid.at(i).id = ssd_area.chpid.$bytes[i]!;
      }
      if (ssd_area.fla_valid_mask & mask) ssd.fla.set(i, ssd_area.fla.$view.getUint16(2 * i));
    }
  }
  yield* spin_unlock_irqrestore(s.chsc_page_lock, flags);
  return ret;
}

function* s390_subchannel_remove_chpid(sch: subchannel, data: object | null): Sleeps<number> {
  out_unreg: {
    yield* spin_lock_irq(sch.lock!);
    if (sch.driver && sch.driver.chp_event)
      if ((yield* sch.driver.chp_event(sch, data as chp_link, CHP_OFFLINE)) !== 0) break out_unreg;
    yield* spin_unlock_irq(sch.lock!);
    return 0;
  }
  sch.lpm = 0;
  yield* spin_unlock_irq(sch.lock!);
  yield* css_schedule_eval(sch.schid);
  return 0;
}

/** A channel path has gone: tells the drivers of all subchannels on it. May sleep. */
export function* chsc_chp_offline(chpid: chp_id): Sleeps {
  const chp = chpid_to_chp(chpid);
  const link = new chp_link();

  CIO_TRACE_EVENT(2, sprintf("chpr%x.%02x", chpid.cssid, chpid.id));

  if (chp_get_status(chpid) <= 0) return;
  memset(link, 0, sizeof(chp_link));
  memcpy(link.chpid, chpid, sizeof(chp_id));
  yield* css_wait_for_slow_path();

  yield* mutex_lock(chp!.lock);
  yield* chp_update_desc(chp!);
  mutex_unlock(chp!.lock);

  yield* for_each_subchannel_staged(s390_subchannel_remove_chpid, null, link);
}

function* __s390_process_res_acc(sch: subchannel, data: object | null): Sleeps<number> {
  yield* spin_lock_irq(sch.lock!);
  if (sch.driver && sch.driver.chp_event) yield* sch.driver.chp_event(sch, data as chp_link, CHP_ONLINE);
  yield* spin_unlock_irq(sch.lock!);

  return 0;
}

function* s390_process_res_acc(link: chp_link): Sleeps {
  CIO_TRACE_EVENT(2, sprintf("accpr%x.%02x", link.chpid.cssid, link.chpid.id));
  if (link.fla !== 0) CIO_TRACE_EVENT(2, sprintf("fla%x", link.fla));
  yield* css_wait_for_slow_path();
  yield* for_each_subchannel_staged(__s390_process_res_acc, null, link);
  yield* css_schedule_reprobe();
}

function* process_fces_event(sch: subchannel, data: object | null): Sleeps<number> {
  yield* spin_lock_irq(sch.lock!);
  if (sch.driver && sch.driver.chp_event) yield* sch.driver.chp_event(sch, data as chp_link, CHP_FCES_EVENT);
  yield* spin_unlock_irq(sch.lock!);
  return 0;
}

class chsc_sei_nt0_area extends bytestruct("chsc_sei_nt0_area", {
  flags: b8(),
  vf: b8(),
  rs: b8(),
  cc: b8(),
  fla: b16(),
  rsid: b16(),
  reserved1: b32(),
  reserved2: b32(),
  ccdf: bytes(PAGE_SIZE - 24 - 16),
}) {}
const CHSC_SEI_NT0 = 1n << 63n;
const CHSC_SEI_NT2 = 1n << 61n;
const SEI_VF_FLA = 0xc0;
const SEI_RS_CHPID = 0x4;

class chsc_sei extends bytestruct("chsc_sei", {
  request: inner(() => chsc_header),
  reserved1: b32(),
  ntsm: bytes(8),
  response: inner(() => chsc_header),
  reserved2: bits(4, 0, 24),
  nt: bits(4, 24, 8),
  nt0_area: inner(() => chsc_sei_nt0_area),
}) {}

function chsc_link_from_sei(link: chp_link, sei_area: chsc_sei_nt0_area): void {
  if ((sei_area.vf & SEI_VF_FLA) !== 0) {
    link.fla = sei_area.fla;
    link.fla_mask = (sei_area.vf & SEI_VF_FLA) === SEI_VF_FLA ? 0xffff : 0xff00;
  }
}

function* chsc_process_sei_res_acc(sei_area: chsc_sei_nt0_area): Sleeps {
  const link = new chp_link();
  const chpid = new chp_id();

  CIO_CRW_EVENT(4, "chsc: resource accessibility event (rs=%02x, rs_id=%04x)\n", sei_area.rs, sei_area.rsid);
  if (sei_area.rs !== 4) return;
  chp_id_init(chpid);
  chpid.id = sei_area.rsid;
  const status = chp_get_status(chpid);
  if (!status) return;

  if (status < 0) {
    yield* chp_new(chpid);
  } else {
    const chp = chpid_to_chp(chpid)!;
    yield* mutex_lock(chp.lock);
    yield* chp_update_desc(chp);
    mutex_unlock(chp.lock);
  }
  memset(link, 0, sizeof(chp_link));
  memcpy(link.chpid, chpid, sizeof(chp_id));
  chsc_link_from_sei(link, sei_area);
  yield* s390_process_res_acc(link);
}

function* chsc_process_sei_chp_avail(sei_area: chsc_sei_nt0_area): Sleeps {
  const chpid = new chp_id();

  CIO_CRW_EVENT(4, "chsc: channel path availability information\n");
  if (sei_area.rs !== 0) return;
  const data = sei_area.ccdf;
  chp_id_init(chpid);
  for (let num = 0; num <= __MAX_CHPID; num++) {
    if (!chp_test_bit(data, num)) continue;
    chpid.id = num;

    CIO_CRW_EVENT(4, "Update information for channel path %x.%02x\n", chpid.cssid, chpid.id);
    const chp = chpid_to_chp(chpid);
    if (!chp) {
      yield* chp_new(chpid);
      continue;
    }
    yield* mutex_lock(chp.lock);
    yield* chp_update_desc(chp);
    mutex_unlock(chp.lock);
  }
}

function* chsc_process_sei_fces_event(sei_area: chsc_sei_nt0_area): Sleeps {
  const link = new chp_link();
  const chpid = new chp_id();

  CIO_CRW_EVENT(
    4,
    "chsc: FCES status notification (rs=%02x, rs_id=%04x, FCES-status=%x)\n",
    sei_area.rs,
    sei_area.rsid,
    sei_area.ccdf.$bytes[0]!,
  );

  if (sei_area.rs !== SEI_RS_CHPID) return;
  chp_id_init(chpid);
  chpid.id = sei_area.rsid;

  if (!chpid_to_chp(chpid)) return;

  memset(link, 0, sizeof(chp_link));
  memcpy(link.chpid, chpid, sizeof(chp_id));
  chsc_link_from_sei(link, sei_area);

  yield* for_each_subchannel_staged(process_fces_event, null, link);
}

function* chsc_process_sei_nt0(sei_area: chsc_sei_nt0_area): Sleeps {
  switch (sei_area.cc) {
    case 2:
      yield* chsc_process_sei_res_acc(sei_area);
      break;
    case 7:
      yield* chsc_process_sei_chp_avail(sei_area);
      break;
    case 15:
      yield* chsc_process_sei_fces_event(sei_area);
      break;
    default:
      CIO_CRW_EVENT(2, "chsc: sei nt0 unhandled cc=%d\n", sei_area.cc);
      break;
  }

  if (sei_area.flags & 0x40) {
    CIO_CRW_EVENT(2, "chsc: event overflow\n");
    yield* css_schedule_eval_all();
  }
}

function* chsc_process_event_information(page: kbuf, ntsm: bigint): Sleeps {
  for (;;) {
    memset(page, 0, PAGE_SIZE);
    const sei = cast_to(chsc_sei, page);
    sei.request.length = 0x0010;
    sei.request.code = 0x000e;
    if (!s.ntsm_unsupported) sei.ntsm.$view.setBigUint64(0, ntsm);

    if (chsc(page)) break;

    if (sei.response.code !== 0x0001) {
      const asked = sei.ntsm.$view.getBigUint64(0);
      CIO_CRW_EVENT(2, "chsc: sei failed (rc=%04x, ntsm=%llx)\n", sei.response.code, asked);

      if (sei.response.code === 3 && asked) {
        s.ntsm_unsupported = 1;
        continue;
      }
      break;
    }

    CIO_CRW_EVENT(2, "chsc: sei successful (nt=%d)\n", sei.nt);
    switch (sei.nt) {
      case 0:
        yield* chsc_process_sei_nt0(sei.nt0_area);
        break;
      default:
        CIO_CRW_EVENT(2, "chsc: unhandled nt: %d\n", sei.nt);
        break;
    }

    if (!(sei.nt0_area.flags & 0x80)) break;
  }
}

/* Reports about the channel subsystem as a whole: the events themselves are asked for. The CRW thread alone uses sei_page. */
function* chsc_process_crw(crw0: crw | null, _crw1: crw | null, overflow: number): Sleeps {
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

  CIO_TRACE_EVENT(2, "prcss");
  yield* chsc_process_event_information(s.sei_page!, CHSC_SEI_NT0 | CHSC_SEI_NT2);
}

/** A channel path has come: tells the drivers of all subchannels on it. May sleep. */
export function* chsc_chp_online(chpid: chp_id): Sleeps {
  const chp = chpid_to_chp(chpid);
  const link = new chp_link();

  CIO_TRACE_EVENT(2, sprintf("cadd%x.%02x", chpid.cssid, chpid.id));

  if (chp_get_status(chpid) !== 0) {
    memset(link, 0, sizeof(chp_link));
    memcpy(link.chpid, chpid, sizeof(chp_id));
    yield* css_wait_for_slow_path();

    // -ENODEV is not 0 either: a path that is not registered is dereferenced here.
    yield* mutex_lock(chp!.lock);
    yield* chp_update_desc(chp!);
    mutex_unlock(chp!.lock);

    yield* for_each_subchannel_staged(__s390_process_res_acc, null, link);
    yield* css_schedule_reprobe();
  }
}

function* __s390_subchannel_vary_chpid(sch: subchannel, chpid: chp_id, on: number): Spins {
  const link = new chp_link();

  memset(link, 0, sizeof(chp_link));
  memcpy(link.chpid, chpid, sizeof(chp_id));
  const flags = yield* spin_lock_irqsave(sch.lock!);
  if (sch.driver && sch.driver.chp_event) yield* sch.driver.chp_event(sch, link, on ? CHP_VARY_ON : CHP_VARY_OFF);
  yield* spin_unlock_irqrestore(sch.lock!, flags);
}

function* s390_subchannel_vary_chpid_off(sch: subchannel, data: object | null): Sleeps<number> {
  yield* __s390_subchannel_vary_chpid(sch, data as chp_id, 0);
  return 0;
}

function* s390_subchannel_vary_chpid_on(sch: subchannel, data: object | null): Sleeps<number> {
  yield* __s390_subchannel_vary_chpid(sch, data as chp_id, 1);
  return 0;
}

/** Tells the drivers of all subchannels that the operator switched a path on or off. @return 0. May sleep. */
export function* chsc_chp_vary(chpid: chp_id, on: number): Sleeps<number> {
  const chp = chpid_to_chp(chpid);

  if (on) {
    yield* chp_update_desc(chp!);
    yield* for_each_subchannel_staged(s390_subchannel_vary_chpid_on, null, chpid);
    yield* css_schedule_reprobe();
  } else yield* for_each_subchannel_staged(s390_subchannel_vary_chpid_off, null, chpid);

  return 0;
}

class chsc_scpd extends bytestruct("chsc_scpd", {
  request: inner(() => chsc_header),
  reserved1: bits(4, 0, 2),
  m: bits(4, 2, 1),
  c: bits(4, 3, 1),
  fmt: bits(4, 4, 4),
  cssid: bits(4, 8, 8),
  rfmt: bits(4, 20, 4),
  first_chpid: bits(4, 24, 8),
  reserved2: bits(4, 0, 24),
  last_chpid: bits(4, 24, 8),
  zeroes1: b32(),
  response: inner(() => chsc_header),
  reserved3: b32(),
  data: bytes(16),
}) {}

function chsc_determine_channel_path_desc(
  chpid: chp_id,
  fmt: number,
  rfmt: number,
  c: number,
  m: number,
  page: kbuf,
): number {
  if ((rfmt === 1 || rfmt === 0) && c === 1 && !css_general_characteristics.fcs) return -EINVAL;
  if (rfmt === 2 && !css_general_characteristics.cib) return -EINVAL;
  if (rfmt === 3 && !css_general_characteristics.util_str) return -EINVAL;

  memset(page, 0, PAGE_SIZE);
  const scpd_area = cast_to(chsc_scpd, page);
  scpd_area.request.length = 0x0010;
  scpd_area.request.code = 0x0002;
  scpd_area.cssid = chpid.cssid;
  scpd_area.first_chpid = chpid.id;
  scpd_area.last_chpid = chpid.id;
  scpd_area.m = m;
  scpd_area.c = c;
  scpd_area.fmt = fmt;
  scpd_area.rfmt = rfmt;

  const ccode = chsc(page);
  if (ccode > 0) return ccode === 3 ? -ENODEV : -EBUSY;

  const ret = chsc_error_from_response(scpd_area.response.code);
  if (ret) CIO_CRW_EVENT(2, "chsc: scpd failed (rc=%04x)\n", scpd_area.response.code);
  return ret;
}
EXPORT_SYMBOL_GPL(chsc_determine_channel_path_desc);

/** The basic description of a channel path. @return 0 or errno. May not sleep. */
export function* chsc_determine_fmt0_channel_path_desc(chpid: chp_id, desc: channel_path_desc_fmt0): Spins<number> {
  const flags = yield* spin_lock_irqsave(s.chsc_page_lock);
  const ret = chsc_determine_channel_path_desc(chpid, 0, 0, 0, 0, s.chsc_page!);
  if (!ret) memcpy(desc, cast_to(chsc_scpd, s.chsc_page!).data, sizeof(channel_path_desc_fmt0));
  yield* spin_unlock_irqrestore(s.chsc_page_lock, flags);
  return ret;
}

export function* chsc_init(): Sleeps<number> {
  let ret: number;

  s.sei_page = kzalloc(PAGE_SIZE, GFP_KERNEL | GFP_DMA);
  s.chsc_page = kzalloc(PAGE_SIZE, GFP_KERNEL | GFP_DMA);
  out_err: {
    if (!s.sei_page || !s.chsc_page) {
      ret = -ENOMEM;
      break out_err;
    }
    ret = yield* crw_register_handler(CRW_RSC_CSS, chsc_process_crw);
    if (ret) break out_err;
    return ret;
  }
  kfree(s.chsc_page);
  kfree(s.sei_page);
  return ret;
}

export function* chsc_init_cleanup(): Sleeps {
  yield* crw_unregister_handler(CRW_RSC_CSS);
  kfree(s.chsc_page);
  kfree(s.sei_page);
}

class chsc_sda_area extends bytestruct("chsc_sda_area", {
  request: inner(() => chsc_header),
  reserved1: bits(1, 0, 4),
  format: bits(1, 4, 4),
  reserved2: b8(),
  operation_code: b16(),
  reserved3: bytes(8 + 252 * 4),
  response: inner(() => chsc_header),
}) {}

function __chsc_enable_facility(page: kbuf, operation_code: number): number {
  const sda_area = cast_to(chsc_sda_area, page);
  sda_area.request.length = 0x0400;
  sda_area.request.code = 0x0031;
  sda_area.operation_code = operation_code;

  const ret = chsc(page);
  if (ret > 0) return ret === 3 ? -ENODEV : -EBUSY;

  switch (sda_area.response.code) {
    case 0x0101:
      return -EOPNOTSUPP;
    default:
      return chsc_error_from_response(sda_area.response.code);
  }
}

/** Switches a facility of the channel subsystem on. @return 0 or errno. May not sleep. */
export function* chsc_enable_facility(operation_code: number): Spins<number> {
  const flags = yield* spin_lock_irqsave(s.chsc_page_lock);
  memset(s.chsc_page!, 0, PAGE_SIZE);

  const ret = __chsc_enable_facility(s.chsc_page!, operation_code);
  if (ret !== 0)
    CIO_CRW_EVENT(
      2,
      "chsc: sda (oc=%x) failed (rc=%04x)\n",
      operation_code,
      cast_to(chsc_sda_area, s.chsc_page!).response.code,
    );

  yield* spin_unlock_irqrestore(s.chsc_page_lock, flags);
  return ret;
}

class chsc_scsc_area extends bytestruct("chsc_scsc_area", {
  request: inner(() => chsc_header),
  reserved1: bytes(12),
  response: inner(() => chsc_header),
  reserved4: b32(),
  general_char: bytes(510 * 4),
  chsc_char: bytes(508 * 4),
}) {}

/** Asks what the channel subsystem can do. @return 0 or errno. May not sleep. */
export function* chsc_determine_css_characteristics(): Spins<number> {
  let result: number;

  const flags = yield* spin_lock_irqsave(s.chsc_page_lock);
  exit: {
    memset(s.chsc_page!, 0, PAGE_SIZE);
    const scsc_area = cast_to(chsc_scsc_area, s.chsc_page!);
    scsc_area.request.length = 0x0010;
    scsc_area.request.code = 0x0010;

    result = chsc(s.chsc_page!);
    if (result) {
      result = result === 3 ? -ENODEV : -EBUSY;
      break exit;
    }

    result = chsc_error_from_response(scsc_area.response.code);
    if (result === 0) {
      const general = scsc_area.general_char.$bytes;
      const subsystem = scsc_area.chsc_char.$bytes;
      const g = css_general_characteristics;
      g.mcss = bit(general, 45);
      g.fcs = bit(general, 46);
      g.cib = bit(general, 82);
      g.fcx = bit(general, 88);
      g.util_str = bit(general, 123);
      css_chsc_characteristics.secm = bit(subsystem, 84);
      css_chsc_characteristics.scmc = bit(subsystem, 86);
    } else CIO_CRW_EVENT(2, "chsc: scsc failed (rc=%04x)\n", scsc_area.response.code);
  }
  yield* spin_unlock_irqrestore(s.chsc_page_lock, flags);
  return result;
}

function bit(of: Uint8Array, n: number): number {
  return (of[n >> 3]! >> (7 - (n & 7))) & 1;
}
