// SPDX-License-Identifier: GPL-2.0-only
/**
 * Loading and unloading modules. Source: kernel/module/main.c
 *
 * The image of a module is there from the start; loading gives it fresh statics and resolves what it needs from others by the link
 * table. Not here: notifiers, versions, what is in a signature (provenance.ts says whether there is one), other taints, and the
 * memory of the code: what runs in a module that is gone is not noticed as such.
 */
import { BUG_ON } from "#linux/bug.ts";
import { EBUSY, EEXIST, EINTR, ENOENT, ENOEXEC, EWOULDBLOCK } from "#linux/errno.ts";
import { HZ } from "#linux/jiffies.ts";
import { mutex, mutex_init, mutex_lock, mutex_lock_interruptible, mutex_unlock } from "#linux/mutex.ts";
import type { Sleeps } from "#linux/types.ts";
import {
  init_waitqueue_head,
  wait_event_interruptible,
  wait_event_interruptible_timeout,
  wait_queue_head,
  wake_up_all,
} from "#linux/wait.ts";
import { per_boot } from "../boot.ts";
import { data_race } from "../kcsan/marked.ts";
import {
  type module,
  module_images,
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  MODULE_STATE_LIVE,
  MODULE_STATE_UNFORMED,
  vmlinux,
} from "../modpost.ts";
import { where_we_are } from "../panic.ts";
import { LOGLEVEL_WARNING, pr_err, pr_warn, printk } from "../printk.ts";
import { either } from "../sched/either.ts";
import { trace_module_add_events, trace_module_remove_events } from "../trace/tracefs.ts";
import { parse_args } from "./params.ts";
import { module_put, MODULE_REF_BASE, try_module_get } from "./refcount.ts";
import { mod_announce, mod_sysfs_setup, mod_sysfs_teardown } from "./sysfs.ts";
import { check_modinfo, check_signature } from "./provenance.ts";
import { license_is_gpl_compatible } from "../../include/linux/license.ts";

/** A function that a module's files import: its name, and the module that defines it; null: a file of vmlinux below drivers/. */
export interface needed_symbol {
  readonly symbol: string;
  readonly from: string | null;
}
export type link_table = Readonly<Record<string, readonly needed_symbol[]>>;

const linker = { table: {} as link_table };
/** What the modules of this tree need, as worked out from their imports. It belongs to the tree and outlives a boot. */
export function set_link_table(table: link_table): void {
  linker.table = table;
}
export function needed_by(mod: module): readonly needed_symbol[] {
  return linker.table[mod.name] ?? [];
}

const s = per_boot(() => {
  const module_mutex = new mutex();
  mutex_init(module_mutex, "module_mutex");
  const module_wq = new wait_queue_head();
  init_waitqueue_head(module_wq, "module_wq");
  return { module_mutex, module_wq, modules: [] as module[] };
});

function find_module_all(name: string, even_unformed: boolean): module | null {
  return s.modules.find((m) => m.name === name && (even_unformed || m.state !== MODULE_STATE_UNFORMED)) ?? null;
}
/** @return a module that is loaded, being loaded or going; null. Without a reference */
export function find_module(name: string): module | null {
  return find_module_all(name, false);
}
/** Loaded modules, as /proc/modules lists them, oldest first. */
export function loaded_modules(): readonly module[] {
  return s.modules;
}

function strong_try_module_get(mod: module): number {
  BUG_ON(mod.state === MODULE_STATE_UNFORMED);
  if (mod.state === MODULE_STATE_COMING) return -EBUSY;
  return try_module_get(mod) ? 0 : -ENOENT;
}

/** `a` uses `b`: takes a reference on it, once. module_mutex held */
function ref_module(a: module, b: module): number {
  if (b === vmlinux || a.uses.includes(b)) return 0;
  const err = strong_try_module_get(b);
  if (err) return err;
  a.uses.push(b);
  return 0;
}

/** @return 0 if the symbol is there, -ENOENT, -EBUSY while the module that has it is still being initialised */
function* resolve_symbol(mod: module, need: needed_symbol): Sleeps<number> {
  yield* mutex_lock(s.module_mutex);
  const owner = need.from === null ? vmlinux : find_module_all(need.from, false);
  const exported = owner?.exports.get(need.symbol);
  let err = -ENOENT;
  if (owner && exported && (!exported.gpl_only || license_is_gpl_compatible(mod.license))) err = ref_module(mod, owner);
  mutex_unlock(s.module_mutex);
  return err;
}

function* resolve_symbol_wait(mod: module, need: needed_symbol): Sleeps<number> {
  for (;;) {
    const err = yield* resolve_symbol(mod, need);
    if (err !== -EBUSY) return err;
    const owner = need.from ?? "";
    const left = yield* wait_event_interruptible_timeout(
      s.module_wq,
      () => find_module_all(owner, true)?.state !== MODULE_STATE_COMING,
      30 * HZ,
    );
    if (left > 0) continue;
    pr_warn("%s: gave up waiting for init of module %s.\n", mod.name, owner);
    return err;
  }
}

/** @return 0 or the error of the last symbol that is missing; each of them is named in the log */
function* simplify_symbols(mod: module): Sleeps<number> {
  let ret = 0;
  for (const need of needed_by(mod)) {
    const err = yield* resolve_symbol_wait(mod, need);
    if (!err) continue;
    ret = err;
    pr_warn("%s: Unknown symbol %s (err %d)\n", mod.name, need.symbol, ret);
  }
  return ret;
}

function finished_loading(name: string): boolean {
  const mod = find_module_all(name, true);
  return !mod || mod.state === MODULE_STATE_LIVE || mod.state === MODULE_STATE_GOING;
}

/** Reserves the name. @return 0, -EEXIST if it is loaded, -EBUSY, -ERESTARTSYS */
function* add_unformed_module(mod: module): Sleeps<number> {
  yield* mutex_lock(s.module_mutex);
  let old = find_module_all(mod.name, true);
  if (old) {
    if (old.state === MODULE_STATE_COMING || old.state === MODULE_STATE_UNFORMED) {
      mutex_unlock(s.module_mutex);
      const err = yield* wait_event_interruptible(s.module_wq, () => finished_loading(mod.name));
      if (err) return err;
      yield* mutex_lock(s.module_mutex);
      old = find_module_all(mod.name, true);
    }
    // The same module was just being loaded: do not try once more, whatever came of it.
    mutex_unlock(s.module_mutex);
    return old?.state === MODULE_STATE_LIVE ? -EEXIST : -EBUSY;
  }
  // Its data is copied in before anybody else can know of it.
  data_race(() => {
    mod.reset();
  });
  s.modules.push(mod);
  mutex_unlock(s.module_mutex);
  return 0;
}

/** @return -ENOEXEC if something that the module exports is exported already */
function verify_exported_symbols(mod: module): number {
  for (const name of mod.exports.keys()) {
    const loaded = s.modules.find((m) => m !== mod && m.state !== MODULE_STATE_UNFORMED && m.exports.has(name));
    if (!loaded && !vmlinux.exports.has(name)) continue;
    pr_err("%s: exports duplicate symbol %s (owned by %s)\n", mod.name, name, loaded ? loaded.name : "kernel");
    return -ENOEXEC;
  }
  return 0;
}

function* module_unload_free(mod: module): Sleeps {
  yield* mutex_lock(s.module_mutex);
  for (const use of mod.uses.splice(0)) module_put(use);
  mutex_unlock(s.module_mutex);
}
function* unlink_module(mod: module): Sleeps {
  yield* mutex_lock(s.module_mutex);
  const at = s.modules.indexOf(mod);
  if (at >= 0) s.modules.splice(at, 1);
  mutex_unlock(s.module_mutex);
}

function* free_module(mod: module): Sleeps {
  yield* mod_sysfs_teardown(mod);
  // Still in the list, against somebody who loads it again, but not to be used.
  yield* mutex_lock(s.module_mutex);
  mod.state = MODULE_STATE_UNFORMED;
  mutex_unlock(s.module_mutex);
  yield* module_unload_free(mod);
  yield* unlink_module(mod);
}

function* do_init_module(mod: module): Sleeps<number> {
  let ret = 0;
  if (mod.init) ret = yield* either(mod.init());
  if (ret < 0) {
    mod.state = MODULE_STATE_GOING;
    module_put(mod);
    trace_module_remove_events(mod);
    yield* free_module(mod);
    yield* wake_up_all(s.module_wq);
    return ret;
  }
  if (ret > 0) {
    pr_warn(
      "%s: '%s'->init suspiciously returned %d, it should follow 0/-E convention\n",
      "do_init_module",
      mod.name,
      ret,
    );
    pr_warn("%s: loading module anyway...\n", "do_init_module");
    printk(LOGLEVEL_WARNING, "%s\n", where_we_are());
  }
  mod.state = MODULE_STATE_LIVE;
  yield* mod_announce(mod);
  yield* mutex_lock(s.module_mutex);
  // What kept it during its init function.
  module_put(mod);
  mutex_unlock(s.module_mutex);
  yield* wake_up_all(s.module_wq);
  return 0;
}

function* load_module(mod: module, args: string): Sleeps<number> {
  check_modinfo(mod.name, mod.license);
  let err = yield* add_unformed_module(mod);
  if (err) return err;
  check_signature(mod.name);
  mod.refcnt = MODULE_REF_BASE + 1;
  free_unload: {
    err = yield* simplify_symbols(mod);
    if (err < 0) break free_unload;
    yield* mutex_lock(s.module_mutex);
    err = verify_exported_symbols(mod);
    if (!err) mod.state = MODULE_STATE_COMING;
    mutex_unlock(s.module_mutex);
    if (err) break free_unload;
    trace_module_add_events(mod);
    err = parse_args(mod.name, args, mod.params);
    if (!err) err = yield* mod_sysfs_setup(mod);
    if (!err) return yield* do_init_module(mod);
    mod.state = MODULE_STATE_GOING;
    trace_module_remove_events(mod);
  }
  yield* module_unload_free(mod);
  yield* unlink_module(mod);
  yield* wake_up_all(s.module_wq);
  return err;
}

/**
 * finit_module(2), by the module's name: insmod. @args: its parameters. Process context, may sleep.
 * @return 0, -ENOENT if there is no such module or a symbol is missing, -EEXIST if it is loaded, -ENOEXEC, or what its init function returned
 */
export function* finit_module(name: string, args = ""): Sleeps<number> {
  const mod = module_images().get(name);
  return mod ? yield* load_module(mod, args) : -ENOENT;
}

/** @return 0 and no reference left, or not 0 and nothing changed */
function try_release_module_ref(mod: module): number {
  mod.refcnt -= MODULE_REF_BASE;
  const ret = mod.refcnt;
  BUG_ON(ret < 0);
  // Unless it has become 0 meanwhile, which nothing here could make it.
  if (ret) mod.refcnt += MODULE_REF_BASE;
  return ret;
}

/**
 * delete_module(2): rmmod. Process context, may sleep.
 * @flags: O_NONBLOCK and O_TRUNC, which is refused here as without CONFIG_MODULE_FORCE_UNLOAD
 * @return 0, -ENOENT if it is not loaded, -EWOULDBLOCK if it is in use, -EBUSY if it comes or goes or cannot go, -EINTR
 */
export function* delete_module(name: string, _flags = 0): Sleeps<number> {
  if ((yield* mutex_lock_interruptible(s.module_mutex)) !== 0) return -EINTR;
  let ret: number;
  const mod = find_module(name);
  out: {
    if (!mod) {
      ret = -ENOENT;
      break out;
    }
    if (s.modules.some((m) => m.uses.includes(mod))) {
      ret = -EWOULDBLOCK;
      break out;
    }
    if (mod.state !== MODULE_STATE_LIVE || (mod.init && !mod.exit)) {
      ret = -EBUSY;
      break out;
    }
    if (try_release_module_ref(mod) !== 0) {
      ret = -EWOULDBLOCK;
      break out;
    }
    mod.state = MODULE_STATE_GOING;
    mutex_unlock(s.module_mutex);
    if (mod.exit) yield* either<void>(mod.exit());
    trace_module_remove_events(mod);
    yield* free_module(mod);
    yield* wake_up_all(s.module_wq);
    return 0;
  }
  mutex_unlock(s.module_mutex);
  return ret;
}
