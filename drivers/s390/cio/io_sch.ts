// SPDX-License-Identifier: GPL-2.0-only
/**
 * Private data of the io_subchannel driver. Of drivers/s390/cio/io_sch.h what the subchannel side needs. Left out: the
 * ccw device, its requests and its private data.
 */
import { dev_get_drvdata, dev_set_drvdata } from "#linux/device.ts";
import { embed, struct } from "#linux/types.ts";
import type { subchannel } from "./cio.ts";
import { orb } from "./orb.ts";

export class io_subchannel_private extends struct("io_subchannel_private", {
  orb: embed(() => orb),
}) {}

export function to_io_private(sch: subchannel): io_subchannel_private | null {
  return dev_get_drvdata<io_subchannel_private>(sch.dev);
}
export function set_io_private(sch: subchannel, priv: io_subchannel_private | null): void {
  dev_set_drvdata(sch.dev, priv);
}
