// SPDX-License-Identifier: GPL-2.0-only
/**
 * What Kbuild and modpost know: which module a file belongs to, what it exports, where it begins and ends.
 * Imports nothing that could import a driver back: files call kbuild() while the graph is still being evaluated.
 */
import { at_power_on, per_boot as vmlinux_per_boot, reset_statics, type statics } from "./boot.ts";
import { module_of_file } from "./Kbuild.ts";
import type { Sleeps } from "./sched/types.ts";

// Any function can be exported; only its identity and its name matter.
type symbol_function = (...args: never[]) => unknown;

export interface exported_symbol {
  readonly name: string;
  readonly gpl_only: boolean;
  readonly symbol: symbol_function;
}

export const MODULE_STATE_LIVE = 0;
export const MODULE_STATE_COMING = 1;
export const MODULE_STATE_GOING = 2;
export const MODULE_STATE_UNFORMED = 3;

/** Text of a parameter, and setting it from text: 0 or errno. */
export interface kernel_param_ops {
  readonly get: () => string;
  readonly set: (val: string) => number;
}
export interface kernel_param {
  readonly name: string;
  readonly ops: kernel_param_ops;
  /** Mode of its file in /sys/module/NAME/parameters. */
  readonly perm: number;
}

/** struct module. There is one for as long as the tree is loaded; what a boot changes is in the members that reset() resets. */
export class module {
  readonly name: string;
  license = "";
  readonly exports = new Map<string, exported_symbol>();
  init: (() => Sleeps<number> | number) | null = null;
  exit: (() => Sleeps | void) | null = null;
  readonly statics: statics[] = [];
  readonly aliases: string[] = [];
  version: string | null = null;
  readonly params: kernel_param[] = [];

  state = MODULE_STATE_UNFORMED;
  /** As the kernel counts: 1 while loaded, and 1 for each user. /sys/module/NAME/refcnt shows the users. */
  refcnt = 0;
  /** Modules whose symbols this one uses: it holds a reference on each. */
  uses: module[] = [];

  constructor(name: string) {
    this.name = name;
  }
  /** As after insmod has copied the image in: fresh data, not initialised yet. */
  reset(): void {
    this.state = MODULE_STATE_UNFORMED;
    this.refcnt = 0;
    this.uses = [];
    reset_statics(this.statics);
  }
}

const by_name = new Map<string, module>();
/** Exports of what is built in. */
export const vmlinux = new module("vmlinux");

/** Every module of this tree whose files have been evaluated. */
export function module_images(): ReadonlyMap<string, module> {
  return by_name;
}
// Power-on forgets which modules were loaded.
at_power_on(() => {
  for (const m of by_name.values()) m.reset();
});

export interface kbuild_file {
  readonly THIS_MODULE: module | null;
  readonly KBUILD_MODNAME: string;
  readonly per_boot: <T extends object>(make: () => T) => T;
  readonly module_init: (init: () => Sleeps<number> | number) => void;
  readonly module_exit: (exit: () => Sleeps | void) => void;
  readonly EXPORT_SYMBOL: (symbol: symbol_function) => void;
  readonly EXPORT_SYMBOL_GPL: (symbol: symbol_function) => void;
  readonly MODULE_LICENSE: (license: string) => void;
  readonly MODULE_ALIAS: (alias: string) => void;
  readonly MODULE_VERSION: (version: string) => void;
  /** @ops: of `#linux/moduleparam.ts`; @perm: mode of the file */
  readonly module_param_named: (name: string, ops: kernel_param_ops, perm: number) => void;
}

/** What the compiler is told about one file. @url: its import.meta.url */
export function kbuild(url: string): kbuild_file {
  // The last such folder in the path: the tree itself may lie below one of the same name.
  const file = /.*\/((?:include|kernel|drivers|samples|test\/modules)\/[^?#]*)/.exec(url)?.[1] ?? "";
  const name = module_of_file(file);
  const mod = name === null ? vmlinux : (by_name.get(name) ?? new module(name));
  if (name !== null) by_name.set(name, mod);
  const export_symbol = (symbol: symbol_function, gpl_only: boolean): void => {
    mod.exports.set(symbol.name, { name: symbol.name, gpl_only, symbol });
  };
  return {
    THIS_MODULE: name === null ? null : mod,
    KBUILD_MODNAME: name ?? "",
    per_boot: (make) => (name === null ? vmlinux_per_boot(make) : vmlinux_per_boot(make, mod.statics)),
    module_init: (init) => {
      mod.init = init;
    },
    module_exit: (exit) => {
      mod.exit = exit;
    },
    EXPORT_SYMBOL: (symbol) => export_symbol(symbol, false),
    EXPORT_SYMBOL_GPL: (symbol) => export_symbol(symbol, true),
    MODULE_LICENSE: (license) => {
      mod.license = license;
    },
    MODULE_ALIAS: (alias) => {
      mod.aliases.push(alias);
    },
    MODULE_VERSION: (version) => {
      mod.version = version;
    },
    module_param_named: (param, ops, perm) => {
      mod.params.push({ name: param, ops, perm });
    },
  };
}
