// SPDX-License-Identifier: GPL-2.0-only
/** Resets a Calxeda xgmac for VFIO. Source: drivers/vfio/platform/reset/vfio_platform_calxedaxgmac.c */
import { ENOMEM } from "#linux/errno.ts";
import { type iomem, ioremap, readl, writel } from "#linux/io.ts";
import { kbuild } from "#linux/module.ts";
import { initialise, type Sleeps } from "#linux/types.ts";
import {
  __vfio_platform_register_reset,
  type vfio_platform_device,
  vfio_platform_reset_node,
  vfio_platform_unregister_reset,
} from "../vfio_platform_private.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_ALIAS, MODULE_LICENSE, MODULE_VERSION } = kbuild(
  import.meta.url,
);

const DRIVER_VERSION = "0.1";

/** MAC configuration */
const XGMAC_CONTROL = 0x00000000;

/** Operational mode of its DMA */
const XGMAC_DMA_CONTROL = 0x00000f18;
const XGMAC_DMA_INTR_ENA = 0x00000f1c;

/** Transmission and reception are on */
const DMA_CONTROL_ST = 0x00002000;
const DMA_CONTROL_SR = 0x00000002;

const MAC_ENABLE_TX = 0x00000008;
const MAC_ENABLE_RX = 0x00000004;

function xgmac_mac_disable(ioaddr: iomem): void {
  let value = readl(ioaddr, XGMAC_DMA_CONTROL);

  value &= ~(DMA_CONTROL_ST | DMA_CONTROL_SR);
  writel(value, ioaddr, XGMAC_DMA_CONTROL);

  value = readl(ioaddr, XGMAC_CONTROL);
  value &= ~(MAC_ENABLE_TX | MAC_ENABLE_RX);
  writel(value, ioaddr, XGMAC_CONTROL);
}

function vfio_platform_calxedaxgmac_reset(vdev: vfio_platform_device): number {
  const reg = vdev.regions!.at(0);

  if (!reg.ioaddr) {
    reg.ioaddr = ioremap(reg.addr, reg.size);
    if (!reg.ioaddr) return -ENOMEM;
  }

  // No interrupts
  writel(0, reg.ioaddr, XGMAC_DMA_INTR_ENA);

  xgmac_mac_disable(reg.ioaddr);

  return 0;
}

// module_vfio_reset_handler("calxeda,hb-xgmac", vfio_platform_calxedaxgmac_reset)
const COMPAT = "calxeda,hb-xgmac";
MODULE_ALIAS(`vfio-reset:${COMPAT}`);
const s = per_boot(() => ({
  node: initialise(new vfio_platform_reset_node(), {
    owner: THIS_MODULE,
    compat: COMPAT,
    of_reset: vfio_platform_calxedaxgmac_reset,
  }),
}));
function* vfio_platform_calxedaxgmac_reset_module_init(): Sleeps<number> {
  yield* __vfio_platform_register_reset(s.node);
  return 0;
}
function vfio_platform_calxedaxgmac_reset_module_exit(): Sleeps {
  return vfio_platform_unregister_reset(COMPAT, vfio_platform_calxedaxgmac_reset);
}
module_init(vfio_platform_calxedaxgmac_reset_module_init);
module_exit(vfio_platform_calxedaxgmac_reset_module_exit);

MODULE_VERSION(DRIVER_VERSION);
MODULE_LICENSE("GPL v2");
