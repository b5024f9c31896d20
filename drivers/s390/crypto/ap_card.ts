// SPDX-License-Identifier: GPL-2.0-only
/**
 * Adapters as devices of the AP bus. Port of drivers/s390/crypto/ap_card.c. Left out, by name, as there are no messages:
 * request_count_show, request_count_store, requestq_count_show, pendingq_count_show.
 */
import { sclp_ap_configure, sclp_ap_deconfigure } from "#asm/sclp.ts";
import { type device, DEVICE_ATTR_RO, DEVICE_ATTR_RW, type device_attribute, type device_type } from "#linux/device.ts";
import { EINVAL } from "#linux/errno.ts";
import { sscanf } from "#linux/kernel.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { type attribute_group, sysfs_emit, type sysfs_buf } from "#linux/sysfs.ts";
import type { Sleeps } from "#linux/types.ts";
import {
  AP_DEFAULT_MAX_MSG_SIZE,
  AP_TAPQ_ML_FIELD_CHUNK_SIZE,
  ap_card,
  ap_send_config_uevent,
  to_ap_card,
  to_ap_dev,
} from "./ap_bus.ts";

function hwtype_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", to_ap_card(dev).ap_dev.device_type);
}
const dev_attr_hwtype = DEVICE_ATTR_RO("hwtype", hwtype_show);

function raw_hwtype_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", to_ap_card(dev).raw_hwtype);
}
const dev_attr_raw_hwtype = DEVICE_ATTR_RO("raw_hwtype", raw_hwtype_show);

function depth_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", to_ap_card(dev).queue_depth);
}
const dev_attr_depth = DEVICE_ATTR_RO("depth", depth_show);

function ap_functions_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "0x%08X\n", to_ap_card(dev).functions);
}
const dev_attr_ap_functions = DEVICE_ATTR_RO("ap_functions", ap_functions_show);

function modalias_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "ap:t%02X\n", to_ap_dev(dev).device_type);
}
const dev_attr_modalias = DEVICE_ATTR_RO("modalias", modalias_show);

function config_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", to_ap_card(dev).config ? 1 : 0);
}
function* config_store(dev: device, _attr: device_attribute, buf: string, count: number): Sleeps<number> {
  const ac = to_ap_card(dev);
  const [cfg] = sscanf(buf, "%d\n") as number[]; // %d gives numbers
  let rc = 0;

  if (cfg === undefined || cfg < 0 || cfg > 1) return -EINVAL;

  if (cfg && !ac.config) rc = sclp_ap_configure(ac.id);
  else if (!cfg && ac.config) rc = sclp_ap_deconfigure(ac.id);
  if (rc) return rc;

  ac.config = cfg !== 0;

  yield* ap_send_config_uevent(ac.ap_dev, ac.config);

  return count;
}
const dev_attr_config = DEVICE_ATTR_RW("config", config_show, config_store);

function chkstop_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%d\n", to_ap_card(dev).chkstop ? 1 : 0);
}
const dev_attr_chkstop = DEVICE_ATTR_RO("chkstop", chkstop_show);

function max_msg_size_show(dev: device, _attr: device_attribute, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%u\n", to_ap_card(dev).maxmsgsize);
}
const dev_attr_max_msg_size = DEVICE_ATTR_RO("max_msg_size", max_msg_size_show);

const ap_card_dev_attr_group: attribute_group = {
  attrs: [
    dev_attr_hwtype.attr,
    dev_attr_raw_hwtype.attr,
    dev_attr_depth.attr,
    dev_attr_ap_functions.attr,
    dev_attr_modalias.attr,
    dev_attr_config.attr,
    dev_attr_chkstop.attr,
    dev_attr_max_msg_size.attr,
  ],
};

const ap_card_type: device_type = { name: "ap_card", groups: [ap_card_dev_attr_group] };

function ap_card_device_release(dev: device): void {
  kfree(to_ap_card(dev));
}

/**
 * @id: adapter number; @queue_depth, @raw_type, @functions: as TAPQ tells them; @comp_type: type that drivers match;
 * @ml: longest message, in units of 4096 bytes, or 0
 * @return the card, to be registered, or NULL. May sleep.
 */
export function ap_card_create(
  id: number,
  queue_depth: number,
  raw_type: number,
  comp_type: number,
  functions: number,
  ml: number,
): ap_card | null {
  const ac = kzalloc(ap_card, GFP_KERNEL);
  if (!ac) return null;
  ac.ap_dev.device.release = ap_card_device_release;
  ac.ap_dev.device.type = ap_card_type;
  ac.ap_dev.device_type = comp_type;
  ac.raw_hwtype = raw_type;
  ac.queue_depth = queue_depth;
  ac.functions = functions;
  ac.id = id;
  ac.maxmsgsize = ml > 0 ? ml * AP_TAPQ_ML_FIELD_CHUNK_SIZE : AP_DEFAULT_MAX_MSG_SIZE;

  return ac;
}
