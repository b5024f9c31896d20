// SPDX-License-Identifier: GPL-2.0-only
/** A PCI device that is open, as its user works it: registers, interrupts and what comes of them. */
import { boot, found, run } from "../../kernel/arch/machine.ts";
import type { pci_plan } from "../../kernel/arch/x86/pci_host.ts";
import { type program, run_user, type user_process } from "../../kernel/fs/process.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";
import { SET_IRQS } from "./pci.ts";

/** Runs the program on a machine of its own. @return titles of what the checkers said, leaks included */
export function onMachine(pci: readonly pci_plan[], body: program): string[] {
  boot({ arch: "x86_64", pci, stacks: false });
  run_user("init", body);
  const outcome = run();
  if (outcome !== "done") throw new Error([outcome, ...found().map((r) => r.text)].join("\n"));
  kmemleak_scan();
  return found().map((r) => r.title);
}

const CONFIG = 7;
export const ROM = 6;
export const VGA = 8;
const PCI_COMMAND = 4;

const place = (region: number, off: number): bigint => (BigInt(region) << 40n) | BigInt(off);

/** @return what is there, or -errno */
export function* peek(u: user_process, device: number, region: number, off: number, size = 4): Sleeps<number> {
  const buf = yield* u.alloc(4096);
  const ret = yield* u.pread(device, buf, size, place(region, off));
  if (ret < 0) return ret;
  return u.peek(buf, ret).reduceRight((v, b) => v * 0x100 + b, 0);
}
/** @return bytes, or -errno */
export function* poke(
  u: user_process,
  device: number,
  region: number,
  off: number,
  value: number,
  size = 4,
): Sleeps<number> {
  const buf = yield* u.alloc(4096);
  const bytes = Uint8Array.from({ length: size }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);
  u.poke(buf, bytes);
  return yield* u.pwrite(device, buf, size, place(region, off));
}
/** Sets the command register: 1 ports, 2 memory, 4 bus master, 0x400 no INTx. */
export function command(u: user_process, device: number, value: number): Sleeps<number> {
  return poke(u, device, CONFIG, PCI_COMMAND, value, 2);
}

export const NONE = 1;
export const BOOL = 2;
export const EVENTFD = 4;
export const MASK = 8;
export const UNMASK = 0x10;
export const TRIGGER = 0x20;
export const INTX = 0;
export const MSI = 1;
export const MSIX = 2;

/** VFIO_DEVICE_SET_IRQS. @data: bytes with BOOL, otherwise eventfds. @return 0 or -errno */
export function* setIrqs(
  u: user_process,
  device: number,
  flags: number,
  index: number,
  data: readonly number[] = [],
  { start = 0, count = data.length, argsz = 20 + data.length * (flags & BOOL ? 1 : 4) } = {},
): Sleeps<number> {
  const arg = yield* u.alloc(4096);
  for (const [i, word] of [argsz, flags, index, start, count].entries()) u.poke_u32(arg + BigInt(4 * i), word);
  if (flags & BOOL) u.poke(arg + 20n, Uint8Array.from(data));
  else for (const [i, fd] of data.entries()) u.poke_u32(arg + BigInt(20 + 4 * i), fd);
  return yield* u.ioctl(device, SET_IRQS, arg);
}

/** How often an eventfd was signalled since it was last looked at. */
export function* signalled(u: user_process, efd: number): Sleeps<number> {
  const buf = yield* u.alloc(4096);
  return (yield* u.read(efd, buf, 8)) === 8 ? Number(u.peek_u64(buf)) : 0;
}
export function eventfd(u: user_process): Sleeps<number> {
  return u.eventfd(0, 0o4000);
}
export function* signal(u: user_process, efd: number): Sleeps {
  const buf = yield* u.alloc(4096);
  u.poke_u64(buf, 1n);
  yield* u.write(efd, buf, 8);
}
