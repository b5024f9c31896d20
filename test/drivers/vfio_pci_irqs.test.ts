// SPDX-License-Identifier: GPL-2.0-only
/** Interrupts of vfio-pci as user space sees them: the pin, MSI and MSI-X; what is refused; masking; and what is left when the device is closed. */
import test from "ava";
import { EBADF, EBUSY, EINVAL, ENOTTY, ERANGE } from "#linux/errno.ts";
import {
  irq_bypass_consumer,
  irq_bypass_producer,
  irq_bypass_register_consumer,
  irq_bypass_register_producer,
  irq_bypass_unregister_consumer,
  irq_bypass_unregister_producer,
} from "#linux/irqbypass.ts";
import { initialise, type Sleeps } from "#linux/types.ts";
import { log } from "../../kernel/arch/machine.ts";
import type { function_model } from "../../kernel/arch/x86/pci_function.ts";
import { pci_hw, type pci_plan } from "../../kernel/arch/x86/pci_host.ts";
import { pci_models } from "../../kernel/arch/x86/pci_models.ts";
import type { program, user_process } from "../../kernel/fs/process.ts";
import { irq_to_desc } from "../../kernel/irq/manage.ts";
import { fault_injections, make_it_fail, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import {
  BUS3,
  DEVICE_FEATURE,
  EDU,
  give,
  MACHINE,
  NIC,
  opening,
  place,
  RESET,
  takeBack,
  withBound,
  words,
} from "../helpers/pci.ts";
import {
  BOOL,
  command,
  EVENTFD,
  eventfd,
  INTX,
  MASK,
  MSI,
  MSIX,
  NONE,
  onMachine,
  peek,
  poke,
  setIrqs,
  signal,
  signalled,
  TRIGGER,
  UNMASK,
} from "../helpers/pci_io.ts";
import { type BusDevice, loadModules, pciDevice, unloadModules } from "../helpers/vfio-bus.ts";

import "#linux/device.ts";
import "../../drivers/iommu/intel/iommu.ts";
import "../../drivers/pci/pci-sysfs.ts";
import "../../kernel/arch/x86/pci.ts";
import "../../drivers/vfio/vfio_main.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/virqfd.ts";
import "../../drivers/vfio/pci/vfio_pci_core.ts";
import "../../drivers/vfio/pci/vfio_pci.ts";

const IRQ_STATUS = 0x24;
const IRQ_RAISE = 0x60;
const IRQ_ACK = 0x64;
/** Of the driver: errors that the bus reports, and the request to give the device back. */
const ERR = 3;
const REQ = 4;
/** The line that the edu devices share. */
const LINE = 11;

const said = (): string[] =>
  log()
    .map((l) => l.text)
    .filter((text) => /^vfio-pci.*irq bypass|^genirq/.test(text));

const opened = (d: BusDevice, body: (u: user_process, device: number) => Sleeps): program =>
  function* (u) {
    yield* withBound(u, d === BUS3[0] ? BUS3 : [d], () => opening(u, d, ({ device }) => body(u, device)));
  };
/** The device is open; memory and bus mastering are on. @return what the body said */
function saying(
  d: BusDevice,
  body: (u: user_process, device: number, say: (x: unknown) => void) => Sleeps,
  pci: readonly pci_plan[] = MACHINE.pci,
): { readonly reports: string[]; readonly results: unknown[] } {
  const results: unknown[] = [];
  const reports = onMachine(
    pci,
    opened(d, function* (u, device) {
      yield* command(u, device, 7);
      yield* body(u, device, (x) => void results.push(x));
    }),
  );
  return { reports, results };
}

// What is refused

interface Refused {
  readonly title: string;
  readonly d: BusDevice;
  /** What is done first: an index that is enabled with as many eventfds, or nothing. */
  readonly before?: readonly [index: number, count: number];
  readonly flags: number;
  readonly index: number;
  readonly data?: readonly number[];
  readonly at?: { start?: number; count?: number; argsz?: number };
  readonly gives: number;
}
const REFUSED: readonly Refused[] = [
  { title: "no action", d: EDU, flags: NONE, index: INTX, gives: -ENOTTY, at: { count: 1 } },
  { title: "two actions", d: EDU, flags: NONE | MASK | UNMASK, index: INTX, gives: -ENOTTY, at: { count: 1 } },
  { title: "no kind of data", d: EDU, flags: TRIGGER, index: INTX, gives: -EINVAL },
  { title: "too short", d: EDU, flags: NONE | TRIGGER, index: INTX, gives: -EINVAL, at: { argsz: 19 } },
  {
    title: "data too short",
    d: EDU,
    flags: EVENTFD | TRIGGER,
    index: INTX,
    data: [0],
    gives: -EINVAL,
    at: { argsz: 23 },
  },
  { title: "INTx: no such interrupt", d: EDU, flags: NONE | TRIGGER, index: INTX, gives: -EINVAL, at: { count: 2 } },
  { title: "INTx: start", d: EDU, flags: NONE | TRIGGER, index: INTX, gives: -EINVAL, at: { start: 1, count: 1 } },
  { title: "error: no PCI Express", d: EDU, flags: EVENTFD | TRIGGER, index: ERR, data: [-1], gives: -EINVAL },
  { title: "error: masking", d: NIC, flags: NONE | MASK, index: ERR, gives: -ENOTTY, at: { count: 1 } },
  { title: "request: unmasking", d: EDU, flags: NONE | UNMASK, index: REQ, gives: -ENOTTY, at: { count: 1 } },
  { title: "request: start", d: EDU, flags: NONE | TRIGGER, index: REQ, gives: -EINVAL, at: { start: 1 } },
  { title: "no such index", d: EDU, flags: NONE | TRIGGER, index: 5, gives: -EINVAL },
  { title: "INTx is not on: trigger", d: EDU, flags: NONE | TRIGGER, index: INTX, gives: -EINVAL, at: { count: 1 } },
  { title: "INTx is not on: mask", d: EDU, flags: NONE | MASK, index: INTX, gives: -EINVAL, at: { count: 1 } },
  { title: "INTx is not on: unmask", d: EDU, flags: NONE | UNMASK, index: INTX, gives: -EINVAL, at: { count: 1 } },
  { title: "INTx is not on: off", d: EDU, flags: NONE | TRIGGER, index: INTX, gives: -EINVAL },
  { title: "INTx: no eventfd", d: EDU, flags: EVENTFD | TRIGGER, index: INTX, data: [0], gives: -EINVAL },
  { title: "INTx: no file", d: EDU, flags: EVENTFD | TRIGGER, index: INTX, data: [99], gives: -EBADF },
  {
    title: "INTx: masking by eventfd",
    d: EDU,
    before: [INTX, 1],
    flags: EVENTFD | MASK,
    index: INTX,
    data: [-1],
    gives: -ENOTTY,
  },
  {
    title: "INTx: none to mask",
    d: EDU,
    before: [INTX, 1],
    flags: NONE | MASK,
    index: INTX,
    gives: -EINVAL,
  },
  { title: "MSI: masking", d: EDU, flags: NONE | MASK, index: MSI, gives: -ENOTTY, at: { count: 1 } },
  { title: "MSI-X: unmasking", d: NIC, flags: NONE | UNMASK, index: MSIX, gives: -ENOTTY, at: { count: 1 } },
  { title: "MSI-X: the device has none", d: EDU, flags: EVENTFD | TRIGGER, index: MSIX, data: [-1], gives: -EINVAL },
  { title: "MSI is not on", d: EDU, flags: NONE | TRIGGER, index: MSI, gives: -EINVAL, at: { count: 1 } },
  { title: "MSI: no file", d: EDU, flags: EVENTFD | TRIGGER, index: MSI, data: [99], gives: -EBADF },
  { title: "MSI-X: no file", d: NIC, flags: EVENTFD | TRIGGER, index: MSIX, data: [-1, 99], gives: -EBADF },
  { title: "INTx: eventfds, none", d: EDU, flags: EVENTFD | TRIGGER, index: INTX, gives: -EINVAL },
  { title: "MSI: eventfds, none", d: EDU, flags: EVENTFD | TRIGGER, index: MSI, gives: -ERANGE },
  { title: "MSI-X: eventfds, none", d: NIC, flags: EVENTFD | TRIGGER, index: MSIX, gives: -ERANGE },
  {
    title: "MSI-X: eventfds, none behind the last",
    d: NIC,
    flags: EVENTFD | TRIGGER,
    index: MSIX,
    at: { start: 2 },
    gives: -EINVAL,
  },
  {
    title: "MSI-X: more than there are",
    d: NIC,
    flags: EVENTFD | TRIGGER,
    index: MSIX,
    data: [-1, -1],
    at: { start: 4 },
    gives: -EINVAL,
  },
  {
    title: "MSI-X: more than were enabled",
    d: NIC,
    before: [MSIX, 2],
    flags: EVENTFD | TRIGGER,
    index: MSIX,
    data: [-1],
    at: { start: 2 },
    gives: -EINVAL,
  },
  {
    title: "MSI-X: to be tried, more than were enabled",
    d: NIC,
    before: [MSIX, 2],
    flags: NONE | TRIGGER,
    index: MSIX,
    at: { start: 1, count: 2 },
    gives: -EINVAL,
  },
  {
    title: "INTx while MSI is on",
    d: EDU,
    before: [MSI, 1],
    flags: EVENTFD | TRIGGER,
    index: INTX,
    data: [-1],
    gives: -EINVAL,
  },
  {
    title: "MSI while INTx is on",
    d: EDU,
    before: [INTX, 1],
    flags: EVENTFD | TRIGGER,
    index: MSI,
    data: [-1],
    gives: -EINVAL,
  },
  {
    title: "MSI while MSI-X is on",
    d: NIC,
    before: [MSIX, 1],
    flags: EVENTFD | TRIGGER,
    index: MSI,
    data: [-1],
    gives: -EINVAL,
  },
];
test("what is refused", (t) => {
  for (const { title, d, before, flags, index, data, at, gives } of REFUSED) {
    const { reports, results } = saying(d, function* (u, device, say) {
      if (before) {
        const [which, count] = before;
        const efds: number[] = [];
        for (let i = 0; i < count; i++) efds.push(yield* eventfd(u));
        say(yield* setIrqs(u, device, EVENTFD | TRIGGER, which, efds));
      }
      say(yield* setIrqs(u, device, flags, index, data, at));
    });
    t.deepEqual(results, before ? [0, gives] : [gives], title);
    t.deepEqual(reports, [], title);
  }
});

// The pin

/** The pin of an edu device: DisINTx masks it (PCI 2.3), or with nointxmask the line itself. */
for (const nointxmask of [false, true]) {
  const title = nointxmask ? "the line has to be masked" : "the device masks";
  const run = (
    body: (u: user_process, device: number, efd: number, say: (x: unknown) => void) => Sleeps,
  ): { reports: string[]; results: unknown[] } => {
    const results: unknown[] = [];
    const reports = onMachine(MACHINE.pci, function* (u) {
      for (const name of EDU.modules)
        yield* u.finit_module(name, nointxmask && name === "vfio_pci" ? "nointxmask=1" : "");
      yield* give(u, EDU);
      yield* opening(u, EDU, function* ({ device }) {
        yield* command(u, device, 3);
        const efd = yield* eventfd(u);
        if ((yield* setIrqs(u, device, EVENTFD | TRIGGER, INTX, [efd])) !== 0) throw new Error("no INTx");
        yield* body(u, device, efd, (x) => void results.push(x));
      });
      results.push(irq_to_desc(LINE)?.action ?? null);
      yield* takeBack(u, EDU);
      yield* unloadModules(u, EDU);
    });
    return { reports, results };
  };

  test(`INTx comes once, until it is unmasked: ${title}`, (t) => {
    const { reports, results } = run(function* (u, device, efd, say) {
      say(yield* signalled(u, efd));
      yield* poke(u, device, 0, IRQ_RAISE, 1);
      say(yield* peek(u, device, 0, IRQ_STATUS));
      say(yield* signalled(u, efd));
      yield* poke(u, device, 0, IRQ_RAISE, 2);
      say(yield* signalled(u, efd));
      // The device still holds the line: it comes again.
      say(yield* setIrqs(u, device, NONE | UNMASK, INTX, [], { count: 1 }));
      say(yield* signalled(u, efd));
      yield* poke(u, device, 0, IRQ_ACK, 3);
      say(yield* setIrqs(u, device, BOOL | UNMASK, INTX, [0]));
      yield* poke(u, device, 0, IRQ_RAISE, 4);
      say(yield* signalled(u, efd));
      yield* poke(u, device, 0, IRQ_ACK, 4);
      say(yield* setIrqs(u, device, BOOL | UNMASK, INTX, [1]));
      say(yield* signalled(u, efd));
      yield* poke(u, device, 0, IRQ_RAISE, 8);
      say(yield* signalled(u, efd));
    });
    t.deepEqual(reports, []);
    t.deepEqual(results, [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, null]);
  });

  test(`INTx masked by the user: ${title}`, (t) => {
    const { reports, results } = run(function* (u, device, efd, say) {
      say(yield* setIrqs(u, device, BOOL | MASK, INTX, [0]));
      say(yield* setIrqs(u, device, BOOL | MASK, INTX, [1]));
      say(yield* setIrqs(u, device, NONE | MASK, INTX, [], { count: 1 }));
      yield* poke(u, device, 0, IRQ_RAISE, 1);
      say(yield* signalled(u, efd));
      say(yield* setIrqs(u, device, NONE | UNMASK, INTX, [], { count: 1 }));
      say(yield* signalled(u, efd));
      yield* poke(u, device, 0, IRQ_ACK, 1);
      // By the command register, as the user's own system does it
      yield* setIrqs(u, device, NONE | UNMASK, INTX, [], { count: 1 });
      yield* command(u, device, 0x403);
      yield* poke(u, device, 0, IRQ_RAISE, 1);
      say(yield* signalled(u, efd));
      say(yield* setIrqs(u, device, NONE | UNMASK, INTX, [], { count: 1 }));
      say(yield* signalled(u, efd));
      yield* command(u, device, 3);
      say(yield* signalled(u, efd));
    });
    t.deepEqual(reports, []);
    t.deepEqual(results, [0, 0, 0, 0, 0, 1, 0, 0, 0, 1, null]);
  });

  test(`INTx unmasked by an eventfd: ${title}`, (t) => {
    const { reports, results } = run(function* (u, device, efd, say) {
      const unmask = yield* eventfd(u);
      say(yield* setIrqs(u, device, EVENTFD | UNMASK, INTX, [unmask]));
      say(yield* setIrqs(u, device, EVENTFD | UNMASK, INTX, [unmask]));
      yield* poke(u, device, 0, IRQ_RAISE, 1);
      say(yield* signalled(u, efd));
      yield* signal(u, unmask);
      yield* u.sleep_ms(1);
      say(yield* signalled(u, efd));
      yield* poke(u, device, 0, IRQ_ACK, 1);
      yield* signal(u, unmask);
      yield* u.sleep_ms(1);
      say(yield* signalled(u, efd));
      yield* poke(u, device, 0, IRQ_RAISE, 1);
      say(yield* signalled(u, efd));
      // Nobody listens any more
      say(yield* setIrqs(u, device, EVENTFD | UNMASK, INTX, [-1]));
      yield* signal(u, unmask);
      yield* u.sleep_ms(1);
      say(yield* signalled(u, efd));
      say(yield* setIrqs(u, device, EVENTFD | UNMASK, INTX, [unmask]));
      // And with one listening the device is closed.
    });
    t.deepEqual(reports, []);
    t.deepEqual(results, [0, -16, 1, 1, 0, 1, 0, 0, 0, null]);
  });

  test(`INTx tried, its eventfd exchanged, and off: ${title}`, (t) => {
    const { reports, results } = run(function* (u, device, efd, say) {
      for (const [flags, data] of [
        [NONE, []],
        [BOOL, [0]],
        [BOOL, [1]],
      ] as const) {
        say(yield* setIrqs(u, device, flags | TRIGGER, INTX, data, { count: 1 }));
        say(yield* signalled(u, efd));
      }
      const other = yield* eventfd(u);
      say(yield* setIrqs(u, device, EVENTFD | TRIGGER, INTX, [other]));
      yield* poke(u, device, 0, IRQ_RAISE, 1);
      say([yield* signalled(u, efd), yield* signalled(u, other)]);
      say(yield* setIrqs(u, device, EVENTFD | TRIGGER, INTX, [-1]));
      say(yield* setIrqs(u, device, NONE | TRIGGER, INTX, [], { count: 1 }));
      say(yield* signalled(u, other));
      say(yield* setIrqs(u, device, NONE | TRIGGER, INTX));
      say(irq_to_desc(LINE)?.action ?? null);
      say(yield* setIrqs(u, device, EVENTFD | TRIGGER, INTX, [efd]));
      // It was held all the time.
      say(yield* signalled(u, efd));
    });
    t.deepEqual(reports, []);
    t.deepEqual(results, [0, 1, 0, 0, 0, 1, 0, [0, 1], 0, 0, 0, 0, null, 0, 1, null]);
  });
}

test("INTx of two devices on one line", (t) => {
  const other = BUS3[0]!;
  const got: unknown[] = [];
  const reports = onMachine(MACHINE.pci, function* (u) {
    yield* withBound(u, [EDU, ...BUS3], () =>
      opening(u, EDU, ({ device: a }) =>
        opening(u, other, function* ({ device: b }) {
          yield* command(u, a, 3);
          yield* command(u, b, 3);
          const [one, two] = [yield* eventfd(u), yield* eventfd(u)];
          got.push(yield* setIrqs(u, a, EVENTFD | TRIGGER, INTX, [one]));
          got.push(yield* setIrqs(u, b, EVENTFD | TRIGGER, INTX, [two]));
          yield* poke(u, b, 0, IRQ_RAISE, 1);
          got.push([yield* signalled(u, one), yield* signalled(u, two)]);
          yield* poke(u, a, 0, IRQ_RAISE, 1);
          got.push([yield* signalled(u, one), yield* signalled(u, two)]);
          // Who is closed while he holds the line holds it unmasked afterwards.
          yield* poke(u, b, 0, IRQ_ACK, 1);
          yield* poke(u, a, 0, IRQ_ACK, 1);
        }),
      ),
    );
  });
  t.deepEqual(reports, []);
  t.deepEqual(got, [0, 0, [0, 1], [1, 0]]);
});

test("INTx of a device that cannot be masked does not share its line", (t) => {
  const got: unknown[] = [];
  const reports = onMachine(MACHINE.pci, function* (u) {
    for (const name of EDU.modules) yield* u.finit_module(name, name === "vfio_pci" ? "nointxmask=1" : "");
    for (const d of [EDU, ...BUS3]) yield* give(u, d);
    yield* opening(u, EDU, ({ device: a }) =>
      opening(u, BUS3[0]!, function* ({ device: b }) {
        const efd = yield* eventfd(u);
        got.push(yield* setIrqs(u, a, EVENTFD | TRIGGER, INTX, [efd]));
        got.push(yield* setIrqs(u, b, EVENTFD | TRIGGER, INTX, [efd]));
        got.push(yield* setIrqs(u, b, NONE | TRIGGER, INTX, [], { count: 1 }));
      }),
    );
    for (const d of [EDU, ...BUS3]) yield* takeBack(u, d);
    yield* unloadModules(u, EDU);
  });
  t.deepEqual(reports, []);
  t.deepEqual(got, [0, -16, -EINVAL]);
  t.deepEqual(said(), [
    "genirq: Flags mismatch irq 11. 00000000 (vfio-intx(0000:03:01.0)) vs. 00000000 (vfio-intx(0000:00:05.0))",
  ]);
});

test("INTx is masked while the device sleeps, and not unmasked if the user had masked it", (t) => {
  for (const masked of [false, true]) {
    const LOW: function_model = {
      ...pci_models["skylake-gt2"],
      class: 0x00ff,
      vendor: 0x1234,
      registers: pci_models.edu.registers,
    };
    const dev = pciDevice("0000:00:05.0");
    const { reports, results } = saying(
      dev,
      function* (u, device, say) {
        const efd = yield* eventfd(u);
        yield* setIrqs(u, device, EVENTFD | TRIGGER, INTX, [efd]);
        if (masked) yield* setIrqs(u, device, NONE | MASK, INTX, [], { count: 1 });
        const intxOff = (): number => pci_hw.func(place(dev))!.read(4, 2) & 0x400;
        say(intxOff());
        say((yield* words(u, device, DEVICE_FEATURE, [8, 3 | (1 << 17)])).ret);
        yield* u.sleep_ms(100);
        say(pci_hw.func(place(dev))!.read(0xd4, 2) & 3);
        say((yield* words(u, device, DEVICE_FEATURE, [8, 5 | (1 << 17)])).ret);
        say(intxOff());
        yield* poke(u, device, 0, IRQ_RAISE, 1);
        say(yield* signalled(u, efd));
      },
      [
        { slot: 0, device: "host-bridge" },
        { slot: 5, device: LOW },
      ],
    );
    t.deepEqual(reports, []);
    t.deepEqual(results, masked ? [0x400, 0, 3, 0, 0x400, 0] : [0, 0, 3, 0, 0, 1]);
  }
});

// Messages

test("MSI of one vector", (t) => {
  const { reports, results } = saying(EDU, function* (u, device, say) {
    const efd = yield* eventfd(u);
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSI, [efd]));
    yield* poke(u, device, 0, IRQ_RAISE, 1);
    yield* poke(u, device, 0, IRQ_RAISE, 1);
    say(yield* signalled(u, efd));
    // A write to memory: no bus mastering, no message
    yield* command(u, device, 3);
    yield* poke(u, device, 0, IRQ_RAISE, 1);
    say(yield* signalled(u, efd));
    yield* command(u, device, 7);
    say(yield* signalled(u, efd));
    for (const [flags, data] of [
      [NONE, []],
      [BOOL, [0]],
      [BOOL, [1]],
    ] as const) {
      say(yield* setIrqs(u, device, flags | TRIGGER, MSI, data, { count: 1 }));
      say(yield* signalled(u, efd));
    }
    const at = pci_hw.func(place(EDU))!;
    say([at.read(0x42, 2) & 1, at.read(4, 2) & 0x400]);
    say(yield* setIrqs(u, device, NONE | TRIGGER, MSI));
    say([at.read(0x42, 2) & 1, at.read(4, 2) & 0x400]);
    say(yield* setIrqs(u, device, NONE | TRIGGER, MSI));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [0, 2, 0, 1, 0, 1, 0, 0, 0, 1, [1, 0], 0, [0, 0], -EINVAL]);
});

/** A device with MSI of four vectors, which can be masked each. */
const FOUR: function_model = {
  ...pci_models.edu,
  capabilities: [
    {
      id: 5,
      at: 0x40,
      bytes: [0, 0, 0x84, 1, ...new Array<number>(20).fill(0)],
      writable: [0, 0, 0x71, 0, 0xfc, ...new Array<number>(9).fill(0xff), 0, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0],
    },
  ],
};
test("MSI of several vectors", (t) => {
  const { reports, results } = saying(
    EDU,
    function* (u, device, say) {
      const func = pci_hw.func(place(EDU))!;
      const efds = [yield* eventfd(u), yield* eventfd(u), yield* eventfd(u)];
      say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSI, efds));
      say((func.read(0x42, 2) >> 4) & 7);
      say(func.read(0x50, 4));
      for (const vector of [0, 2, 2, 3]) func.interrupts.send(vector);
      for (const efd of efds) say(yield* signalled(u, efd));
      // Without an eventfd a vector is masked; what came meanwhile comes when there is one again.
      say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSI, [-1], { start: 1 }));
      say(func.read(0x50, 4));
      func.interrupts.send(1);
      say(yield* signalled(u, efds[1]!));
      say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSI, [efds[1]!], { start: 1 }));
      say(yield* signalled(u, efds[1]!));
    },
    [
      { slot: 0, device: "host-bridge" },
      { slot: 5, device: FOUR },
    ],
  );
  t.deepEqual(reports, []);
  // All were masked at first, and the fourth stays so.
  t.deepEqual(results, [0, 2, 8, 1, 0, 2, 0, 10, 0, 0, 1]);
});

test("MSI-X", (t) => {
  const { reports, results } = saying(NIC, function* (u, device, say) {
    const func = pci_hw.func(place(NIC))!;
    const efds: number[] = [];
    for (let i = 0; i < 5; i++) efds.push(yield* eventfd(u));
    const all = function* (): Sleeps<number[]> {
      const n = [];
      for (const efd of efds) n.push(yield* signalled(u, efd));
      return n;
    };
    // The first ones are made, without an eventfd.
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, efds.slice(2, 4), { start: 2 }));
    for (let vector = 0; vector < 5; vector++) func.interrupts.send(vector);
    say(yield* all());
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, efds.slice(0, 2)));
    say(yield* all());
    say(yield* setIrqs(u, device, BOOL | TRIGGER, MSIX, [1, 0, 1, 0]));
    say(yield* all());
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [-1], { start: 3 }));
    say(yield* setIrqs(u, device, NONE | TRIGGER, MSIX, [], { start: 1, count: 3 }));
    say(yield* all());
    // A reset forgets the table and the kernel does not.
    say(yield* u.ioctl(device, RESET));
    yield* command(u, device, 7);
    for (let vector = 0; vector < 5; vector++) func.interrupts.send(vector);
    say(yield* all());
    say(func.read(0xa2, 2) & 0xc000);
    say(yield* setIrqs(u, device, NONE | TRIGGER, MSIX));
    say(func.read(0xa2, 2) & 0xc000);
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [
    0,
    [0, 0, 1, 1, 0],
    0,
    [1, 1, 0, 0, 0],
    0,
    [1, 0, 1, 0, 0],
    0,
    0,
    [0, 1, 1, 0, 0],
    0,
    [1, 1, 1, 0, 0],
    0x8000,
    0,
    0,
  ]);
});

/** Where the first messages of a device go, as it has been told: of MSI-X from its table. */
const goingTo = (d: BusDevice, count: number): readonly boolean[] => {
  const func = pci_hw.func(place(d))!;
  return Array.from({ length: count }, (_, vector) => {
    const entry = func.interrupts.registers(3, 16 * vector);
    return entry ? entry.device.read(entry.off, 4) !== 0n : func.read(0x44, 4) !== 0;
  });
};
/** A vector without a handler has only a reserved message, if it can be masked; such a one is not taken from the device again. */
for (const { title, d, index, fds, model, after } of [
  { title: "MSI-X", d: NIC, index: MSIX, fds: [-1, -1, 0], model: undefined, after: [true, true, false] },
  { title: "MSI that can be masked, without a handler", d: EDU, index: MSI, fds: [-1], model: FOUR, after: [true] },
  { title: "MSI that can be masked, with one", d: EDU, index: MSI, fds: [0], model: FOUR, after: [false] },
  {
    title: "MSI that cannot be masked, without a handler",
    d: EDU,
    index: MSI,
    fds: [-1],
    model: undefined,
    after: [false],
  },
  { title: "MSI that cannot be masked, with one", d: EDU, index: MSI, fds: [0], model: undefined, after: [false] },
] as const)
  test(`what a device is told of where its messages go: ${title}`, (t) => {
    const { reports, results } = saying(
      d,
      function* (u, device, say) {
        const efd = yield* eventfd(u);
        const set = fds.map((fd) => (fd < 0 ? fd : efd));
        for (let round = 0; round < 2; round++) {
          say(yield* setIrqs(u, device, EVENTFD | TRIGGER, index, set));
          say(goingTo(d, fds.length));
          say(yield* setIrqs(u, device, NONE | TRIGGER, index));
          say(goingTo(d, fds.length));
        }
      },
      model && [
        { slot: 0, device: "host-bridge" },
        { slot: 5, device: model },
      ],
    );
    t.deepEqual(reports, []);
    const on = fds.map(() => true);
    t.deepEqual(results, [0, on, 0, after, 0, on, 0, after]);
  });

test("MSI-X: a block that fails is off as a whole", (t) => {
  const { reports, results } = saying(NIC, function* (u, device, say) {
    const efd = yield* eventfd(u);
    const other = yield* eventfd(u);
    // What was not on before is not on afterwards: INTx can be had.
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [efd, 99]));
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, INTX, [efd]));
    say(yield* setIrqs(u, device, NONE | TRIGGER, INTX));
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [other, efd, -1]));
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [efd, 99], { start: 1 }));
    for (const vector of [0, 1, 2]) pci_hw.func(place(NIC))!.interrupts.send(vector);
    say([yield* signalled(u, other), yield* signalled(u, efd)]);
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [-EBADF, 0, 0, 0, -EBADF, [1, 0]]);
});

test("one eventfd for two vectors: the bypass is for the first", (t) => {
  const { reports, results } = saying(NIC, function* (u, device, say) {
    const efd = yield* eventfd(u);
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [efd, efd]));
    pci_hw.func(place(NIC))!.interrupts.send(0);
    pci_hw.func(place(NIC))!.interrupts.send(1);
    say(yield* signalled(u, efd));
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [-1, efd]));
    pci_hw.func(place(NIC))!.interrupts.send(1);
    say(yield* signalled(u, efd));
    // The one that was refused goes first.
    say(yield* setIrqs(u, device, NONE | TRIGGER, MSIX));
    const other = yield* eventfd(u);
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [other, other]));
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [-1], { start: 1 }));
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [other], { start: 1 }));
    say(yield* setIrqs(u, device, EVENTFD | TRIGGER, MSIX, [-1]));
  });
  t.deepEqual(reports, []);
  t.deepEqual(results, [0, 2, 0, 1, 0, 0, 0, 0, 0]);
  t.is(said().length, 3);
  for (const line of said())
    t.regex(line, /^vfio-pci 0000:01:00\.0: irq bypass producer \(token [0-9a-f]+\) registration fails: -16$/);
});

/** One who raises an interrupt and one who takes it are brought together and parted. No driver here takes any. @fails: who refuses the other */
function* bypass(
  said: (what: unknown) => void,
  first: "producer" | "consumer",
  fails?: "producer" | "consumer",
): Sleeps {
  const token = {};
  const tell = (what: string) => () => said(what);
  const told = (what: "producer" | "consumer") => () => {
    said(`${what} add`);
    return what === fails ? -EINVAL : 0;
  };
  const prod = initialise(new irq_bypass_producer(), {
    token,
    add_consumer: told("producer"),
    del_consumer: tell("producer del"),
    stop: tell("producer stop"),
    start: tell("producer start"),
  });
  const cons = initialise(new irq_bypass_consumer(), {
    token,
    add_producer: told("consumer"),
    del_producer: tell("consumer del"),
    stop: tell("consumer stop"),
    start: tell("consumer start"),
  });
  if (first === "producer") said(yield* irq_bypass_register_producer(prod));
  said(yield* irq_bypass_register_consumer(cons));
  if (first === "consumer") said(yield* irq_bypass_register_producer(prod));
  const twin = initialise(new irq_bypass_consumer(), { token, add_producer: () => 0, del_producer: tell("never") });
  if (fails === undefined) said(yield* irq_bypass_register_consumer(twin));
  said(yield* irq_bypass_register_consumer(initialise(new irq_bypass_consumer(), { token })));
  yield* irq_bypass_unregister_consumer(twin);
  if (first === "producer") yield* irq_bypass_unregister_producer(prod);
  yield* irq_bypass_unregister_consumer(cons);
  yield* irq_bypass_unregister_producer(prod);
}
const STOP = ["producer stop", "consumer stop"];
const START = ["consumer start", "producer start"];
const JOINED = [...STOP, "producer add", "consumer add", ...START];
const PARTED = [...STOP, "consumer del", "producer del", ...START];
for (const [title, first, fails, wanted] of [
  ["the producer first", "producer", undefined, [0, ...JOINED, 0, -EBUSY, -EINVAL, ...PARTED]],
  ["the consumer first", "consumer", undefined, [0, ...JOINED, 0, -EBUSY, -EINVAL, ...PARTED]],
  ["the producer refuses", "producer", "producer", [0, ...STOP, "producer add", ...START, -EINVAL, -EINVAL]],
  [
    "the consumer refuses",
    "producer",
    "consumer",
    [0, ...STOP, "producer add", "consumer add", "producer del", ...START, -EINVAL, -EINVAL],
  ],
] as const)
  test(`bypass: who raises an interrupt and who takes it: ${title}`, (t) => {
    const got: unknown[] = [];
    const reports = onMachine(MACHINE.pci, () => bypass((what) => void got.push(what), first, fails));
    t.deepEqual(reports, []);
    t.deepEqual(got, wanted);
  });

test("the device is closed with interrupts on, and used again", (t) => {
  for (const [d, index, count] of [
    [EDU, INTX, 1],
    [EDU, MSI, 1],
    [NIC, MSIX, 5],
  ] as const) {
    const got: unknown[] = [];
    const reports = onMachine(MACHINE.pci, function* (u) {
      yield* withBound(u, [d], function* () {
        for (let round = 0; round < 2; round++)
          yield* opening(u, d, function* ({ device }) {
            const efds: number[] = [];
            for (let i = 0; i < count; i++) efds.push(yield* eventfd(u));
            got.push(yield* setIrqs(u, device, EVENTFD | TRIGGER, index, efds));
            for (const efd of efds) yield* u.close(efd);
            pci_hw.func(place(d))!.interrupts.set_level(index === INTX);
          });
      });
    });
    t.deepEqual(reports, []);
    t.deepEqual(got, [0, 0]);
  }
});

test("without memory, each allocation failing in turn", (t) => {
  for (const [d, index, count] of [
    [EDU, INTX, 1],
    [EDU, MSI, 1],
    [NIC, MSIX, 3],
  ] as const) {
    const places = new Set<string>();
    let nth = 1;
    for (; nth < 100; nth++) {
      const got: unknown[] = [];
      const reports = onMachine(MACHINE.pci, function* (u) {
        yield* loadModules(u, EDU);
        yield* give(u, d);
        yield* opening(u, d, function* ({ device }) {
          const efds: number[] = [];
          for (let i = 0; i < count; i++) efds.push(yield* eventfd(u));
          make_it_fail(u.task);
          set_fail_nth(nth);
          got.push(yield* setIrqs(u, device, EVENTFD | TRIGGER, index, efds));
          make_it_fail(u.task, false);
          const fault = fault_injections()[0]?.place;
          // Nothing was left on
          if (fault !== undefined) got.push(yield* setIrqs(u, device, EVENTFD | TRIGGER, index, efds));
          for (let i = 0; i < count; i++) {
            yield* setIrqs(u, device, NONE | TRIGGER, index, [], { start: i, count: 1 });
            got.push(yield* signalled(u, efds[i]!));
          }
        });
        yield* takeBack(u, d);
        yield* unloadModules(u, EDU);
      });
      const fault = fault_injections()[0]?.place;
      if (fault === undefined) break;
      places.add(fault);
      t.deepEqual(reports, [], fault);
      t.deepEqual(got, [-12, 0, ...new Array<number>(count).fill(1)], fault);
    }
    t.true(nth > (index === INTX ? 4 : 6), `${nth}`);
    t.log([...places].join(" "));
  }
});

// What only the driver raises

for (const [title, d, index] of [
  ["errors", NIC, ERR],
  ["requests", NIC, REQ],
  ["requests, without PCI Express", EDU, REQ],
] as const)
  test(`an eventfd for ${title}: tried, exchanged and off`, (t) => {
    const got: unknown[] = [];
    const reports = onMachine(
      MACHINE.pci,
      opened(d, function* (u, device) {
        const [one, two] = [yield* eventfd(u), yield* eventfd(u)];
        /** What comes of it, and which of the two was signalled. */
        const set = function* (flags: number, data: readonly number[], count = data.length): Sleeps {
          const ret = yield* setIrqs(u, device, flags | TRIGGER, index, data, { count });
          got.push([ret, yield* signalled(u, one), yield* signalled(u, two)]);
        };
        // There is none.
        yield* set(NONE, [], 1);
        yield* set(NONE, [], 0);
        yield* set(BOOL, [1]);
        yield* set(BOOL, []);
        yield* set(EVENTFD, []);
        yield* set(EVENTFD, [-1]);
        yield* set(EVENTFD, [-2]);
        yield* set(EVENTFD, [99]);
        // There is one, which only -1 or another takes away.
        yield* set(EVENTFD, [one]);
        yield* set(NONE, [], 1);
        yield* set(BOOL, [0]);
        yield* set(BOOL, [1]);
        yield* set(EVENTFD, [-2]);
        yield* set(EVENTFD, [99]);
        yield* set(NONE, [], 1);
        yield* set(EVENTFD, [two]);
        yield* set(NONE, [], 1);
        yield* set(EVENTFD, [-1]);
        yield* set(NONE, [], 1);
        // Or none at all
        yield* set(EVENTFD, [one]);
        yield* set(NONE, [], 0);
        yield* set(NONE, [], 1);
        // With one the device is closed.
        yield* set(EVENTFD, [two]);
      }),
    );
    t.deepEqual(reports, []);
    const none = [-EINVAL, 0, 0];
    const done = [0, 0, 0];
    const one = [0, 1, 0];
    t.deepEqual(got, [
      ...[none, none, done, none, none, done, done, [-EBADF, 0, 0]],
      ...[done, one, done, one, done, [-EBADF, 0, 0], one],
      ...[done, [0, 0, 1], done, none],
      ...[done, done, none, done],
    ]);
  });

test("whoever takes a device away asks for it back, until it is closed", (t) => {
  const got: unknown[] = [];
  const reports = onMachine(MACHINE.pci, function* (u) {
    yield* loadModules(u, EDU);
    yield* give(u, EDU);
    // Another process, which does not have it open as well
    const child = yield* u.fork(function* (c) {
      yield* c.sleep_ms(10);
      yield* takeBack(c, EDU);
    });
    yield* opening(u, EDU, function* ({ device }) {
      const efd = yield* eventfd(u);
      got.push(yield* setIrqs(u, device, EVENTFD | TRIGGER, REQ, [efd]));
      yield* u.sleep_ms(20);
      got.push(yield* signalled(u, efd));
    });
    yield* u.waitpid(child);
    yield* unloadModules(u, EDU);
  });
  t.deepEqual(reports, []);
  t.deepEqual(got, [0, 1]);
});
