// SPDX-License-Identifier: GPL-2.0-only
// custom: registers of devices
export {
  devm_ioremap,
  devm_ioremap_resource,
  devm_iounmap,
  iomem,
  ioport_map,
  ioport_unmap,
  ioread16,
  ioread32,
  ioread8,
  ioremap,
  iounmap,
  iowrite16,
  iowrite32,
  iowrite8,
  readl,
  readq,
  readq_relaxed,
  writel,
  writeq,
  writeq_relaxed,
} from "../../kernel/arch/iomem.ts";
