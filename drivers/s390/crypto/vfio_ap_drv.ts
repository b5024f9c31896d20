// SPDX-License-Identifier: GPL-2.0-only
/** vfio_ap: the driver of AP queues that are passed through. Port of drivers/s390/crypto/vfio_ap_drv.c. */
import { ap_instructions_available, ap_qci } from "#asm/ap.ts";
import {
  type debug_info_t,
  debug_register,
  debug_register_view,
  debug_set_level,
  debug_sprintf_view,
  debug_unregister,
} from "#asm/debug.ts";
import { test_facility } from "#asm/facility.ts";
import {
  bus_register,
  bus_type,
  bus_unregister,
  dev_set_name,
  type device,
  device_driver,
  device_register,
  device_unregister,
  driver_register,
  driver_unregister,
  put_device,
  root_device_register,
  root_device_unregister,
} from "#linux/device.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { ENODEV, ENOENT, ENOMEM } from "#linux/errno.ts";
import { INIT_LIST_HEAD } from "#linux/list.ts";
import { kbuild } from "#linux/module.ts";
import { mutex_init } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import { container_of, initialise, type Sleeps } from "#linux/types.ts";
import {
  AP_DEVICE_ID_MATCH_QUEUE_TYPE,
  AP_DEVICE_TYPE_CEX4,
  AP_DEVICE_TYPE_CEX5,
  AP_DEVICE_TYPE_CEX6,
  AP_DEVICE_TYPE_CEX7,
  AP_DEVICE_TYPE_CEX8,
  type ap_device_id,
  ap_driver,
  ap_driver_register,
  ap_driver_unregister,
} from "./ap_bus.ts";
import { DBF_MAX_SPRINTF_ARGS, DBF_WARN } from "./vfio_ap_debug.ts";
import {
  vfio_ap_mdev_probe_queue,
  vfio_ap_mdev_register,
  vfio_ap_mdev_remove_queue,
  vfio_ap_mdev_resource_in_use,
  vfio_ap_mdev_unregister,
  vfio_ap_on_cfg_changed,
  vfio_ap_on_scan_complete,
} from "./vfio_ap_ops.ts";
import { ap_matrix_dev, VFIO_AP_DRV_NAME } from "./vfio_ap_private.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

const VFIO_AP_ROOT_NAME = "vfio_ap";
const VFIO_AP_DEV_NAME = "matrix";

MODULE_LICENSE("GPL v2");

// CEX4 and later
const ap_queue_ids: readonly ap_device_id[] = [
  { dev_type: AP_DEVICE_TYPE_CEX4, match_flags: AP_DEVICE_ID_MATCH_QUEUE_TYPE },
  { dev_type: AP_DEVICE_TYPE_CEX5, match_flags: AP_DEVICE_ID_MATCH_QUEUE_TYPE },
  { dev_type: AP_DEVICE_TYPE_CEX6, match_flags: AP_DEVICE_ID_MATCH_QUEUE_TYPE },
  { dev_type: AP_DEVICE_TYPE_CEX7, match_flags: AP_DEVICE_ID_MATCH_QUEUE_TYPE },
  { dev_type: AP_DEVICE_TYPE_CEX8, match_flags: AP_DEVICE_ID_MATCH_QUEUE_TYPE },
];

/** What C has as variables that the files of the module share. */
export const vfio_ap = per_boot(() => ({
  matrix_dev: null as ap_matrix_dev | null,
  vfio_ap_dbf_info: null as debug_info_t | null,
}));

const s = per_boot(() => {
  const matrix_bus = initialise(new bus_type(), { name: "matrix", match: matrix_bus_match });
  return {
    vfio_ap_drv: initialise(new ap_driver(), {
      probe: vfio_ap_mdev_probe_queue,
      remove: vfio_ap_mdev_remove_queue,
      in_use: vfio_ap_mdev_resource_in_use,
      on_config_changed: vfio_ap_on_cfg_changed,
      on_scan_complete: vfio_ap_on_scan_complete,
      ids: ap_queue_ids,
    }),
    matrix_bus,
    matrix_driver: initialise(new device_driver(), { name: "vfio_ap", bus: matrix_bus, suppress_bind_attrs: true }),
  };
});

function vfio_ap_matrix_dev_release(dev: device): void {
  kfree(container_of(dev, ap_matrix_dev, "device"));
}

function matrix_bus_match(_dev: device, _drv: device_driver): number {
  return 1;
}

function* vfio_ap_matrix_dev_create(): Sleeps<number> {
  let ret: number;

  const root_device = yield* root_device_register(VFIO_AP_ROOT_NAME, THIS_MODULE);
  if (IS_ERR(root_device)) return PTR_ERR(root_device);

  bus_register_err: {
    ret = yield* bus_register(s.matrix_bus);
    if (ret) break bus_register_err;

    matrix_alloc_err: {
      const matrix_dev = kzalloc(ap_matrix_dev, GFP_KERNEL);
      vfio_ap.matrix_dev = matrix_dev;
      if (!matrix_dev) {
        ret = -ENOMEM;
        break matrix_alloc_err;
      }

      if (test_facility(12)) {
        ret = ap_qci(matrix_dev.info);
        if (ret) break matrix_alloc_err;
      }

      mutex_init(matrix_dev.mdevs_lock, "&matrix_dev->mdevs_lock");
      INIT_LIST_HEAD(matrix_dev.mdev_list);
      mutex_init(matrix_dev.guests_lock, "&matrix_dev->guests_lock");

      dev_set_name(matrix_dev.device, "%s", VFIO_AP_DEV_NAME);
      matrix_dev.device.parent = root_device;
      matrix_dev.device.bus = s.matrix_bus;
      matrix_dev.device.release = vfio_ap_matrix_dev_release;
      matrix_dev.vfio_ap_drv = s.vfio_ap_drv;

      matrix_reg_err: {
        ret = yield* device_register(matrix_dev.device);
        if (ret) break matrix_reg_err;

        matrix_drv_err: {
          ret = yield* driver_register(s.matrix_driver);
          if (ret) break matrix_drv_err;

          return 0;
        }
        yield* device_unregister(matrix_dev.device);
      }
      yield* put_device(matrix_dev.device);
    }
    yield* bus_unregister(s.matrix_bus);
  }
  yield* root_device_unregister(root_device);
  return ret;
}

function* vfio_ap_matrix_dev_destroy(): Sleeps {
  const root_device = vfio_ap.matrix_dev!.device.parent;

  yield* driver_unregister(s.matrix_driver);
  yield* device_unregister(vfio_ap.matrix_dev!.device);
  yield* bus_unregister(s.matrix_bus);
  yield* root_device_unregister(root_device!);
}

function* vfio_ap_dbf_info_init(): Sleeps<number> {
  vfio_ap.vfio_ap_dbf_info = yield* debug_register("vfio_ap", 1, 1, DBF_MAX_SPRINTF_ARGS * 8);

  if (!vfio_ap.vfio_ap_dbf_info) return -ENOENT;

  debug_register_view(vfio_ap.vfio_ap_dbf_info, debug_sprintf_view);
  debug_set_level(vfio_ap.vfio_ap_dbf_info, DBF_WARN);

  return 0;
}

function* vfio_ap_init(): Sleeps<number> {
  let ret = yield* vfio_ap_dbf_info_init();
  if (ret) return ret;

  // Nothing to pass through
  if (!ap_instructions_available()) return -ENODEV;

  ret = yield* vfio_ap_matrix_dev_create();
  if (ret) return ret;

  ret = yield* ap_driver_register(s.vfio_ap_drv, THIS_MODULE, VFIO_AP_DRV_NAME);
  if (ret) {
    yield* vfio_ap_matrix_dev_destroy();
    return ret;
  }

  ret = yield* vfio_ap_mdev_register();
  if (ret) {
    yield* ap_driver_unregister(s.vfio_ap_drv);
    yield* vfio_ap_matrix_dev_destroy();

    return ret;
  }

  return 0;
}

function* vfio_ap_exit(): Sleeps {
  yield* vfio_ap_mdev_unregister();
  yield* ap_driver_unregister(s.vfio_ap_drv);
  yield* vfio_ap_matrix_dev_destroy();
  yield* debug_unregister(vfio_ap.vfio_ap_dbf_info);
}

module_init(vfio_ap_init);
module_exit(vfio_ap_exit);
