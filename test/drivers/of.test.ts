// SPDX-License-Identifier: GPL-2.0-only
/** Devices that are made from the device tree: names, ranges, what is passed over, and what is left when memory runs out. */
import test from "ava";
import { ENODEV } from "#linux/errno.ts";
import {
  device_node,
  of_device_is_available,
  of_match_node,
  of_node_check_flag,
  of_platform_default_populate,
  of_platform_default_populate_init,
  of_platform_device_create,
  OF_POPULATED,
  OF_POPULATED_BUS,
  type of_property,
  of_root,
  of_set_root,
} from "#linux/of.ts";
import { type platform_device, platform_device_unregister } from "#linux/platform_device.ts";
import type { Sleeps } from "#linux/types.ts";
import { configure_device_tree, type node_plan } from "../../kernel/arch/arm64/device_tree.ts";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { fault_injections, make_it_fail, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { current } from "../../kernel/sched/task.ts";
import "#linux/device.ts";
import "../../drivers/amba/bus.ts";
import "../../drivers/base/platform.ts";
import "../../kernel/arch/arm64/setup.ts";

const seen: unknown[] = [];
const say = (...x: unknown[]): void => void seen.push(...x);

/** Runs a task of the kernel on a machine with this tree. @return titles of what the checkers said */
function inKernel(tree: readonly node_plan[], body: () => Sleeps): string[] {
  seen.splice(0);
  configure_device_tree(tree);
  boot({ arch: "arm64", stacks: false });
  spawn("kernel", body());
  run();
  configure_device_tree();
  kmemleak_scan();
  return found().map((r) => r.title);
}

const BUS = "simple-bus";
const reg = (...numbers: bigint[]): { readonly reg: readonly bigint[] } => ({ reg: numbers });
const leaf = (name: string, properties: node_plan["properties"] = {}): node_plan => ({
  name,
  properties: { compatible: "klab,leaf", ...properties },
});
const bus = (name: string, properties: node_plan["properties"], ...children: node_plan[]): node_plan => ({
  name,
  properties: { compatible: BUS, ...properties },
  children,
});
const UART = { compatible: ["arm,pl011", "arm,primecell"], "arm,primecell-periphid": [0x00341011] };

interface Naming {
  readonly what: string;
  readonly tree: readonly node_plan[];
  readonly platform?: readonly string[];
  readonly amba?: readonly string[];
  readonly says?: readonly string[];
}
const NAMINGS: readonly Naming[] = [
  { what: "an address", tree: [leaf("a", reg(0x1000n, 0x10n))], platform: ["1000.a"] },
  { what: "no address", tree: [leaf("a")], platform: ["a"] },
  {
    what: "one that shares its registers: the bit of its mask",
    tree: [leaf("a", { ...reg(0x1000n, 4n), mask: [0x40] })],
    platform: ["1000.6.a"],
  },
  {
    what: "on a bus that hands on all addresses",
    tree: [bus("soc", { ranges: [] }, leaf("a", reg(0x1000n, 0x10n)), leaf("b"))],
    platform: ["soc", "1000.a", "soc:b"],
  },
  {
    what: "on a bus that hands on some",
    tree: [
      bus(
        "soc",
        { ranges: [0x1000n, 0x80000000n, 0x1000n] },
        leaf("a", reg(0x1800n, 0x10n)),
        leaf("b", reg(0x2000n, 0x10n)),
      ),
    ],
    platform: ["soc", "80000800.a", "soc:b@2000"],
  },
  {
    what: "on a bus that hands on none, which has an address itself",
    tree: [bus("i2c", reg(0x5000n, 0x100n), leaf("a", reg(0x50n, 1n)))],
    platform: ["5000.i2c", "5000.i2c:a@50"],
  },
  {
    what: "two buses deep",
    tree: [
      bus(
        "soc",
        { ranges: [0n, 0x40000000n, 0x10000n] },
        bus("in", { ranges: [0n, 0x100n, 0x100n] }, leaf("a", reg(8n, 8n))),
      ),
    ],
    platform: ["soc", "soc:in", "40000108.a"],
  },
  {
    what: "only below what is a bus",
    tree: [{ ...leaf("a"), children: [leaf("b")] }, bus("mfd", { compatible: ["x,y", "simple-mfd"] }, leaf("c"))],
    platform: ["a", "mfd", "mfd:c"],
  },
  {
    what: "not what is compatible with nothing, switched off, or a table of frequencies",
    tree: [
      { name: "chosen", properties: {} },
      leaf("a", { status: "disabled" }),
      leaf("b", { status: "ok" }),
      bus("off", { status: "fail" }, leaf("c")),
      leaf("opp", { compatible: "operating-points-v2" }),
    ],
    platform: ["b"],
  },
  {
    what: "of the AMBA bus",
    tree: [
      { name: "uart", properties: { ...UART, ...reg(0x9000n, 0x1000n) } },
      { name: "off", properties: { ...UART, ...reg(0xa000n, 0x1000n), status: "disabled" } },
    ],
    amba: ["9000.uart"],
  },
  {
    what: "of the AMBA bus, without an address",
    tree: [bus("soc", {}, { name: "uart", properties: UART }), leaf("a")],
    platform: ["soc", "a"],
    says: ["OF: amba: of_address_to_resource() failed (-22) for /soc/uart"],
  },
  {
    what: "of the AMBA bus, where somebody is",
    tree: [1, 2].map(() => ({ name: "uart", properties: { ...UART, ...reg(0x9000n, 0x1000n) } })),
    amba: ["9000.uart"],
    says: ["OF: amba_device_add() failed (-16) for /uart@9000"],
  },
];
for (const { what, tree, platform = [], amba = [], says = [] } of NAMINGS)
  test.serial(`devices: ${what}`, (t) => {
    const devices: Record<string, readonly string[]> = {};
    function* look(u: user_process): Sleeps {
      for (const b of ["platform", "amba"])
        devices[b] = (yield* u.ls(`/sys/bus/${b}/devices`)).names.map((n) => n.replace(/@$/, ""));
    }
    configure_device_tree(tree);
    boot({ arch: "arm64", stacks: false });
    run_user("init", look);
    run();
    configure_device_tree();
    t.deepEqual([...(devices.platform ?? [])].sort(), [...platform].sort());
    t.deepEqual(devices.amba, amba);
    t.deepEqual(
      log()
        .map((l) => l.text)
        .filter((l) => l.startsWith("OF:")),
      says,
    );
    kmemleak_scan();
    t.deepEqual(
      found().map((r) => r.title),
      [],
    );
  });

function ranges(dev: platform_device | null): string[] {
  const all: string[] = [];
  for (let i = 0; dev && i < dev.num_resources; i++) {
    const { start, end, name } = dev.resource!.at(i);
    all.push(`${name} ${start.toString(16)}-${end.toString(16)}`);
  }
  return all;
}
/** A node of which no device is made at boot: it is put into the tree after that. */
function plugged(name: string, properties: Record<string, of_property>): device_node {
  const node = new device_node();
  node.name = node.full_name = name;
  node.parent = of_root();
  node.$properties = new Map(Object.entries(properties));
  return node;
}
const TWO_RANGES = { compatible: "klab,leaf", reg: [0x1000n, 0x10n, 0x2000n, 0x20n], "reg-names": ["control"] };

test.serial("ranges of a device, and a node that has one already", (t) => {
  const reports = inKernel([], function* () {
    const np = plugged("a", TWO_RANGES);
    const dev = yield* of_platform_device_create(np, null, null);
    say(ranges(dev), dev!.name, of_node_check_flag(np, OF_POPULATED));
    say(yield* of_platform_device_create(np, "again", null));
    yield* platform_device_unregister(dev!);
    const named = yield* of_platform_device_create(plugged("b", TWO_RANGES), "named", null);
    say(named!.name);
    yield* platform_device_unregister(named!);
  });
  t.deepEqual(seen, [["control 1000-100f", "a 2000-201f"], "1000.a", true, null, "named"]);
  t.deepEqual(reports, []);
});

test.serial("a bus is populated once, and with it the tree", (t) => {
  const reports = inKernel([bus("soc", {}, leaf("a"))], function* () {
    const root = of_root()!;
    say(...[root, root.child!, root.child!.child!].map((n) => of_node_check_flag(n, OF_POPULATED_BUS)));
    say(yield* of_platform_default_populate(null, null));
    of_set_root(null);
    say(yield* of_platform_default_populate_init(), of_device_is_available(null), of_match_node(null, root));
    of_set_root(root);
  });
  t.deepEqual(seen, [true, true, false, 0, -ENODEV, false, null]);
  t.deepEqual(reports, []);
});

test.serial("whatever allocation fails, there is no device, and the node may have one later", (t) => {
  let nth = 1;
  const places: string[] = [];
  for (; ; nth++) {
    const reports = inKernel([], function* () {
      const np = plugged("a", TWO_RANGES);
      make_it_fail(current());
      set_fail_nth(nth);
      let dev = yield* of_platform_device_create(np, null, null);
      make_it_fail(current(), false);
      say(dev !== null, of_node_check_flag(np, OF_POPULATED));
      dev ??= yield* of_platform_device_create(np, null, null);
      say(dev !== null);
      yield* platform_device_unregister(dev!);
    });
    const [fault] = fault_injections();
    if (!fault) break;
    places.push(fault.place);
    // What sends the uevent has no memory for it: the device is there all the same.
    const there = seen[0] === true;
    t.deepEqual(seen, [there, there, true], fault.place);
    t.deepEqual(reports, [], fault.place);
  }
  for (const place of ["platform_device_alloc", "of_device_alloc", "device_private_init"])
    t.true(
      places.some((p) => p.includes(place)),
      `${place} of ${places.join(" ")}`,
    );
});
