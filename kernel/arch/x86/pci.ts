// SPDX-License-Identifier: GPL-2.0-only
/** The host bridge as the kernel sees it: how it reaches configuration space, and what it does with the devices at boot. Sources: arch/x86/pci/*.c */
import { EINVAL } from "#linux/errno.ts";
import { initialise, type Sleeps, type Spins } from "#linux/types.ts";
import {
  IORESOURCE_BUS,
  IORESOURCE_IO,
  IORESOURCE_MEM,
  IORESOURCE_WINDOW,
  iomem_resource,
  ioport_resource,
  request_resource,
  resource,
} from "#linux/ioport.ts";
import { list_for_each_entry } from "#linux/list.ts";
import { pci_msi_create_irq_domain } from "#linux/msi.ts";
import {
  type pci_bus,
  pci_bus_add_devices,
  PCI_BRIDGE_RESOURCES,
  PCI_CFG_SPACE_EXP_SIZE,
  pci_claim_resource,
  pci_create_root_bus,
  pci_dev,
  type pci_ops,
  PCI_ROM_RESOURCE,
  pci_scan_child_bus,
  PCIBIOS_SUCCESSFUL,
} from "#linux/pci.ts";
import { on_x86 } from "#asm/setup.ts";
import { per_boot } from "../../boot.ts";
import { subsys_initcall } from "../../init.ts";
import { HOST_WINDOWS } from "./pci_firmware.ts";
import { hw_pci_read, hw_pci_write, MSI_DOORBELL, pci_present } from "./pci_host.ts";

/* Configuration space ends with the 4096 bytes that are mapped for a function. Source: arch/x86/pci/mmconfig_64.c */
const pci_root_ops: pci_ops = {
  read: (bus, devfn, where, size, val) => {
    if (where >= PCI_CFG_SPACE_EXP_SIZE) return -EINVAL;
    val.value = hw_pci_read(bus.number, devfn, where, size);
    return PCIBIOS_SUCCESSFUL;
  },
  write: (bus, devfn, where, size, val) => {
    if (where >= PCI_CFG_SPACE_EXP_SIZE) return -EINVAL;
    hw_pci_write(bus.number, devfn, where, size, val);
    return PCIBIOS_SUCCESSFUL;
  },
};

const s = per_boot(() => {
  const window = (name: string, flags: number, [start, end]: readonly [number, number]): resource =>
    initialise(new resource(), { name, start: BigInt(start), end: BigInt(end), flags });
  return {
    io: window("PCI Bus 0000:00", IORESOURCE_IO | IORESOURCE_WINDOW, HOST_WINDOWS.io),
    mem: window("PCI Bus 0000:00", IORESOURCE_MEM | IORESOURCE_WINDOW, HOST_WINDOWS.mem),
    bus: window("PCI busn", IORESOURCE_BUS, [0, 255]),
  };
});

/** The addresses that the firmware has given out, from the root down. */
function* pcibios_resource_survey(bus: pci_bus): Spins {
  for (const dev of list_for_each_entry(bus.devices, pci_dev, "bus_list")) {
    for (let i = 0; i < dev.resource.length; i++) {
      const res = dev.resource.at(i);
      if (i < PCI_ROM_RESOURCE || i >= PCI_BRIDGE_RESOURCES)
        if (res.flags && !res.parent) yield* pci_claim_resource(dev, i);
      if (i === PCI_ROM_RESOURCE && res.flags && res.start && !res.parent) yield* pci_claim_resource(dev, i);
    }
    if (dev.subordinate) yield* pcibios_resource_survey(dev.subordinate);
  }
}

function* pci_subsys_init(): Sleeps<number> {
  if (!pci_present()) return 0;
  yield* request_resource(ioport_resource(), s.io);
  yield* request_resource(iomem_resource(), s.mem);

  pci_msi_create_irq_domain("PCI-MSI", MSI_DOORBELL);
  const bus = yield* pci_create_root_bus(null, 0, pci_root_ops, [s.io, s.mem, s.bus]);
  if (!bus) return 0;
  yield* pci_scan_child_bus(bus);
  yield* pcibios_resource_survey(bus);
  yield* pci_bus_add_devices(bus);
  return 0;
}
subsys_initcall(on_x86(pci_subsys_init));
