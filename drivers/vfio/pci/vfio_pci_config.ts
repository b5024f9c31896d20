// SPDX-License-Identifier: GPL-2.0-only
/**
 * Configuration space as user space sees it: which bits are virtual, which can be written, and the copy of the virtual ones.
 *
 * Not here yet: reading and writing it (the readfn and writefn of a capability and what calls them, vfio_pci_config_rw()).
 */
import { kbuild } from "#linux/export.ts";
import { ENOMEM } from "#linux/errno.ts";
import { round_up } from "#linux/kernel.ts";
import {
  PCI_ACS_CAP,
  PCI_ACS_EC,
  PCI_ACS_EGRESS_BITS,
  PCI_AF_CTRL,
  PCI_AF_CTRL_FLR,
  PCI_AGP_SIZEOF,
  PCI_BASE_ADDRESS_0,
  PCI_BIST,
  PCI_CACHE_LINE_SIZE,
  PCI_CAP_AF_SIZEOF,
  PCI_CAP_EXP_ENDPOINT_SIZEOF_V1,
  PCI_CAP_EXP_ENDPOINT_SIZEOF_V2,
  PCI_CAP_FLAGS,
  PCI_CAP_ID_AF,
  PCI_CAP_ID_AGP,
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_HT,
  PCI_CAP_ID_MAX,
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_CAP_ID_PCIX,
  PCI_CAP_ID_PM,
  PCI_CAP_ID_SATA,
  PCI_CAP_ID_VNDR,
  PCI_CAP_ID_VPD,
  PCI_CAP_LIST_NEXT,
  PCI_CAP_MSIX_SIZEOF,
  PCI_CAP_PCIX_SIZEOF_V0,
  PCI_CAP_PCIX_SIZEOF_V2,
  PCI_CAP_SIZEOF,
  PCI_CAP_VC_BASE_SIZEOF,
  PCI_CAP_VC_PER_VC_SIZEOF,
  PCI_CAP_VPD_SIZEOF,
  PCI_CAPABILITY_LIST,
  PCI_CFG_SPACE_SIZE,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_MEMORY,
  PCI_D3hot,
  PCI_DEVICE_ID,
  PCI_DPA_BASE_SIZEOF,
  PCI_DPA_CAP,
  PCI_DPA_CAP_SUBSTATE_MASK,
  PCI_ERR_CAP,
  PCI_ERR_CAP_ECRC_CHKE,
  PCI_ERR_CAP_ECRC_GENE,
  PCI_ERR_COR_ADV_NFAT,
  PCI_ERR_COR_BAD_DLLP,
  PCI_ERR_COR_BAD_TLP,
  PCI_ERR_COR_INTERNAL,
  PCI_ERR_COR_LOG_OVER,
  PCI_ERR_COR_MASK,
  PCI_ERR_COR_RCVR,
  PCI_ERR_COR_REP_ROLL,
  PCI_ERR_COR_REP_TIMER,
  PCI_ERR_COR_STATUS,
  PCI_ERR_ROOT_COMMAND,
  PCI_ERR_UNC_ACSV,
  PCI_ERR_UNC_ATOMEG,
  PCI_ERR_UNC_COMP_ABORT,
  PCI_ERR_UNC_COMP_TIME,
  PCI_ERR_UNC_DLP,
  PCI_ERR_UNC_ECRC,
  PCI_ERR_UNC_FCP,
  PCI_ERR_UNC_INTN,
  PCI_ERR_UNC_MALF_TLP,
  PCI_ERR_UNC_MCBTLP,
  PCI_ERR_UNC_POISON_TLP,
  PCI_ERR_UNC_RX_OVER,
  PCI_ERR_UNC_SURPDN,
  PCI_ERR_UNC_TLPPRE,
  PCI_ERR_UNC_UND,
  PCI_ERR_UNC_UNSUP,
  PCI_ERR_UNC_UNX_COMP,
  PCI_ERR_UNCOR_MASK,
  PCI_ERR_UNCOR_SEVER,
  PCI_ERR_UNCOR_STATUS,
  PCI_EXP_DEVCTL,
  PCI_EXP_DEVCTL2,
  PCI_EXP_DEVCTL2_ARI,
  PCI_EXP_DEVCTL_BCR_FLR,
  PCI_EXP_DEVCTL_PAYLOAD,
  PCI_EXP_DEVCTL_PHANTOM,
  PCI_EXP_DEVCTL_READRQ,
  PCI_EXP_FLAGS_VERS,
  PCI_EXP_TYPE_RC_END,
  PCI_EXT_CAP_ARI_SIZEOF,
  PCI_EXT_CAP_ATS_SIZEOF,
  PCI_EXT_CAP_DSN_SIZEOF,
  PCI_EXT_CAP_ID,
  PCI_EXT_CAP_ID_ACS,
  PCI_EXT_CAP_ID_ARI,
  PCI_EXT_CAP_ID_ATS,
  PCI_EXT_CAP_ID_DPA,
  PCI_EXT_CAP_ID_DSN,
  PCI_EXT_CAP_ID_ERR,
  PCI_EXT_CAP_ID_LTR,
  PCI_EXT_CAP_ID_MAX,
  PCI_EXT_CAP_ID_MCAST,
  PCI_EXT_CAP_ID_MFVC,
  PCI_EXT_CAP_ID_PRI,
  PCI_EXT_CAP_ID_PWR,
  PCI_EXT_CAP_ID_REBAR,
  PCI_EXT_CAP_ID_SRIOV,
  PCI_EXT_CAP_ID_TPH,
  PCI_EXT_CAP_ID_VC,
  PCI_EXT_CAP_ID_VC9,
  PCI_EXT_CAP_ID_VNDR,
  PCI_EXT_CAP_LTR_SIZEOF,
  PCI_EXT_CAP_MCAST_ENDPOINT_SIZEOF,
  PCI_EXT_CAP_NEXT,
  PCI_EXT_CAP_PRI_SIZEOF,
  PCI_EXT_CAP_PWR_SIZEOF,
  PCI_EXT_CAP_SRIOV_SIZEOF,
  pci_info,
  PCI_INTERRUPT_LINE,
  PCI_INTERRUPT_PIN,
  PCI_LATENCY_TIMER,
  PCI_MSI_ADDRESS_HI,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_32,
  PCI_MSI_DATA_64,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_64BIT,
  PCI_MSI_FLAGS_MASKBIT,
  PCI_MSI_MASK_32,
  PCI_MSI_MASK_64,
  PCI_MSI_PENDING_32,
  PCI_MSI_PENDING_64,
  pci_pcie_type,
  PCI_PM_CAP_PME_MASK,
  PCI_PM_CTRL,
  PCI_PM_CTRL_PME_ENABLE,
  PCI_PM_CTRL_PME_STATUS,
  PCI_PM_CTRL_STATE_MASK,
  PCI_PM_PMC,
  PCI_PM_SIZEOF,
  PCI_PWR_DATA,
  pci_read_config_byte,
  pci_read_config_dword,
  pci_read_config_word,
  PCI_REBAR_CTRL,
  PCI_REBAR_CTRL_NBAR_MASK,
  PCI_REBAR_CTRL_NBAR_SHIFT,
  PCI_ROM_ADDRESS,
  PCI_SATA_REGS,
  PCI_SATA_REGS_INLINE,
  PCI_SATA_REGS_MASK,
  PCI_SATA_SIZEOF_LONG,
  PCI_SATA_SIZEOF_SHORT,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_STD_HEADER_SIZEOF,
  PCI_TPH_BASE_SIZEOF,
  PCI_TPH_CAP,
  PCI_TPH_CAP_LOC_MASK,
  PCI_TPH_CAP_ST_MASK,
  PCI_TPH_CAP_ST_SHIFT,
  PCI_TPH_LOC_CAP,
  PCI_VC_CAP1_EVCC,
  PCI_VC_CAP2_128_PHASE,
  PCI_VC_CAP2_32_PHASE,
  PCI_VC_CAP2_64_PHASE,
  PCI_VC_PORT_CAP1,
  PCI_VC_PORT_CAP2,
  PCI_VENDOR_ID,
  PCI_VPD_ADDR,
  PCI_VPD_DATA,
  PCI_VSEC_HDR,
  PCI_VSEC_HDR_LEN_SHIFT,
  pci_warn,
  PCI_X_CMD,
  PCI_X_ECC_CSR,
  HT_3BIT_CAP_MASK,
  HT_CAP_SIZEOF_LONG,
  HT_CAP_SIZEOF_SHORT,
  pcibios_err_to_errno,
  pcie_caps_reg,
} from "#linux/pci.ts";
import { GFP_KERNEL, GFP_KERNEL_ACCOUNT, kfree, kmalloc, kzalloc } from "#linux/slab.ts";
import { bytes_at, type kbuf, ptr, struct } from "#linux/types.ts";
import { memset } from "#linux/string.ts";
import type { vfio_pci_core_device } from "#linux/vfio_pci_core.ts";
import { PCI_CAP_ID_INVALID } from "./vfio_pci_priv.ts";

const { per_boot } = kbuild(import.meta.url);

/** Stands for the header. */
const PCI_CAP_ID_BASIC = 0;

const VARIABLE = 0xff;
/** Bytes by capability; 0 or nothing: hidden from user space. */
const pci_cap_length: Readonly<Record<number, number>> = {
  [PCI_CAP_ID_BASIC]: PCI_STD_HEADER_SIZEOF,
  [PCI_CAP_ID_PM]: PCI_PM_SIZEOF,
  [PCI_CAP_ID_AGP]: PCI_AGP_SIZEOF,
  [PCI_CAP_ID_VPD]: PCI_CAP_VPD_SIZEOF,
  [PCI_CAP_ID_MSI]: VARIABLE,
  [PCI_CAP_ID_PCIX]: VARIABLE,
  [PCI_CAP_ID_HT]: VARIABLE,
  [PCI_CAP_ID_VNDR]: VARIABLE,
  [PCI_CAP_ID_EXP]: VARIABLE,
  [PCI_CAP_ID_MSIX]: PCI_CAP_MSIX_SIZEOF,
  [PCI_CAP_ID_SATA]: VARIABLE,
  [PCI_CAP_ID_AF]: PCI_CAP_AF_SIZEOF,
};

/** The same for extended capabilities. */
const pci_ext_cap_length: Readonly<Record<number, number>> = {
  [PCI_EXT_CAP_ID_ERR]: PCI_ERR_ROOT_COMMAND,
  [PCI_EXT_CAP_ID_VC]: VARIABLE,
  [PCI_EXT_CAP_ID_DSN]: PCI_EXT_CAP_DSN_SIZEOF,
  [PCI_EXT_CAP_ID_PWR]: PCI_EXT_CAP_PWR_SIZEOF,
  [PCI_EXT_CAP_ID_MFVC]: VARIABLE,
  [PCI_EXT_CAP_ID_VC9]: VARIABLE,
  [PCI_EXT_CAP_ID_VNDR]: VARIABLE,
  [PCI_EXT_CAP_ID_ACS]: VARIABLE,
  [PCI_EXT_CAP_ID_ARI]: PCI_EXT_CAP_ARI_SIZEOF,
  [PCI_EXT_CAP_ID_ATS]: PCI_EXT_CAP_ATS_SIZEOF,
  [PCI_EXT_CAP_ID_SRIOV]: PCI_EXT_CAP_SRIOV_SIZEOF,
  [PCI_EXT_CAP_ID_MCAST]: PCI_EXT_CAP_MCAST_ENDPOINT_SIZEOF,
  [PCI_EXT_CAP_ID_PRI]: PCI_EXT_CAP_PRI_SIZEOF,
  [PCI_EXT_CAP_ID_REBAR]: VARIABLE,
  [PCI_EXT_CAP_ID_DPA]: VARIABLE,
  [PCI_EXT_CAP_ID_TPH]: VARIABLE,
  [PCI_EXT_CAP_ID_LTR]: PCI_EXT_CAP_LTR_SIZEOF,
};
/** A bit each for the bits of a capability: virtual ones are not the hardware's, writable ones can be written. */
export class perm_bits extends struct("perm_bits", { virt: ptr<kbuf>(), write: ptr<kbuf>() }) {}

const NO_VIRT = 0;
const ALL_VIRT = 0xffffffff;
const NO_WRITE = 0;
const ALL_WRITE = 0xffffffff;

const s = per_boot(() => ({
  /** Those that need some; all others can be read and nothing else. */
  cap_perms: new Map(
    [PCI_CAP_ID_BASIC, PCI_CAP_ID_PM, PCI_CAP_ID_VPD, PCI_CAP_ID_PCIX, PCI_CAP_ID_EXP, PCI_CAP_ID_AF].map(
      (id) => [id, new perm_bits()] as const,
    ),
  ),
  ecap_perms: new Map([PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_PWR].map((id) => [id, new perm_bits()] as const)),
}));

function free_perm_bits(perm: perm_bits): void {
  kfree(perm.virt);
  kfree(perm.write);
  perm.virt = null;
  perm.write = null;
}

function alloc_perm_bits(perm: perm_bits, size: number): number {
  // Whole dwords: then no access reaches beyond.
  size = round_up(size, 4);

  // Readable, not writable, not virtual
  perm.virt = kzalloc(size, GFP_KERNEL);
  perm.write = kzalloc(size, GFP_KERNEL);
  if (!perm.virt || !perm.write) {
    free_perm_bits(perm);
    return -ENOMEM;
  }

  return 0;
}

/* Configuration space is little-endian. */
function p_setb(p: perm_bits, off: number, virt: number, write: number): void {
  p.virt!.$view.setUint8(off, virt);
  p.write!.$view.setUint8(off, write);
}
function p_setw(p: perm_bits, off: number, virt: number, write: number): void {
  p.virt!.$view.setUint16(off, virt, true);
  p.write!.$view.setUint16(off, write, true);
}
function p_setd(p: perm_bits, off: number, virt: number, write: number): void {
  p.virt!.$view.setUint32(off, virt, true);
  p.write!.$view.setUint32(off, write, true);
}

/** Whether the device's memory can be accessed. Context: memory_lock held. */
export function __vfio_pci_memory_enabled(vdev: vfio_pci_core_device): boolean {
  const cmd = vdev.vconfig!.$view.getUint16(PCI_COMMAND, true);

  return vdev.pdev!.current_state < PCI_D3hot && (cmd & PCI_COMMAND_MEMORY) !== 0;
}

function init_pci_cap_basic_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_STD_HEADER_SIZEOF)) return -ENOMEM;

  // Virtual functions have ones there.
  p_setw(perm, PCI_VENDOR_ID, ALL_VIRT, NO_WRITE);
  p_setw(perm, PCI_DEVICE_ID, ALL_VIRT, NO_WRITE);

  // The driver uses it for itself.
  p_setw(perm, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, ALL_WRITE);

  // The list of capabilities may become shorter.
  p_setw(perm, PCI_STATUS, PCI_STATUS_CAP_LIST, NO_WRITE);

  p_setb(perm, PCI_CACHE_LINE_SIZE, NO_VIRT, ALL_WRITE);
  p_setb(perm, PCI_LATENCY_TIMER, NO_VIRT, ALL_WRITE);
  p_setb(perm, PCI_BIST, NO_VIRT, ALL_WRITE);

  // The real ones are the host's.
  for (let bar = 0; bar < 6; bar++) p_setd(perm, PCI_BASE_ADDRESS_0 + 4 * bar, ALL_VIRT, ALL_WRITE);
  p_setd(perm, PCI_ROM_ADDRESS, ALL_VIRT, ALL_WRITE);

  p_setb(perm, PCI_CAPABILITY_LIST, ALL_VIRT, NO_WRITE);

  p_setb(perm, PCI_INTERRUPT_LINE, ALL_VIRT, ALL_WRITE);

  // INTx may be hidden.
  p_setb(perm, PCI_INTERRUPT_PIN, ALL_VIRT, NO_WRITE);

  return 0;
}

function init_pci_cap_pm_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_PM_SIZEOF)) return -ENOMEM;

  p_setb(perm, PCI_CAP_LIST_NEXT, ALL_VIRT, NO_WRITE);

  // Power management events are the host's.
  p_setw(perm, PCI_PM_PMC, PCI_PM_CAP_PME_MASK, NO_WRITE);

  // The state is changed by the driver, not by the write.
  p_setd(
    perm,
    PCI_PM_CTRL,
    PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS,
    ~(PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS | PCI_PM_CTRL_STATE_MASK),
  );

  return 0;
}

function init_pci_cap_vpd_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_CAP_VPD_SIZEOF)) return -ENOMEM;

  p_setb(perm, PCI_CAP_LIST_NEXT, ALL_VIRT, NO_WRITE);

  p_setw(perm, PCI_VPD_ADDR, ALL_VIRT, ALL_WRITE);
  p_setd(perm, PCI_VPD_DATA, ALL_VIRT, ALL_WRITE);

  return 0;
}

function init_pci_cap_pcix_perm(perm: perm_bits): number {
  // The longer of two versions
  if (alloc_perm_bits(perm, PCI_CAP_PCIX_SIZEOF_V2)) return -ENOMEM;

  p_setb(perm, PCI_CAP_LIST_NEXT, ALL_VIRT, NO_WRITE);

  p_setw(perm, PCI_X_CMD, NO_VIRT, ALL_WRITE);
  p_setd(perm, PCI_X_ECC_CSR, NO_VIRT, ALL_WRITE);
  return 0;
}

function init_pci_cap_exp_perm(perm: perm_bits): number {
  // The longest there is
  if (alloc_perm_bits(perm, PCI_CAP_EXP_ENDPOINT_SIZEOF_V2)) return -ENOMEM;

  p_setb(perm, PCI_CAP_LIST_NEXT, ALL_VIRT, NO_WRITE);

  // But for what would confuse the IOMMU, other devices or the bus.
  p_setw(
    perm,
    PCI_EXP_DEVCTL,
    PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ,
    ~PCI_EXP_DEVCTL_PHANTOM,
  );
  p_setw(perm, PCI_EXP_DEVCTL2, NO_VIRT, ~PCI_EXP_DEVCTL2_ARI);
  return 0;
}

function init_pci_cap_af_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_CAP_AF_SIZEOF)) return -ENOMEM;

  p_setb(perm, PCI_CAP_LIST_NEXT, ALL_VIRT, NO_WRITE);
  p_setb(perm, PCI_AF_CTRL, PCI_AF_CTRL_FLR, PCI_AF_CTRL_FLR);
  return 0;
}

const UNCORRECTABLE =
  PCI_ERR_UNC_UND |
  PCI_ERR_UNC_DLP |
  PCI_ERR_UNC_SURPDN |
  PCI_ERR_UNC_POISON_TLP |
  PCI_ERR_UNC_FCP |
  PCI_ERR_UNC_COMP_TIME |
  PCI_ERR_UNC_COMP_ABORT |
  PCI_ERR_UNC_UNX_COMP |
  PCI_ERR_UNC_RX_OVER |
  PCI_ERR_UNC_MALF_TLP |
  PCI_ERR_UNC_ECRC |
  PCI_ERR_UNC_UNSUP |
  PCI_ERR_UNC_ACSV |
  PCI_ERR_UNC_INTN |
  PCI_ERR_UNC_MCBTLP |
  PCI_ERR_UNC_ATOMEG |
  PCI_ERR_UNC_TLPPRE;
const CORRECTABLE =
  PCI_ERR_COR_RCVR |
  PCI_ERR_COR_BAD_TLP |
  PCI_ERR_COR_BAD_DLLP |
  PCI_ERR_COR_REP_ROLL |
  PCI_ERR_COR_REP_TIMER |
  PCI_ERR_COR_ADV_NFAT |
  PCI_ERR_COR_INTERNAL |
  PCI_ERR_COR_LOG_OVER;

function init_pci_ext_cap_err_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_ERR_ROOT_COMMAND)) return -ENOMEM;

  // Where the next one is, as with all extended capabilities
  p_setd(perm, 0, ALL_VIRT, NO_WRITE);

  p_setd(perm, PCI_ERR_UNCOR_STATUS, NO_VIRT, UNCORRECTABLE);
  p_setd(perm, PCI_ERR_UNCOR_MASK, NO_VIRT, UNCORRECTABLE);
  p_setd(perm, PCI_ERR_UNCOR_SEVER, NO_VIRT, UNCORRECTABLE);

  p_setd(perm, PCI_ERR_COR_STATUS, NO_VIRT, CORRECTABLE);
  p_setd(perm, PCI_ERR_COR_MASK, NO_VIRT, CORRECTABLE);

  p_setd(perm, PCI_ERR_CAP, NO_VIRT, PCI_ERR_CAP_ECRC_GENE | PCI_ERR_CAP_ECRC_CHKE);
  return 0;
}

function init_pci_ext_cap_pwr_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_EXT_CAP_PWR_SIZEOF)) return -ENOMEM;

  p_setd(perm, 0, ALL_VIRT, NO_WRITE);

  p_setb(perm, PCI_PWR_DATA, NO_VIRT, ALL_WRITE);
  return 0;
}

export function vfio_pci_uninit_perm_bits(): void {
  for (const perm of s.cap_perms.values()) free_perm_bits(perm);
  for (const perm of s.ecap_perms.values()) free_perm_bits(perm);
}

/** For the module's init. @return 0; -ENOMEM, or what several of them make together */
export function vfio_pci_init_perm_bits(): number {
  let ret = init_pci_cap_basic_perm(s.cap_perms.get(PCI_CAP_ID_BASIC)!);

  ret |= init_pci_cap_pm_perm(s.cap_perms.get(PCI_CAP_ID_PM)!);
  ret |= init_pci_cap_vpd_perm(s.cap_perms.get(PCI_CAP_ID_VPD)!);
  ret |= init_pci_cap_pcix_perm(s.cap_perms.get(PCI_CAP_ID_PCIX)!);
  ret |= init_pci_cap_exp_perm(s.cap_perms.get(PCI_CAP_ID_EXP)!);
  ret |= init_pci_cap_af_perm(s.cap_perms.get(PCI_CAP_ID_AF)!);

  ret |= init_pci_ext_cap_err_perm(s.ecap_perms.get(PCI_EXT_CAP_ID_ERR)!);
  ret |= init_pci_ext_cap_pwr_perm(s.ecap_perms.get(PCI_EXT_CAP_ID_PWR)!);

  if (ret) vfio_pci_uninit_perm_bits();

  return ret;
}

function init_pci_cap_msi_perm(perm: perm_bits, len: number, flags: number): number {
  if (alloc_perm_bits(perm, len)) return -ENOMEM;

  p_setb(perm, PCI_CAP_LIST_NEXT, ALL_VIRT, NO_WRITE);

  p_setb(perm, PCI_MSI_FLAGS, ALL_VIRT, ALL_WRITE);
  p_setd(perm, PCI_MSI_ADDRESS_LO, ALL_VIRT, ALL_WRITE);
  if (flags & PCI_MSI_FLAGS_64BIT) {
    p_setd(perm, PCI_MSI_ADDRESS_HI, ALL_VIRT, ALL_WRITE);
    p_setw(perm, PCI_MSI_DATA_64, ALL_VIRT, ALL_WRITE);
    if (flags & PCI_MSI_FLAGS_MASKBIT) {
      p_setd(perm, PCI_MSI_MASK_64, NO_VIRT, ALL_WRITE);
      p_setd(perm, PCI_MSI_PENDING_64, NO_VIRT, ALL_WRITE);
    }
  } else {
    p_setw(perm, PCI_MSI_DATA_32, ALL_VIRT, ALL_WRITE);
    if (flags & PCI_MSI_FLAGS_MASKBIT) {
      p_setd(perm, PCI_MSI_MASK_32, NO_VIRT, ALL_WRITE);
      p_setd(perm, PCI_MSI_PENDING_32, NO_VIRT, ALL_WRITE);
    }
  }
  return 0;
}

/** Length of the MSI capability; the first time for a device its permissions are made. @return bytes, or -errno */
function vfio_msi_cap_len(vdev: vfio_pci_core_device, pos: number): number {
  const flags = { value: 0 };

  let ret = pci_read_config_word(vdev.pdev!, pos + PCI_MSI_FLAGS, flags);
  if (ret) return pcibios_err_to_errno(ret);

  let len = 10;
  if (flags.value & PCI_MSI_FLAGS_64BIT) len += 4;
  if (flags.value & PCI_MSI_FLAGS_MASKBIT) len += 10;

  if (vdev.msi_perm) return len;

  vdev.msi_perm = kzalloc(perm_bits, GFP_KERNEL_ACCOUNT);
  if (!vdev.msi_perm) return -ENOMEM;

  ret = init_pci_cap_msi_perm(vdev.msi_perm, len, flags.value);
  if (ret) {
    // The pointer stays, as in C.
    kfree(vdev.msi_perm);
    return ret;
  }

  return len;
}

function vfio_vc_cap_len(vdev: vfio_pci_core_device, pos: number): number {
  const tmp = { value: 0 };
  let phases: number;
  let len = PCI_CAP_VC_BASE_SIZEOF;

  let ret = pci_read_config_dword(vdev.pdev!, pos + PCI_VC_PORT_CAP1, tmp);
  if (ret) return pcibios_err_to_errno(ret);

  const evcc = tmp.value & PCI_VC_CAP1_EVCC;
  ret = pci_read_config_dword(vdev.pdev!, pos + PCI_VC_PORT_CAP2, tmp);
  if (ret) return pcibios_err_to_errno(ret);

  if (tmp.value & PCI_VC_CAP2_128_PHASE) phases = 128;
  else if (tmp.value & PCI_VC_CAP2_64_PHASE) phases = 64;
  else if (tmp.value & PCI_VC_CAP2_32_PHASE) phases = 32;
  else phases = 0;

  const vc_arb = phases * 4;

  // Other tables are not to be written: how long they are does not matter.
  len += (1 + evcc) * PCI_CAP_VC_PER_VC_SIZEOF;
  if (vc_arb) {
    len = round_up(len, 16);
    len += vc_arb / 8;
  }
  return len;
}

function vfio_cap_len(vdev: vfio_pci_core_device, cap: number, pos: number): number {
  const pdev = vdev.pdev!;
  const val = { value: 0 };
  let ret: number;

  switch (cap) {
    case PCI_CAP_ID_MSI:
      return vfio_msi_cap_len(vdev, pos);
    case PCI_CAP_ID_PCIX:
      ret = pci_read_config_word(pdev, pos + PCI_X_CMD, val);
      if (ret) return pcibios_err_to_errno(ret);

      // PCI_X_CMD_VERSION()
      if ((val.value >> 12) & 3) {
        if (pdev.cfg_size > PCI_CFG_SPACE_SIZE) {
          pci_read_config_dword(pdev, PCI_CFG_SPACE_SIZE, val);
          vdev.extended_caps = val.value !== 0;
        }
        return PCI_CAP_PCIX_SIZEOF_V2;
      } else return PCI_CAP_PCIX_SIZEOF_V0;
    case PCI_CAP_ID_VNDR:
      // It says itself
      ret = pci_read_config_byte(pdev, pos + PCI_CAP_FLAGS, val);
      if (ret) return pcibios_err_to_errno(ret);

      return val.value;
    case PCI_CAP_ID_EXP:
      if (pdev.cfg_size > PCI_CFG_SPACE_SIZE) {
        pci_read_config_dword(pdev, PCI_CFG_SPACE_SIZE, val);
        vdev.extended_caps = val.value !== 0;
      }

      // 0xc and 0x2c: without a link
      if ((pcie_caps_reg(pdev) & PCI_EXP_FLAGS_VERS) === 1) {
        if (pci_pcie_type(pdev) === PCI_EXP_TYPE_RC_END) return 0xc;
        return PCI_CAP_EXP_ENDPOINT_SIZEOF_V1;
      } else {
        if (pci_pcie_type(pdev) === PCI_EXP_TYPE_RC_END) return 0x2c;
        return PCI_CAP_EXP_ENDPOINT_SIZEOF_V2;
      }
    case PCI_CAP_ID_HT:
      ret = pci_read_config_byte(pdev, pos + 3, val);
      if (ret) return pcibios_err_to_errno(ret);

      return val.value & HT_3BIT_CAP_MASK ? HT_CAP_SIZEOF_SHORT : HT_CAP_SIZEOF_LONG;
    case PCI_CAP_ID_SATA:
      ret = pci_read_config_byte(pdev, pos + PCI_SATA_REGS, val);
      if (ret) return pcibios_err_to_errno(ret);

      if ((val.value & PCI_SATA_REGS_MASK) === PCI_SATA_REGS_INLINE) return PCI_SATA_SIZEOF_LONG;
      else return PCI_SATA_SIZEOF_SHORT;
    default:
      pci_warn(pdev, "%s: unknown length for PCI cap %#x@%#x\n", "vfio_cap_len", cap, pos);
  }

  return 0;
}

function vfio_ext_cap_len(vdev: vfio_pci_core_device, ecap: number, epos: number): number {
  const pdev = vdev.pdev!;
  const val = { value: 0 };
  let ret: number;

  switch (ecap) {
    case PCI_EXT_CAP_ID_VNDR:
      ret = pci_read_config_dword(pdev, epos + PCI_VSEC_HDR, val);
      if (ret) return pcibios_err_to_errno(ret);

      return val.value >>> PCI_VSEC_HDR_LEN_SHIFT;
    case PCI_EXT_CAP_ID_VC:
    case PCI_EXT_CAP_ID_VC9:
    case PCI_EXT_CAP_ID_MFVC:
      return vfio_vc_cap_len(vdev, epos);
    case PCI_EXT_CAP_ID_ACS:
      ret = pci_read_config_byte(pdev, epos + PCI_ACS_CAP, val);
      if (ret) return pcibios_err_to_errno(ret);

      if (val.value & PCI_ACS_EC) {
        ret = pci_read_config_byte(pdev, epos + PCI_ACS_EGRESS_BITS, val);
        if (ret) return pcibios_err_to_errno(ret);

        const bits = val.value ? round_up(val.value, 32) : 256;
        return 8 + bits / 8;
      }
      return 8;

    case PCI_EXT_CAP_ID_REBAR:
      ret = pci_read_config_byte(pdev, epos + PCI_REBAR_CTRL, val);
      if (ret) return pcibios_err_to_errno(ret);

      return 4 + ((val.value & PCI_REBAR_CTRL_NBAR_MASK) >> PCI_REBAR_CTRL_NBAR_SHIFT) * 8;
    case PCI_EXT_CAP_ID_DPA:
      ret = pci_read_config_byte(pdev, epos + PCI_DPA_CAP, val);
      if (ret) return pcibios_err_to_errno(ret);

      return PCI_DPA_BASE_SIZEOF + (val.value & PCI_DPA_CAP_SUBSTATE_MASK) + 1;
    case PCI_EXT_CAP_ID_TPH:
      ret = pci_read_config_dword(pdev, epos + PCI_TPH_CAP, val);
      if (ret) return pcibios_err_to_errno(ret);

      if ((val.value & PCI_TPH_CAP_LOC_MASK) === PCI_TPH_LOC_CAP) {
        const sts = (val.value & PCI_TPH_CAP_ST_MASK) >>> PCI_TPH_CAP_ST_SHIFT;
        return PCI_TPH_BASE_SIZEOF + sts * 2 + 2;
      }
      return PCI_TPH_BASE_SIZEOF;
    default:
      pci_warn(pdev, "%s: unknown length for PCI ecap %#x@%#x\n", "vfio_ext_cap_len", ecap, epos);
  }

  return 0;
}

function vfio_update_pm_vconfig_bytes(vdev: vfio_pci_core_device, offset: number): void {
  const v = vdev.vconfig!.$view;
  const clear = (at: number, bits: number): void => v.setUint16(at, v.getUint16(at, true) & ~bits, true);

  clear(offset + PCI_PM_PMC, PCI_PM_CAP_PME_MASK);
  clear(offset + PCI_PM_CTRL, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS);
}

function vfio_fill_vconfig_bytes(vdev: vfio_pci_core_device, offset: number, size: number): number {
  const pdev = vdev.pdev!;
  const v = vdev.vconfig!.$view;
  const val = { value: 0 };
  let ret = 0;

  // As much at once as it goes.
  while (size) {
    let filled: number;

    if (size >= 4 && !(offset % 4)) {
      ret = pci_read_config_dword(pdev, offset, val);
      if (ret) return ret;
      v.setUint32(offset, val.value, true);
      filled = 4;
    } else if (size >= 2 && !(offset % 2)) {
      ret = pci_read_config_word(pdev, offset, val);
      if (ret) return ret;
      v.setUint16(offset, val.value, true);
      filled = 2;
    } else {
      ret = pci_read_config_byte(pdev, offset, val);
      v.setUint8(offset, val.value);
      if (ret) return ret;
      filled = 1;
    }

    offset += filled;
    size -= filled;
  }

  return ret;
}

function vfio_cap_init(vdev: vfio_pci_core_device): number {
  const pdev = vdev.pdev!;
  const map = vdev.pci_config_map!;
  const v = vdev.vconfig!.$view;
  const status = { value: 0 };
  const first = { value: 0 };
  const cap = { value: 0 };
  const next = { value: 0 };
  let caps = 0;

  let ret = pci_read_config_word(pdev, PCI_STATUS, status);
  if (ret) return ret;

  if (!(status.value & PCI_STATUS_CAP_LIST)) return 0;

  ret = pci_read_config_byte(pdev, PCI_CAPABILITY_LIST, first);
  if (ret) return ret;
  let pos = first.value;

  // Where it says where the next one is, to skip that
  let prev = PCI_CAPABILITY_LIST;

  let loops = (PCI_CFG_SPACE_SIZE - PCI_STD_HEADER_SIZEOF) / PCI_CAP_SIZEOF;
  while (pos && loops--) {
    let len = 0;

    ret = pci_read_config_byte(pdev, pos, cap);
    if (ret) return ret;

    ret = pci_read_config_byte(pdev, pos + PCI_CAP_LIST_NEXT, next);
    if (ret) return ret;

    // 0 is none, and the number of the header here.
    if (cap.value && cap.value <= PCI_CAP_ID_MAX) {
      len = pci_cap_length[cap.value] ?? 0;
      if (len === VARIABLE) {
        len = vfio_cap_len(vdev, cap.value, pos);
        if (len < 0) return len;
      }
    }

    if (!len) {
      pci_info(pdev, "%s: hiding cap %#x@%#x\n", "vfio_cap_init", cap.value, pos);
      v.setUint8(prev, next.value);
      pos = next.value;
      continue;
    }

    for (let i = 0; i < len; i++) {
      const was = map.$view.getUint8(pos + i);
      if (was === PCI_CAP_ID_INVALID) continue;

      pci_warn(
        pdev,
        "%s: PCI config conflict @%#x, was cap %#x now cap %#x\n",
        "vfio_cap_init",
        pos + i,
        was,
        cap.value,
      );
    }

    memset(bytes_at(map, pos, len), cap.value, len);
    ret = vfio_fill_vconfig_bytes(vdev, pos, len);
    if (ret) return ret;

    if (cap.value === PCI_CAP_ID_PM) vfio_update_pm_vconfig_bytes(vdev, pos);

    prev = pos + PCI_CAP_LIST_NEXT;
    pos = next.value;
    caps++;
  }

  if (!caps) v.setUint16(PCI_STATUS, v.getUint16(PCI_STATUS, true) & ~PCI_STATUS_CAP_LIST, true);

  return 0;
}

function vfio_ecap_init(vdev: vfio_pci_core_device): number {
  const pdev = vdev.pdev!;
  const map = vdev.pci_config_map!;
  const v = vdev.vconfig!.$view;
  const header = { value: 0 };
  let prev: number | null = null;
  let ecaps = 0;

  if (!vdev.extended_caps) return 0;

  let epos = PCI_CFG_SPACE_SIZE;

  let loops = (pdev.cfg_size - PCI_CFG_SPACE_SIZE) / PCI_CAP_SIZEOF;

  while (loops-- && epos >= PCI_CFG_SPACE_SIZE) {
    let len = 0;
    let hidden = false;

    let ret = pci_read_config_dword(pdev, epos, header);
    if (ret) return ret;

    const ecap = PCI_EXT_CAP_ID(header.value);

    if (ecap <= PCI_EXT_CAP_ID_MAX) {
      len = pci_ext_cap_length[ecap] ?? 0;
      if (len === VARIABLE) {
        len = vfio_ext_cap_len(vdev, ecap, epos);
        if (len < 0) return len;
      }
    }

    if (!len) {
      pci_info(pdev, "%s: hiding ecap %#x@%#x\n", "vfio_ecap_init", ecap, epos);

      // Skipped, if there is one before it
      if (prev !== null) {
        epos = PCI_EXT_CAP_NEXT(header.value);
        v.setUint32(prev, (v.getUint32(prev, true) & ~(0xffc << 20)) | (epos << 20), true);
        continue;
      }

      // Otherwise it stays as a place without a name.
      len = PCI_CAP_SIZEOF;
      hidden = true;
    }

    for (let i = 0; i < len; i++) {
      const was = map.$view.getUint8(epos + i);
      if (was === PCI_CAP_ID_INVALID) continue;

      pci_warn(
        pdev,
        "%s: PCI config conflict @%#x, was ecap %#x now ecap %#x\n",
        "vfio_ecap_init",
        epos + i,
        was,
        ecap,
      );
    }

    memset(bytes_at(map, epos, len), ecap, len);
    ret = vfio_fill_vconfig_bytes(vdev, epos, len);
    if (ret) return ret;

    if (hidden) v.setUint32(epos, v.getUint32(epos, true) & (0xffc << 20), true);
    else ecaps++;

    prev = epos;
    epos = PCI_EXT_CAP_NEXT(header.value);
  }

  if (!ecaps) v.setUint32(PCI_CFG_SPACE_SIZE, 0, true);

  return 0;
}

/** For the first user of a device: what its configuration space looks like from there. @return 0 or -errno */
export function vfio_config_init(vdev: vfio_pci_core_device): number {
  const pdev = vdev.pdev!;
  let ret: number;

  const map = kmalloc(pdev.cfg_size, GFP_KERNEL_ACCOUNT);
  if (!map) return -ENOMEM;

  const vconfig = kmalloc(pdev.cfg_size, GFP_KERNEL_ACCOUNT);
  if (!vconfig) {
    kfree(map);
    return -ENOMEM;
  }

  vdev.pci_config_map = map;
  vdev.vconfig = vconfig;

  memset(map, PCI_CAP_ID_BASIC, PCI_STD_HEADER_SIZEOF);
  memset(
    bytes_at(map, PCI_STD_HEADER_SIZEOF, pdev.cfg_size - PCI_STD_HEADER_SIZEOF),
    PCI_CAP_ID_INVALID,
    pdev.cfg_size - PCI_STD_HEADER_SIZEOF,
  );

  out: {
    ret = vfio_fill_vconfig_bytes(vdev, 0, PCI_STD_HEADER_SIZEOF);
    if (ret) break out;

    vdev.bardirty = true;

    // To be written back after a reset
    for (let i = 0; i < 6; i++) vdev.rbar.set(i, vconfig.$view.getUint32(PCI_BASE_ADDRESS_0 + 4 * i, true));
    vdev.rbar.set(6, vconfig.$view.getUint32(PCI_ROM_ADDRESS, true));

    if (pdev.is_virtfn) {
      vconfig.$view.setUint16(PCI_VENDOR_ID, pdev.vendor, true);
      vconfig.$view.setUint16(PCI_DEVICE_ID, pdev.device, true);

      // Virtual functions have no INTx; one that says so is wrong.
      const pin = vconfig.$view.getUint8(PCI_INTERRUPT_PIN);
      if (pin) pci_warn(pdev, "Hardware bug: VF reports bogus INTx pin %d\n", pin);

      vconfig.$view.setUint8(PCI_INTERRUPT_PIN, 0);
    }

    if (vdev.nointx) vconfig.$view.setUint8(PCI_INTERRUPT_PIN, 0);

    ret = vfio_cap_init(vdev);
    if (ret) break out;

    ret = vfio_ecap_init(vdev);
    if (ret) break out;

    return 0;
  }
  kfree(map);
  vdev.pci_config_map = null;
  kfree(vconfig);
  vdev.vconfig = null;
  return pcibios_err_to_errno(ret);
}

/** For the last user. */
export function vfio_config_free(vdev: vfio_pci_core_device): void {
  kfree(vdev.vconfig);
  vdev.vconfig = null;
  kfree(vdev.pci_config_map);
  vdev.pci_config_map = null;
  if (vdev.msi_perm) {
    free_perm_bits(vdev.msi_perm);
    kfree(vdev.msi_perm);
    vdev.msi_perm = null;
  }
}
