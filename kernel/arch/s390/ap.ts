// SPDX-License-Identifier: GPL-2.0-only
/**
 * The machine's adjunct processors: crypto adapters with a queue for each usage domain, and the PQAP instruction as far as it
 * tests, resets and configures queues. Nobody sends messages: NQAP and DQAP are not here. `ap_hw` is the operator's side.
 */
import { per_boot } from "../../boot.ts";
import { DECLARE_BITMAP } from "../../lib/bitmap.ts";
import { struct, u8, bool } from "../../lib/struct.ts";
import { clock } from "../../time/clock.ts";
import { set_bit_inv } from "#asm/bitops.ts";
import { EIO, EOPNOTSUPP } from "#linux/errno.ts";

export interface ap_adapter {
  readonly id: number;
  /** Hardware type: 10 is CEX4, 13 CEX7. Default 13. */
  readonly type?: number;
  /** Default: an EP11 coprocessor. */
  readonly functions?: number;
}
/** What boot({ ap }) puts into the machine. */
export interface ap_plan {
  readonly adapters: readonly ap_adapter[];
  /** Usage domains. */
  readonly domains: readonly number[];
  /** Control domains; default the usage domains. */
  readonly control_domains?: readonly number[];
  /** Highest numbers there can be. Default 63 and 84. */
  readonly max_adapter?: number;
  readonly max_domain?: number;
  /** How long a reset takes, in milliseconds of virtual time. Default 0. */
  readonly reset_ms?: number;
}

const FUNC_EP11 = 0x80000000 >>> 5;
const DEFAULT_TYPE = 13;

/** Response codes of PQAP. */
const NORMAL = 0x00;
const Q_NOT_AVAIL = 0x01;
const RESET_IN_PROGRESS = 0x02;
const DECONFIGURED = 0x03;
const CHECKSTOPPED = 0x04;
const INVALID_ADDRESS = 0x06;
const OTHERWISE_CHANGED = 0x07;

/** C returns this by value, out of general register 1. */
export interface ap_queue_status {
  readonly queue_empty: boolean;
  readonly replies_waiting: boolean;
  readonly queue_full: boolean;
  readonly irq_enabled: boolean;
  readonly response_code: number;
}

/** As QCI stores it. C's masks are arrays of 32-bit words, which it casts to unsigned long. */
export class ap_config_info extends struct("ap_config_info", {
  apsc: bool(),
  apxa: bool(),
  qact: bool(),
  rc8a: bool(),
  // eslint-disable-next-line @typescript-eslint/naming-convention -- C's name
  Na: u8(),
  // eslint-disable-next-line @typescript-eslint/naming-convention -- C's name
  Nd: u8(),
  apm: DECLARE_BITMAP(256),
  aqm: DECLARE_BITMAP(256),
  adm: DECLARE_BITMAP(256),
}) {}

/** Operand of PQAP(AQIC). */
export interface ap_qirq_ctrl {
  zone: number;
  ir: boolean;
  gisc: number;
  gf: number;
  gisa: bigint;
  isc: number;
}

interface hw_adapter {
  readonly type: number;
  readonly functions: number;
  configured: boolean;
  checkstopped: boolean;
}
interface hw_queue {
  reset_until_ns: number;
  irq_enabled: boolean;
  resets: number;
}

const s = per_boot(() => ({
  installed: false,
  max_adapter: 63,
  max_domain: 84,
  reset_ns: 0,
  adapters: new Map<number, hw_adapter>(),
  domains: new Set<number>(),
  control_domains: new Set<number>(),
  queues: new Map<number, hw_queue>(),
}));

/** Power-on, after the statics are fresh. @plan: null for a machine without the instructions */
export function ap_power_on(plan: ap_plan | null): void {
  if (!plan) return;
  s.installed = true;
  s.max_adapter = plan.max_adapter ?? 63;
  s.max_domain = plan.max_domain ?? 84;
  s.reset_ns = (plan.reset_ms ?? 0) * 1e6;
  for (const a of plan.adapters) ap_hw.plug(a);
  for (const d of plan.domains) s.domains.add(d);
  for (const d of plan.control_domains ?? plan.domains) s.control_domains.add(d);
}

/** What the operator does at the machine; the kernel sees it at its next scan of the bus. */
export const ap_hw = {
  plug(a: ap_adapter): void {
    s.adapters.set(a.id, {
      type: a.type ?? DEFAULT_TYPE,
      functions: a.functions ?? FUNC_EP11,
      configured: true,
      checkstopped: false,
    });
  },
  unplug(adapter: number): void {
    s.adapters.delete(adapter);
  },
  add_domain(domain: number): void {
    s.domains.add(domain);
    s.control_domains.add(domain);
  },
  remove_domain(domain: number): void {
    s.domains.delete(domain);
    s.control_domains.delete(domain);
  },
  /** The adapter stays in the configuration of the machine but is switched off, or on again. */
  configure(adapter: number, on: boolean): void {
    s.adapters.get(adapter)!.configured = on;
  },
  checkstop(adapter: number, on: boolean): void {
    s.adapters.get(adapter)!.checkstopped = on;
  },
  /** Resets of this machine take so long from now on. */
  set_reset_ms(ms: number): void {
    s.reset_ns = ms * 1e6;
  },
  /** How often a queue was reset since power-on. */
  resets(adapter: number, domain: number): number {
    return queue_at(adapter, domain).resets;
  },
};

function queue_at(adapter: number, domain: number): hw_queue {
  const at = adapter * 256 + domain;
  let q = s.queues.get(at);
  if (!q) s.queues.set(at, (q = { reset_until_ns: 0, irq_enabled: false, resets: 0 }));
  return q;
}

function status_of(qid: number): { code: number; adapter: hw_adapter | null; q: hw_queue } {
  const [id, domain] = [(qid >> 8) & 0xff, qid & 0xff];
  const adapter = s.adapters.get(id) ?? null;
  const q = queue_at(id, domain);
  let code = NORMAL;
  if (!adapter || !s.domains.has(domain)) code = Q_NOT_AVAIL;
  else if (!adapter.configured) code = DECONFIGURED;
  else if (adapter.checkstopped) code = CHECKSTOPPED;
  else if (q.reset_until_ns > clock.ns) code = RESET_IN_PROGRESS;
  return { code, adapter, q };
}
function answer(response_code: number, q: hw_queue): ap_queue_status {
  return {
    // Not before a reset is done, also when it has just been begun
    queue_empty: response_code === NORMAL && q.reset_until_ns <= clock.ns,
    replies_waiting: false,
    queue_full: false,
    irq_enabled: q.irq_enabled,
    response_code,
  };
}

/** STFLE: 12 is PQAP(QCI), 15 the facilities of an adapter in TAPQ. The others are not installed. */
export function test_facility(nr: number): boolean {
  return s.installed && (nr === 12 || nr === 15);
}
/** Whether PQAP ends without an operation exception. */
export function ap_instructions_available(): boolean {
  return s.installed;
}
/** PQAP(TAPQ). @info: gets general register 2: functions, type, size of messages and depth of the queue */
export function ap_tapq(qid: number, info: { value: bigint } | null): ap_queue_status {
  const { code, adapter, q } = status_of(qid);
  if (info)
    info.value =
      adapter && code !== Q_NOT_AVAIL
        ? (BigInt(adapter.functions) << 32n) | (BigInt(adapter.type) << 24n) | (3n << 8n) | 7n
        : 0n;
  return answer(code, q);
}
/** PQAP(TAPQ), with the T bit if `tbit`. */
export function ap_test_queue(qid: number, tbit: boolean, info: { value: bigint } | null): ap_queue_status {
  return ap_tapq(tbit ? qid | (1 << 23) : qid, info);
}
function reset(qid: number): ap_queue_status {
  const { code, q } = status_of(qid);
  if (code === NORMAL) {
    q.resets++;
    q.irq_enabled = false;
    q.reset_until_ns = clock.ns + s.reset_ns;
  }
  return answer(code, q);
}
/** PQAP(RAPQ): reset. */
export const ap_rapq = reset;
/** PQAP(ZAPQ): reset, and nothing is left of what was in it. */
export const ap_zapq = reset;
/** PQAP(QCI). @return 0 or -EOPNOTSUPP */
export function ap_qci(config: ap_config_info): number {
  if (!s.installed) return -EOPNOTSUPP;
  config.apsc = true;
  config.apxa = true;
  config.qact = false;
  config.rc8a = false;
  config.Na = s.max_adapter;
  config.Nd = s.max_domain;
  const masks = [
    [config.apm, s.adapters.keys()],
    [config.aqm, s.domains],
    [config.adm, s.control_domains],
  ] as const;
  for (const [mask, bits] of masks) {
    for (let i = 0; i < mask.length; i++) mask.set(i, 0n);
    for (const bit of bits) set_bit_inv(bit, mask);
  }
  return 0;
}
/** PQAP(AQIC): interruptions of a queue on or off. @pa_ind: address of the notification indicator */
export function ap_aqic(qid: number, qirqctrl: ap_qirq_ctrl, pa_ind: bigint): ap_queue_status {
  const { code, q } = status_of(qid);
  if (code !== NORMAL) return answer(code, q);
  if (qirqctrl.ir && !pa_ind) return answer(INVALID_ADDRESS, q);
  if (q.irq_enabled === qirqctrl.ir) return answer(OTHERWISE_CHANGED, q);
  q.irq_enabled = qirqctrl.ir;
  return answer(NORMAL, q);
}

function sclp_ap(adapter: number, on: boolean): number {
  const a = s.adapters.get(adapter);
  if (!a) return -EIO;
  a.configured = on;
  return 0;
}
/** The service processor switches an adapter on. @return 0 or -EIO. Source: drivers/s390/char/sclp_ap.c */
export const sclp_ap_configure = (adapter: number): number => sclp_ap(adapter, true);
/** And off. */
export const sclp_ap_deconfigure = (adapter: number): number => sclp_ap(adapter, false);
