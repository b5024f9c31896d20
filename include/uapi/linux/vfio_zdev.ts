// SPDX-License-Identifier: GPL-2.0-only
// dup: what vfio-pci says of zPCI functions
import { b16, b32, b64, b8, bytes, bytestruct, inner } from "#linux/types.ts";
import { vfio_info_cap_header } from "./vfio.ts";

export class vfio_device_info_cap_zpci_base extends bytestruct("vfio_device_info_cap_zpci_base", {
  header: inner(() => vfio_info_cap_header),
  start_dma: b64(),
  end_dma: b64(),
  pchid: b16(),
  vfn: b16(),
  fmb_length: b16(),
  pft: b8(),
  gid: b8(),
  fh: b32(),
}) {}

export const VFIO_DEVICE_INFO_ZPCI_FLAG_REFRESH = 1;
export class vfio_device_info_cap_zpci_group extends bytestruct("vfio_device_info_cap_zpci_group", {
  header: inner(() => vfio_info_cap_header),
  dasm: b64(),
  msi_addr: b64(),
  flags: b64(),
  mui: b16(),
  noi: b16(),
  maxstbl: b16(),
  version: b8(),
  reserved: b8(),
  imaxstbl: b16(),
}) {}

export class vfio_device_info_cap_zpci_util extends bytestruct("vfio_device_info_cap_zpci_util", {
  header: inner(() => vfio_info_cap_header),
  size: b32(),
  util_str: bytes(0),
}) {}

export class vfio_device_info_cap_zpci_pfip extends bytestruct("vfio_device_info_cap_zpci_pfip", {
  header: inner(() => vfio_info_cap_header),
  size: b32(),
  pfip: bytes(0),
}) {}
