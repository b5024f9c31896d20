// SPDX-License-Identifier: GPL-2.0-only
/** kvmgt: types, virtual GPUs and the machines that have them, with what the C does wrong. */
import test from "ava";
import { EEXIST, EFAULT, EINVAL, ENOSPC, ENOTTY, ESRCH, EWOULDBLOCK } from "#linux/errno.ts";
import { boot, found, log, run } from "../../kernel/arch/machine.ts";
import { run_user, type user_process } from "../../kernel/fs/process.ts";
import { fault_injections, make_it_fail, set_fail_nth } from "../../kernel/lib/fault-inject.ts";
import { kmemleak_scan } from "../../kernel/mm/kmemleak.ts";
import { live_memory } from "../../kernel/mm/slab.ts";
import { ready_int, type Sleeps } from "../../kernel/sched/types.ts";
import { intel_vgpu } from "../../drivers/gpu/drm/i915/gvt/gvt.ts";
import {
  intel_gvt_dma_map_guest_page,
  intel_gvt_dma_pin_guest_page,
  intel_gvt_dma_unmap_guest_page,
  intel_gvt_page_track_add,
  intel_gvt_page_track_remove,
} from "../../drivers/gpu/drm/i915/gvt/kvmgt.ts";
import { closeGuest, openForGuest } from "../helpers/ap.ts";
import {
  close,
  mapDma,
  open,
  OTHER_UUID,
  remove,
  UUID,
  VFIO_DEVICE_RESET,
  VFIO_DEVICE_SET_IRQS,
} from "../helpers/ccw.ts";
import { create, GPU, GVT_MACHINE, loadModules, typeDir, unloadModules } from "../helpers/gvt.ts";
import { addGroup, closeVm, createVm, setMemory, type Vm } from "../helpers/kvm.ts";
import "#linux/device.ts";
import "../../drivers/iommu/intel/iommu.ts";
import "../../drivers/pci/pci-sysfs.ts";
import "../../kernel/arch/x86/pci.ts";
import "../../drivers/gpu/drm/i915/i915_driver.ts";
import "../../drivers/vfio/mdev/mdev_core.ts";
import "../../drivers/vfio/vfio_iommu_type1.ts";
import "../../drivers/vfio/vfio_main.ts";
import "../../kernel/virt/kvm_main.ts";

type Body = (u: user_process) => Sleeps;

const results: unknown[] = [];
const say = (x: unknown): void => void results.push(x);

/** The pointer that is to be freed has been set to NULL before. */
const LEAK = "unreferenced object: struct intel_gvt (size N)";
const size = (title: string): string => title.replace(/\(size \d+\)/, "(size N)");

interface Ran {
  readonly outcome: string;
  readonly titles: string[];
}
function play(body: Body): Ran {
  results.splice(0);
  boot({ ...GVT_MACHINE, stacks: false });
  run_user("init", body);
  const outcome = run();
  if (outcome === "done") kmemleak_scan();
  return { outcome, titles: found().map((r) => size(r.title)) };
}
const AS_WELL_AS_LINUX: Ran = { outcome: "done", titles: [LEAK] };

function* within(u: user_process, body: Body): Sleeps {
  yield* loadModules(u);
  yield* body(u);
  yield* unloadModules(u);
}
const loaded =
  (body: Body): Body =>
  (u) =>
    within(u, body);

/** The virtual GPU, as the kernel has it. */
function vgpu(): intel_vgpu {
  for (const mem of live_memory()) if (mem.root instanceof intel_vgpu && mem.root.id === 1) return mem.root;
  throw new Error("there is no vGPU 1");
}

const available = function* (u: user_process): Sleeps<string> {
  const left: string[] = [];
  for (const type of ["8", "4"])
    left.push((yield* u.sysfs_read(`${typeDir(`GVTg_V5_${type}`)}/available_instances`)).text.trim());
  return left.join(" ");
};

function* lookAround(u: user_process): Sleeps {
  say((yield* u.ls(GPU)).names.filter((n) => /driver@|gvt|mdev/.test(n)));
  say((yield* u.ls(`${GPU}/mdev_supported_types`)).names);
  for (const file of ["name", "description", "device_api"])
    say((yield* u.sysfs_read(`${typeDir("GVTg_V5_4")}/${file}`)).text);
  say(yield* available(u));
  say(yield* create(u));
  say(yield* available(u));
  say((yield* u.ls(`/sys/bus/mdev/devices/${UUID}`)).names.filter((n) => n !== "power/"));
  say((yield* u.sysfs_read(`/sys/bus/mdev/devices/${UUID}/intel_vgpu/vgpu_id`)).text);
  say((yield* u.ls("/sys/kernel/debug/dri/0/gvt/vgpu1")).names);
  say((yield* u.sysfs_read("/sys/kernel/debug/dri/0/gvt/vgpu1/active")).text);
  say(yield* remove(u));
  say((yield* u.ls("/sys/kernel/debug/dri/0/gvt")).names);
  say(yield* available(u));
}
test.serial("what user space sees", (t) => {
  t.deepEqual(play(loaded(lookAround)), AS_WELL_AS_LINUX);
  t.deepEqual(results, [
    ["driver@", "gvt_firmware", "mdev_supported_types/"],
    ["i915-GVTg_V5_4/", "i915-GVTg_V5_8/"],
    "GVTg_V5_4\n",
    "low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4\n",
    "vfio-pci\n",
    "2 1",
    36,
    "1 0",
    ["driver@", "intel_vgpu/", "iommu_group@", "mdev_type@", "remove", "subsystem@", "uevent", "vfio-dev/"],
    "1\n",
    ["active"],
    "N\n",
    1,
    [],
    "2 1",
  ]);
});

const uuid = (n: number): string => UUID.slice(0, -1) + n.toString(16);
interface Limit {
  readonly name: string;
  readonly types: readonly string[];
  readonly results: readonly number[];
  readonly left: string;
}
const limits: readonly Limit[] = [
  { name: "as many as fit", types: ["8", "8"], results: [36, 36], left: "0 0" },
  { name: "one too many", types: ["8", "8", "8"], results: [36, 36, -ENOSPC], left: "0 0" },
  { name: "a big one", types: ["4", "8"], results: [36, -ENOSPC], left: "0 0" },
  { name: "a big one beside a small one", types: ["8", "4", "8"], results: [36, -ENOSPC, 36], left: "0 0" },
  { name: "a type that the device has no room for", types: ["2"], results: [-2], left: "2 1" },
];
for (const c of limits) {
  test.serial(`create: ${c.name}`, (t) => {
    function* body(u: user_process): Sleeps {
      for (const [i, type] of c.types.entries()) say(yield* create(u, uuid(i), `GVTg_V5_${type}`));
      say(yield* available(u));
      for (const i of c.types.keys()) yield* remove(u, uuid(i));
      say(yield* available(u));
    }
    t.deepEqual(play(loaded(body)), AS_WELL_AS_LINUX);
    t.deepEqual(results, [...c.results, c.left, "2 1"]);
  });
}

interface Opening {
  readonly name: string;
  readonly body: Body;
  readonly results: readonly unknown[];
  readonly ran?: Ran;
}
function* withoutMachine(u: user_process): Sleeps {
  const opened = yield* open(u);
  say(opened.device);
  yield* close(u, opened);
}
function* twice(u: user_process): Sleeps {
  yield* create(u, OTHER_UUID);
  const first = yield* openForGuest(u);
  const second = yield* openForGuest(u, OTHER_UUID, first.vm);
  say(second.opened.device);
  yield* close(u, second.opened);
  yield* closeGuest(u, first);
  const again = yield* openForGuest(u, OTHER_UUID);
  say(again.opened.device >= 0);
  yield* closeGuest(u, again);
  yield* remove(u, OTHER_UUID);
}
/* The machine belongs to the process that made it. */
function* anotherProcess(u: user_process): Sleeps {
  const vm = yield* createVm(u);
  const pid = yield* u.fork((child) => asChild(child, vm));
  yield* u.waitpid(pid, 0);
  yield* closeVm(u, vm);
}
function* asChild(u: user_process, vm: Vm): Sleeps {
  const opened = yield* open(u, UUID, (group) => addGroup(u, vm, group));
  say(opened.device);
  yield* close(u, opened);
}
function* rmmodOpen(u: user_process): Sleeps {
  const guest = yield* openForGuest(u);
  say(yield* u.delete_module("kvmgt"));
  say(yield* u.delete_module("kvm"));
  yield* closeGuest(u, guest);
}
function* machineFirst(u: user_process): Sleeps {
  const guest = yield* openForGuest(u);
  yield* closeVm(u, guest.vm);
  yield* close(u, guest.opened);
}
const openings: readonly Opening[] = [
  { name: "without a machine", body: withoutMachine, results: [-ESRCH] },
  { name: "two for one machine", body: twice, results: [-EEXIST, true] },
  { name: "the module is to be unloaded", body: rmmodOpen, results: [-EWOULDBLOCK, -EWOULDBLOCK] },
  { name: "by another process than the machine's", body: anotherProcess, results: [-ESRCH] },
  { name: "the machine is closed first", body: machineFirst, results: [] },
];
for (const c of openings) {
  test.serial(`open: ${c.name}`, (t) => {
    function* body(u: user_process): Sleeps {
      yield* create(u);
      yield* c.body(u);
      yield* remove(u);
    }
    t.deepEqual(play(loaded(body)), c.ran ?? AS_WELL_AS_LINUX);
    t.deepEqual(results, [...c.results]);
  });
}

const GET_INFO = 0x3b64 + 7;
const GET_REGION_INFO = 0x3b64 + 8;
const GET_IRQ_INFO = 0x3b64 + 9;

function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  for (const [i, v] of values.entries()) new DataView(bytes.buffer).setUint32(4 * i, v >>> 0, true);
  return bytes;
}
function* regionInfo(u: user_process, fd: number, index: number): Sleeps<unknown> {
  const bytes = new Uint8Array(96);
  bytes.set(words(96, 0, index));
  const answer = yield* u.ioctl_bytes(fd, GET_REGION_INFO, bytes);
  const v = new DataView(answer.bytes.buffer, answer.bytes.byteOffset);
  const caps = v.getUint32(12, true);
  const cap: unknown[] = [];
  if (caps) {
    const id = v.getUint16(caps, true);
    cap.push(id, ...[0, 1].map((i) => v.getUint32(caps + 8 + 4 * i, true)));
    if (id === 1)
      cap.push(Number(v.getBigUint64(caps + 16, true)) >> 20, Number(v.getBigUint64(caps + 24, true)) >> 20);
  }
  return [answer.ret, v.getUint32(4, true), Number(v.getBigUint64(16, true)), ...cap];
}
function* infos(u: user_process): Sleeps {
  yield* create(u);
  const guest = yield* openForGuest(u);
  const fd = guest.opened.device;
  const info = yield* u.ioctl_bytes(fd, GET_INFO, words(20, 0, 0, 0, 0));
  say([info.ret, Buffer.from(info.bytes).toString("hex")]);
  for (const index of [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]) say(yield* regionInfo(u, fd, index));
  for (const index of [0, 1, 2, 9]) {
    const irq = yield* u.ioctl_bytes(fd, GET_IRQ_INFO, words(16, 0, index, 0));
    say([irq.ret, irq.bytes[4], irq.bytes[12]]);
  }
  yield* closeGuest(u, guest);
  yield* remove(u);
}
test.serial("regions and interrupts", (t) => {
  t.deepEqual(play(loaded(infos)), AS_WELL_AS_LINUX);
  t.deepEqual(results, [
    [0, "14000000" + "03000000" + "0b000000" + "05000000" + "00000000"],
    [0, 3, 16 << 20],
    [0, 0, 0],
    [0, 15, 256 << 20, 1, 1, 0, 0, 64],
    [0, 0, 0],
    [0, 0, 0],
    [0, 3, 4096],
    [0, 0, 0],
    [0, 9, 8192, 2, 0x80008086, 1],
    [0, 11, 128, 2, 1, 1],
    [-EINVAL, 0, 0],
    [0, 1 | 2 | 4, 1],
    [0, 1 | 8, 1],
    [-EINVAL, 0, 0],
    [-EINVAL, 0, 0],
  ]);
});

interface Access {
  readonly name: string;
  readonly region: number;
  readonly at: number;
  /** Bytes to write; without them four are read. */
  readonly write?: Uint8Array;
  readonly ret: number;
  readonly bytes?: string;
  readonly says?: RegExp;
}
const accesses: readonly Access[] = [
  { name: "vendor and device", region: 7, at: 0, ret: 4, bytes: "86801619" },
  { name: "memory decoding is off", region: 7, at: 4, ret: 4, bytes: "00011000" },
  {
    name: "configuration space is not written",
    region: 7,
    at: 4,
    write: words(2),
    ret: -EFAULT,
    says: /not emulated here/,
  },
  {
    name: "registers",
    region: 0,
    at: 0x2030,
    ret: -EFAULT,
    says: /reads of registers \(0xc0002030\) are not emulated/,
  },
  { name: "registers", region: 0, at: 0x2030, write: words(1), ret: -EFAULT, says: /writes to registers/ },
  { name: "the aperture", region: 2, at: 0, ret: -EFAULT, says: /aperture \(0x0\) is not there yet/ },
  { name: "a BAR that is not", region: 3, at: 0, ret: -EFAULT },
  { name: "a region that is not", region: 11, at: 0, ret: -EFAULT, says: /invalid index: 11/ },
  { name: "the firmware's pages", region: 9, at: 0, ret: 4, bytes: Buffer.from("Inte").toString("hex") },
  { name: "which cannot be written", region: 9, at: 0, write: words(0), ret: -EFAULT, says: /invalid op or offset/ },
  { name: "and end", region: 9, at: 8192, ret: -EFAULT, says: /invalid op or offset/ },
  { name: "size of the EDID", region: 10, at: 8, ret: 4, bytes: "80000000" },
  { name: "resolution", region: 10, at: 12, ret: 4, bytes: "00040000" },
  { name: "the EDID", region: 10, at: 2048, ret: 4, bytes: "00ffffff" },
  { name: "which ends", region: 10, at: 2048 + 128, ret: -EFAULT, says: /failed to access EDID/ },
  { name: "a smaller EDID", region: 10, at: 8, write: words(64), ret: 4 },
  {
    name: "one that is too big",
    region: 10,
    at: 8,
    write: words(129),
    ret: -EFAULT,
    says: /EDID size is bigger than 128/,
  },
  {
    name: "where it is stays",
    region: 10,
    at: 0,
    write: words(0),
    ret: -EFAULT,
    says: /write read-only EDID region at offset 0/,
  },
  { name: "plugged in", region: 10, at: 20, write: words(1), ret: 4, says: /not told of its monitor/ },
  { name: "pulled", region: 10, at: 20, write: words(2), ret: 4 },
  { name: "neither", region: 10, at: 20, write: words(3), ret: -EFAULT, says: /invalid EDID link state 0/ },
  { name: "two bytes of a register of the EDID", region: 10, at: 8, write: words(64).slice(0, 2), ret: -EFAULT },
];
for (const [i, c] of accesses.entries()) {
  test.serial(`access ${i}, region ${c.region}: ${c.name}`, (t) => {
    function* body(u: user_process): Sleeps {
      yield* create(u);
      const guest = yield* openForGuest(u);
      const at = BigInt(c.region) * 2n ** 40n + BigInt(c.at);
      if (c.write) say([yield* u.pwrite_bytes(guest.opened.device, c.write, at), ""]);
      else {
        const { ret, bytes } = yield* u.pread_bytes(guest.opened.device, 4, at);
        say([ret, Buffer.from(bytes).toString("hex")]);
      }
      yield* closeGuest(u, guest);
      yield* remove(u);
    }
    t.deepEqual(play(loaded(body)), AS_WELL_AS_LINUX);
    t.deepEqual(results, [[c.ret, c.bytes ?? ""]]);
    if (c.says)
      t.regex(
        log()
          .map((l) => l.text)
          .join("\n"),
        c.says,
      );
  });
}

function* irqs(u: user_process): Sleeps {
  yield* create(u);
  const guest = yield* openForGuest(u);
  const fd = guest.opened.device;
  const efd = yield* u.eventfd(0, 0);
  const set = function* (...args: number[]): Sleeps<number> {
    return (yield* u.ioctl_bytes(fd, VFIO_DEVICE_SET_IRQS, words(...args))).ret;
  };
  say(yield* set(24, 4 | 0x20, 1, 0, 1, efd));
  say(vgpu().msi_trigger !== null);
  say(yield* set(24, 4 | 0x20, 1, 0, 1, 999));
  say(yield* set(20, 1 | 0x20, 1, 0, 0));
  say(vgpu().msi_trigger !== null);
  say(yield* set(20, 1 | 0x08, 1, 0, 1));
  say(yield* set(20, 1 | 0x08, 0, 0, 1));
  say(yield* set(24, 4 | 0x20, 7, 0, 1, efd));
  // Two in a row: the first one's context is never put.
  say(yield* set(24, 4 | 0x20, 1, 0, 1, efd));
  say(yield* set(24, 4 | 0x20, 1, 0, 1, efd));
  say(yield* u.ioctl(fd, VFIO_DEVICE_RESET, 0n));
  say(yield* u.ioctl(fd, 0x3b64 + 14, 0n));
  yield* u.close(efd);
  yield* closeGuest(u, guest);
  yield* remove(u);
}
test.serial("the message interrupt: set, wrong, taken back, and set twice", (t) => {
  t.deepEqual(play(loaded(irqs)), {
    outcome: "done",
    titles: [LEAK, "unreferenced object: struct eventfd_ctx (size N)"],
  });
  t.deepEqual(results, [0, true, -9, 0, false, -ENOTTY, 0, -EINVAL, 0, 0, 0, -ENOTTY]);
});

const IOVA = 0x100000n;
/** Pages of the guest that are mapped and tracked, as shadowing its page tables would do it. */
function* caches(u: user_process): Sleeps {
  yield* create(u);
  const guest = yield* openForGuest(u);
  const memory = yield* u.alloc(0x10000);
  yield* setMemory(u, guest.vm, 0, IOVA, 0x10000n, memory);
  yield* mapDma(u, guest.opened.container, memory, IOVA, 0x10000);
  const addr = { value: 0n };
  const entries = function* (): Sleeps<string> {
    return (yield* u.sysfs_read("/sys/kernel/debug/dri/0/gvt/vgpu1/kvmgt_nr_cache_entries")).text.trim();
  };
  const gfn = IOVA >> 12n;
  say(yield* u.syscall(() => intel_gvt_dma_map_guest_page(vgpu(), gfn, 4096, addr)));
  say(yield* u.syscall(() => intel_gvt_dma_map_guest_page(vgpu(), gfn, 4096, addr)));
  say(yield* u.syscall(() => intel_gvt_dma_map_guest_page(vgpu(), gfn + 1n, 4096, { value: 0n })));
  say(yield* u.syscall(() => intel_gvt_dma_map_guest_page(vgpu(), gfn + 0x1000n, 4096, { value: 0n })));
  say(yield* u.syscall(() => intel_gvt_dma_pin_guest_page(vgpu(), addr.value)));
  say(yield* u.syscall(() => intel_gvt_dma_pin_guest_page(vgpu(), 1n)));
  say(yield* entries());
  for (let i = 0; i < 3; i++) {
    yield* u.syscall(() => unmap(addr.value));
    say(yield* entries());
  }
  for (const page of [gfn, gfn, gfn + 2n, gfn + 0x1000n])
    say(yield* u.syscall(() => intel_gvt_page_track_add(vgpu(), page)));
  say(yield* u.syscall(() => intel_gvt_page_track_remove(vgpu(), gfn + 2n)));
  say(yield* setMemory(u, guest.vm, 0, IOVA, 0n, 0n));
  say(vgpu().vfio_device.kvm!.arch.gfn_track.get(gfn));
  yield* closeGuest(u, guest);
  yield* remove(u);
}
function* unmap(addr: bigint): Sleeps<number> {
  yield* intel_gvt_dma_unmap_guest_page(vgpu(), addr);
  return yield* ready_int(0);
}
test.serial("pages of the guest are mapped, counted and tracked; closing the device gives them back", (t) => {
  // What could not be pinned is unpinned: no pages.
  t.deepEqual(play(loaded(caches)), { outcome: "done", titles: ["WARNING: vfio_unpin_pages [vfio]", LEAK] });
  t.deepEqual(results, [0, 0, 0, -EINVAL, 0, -12, "2", "2", "2", "1", 0, 0, 0, -EINVAL, 0, 0, 0]);
});

/* i915's own folder comes after GVT-g when the device is bound, and goes before it: GVT-g's is outside of it from the second time on, and stays. */
function* rebind(u: user_process): Sleeps {
  const folders = function* (): Sleeps<string> {
    const { names } = yield* u.ls("/sys/kernel/debug");
    return [...names.filter((n) => n === "gvt/"), ...(yield* u.ls("/sys/kernel/debug/dri/0")).names].join(" ");
  };
  say(yield* folders());
  for (let i = 0; i < 2; i++) {
    yield* u.sysfs_write("/sys/bus/pci/drivers/i915/unbind", "0000:00:02.0");
    say(yield* folders());
    yield* u.sysfs_write("/sys/bus/pci/drivers/i915/bind", "0000:00:02.0");
    yield* create(u);
    say(`${yield* folders()}, ${(yield* u.ls("/sys/kernel/debug/gvt")).names.join(" ")}`);
  }
  say(
    log()
      .map((l) => l.text)
      .filter((l) => l.includes("debugfs")),
  );
  // This is the one that was there before.
  yield* u.sysfs_read("/sys/kernel/debug/gvt/vgpu1/active");
}
test.serial("the original's mistake: the GPU is bound again, and GVT-g's folder in debugfs is another (G09)", (t) => {
  t.deepEqual(play(loaded(rebind)), {
    outcome: "done",
    titles: ["BUG: KASAN: use-after-free in value_of", LEAK, LEAK, LEAK],
  });
  t.deepEqual(results, [
    "gvt/",
    "",
    "gvt/, vgpu1/",
    "gvt/",
    "gvt/, vgpu1/",
    ["debugfs: Directory 'gvt' with parent '/' already present!"],
  ]);
});
for (const [name, args] of [
  ["by default", ""],
  ["by the parameter", "enable_gvt=0"],
] as const) {
  test.serial(`GVT-g is disabled ${name}`, (t) => {
    function* body(u: user_process): Sleeps {
      for (const module of ["vfio", "mdev", "kvm"]) yield* u.finit_module(module);
      say(yield* u.finit_module("i915", args));
      say(yield* u.finit_module("kvmgt"));
      say(yield* u.exists(`${GPU}/mdev_supported_types`));
      yield* unloadModules(u);
    }
    t.deepEqual(play(body), { outcome: "done", titles: [] });
    t.deepEqual(results, [0, 0, false]);
  });
}

/* The driver warns and returns, and the mdev goes all the same; the device's driver is gone when its file is closed. */
test.serial("a virtual GPU is removed while it is open", (t) => {
  function* body(u: user_process): Sleeps {
    yield* create(u);
    const guest = yield* openForGuest(u);
    say(yield* remove(u));
    yield* closeGuest(u, guest);
  }
  t.deepEqual(play(loaded(body)), {
    outcome: "oops",
    titles: [
      "WARNING: intel_vgpu_remove [kvmgt]",
      "BUG: kernel NULL pointer dereference in vfio_device_fops_release [vfio]",
    ],
  });
  t.deepEqual(results, [1]);
});

interface Going {
  readonly name: string;
  readonly body: Body;
  readonly ran?: Ran;
  readonly results: readonly unknown[];
}
function* unloadWithMdev(u: user_process): Sleeps {
  yield* create(u);
  say(yield* u.delete_module("kvmgt"));
  say(yield* u.exists(`/sys/bus/mdev/devices/${UUID}`));
  say(yield* u.exists(`${GPU}/mdev_supported_types`));
  say(yield* u.finit_module("kvmgt"));
  say(yield* available(u));
}
function* unbindGpu(u: user_process): Sleeps {
  yield* create(u);
  say(yield* u.sysfs_write("/sys/bus/pci/drivers/i915/unbind", "0000:00:02.0"));
  say(yield* u.exists(`/sys/bus/mdev/devices/${UUID}`));
  say(yield* u.sysfs_write("/sys/bus/pci/drivers/i915/bind", "0000:00:02.0"));
  say(yield* available(u));
}
const goings: readonly Going[] = [
  {
    name: "kvmgt is unloaded while there is one",
    body: unloadWithMdev,
    results: [0, false, false, 0, "2 1"],
    ran: { outcome: "done", titles: [LEAK, LEAK] },
  },
  {
    name: "the GPU is unbound while there is one, and bound again",
    body: unbindGpu,
    results: [12, false, 12, "2 1"],
    ran: { outcome: "done", titles: [LEAK, LEAK] },
  },
];
for (const c of goings) {
  test.serial(`${c.name}`, (t) => {
    t.deepEqual(play(loaded(c.body)), c.ran ?? AS_WELL_AS_LINUX);
    t.deepEqual(results, [...c.results]);
  });
}

function* life(u: user_process, nth: number): Sleeps {
  make_it_fail(u.task);
  set_fail_nth(nth);
  if (yield* loadModules(u)) {
    yield* create(u);
    const guest = yield* openForGuest(u);
    if (guest.opened.device >= 0) for (const index of [2, 9]) yield* regionInfo(u, guest.opened.device, index);
    yield* closeGuest(u, guest);
  }
  make_it_fail(u.task, false);
  // What was left of a vGPU that could not be made is in debugfs.
  yield* u.sysfs_read("/sys/kernel/debug/dri/0/gvt/vgpu1/active");
  yield* remove(u);
  yield* unloadModules(u);
}
/** Titles, and the row of Documentation/findings.md that explains each. */
const EXPLAINED: Readonly<Record<string, string>> = {
  "BUG: KASAN: use-after-free in value_of": "G05",
  "unreferenced object: struct vfio_region[] (size N)": "G06",
  "unreferenced object: struct vfio_edid_region (size N)": "G06",
  "unreferenced object: struct intel_vgpu_mm (size N)": "G07",
  "unreferenced object: buffer (size N)": "G07 B05",
  "WARNING: clean_firmware_sysfs [kvmgt]": "G08",
  "WARNING: vfio_group_release [vfio]": "B02",
  "BUG: kernel NULL pointer dereference in vfio_device_open [vfio]": "B03",
  "WARNING: sysfs_remove_group": "D01",
};
test.serial("each allocation fails in turn, and every report is explained", (t) => {
  t.timeout(600_000);
  const said = new Set<string>();
  let failed = 0;
  for (let nth = 1; ; nth++) {
    const { outcome, titles } = play((u) => life(u, nth));
    if (fault_injections().length === 0) break;
    failed++;
    t.true(["done", "oops"].includes(outcome), `allocation ${nth}: ${outcome}`);
    for (const title of titles) if (title !== LEAK) said.add(title);
  }
  t.true(failed > 300, String(failed));
  t.deepEqual([...said].sort(), Object.keys(EXPLAINED).sort());
});
