// SPDX-License-Identifier: GPL-2.0-only
/** What the outside sees of one loaded tree: the tools and the tests take everything from here, and nothing by path. */
export { boot, type boot_options, found, log, type outcome, run, spawn, stacks_missed } from "./arch/machine.ts";
export { ap_hw } from "./arch/s390/ap.ts";
export { booted_mc, configure_device_tree } from "./arch/arm64/device_tree.ts";
import "./arch/arm64/setup.ts";
export { held_device, simple_device } from "./arch/s390/channel_devices.ts";
export { configure_channel_subsystem, hw } from "./arch/s390/channel_subsystem.ts";
export { dasd_3390 } from "./arch/s390/dasd_3390.ts";
export { debug_find, debug_flush, debug_set_level, debug_view } from "./arch/s390/debug.ts";
export { pci_hw, type pci_plan, q35_chipset, recorded_pci } from "./arch/x86/pci_host.ts";
export { run_user, type user_process } from "./fs/process.ts";
export { fei_inject, fei_remove } from "./fail_function.ts";
export { fault_injections, fault_points, make_it_fail, set_fail_nth, setup_fault_attr } from "./lib/fault-inject.ts";
export { uevents } from "./lib/kobject_uevent.ts";
export { kmemleak_scan, live_objects } from "./mm/kmemleak.ts";
export { modules as kbuild_modules } from "./Kbuild.ts";
export { vmlinux, module_images } from "./modpost.ts";
export { set_link_table } from "./module/main.ts";
export { may_happen } from "./outside.ts";
export { decide, set_quiet } from "./sched/decide.ts";
export { set_source_lines } from "./stacktrace.ts";
export { clock } from "./time/clock.ts";
export { trace_line, trace_subscribe } from "./trace/trace.ts";
export { trace_event_enabled } from "./trace/tracefs.ts";
