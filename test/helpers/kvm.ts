// SPDX-License-Identifier: GPL-2.0-only
/** What user space does with /dev/kvm: a virtual machine, and its device that VFIO groups are given to. */
import type { user_process } from "../../kernel/fs/process.ts";
import type { Sleeps } from "../../kernel/sched/types.ts";

const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;

const KVM_CREATE_VM = 0xae01;
const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const KVM_CREATE_DEVICE = 0xc00caee0;
const KVM_SET_DEVICE_ATTR = 0x4018aee1;
const KVM_DEV_TYPE_VFIO = 4;
const GROUP = 1;
const ADD = 1n;
const DEL = 2n;

/** Descriptors, or the error of what failed. */
export interface Vm {
  vm: number;
  /** The device that groups are given to. */
  vfio: number;
}

export function* createVm(u: user_process): Sleeps<Vm> {
  const kvm = yield* u.open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return { vm: kvm, vfio: -1 };
  const vm = yield* u.ioctl(kvm, KVM_CREATE_VM, 0n);
  yield* u.close(kvm);
  if (vm < 0) return { vm, vfio: -1 };
  const arg = yield* u.alloc(4096);
  u.poke_u32(arg, KVM_DEV_TYPE_VFIO);
  const ret = yield* u.ioctl(vm, KVM_CREATE_DEVICE, arg);
  return { vm, vfio: ret < 0 ? ret : u.peek_u32(arg + 4n) };
}

function* setGroup(u: user_process, vm: Vm, group: number, attr: bigint): Sleeps<number> {
  const arg = yield* u.alloc(4096);
  u.poke_u32(arg + 4n, GROUP);
  u.poke_u64(arg + 8n, attr);
  u.poke_u64(arg + 16n, arg + 64n);
  u.poke_u32(arg + 64n, group);
  return yield* u.ioctl(vm.vfio, KVM_SET_DEVICE_ATTR, arg);
}
export function addGroup(u: user_process, vm: Vm, group: number): Sleeps<number> {
  return setGroup(u, vm, group, ADD);
}
export function delGroup(u: user_process, vm: Vm, group: number): Sleeps<number> {
  return setGroup(u, vm, group, DEL);
}

/** Guest memory in a slot; a size of 0 takes the slot away. */
export function* setMemory(
  u: user_process,
  vm: Vm,
  slot: number,
  gpa: bigint,
  size: bigint,
  at: bigint,
): Sleeps<number> {
  const arg = yield* u.alloc(4096);
  u.poke_u32(arg, slot);
  u.poke_u64(arg + 8n, gpa);
  u.poke_u64(arg + 16n, size);
  u.poke_u64(arg + 24n, at);
  return yield* u.ioctl(vm.vm, KVM_SET_USER_MEMORY_REGION, arg);
}

/** The device first, as user space that ends in good order does it. */
export function* closeVm(u: user_process, { vm, vfio }: Vm): Sleeps {
  for (const fd of [vfio, vm]) if (fd >= 0) yield* u.close(fd);
}
