// SPDX-License-Identifier: GPL-2.0-only
// dup: virtual machines, as far as VFIO's users need one
import { b32, b64, bytestruct } from "../../../kernel/lib/bytestruct.ts";
import { _IO, _IOW, _IOWR } from "./ioctl.ts";

const KVMIO = 0xae;

export class kvm_userspace_memory_region extends bytestruct("kvm_userspace_memory_region", {
  slot: b32(),
  flags: b32(),
  guest_phys_addr: b64(),
  memory_size: b64(),
  userspace_addr: b64(),
}) {}

export class kvm_create_device extends bytestruct("kvm_create_device", {
  type: b32(),
  fd: b32(),
  flags: b32(),
}) {}

export class kvm_device_attr extends bytestruct("kvm_device_attr", {
  flags: b32(),
  group: b32(),
  attr: b64(),
  addr: b64(),
}) {}

export const KVM_API_VERSION = 12;
export const KVM_GET_API_VERSION = _IO(KVMIO, 0x00);
export const KVM_CREATE_VM = _IO(KVMIO, 0x01);
export const KVM_SET_USER_MEMORY_REGION = _IOW(KVMIO, 0x46, 32);
export const KVM_CREATE_DEVICE = _IOWR(KVMIO, 0xe0, 12);
export const KVM_SET_DEVICE_ATTR = _IOW(KVMIO, 0xe1, 24);
export const KVM_HAS_DEVICE_ATTR = _IOW(KVMIO, 0xe3, 24);

export const KVM_CREATE_DEVICE_TEST = 1;
export const KVM_DEV_TYPE_VFIO = 4;
export const KVM_DEV_VFIO_GROUP = 1;
export const KVM_DEV_VFIO_GROUP_ADD = 1;
export const KVM_DEV_VFIO_GROUP_DEL = 2;
