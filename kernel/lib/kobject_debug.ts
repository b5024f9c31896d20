// SPDX-License-Identifier: GPL-2.0-only
/**
 * The kobject checker: what lib/kobject.c and drivers/base/core.c say about a misused kobject or device, as reports.
 * And CONFIG_DEBUG_KOBJECT_RELEASE: releases that come late. See Documentation/checkers/kobject.md.
 */
import { HZ } from "#linux/jiffies.ts";
import type { kobject } from "#linux/kobject.ts";
import { container_of, embed, ptr, type Sleeps, struct } from "#linux/types.ts";
import { delayed_work, INIT_DELAYED_WORK, schedule_delayed_work, type work_struct } from "#linux/workqueue.ts";
import { per_boot } from "../boot.ts";
import { sprintf } from "./vsprintf.ts";
import { report, warning, where_we_are } from "../panic.ts";
import { LOGLEVEL_ERR, pr_info } from "../printk.ts";
import { decide } from "../sched/decide.ts";
import { type stack_frame, stack_trace } from "../stacktrace.ts";

/** As dump_stack() prints it, without the functions of this file. */
function dump_stack_text(): string {
  return where_we_are(own_stack());
}
const own_stack = (): stack_frame[] => stack_trace().filter((f) => f.file !== "kernel/lib/kobject_debug.ts");

/** Reports what Linux says with pr_err() and dump_stack(). @title: without addresses; @line: as Linux prints it */
export function kobject_err(title: string, line = title): void {
  report({ checker: "kobject", title, text: `${line}\n${dump_stack_text()}`, level: LOGLEVEL_ERR });
}

/** Reports what Linux says with WARN(): the lines around it are those of a warning. */
export function kobject_warn(checker: "kobject" | "device", title: string, line = title): void {
  warning({ checker, title, lines: [line] }, own_stack());
}

/** A function that is called for what has not been initialised. @what: get or put */
export function kobject_not_initialized(kobj: kobject, what: string): void {
  const tail = `is not initialized, yet kobject_${what}() is being called.`;
  kobject_warn(
    "kobject",
    sprintf("kobject: '%s' %s", kobj.name, tail),
    sprintf("kobject: '%s' (%p): %s", kobj.name, kobj, tail),
  );
}

const s = per_boot(() => ({ delay_release: false }));

/** CONFIG_DEBUG_KOBJECT_RELEASE of this boot: the release function runs one to four seconds after the last put. Off at power-on. */
export function debug_kobject_release(on: boolean): void {
  s.delay_release = on;
}
export function kobject_release_is_delayed(): boolean {
  return s.delay_release;
}

/** Stands in memory of its own, where C has the work in the kobject. */
class delayed_release extends struct("delayed_release", { work: embed(() => delayed_work), kobj: ptr<kobject>() }) {
  cleanup: ((kobj: kobject) => Sleeps) | null = null;
}

function kobject_delayed_cleanup(work: work_struct): Sleeps {
  const late = container_of(container_of(work, delayed_work, "work"), delayed_release, "work");
  return late.cleanup!(late.kobj!);
}

/** Has `cleanup` run later, from a worker. Any context. */
export function delay_kobject_release(kobj: kobject, cleanup: (kobj: kobject) => Sleeps): void {
  const seconds = 1 + decide("timer", 4, (i) => `release ${kobj.name ?? "(null)"} after ${i + 1} s`);
  pr_info("kobject: '%s' (%p): kobject_release, parent %p (delayed %ld)\n", kobj.name, kobj, kobj.parent, seconds * HZ);
  const late = new delayed_release();
  late.kobj = kobj;
  late.cleanup = cleanup;
  INIT_DELAYED_WORK(late.work, kobject_delayed_cleanup);
  schedule_delayed_work(late.work, seconds * HZ);
}
