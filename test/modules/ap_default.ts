// SPDX-License-Identifier: GPL-2.0-only
/** A driver for the queues that are reserved for the host, in place of zcrypt's: it takes them, and does nothing with them. */
import {
  AP_DEVICE_ID_MATCH_QUEUE_TYPE,
  AP_DRIVER_FLAG_DEFAULT,
  type ap_device,
  type ap_device_id,
  ap_driver,
  ap_driver_register,
  ap_driver_unregister,
} from "../../drivers/s390/crypto/ap_bus.ts";
import { initialise, READY, ready_int, type Sleeps } from "../../include/linux/types.ts";
import { kbuild } from "../../kernel/modpost.ts";

const { THIS_MODULE, per_boot, module_init, module_exit, MODULE_LICENSE } = kbuild(import.meta.url);

const ids: readonly ap_device_id[] = [6, 7, 8, 9, 10, 11, 12, 13, 14].map((dev_type) => ({
  dev_type,
  match_flags: AP_DEVICE_ID_MATCH_QUEUE_TYPE,
}));
const default_probe = (_dev: ap_device): Sleeps<number> => ready_int(0);
const default_remove = (_dev: ap_device): Sleeps => READY;

const s = per_boot(() => ({
  driver: initialise(new ap_driver(), {
    flags: AP_DRIVER_FLAG_DEFAULT,
    ids,
    probe: default_probe,
    remove: default_remove,
  }),
}));

function* ap_default_init(): Sleeps<number> {
  return yield* ap_driver_register(s.driver, THIS_MODULE, "ap_default");
}
function* ap_default_exit(): Sleeps {
  yield* ap_driver_unregister(s.driver);
}
module_init(ap_default_init);
module_exit(ap_default_exit);
MODULE_LICENSE("GPL");
