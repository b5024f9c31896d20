// SPDX-License-Identifier: GPL-2.0-only
/** The driver that gives any PCI device to user space. */
import { dev_get_drvdata, dev_set_drvdata } from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { EINVAL, ENODEV, ENOENT } from "#linux/errno.ts";
import { kbuild } from "#linux/export.ts";
import { kconfig } from "#linux/kconfig.ts";
import { sprintf, sscanf } from "#linux/kernel.ts";
import { param_bool, param_string } from "#linux/moduleparam.ts";
import {
  __pci_register_driver,
  pci_add_dynid,
  PCI_ANY_ID,
  type pci_dev,
  PCI_DEVICE_ID_INTEL_DSA_SPR0,
  PCI_DEVICE_ID_INTEL_IAX_SPR0,
  PCI_DEVICE_ID_INTEL_QAT_C3XXX,
  PCI_DEVICE_ID_INTEL_QAT_C3XXX_VF,
  PCI_DEVICE_ID_INTEL_QAT_C62X,
  PCI_DEVICE_ID_INTEL_QAT_C62X_VF,
  PCI_DEVICE_ID_INTEL_QAT_DH895XCC,
  PCI_DEVICE_ID_INTEL_QAT_DH895XCC_VF,
  type pci_device_id,
  pci_driver,
  PCI_DRIVER_OVERRIDE_DEVICE_VFIO,
  pci_unregister_driver,
  PCI_VENDOR_ID_INTEL,
  pci_warn,
} from "#linux/pci.ts";
import { pr_info, pr_warn } from "#linux/printk.ts";
import { container_of, initialise, type Sleeps } from "#linux/types.ts";
import { vfio_alloc_device, type vfio_device, type vfio_device_ops, vfio_put_device } from "#linux/vfio.ts";
import {
  vfio_pci_core_close_device,
  vfio_pci_core_device,
  vfio_pci_core_disable,
  vfio_pci_core_enable,
  vfio_pci_core_err_handlers,
  vfio_pci_core_finish_enable,
  vfio_pci_core_init_dev,
  vfio_pci_core_ioctl,
  vfio_pci_core_ioctl_feature,
  vfio_pci_core_match,
  vfio_pci_core_mmap,
  vfio_pci_core_read,
  vfio_pci_core_register_device,
  vfio_pci_core_release_dev,
  vfio_pci_core_request,
  vfio_pci_core_set_params,
  vfio_pci_core_sriov_configure,
  vfio_pci_core_unregister_device,
  vfio_pci_core_write,
} from "#linux/vfio_pci_core.ts";
import { vfio_pci_igd_init } from "./vfio_pci_igd.ts";
import { vfio_pci_is_vga } from "./vfio_pci_priv.ts";

const { THIS_MODULE, KBUILD_MODNAME, per_boot, module_param_named, module_init, module_exit, MODULE_LICENSE } = kbuild(
  import.meta.url,
);

const p = per_boot(() => ({
  ids: "",
  nointxmask: false,
  disable_vga: false,
  disable_idle_d3: false,
  enable_sriov: false,
  disable_denylist: false,
}));
module_param_named(
  "ids",
  param_string(() => p, "ids", 1024),
  0,
);
module_param_named(
  "nointxmask",
  param_bool(() => p, "nointxmask"),
  0o644,
);
module_param_named(
  "disable_vga",
  param_bool(() => p, "disable_vga"),
  0o444,
);
module_param_named(
  "disable_idle_d3",
  param_bool(() => p, "disable_idle_d3"),
  0o644,
);
module_param_named(
  "enable_sriov",
  param_bool(() => p, "enable_sriov"),
  0o644,
);
module_param_named(
  "disable_denylist",
  param_bool(() => p, "disable_denylist"),
  0o444,
);

function vfio_pci_dev_in_denylist(pdev: pci_dev): boolean {
  switch (pdev.vendor) {
    case PCI_VENDOR_ID_INTEL:
      switch (pdev.device) {
        case PCI_DEVICE_ID_INTEL_QAT_C3XXX:
        case PCI_DEVICE_ID_INTEL_QAT_C3XXX_VF:
        case PCI_DEVICE_ID_INTEL_QAT_C62X:
        case PCI_DEVICE_ID_INTEL_QAT_C62X_VF:
        case PCI_DEVICE_ID_INTEL_QAT_DH895XCC:
        case PCI_DEVICE_ID_INTEL_QAT_DH895XCC_VF:
        case PCI_DEVICE_ID_INTEL_DSA_SPR0:
        case PCI_DEVICE_ID_INTEL_IAX_SPR0:
          return true;
        default:
          return false;
      }
  }

  return false;
}

function vfio_pci_is_denylisted(pdev: pci_dev): boolean {
  if (!vfio_pci_dev_in_denylist(pdev)) return false;

  if (p.disable_denylist) {
    pci_warn(pdev, "device denylist disabled - allowing device %04x:%04x.\n", pdev.vendor, pdev.device);
    return false;
  }

  pci_warn(
    pdev,
    "%04x:%04x exists in vfio-pci device denylist, driver probing disallowed.\n",
    pdev.vendor,
    pdev.device,
  );

  return true;
}

function* vfio_pci_open_device(core_vdev: vfio_device): Sleeps<number> {
  const vdev = container_of(core_vdev, vfio_pci_core_device, "vdev");
  const pdev = vdev.pdev!;

  let ret = yield* vfio_pci_core_enable(vdev);
  if (ret) return ret;

  if (vfio_pci_is_vga(pdev) && pdev.vendor === PCI_VENDOR_ID_INTEL && kconfig.CONFIG_X86) {
    ret = yield* vfio_pci_igd_init(vdev);
    if (ret && ret !== -ENODEV) {
      pci_warn(pdev, "Failed to setup Intel IGD regions\n");
      yield* vfio_pci_core_disable(vdev);
      return ret;
    }
  }

  yield* vfio_pci_core_finish_enable(vdev);

  return 0;
}

const vfio_pci_ops: vfio_device_ops = {
  name: "vfio-pci",
  init: vfio_pci_core_init_dev,
  release: vfio_pci_core_release_dev,
  open_device: vfio_pci_open_device,
  close_device: vfio_pci_core_close_device,
  ioctl: vfio_pci_core_ioctl,
  device_feature: vfio_pci_core_ioctl_feature,
  read: vfio_pci_core_read,
  write: vfio_pci_core_write,
  mmap: vfio_pci_core_mmap,
  request: vfio_pci_core_request,
  match: vfio_pci_core_match,
};

function* vfio_pci_probe(pdev: pci_dev, _id: pci_device_id): Sleeps<number> {
  if (vfio_pci_is_denylisted(pdev)) return -EINVAL;

  const vdev = yield* vfio_alloc_device(vfio_pci_core_device, "vdev", pdev.dev, vfio_pci_ops);
  if (IS_ERR(vdev)) return PTR_ERR(vdev);

  dev_set_drvdata(pdev.dev, vdev);
  const ret = yield* vfio_pci_core_register_device(vdev);
  out_put_vdev: {
    if (ret) break out_put_vdev;
    return 0;
  }
  yield* vfio_put_device(vdev.vdev);
  return ret;
}

function* vfio_pci_remove(pdev: pci_dev): Sleeps {
  const vdev = dev_get_drvdata<vfio_pci_core_device>(pdev.dev)!;

  yield* vfio_pci_core_unregister_device(vdev);
  yield* vfio_put_device(vdev.vdev);
}

function* vfio_pci_sriov_configure(pdev: pci_dev, nr_virtfn: number): Sleeps<number> {
  const vdev = dev_get_drvdata<vfio_pci_core_device>(pdev.dev)!;

  if (!p.enable_sriov) return -ENOENT;

  return yield* vfio_pci_core_sriov_configure(vdev, nr_virtfn);
}

/** Any device, if its driver_override says so. */
const vfio_pci_table = (): readonly pci_device_id[] => [PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID), {}];

const s = per_boot(() => ({
  vfio_pci_driver: initialise(new pci_driver(), {
    name: "vfio-pci",
    id_table: vfio_pci_table(),
    probe: vfio_pci_probe,
    remove: vfio_pci_remove,
    sriov_configure: vfio_pci_sriov_configure,
    err_handler: vfio_pci_core_err_handlers(),
    driver_managed_dma: true,
  }),
}));

const pr_fmt = (fmt: string): string => `${KBUILD_MODNAME}: ${fmt}`;

function* vfio_pci_fill_ids(): Sleeps {
  if (p.ids === "") return;

  for (const id of p.ids.split(",")) {
    if (id === "") continue;

    const fields = sscanf(id, "%x:%x:%x:%x:%x:%x").map(Number);

    if (fields.length < 2) {
      pr_warn(pr_fmt('invalid id string "%s"\n'), id);
      continue;
    }
    const [vendor = 0, device = 0, subvendor = PCI_ANY_ID, subdevice = PCI_ANY_ID, cls = 0, class_mask = 0] = fields;

    const rc = yield* pci_add_dynid(s.vfio_pci_driver, vendor, device, subvendor, subdevice, cls, class_mask, 0n);
    const what = sprintf(
      "[%04x:%04x[%04x:%04x]] class %#08x/%08x",
      vendor,
      device,
      subvendor,
      subdevice,
      cls,
      class_mask,
    );
    if (rc) pr_warn(pr_fmt("failed to add dynamic id %s (%d)\n"), what, rc);
    else pr_info(pr_fmt("add %s\n"), what);
  }
}

function* vfio_pci_init(): Sleeps<number> {
  vfio_pci_core_set_params(p.nointxmask, p.disable_vga, p.disable_idle_d3);

  // Looks for devices as well.
  const ret = yield* __pci_register_driver(s.vfio_pci_driver, THIS_MODULE, KBUILD_MODNAME);
  if (ret) return ret;

  yield* vfio_pci_fill_ids();

  if (p.disable_denylist) pr_warn(pr_fmt("device denylist disabled.\n"));

  return 0;
}
module_init(vfio_pci_init);

function* vfio_pci_cleanup(): Sleeps {
  yield* pci_unregister_driver(s.vfio_pci_driver);
}
module_exit(vfio_pci_cleanup);

MODULE_LICENSE("GPL v2");
