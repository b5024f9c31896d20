// SPDX-License-Identifier: GPL-2.0-only
/**
 * uevents: what udev is told. They are kept, one by one, for whoever plays udev; there is no netlink and no helper program.
 * Source: lib/kobject_uevent.c
 */
import { WARN } from "#linux/bug.ts";
import { EINVAL, ENOENT, ENOMEM } from "#linux/errno.ts";
import {
  KOBJ_ADD,
  KOBJ_REMOVE,
  KOBJ_UNBIND,
  kobj_uevent_env,
  type kobject,
  type kobject_action,
  UEVENT_BUFFER_SIZE,
  UEVENT_NUM_ENVP,
} from "#linux/kobject.ts";
import { mutex, mutex_init, mutex_lock, mutex_unlock } from "#linux/mutex.ts";
import { GFP_KERNEL, kfree, kzalloc } from "#linux/slab.ts";
import type { Sleeps } from "#linux/types.ts";
import { per_boot } from "../boot.ts";
import { pr_warn } from "../printk.ts";
import { clock } from "../time/clock.ts";
import { traced } from "../trace/emitter.ts";
import { trace_uevent } from "../trace/events.ts";
import { kobject_get_path, kobject_path } from "./kobject.ts";
import { type printf_arg, sprintf } from "./vsprintf.ts";

/** One message to user space. */
export interface uevent {
  /** `add@/devices/…` */
  readonly header: string;
  readonly action: string;
  readonly devpath: string;
  /** All of it, in order: ACTION=…, DEVPATH=…, SUBSYSTEM=…, what driver core and subsystem add, SEQNUM=… */
  readonly env: readonly string[];
  readonly ns: number;
}

const s = per_boot(() => {
  const uevent_sock_mutex = new mutex();
  mutex_init(uevent_sock_mutex, "uevent_sock_mutex");
  return { uevent_sock_mutex, uevent_seqnum: 0, sent: [] as uevent[] };
});

/** Everything sent since power-on, oldest first; do not change it. */
export function uevents(): readonly uevent[] {
  return s.sent;
}

const kobject_actions = ["add", "remove", "change", "move", "online", "offline", "bind", "unbind"] as const;

/** `add` or `add <uuid> KEY=value …`, as it is written to a uevent file. @return the arguments, null if the text is wrong */
function kobject_action_type(buf: string): { action: kobject_action; args: string | null } | null {
  const text = buf.replace(/[\n\0]$/, "");
  const space = text.indexOf(" ");
  const word = space < 0 ? text : text.slice(0, space);
  const action = (kobject_actions as readonly string[]).indexOf(word);
  if (action < 0) return null;
  return { action: action as kobject_action, args: space < 0 ? null : text.slice(space + 1) };
}

const UUID = /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/;

function kobject_action_args(args: string): string[] | null {
  const uuid = UUID.exec(args)?.[0];
  if (uuid === undefined) return null;
  const rest = args.slice(uuid.length);
  if (!/^(?: [A-Za-z0-9]+=[A-Za-z0-9]+)*$/.test(rest)) return null;
  return [
    `SYNTH_UUID=${uuid}`,
    ...rest
      .split(" ")
      .filter(Boolean)
      .map((pair) => `SYNTH_ARG_${pair}`),
  ];
}

/** Sends what was written to a uevent file. @return 0, -EINVAL for a wrong text, or kobject_uevent_env()'s. May sleep */
export function* kobject_synth_uevent(kobj: kobject, buf: string, _count: number): Sleeps<number> {
  let msg: string | null = null;
  let r = -EINVAL;
  const asked = kobject_action_type(buf);
  if (!asked) msg = "unknown uevent action string";
  else {
    const env = asked.args === null ? ["SYNTH_UUID=0"] : kobject_action_args(asked.args);
    if (env) r = yield* kobject_uevent_env(kobj, asked.action, env);
    else msg = "incorrect uevent action arguments";
  }
  if (r) pr_warn("synth uevent: %s: %s\n", kobject_path(kobj) ?? "unknown device", msg ?? "failed to send uevent");
  return r;
}

/**
 * Tells user space about a kobject, if it has a kset that lets it. May sleep.
 * @envp_ext: more `NAME=value`. @return 0 (also when the event is dropped), -EINVAL without a kset, -ENOMEM, -ENOENT
 */
export function* kobject_uevent_env(
  kobj: kobject,
  action: kobject_action,
  envp_ext: readonly string[] | null,
): Sleeps<number> {
  const action_string = kobject_actions[action];
  // Done, whatever comes of it: the automatic one must not follow.
  if (action === KOBJ_REMOVE) kobj.state_remove_uevent_sent = true;

  let top_kobj = kobj;
  while (!top_kobj.kset && top_kobj.parent) top_kobj = top_kobj.parent;
  const kset = top_kobj.kset;
  if (!kset) return -EINVAL;
  const uevent_ops = kset.uevent_ops;

  if (kobj.uevent_suppress) return 0;
  if (uevent_ops?.filter && !uevent_ops.filter(kobj)) return 0;
  const subsystem = uevent_ops?.name ? uevent_ops.name(kobj) : kset.kobj.name;
  if (!subsystem) return 0;

  const env = kzalloc(kobj_uevent_env, GFP_KERNEL);
  if (!env) return -ENOMEM;
  let retval = 0;
  const devpath = kobject_get_path(kobj, GFP_KERNEL);
  exit: {
    if (!devpath) {
      retval = -ENOENT;
      break exit;
    }
    const keys = [`ACTION=${action_string}`, `DEVPATH=${devpath.path}`, `SUBSYSTEM=${subsystem}`, ...(envp_ext ?? [])];
    for (const key of keys) {
      retval = add_uevent_var(env, "%s", key);
      if (retval) break exit;
    }
    if (uevent_ops?.uevent) {
      retval = uevent_ops.uevent(kobj, env);
      if (retval) break exit;
    }
    if (action === KOBJ_ADD) kobj.state_add_uevent_sent = true;
    if (action === KOBJ_UNBIND) {
      env.envp = env.envp.filter((v) => !v.startsWith("MODALIAS="));
      env.envp_idx = env.envp.length;
    }
    yield* mutex_lock(s.uevent_sock_mutex);
    retval = add_uevent_var(env, "SEQNUM=%llu", ++s.uevent_seqnum);
    if (!retval) {
      const event = {
        header: `${action_string}@${devpath.path}`,
        action: action_string,
        devpath: devpath.path,
        env: [...env.envp],
        ns: clock.ns,
      };
      s.sent.push(event);
      if (traced.kernel) trace_uevent(event.header);
    }
    mutex_unlock(s.uevent_sock_mutex);
  }
  if (devpath) kfree(devpath.memory);
  kfree(env);
  return retval;
}

/** The same without more variables. May sleep. */
export function kobject_uevent(kobj: kobject, action: kobject_action): Sleeps<number> {
  return kobject_uevent_env(kobj, action, null);
}

/** Adds one `NAME=value`. Any context. @return 0 or -ENOMEM if there are too many or they are too long */
export function add_uevent_var(env: kobj_uevent_env, format: string, ...args: readonly printf_arg[]): number {
  if (env.envp_idx >= UEVENT_NUM_ENVP) {
    WARN(true, "add_uevent_var: too many keys\n");
    return -ENOMEM;
  }
  const text = sprintf(format, ...args);
  if (text.length >= UEVENT_BUFFER_SIZE - env.buflen) {
    WARN(true, "add_uevent_var: buffer size too small\n");
    return -ENOMEM;
  }
  env.envp.push(text);
  env.envp_idx++;
  env.buflen += text.length + 1;
  return 0;
}
