// SPDX-License-Identifier: GPL-2.0-only
// custom: PCI functions of s390, as far as vfio-pci looks at them. No machine here has one
import type { kvm } from "#linux/kvm_host.ts";
import type { pci_dev } from "#linux/pci.ts";
import { array, bool, ptr, struct, u16, u32, u64, u8 } from "#linux/types.ts";
import { per_boot } from "../../kernel/boot.ts";

export const CLP_UTIL_STR_LEN = 64;
export const CLP_PFIP_NR_SEGMENTS = 4;
/** Bytes that one store to a function may have. */
export const ZPCI_MAX_WRITE_SIZE = 128;

export class zpci_dev extends struct("zpci_dev", {
  fh: u32(),
  vfn: u16(),
  pchid: u16(),
  maxstbl: u16(),
  pfgid: u8(),
  pft: u8(),
  util_str_avail: bool(),
  pfip: array(CLP_PFIP_NR_SEGMENTS, u8()),
  util_str: array(CLP_UTIL_STR_LEN, u8()),
  msi_addr: u64(),
  max_msi: u32(),
  start_dma: u64(),
  end_dma: u64(),
  dma_mask: u64(),
  fmb_update: u16(),
  fmb_length: u16(),
  version: u8(),
}) {}

const ZPCI_FUNCTIONS_PER_BUS = 256;
export class zpci_bus extends struct("zpci_bus", { function: array(ZPCI_FUNCTIONS_PER_BUS, ptr<zpci_dev>()) }) {}

export function to_zpci(pdev: pci_dev): zpci_dev | null {
  return (pdev.sysdata as zpci_bus).function.at(pdev.devfn);
}

/** What KVM, where it is loaded, wants to know of functions that are passed through. */
interface zpci_kvm_hooks {
  kvm_register: ((zdev: zpci_dev, kvm: kvm) => number) | null;
  kvm_unregister: ((zdev: zpci_dev) => void) | null;
}
const no_kvm = (): zpci_kvm_hooks => ({ kvm_register: null, kvm_unregister: null });
const s = per_boot(() => ({ zpci_kvm_hook: no_kvm() }));
export const zpci_kvm_hook = (): zpci_kvm_hooks => s.zpci_kvm_hook;
