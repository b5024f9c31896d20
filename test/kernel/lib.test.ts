// SPDX-License-Identifier: GPL-2.0-only
/** The small data structures: counters, lists, numbers, arrays, strings, bits. */
import test, { type ExecutionContext } from "ava";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { wild_address } from "../../kernel/lib/err_ptr.ts";
import { E2BIG, EBUSY, EINVAL, ENOMEM, ENOSPC, ERANGE, errname, errno_numbers } from "#linux/errno.ts";
import { ALIGN, kstrtobool, kstrtoint, kstrtoul, sscanf } from "#linux/kernel.ts";
import { GFP_KERNEL, kzalloc } from "#linux/slab.ts";
import { bitmap_shift_left, bitmap_set, bitmap_weight, new_bitmap } from "#linux/bitmap.ts";
import { find_first_zero_bit, fls, ffs, for_each_set_bit, set_bit, test_and_set_bit, test_bit } from "#linux/bitops.ts";
import {
  DEFINE_IDA,
  DEFINE_IDR,
  ida_alloc,
  ida_alloc_max,
  ida_alloc_min,
  ida_alloc_range,
  ida_destroy,
  ida_free,
  ida_is_empty,
  idr_alloc,
  idr_alloc_cyclic,
  idr_find,
  idr_for_each_entry,
  idr_remove,
} from "#linux/idr.ts";
import { kref, kref_get, kref_get_unless_zero, kref_init, kref_put, kref_read } from "#linux/kref.ts";
import {
  hlist_add_before,
  hlist_add_behind,
  hlist_add_head,
  hlist_del,
  hlist_del_init,
  hlist_empty,
  hlist_for_each_entry,
  hlist_for_each_entry_safe,
  hlist_head,
  hlist_move_list,
  hlist_node,
  LIST_HEAD,
  LIST_POISON1,
  list_add,
  list_add_tail,
  list_del,
  list_del_init,
  list_empty,
  list_first_entry,
  list_first_entry_or_null,
  list_for_each_entry,
  list_for_each_entry_reverse,
  list_for_each_entry_safe,
  list_head,
  list_is_last,
  list_move_tail,
  list_splice_init,
} from "#linux/list.ts";
import { mutex, mutex_init, mutex_is_locked, mutex_unlock } from "#linux/mutex.ts";
import {
  REFCOUNT_INIT,
  REFCOUNT_MAX,
  refcount_add,
  refcount_dec,
  refcount_dec_and_mutex_lock,
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  refcount_read,
} from "#linux/refcount.ts";
import { copy_struct, memcmp, memcpy, memset, strim, strscpy, sysfs_streq } from "#linux/string.ts";
import { array, embed, initialise, kbuf, sizeof, type Sleeps, struct, u32, u8, ulong } from "#linux/types.ts";
import { guid_equal, guid_parse, guid_t, uuid_is_valid, uuid_parse, uuid_t } from "#linux/uuid.ts";
import {
  __xa_cmpxchg,
  __xa_erase,
  DEFINE_XARRAY,
  xa_empty,
  xa_err,
  xa_for_each,
  xa_is_err,
  xa_load,
  xa_lock,
  xa_store,
  xa_unlock,
} from "#linux/xarray.ts";
import { sprintf } from "../../kernel/lib/vsprintf.ts";

class Entry extends struct("entry", { id: u32(), node: embed(() => list_head), h: embed(() => hlist_node) }) {}

function make(id: number): Entry {
  return initialise(new Entry(), { id });
}
/** Runs a body as a task of a fresh machine. */
function inTask(t: ExecutionContext, body: (t: ExecutionContext) => Sleeps): string {
  boot();
  spawn("init", body(t));
  return run();
}
const titles = (): string[] => found().map((r) => r.title);
const message = (i = 0): string | undefined => found()[i]?.text.split("\n")[1];

const misuse: readonly [string, () => void, string][] = [
  ["inc of 0", () => refcount_inc(REFCOUNT_INIT(0)), "refcount_t: addition on 0; use-after-free."],
  ["overflow", () => refcount_add(1, REFCOUNT_INIT(REFCOUNT_MAX)), "refcount_t: saturated; leaking memory."],
  [
    "overflow, not zero",
    () => void refcount_inc_not_zero(REFCOUNT_INIT(REFCOUNT_MAX)),
    "refcount_t: saturated; leaking memory.",
  ],
  ["underflow", () => void refcount_dec_and_test(REFCOUNT_INIT(0)), "refcount_t: underflow; use-after-free."],
  ["dec to 0", () => refcount_dec(REFCOUNT_INIT(1)), "refcount_t: decrement hit 0; leaking memory."],
];
for (const [name, fault, text] of misuse) {
  test(`refcount: ${name}`, (t) => {
    boot();
    fault();
    t.deepEqual(titles(), ["WARNING: refcount_warn_saturate"]);
    t.is(message(), text);
    fault();
    t.is(found().length, 1, "once");
  });
}

test("refcount: a saturated counter stays", (t) => {
  boot();
  const r = REFCOUNT_INIT(1);
  t.true(refcount_dec_and_test(r));
  t.false(refcount_inc_not_zero(r));
  refcount_inc(r);
  t.is(refcount_read(r), 0xc0000000);
  t.false(refcount_dec_and_test(r));
  t.is(refcount_read(r), 0xc0000000);
});

test("refcount and kref: the last one", (t) => {
  t.is(inTask(t, lastReference), "done");
  t.deepEqual(found(), []);
});
const released: string[] = [];
function* release(k: kref): Sleeps {
  released.push(String(kref_read(k)));
  yield* [];
}
function* lastReference(t: ExecutionContext): Sleeps {
  const lock = new mutex();
  mutex_init(lock);
  const r = REFCOUNT_INIT(2);
  t.false(yield* refcount_dec_and_mutex_lock(r, lock));
  t.true(yield* refcount_dec_and_mutex_lock(r, lock));
  t.true(mutex_is_locked(lock));
  mutex_unlock(lock);
  const k = new kref();
  kref_init(k);
  kref_get(k);
  t.is(yield* kref_put(k, release), 0);
  t.is(yield* kref_put(k, release), 1);
  t.deepEqual(released, ["0"]);
  t.false(kref_get_unless_zero(k));
}

test("list: order, movement, emptiness", (t) => {
  const head = LIST_HEAD();
  t.true(list_empty(head));
  t.is(list_first_entry_or_null(head, Entry, "node"), null);
  const [a, b, c] = [make(1), make(2), make(3)];
  list_add_tail(b.node, head);
  list_add_tail(c.node, head);
  list_add(a.node, head);
  const ids = (): number[] => [...list_for_each_entry(head, Entry, "node")].map((e) => e.id);
  t.deepEqual(ids(), [1, 2, 3]);
  t.is(list_first_entry(head, Entry, "node"), a);
  t.true(list_is_last(c.node, head));
  list_move_tail(a.node, head);
  t.deepEqual(ids(), [2, 3, 1]);
  t.deepEqual(
    [...list_for_each_entry_reverse(head, Entry, "node")].map((e) => e.id),
    [1, 3, 2],
  );
  const other = LIST_HEAD();
  list_add(make(9).node, other);
  list_splice_init(other, head);
  t.true(list_empty(other));
  t.deepEqual(ids(), [9, 2, 3, 1]);
  for (const e of list_for_each_entry_safe(head, Entry, "node")) list_del_init(e.node);
  t.true(list_empty(head) && list_empty(a.node));
});

test("list: what is added during the walk is met", (t) => {
  const head = LIST_HEAD();
  list_add_tail(make(1).node, head);
  const seen: number[] = [];
  for (const e of list_for_each_entry(head, Entry, "node")) {
    seen.push(e.id);
    if (e.id < 3) list_add_tail(make(e.id + 1).node, head);
  }
  t.deepEqual(seen, [1, 2, 3]);
});

test("list: going on from a deleted entry faults at the poison", (t) => {
  t.is(inTask(t, walkOverDeleted), "oops");
  t.regex(found()[0]?.text ?? "", /^general protection fault, probably for non-canonical address 0xdead0000000000f8: /);
});
function* walkOverDeleted(t: ExecutionContext): Sleeps {
  const head = LIST_HEAD();
  list_add_tail(make(1).node, head);
  list_add_tail(make(2).node, head);
  for (const e of list_for_each_entry(head, Entry, "node")) {
    t.is(e.id, 1);
    list_del(e.node);
    t.is(wild_address(e.node.next), 0xdead000000000100n);
    t.is(e.node.next, LIST_POISON1);
  }
  yield* [];
}

const corruptions: readonly [string, string, RegExp, () => void][] = [
  [
    "deleted twice",
    "__list_del_entry_valid",
    /^list_del corruption, [0-9a-f]{16}->next is LIST_POISON1 \(dead000000000100\)$/,
    () => {
      const [head, a] = [LIST_HEAD(), make(1)];
      list_add(a.node, head);
      list_del(a.node);
      list_del(a.node);
    },
  ],
  [
    "deleted, never added",
    "__list_del_entry_valid",
    /^list_del corruption, [0-9a-f]{16}->next is NULL$/,
    () => list_del(make(1).node),
  ],
  [
    "added twice",
    "__list_add_valid",
    /^list_add double add: new=[0-9a-f]{16}, prev=[0-9a-f]{16}, next=[0-9a-f]{16}\.$/,
    () => {
      const [head, a] = [LIST_HEAD(), make(1)];
      list_add(a.node, head);
      list_add(a.node, head);
    },
  ],
  [
    "added twice at the end",
    "__list_add_valid",
    /^list_add double add: /,
    () => {
      const [head, a] = [LIST_HEAD(), make(1)];
      list_add_tail(a.node, head);
      list_add_tail(a.node, head);
    },
  ],
  [
    "added to a head that was never initialised",
    "__list_add_valid",
    /^list_add corruption\. next is NULL\.$/,
    () => list_add(make(1).node, new list_head()),
  ],
  [
    "neighbour overwritten",
    "__list_del_entry_valid",
    /^list_del corruption\. prev->next should be [0-9a-f]{16}, but was [0-9a-f]{16}\. \(prev=[0-9a-f]{16}\)$/,
    () => {
      const [head, a] = [LIST_HEAD(), make(1)];
      list_add(a.node, head);
      head.next = head;
      list_del(a.node);
    },
  ],
];
for (const [name, func, text, fault] of corruptions) {
  test(`list debug: ${name}`, (t) => {
    boot();
    fault();
    t.deepEqual(titles(), [`WARNING: ${func}`]);
    t.regex(message() ?? "", text);
  });
}

test("hlist", (t) => {
  const head = new hlist_head();
  const [a, b] = [make(1), make(2)];
  hlist_add_head(a.h, head);
  hlist_add_head(b.h, head);
  hlist_del_init(b.h);
  hlist_del_init(b.h);
  t.deepEqual(
    [...hlist_for_each_entry(head, Entry, "h")].map((e) => e.id),
    [1],
  );
  const [first, last] = [make(3), make(4)];
  hlist_add_before(first.h, a.h);
  hlist_add_behind(last.h, a.h);
  hlist_add_before(b.h, last.h);
  const ids: number[] = [];
  const other = new hlist_head();
  hlist_move_list(head, other);
  for (const e of hlist_for_each_entry_safe(other, Entry, "h")) {
    ids.push(e.id);
    hlist_del(e.h);
  }
  t.deepEqual(ids, [3, 1, 2, 4]);
  t.true(hlist_empty(head) && hlist_empty(other));
});

test("ida", (t) => {
  t.is(inTask(t, numbers), "done");
  t.deepEqual(titles(), ["WARNING: ida_free"]);
  t.is(message(), "ida_free called for id=7 which is not allocated.");
});
function* numbers(t: ExecutionContext): Sleeps {
  const ida = DEFINE_IDA();
  t.deepEqual([ida_alloc(ida, GFP_KERNEL), ida_alloc(ida, GFP_KERNEL), ida_alloc_min(ida, 5, GFP_KERNEL)], [0, 1, 5]);
  ida_free(ida, 0);
  t.is(ida_alloc_max(ida, 1, GFP_KERNEL), 0);
  t.is(ida_alloc_max(ida, 1, GFP_KERNEL), -ENOSPC);
  t.is(ida_alloc_range(ida, -1, 5, GFP_KERNEL), -ENOSPC);
  ida_free(ida, 7);
  // One bit is kept in the pointer, this one is not.
  set_fail_nth(1, { all_tasks: true });
  t.is(ida_alloc_min(ida, 100, GFP_KERNEL), 100);
  set_fail_nth(1);
  ida_destroy(ida);
  t.true(ida_is_empty(ida));
  yield* [];
}

test("idr", (t) => {
  boot();
  const idr = DEFINE_IDR();
  const [a, b] = [make(1), make(2)];
  t.is(idr_alloc(idr, a, 3, 0, GFP_KERNEL), 3);
  t.is(idr_alloc(idr, b, 3, 5, GFP_KERNEL), 4);
  t.is(idr_alloc(idr, b, 3, 5, GFP_KERNEL), -ENOSPC);
  t.is(idr_find(idr, 4), b);
  t.deepEqual(
    [...idr_for_each_entry<Entry>(idr)].map(([id, e]) => [id, e.id]),
    [
      [3, 1],
      [4, 2],
    ],
  );
  t.is(idr_remove(idr, 3), a);
  t.is(idr_remove(idr, 3), null);
  t.deepEqual(
    [1, 2].map(() => idr_alloc_cyclic(idr, a, 0, 2, GFP_KERNEL)),
    [0, 1],
  );
  idr_remove(idr, 0);
  t.is(idr_alloc_cyclic(idr, a, 0, 2, GFP_KERNEL), 0);
  t.is(idr_alloc(idr, a, -1, 0, GFP_KERNEL), -EINVAL);
});

test("xarray, by address", (t) => {
  t.is(inTask(t, byAddress), "done");
  t.deepEqual(found(), []);
});
function* byAddress(t: ExecutionContext): Sleeps {
  const xa = DEFINE_XARRAY();
  const [a, b] = [make(1), make(2)];
  yield* xa_lock(xa);
  t.is(__xa_cmpxchg(xa, 0xffff_ffff_ffff_fff0n, null, a, GFP_KERNEL), null);
  t.is(__xa_cmpxchg(xa, 0xffff_ffff_ffff_fff0n, null, b, GFP_KERNEL), a);
  xa_unlock(xa);
  t.is(yield* xa_store(xa, 5, b, GFP_KERNEL), null);
  t.is(xa_load(xa, 5n), b);
  t.deepEqual(
    [...xa_for_each<Entry>(xa)].map(([, e]) => e.id),
    [2, 1],
  );
  // Memory is asked for twice: first without waiting, so one failure does no harm.
  set_fail_nth(1, { all_tasks: true });
  t.is(yield* xa_store(xa, 5000, a, GFP_KERNEL), null);
  t.is(__xa_erase(xa, 5), b);
  t.is(__xa_erase(xa, 5000), a);
  t.is(__xa_erase(xa, 0xffff_ffff_ffff_fff0n), a);
  t.true(xa_empty(xa));
  t.deepEqual([xa_is_err(a), xa_err(a), xa_is_err(null)], [false, 0, false]);
}

class Rec extends struct("record", { n: u32(), sub: embed(() => Entry), bytes: array(4, u8()) }) {}

test("memory functions", (t) => {
  const [a, b] = [new Rec(), new Rec()];
  initialise(a, { n: 3, sub: { id: 4 } });
  a.bytes.set(1, 9);
  copy_struct(b, a);
  t.deepEqual([b.n, b.sub.id, b.bytes.at(1)], [3, 4, 9]);
  memset(b, 0);
  t.deepEqual([b.n, b.sub.id, b.bytes.at(1)], [0, 0, 0]);
  memcpy(b, a, sizeof(Rec));
  t.is(b.sub.id, 4);
  t.throws(() => memset(b, 1), { instanceOf: TypeError });
  const [x, y] = [new kbuf(4), new kbuf(4)];
  memset(x, 7, 2);
  t.true(memcmp(x, y, 4) > 0);
  t.is(memcmp(memcpy(y, x, 4), x, 4), 0);
  memcpy(a.bytes, x, 3);
  t.deepEqual(a.bytes.$items, [7, 7, 0, 0]);
  t.is(strscpy(x, "abcdef", 4), -E2BIG);
  t.deepEqual([...x.$bytes], [97, 98, 99, 0]);
});

test("strings and numbers", (t) => {
  t.true(sysfs_streq("on\n", "on") && !sysfs_streq("on\n\n", "on"));
  t.is(strim(" a b \n"), "a b");
  const n = { value: -1 };
  const l = { value: 0n };
  const f = { value: false };
  t.deepEqual([kstrtoint("0x10\n", 0, n), n.value], [0, 16]);
  t.deepEqual([kstrtoint("-12", 10, n), n.value], [0, -12]);
  t.deepEqual(
    [kstrtoint("2147483648", 10, n), kstrtoint("12a", 10, n), kstrtoint("", 0, n), n.value],
    [-ERANGE, -EINVAL, -EINVAL, -12],
  );
  t.deepEqual([kstrtoul("18446744073709551615", 0, l), l.value], [0, 2n ** 64n - 1n]);
  t.is(kstrtoul("-1", 0, l), -EINVAL);
  t.deepEqual([kstrtobool("on", f), f.value, kstrtobool("x", f)], [0, true, -EINVAL]);
  t.deepEqual(sscanf("0.1.0a2f rest", "%x.%x.%4x%n"), [0, 1, 0xa2f, 8]);
  t.deepEqual(sscanf("0.x", "%x.%x"), [0]);
  t.deepEqual([errname(-ENOMEM), errname(-EBUSY), errno_numbers.get("EPROBE_DEFER")], ["-ENOMEM", "-EBUSY", 517]);
  t.deepEqual([ALIGN(13, 8), ALIGN(0x1001n, 4096n)], [16, 0x2000n]);
});

test("uuid", (t) => {
  const text = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
  const [g, u, h] = [new guid_t(), new uuid_t(), new guid_t()];
  t.deepEqual([guid_parse(`${text}\n`, g), uuid_parse(text, u), guid_parse("83b8f4f2-509f", h)], [0, 0, -EINVAL]);
  t.is(sprintf("%pUl %pUb", g, u), `${text} ${text}`);
  t.is(g.b.at(0), 0xf2);
  t.false(guid_equal(g, h));
  t.false(uuid_is_valid(text.replace("f4f2-", "f4f2+")));
});

class Flags extends struct("flags", { word: u32(), long: ulong() }) {}

test("bits", (t) => {
  const map = new_bitmap(130);
  bitmap_set(map, 62, 4);
  t.deepEqual([...for_each_set_bit(map, 130)], [62, 63, 64, 65]);
  bitmap_shift_left(map, map, 3, 130);
  t.deepEqual([bitmap_weight(map, 130), find_first_zero_bit(map, 130)], [4, 0]);
  t.false(test_and_set_bit(129, map));
  t.true(test_bit(129, map));
  const f = new Flags();
  set_bit(31, f, "word");
  set_bit(63, f, "long");
  t.deepEqual([f.word, f.long, test_bit(31, f, "word")], [0x8000_0000, 1n << 63n, true]);
  t.deepEqual([fls(0), fls(0x80), ffs(0x80)], [0, 8, 8]);
});

test("nothing here speaks on its own", (t) => {
  boot();
  spawn("init", quiet());
  run();
  t.deepEqual([found().length, log().length], [0, 0]);
});
function* quiet(): Sleeps {
  kzalloc(Entry, GFP_KERNEL);
  yield* [];
}
