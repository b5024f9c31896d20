// SPDX-License-Identifier: GPL-2.0-only
/** Replaying recorded traces: what is equal, what differs and why is known, and that planted differences are found. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test, { type ExecutionContext } from "ava";
import * as errno from "../../include/linux/errno.ts";
import { bigOf, numberOf } from "../../tools/klab/golden/constants.ts";
import { differences, type Performed } from "../../tools/klab/golden/compare.ts";
import { errnoName, libc } from "../../tools/klab/golden/errno.ts";
import { Preemption } from "../../tools/klab/golden/preemption.ts";
import { type GoldenRecord, readTrace } from "../../tools/klab/golden/record.ts";
import { replay, type Replayed } from "../../tools/klab/golden/replay.ts";
import { main } from "../../tools/klab/main.ts";
import { ROOT } from "../../tools/klab/paths.ts";
import { state } from "../../tools/klab/states/index.ts";
import { type Kernel, loadKernel } from "../../tools/klab/states/load.ts";

const TRACE = resolve(ROOT, "test/golden/ccw-v1-0.jsonl");
const records = readTrace(TRACE);

async function base(): Promise<Kernel> {
  const { dir } = await state("base");
  return (await loadKernel(dir)).kernel;
}

/** Documentation/golden.md says why. */
const DIFFERING: readonly (readonly [step: string, fields: readonly string[]])[] = [
  ["0.modules.006", ["ret", "errno", "text"]],
  ["1.sysfs.001", ["ret", "text"]],
  ["1.sysfs.089", ["ret", "text"]],
  ["2.vfio.253", ["out"]],
  ["3.io.147", ["out"]],
];
const SKIPPED = ["0.modules.003"];

test("the trace of the base: equal but for what is known", async (t) => {
  const result = replay(await base(), records);
  t.is(result.steps, records.length);
  t.deepEqual(
    result.skipped.map((s) => s.step),
    SKIPPED,
  );
  t.is(result.compared, result.steps - SKIPPED.length);
  t.deepEqual(
    result.differing.map(({ step, field }) => `${step} ${field}`),
    DIFFERING.flatMap(([step, fields]) => fields.map((field) => `${step} ${field}`)),
  );
  t.is(result.equal, result.compared - DIFFERING.length);
  t.true(result.equal >= 0.99 * result.compared);
  // The recorded kernel has no such checkers: what they find is told, and is no difference.
  t.deepEqual([...new Set(result.reports.map((r) => `${r.step} ${r.checker}`))], ["3.io.100 kasan"]);
});

interface X86Trace {
  readonly file: string;
  /** Numbers of the records. */
  readonly skipped?: readonly number[];
  readonly differing?: readonly string[];
  /** What checkers say beside, and in which records. */
  readonly reports?: Readonly<Record<string, readonly number[]>>;
}
const X86: readonly X86Trace[] = [
  {
    file: "vfio-core.jsonl",
    skipped: [240, 241, 302, 303, 309],
    differing: ["280 ret", "280 errname", "280 out"],
  },
  { file: "mdev-sysfs.jsonl" },
  {
    file: "mtty.jsonl",
    reports: {
      "BUG: KMSAN: kernel-infoleak in mtty_read [mtty]": [26, 160, 161, 326, 358, 410, 442],
      "BUG: KASAN: slab-out-of-bounds in mdev_access [mtty]": [160],
      "BUG: KASAN: stack-out-of-bounds in handle_pci_cfg_write [mtty]": [224],
    },
  },
  {
    file: "mdpy.jsonl",
    skipped: [28, 49],
    reports: {
      "BUG: KASAN: slab-out-of-bounds in mdev_access [mdpy]": [183],
      "BUG: KMSAN: kernel-infoleak in mdpy_read [mdpy]": [183, 184, 187, 190],
    },
  },
  {
    file: "mbochs.jsonl",
    skipped: [351],
    reports: {
      "BUG: KMSAN: kernel-infoleak in mbochs_read [mbochs]": [35, 175, 176, 179, 249, 250, 251, 265, 282, 283],
      "BUG: KMSAN: kernel-infoleak in mbochs_ioctl [mbochs]": [
        55, 56, 57, 65, 66, 67, 83, 84, 85, 86, 87, 88, 89, 90, 91,
      ],
      "BUG: KASAN: slab-out-of-bounds in mdev_access [mbochs]": [175],
    },
  },
  { file: "type1.jsonl" },
];
const numberIn = (step: string): string => step.split(" ")[0] ?? "";

for (const { file, skipped = [], differing = [], reports = {} } of X86) {
  test(`an x86 trace: equal but for what is known: ${file}`, async (t) => {
    const trace = readTrace(resolve(ROOT, "test/golden", file));
    const result = replay(await base(), trace);
    t.is(result.steps, trace.length);
    t.deepEqual(
      result.skipped.map((s) => Number(numberIn(s.step))),
      skipped,
    );
    t.is(result.compared, trace.length - skipped.length);
    t.deepEqual(
      result.differing.map((d) => `${numberIn(d.step)} ${d.field}`),
      differing,
    );
    t.true(result.equal >= 0.99 * result.compared);
    t.true(result.skipped.length <= 0.03 * result.steps);
    const said: Record<string, number[]> = {};
    for (const { step, title } of result.reports) (said[title] ??= []).push(Number(numberIn(step)));
    t.deepEqual(said, reports);
  });
}

test("numbers of one boot are compared by role", async (t) => {
  const trace = readTrace(resolve(ROOT, "test/golden/mtty.jsonl")).slice(0, 12);
  const said = (n: number, change: (text: string) => string): GoldenRecord[] =>
    trace.map((r, i) =>
      i === n - 1 ? { ...r, said: JSON.parse(change(JSON.stringify(r.said))) as Record<string, unknown> } : r,
    );
  const fields = async (records: readonly GoldenRecord[]): Promise<string[]> =>
    replay(await base(), records as GoldenRecord[]).differing.map((d) => `${numberIn(d.step)} ${d.field}`);
  t.deepEqual(await fields(trace), []);
  // One number in two places: the group of the log is not that of the uevents any more.
  t.deepEqual(await fields(said(1, (text) => text.replace("iommu group 8", "iommu group 9")).slice(0, 1)), [
    "1 uevents",
  ]);
  t.deepEqual(await fields(said(1, (text) => text.replace("MINOR=0", "MINOR=1"))), ["1 uevents"]);
  t.deepEqual(await fields(said(12, (text) => text.replace('"out":"00"', '"out":"01"'))), ["12 out"]);
});

test("a record that says too little, or something that nobody knows, is skipped with the reason", async (t) => {
  const trace = readTrace(resolve(ROOT, "test/golden/type1.jsonl")).slice(0, 9);
  const odd: readonly (readonly [call: string, args: GoldenRecord["args"], why: RegExp])[] = [
    ["frob", {}, /^the call frob is not known$/],
    ["ioctl", { fd: "container" }, /^the argument cmd_nr is missing$/],
    ["open", { path: "/dev/vfio/vfio", flags: "O_FROB" }, /O_FROB is no flag/],
    ["mmap_read", { map: "m", len: 4, off: 0 }, /^nothing is mapped as m$/],
    ["bitmap_contents", {}, /^no call before it had a bitmap$/],
  ];
  const records = odd.map(([call, args], i) => ({
    line: 10 + i,
    step: call,
    call,
    args,
    said: { n: 10 + i, ret: 0 },
  }));
  const result = replay(await base(), [...trace, ...records]);
  t.is(result.compared, trace.length);
  t.deepEqual(result.differing, []);
  for (const [i, { why }] of result.skipped.entries()) t.regex(why, odd[i]?.[2] ?? /never/);
  t.is(result.skipped.length, odd.length);
});

test("planted differences in an x86 trace", async (t) => {
  const changes: Readonly<Record<number, object>> = {
    1: { errname: "EACCES" },
    3: { dmesg: [] },
    5: { entries: ["vfio c0660"] },
    14: { refcnt: { vfio: 2 } },
    42: { out: "40000000" + "00".repeat(60) },
    53: { uevents: [] },
  };
  const trace = readTrace(resolve(ROOT, "test/golden/vfio-core.jsonl")).slice(0, 54);
  const result = replay(
    await base(),
    trace.map((r, i) => ({ ...r, said: { ...r.said, ...changes[i + 1] } })),
  );
  const found = result.differing.map((d) => `${d.step.split(" ")[0] ?? ""} ${d.field}`);
  t.deepEqual(found, ["1 errname", "3 dmesg", "5 entries", "14 refcnt", "42 out", "53 uevents"]);
});

/** The records of one boot, some of them with other members. */
function planted(boot: number, changes: Readonly<Record<string, object>>): GoldenRecord[] {
  const starts = records.flatMap((r, i) => (r.call === "boot" ? [i] : []));
  return records.slice(starts[boot - 1], starts[boot]).map((r) => ({ ...r, said: { ...r.said, ...changes[r.step] } }));
}

test("planted differences are found, each in its field", async (t) => {
  const changes = {
    "0.modules.007": { dmesg: ["<6>VFIO - User Level meta-driver version: 0.4"] },
    "0.modules.009": { res: { mode: "20660", rdev: "10:196" } },
    "0.modules.010": { errno: "EACCES" },
    "0.modules.012": { refcnt: { vfio: 1, vfio_iommu_type1: 0, mdev: 1, vfio_ccw: -1 } },
    "1.sysfs.002": { text: "../../../bus/css/drivers/vfio_ccw" },
    "1.sysfs.008": { ret: 8 },
    "1.sysfs.013": { dbf_msg: [] },
  };
  const result = replay(await base(), planted(1, changes));
  const known = DIFFERING.map(([step]) => step);
  t.deepEqual(
    result.differing.filter((d) => !known.includes(d.step)),
    [
      ["0.modules.007", "dmesg", changes["0.modules.007"].dmesg, ["<6>VFIO - User Level meta-driver version: 0.3"]],
      ["0.modules.009", "res", changes["0.modules.009"].res, { mode: "20666", rdev: "10:196" }],
      ["0.modules.010", "errno", "EACCES", "ENOENT"],
      [
        "0.modules.012",
        "refcnt",
        changes["0.modules.012"].refcnt,
        { vfio: 1, vfio_iommu_type1: 0, mdev: 0, vfio_ccw: -1 },
      ],
      ["1.sysfs.002", "text", "../../../bus/css/drivers/vfio_ccw", "../../../bus/css/drivers/io_subchannel"],
      ["1.sysfs.008", "ret", 8, -1],
      ["1.sysfs.013", "dbf_msg", [], ["4 bound to subchannel 0.0.0001"]],
    ].map(([step, field, expected, got]) => ({ step, field, expected, got }) as Replayed["differing"][number]),
  );
});

test("an act that was not performed shows", async (t) => {
  // The driver is not bound, and everything that needs it fails.
  const result = replay(
    await base(),
    planted(11, {}).filter((r) => r.args["path"] !== "/sys/bus/css/drivers/vfio_ccw/bind"),
  );
  t.true(result.differing.some((d) => d.step === "6.shutdown.010" && d.field === "events"));
  t.true(result.differing.some((d) => d.step === "6.shutdown.008" && d.field === "errno" && d.got === "ENOENT"));
});

const QUIET: Performed["drained"] = {
  dmesg: [],
  dbf_msg: [],
  dbf_trace: [],
  ftrace: [],
  events: [],
  reports: [],
};
const record = (said: object): GoldenRecord => ({ line: 1, step: "s", call: "pread", args: {}, said: { ...said } });

test("what a record leaves open is not compared, and the rest is", (t) => {
  const out = "01af4000" + "18811001";
  for (const [said, got, fields] of [
    [{ ret: 8, out }, { ret: 8, out }, []],
    [{ ret: 8, out }, { ret: 8, out: "00000000" + "18811001" }, ["out"]],
    [{ ret: 8, out, unstable: ["out"], out_unstable: [[0, 4]] }, { ret: 8, out: "00000000" + "18811001" }, []],
    [{ ret: 8, out, unstable: ["out"], out_unstable: [[0, 4]] }, { ret: 8, out: "00000000" + "18811002" }, ["out"]],
    [{ ret: 8, out, unstable: ["out"], out_unstable: [[0, 4]] }, { ret: 8, out: "0000" }, ["out"]],
    [{ ret: 8, out: "01af" }, { ret: 8, out }, []],
    [{ ret: 42, text: "ino: 69", unstable: ["ret", "text"] }, { ret: 41, text: "ino: 7" }, []],
    [{ ret: 0 }, { ret: 0, text: "x" }, ["text"]],
    [{}, { ret: -1, errno: "EIO" }, ["errno"]],
    [{ ret: 0, dmesg: ["<6>x"] }, { ret: 0 }, ["dmesg"]],
    [{ ret: 0, ftrace: ["a", "b"] }, { ret: 0 }, ["ftrace"]],
  ] as const) {
    const found = differences(record(said), { outcome: got, drained: QUIET });
    t.deepEqual(
      found.map((d) => d.field),
      [...fields],
      JSON.stringify([said, got]),
    );
  }
});

/** A machine that stops with an oops as soon as it runs. */
function crashing(): Kernel {
  const fake = {
    simple_device: class {},
    configure_channel_subsystem: () => {},
    boot: () => "done",
    run_user: () => {},
    run: () => "oops",
    log: () => [],
    found: () => (fake.told++ ? [{ checker: "oops", title: "BUG: x", text: "BUG: x" }] : []),
    told: 0,
    trace_subscribe: () => () => {},
    debug_view: () => [],
    debug_flush: () => {},
  };
  return fake as unknown as Kernel;
}

test("a crash: expected or not, and what comes after it", (t) => {
  const two = (said: object): GoldenRecord[] => [
    { ...record(said), step: "a", call: "boot", args: { machine: {}, subchannels: [] } },
    { ...record({ ret: 0 }), step: "b", call: "sleep" },
  ];
  const why = "not reached: the kernel crashed in a";
  const unexpected = replay(crashing(), two({ ret: 0 }));
  t.deepEqual(unexpected.differing, [{ step: "a", field: "oops", expected: null, got: "BUG: x" }]);
  t.deepEqual(unexpected.skipped, [{ step: "b", why }]);
  const recorded = replay(crashing(), two({ ret: 0, oops: "Unable to handle kernel pointer dereference" }));
  t.deepEqual(
    { ...recorded, skipped: [], reports: [] },
    { steps: 2, compared: 1, equal: 1, differing: [], skipped: [], reports: [] },
  );
});

test("a crash that is recorded and does not come", async (t) => {
  const result = replay(await base(), planted(4, { "0.boot4.003": { oops: "Unable to handle" } }).slice(0, 4));
  t.deepEqual(result.differing, [{ step: "0.boot4.003", field: "oops", expected: "Unable to handle", got: null }]);
});

test("error numbers are those of the kernel", (t) => {
  let seen = 0;
  for (const [name, n] of Object.entries(errno)) {
    if (
      typeof n !== "number" ||
      n > 133 ||
      !/^E[A-Z0-9]+$/.test(name) ||
      ["EWOULDBLOCK", "EDEADLOCK", "ENOTSUPP"].includes(name)
    )
      continue;
    t.is(errnoName(n), name);
    seen++;
  }
  t.true(seen > 20);
  t.deepEqual(libc(-22), { ret: -1, errno: "EINVAL" });
  t.deepEqual(libc(-559038737), { ret: -559038737 });
});

test("numbers and flags", (t) => {
  for (const [value, n] of [
    [7, 7],
    ["0x21", 0x21],
    ["O_RDWR|O_CLOEXEC", 0o2000002],
    ["_IO(';', 199)", 0x3bc7],
    ["RB_POWER_OFF", 0x4321fedc],
  ] as const)
    t.is(numberOf(value), n);
  t.is(bigOf("0xffffffffffffffff"), (1n << 64n) - 1n);
  t.throws(() => numberOf("O_FROB"), { message: /O_FROB/ });
});

test("kernel threads go before the program, unless it is a real-time task", (t) => {
  const p = new Preemption("init");
  const among = (...names: string[]): number => p.decide("switch", names.length, (i) => names[i] ?? "");
  t.is(among("init/1", "init/7", "kworker/0:1/5"), 2);
  t.is(among("kworker/0:1/5", "init/1"), 0);
  t.is(
    p.decide("fault", 2, () => "init/1"),
    0,
  );
  p.realTime = true;
  t.is(among("init/1", "kworker/0:1/5"), 0);
});

async function klab(t: ExecutionContext, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await main(args, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  t.log(args.join(" "));
  return { code, out, err };
}

test("the command: exit codes, the listing, one document", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "klab-golden-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = (name: string, ...lines: string[]): string => {
    writeFileSync(join(folder, name), lines.join("\n"));
    return join(folder, name);
  };
  const boot = JSON.stringify(planted(4, {})[0]?.said);
  const bad: readonly (readonly [string, RegExp])[] = [
    [join(folder, "none"), /none cannot be read \(ENOENT\)/],
    [file("empty"), /has no record/],
    [file("text", boot, "hello"), /text:2: this line is not JSON/],
    [file("half", '{"step":"a"}'), /half:1: a record has "step" and "call"/],
    [file("no-boot", '{"step":"a","call":"sleep","args":{"ms":1}}'), /begins with a boot record/],
    [file("args", boot, '{"step":"a.002","call":"sleep","args":{}}'), /a\.002 \(line 2\): the argument ms is missing/],
  ];
  for (const [path, why] of bad) {
    const { code, out, err } = await klab(t, "golden", path);
    t.is(code, 2);
    t.is(out, "");
    t.regex(err, why);
    t.regex(err, /^klab: [^\n]+\n$/);
  }
  const good = file(
    "good",
    boot,
    '{"step":"a.002","call":"frob"}',
    '{"step":"a.003","call":"sleep","args":{"ms":1},"ret":0}',
  );
  t.is((await klab(t, "golden", good)).code, 0);
  const differs = file("differs", boot, '{"step":"a.002","call":"sleep","args":{"ms":1},"ret":1}');
  const listed = await klab(t, "golden", differs);
  t.is(listed.code, 1);
  t.is(listed.out, "a.002\n  ret: expected 1, got 0\n2 steps: 2 compared, 1 equal (50 %), 1 differing, 0 skipped\n");
  const json = await klab(t, "golden", good, "--json");
  t.deepEqual(JSON.parse(json.out), {
    steps: 3,
    compared: 2,
    equal: 2,
    differing: [],
    skipped: [{ step: "a.002", why: "the call frob is not known" }],
    reports: [],
  });
});
