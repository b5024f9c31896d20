// SPDX-License-Identifier: GPL-2.0-only
/** The small words of the headers: what each of them gives, in tables. */
import test, { type ExecutionContext } from "ava";
import { chp_id, chp_id_init, chp_id_is_equal, chp_id_is_valid, chp_id_next } from "#asm/chpid.ts";
import {
  scsw,
  scsw_actl,
  scsw_cc,
  scsw_cmd_is_solicited,
  scsw_cstat,
  scsw_dstat,
  scsw_ectl,
  scsw_eswf,
  scsw_fctl,
  scsw_is_solicited,
  scsw_is_tm,
  scsw_key,
  scsw_pno,
  scsw_stctl,
  scsw_tm_is_solicited,
} from "#asm/scsw.ts";
import { IS_ALIGNED, ALIGN, ALIGN_DOWN } from "#linux/align.ts";
import * as atomic from "#linux/atomic.ts";
import {
  __clear_bit,
  __ffs,
  __set_bit,
  BIT,
  BIT_ULL,
  find_first_bit,
  find_next_bit,
  find_next_zero_bit,
  fls64,
  GENMASK,
  GENMASK_ULL,
  hweight32,
  hweight_long,
  ilog2,
  is_power_of_2,
  rounddown_pow_of_two,
  roundup_pow_of_two,
} from "#linux/bitops.ts";
import {
  bitmap_and,
  bitmap_clear,
  bitmap_copy,
  bitmap_empty,
  bitmap_fill,
  bitmap_full,
  bitmap_or,
  bitmap_set,
  bitmap_subset,
  bitmap_weight,
  bitmap_zalloc,
  bitmap_free,
  bitmap_zero,
  new_bitmap,
} from "#linux/bitmap.ts";
import { EBUSY, EFAULT, EINVAL, ERANGE, ENOSPC, E2BIG } from "#linux/errno.ts";
import { IS_ERR, PTR_ERR, PTR_ERR_OR_ZERO } from "#linux/err.ts";
import {
  alloc_page,
  free_page,
  get_zeroed_page,
  GFP_KERNEL as GFP_KERNEL_,
  __get_free_pages,
  free_pages,
} from "#linux/gfp.ts";
import { get_page, kmap_local_page, page_count, page_to_pfn, pfn_to_page, pfn_valid, put_page } from "#linux/mm.ts";
import {
  DEFINE_IDR,
  ida,
  ida_simple_get,
  ida_simple_remove,
  idr_alloc,
  idr_destroy,
  idr_for_each,
  idr_init,
  idr_is_empty,
  type idr,
} from "#linux/idr.ts";
import { jiffies_to_usecs, nsecs_to_jiffies, time_after_eq, time_before, time_before_eq } from "#linux/jiffies.ts";
import {
  add_taint,
  ARRAY_SIZE,
  DIV_ROUND_UP,
  kstrtobool,
  kstrtol,
  kstrtou16,
  kstrtou8,
  kstrtouint,
  LOCKDEP_STILL_OK,
  lower_32_bits,
  round_down,
  round_up,
  simple_strtoul,
  struct_size,
  symbol_name,
  TAINT_USER,
  TAINT_WARN,
  test_taint,
  upper_32_bits,
} from "#linux/kernel.ts";
import * as list from "#linux/list.ts";
import { clamp_t, max3, max_t, min3, min_not_zero } from "#linux/minmax.ts";
import { array_index_nospec } from "#linux/nospec.ts";
import { mutex, mutex_init, mutex_is_locked, mutex_unlock } from "#linux/mutex.ts";
import { kref, kref_init, kref_get, kref_put_mutex } from "#linux/kref.ts";
import { poll_does_not_wait, poll_requested_events, poll_table, init_poll_funcptr } from "#linux/poll.ts";
import { pr_alert, pr_crit, pr_err_once, pr_info_once, pr_notice_once, pr_warn_once } from "#linux/printk.ts";
import {
  REFCOUNT_INIT,
  refcount_dec_and_lock,
  refcount_dec_and_lock_irqsave,
  refcount_dec_if_one,
  refcount_dec_not_one,
  refcount_read,
} from "#linux/refcount.ts";
import { GFP_KERNEL, kcalloc, kfree, krealloc, krealloc_array, kzalloc } from "#linux/slab.ts";
import { DEFINE_SPINLOCK, spin_is_locked, spin_unlock, spin_unlock_irqrestore } from "#linux/spinlock.ts";
import * as str from "#linux/string.ts";
import { embed, initialise, kbuf, READY, type Sleeps, struct, u32 } from "#linux/types.ts";
import { memdup_user, memdup_user_nul, put_user, get_user, strndup_user } from "#linux/uaccess.ts";
import * as uuid from "#linux/uuid.ts";
import * as xa from "#linux/xarray.ts";
import { boot, found, log, run, spawn } from "../../kernel/arch/machine.ts";
import { css_general_characteristics } from "#asm/css_chars.ts";
import { scnprintf, snprintf } from "../../kernel/lib/snprintf.ts";
import { kvasprintf_const } from "../../kernel/lib/kasprintf.ts";
import { mm_alloc, mmap_anon, set_task_mm, user_read, user_write } from "../../kernel/mm/mm_struct.ts";
import { print_tainted } from "../../kernel/taint.ts";

class item extends struct("item", { id: u32(), node: embed(() => list.list_head), h: embed(() => list.hlist_node) }) {}
const itemOf = (id: number): item => initialise(new item(), { id });
const ids = (head: list.list_head): number[] => [...list.list_for_each_entry(head, item, "node")].map(({ id }) => id);
function list_of(...all: readonly item[]): list.list_head {
  const head = list.LIST_HEAD();
  for (const one of all) list.list_add_tail(one.node, head);
  return head;
}

/** Boots and runs `body` as a task; it has to end, and nothing may be reported. */
function inTask(t: ExecutionContext, body: Sleeps, prepare: (task: ReturnType<typeof spawn>) => void = () => {}): void {
  boot();
  prepare(spawn("init", body));
  t.is(run(), "done");
  t.deepEqual(found(), []);
}
/** Runs `f` with a counter of `start`. @return what it gives, and the counter afterwards */
const counted = (start: number, f: (v: atomic.atomic_t) => unknown): unknown[] => {
  const v = atomic.ATOMIC_INIT(start);
  return [f(v), atomic.atomic_read(v)];
};
const counted64 = (start: bigint, f: (v: atomic.atomic64_t) => unknown): unknown[] => {
  const v = new atomic.atomic64_t();
  atomic.atomic64_set(v, start);
  return [f(v), atomic.atomic64_read(v)];
};
/** What a parser returns, and what it stored if it did. */
function parsed<T>(zero: T, parse: (res: { value: T }) => number): unknown[] {
  const res = { value: zero };
  const ret = parse(res);
  return [ret, res.value];
}

const VALUES: Readonly<Record<string, readonly (readonly [got: () => unknown, wanted: unknown])[]>> = {
  bits: [
    [() => [BIT(0), BIT(31), BIT_ULL(40)], [1, 0x8000_0000, 1n << 40n]],
    [() => [GENMASK(7, 4), GENMASK(31, 0), GENMASK_ULL(39, 32)], [0xf0, 0xffff_ffff, 0xffn << 32n]],
    [() => [__ffs(8), __ffs(1n << 40n), fls64(0n), fls64(1n << 40n)], [3, 40, 0, 41]],
    [() => [ilog2(1), ilog2(1023), ilog2(1n << 63n)], [0, 9, 63]],
    [() => [0, 1, 6, 8, 1n << 40n].map(is_power_of_2), [false, true, false, true, true]],
    [() => [1, 3, 4, 2 ** 48 + 1].map(roundup_pow_of_two), [1, 4, 4, 2 ** 49]],
    [() => [1, 3, 4, 2 ** 48 - 1].map(rounddown_pow_of_two), [1, 2, 4, 2 ** 47]],
    [() => [hweight32(0), hweight32(-1), hweight_long(0xf0fn)], [0, 32, 8]],
  ],
  "whole numbers": [
    [() => [DIV_ROUND_UP(0, 4), DIV_ROUND_UP(9, 4), round_up(9, 8), round_down(9, 8)], [0, 3, 16, 8]],
    [() => [ALIGN(9, 8), ALIGN(9n, 8n), ALIGN_DOWN(15, 8), ALIGN_DOWN(15n, 8n)], [16, 16n, 8, 8n]],
    [() => [IS_ALIGNED(16, 8), IS_ALIGNED(17n, 8)], [true, false]],
    [() => [upper_32_bits(0x1_2345_6789n), lower_32_bits(0xf_2345_6789n)], [1, 0x2345_6789]],
    [() => [min3(2, 1, 3), max3(2n, 1n, 3n), max_t(1, 2), clamp_t(9, 1, 5), clamp_t(0, 1, 5)], [1, 3n, 2, 5, 1]],
    [() => [min_not_zero(0, 3), min_not_zero(3, 0), min_not_zero(2, 3), min_not_zero(0, 0)], [3, 3, 2, 0]],
    [() => [array_index_nospec(3, 4), array_index_nospec(4, 4)], [3, 0]],
    [() => [ARRAY_SIZE([1, 2]), struct_size(item, 3, 8)], [2, 64]],
    [() => [symbol_name(parsed), symbol_name(null)], ["parsed", "0x0"]],
    [() => [time_before(1, 2), time_before_eq(2, 2), time_after_eq(1, 2)], [true, true, false]],
    [() => [jiffies_to_usecs(1), nsecs_to_jiffies(25_000_000)], [10_000, 2]],
  ],
  "atomic integers": [
    [() => counted(5, (v) => atomic.atomic_sub_return(7, v)), [-2, -2]],
    [() => counted(5, (v) => atomic.atomic_inc_return(v)), [6, 6]],
    [() => counted(-1, (v) => atomic.atomic_inc_and_test(v)), [true, 0]],
    [() => counted(5, (v) => atomic.atomic_sub_and_test(5, v)), [true, 0]],
    [() => counted(5, (v) => atomic.atomic_fetch_sub(2, v)), [5, 3]],
    [() => counted(0x7fff_ffff, (v) => atomic.atomic_fetch_inc(v)), [0x7fff_ffff, -0x8000_0000]],
    [() => counted(5, (v) => atomic.atomic_xchg(v, 9)), [5, 9]],
    [() => counted(5, (v) => atomic.atomic_add_unless(v, 2, 5)), [false, 5]],
    [() => counted(1, (v) => atomic.atomic_dec_if_positive(v)), [0, 0]],
    [() => counted(0, (v) => atomic.atomic_dec_if_positive(v)), [-1, 0]],
    [() => counted64(5n, (v) => atomic.atomic64_inc_return(v)), [6n, 6n]],
    [() => counted64(5n, (v) => atomic.atomic64_sub(7n, v)), [undefined, -2n]],
    [() => counted64(1n, (v) => atomic.atomic64_dec_and_test(v)), [true, 0n]],
    [() => counted64((1n << 63n) - 1n, (v) => (atomic.atomic64_inc(v), 0)), [0, -(1n << 63n)]],
  ],
  strings: [
    [() => [str.strlen("abc"), str.strnlen("abc", 2), str.strnlen("abc", 9)], [3, 2, 3]],
    [() => [str.strncmp("abx", "aby", 2), str.strncmp("abx", "aby", 3), str.strcmp("b", "a")], [0, -1, 1]],
    [() => [str.strcasecmp("AbC", "aBc"), str.strncasecmp("ABx", "aby", 2)], [0, 0]],
    [() => [str.strchr("a/b/c", "/"), str.strrchr("a/b/c", "/"), str.strchr("abc", "/")], ["/b/c", "/c", null]],
    [() => [str.strrchr("abc", "/"), str.strstr("abcbc", "bc"), str.strstr("abc", "x")], [null, "bcbc", null]],
    [() => [str.strstrip(" a b\n"), str.skip_spaces("\t a ")], ["a b", "a "]],
    [() => [str.str_has_prefix("vfio_ccw", "vfio"), str.str_has_prefix("vfio", "ccw")], [4, 0]],
    [() => [str.match_string(["a", "b"], 2, "b"), str.match_string(["a", "b"], 1, "b")], [1, -EINVAL]],
    [() => [str.match_string(["a", null, "b"], -1, "b"), str.match_string(["a", "b"], -1, "b")], [-EINVAL, 1]],
    [() => [str.sysfs_match_string(["on", "off"], "off\n"), str.sysfs_match_string(["on"], "off")], [1, -EINVAL]],
  ],
  "numbers in strings": [
    [() => parsed(0n, (r) => kstrtol("-0x10\n", 0, r)), [0, -16n]],
    [() => parsed(0n, (r) => kstrtol("9223372036854775808", 10, r)), [-ERANGE, 0n]],
    [() => parsed(7, (r) => kstrtouint("-1", 10, r)), [-EINVAL, 7]],
    [() => parsed(7, (r) => kstrtou16("65536", 10, r)), [-ERANGE, 7]],
    [() => parsed(7, (r) => kstrtou8("0377", 0, r)), [0, 255]],
    [() => parsed(7, (r) => kstrtou8("08", 0, r)), [-EINVAL, 7]],
    [() => parsed(7, (r) => kstrtou8("1 ", 10, r)), [-EINVAL, 7]],
    ...(["y", "Yes", "1", "on", "On"] as const).map(
      (s) => [() => parsed(false, (r) => kstrtobool(s, r)), [0, true]] as const,
    ),
    ...(["n", "No", "0", "off", "oF"] as const).map(
      (s) => [() => parsed(true, (r) => kstrtobool(s, r)), [0, false]] as const,
    ),
    ...(["", "o", "x", null] as const).map(
      (s) => [() => parsed(true, (r) => kstrtobool(s, r)), [-EINVAL, true]] as const,
    ),
    [
      () => [simple_strtoul("12ab", 10), simple_strtoul("0x1fg", 0)],
      [
        { v: 12, endp: "ab" },
        { v: 31, endp: "g" },
      ],
    ],
    [
      () => [simple_strtoul("077", 0), simple_strtoul("x", 10)],
      [
        { v: 63, endp: "" },
        { v: 0, endp: "x" },
      ],
    ],
  ],
  "what is asked of a poller": [
    [() => [poll_does_not_wait(null), poll_does_not_wait(new poll_table())], [true, true]],
    [
      () => {
        const pt = new poll_table();
        init_poll_funcptr(pt, () => READY);
        return [poll_does_not_wait(pt), poll_requested_events(pt), poll_requested_events(null)];
      },
      [false, 0xffff_ffff, 0xffff_ffff],
    ],
  ],
};
for (const [what, cases] of Object.entries(VALUES)) {
  test(what, (t) => {
    for (const [got, wanted] of cases) t.deepEqual(got(), wanted, String(got));
  });
}

test("bitmaps", (t) => {
  const [a, b, c] = [new_bitmap(130), new_bitmap(130), new_bitmap(130)];
  bitmap_set(a, 60, 10);
  __set_bit(129, a);
  t.deepEqual([find_first_bit(a, 130), find_next_zero_bit(a, 130, 60), find_next_bit(a, 130, 70)], [60, 70, 129]);
  t.is(find_next_bit(a, 129, 70), 129, "none: the size");
  bitmap_copy(b, a, 130);
  __clear_bit(129, b);
  t.deepEqual([bitmap_weight(a, 130), bitmap_weight(b, 130)], [11, 10]);
  t.deepEqual([bitmap_subset(b, a, 130), bitmap_subset(a, b, 130)], [true, false]);
  t.true(bitmap_and(c, a, b, 130));
  t.is(bitmap_weight(c, 130), 10);
  bitmap_clear(b, 60, 10);
  t.false(bitmap_and(c, a, b, 130), "nothing is left");
  bitmap_or(c, a, b, 130);
  t.is(bitmap_weight(c, 130), 11);
  bitmap_fill(c, 130);
  t.deepEqual([bitmap_full(c, 130), bitmap_empty(c, 130)], [true, false]);
  bitmap_zero(c, 130);
  t.deepEqual([bitmap_full(c, 130), bitmap_empty(c, 130)], [false, true]);
});

test("lists: the less common half", (t) => {
  const [a, b, c] = [itemOf(1), itemOf(2), itemOf(3)];
  const head = list_of(a, b, c);
  t.true(list.list_is_first(a.node, head) && list.list_is_head(head, head) && !list.list_is_first(b.node, head));
  t.is(list.list_last_entry(head, item, "node"), c);
  t.deepEqual([list.list_next_entry(a, item, "node"), list.list_prev_entry(c, item, "node")], [b, b]);
  list.list_rotate_left(head);
  t.deepEqual(ids(head), [2, 3, 1]);
  list.list_move(a.node, head);
  t.deepEqual(ids(head), [1, 2, 3]);
  const d = itemOf(4);
  list.list_replace_init(b.node, d.node);
  t.deepEqual([ids(head), list.list_empty(b.node), list.list_empty_careful(head)], [[1, 4, 3], true, false]);
  t.deepEqual([...list.list_for_each(head)], [a.node, d.node, c.node]);
  for (const one of list.list_for_each_safe(head)) if (one === d.node) list.list_del_init(one);
  t.deepEqual(ids(head), [1, 3]);
  t.deepEqual([...list.list_for_each_entry_continue(a, head, item, "node")], [c]);
  t.deepEqual([...list.list_for_each_entry_continue_reverse(c, head, item, "node")], [a]);
  for (const one of list.list_for_each_entry_safe_reverse(head, item, "node")) if (one === c) list.list_del(one.node);
  t.true(list.list_is_singular(head));
  const more = list_of(itemOf(7), itemOf(8));
  list.list_splice_tail(more, head);
  t.deepEqual(ids(head), [1, 7, 8]);
  const last = list_of(itemOf(9));
  list.list_splice_tail_init(last, head);
  list.list_splice_tail_init(last, head);
  t.deepEqual([ids(head), list.list_empty(last)], [[1, 7, 8, 9], true]);
  list.list_splice(list_of(itemOf(0)), head);
  t.deepEqual(ids(head), [0, 1, 7, 8, 9]);
});

test("hlists", (t) => {
  const [h, a, b] = [new list.hlist_head(), itemOf(1), itemOf(2)];
  list.INIT_HLIST_HEAD(h);
  t.true(list.hlist_empty(h));
  list.hlist_add_head(a.h, h);
  list.hlist_add_head(b.h, h);
  t.deepEqual([...list.hlist_for_each_entry(h, item, "h")], [b, a]);
  list.hlist_del(b.h);
  t.deepEqual([...list.hlist_for_each_entry(h, item, "h")], [a]);
  t.false(list.hlist_unhashed(b.h), "poisoned");
  list.hlist_del_init(a.h);
  t.true(list.hlist_empty(h) && list.hlist_unhashed(a.h));
});

test("bytes: memchr_inv, memmove, set_byte_at, c_string, snprintf", (t) => {
  boot();
  const buf = new kbuf(8);
  t.is(str.memchr_inv(buf, 0, 8), null);
  str.set_byte_at(buf, 5, 7);
  t.is(str.memchr_inv(buf, 0, 8), 5);
  t.is(snprintf(buf, 4, "%s-%d", "ab", 12), 5, "as long as the whole text");
  t.deepEqual([str.c_string(buf), str.c_string(buf, 1), str.byte_at(buf, 5)], ["ab-", "b-", 7]);
  t.is(scnprintf(buf, 4, "%s-%d", "ab", 12), 3, "as long as what is there");
  t.is(scnprintf(buf, 0, "x"), 0);
  const to = new kbuf(8);
  str.memmove(to, buf, 8);
  t.deepEqual([...to.$bytes], [...buf.$bytes]);
  t.is(str.strscpy(to, "abcdefgh", 8), -E2BIG);
  t.is(str.c_string(to), "abcdefg");
});

test("UUIDs", (t) => {
  boot();
  const text = "00112233-4455-6677-8899-aabbccddeeff";
  const [u, v, g] = [new uuid.uuid_t(), new uuid.uuid_t(), new uuid.guid_t()];
  t.deepEqual([uuid.uuid_is_null(u), uuid.guid_is_null(g)], [true, true]);
  t.deepEqual([uuid.uuid_parse(text, u), uuid.guid_parse(text, g), uuid.guid_parse(text.slice(1), g)], [0, 0, -EINVAL]);
  t.deepEqual([u.b.at(0), g.b.at(0), g.b.at(3), g.b.at(8)], [0x00, 0x33, 0x00, 0x88], "a guid is little-endian");
  t.false(uuid.uuid_equal(u, v));
  uuid.uuid_copy(v, u);
  t.true(uuid.uuid_equal(u, v));
  uuid.uuid_gen(u);
  uuid.guid_gen(g);
  t.deepEqual([u.b.at(6) >> 4, u.b.at(8) >> 6, g.b.at(7) >> 4, g.b.at(8) >> 6], [4, 2, 4, 2], "version and variant");
  const first = [...u.b];
  boot();
  uuid.uuid_gen(u);
  t.deepEqual([...u.b], first, "the same in each boot");
});

test("taint", (t) => {
  boot();
  t.is(print_tainted(), "Not tainted");
  add_taint(TAINT_USER, LOCKDEP_STILL_OK);
  t.deepEqual([test_taint(TAINT_USER), test_taint(TAINT_WARN)], [true, false]);
  t.is(print_tainted().trimEnd(), "Tainted: G     U");
  boot();
  t.is(print_tainted(), "Not tainted");
});

test("messages that come once, and rare levels", (t) => {
  boot();
  const from = log().length;
  for (let i = 0; i < 2; i++) {
    pr_err_once("e%d\n", i);
    pr_warn_once("w\n");
    pr_notice_once("n\n");
    pr_info_once("i\n");
  }
  pr_alert("a\n");
  pr_crit("c\n");
  t.deepEqual(
    log()
      .slice(from)
      .map(({ level, text }) => `${level} ${text}`),
    ["3 e0", "4 w", "5 n", "6 i", "1 a", "2 c"],
  );
});

test("kvasprintf_const() makes no copy that nobody needs", (t) => {
  boot();
  t.is(kvasprintf_const(GFP_KERNEL, "plain", []), "plain");
  t.is(kvasprintf_const(GFP_KERNEL, "%s", ["as it is"]), "as it is");
  t.is(kvasprintf_const(GFP_KERNEL, "%s%d", ["a", 1]), "a1");
});

test("IDRs and IDAs: the older words", (t) => {
  boot();
  const tree: idr = DEFINE_IDR();
  idr_init(tree);
  t.true(idr_is_empty(tree));
  const [a, b] = [{}, {}];
  t.deepEqual([idr_alloc(tree, b, 5, 0, GFP_KERNEL), idr_alloc(tree, a, 0, 0, GFP_KERNEL)], [5, 0]);
  const visited: number[] = [];
  const visit = (id: number, p: object | null, stop: number): number => {
    visited.push(id);
    return p !== null && id === stop ? -EBUSY : 0;
  };
  t.deepEqual([idr_for_each(tree, visit, 9), idr_for_each(tree, visit, 0), visited], [0, -EBUSY, [0, 5, 0]]);
  t.is(idr_alloc(tree, a, 5, 6, GFP_KERNEL), -ENOSPC);
  idr_destroy(tree);
  t.true(idr_is_empty(tree));
  const numbers = new ida();
  // The end is exclusive; 0 is none.
  t.deepEqual([ida_simple_get(numbers, 3, 4, GFP_KERNEL), ida_simple_get(numbers, 3, 4, GFP_KERNEL)], [3, -ENOSPC]);
  t.is(ida_simple_get(numbers, 3, 0, GFP_KERNEL), 4);
  ida_simple_remove(numbers, 3);
  t.is(ida_simple_get(numbers, 0, 0, GFP_KERNEL), 0);
});

function* arrays(t: ExecutionContext): Sleeps {
  const x = xa.DEFINE_XARRAY();
  const [a, b] = [{}, {}];
  t.is(yield* xa.xa_insert(x, 3, a, GFP_KERNEL), 0);
  t.is(yield* xa.xa_insert(x, 3, b, GFP_KERNEL), -EBUSY);
  t.is(yield* xa.xa_cmpxchg(x, 3, b, null, GFP_KERNEL), a, "not what was expected: stays");
  t.is(yield* xa.xa_cmpxchg(x, 3, a, b, GFP_KERNEL), a);
  t.is(yield* xa.xa_erase(x, 3), b);
  t.is(yield* xa.xa_erase(x, 3), null);
  const id = { value: -1 };
  t.is(yield* xa.xa_alloc(x, id, a, xa.xa_limit_31b, GFP_KERNEL), 0);
  t.is(yield* xa.xa_alloc(x, id, b, { min: 0, max: 1 }, GFP_KERNEL), 0);
  t.is(yield* xa.xa_alloc(x, { value: 9 }, b, { min: 0, max: 1 }, GFP_KERNEL), -EBUSY);
  t.deepEqual([id.value, xa.xa_load(x, 1), xa.xa_limit_32b.max], [1, b, 2 ** 32 - 1]);
  yield* xa.xa_destroy(x);
  t.true(xa.xa_empty(x));
}
test("XArrays with their lock", (t) => inTask(t, arrays(t)));

function* references(t: ExecutionContext): Sleeps {
  const r = REFCOUNT_INIT(2);
  t.deepEqual([refcount_dec_if_one(r), refcount_dec_not_one(r), refcount_dec_not_one(r)], [false, true, false]);
  t.is(refcount_read(r), 1);
  const lock = DEFINE_SPINLOCK("lock");
  t.true(yield* refcount_dec_and_lock(r, lock));
  t.true(spin_is_locked(lock));
  spin_unlock(lock);
  t.false(yield* refcount_dec_and_lock(REFCOUNT_INIT(2), lock));
  t.false(spin_is_locked(lock));
  t.is(yield* refcount_dec_and_lock_irqsave(REFCOUNT_INIT(2), lock), null);
  const flags = yield* refcount_dec_and_lock_irqsave(REFCOUNT_INIT(1), lock);
  t.deepEqual([flags, spin_is_locked(lock)], [0, true]);
  yield* spin_unlock_irqrestore(lock, flags ?? 1);
  t.deepEqual([refcount_read(r), refcount_dec_if_one(REFCOUNT_INIT(1))], [0, true]);

  const k = new kref();
  const m = new mutex();
  mutex_init(m);
  kref_init(k);
  kref_get(k);
  let released = 0;
  const release = (): void => {
    released += mutex_is_locked(m) ? 1 : 100;
    mutex_unlock(m);
  };
  t.deepEqual([yield* kref_put_mutex(k, release, m), released, mutex_is_locked(m)], [0, 0, false]);
  t.deepEqual([yield* kref_put_mutex(k, release, m), released, mutex_is_locked(m)], [1, 1, false]);
}
test("the last reference, and the lock", (t) => inTask(t, references(t)));

function* memory(t: ExecutionContext): Sleeps {
  const p = alloc_page(GFP_KERNEL_)!;
  get_page(p);
  t.deepEqual([page_count(p), pfn_valid(page_to_pfn(p)), pfn_to_page(page_to_pfn(p))], [2, true, p]);
  kmap_local_page(p).$bytes[9] = 1;
  t.is(str.memchr_inv(kmap_local_page(p), 0, 4096), 9);
  put_page(p);
  t.true(pfn_valid(page_to_pfn(p)));
  put_page(p);
  t.deepEqual([pfn_valid(page_to_pfn(p)), pfn_to_page(page_to_pfn(p))], [false, null]);
  const one = get_zeroed_page(GFP_KERNEL_)!;
  const four = __get_free_pages(GFP_KERNEL_, 2)!;
  t.deepEqual([one.$bytes.length, four.$bytes.length, str.memchr_inv(one, 0, 4096)], [4096, 16384, null]);
  free_page(one);
  free_pages(four, 2);
  free_page(null);

  const map = bitmap_zalloc(70, GFP_KERNEL)!;
  t.is(map.length, 2);
  bitmap_free(map);

  const three = kcalloc(3, item, GFP_KERNEL)!;
  three.at(2).id = 7;
  const same = krealloc_array(three, 2, item, GFP_KERNEL)!;
  t.deepEqual([same === three, same.length], [true, 2], "shorter: where it is");
  const again = krealloc(same, 3, item, GFP_KERNEL)!;
  t.deepEqual([again === three, again.length, again.at(2).id], [true, 3, 0]);
  const none = krealloc(again, 0, item, GFP_KERNEL)!;
  t.is(none.length, 0, "freed");
  const first = krealloc(null, 2, item, GFP_KERNEL)!;
  t.is(first.length, 2);
  kfree(first);
  kfree(krealloc(null, 16, GFP_KERNEL));
  kfree(kzalloc(item, GFP_KERNEL));
  yield* READY;
}
test("pages, bitmaps and arrays that grow", (t) => inTask(t, memory(t)));

const user = { at: 0n };
function* fromUser(t: ExecutionContext): Sleeps {
  const p = yield* memdup_user(user.at, 3);
  t.deepEqual([...p.$bytes], [97, 98, 99]);
  kfree(p);
  const q = yield* memdup_user_nul(user.at, 3);
  t.deepEqual([...q.$bytes], [97, 98, 99, 0]);
  kfree(q);
  for (const bad of [yield* memdup_user(4096n, 3), yield* memdup_user_nul(4096n, 3)]) {
    t.true(IS_ERR(bad));
    t.is(PTR_ERR(bad), -EFAULT);
    t.is(PTR_ERR_OR_ZERO(bad), -EFAULT);
  }
  t.is(yield* strndup_user(user.at, 4), "abc");
  t.is(PTR_ERR(yield* strndup_user(user.at, 3)), -EINVAL, "no room for the NUL");
  // Each width, in the byte order of the machine, with and without its sign.
  for (const [size, value, unsigned] of [
    [1, -2, 0xfe],
    [2, -3, 0xfffd],
    [4, -4, 0xffff_fffc],
  ] as const) {
    t.is(yield* put_user(value, user.at + 16n, size), 0);
    const x = { value: 0 };
    t.is(yield* get_user(x, user.at + 16n, size), 0);
    t.is(x.value, value);
    t.is(yield* get_user(x, user.at + 16n, size, false), 0);
    t.is(x.value, unsigned);
  }
  const x = { value: 5n };
  t.is(yield* put_user(-1n, user.at + 16n), 0);
  t.is(yield* get_user(x, user.at + 16n, 8, false), 0);
  t.is(x.value, 0xffff_ffff_ffff_ffffn);
  t.is(yield* get_user(x, 4096n), -EFAULT);
  t.is(x.value, 0n, "what cannot be read is 0");
  t.is(yield* put_user(1, 4096n), -EFAULT);
}
test("user memory: copies, strings, single values", (t) => {
  const mm = { alloc: (): ReturnType<typeof mm_alloc> => mm_alloc() };
  inTask(t, fromUser(t), (task) => {
    const m = mm.alloc();
    user.at = mmap_anon(m, 4096);
    user_write(m, user.at, new TextEncoder().encode("abc\0"));
    t.deepEqual([...user_read(m, user.at, 4)], [97, 98, 99, 0]);
    set_task_mm(task, m);
  });
});

test("channel path ids", (t) => {
  const [a, b] = [new chp_id(), new chp_id()];
  chp_id_init(a);
  a.id = 255;
  chp_id_next(a);
  t.deepEqual([a.cssid, a.id, chp_id_is_valid(a), chp_id_is_equal(a, b)], [1, 0, false, false]);
  b.cssid = 1;
  t.true(chp_id_is_equal(a, b));
});

test("subchannel status words: command and transport mode have other places", (t) => {
  const w = new scsw();
  Object.assign(w.cmd, {
    key: 3,
    eswf: 1,
    cc: 2,
    ectl: 1,
    pno: 1,
    fctl: 4,
    actl: 0x20,
    stctl: 0x11,
    dstat: 0x0c,
    cstat: 0x40,
  });
  const read = (): unknown[] =>
    [scsw_key, scsw_eswf, scsw_cc, scsw_ectl, scsw_pno, scsw_fctl, scsw_actl, scsw_stctl, scsw_dstat, scsw_cstat].map(
      (f) => f(w),
    );
  t.deepEqual(read(), [3, 1, 2, 1, 1, 4, 0x20, 0x11, 0x0c, 0x40]);
  t.deepEqual([scsw_is_tm(w), scsw_is_solicited(w), scsw_cmd_is_solicited(w)], [false, true, true]);
  w.cmd.cc = 0;
  t.false(scsw_is_solicited(w), "an alert that nobody asked for");
  w.cmd.stctl = 0x07;
  t.true(scsw_is_solicited(w));
  Object.assign(w.tm, { key: 5, eswf: 1, cc: 0, x: 1, fctl: 4, stctl: 0x11, dstat: 0, cstat: 2 });
  t.is(scsw_is_tm(w), css_general_characteristics.fcx !== 0);
  t.false(scsw_tm_is_solicited(w));
});
