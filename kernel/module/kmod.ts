// SPDX-License-Identifier: GPL-2.0-only
/** modprobe, as a program of user space would do it, and the kernel asking for it. Source: kernel/kmod.c; modprobe itself is kmod's */
import { complete, completion, init_completion, wait_for_completion_killable } from "#linux/completion.ts";
import { EEXIST, EINTR, ENAMETOOLONG, ENOENT } from "#linux/errno.ts";
import type { Sleeps } from "#linux/types.ts";
import { type printf_arg, sprintf } from "../lib/vsprintf.ts";
import { type module, module_images } from "../modpost.ts";
import { create_task } from "../sched/core.ts";
import { finit_module, needed_by } from "./main.ts";

const MODULE_NAME_LEN = 56;

/** Modules whose files are needed by this one, each after those it needs itself. */
function dependencies(mod: module, found: module[] = []): module[] {
  for (const { from } of needed_by(mod)) {
    const needs = from === null ? null : module_images().get(from);
    if (!needs || needs === mod || found.includes(needs)) continue;
    dependencies(needs, found);
    if (!found.includes(needs)) found.push(needs);
  }
  return found;
}

function alias_matches(alias: string, name: string): boolean {
  const pattern = alias
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${pattern}$`).test(name);
}

function wanted(name: string): module[] {
  const plain = module_images().get(name.replaceAll("-", "_"));
  if (plain) return [plain];
  return [...module_images().values()].filter((m) => m.aliases.some((alias) => alias_matches(alias, name)));
}

/**
 * Loads a module, by its name or an alias, after those that it needs. Process context, may sleep.
 * @return 0, also when it is loaded; -ENOENT if there is none, or the error of the first that did not load
 */
export function* modprobe(name: string): Sleeps<number> {
  const modules = wanted(name);
  if (modules.length === 0) return -ENOENT;
  for (const mod of modules) {
    for (const each of [...dependencies(mod), mod]) {
      const err = yield* finit_module(each.name);
      if (err && err !== -EEXIST) return err;
    }
  }
  return 0;
}

interface subprocess_info {
  readonly name: string;
  readonly done: completion;
  retval: number;
}
function* modprobe_process(info: subprocess_info): Sleeps {
  // Exit status 1, in the bits that wait(2) has it in.
  info.retval = (yield* modprobe(info.name)) ? 1 << 8 : 0;
  complete(info.done);
}

/**
 * Has user space load a module and waits for it. Process context, may sleep.
 * @return 0, a positive exit status of modprobe, -EINTR when killed, -ENAMETOOLONG. That it is loaded does not follow: ask for what you need
 */
export function* request_module(fmt: string, ...args: readonly printf_arg[]): Sleeps<number> {
  const name = sprintf(fmt, ...args);
  if (name.length >= MODULE_NAME_LEN) return -ENAMETOOLONG;
  const info: subprocess_info = { name, done: new completion(), retval: 0 };
  init_completion(info.done);
  create_task("modprobe", modprobe_process(info));
  if (yield* wait_for_completion_killable(info.done)) return -EINTR;
  return info.retval;
}
