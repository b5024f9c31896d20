// SPDX-License-Identifier: GPL-2.0-only
/** Memory: the sanitizers against planted faults, leaks, slab caches, fault injection, user memory. */
import test, { type ExecutionContext } from "ava";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import {
  arm_faults,
  fault_injections,
  fault_points,
  make_it_fail,
  set_fail_nth,
  setup_fault_attr,
} from "../../kernel/lib/fault-inject.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { fei_inject, fei_remove } from "../../kernel/fail_function.ts";
import { data_sections } from "../../kernel/boot.ts";
import { kmemleak_scan, live_objects } from "../../kernel/mm/kmemleak.ts";
import {
  mm_alloc,
  mmap_anon,
  mprotect,
  munmap,
  set_task_mm,
  user_read,
  user_write,
  VM_READ,
} from "../../kernel/mm/mm_struct.ts";
import { live_memory, kmalloc_size_roundup } from "../../kernel/mm/slab.ts";
import { EBUSY, EFAULT, EINVAL, ENOENT, ENOMEM, EPERM } from "#linux/errno.ts";
import { msleep } from "#linux/delay.ts";
import {
  GFP_DMA,
  GFP_KERNEL,
  kfree,
  kmalloc,
  kmemdup,
  krealloc,
  kstrdup,
  kvfree,
  kvzalloc,
  kzalloc,
} from "#linux/slab.ts";
import { addr_of, kbuf, type Sleeps } from "#linux/types.ts";
import { clear_user, copy_from_user, copy_to_user, get_user, put_user, strndup_user } from "#linux/uaccess.ts";
import { IS_ERR, PTR_ERR } from "#linux/err.ts";
import { module_images } from "../../kernel/modpost.ts";
import * as faults from "../modules/mm_faults.ts";

const M = "[mm_faults]";

/** Runs one function of the faulty module in a task of its own. */
function commit(what: () => Sleeps, comm = "init"): string {
  boot();
  spawn(comm, what());
  return run();
}

interface Planted {
  readonly fault: () => Sleeps;
  readonly titles: readonly string[];
  readonly outcome?: string;
  /** Lines that the text of the first report must have. */
  readonly lines?: readonly RegExp[];
}

const planted: readonly Planted[] = [
  {
    fault: faults.use_after_free,
    titles: [`BUG: KASAN: use-after-free in use_after_free ${M}`],
    lines: [
      /^Read of size 4 at addr 0{8}[0-9a-f]{8} by task init\/\d+$/m,
      /^Call Trace:\n <TASK>\n use_after_free \[mm_faults\]$/m,
      /^Allocated by task \d+:\n use_after_free \[mm_faults\]$/m,
      /^Freed by task \d+:\n use_after_free \[mm_faults\]$/m,
      /^ which belongs to the cache kmalloc-64 of size 64$/m,
      /^The buggy address is located 8 bytes inside of\n 64-byte region \[/m,
    ],
  },
  { fault: faults.use_after_free_twice, titles: [`BUG: KASAN: use-after-free in use_after_free_twice ${M}`] },
  {
    fault: faults.use_after_free_bytes,
    titles: [`BUG: KASAN: use-after-free in use_after_free_bytes ${M}`],
    lines: [/^Write of size 4 at/m, /cache kmalloc-8 of size 8$/m],
  },
  {
    fault: faults.double_free,
    titles: ["BUG: KASAN: double-free in kfree"],
    lines: [/^Free of addr 0{8}[0-9a-f]{8} by task init\/\d+$/m],
  },
  { fault: faults.free_of_member, titles: ["BUG: KASAN: invalid-free in kfree"] },
  { fault: faults.free_of_static, titles: ["BUG: KASAN: invalid-free in kfree"] },
  {
    fault: faults.out_of_bounds,
    titles: [`BUG: KASAN: slab-out-of-bounds in out_of_bounds ${M}`],
    lines: [/cache kmalloc-128 of size 128$/m, /is located 120 bytes inside of\n 128-byte region/m],
  },
  {
    fault: faults.index_of_member,
    titles: [
      `UBSAN: array-index-out-of-bounds in index_of_member ${M}`,
      `BUG: KASAN: slab-out-of-bounds in index_of_member ${M}`,
    ],
    lines: [/^index 4 is out of range for type 'u32 \[4\]'$/m],
  },
  {
    fault: faults.overrun_of_view,
    titles: [`BUG: KASAN: slab-out-of-bounds in overrun_of_view ${M}`],
    lines: [/^Read of size 4/m, /is located 4 bytes inside of\n 8-byte region/m],
  },
  {
    fault: faults.overrun_of_memcpy,
    titles: [`BUG: KASAN: slab-out-of-bounds in overrun_of_memcpy ${M}`],
    lines: [/^Write of size 16/m],
  },
  {
    fault: faults.overrun_of_vmalloc,
    titles: [`BUG: KASAN: vmalloc-out-of-bounds in overrun_of_vmalloc ${M}`],
    lines: [
      /^The buggy address belongs to a 1-page vmalloc region starting at 0x[0-9a-f]+ allocated at overrun_of_vmalloc/m,
    ],
  },
  { fault: faults.end_of_scope, titles: [`BUG: KASAN: stack-out-of-bounds in end_of_scope ${M}`] },
  { fault: faults.stale_element, titles: [`BUG: KASAN: use-after-free in stale_element ${M}`] },
  {
    fault: faults.sleeping_allocation,
    titles: [`BUG: sleeping function called from invalid context at sleeping_allocation ${M}`],
  },
  {
    fault: faults.busy_cache,
    titles: [
      "BUG item_cache (Not tainted): Objects remaining in item_cache on __kmem_cache_shutdown()",
      "WARNING: kmem_cache_destroy",
    ],
    lines: [/^Object 0x[0-9a-f]{16} @offset=\d+$/m, /^Allocated in busy_cache \[mm_faults\] age=0 cpu=0 pid=\d+$/m],
  },
  { fault: faults.gone_cache, titles: ["BUG: KASAN: use-after-free in kmem_cache_alloc"] },
  { fault: faults.no_cache, titles: [`BUG: kernel NULL pointer dereference in no_cache ${M}`], outcome: "oops" },
  { fault: faults.hidden_from_user, titles: ["kernel BUG at usercopy_abort!"], outcome: "oops" },
];

for (const { fault, titles, outcome = "done", lines = [] } of planted) {
  test(`planted: ${fault.name}`, (t) => {
    t.is(commit(fault), outcome);
    t.deepEqual(
      found().map((r) => r.title),
      titles,
    );
    const text = found()[0]?.text ?? "";
    if (outcome === "done") t.is(text.split("\n")[0], titles[0]);
    for (const line of lines) t.regex(text, line);
  });
}

test("the access goes on with what was there", (t) => {
  commit(faults.use_after_free);
  t.is(faults.s.seen, 7);
  commit(faults.stale_element);
  t.is(faults.s.seen, 42);
  commit(faults.index_of_member);
  t.is(faults.s.seen, 0);
});

test("a refused memcpy copies nothing", (t) => {
  commit(faults.overrun_of_memcpy);
  t.is(faults.s.seen, 0);
});

test("a cache with objects is kept, and both messages are in the log", (t) => {
  commit(faults.busy_cache);
  const text = log().map((l) => l.text);
  t.true(
    text.includes(
      "kmem_cache_destroy item_cache: Slab cache still has objects when called from busy_cache [mm_faults]",
    ),
  );
});

test("usercopy names the cache", (t) => {
  commit(faults.hidden_from_user);
  const text = log().map((l) => l.text);
  t.true(
    text.includes(
      "usercopy: Kernel memory exposure attempt detected from SLUB object 'region_cache' (offset 0, size 8)!",
    ),
  );
});

/** The memory state at the end of the first report, without addresses. */
function shadowAfter(fault: () => Sleeps): string[] {
  commit(fault);
  const { text = "" } = found().find((r) => r.checker === "kasan") ?? {};
  return text.slice(text.indexOf("\nMemory state around the buggy address:\n") + 1).split("\n");
}
test("KASAN: the memory around a bad access, as its shadow says", (t) => {
  const rows = (fault: () => Sleeps): string[] => {
    const lines = shadowAfter(fault);
    t.is(lines.length, 7, lines.join("\n"));
    t.is(lines[0], "Memory state around the buggy address:");
    t.deepEqual(
      lines.slice(1).map((l) => l[0]),
      [" ", " ", ">", " ", " ", " "],
    );
    for (const l of lines.filter((_, i) => i > 0 && i !== 4))
      t.regex(l, /^[ >][0-9a-f]{14}[08]0:(?: [0-9a-f]{2}){16}$/);
    const at = (lines[4]!.length - 20) / 3;
    t.true(Number.isInteger(at) && lines[4]!.trim() === "^");
    return [lines[3]!, lines[5]!].flatMap((l) => l.slice(19).split(" ")).slice(at, at + 3);
  };
  t.deepEqual(
    rows(faults.shadow_past),
    ["04", "fc", "00"],
    "four bytes of the last granule, then what the bucket has more",
  );
  t.deepEqual(rows(faults.shadow_far_past), ["fc", "00", "00"], "behind it the next object");
  t.deepEqual(rows(faults.shadow_freed), ["fa", "fb", "fb"], "freed");
});

test("kmemleak: what nothing points to, oldest first, once", (t) => {
  boot();
  for (const m of module_images().values()) if (m.name === "mm_faults") m.state = 0;
  t.is(module_images().has("mm_faults"), true);
  for (const m of module_images().values()) if (m.name === "mm_faults") for (const x of m.statics) x.reset();
  spawn("init", faults.leak());
  t.is(run(), "done");
  const leaks = kmemleak_scan();
  t.deepEqual(
    leaks.map((r) => r.title),
    ["unreferenced object: struct item[] (size 80)", "unreferenced object: struct item (size 40)"],
  );
  t.regex(
    leaks[0]?.text ?? "",
    /^unreferenced object 0x[0-9a-f]{8} \(size 80\):\n {2}comm "init", pid \d+, jiffies 0 \(age 0\.000s\)\n {2}backtrace:\n {4}leak \[mm_faults\]$/,
  );
  t.deepEqual(kmemleak_scan(), []);
  t.is(live_objects().filter((o) => o.module === "mm_faults").length, 4);
});

test("kmemleak: what a task that lives may still hold is not called leaked", (t) => {
  boot();
  spawn("holder", hold());
  run(() => [...live_memory()].some((m) => m.alloc_track?.comm === "holder"));
  t.deepEqual(kmemleak_scan(), []);
  run();
  t.is(kmemleak_scan().length, 1);
});
function* hold(): Sleeps {
  kmalloc(32, GFP_KERNEL);
  yield* msleep(10);
}

const KMEMLEAK = "/sys/kernel/debug/kmemleak";
interface LeakFile {
  readonly write: (command: string) => Sleeps<number>;
  readonly read: () => Sleeps<string>;
}
/** What is written to kmemleak's file by a process that has leaked something, and what is read from it. */
function withLeakFile(body: (k: LeakFile, u: user_process) => Sleeps): void {
  boot();
  for (const x of module_images().get("mm_faults")?.statics ?? []) x.reset();
  for (const m of module_images().values()) if (m.name === "mm_faults") m.state = 0;
  run_user("init", function* (u) {
    yield* u.syscall(function* () {
      yield* faults.leak();
      yield* faults.leak_bytes();
      return 0;
    });
    const write = (command: string): Sleeps<number> => u.sysfs_write(KMEMLEAK, command);
    yield* body(
      {
        write,
        read: function* () {
          return (yield* u.sysfs_read(KMEMLEAK)).text;
        },
      },
      u,
    );
  });
}
test("kmemleak's file: scan, read, clear", (t) => {
  const seen: Record<string, unknown> = {};
  withLeakFile(function* (k, u) {
    seen["young"] = [yield* k.write("scan"), yield* k.read()];
    yield* u.sleep_ms(5_000);
    seen["scan"] = [yield* k.write("scan"), yield* k.read()];
    seen["again"] = [yield* k.write("scan\n"), (yield* k.read()) === (seen["scan"] as string[])[1]];
    seen["clear"] = [yield* k.write("clear"), yield* k.read()];
    seen["after"] = [yield* k.write("scan"), yield* k.read()];
  });
  t.is(run(), "done");
  t.deepEqual(seen["young"], [4, ""], "an object may be five seconds old before it is called leaked");
  const [ret, text] = seen["scan"] as [number, string];
  t.is(ret, 4);
  t.regex(
    text,
    new RegExp(
      [
        /^unreferenced object 0x[0-9a-f]{8} \(size 80\):\n/,
        /  comm "init", pid \d+, jiffies 0 \(age 5\.000s\)\n  backtrace:\n    leak \[mm_faults\]\n(?:    .*\n)*/,
        /unreferenced object 0x[0-9a-f]{8} \(size 40\):\n(?: .*\n)*/,
        /unreferenced object 0x[0-9a-f]{8} \(size 20\):\n  comm .*\n  hex dump \(first 20 bytes\):\n/,
        /    6b 6c 61 62 00 01 02 03 04 05 06 07 08 09 0a 0b  klab\.{12}\n/,
        /    0c 0d 0e 0f {38}\.{4}\n/,
        /  backtrace:\n    leak_bytes \[mm_faults\]\n(?:    .*\n)*$/,
      ]
        .map((r) => r.source)
        .join(""),
    ),
  );
  t.deepEqual(seen["again"], [5, true], "what is told once is still in the file");
  t.deepEqual(seen["clear"], [5, ""]);
  t.deepEqual(seen["after"], [4, ""], "what was cleared is a leak no more");
  t.deepEqual(
    log()
      .filter((l) => l.text.startsWith("kmemleak:"))
      .map((l) => l.text),
    ["kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"],
  );
  t.is(found().filter((r) => r.checker === "kmemleak").length, 3);
});
test("kmemleak's file: what it does not know, what others hold, and when it is off", (t) => {
  const seen: unknown[] = [];
  withLeakFile(function* (k, u) {
    spawn("holder", holds_for_long());
    yield* u.sleep_ms(6_000);
    seen.push(yield* k.write("what"), yield* k.write("scan=on"), yield* k.write("dump=0x80000000"));
    yield* k.write("scan");
    seen.push((yield* k.read()).includes("holder"));
    seen.push(yield* k.write("stack=off"), yield* k.write("scan"), (yield* k.read()).includes("holder"));
    seen.push(yield* k.write("off"), yield* k.write("scan"), yield* k.write("clear"));
  });
  t.is(run(), "done");
  t.deepEqual(seen, [-EINVAL, -EINVAL, -EINVAL, false, 9, 4, true, 3, -EPERM, 5]);
  t.true(log().some((l) => l.text === "kmemleak: Kernel memory leak detector disabled"));
});
function* holds_for_long(): Sleeps {
  const mine = kmalloc(32, GFP_KERNEL);
  yield* msleep(60_000);
  kfree(mine);
}

test("sizes and caches are kmalloc's", (t) => {
  t.deepEqual([1, 9, 65, 97, 129, 193, 8192, 8193].map(kmalloc_size_roundup), [8, 16, 96, 128, 192, 256, 8192, 16384]);
  boot();
  const got: (string | null | undefined)[] = [];
  spawn("init", caches(got));
  run();
  t.deepEqual(got, ["kmalloc-96", "dma-kmalloc-192", "kmalloc-1k", null]);
});
function* caches(got: (string | null | undefined)[]): Sleeps {
  for (const p of [
    kmalloc(70, GFP_KERNEL),
    kmalloc(130, GFP_KERNEL | GFP_DMA),
    kzalloc(1000, GFP_KERNEL),
    kvzalloc(9000, GFP_KERNEL),
  ]) {
    got.push(p?.$mem.cache);
    kvfree(p);
  }
  yield* [];
}

test("addresses: 8-aligned, in order, DMA below 2 GB, the same in each boot", (t) => {
  const once = (): number[] => {
    boot();
    const at: number[] = [];
    spawn("init", addresses(at));
    run();
    return at;
  };
  const at = once();
  t.deepEqual(once(), at);
  t.true(at.every((a) => a % 8 === 0));
  t.true((at[0] ?? 0) < (at[1] ?? 0));
  t.true((at[2] ?? 0) < 2 ** 31 && (at[0] ?? 0) >= 2 ** 31);
  t.is(at[3], (at[0] ?? 0) + 8);
});
function* addresses(at: number[]): Sleeps {
  const p = kzalloc(faults.item, GFP_KERNEL)!;
  at.push(addr_of(p), addr_of(kmalloc(1, GFP_KERNEL)!), addr_of(kmalloc(1, GFP_DMA)!), addr_of(p.in_) + 4);
  yield* [];
}

test("kmemdup, krealloc and strings", (t) => {
  boot();
  spawn("init", copies(t));
  t.is(run(), "done");
  t.deepEqual(found(), []);
});
function* copies(t: ExecutionContext): Sleeps {
  const p = kzalloc(faults.item, GFP_KERNEL)!;
  p.id = 5;
  p.in_.b = 6;
  p.table.set(2, 7);
  const copy = kmemdup(p, 40, GFP_KERNEL)!;
  t.deepEqual([copy.id, copy.in_.b, copy.table.at(2)], [5, 6, 7]);
  const buf = kmalloc(4, GFP_KERNEL)!;
  buf.$bytes[3] = 9;
  const same = krealloc(buf, 8, GFP_KERNEL)!;
  t.is(same, buf);
  const longer = krealloc(same, 9, GFP_KERNEL)!;
  t.not(longer, buf);
  t.deepEqual([longer.length, longer.$bytes[3]], [9, 9]);
  t.is(kstrdup("x", GFP_KERNEL), "x");
  t.is(kstrdup(null, GFP_KERNEL), null);
  for (const x of [p, copy, longer, null]) kfree(x);
  yield* [];
}

test("fail-nth: each allocation in turn, then none", (t) => {
  const results: number[] = [];
  for (let n = 1; ; n++) {
    boot();
    set_fail_nth(n);
    const task = spawn("victim", faults.three_allocations());
    spawn("bystander", faults.three_allocations());
    make_it_fail(task);
    run(() => task.state !== 0);
    results.push(faults.s.seen);
    t.is(found().length, 0);
    const [injected] = fault_injections();
    if (!injected) {
      t.is(n, fault_points() + 1);
      break;
    }
    t.deepEqual(
      [injected.nth, injected.comm, injected.place],
      [n, "victim", n === 2 ? "kvasprintf" : "three_allocations [mm_faults]"],
    );
  }
  t.is(results.length, 4);
});

test("failslab: the schedule decides, up to the budget, and says so", (t) => {
  const labels: string[] = [];
  const decide = (kind: string, n: number, label: (i: number) => string): number => {
    if (kind !== "fault") return 0;
    labels.push(label(1));
    return labels.length === 2 ? 1 : 0;
  };
  boot({ schedule: { interferes: true, decide } });
  arm_faults(1, { all_tasks: true, verbose: 1 });
  spawn("init", faults.three_allocations());
  run();
  t.is(faults.s.seen, 2);
  t.deepEqual(labels, [
    "failslab kmalloc-64 in three_allocations [mm_faults]",
    "failslab kmalloc-8 in kvasprintf < kasprintf < three_allocations [mm_faults]",
  ]);
  t.true(log().some((l) => l.text === "FAULT_INJECTION: forcing a failure."));
});

test("user memory: copies stop where it ends", (t) => {
  boot();
  const mm = mm_alloc();
  const at = mmap_anon(mm, 4096);
  const readOnly = mmap_anon(mm, 4096, VM_READ);
  const results: unknown[] = [];
  set_task_mm(spawn("init", userCopies(at, readOnly, results)), mm);
  spawn("kthread", userCopies(at, readOnly, []));
  user_write(mm, at + 100n, new TextEncoder().encode("hello\0"));
  t.is(run(), "done");
  t.deepEqual(results, [
    0,
    6,
    [1, 2],
    6,
    [1, 2, 0, 0],
    0,
    -EFAULT,
    0x0102,
    0,
    0,
    -EFAULT,
    "hello",
    true,
    -EFAULT,
    4096,
  ]);
  t.deepEqual([...user_read(mm, at + 4094n, 2)], [0, 0]);
  t.deepEqual([...user_read(mm, at + 8n, 4)], [0, 0, 1, 2]);
  t.throws(() => user_read(mm, readOnly + 4096n, 1), { message: /SIGSEGV/ });
  mprotect(mm, at, 0);
  t.throws(() => user_read(mm, at, 1));
  t.is(munmap(mm, readOnly, 1).length, 1);
});
function* userCopies(at: bigint, readOnly: bigint, results: unknown[]): Sleeps {
  const buf = new kbuf(8);
  buf.$bytes.set([1, 2, 3, 4, 5, 6, 7, 8]);
  results.push(yield* copy_to_user(at, buf, 8));
  // Two bytes before the end of the area.
  results.push(yield* copy_to_user(at + 4094n, buf, 8));
  const back = new kbuf(8);
  back.$bytes.fill(0xff);
  const left = yield* copy_from_user(back, at + 4094n, 8);
  results.push([...back.$bytes.subarray(0, 2)], left, [...back.$bytes.subarray(0, 4)]);
  results.push(yield* copy_from_user(back, readOnly, 8));
  results.push(yield* put_user(1, readOnly));
  results.push(0x0102);
  results.push(yield* put_user(0x0102, at + 8n));
  const x = { value: 7 };
  results.push(yield* get_user(x, at + 8n));
  results.push(yield* get_user(x, 0n));
  results.push(yield* strndup_user(at + 100n, 64));
  const bad = yield* strndup_user(0n, 4);
  results.push(IS_ERR(bad), PTR_ERR(bad));
  yield* clear_user(at + 4094n, 2);
  results.push(yield* clear_user(readOnly, 4096));
}

test("the data sections are the roots", (t) => {
  t.true(data_sections().length > 5);
});

/** Ten calls of a function that allows it, then ten allocations: a digit for each, 1 for a failure. */
function fate(arm: () => void): string {
  boot();
  arm();
  spawn("init", faults.twenty_chances());
  run();
  return faults.s.fate;
}
const ALL = { all_tasks: true } as const;
const BOTH = { ...ALL, attrs: ["failslab", "fail_function"] } as const;
const NONE = "0".repeat(20);

test.serial("fault injection: probability, interval, times and space", (t) => {
  t.is(
    fate(() => setup_fault_attr({ probability: 0 }, ALL)),
    NONE,
  );
  t.is(
    fate(() => setup_fault_attr({ probability: 100 }, ALL)),
    "00000000001111111111",
  );
  t.is(
    fate(() => setup_fault_attr({ probability: 100, times: 3 }, ALL)),
    "00000000001110000000",
  );
  t.is(
    fate(() => setup_fault_attr({ probability: 100, interval: 4 }, ALL)),
    "00000000000001000100",
  );
  // An item has 64 bytes in its cache.
  t.is(
    fate(() => setup_fault_attr({ probability: 100, space: 150 }, ALL)),
    "00000000000011111111",
  );
  t.is(
    fate(() => setup_fault_attr({ probability: 100 })),
    NONE,
    "nobody is marked",
  );
  const halves = [1, 2, 3].map((seed) => fate(() => setup_fault_attr({ probability: 50, seed }, ALL)));
  t.is(new Set(halves).size, 3, "other seeds, other failures");
  t.is(
    fate(() => setup_fault_attr({ probability: 50, seed: 2 }, ALL)),
    halves[1] ?? "",
    "and the same ones again",
  );
});

test.serial("fault injection: functions that allow it return the error", (t) => {
  const inject = (retval: number): void => {
    t.is(fei_inject("no_such_function", -ENOMEM), -EINVAL);
    t.is(fei_inject("may_fail", retval), 0);
    t.is(fei_inject("may_fail", retval), -EBUSY);
    setup_fault_attr({ probability: 100, times: 4 }, BOTH);
  };
  t.is(
    fate(() => inject(-ENOMEM)),
    "11110000000000000000",
  );
  t.like(fault_injections()[0], { attr: "fail_function", what: "may_fail", nth: 1 });
  t.is(fei_remove("may_fail"), 0);
  t.is(fei_remove("may_fail"), -ENOENT);
  t.is(
    fate(() => inject(7)),
    "11110000000000000000",
    "what is no errno becomes -EINVAL",
  );
  t.is(
    fate(() => {
      fei_inject("should_failslab", -ENOMEM);
      setup_fault_attr({ probability: 100, times: 2 }, { ...ALL, attrs: ["fail_function"] });
    }),
    "00000000001100000000",
  );
  // Each call in turn, until a run is free of faults.
  const runs: string[] = [];
  for (let n = 1; ; n++) {
    runs.push(
      fate(() => {
        fei_inject("may_fail", -ENOMEM);
        set_fail_nth(n, BOTH);
      }),
    );
    if (fault_injections().length === 0) break;
  }
  t.deepEqual(
    runs,
    Array.from({ length: 21 }, (_, i) => NONE.slice(0, i) + (i < 20 ? "1" : "") + NONE.slice(i + 1)),
  );
});
