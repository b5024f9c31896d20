// SPDX-License-Identifier: GPL-2.0-only
/** /sys/module. Sections and notes are not there. Source: kernel/module/sysfs.c, kernel/params.c */
import { BUG } from "#linux/bug.ts";
import { complete, completion, init_completion, wait_for_completion } from "#linux/completion.ts";
import { EINVAL, EIO, ENOMEM, EPERM } from "#linux/errno.ts";
import { subsys_initcall } from "#linux/init.ts";
import {
  __ATTR,
  get_ktype,
  KOBJ_ADD,
  type kobj_type,
  type kobject,
  kobject_create_and_add,
  kobject_init_and_add,
  kobject_put,
  kobject_synth_uevent,
  kobject_uevent,
  type kset,
  kset_create_and_add,
  kset_find_obj,
  type kset_uevent_ops,
} from "#linux/kobject.ts";
import { module_attribute, module_kobject } from "#linux/module.ts";
import {
  type attribute,
  type attribute_group,
  type sysfs_buf,
  sysfs_create_file,
  sysfs_create_group,
  sysfs_create_link,
  sysfs_emit,
  type sysfs_ops,
  sysfs_remove_file,
  sysfs_remove_group,
  sysfs_remove_link,
  type sysfs_result,
} from "#linux/sysfs.ts";
import { container_of, type Sleeps } from "#linux/types.ts";
import { per_boot } from "../boot.ts";
import {
  type kernel_param,
  type module,
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  MODULE_STATE_LIVE,
} from "../modpost.ts";
import { pr_err } from "../printk.ts";
import { module_refcount } from "./refcount.ts";

/** What struct module has of sysfs. */
interface module_dirs {
  mkobj: module_kobject;
  holders_dir: kobject | null;
  readonly attrs: module_attribute[];
  /** The directory of the parameters, if there are any. */
  params: attribute_group | null;
}

const s = per_boot(() => ({
  module_kset: null as kset | null,
  dirs: new Map<module, module_dirs>(),
}));

/** The kset of /sys/module, null before the initcalls have made it. */
export const module_kset = (): kset | null => s.module_kset;

function dirs_of(mod: module): module_dirs {
  const dirs = s.dirs.get(mod) ?? { mkobj: new module_kobject(), holders_dir: null, attrs: [], params: null };
  s.dirs.set(mod, dirs);
  return dirs;
}
/** &mod->mkobj: there whether or not the module is in sysfs. */
export const module_kobject_of = (mod: module): module_kobject => dirs_of(mod).mkobj;
/** &mod->mkobj.kobj */
export const module_kobj = (mod: module): kobject => dirs_of(mod).mkobj.kobj;

function module_attr_show(kobj: kobject, attr: attribute, buf: sysfs_buf): sysfs_result {
  const a = container_of(attr, module_attribute, "attr");
  return a.show ? a.show(a, container_of(kobj, module_kobject, "kobj"), buf) : -EIO;
}
function module_attr_store(kobj: kobject, attr: attribute, buf: string, len: number): sysfs_result {
  const a = container_of(attr, module_attribute, "attr");
  return a.store ? a.store(a, container_of(kobj, module_kobject, "kobj"), buf, len) : -EIO;
}
const module_sysfs_ops: sysfs_ops = { show: module_attr_show, store: module_attr_store };

function module_kobj_release(kobj: kobject): void {
  const mk = container_of(kobj, module_kobject, "kobj");
  if (mk.kobj_completion) complete(mk.kobj_completion);
}
const module_ktype: kobj_type = { release: module_kobj_release, sysfs_ops: module_sysfs_ops };

function uevent_filter(kobj: kobject): boolean {
  return get_ktype(kobj) === module_ktype;
}
const module_uevent_ops: kset_uevent_ops = { filter: uevent_filter };

function show_refcnt(_attr: module_attribute, mk: module_kobject, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%i\n", module_refcount(mk.mod!));
}
function show_modinfo_version(_attr: module_attribute, mk: module_kobject, buf: sysfs_buf): number {
  return sysfs_emit(buf, "%s\n", mk.mod!.version);
}
function show_initstate(_attr: module_attribute, mk: module_kobject, buf: sysfs_buf): number {
  const names: Readonly<Record<number, string>> = {
    [MODULE_STATE_LIVE]: "live",
    [MODULE_STATE_COMING]: "coming",
    [MODULE_STATE_GOING]: "going",
  };
  return sysfs_emit(buf, "%s\n", names[mk.mod!.state] ?? BUG());
}
function* store_uevent(_attr: module_attribute, mk: module_kobject, buf: string, count: number): Sleeps<number> {
  const rc = yield* kobject_synth_uevent(mk.kobj, buf, count);
  return rc ? rc : count;
}

/** module_add_modinfo_attrs(): each module has attributes of its own. */
function* module_add_modinfo_attrs(mod: module, dirs: module_dirs): Sleeps<number> {
  const attrs = [
    __ATTR(module_attribute, "uevent", 0o200, null, store_uevent),
    ...(mod.version === null ? [] : [__ATTR(module_attribute, "version", 0o444, show_modinfo_version, null)]),
    __ATTR(module_attribute, "initstate", 0o444, show_initstate, null),
    __ATTR(module_attribute, "refcnt", 0o444, show_refcnt, null),
  ];
  for (const attr of attrs) {
    const error = yield* sysfs_create_file(dirs.mkobj.kobj, attr.attr);
    if (error) {
      yield* module_remove_modinfo_attrs(mod);
      return error;
    }
    dirs.attrs.push(attr);
  }
  return 0;
}
function* module_remove_modinfo_attrs(mod: module): Sleeps {
  const dirs = dirs_of(mod);
  for (const attr of dirs.attrs.splice(0)) yield* sysfs_remove_file(dirs.mkobj.kobj, attr.attr);
}

const param_of = (attr: module_attribute, mk: module_kobject): kernel_param | undefined =>
  mk.mod!.params.find((p) => p.name === attr.attr.name);
function param_attr_show(attr: module_attribute, mk: module_kobject, buf: sysfs_buf): number {
  const param = param_of(attr, mk);
  return param ? sysfs_emit(buf, "%s\n", param.ops.get()) : -EIO;
}
function param_attr_store(attr: module_attribute, mk: module_kobject, buf: string, len: number): number {
  const err = param_of(attr, mk)?.ops.set(buf) ?? -EPERM;
  return err ? err : len;
}
function* module_param_sysfs_setup(mod: module, dirs: module_dirs): Sleeps<number> {
  if (mod.params.length === 0) return 0;
  // Those without any permission have no file.
  const attrs = mod.params
    .filter(({ perm }) => perm !== 0)
    .map(({ name, perm }) =>
      __ATTR(module_attribute, name, perm, param_attr_show, perm & 0o222 ? param_attr_store : null),
    );
  const group = { name: "parameters", attrs: attrs.map((a) => a.attr) };
  const err = yield* sysfs_create_group(dirs.mkobj.kobj, group);
  if (!err) dirs.params = group;
  return err;
}
function* module_param_sysfs_remove(dirs: module_dirs): Sleeps {
  if (dirs.params) yield* sysfs_remove_group(dirs.mkobj.kobj, dirs.params);
  dirs.params = null;
}

function* del_usage_links(mod: module): Sleeps {
  for (const use of mod.uses) {
    const { holders_dir } = dirs_of(use);
    if (holders_dir) yield* sysfs_remove_link(holders_dir, mod.name);
  }
}
function* add_usage_links(mod: module): Sleeps<number> {
  for (const use of mod.uses) {
    const ret = yield* sysfs_create_link(dirs_of(use).holders_dir, module_kobj(mod), mod.name);
    if (!ret) continue;
    yield* del_usage_links(mod);
    return ret;
  }
  return 0;
}

/** Drops the loader's reference and waits for those who hold the directory of the module. */
function* mod_kobject_put(mod: module): Sleeps {
  const { mkobj } = dirs_of(mod);
  const c = new completion();
  init_completion(c);
  mkobj.kobj_completion = c;
  yield* kobject_put(mkobj.kobj);
  yield* wait_for_completion(c);
}

function* mod_sysfs_init(mod: module): Sleeps<number> {
  const kset = s.module_kset;
  if (!kset) {
    pr_err("%s: module sysfs not initialized\n", mod.name);
    return -EINVAL;
  }
  const kobj = yield* kset_find_obj(kset, mod.name);
  if (kobj) {
    pr_err("%s: module is already loaded\n", mod.name);
    yield* kobject_put(kobj);
    return -EINVAL;
  }
  const dirs = dirs_of(mod);
  dirs.mkobj = new module_kobject();
  dirs.mkobj.mod = mod;
  dirs.mkobj.kobj.kset = kset;
  const err = yield* kobject_init_and_add(dirs.mkobj.kobj, module_ktype, null, "%s", mod.name);
  if (err) yield* mod_kobject_put(mod);
  return err;
}

/** Makes /sys/module/NAME. module_mutex not held. @return 0 or -errno. May sleep */
export function* mod_sysfs_setup(mod: module): Sleeps<number> {
  let err = yield* mod_sysfs_init(mod);
  if (err) return err;
  const dirs = dirs_of(mod);
  out_unreg: {
    dirs.holders_dir = yield* kobject_create_and_add("holders", dirs.mkobj.kobj);
    if (!dirs.holders_dir) {
      err = -ENOMEM;
      break out_unreg;
    }
    out_unreg_holders: {
      err = yield* module_param_sysfs_setup(mod, dirs);
      if (err) break out_unreg_holders;
      out_unreg_param: {
        err = yield* module_add_modinfo_attrs(mod, dirs);
        if (err) break out_unreg_param;
        err = yield* add_usage_links(mod);
        if (!err) return 0;
        yield* module_remove_modinfo_attrs(mod);
      }
      yield* module_param_sysfs_remove(dirs);
    }
    yield* kobject_put(dirs.holders_dir);
  }
  yield* mod_kobject_put(mod);
  return err;
}

/** Removes it again. May sleep, and waits for those who hold a reference on the directory. */
export function* mod_sysfs_teardown(mod: module): Sleeps {
  const dirs = dirs_of(mod);
  yield* del_usage_links(mod);
  yield* module_remove_modinfo_attrs(mod);
  yield* module_param_sysfs_remove(dirs);
  yield* kobject_put(dirs.mkobj.drivers_dir);
  yield* kobject_put(dirs.holders_dir);
  yield* mod_kobject_put(mod);
  s.dirs.delete(mod);
}

/** Announces a module that has been initialised. May sleep. */
export function* mod_announce(mod: module): Sleeps {
  yield* kobject_uevent(module_kobj(mod), KOBJ_ADD);
}

function* param_sysfs_init(): Sleeps<number> {
  s.module_kset = yield* kset_create_and_add("module", module_uevent_ops, null);
  return s.module_kset ? 0 : -ENOMEM;
}
subsys_initcall(param_sysfs_init);
