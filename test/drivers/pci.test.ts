// SPDX-License-Identifier: GPL-2.0-only
/** The PCI bus: what is found, who gets which device, what resets and power states do to it, and what happens when it goes. */
import test from "ava";
import { EBUSY, EEXIST, EINVAL, EIO, ENODEV, ENOENT, ENOMEM, ENOTTY } from "#linux/errno.ts";
import { O_RDWR } from "#linux/fcntl.ts";
import {
  iomem_resource,
  release_mem_region,
  release_region,
  request_mem_region,
  request_region,
  resource,
} from "#linux/ioport.ts";
import {
  __pci_register_driver,
  PCI_ANY_ID,
  PCI_D3cold,
  PCI_D3hot,
  type pci_dev,
  pci_dev_put,
  type pci_device_id,
  pci_driver,
  pci_enable_device,
  PCI_EXP_TYPE_ENDPOINT,
  pci_get_device,
  pci_load_and_free_saved_state,
  pci_name,
  pci_release_selected_regions,
  pci_request_selected_regions,
  pci_restore_state,
  pci_save_state,
  type pci_saved_state,
  pci_set_power_state,
  pci_store_saved_state,
  pci_unregister_driver,
  pci_walk_bus,
  pci_disable_device,
} from "#linux/pci.ts";
import { initialise, type Sleeps } from "#linux/types.ts";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import type { pci_function, function_model } from "../../kernel/arch/x86/pci_function.ts";
import { pci_hw, type pci_plan, recorded_pci } from "../../kernel/arch/x86/pci_host.ts";
import { pci_models } from "../../kernel/arch/x86/pci_models.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { sprintf } from "../../kernel/lib/vsprintf.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { MACHINE } from "../helpers/pci.ts";

import "#linux/device.ts";
import "../../drivers/iommu/intel/iommu.ts";
import "../../drivers/pci/pci-sysfs.ts";
import "../../kernel/arch/x86/pci.ts";

/** Runs the program on a machine of its own. @return titles of what the checkers said, leaks included */
function inUserSpace(body: program, pci: readonly pci_plan[] = MACHINE.pci): string[] {
  boot({ arch: "x86_64", pci });
  run_user("init", body);
  const outcome = run();
  if (outcome !== "done") throw new Error([outcome, ...found().map((r) => r.text)].join("\n"));
  kmemleak_scan();
  return found().map((r) => r.title);
}
const said = (pattern: RegExp): string[] =>
  log()
    .map((l) => l.text)
    .filter((text) => pattern.test(text));

const dev = (name: string): string => `/sys/bus/pci/devices/${name}`;
function* show(u: user_process, path: string): Sleeps<string> {
  return (yield* u.sysfs_read(path)).text;
}
/** How many bytes a file gives. */
function* sizeOf(u: user_process, path: string): Sleeps<number> {
  const fd = yield* u.open(path, O_RDWR);
  const buf = yield* u.alloc(8192);
  const ret = yield* u.pread(fd, buf, 8192, 0);
  yield* u.close(fd);
  return ret;
}
function* find(vendor: number, device: number): Sleeps<pci_dev> {
  const found = yield* pci_get_device(vendor, device, null);
  if (!found) throw new Error("no such device");
  yield* pci_dev_put(found);
  return found;
}

test("what is found on the recorded machine", (t) => {
  const names: string[] = [];
  const shown: Record<string, string> = {};
  const reports = inUserSpace(function* (u) {
    names.push(...(yield* u.getdents("/sys/bus/pci/devices")).entries.map((e) => e.name));
    for (const file of ["vendor", "device", "subsystem_vendor", "revision", "class", "modalias", "enable", "irq"])
      shown[file] = yield* show(u, `${dev("0000:00:05.0")}/${file}`);
    shown["resource"] = (yield* show(u, `${dev("0000:00:05.0")}/resource`)).split("\n")[0] ?? "";
    shown["buses"] = (yield* u.getdents("/sys/class/pci_bus")).entries.map((e) => e.name).join(" ");
    shown["secondary"] = yield* show(u, `${dev("0000:00:08.0")}/secondary_bus_number`);
    shown["subordinate"] = yield* show(u, `${dev("0000:00:08.0")}/subordinate_bus_number`);
    shown["link"] = (yield* u.readlink(dev("0000:03:02.0"))).text;
    shown["config"] = String(yield* sizeOf(u, `${dev("0000:01:00.0")}/config`));
    shown["config of PCI"] = String(yield* sizeOf(u, `${dev("0000:03:03.0")}/config`));
    shown["reset of edu"] = String(yield* u.exists(`${dev("0000:00:05.0")}/reset`));
    shown["reset methods"] = yield* show(u, `${dev("0000:01:00.0")}/reset_method`);
  }, recorded_pci);
  t.deepEqual(reports, []);
  t.deepEqual(names.filter((n) => n.startsWith("0000")).sort(), [
    "0000:00:00.0",
    "0000:00:05.0",
    "0000:00:06.0",
    "0000:00:07.0",
    "0000:00:08.0",
    "0000:00:1f.0",
    "0000:00:1f.2",
    "0000:00:1f.3",
    "0000:01:00.0",
    "0000:02:00.0",
    "0000:03:01.0",
    "0000:03:02.0",
    "0000:03:03.0",
  ]);
  t.deepEqual(shown, {
    vendor: "0x1234\n",
    device: "0x11e8\n",
    subsystem_vendor: "0x1af4\n",
    revision: "0x10\n",
    class: "0x00ff00\n",
    modalias: "pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00\n",
    enable: "0\n",
    irq: "11\n",
    resource: "0x00000000c0000000 0x00000000c00fffff 0x0000000000040200",
    buses: "0000:00 0000:01 0000:02 0000:03",
    secondary: "2\n",
    subordinate: "3\n",
    link: "../../../devices/pci0000:00/0000:00:08.0/0000:02:00.0/0000:03:02.0",
    config: "4096",
    "config of PCI": "256",
    "reset of edu": "false",
    "reset methods": "pm bus\n",
  });
  t.deepEqual(said(/bridge window/), [
    "pci 0000:00:07.0:   bridge window [io  0xd000-0xdfff]",
    "pci 0000:00:07.0:   bridge window [mem 0xc0200000-0xc02fffff]",
    "pci 0000:00:08.0:   bridge window [io  0xe000-0xefff]",
    "pci 0000:00:08.0:   bridge window [mem 0xc0300000-0xc05fffff]",
    "pci 0000:02:00.0:   bridge window [io  0xe000-0xefff]",
    "pci 0000:02:00.0:   bridge window [mem 0xc0400000-0xc05fffff]",
  ]);
});

const RESOURCES: readonly [start: bigint, end: bigint, flags: number, text: string][] = [
  [0xc000n, 0xc0ffn, 0x101, "[io  0xc000-0xc0ff]"],
  [0xc0600000n, 0xc060ffffn, 0x14220c, "[mem 0xc0600000-0xc060ffff 64bit pref]"],
  [3n, 3n, 0x1000, "[bus 03]"],
  [0n, 0xfffn, 0x20000200, "[mem size 0x00001000]"],
  [9n, 9n, 0x400, "[irq 9]"],
  [1n, 2n, 0x10200200, "[mem 0x00000001-0x00000002 window disabled]"],
  [1n, 2n, 0, "[??? 0x00000001-0x00000002 flags 0x0]"],
];
for (const [start, end, flags, text] of RESOURCES)
  test(`%pR: ${text}`, (t) => {
    t.is(sprintf("%pR", initialise(new resource(), { start, end, flags })), text);
  });

test("addresses: who has them, and who is in the way", (t) => {
  const results: unknown[] = [];
  inUserSpace(function* (u) {
    yield* u.syscall(function* () {
      const edu = yield* find(0x1234, 0x11e8);
      const bar = edu.resource.at(0);
      results.push(yield* pci_request_selected_regions(edu, 1, "first"));
      results.push(yield* pci_request_selected_regions(edu, 1, "second"));
      yield* pci_release_selected_regions(edu, 1);
      results.push(yield* pci_request_selected_regions(edu, 1, "third"));
      results.push((yield* request_mem_region(bar.start + 16n, 16n, "inside")) === null);
      yield* pci_release_selected_regions(edu, 1);
      results.push((yield* request_mem_region(bar.end, 2n, "half outside")) === null);
      results.push((yield* request_region(0x60n, 1n, "keyboard")) !== null);
      yield* release_region(0x60n, 1n);
      yield* release_region(0x60n, 1n);
      results.push(iomem_resource().child?.name);
      return 0;
    });
  });
  t.deepEqual(results, [0, -EBUSY, 0, true, true, true, "PCI Bus 0000:00"]);
  t.deepEqual(said(/can't reserve|nonexistent/), [
    "pci 0000:00:05.0: BAR 0: can't reserve [mem 0xc0000000-0xc00fffff]",
    "Trying to free nonexistent resource <0x0000000000000060-0x0000000000000060>",
  ]);
});

// Drivers

interface Seen {
  readonly probed: string[];
  readonly removed: string[];
}
function driver(name: string, table: readonly pci_device_id[] | null, seen: Seen, ret = 0): pci_driver {
  function* probe(pdev: pci_dev, id: pci_device_id): Sleeps<number> {
    seen.probed.push(`${pci_name(pdev)} ${id.driver_data ?? 0n}`);
    return ret < 0 ? ret : yield* pci_enable_device(pdev);
  }
  function remove(pdev: pci_dev): void {
    seen.removed.push(pci_name(pdev));
    pci_disable_device(pdev);
  }
  return initialise(new pci_driver(), { name, id_table: table, probe, remove });
}
const EDU_ID: pci_device_id = { vendor: 0x1234, device: 0x11e8, subvendor: PCI_ANY_ID, subdevice: PCI_ANY_ID };

/** A driver called "stub" is there while @body runs. */
function withDriver(
  table: readonly pci_device_id[] | null,
  body: (u: user_process, seen: Seen) => Sleeps,
  ret = 0,
): Seen {
  const seen: Seen = { probed: [], removed: [] };
  const reports = inUserSpace(function* (u) {
    const drv = driver("stub", table, seen, ret);
    yield* u.syscall(() => __pci_register_driver(drv, null, "stub"));
    yield* body(u, seen);
    yield* u.syscall(function* () {
      yield* pci_unregister_driver(drv);
      return 0;
    });
  });
  if (reports.length > 0) throw new Error(found()[0]?.text);
  return seen;
}
const STUB = "/sys/bus/pci/drivers/stub";

test("a driver gets all devices of its table, and loses them when it goes", (t) => {
  const seen = withDriver([EDU_ID, {}], function* () {});
  t.deepEqual(seen.probed, ["0000:00:05.0 0", "0000:03:01.0 0"]);
  t.deepEqual(seen.removed.sort(), ["0000:00:05.0", "0000:03:01.0"]);
});

test("a probe that fails says so", (t) => {
  const seen = withDriver([EDU_ID, {}], function* () {}, -ENOMEM);
  t.is(seen.probed.length, 2);
  t.deepEqual(seen.removed, []);
  t.deepEqual(said(/probe of/), [
    `stub: probe of 0000:00:05.0 failed with error -${ENOMEM}`,
    `stub: probe of 0000:03:01.0 failed with error -${ENOMEM}`,
  ]);
});

interface IdCase {
  readonly title: string;
  readonly table: readonly pci_device_id[] | null;
  /** File and what is written, in turn. */
  readonly writes: readonly (readonly [file: string, text: string])[];
  readonly rets: readonly number[];
  readonly probed: readonly string[];
}
const WITH_DATA: pci_device_id = { ...EDU_ID, driver_data: 7n };
const IDS: readonly IdCase[] = [
  {
    title: "new_id: vendor and device",
    table: null,
    writes: [["new_id", "1b36 0005"]],
    rets: [9],
    probed: ["0000:03:02.0 0"],
  },
  { title: "new_id: one field is not enough", table: null, writes: [["new_id", "1b36"]], rets: [-EINVAL], probed: [] },
  {
    title: "new_id: the same id twice",
    table: null,
    writes: [
      ["new_id", "1b36 5"],
      ["new_id", "1b36 5"],
    ],
    rets: [6, -EEXIST],
    probed: ["0000:03:02.0 0"],
  },
  {
    title: "new_id: by class",
    table: null,
    writes: [["new_id", "ffffffff ffffffff ffffffff ffffffff 020000 ffff00"]],
    rets: [49],
    probed: ["0000:01:00.0 0", "0000:03:03.0 0"],
  },
  {
    title: "new_id: another subsystem",
    table: null,
    writes: [["new_id", "1b36 5 1af4 1"]],
    rets: [13],
    probed: [],
  },
  {
    title: "new_id: data that the table does not have",
    table: [WITH_DATA, {}],
    writes: [["new_id", "1b36 5"]],
    rets: [-EINVAL],
    probed: ["0000:00:05.0 7", "0000:03:01.0 7"],
  },
  {
    title: "new_id: data that the table has",
    table: [WITH_DATA, {}],
    writes: [["new_id", "1b36 5 ffffffff ffffffff 0 0 7"]],
    rets: [30],
    probed: ["0000:00:05.0 7", "0000:03:01.0 7", "0000:03:02.0 7"],
  },
  {
    title: "remove_id: of an id that was added, of none",
    table: null,
    writes: [
      ["new_id", "1b36 5"],
      ["remove_id", "1b36 5"],
      ["remove_id", "1b36 5"],
      ["remove_id", "x"],
    ],
    rets: [6, 6, -ENODEV, -EINVAL],
    probed: ["0000:03:02.0 0"],
  },
];
for (const { title, table, writes, rets, probed } of IDS)
  test(title, (t) => {
    const got: number[] = [];
    const seen = withDriver(table, function* (u) {
      for (const [file, text] of writes) got.push(yield* u.sysfs_write(`${STUB}/${file}`, text));
    });
    t.deepEqual(got, rets);
    t.deepEqual(seen.probed, probed);
  });

test("driver_override: only that driver, even without an id; empty takes it back", (t) => {
  const got: unknown[] = [];
  const edu = dev("0000:00:05.0");
  const nic = dev("0000:01:00.0");
  const seen = withDriver([EDU_ID, {}], function* (u) {
    got.push(yield* u.sysfs_write(`${STUB}/unbind`, "0000:00:05.0"));
    yield* u.sysfs_write(`${edu}/driver_override`, "somebody\n");
    got.push(yield* show(u, `${edu}/driver_override`));
    got.push(yield* u.sysfs_write(`${STUB}/bind`, "0000:00:05.0"));
    yield* u.sysfs_write(`${edu}/driver_override`, "\n");
    got.push(yield* show(u, `${edu}/driver_override`));
    got.push(yield* u.sysfs_write(`${STUB}/bind`, "0000:00:05.0"));
    got.push(yield* u.sysfs_write(`${STUB}/bind`, "0000:01:00.0"));
    yield* u.sysfs_write(`${nic}/driver_override`, "stub");
    got.push(yield* u.sysfs_write("/sys/bus/pci/drivers_probe", "0000:01:00.0"));
    got.push(yield* u.sysfs_write("/sys/bus/pci/drivers_probe", "0000:09:00.0"));
  });
  t.deepEqual(got, [12, "somebody\n", -ENODEV, "(null)\n", 12, -ENODEV, 12, -ENODEV]);
  t.true(seen.probed.includes("0000:01:00.0 0"));
});

// Power, state, resets

test("a device without a driver stays in D0; one whose driver manages nothing does not sleep", (t) => {
  const got: string[] = [];
  const nic = dev("0000:01:00.0");
  withDriver([{ vendor: 0x8086, device: 0x10d3, subvendor: PCI_ANY_ID, subdevice: PCI_ANY_ID }, {}], function* (u) {
    const look = function* (): Sleeps {
      got.push(
        `${(yield* show(u, `${nic}/power/control`)).trim()} ${(yield* show(u, `${nic}/power/runtime_status`)).trim()} ${(yield* show(u, `${nic}/power_state`)).trim()}`,
      );
    };
    yield* look();
    yield* u.sysfs_write(`${nic}/power/control`, "auto");
    yield* u.sleep_ms(100);
    yield* look();
    yield* u.sysfs_write(`${STUB}/unbind`, "0000:01:00.0");
    yield* u.sleep_ms(100);
    yield* look();
    yield* u.sysfs_write(`${nic}/power/control`, "on");
    yield* look();
    got.push(String(yield* u.sysfs_write(`${nic}/power/control`, "off")));
  });
  t.deepEqual(got, ["on active D0", "auto active D0", "auto suspended unknown", "on active D0", String(-EINVAL)]);
});

const bars = (f: pci_function): number[] => [0, 1, 2, 3].map((n) => f.read(0x10 + 4 * n, 4));

test("D3hot and back is a reset for a device that says so: its BARs are put back", (t) => {
  inUserSpace(function* (u) {
    yield* u.syscall(function* () {
      const nic = yield* find(0x8086, 0x10d3);
      const hw = pci_hw.func("01:00.0")!;
      const before = bars(hw);
      t.is(yield* pci_set_power_state(nic, 0), 0);
      t.is(yield* pci_set_power_state(nic, PCI_D3hot), 0);
      t.is(nic.current_state, PCI_D3hot);
      t.is(hw.resets, 0);
      t.is(yield* pci_set_power_state(nic, 1), -EINVAL);
      t.is(yield* pci_set_power_state(nic, 0), 0);
      t.is(hw.resets, 1);
      t.deepEqual(bars(hw), before);
      // Without the capability nothing is below D0.
      const edu = yield* find(0x1234, 0x11e8);
      t.is(yield* pci_set_power_state(edu, PCI_D3hot), -EIO);
      t.is(edu.current_state, 0);
      // Gone, it answers with ones.
      pci_hw.pull("01:00.0");
      t.is(yield* pci_set_power_state(nic, PCI_D3hot), -EIO);
      t.is(nic.current_state, PCI_D3cold);
      return 0;
    });
  });
  t.deepEqual(said(/Unable/), ["pci 0000:01:00.0: Unable to change power state from D0 to D3hot, device inaccessible"]);
});

test("saved state: stored, loaded, restored once", (t) => {
  inUserSpace(function* (u) {
    yield* u.syscall(function* () {
      const nic = yield* find(0x8086, 0x10d3);
      const edu = yield* find(0x1234, 0x11e8);
      const hw = pci_hw.func("01:00.0")!;
      t.is(pci_store_saved_state(nic), null);
      hw.write(0xe0 + 8, 2, 0x0007);
      t.is(pci_save_state(nic), 0);
      const place = { value: pci_store_saved_state(nic) as pci_saved_state | null };
      const before = bars(hw);
      hw.reset();
      t.is(hw.read(0xe0 + 8, 2), 0);
      // That of another device has another capability.
      const wrong = { value: pci_store_saved_state(nic) };
      t.is(pci_load_and_free_saved_state(edu, wrong), -EINVAL);
      t.is(wrong.value, null);
      t.is(pci_load_and_free_saved_state(nic, place), 0);
      yield* pci_restore_state(nic);
      t.deepEqual(bars(hw), before);
      t.is(hw.read(0xe0 + 8, 2), 7);
      hw.reset();
      yield* pci_restore_state(nic);
      t.is(hw.read(0xe0 + 8, 2), 0);
      return 0;
    });
  });
});

/** As edu, but it can reset itself. */
const FLR: function_model = {
  ...pci_models.edu,
  device: 0x11e9,
  capabilities: [
    {
      id: 0x10,
      at: 0x40,
      bytes: [0, 0, 2 | (PCI_EXP_TYPE_ENDPOINT << 4), 0, 0, 0x80, 0, 0x10],
      writable: [0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0x80],
    },
  ],
  express_at: 0x40,
};
const AF: function_model = {
  ...pci_models.edu,
  device: 0x11ea,
  capabilities: [{ id: 0x13, at: 0x40, bytes: [0, 0, 6, 3, 0, 0], writable: [0, 0, 0, 0, 0, 0] }],
};

test("reset methods: which there are, which is taken, and what user space may choose", (t) => {
  const got: Record<string, unknown> = {};
  inUserSpace(
    function* (u) {
      for (const slot of ["04", "05", "06"])
        got[slot] = (yield* u.sysfs_read(`${dev(`0000:00:${slot}.0`)}/reset_method`)).text;
      const flr = dev("0000:00:04.0");
      got["reset"] = yield* u.sysfs_write(`${flr}/reset`, "1");
      got["resets"] = pci_hw.func("00:04.0")?.resets;
      got["reset 2"] = yield* u.sysfs_write(`${flr}/reset`, "2");
      const nic = dev("0000:01:00.0");
      got["only bus"] = yield* u.sysfs_write(`${nic}/reset_method`, "bus");
      got["shown"] = yield* show(u, `${nic}/reset_method`);
      got["bus reset"] = yield* u.sysfs_write(`${nic}/reset`, "1");
      got["no such"] = yield* u.sysfs_write(`${nic}/reset_method`, "flr");
      got["unknown"] = yield* u.sysfs_write(`${nic}/reset_method`, "kick");
      got["none"] = yield* u.sysfs_write(`${nic}/reset_method`, "\n");
      got["reset without"] = yield* u.sysfs_write(`${nic}/reset`, "1");
      got["default"] = yield* u.sysfs_write(`${nic}/reset_method`, "default");
      got["again"] = yield* show(u, `${nic}/reset_method`);
      got["resets of the card"] = pci_hw.func("01:00.0")?.resets;
    },
    [...MACHINE.pci, { slot: 4, device: FLR }, { slot: 6, device: AF }],
  );
  t.deepEqual(got, {
    "04": "flr\n",
    "05": "",
    "06": "af_flr\n",
    reset: 1,
    resets: 1,
    "reset 2": -EINVAL,
    "only bus": 3,
    shown: "bus\n",
    "bus reset": 1,
    "no such": -EINVAL,
    unknown: -EINVAL,
    none: 1,
    "reset without": -ENOTTY,
    default: 7,
    again: "pm bus\n",
    "resets of the card": 1,
  });
});

test("reset_subordinate resets all that is behind a bridge, and gives them back their addresses", (t) => {
  const hw = (): pci_function[] => ["02:00.0", "03:01.0", "03:02.0", "03:03.0"].map((a) => pci_hw.func(a)!);
  let resets: number[] = [];
  let same = false;
  inUserSpace(function* (u) {
    const before = hw().map(bars);
    t.is(yield* u.sysfs_write(`${dev("0000:00:08.0")}/reset_subordinate`, "1"), 1);
    // While the port holds reset nothing behind it can be reached: now it can.
    resets = hw().map((f) => f.resets);
    same = JSON.stringify(hw().map(bars)) === JSON.stringify(before);
  });
  t.deepEqual(resets, [1, 1, 1, 1]);
  t.true(same);
});

// Configuration space

test("config: read and written in pieces, to its end", (t) => {
  const read: string[] = [];
  inUserSpace(function* (u) {
    const fd = yield* u.open(`${dev("0000:00:05.0")}/config`, O_RDWR);
    const at = function* (off: number, n: number): Sleeps {
      const buf = yield* u.alloc(4096);
      const ret = yield* u.pread(fd, buf, n, off);
      read.push(`${ret} ${Buffer.from(u.peek(buf, Math.max(ret, 0))).toString("hex")}`);
    };
    yield* at(0, 4);
    yield* at(1, 6);
    yield* at(252, 16);
    yield* at(256, 16);
    t.is(yield* u.pwrite_bytes(fd, Uint8Array.of(0x20), 0x0cn), 1);
    yield* at(0x0c, 1);
    yield* u.close(fd);
  });
  t.deepEqual(read, ["4 3412e811", "6 12e811030110", "4 00000000", "0 ", "1 20"]);
});

// Devices that come and go

test("remove, rescan: the device is found again where it was", (t) => {
  const got: unknown[] = [];
  const reports = inUserSpace(function* (u) {
    const before = yield* show(u, `${dev("0000:00:05.0")}/resource`);
    got.push(yield* u.sysfs_write(`${dev("0000:00:05.0")}/remove`, "1"));
    got.push(yield* u.exists(dev("0000:00:05.0")));
    got.push(yield* u.sysfs_write("/sys/bus/pci/rescan", "1"));
    got.push((yield* show(u, `${dev("0000:00:05.0")}/resource`)) === before);
    // A bridge goes with all that is behind it.
    got.push(yield* u.sysfs_write(`${dev("0000:00:08.0")}/remove`, "1"));
    got.push(yield* u.exists(dev("0000:03:01.0")), yield* u.exists("/sys/class/pci_bus/0000:03"));
    got.push(yield* u.sysfs_write("/sys/bus/pci/rescan", "1"));
    got.push(yield* u.exists(dev("0000:03:01.0")));
  });
  t.deepEqual(reports, []);
  t.deepEqual(got, [1, false, 1, true, 1, false, false, 1, true]);
});

test("rescan: somebody else has the addresses of a device meanwhile", (t) => {
  const got: unknown[] = [];
  const reports = inUserSpace(function* (u) {
    const place = function* (): Sleeps<number> {
      return Number((yield* show(u, `${dev("0000:00:05.0")}/resource`)).split(" ")[0]);
    };
    const before = yield* place();
    yield* u.sysfs_write(`${dev("0000:00:05.0")}/remove`, "1");
    const taking = (f: () => Sleeps<unknown>): Sleeps<number> =>
      u.syscall(function* () {
        yield* f();
        return 0;
      });
    yield* taking(() => request_mem_region(BigInt(before), 16n, "other"));
    yield* u.sysfs_write("/sys/bus/pci/rescan", "1");
    const after = yield* place();
    got.push(after > before, pci_hw.func("00:05.0")!.read(0x10, 4) === after);
    yield* taking(() => release_mem_region(BigInt(before), 16n));
  });
  t.deepEqual(reports, []);
  t.deepEqual(got, [true, true]);
});

test("a device that is plugged in gets addresses, and a driver", (t) => {
  const got: unknown[] = [];
  const seen = withDriver([EDU_ID, {}], function* (u) {
    pci_hw.plug("00", { slot: 9, device: "edu" });
    got.push(yield* u.exists(dev("0000:00:09.0")));
    yield* u.sysfs_write(`${dev("0000:00:05.0")}/rescan`, "1");
    got.push((yield* show(u, `${dev("0000:00:09.0")}/resource`)).split("\n")[0]);
    got.push(pci_hw.func("00:09.0")?.read(0x10, 4));
  });
  t.deepEqual(got, [false, "0x00000000c0600000 0x00000000c06fffff 0x0000000000040200", 0xc0600000]);
  t.true(seen.probed.includes("0000:00:09.0 0"));
  t.deepEqual(said(/enabling/), ["stub 0000:00:09.0: enabling device (0000 -> 0002)"]);
});

test("a walk goes into bridges before it goes on, and ends when it is told to", (t) => {
  const seen: string[] = [];
  inUserSpace(function* (u) {
    yield* u.syscall(function* () {
      const edu = yield* find(0x1234, 0x11e8);
      yield* pci_walk_bus(edu.bus!, (pdev) => Number(seen.push(pci_name(pdev)) === 7), null);
      return 0;
    });
  });
  t.deepEqual(seen, [
    "0000:00:00.0",
    "0000:00:05.0",
    "0000:00:07.0",
    "0000:01:00.0",
    "0000:00:08.0",
    "0000:02:00.0",
    "0000:03:01.0",
  ]);
});

test("no PCI bus where there is none", (t) => {
  const got: unknown[] = [];
  boot({});
  run_user("init", function* (u) {
    got.push(yield* u.exists("/sys/bus/pci"), (yield* u.stat("/sys/bus/pci")).ret);
  });
  run();
  t.deepEqual(got, [false, -ENOENT]);
});
