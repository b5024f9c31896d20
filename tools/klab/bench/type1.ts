// SPDX-License-Identifier: GPL-2.0-only
/** Mappings of a container, up to as many as it can have, and ioctls from the descriptor to the driver and back. */
import type { user_process } from "../../../kernel/fs/process.ts";
import type { Sleeps } from "../../../kernel/sched/types.ts";
import { InputError } from "../errors.ts";
import { state } from "../states/index.ts";
import { type Kernel, loadKernel } from "../states/load.ts";
import { type Effort, type Group, median, type Row } from "./group.ts";

type Options = NonNullable<Parameters<Kernel["boot"]>[0]>;

const O_RDWR = 2;
const VFIO = 0x3b64;
const IOCTL = {
  setIommu: VFIO + 2,
  setContainer: VFIO + 4,
  deviceFd: VFIO + 6,
  regionInfo: VFIO + 8,
  map: VFIO + 13,
  unmap: VFIO + 14,
};
const TYPE1_V2 = 3n;
const UUID = "11111111-2222-3333-4444-555555555501";
const EDU = "0000:00:05.0";
const PAGE = 0x1000n;
/** Most mappings that a container can have. */
const MOST = 65_535;

/** Whose the group is: a sample's, which has no IOMMU, or a PCI device's. */
type Device = "mtty" | "edu";
interface Opened {
  readonly container: number;
  readonly device: number;
  /** 128 bytes for arguments, and pages that are mapped. */
  readonly args: bigint;
  readonly memory: bigint;
}
const PAGES = 64n;

function* opened(u: user_process, kind: Device): Sleeps<Opened> {
  const modules = kind === "mtty" ? ["mdev", "mtty"] : ["vfio_virqfd", "vfio_pci_core", "vfio_pci"];
  for (const name of ["vfio", "vfio_iommu_type1", ...modules]) yield* u.finit_module(name);
  const folder = kind === "mtty" ? `/sys/bus/mdev/devices/${UUID}` : `/sys/bus/pci/devices/${EDU}`;
  if (kind === "mtty") yield* u.sysfs_write("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create", UUID);
  else {
    yield* u.sysfs_write(`${folder}/driver_override`, "vfio-pci");
    yield* u.sysfs_write("/sys/bus/pci/drivers_probe", EDU);
  }
  const { text } = yield* u.readlink(`${folder}/iommu_group`);
  const args = yield* u.alloc(128);
  const container = yield* u.open("/dev/vfio/vfio", O_RDWR);
  const group = yield* u.open(`/dev/vfio/${text.split("/").at(-1) ?? ""}`, O_RDWR);
  u.poke_u32(args, container);
  yield* u.ioctl(group, IOCTL.setContainer, args);
  yield* u.ioctl(container, IOCTL.setIommu, TYPE1_V2);
  const device = yield* u.ioctl(group, IOCTL.deviceFd, yield* u.string(kind === "mtty" ? UUID : EDU));
  if (device < 0) throw new InputError(`${kind} cannot be opened: ${device}`);
  return { container, device, args, memory: yield* u.alloc(Number(PAGES * PAGE)) };
}

/** 0 to n - 1 in an order that has nothing to do with theirs, the same each time. */
function shuffled(n: number): Uint32Array {
  const all = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1, x = 1; i > 0; i--) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    const j = x % (i + 1);
    [all[i], all[j]] = [all[j] ?? 0, all[i] ?? 0];
  }
  return all;
}

interface Times {
  readonly map: number;
  readonly unmap: number;
}
/** Maps `n` pages in any order, and unmaps them in another. @return ns for each */
function* mapAndUnmap(u: user_process, o: Opened, n: number): Sleeps<Times> {
  const order = shuffled(n);
  const { args, container, memory } = o;
  const check = (ret: number): void => {
    if (ret !== 0) throw new InputError(`mapping ${n} pages: ${ret}`);
  };
  u.poke_u32(args, 32);
  u.poke_u32(args + 4n, 3);
  let start = performance.now();
  for (const i of order) {
    u.poke_u64(args + 8n, memory + (BigInt(i) % PAGES) * PAGE);
    // With a hole behind each, so that nothing lies together
    u.poke_u64(args + 16n, BigInt(i) * 2n * PAGE);
    u.poke_u64(args + 24n, PAGE);
    check(yield* u.ioctl(container, IOCTL.map, args));
  }
  const map = ((performance.now() - start) * 1e6) / n;
  u.poke_u32(args, 24);
  u.poke_u32(args + 4n, 0);
  start = performance.now();
  for (const i of order.toReversed()) {
    u.poke_u64(args + 8n, BigInt(i) * 2n * PAGE);
    u.poke_u64(args + 16n, PAGE);
    check(yield* u.ioctl(container, IOCTL.unmap, args));
  }
  return { map, unmap: ((performance.now() - start) * 1e6) / n };
}

/** @return ns for a round trip: GET_REGION_INFO of mtty copies 32 bytes in and out */
function* roundTrips(u: user_process, { device, args }: Opened, n: number): Sleeps<number> {
  const start = performance.now();
  for (let i = 0; i < n; i++) {
    u.poke_u32(args, 32);
    u.poke_u32(args + 8n, 7);
    if (yield* u.ioctl(device, IOCTL.regionInfo, args)) throw new InputError("GET_REGION_INFO fails");
  }
  return ((performance.now() - start) * 1e6) / n;
}

function inUserSpace<T>(
  kernel: Kernel,
  kind: Device,
  options: Options,
  body: (u: user_process, o: Opened) => Sleeps<T>,
): T {
  const pci = kind === "edu" ? kernel.recorded_pci : [];
  kernel.boot({ arch: "x86_64", pci, stacks: false, max_steps: 1e9, ...options });
  const results: T[] = [];
  kernel.run_user("bench", function* (u) {
    // The limit of what may be locked is another matter
    yield* u.setrlimit(RLIMIT_MEMLOCK, 1n << 40n);
    results.push(yield* body(u, yield* opened(u, kind)));
  });
  const end = kernel.run();
  const [result] = results;
  if (result === undefined) throw new InputError(`a benchmark's program ended with ${end}`);
  return result;
}
const RLIMIT_MEMLOCK = 8;

/** Mappings after which the host has compiled what there is to compile. */
const WARM_UP = 3000;
/** Times the number of mappings grows by, the cost of one may grow by so much: far below what a list would cost. */
const GROWTH = 4;

async function measure({ quick, step }: Effort): Promise<Row[]> {
  const { dir } = await state("base");
  const { kernel } = await loadKernel(dir);
  const sizes = quick ? [1000, 2000, 4000] : [1000, 8000, MOST];
  const rounds = quick ? 1 : 3;
  const rows: Row[] = [];
  for (const kind of ["mtty", "edu"] as const) {
    step(`warming up, ${kind}`);
    inUserSpace(kernel, kind, {}, (u, o) => mapAndUnmap(u, o, WARM_UP));
    const times = new Map<number, Times[]>(sizes.map((n) => [n, []]));
    for (let round = 0; round < rounds; round++)
      for (const n of sizes) {
        step(`${n} mappings, ${kind}`);
        times.get(n)?.push(inUserSpace(kernel, kind, {}, (u, o) => mapAndUnmap(u, o, n)));
      }
    for (const what of ["map", "unmap"] as const) {
      const of = (n: number): number => median((times.get(n) ?? []).map((t) => t[what]));
      const name = (n: number): string => `${what}, ${n} mappings, ${kind === "mtty" ? "no IOMMU" : "behind an IOMMU"}`;
      const [least = 0] = sizes;
      for (const n of sizes)
        rows.push({
          name: name(n),
          value: of(n) / 1000,
          unit: "us",
          ratio: n === least ? null : of(n) / of(least),
          against: n === least ? null : name(least),
          bound: n === least ? null : { of: "ratio", at: "most", limit: GROWTH },
        });
    }
  }
  const trips = quick ? 2000 : 20_000;
  const trip = (options: Options): number =>
    median(
      Array.from({ length: rounds }, () => {
        step("ioctl round trips");
        return inUserSpace(kernel, "mtty", options, (u, o) => roundTrips(u, o, trips));
      }),
    );
  const [off, on] = [trip({ checkers: false }), trip({})];
  const [OFF, ON] = ["ioctl round trips, checkers off", "ioctl round trips, checkers on"];
  rows.push(
    { name: OFF, value: 1e9 / off, unit: "1/s", ratio: null, against: null, bound: null },
    { name: ON, value: 1e9 / on, unit: "1/s", ratio: on / off, against: OFF, bound: null },
  );
  return rows;
}

export const type1: Group = {
  name: "type1",
  summary:
    "mappings of a container, by their number, with and without an IOMMU; ioctls from the descriptor to the driver",
  measure,
};
