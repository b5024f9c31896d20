// SPDX-License-Identifier: GPL-2.0-only
/**
 * Configuration space as user space sees it: which bits are virtual, which can be written, the copy of the virtual ones, and
 * what reading and writing it does.
 */
import { WARN_ON } from "#linux/bug.ts";
import { kbuild } from "#linux/export.ts";
import { EFAULT, EINVAL, ENOMEM } from "#linux/errno.ts";
import type { loff_ptr } from "#linux/fs.ts";
import { IRQ_NOTCONNECTED } from "#linux/interrupt.ts";
import { IORESOURCE_IO, IORESOURCE_MEM_64, IORESOURCE_PREFETCH, IORESOURCE_ROM_SHADOW } from "#linux/ioport.ts";
import { lower_32_bits, round_up, upper_32_bits } from "#linux/kernel.ts";
import {
  type config_value,
  PCI_ACS_CAP,
  PCI_ACS_EC,
  PCI_ACS_EGRESS_BITS,
  PCI_AF_CAP,
  PCI_AF_CAP_FLR,
  PCI_AF_CAP_TP,
  PCI_AF_CTRL,
  PCI_AF_CTRL_FLR,
  PCI_AGP_SIZEOF,
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_5,
  PCI_BASE_ADDRESS_MEM_PREFETCH,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_SPACE_IO,
  PCI_BASE_ADDRESS_SPACE_MEMORY,
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
  PCI_CAP_LIST_ID,
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
  PCI_COMMAND_IO,
  PCI_COMMAND_MEMORY,
  PCI_D0,
  PCI_D1,
  PCI_D2,
  PCI_D3hot,
  type pci_dev,
  PCI_DEVICE,
  type pci_device_id,
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
  PCI_EXP_DEVCAP,
  PCI_EXP_DEVCAP_FLR,
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
  pci_match_id,
  PCI_MSI_ADDRESS_HI,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_32,
  PCI_MSI_DATA_64,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_64BIT,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSI_FLAGS_MASKBIT,
  PCI_MSI_FLAGS_QMASK,
  PCI_MSI_FLAGS_QSIZE,
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
  type pci_power_t,
  PCI_PWR_DATA,
  pci_read_config_byte,
  pci_read_config_dword,
  pci_read_config_word,
  pci_read_vpd,
  PCI_REBAR_CTRL,
  PCI_REBAR_CTRL_NBAR_MASK,
  PCI_REBAR_CTRL_NBAR_SHIFT,
  pci_resource_flags,
  pci_resource_len,
  pci_resource_start,
  PCI_ROM_ADDRESS,
  PCI_ROM_ADDRESS_ENABLE,
  PCI_ROM_RESOURCE,
  PCI_SATA_REGS,
  PCI_SATA_REGS_INLINE,
  PCI_SATA_REGS_MASK,
  PCI_SATA_SIZEOF_LONG,
  PCI_SATA_SIZEOF_SHORT,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_STD_HEADER_SIZEOF,
  PCI_STD_NUM_BARS,
  PCI_STD_RESOURCES,
  PCI_TPH_BASE_SIZEOF,
  PCI_TPH_CAP,
  PCI_TPH_CAP_LOC_MASK,
  PCI_TPH_CAP_ST_MASK,
  PCI_TPH_CAP_ST_SHIFT,
  PCI_TPH_LOC_CAP,
  pci_try_reset_function,
  pci_user_read_config_byte,
  pci_user_read_config_dword,
  pci_user_read_config_word,
  pci_user_write_config_byte,
  pci_user_write_config_dword,
  pci_user_write_config_word,
  PCI_VC_CAP1_EVCC,
  PCI_VC_CAP2_128_PHASE,
  PCI_VC_CAP2_32_PHASE,
  PCI_VC_CAP2_64_PHASE,
  PCI_VC_PORT_CAP1,
  PCI_VC_PORT_CAP2,
  PCI_VENDOR_ID,
  PCI_VENDOR_ID_INTEL,
  PCI_VPD_ADDR,
  PCI_VPD_ADDR_F,
  PCI_VPD_DATA,
  PCI_VSEC_HDR,
  PCI_VSEC_HDR_LEN_SHIFT,
  pci_warn,
  pci_write_vpd,
  PCI_X_CMD,
  PCI_X_ECC_CSR,
  HT_3BIT_CAP_MASK,
  HT_CAP_SIZEOF_LONG,
  HT_CAP_SIZEOF_SHORT,
  pcibios_err_to_errno,
  pcie_caps_reg,
  pcie_get_mps,
  pcie_set_readrq,
} from "#linux/pci.ts";
import { GFP_KERNEL, GFP_KERNEL_ACCOUNT, kfree, kmalloc, kzalloc } from "#linux/slab.ts";
import { bytes_at, fn, initialise, kbuf, ptr, type Sleeps, struct } from "#linux/types.ts";
import { down_write, up_write } from "#linux/rwsem.ts";
import { either } from "#linux/sched.ts";
import { byte_at, le_at, memset, set_byte_at, set_le_at } from "#linux/string.ts";
import { VFIO_PCI_OFFSET_MASK, type vfio_pci_core_device } from "#linux/vfio_pci_core.ts";
import { copy_from_user, copy_to_user } from "#linux/uaccess.ts";
import { VFIO_PCI_MSI_IRQ_INDEX } from "#uapi/linux/vfio.ts";
import { vfio_pci_set_power_state, vfio_pci_zap_and_down_write_memory_lock } from "./vfio_pci_core.ts";
import { vfio_pci_intx_mask, vfio_pci_intx_unmask } from "./vfio_pci_intrs.ts";
import { PCI_CAP_ID_INVALID, PCI_CAP_ID_INVALID_VIRT } from "./vfio_pci_priv.ts";

const { per_boot } = kbuild(import.meta.url);

/** Stands for the header. */
const PCI_CAP_ID_BASIC = 0;

const is_bar = (offset: number): boolean =>
  (offset >= PCI_BASE_ADDRESS_0 && offset < PCI_BASE_ADDRESS_5 + 4) ||
  (offset >= PCI_ROM_ADDRESS && offset < PCI_ROM_ADDRESS + 4);

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

/** @offset: of the access in its capability. @return bytes, or -errno */
type config_read = (
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: config_value,
) => Sleeps<number> | number;
type config_write = (
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: number,
) => Sleeps<number> | number;

class perm_bits_base extends struct("perm_bits", {
  virt: ptr<kbuf>(),
  write: ptr<kbuf>(),
  readfn: fn<config_read>(),
  writefn: fn<config_write>(),
}) {}
/** A bit each for the bits of a capability: virtual ones are not the hardware's, writable ones can be written. */
export class perm_bits extends perm_bits_base {}

const NO_VIRT = 0;
const ALL_VIRT = 0xffffffff;
const NO_WRITE = 0;
const ALL_WRITE = 0xffffffff;

/* Configuration space is little-endian, and so is what is on its way to user space or from there: an __le32 in C, a number here. */

/** What memcpy() of the first `count` bytes of an __le32 over those of another one gives. */
function first_bytes(of: number, over: number, count: number): number {
  const mask = 0xffffffff >>> (32 - 8 * count);
  return ((over & ~mask) | of) >>> 0;
}

function* vfio_user_config_read(pdev: pci_dev, offset: number, val: config_value, count: number): Sleeps<number> {
  const tmp = { value: 0 };
  let ret = -EINVAL;

  switch (count) {
    case 1:
      ret = yield* pci_user_read_config_byte(pdev, offset, tmp);
      break;
    case 2:
      ret = yield* pci_user_read_config_word(pdev, offset, tmp);
      break;
    case 4:
      ret = yield* pci_user_read_config_dword(pdev, offset, tmp);
      break;
  }

  val.value = tmp.value;

  return ret;
}

function* vfio_user_config_write(pdev: pci_dev, offset: number, val: number, count: number): Sleeps<number> {
  let ret = -EINVAL;

  switch (count) {
    case 1:
      ret = yield* pci_user_write_config_byte(pdev, offset, val & 0xff);
      break;
    case 2:
      ret = yield* pci_user_write_config_word(pdev, offset, val & 0xffff);
      break;
    case 4:
      ret = yield* pci_user_write_config_dword(pdev, offset, val);
      break;
  }

  return ret;
}

function* vfio_default_config_read(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: config_value,
): Sleeps<number> {
  val.value = first_bytes(le_at(vdev.vconfig!, pos, count), val.value, count);

  const virt = le_at(perm.virt!, offset, count);

  // Any bit of the hardware's?
  if (0xffffffff >>> (32 - count * 8) !== virt) {
    const phys_val = { value: 0 };

    const ret = yield* vfio_user_config_read(vdev.pdev!, pos, phys_val, count);
    if (ret) return ret;

    val.value = ((phys_val.value & ~virt) | (val.value & virt)) >>> 0;
  }

  return count;
}

function* vfio_default_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: number,
): Sleeps<number> {
  const write = le_at(perm.write!, offset, count);

  if (!write) return count;

  const virt = le_at(perm.virt!, offset, count);

  if (write & virt) {
    let virt_val = le_at(vdev.vconfig!, pos, count);

    virt_val &= ~(write & virt);
    virt_val |= val & (write & virt);

    set_le_at(vdev.vconfig!, pos, count, virt_val);
  }

  if (write & ~virt) {
    const pdev = vdev.pdev!;
    const phys_val = { value: 0 };

    let ret = yield* vfio_user_config_read(pdev, pos, phys_val, count);
    if (ret) return ret;

    phys_val.value &= ~(write & ~virt);
    phys_val.value |= val & (write & ~virt);

    ret = yield* vfio_user_config_write(pdev, pos, phys_val.value >>> 0, count);
    if (ret) return ret;
  }

  return count;
}

/** As the hardware has it, but for where the next capability is. */
function* vfio_direct_config_read(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  _perm: perm_bits,
  offset: number,
  val: config_value,
): Sleeps<number> {
  const ret = yield* vfio_user_config_read(vdev.pdev!, pos, val, count);
  if (ret) return ret;

  // How much of it is the copy's
  let n = 0;
  if (pos >= PCI_CFG_SPACE_SIZE) {
    if (offset < 4) n = count;
  } else if (pos >= PCI_STD_HEADER_SIZEOF) {
    if (offset === PCI_CAP_LIST_ID && count > 1) n = Math.min(PCI_CAP_FLAGS, count);
    else if (offset === PCI_CAP_LIST_NEXT) n = 1;
  }
  if (n) val.value = first_bytes(le_at(vdev.vconfig!, pos, n), val.value, n);

  return count;
}

/** Nothing is virtual. */
function* vfio_raw_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  _perm: perm_bits,
  _offset: number,
  val: number,
): Sleeps<number> {
  const ret = yield* vfio_user_config_write(vdev.pdev!, pos, val, count);
  if (ret) return ret;

  return count;
}

function* vfio_raw_config_read(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  _perm: perm_bits,
  _offset: number,
  val: config_value,
): Sleeps<number> {
  const ret = yield* vfio_user_config_read(vdev.pdev!, pos, val, count);
  if (ret) return ret;

  return count;
}

/** All is virtual. */
function vfio_virt_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  _perm: perm_bits,
  _offset: number,
  val: number,
): number {
  set_le_at(vdev.vconfig!, pos, count, val);
  return count;
}

function vfio_virt_config_read(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  _perm: perm_bits,
  _offset: number,
  val: config_value,
): number {
  val.value = first_bytes(le_at(vdev.vconfig!, pos, count), val.value, count);
  return count;
}

const s = per_boot(() => {
  const perms = (max: number): perm_bits[] =>
    Array.from({ length: max + 1 }, () => initialise(new perm_bits(), { readfn: vfio_direct_config_read }));
  return {
    direct_ro_perms: initialise(new perm_bits(), { readfn: vfio_direct_config_read }),
    /** By capability: as the hardware has it, and not to be written, unless there is more to say. */
    cap_perms: perms(PCI_CAP_ID_MAX),
    ecap_perms: perms(PCI_EXT_CAP_ID_MAX),
    /** Between capabilities some devices have registers that they need. */
    unassigned_perms: initialise(new perm_bits(), { readfn: vfio_raw_config_read, writefn: vfio_raw_config_write }),
    virt_perms: initialise(new perm_bits(), { readfn: vfio_virt_config_read, writefn: vfio_virt_config_write }),
  };
});

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

  perm.readfn = vfio_default_config_read;
  perm.writefn = vfio_default_config_write;

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
  const pdev = vdev.pdev!;
  const cmd = le_at(vdev.vconfig!, PCI_COMMAND, 2);

  // Whether a virtual function's is enabled, its physical one says.
  return pdev.current_state < PCI_D3hot && (pdev.no_command_memory || (cmd & PCI_COMMAND_MEMORY) !== 0);
}

/** The real BARs again, after a reset that went past us. */
function* vfio_bar_restore(vdev: vfio_pci_core_device): Sleeps {
  const pdev = vdev.pdev!;
  const cmd = { value: 0 };
  let rbar = 0;

  if (pdev.is_virtfn) return;

  pci_info(pdev, "%s: reset recovery - restoring BARs\n", "vfio_bar_restore");

  for (let i = PCI_BASE_ADDRESS_0; i <= PCI_BASE_ADDRESS_5; i += 4, rbar++)
    yield* pci_user_write_config_dword(pdev, i, vdev.rbar.at(rbar));

  yield* pci_user_write_config_dword(pdev, PCI_ROM_ADDRESS, vdev.rbar.at(rbar));

  if (vdev.nointx) {
    yield* pci_user_read_config_word(pdev, PCI_COMMAND, cmd);
    cmd.value |= PCI_COMMAND_INTX_DISABLE;
    yield* pci_user_write_config_word(pdev, PCI_COMMAND, cmd.value);
  }
}

function vfio_generate_bar_flags(pdev: pci_dev, bar: number): number {
  const flags = pci_resource_flags(pdev, bar);

  if (flags & IORESOURCE_IO) return PCI_BASE_ADDRESS_SPACE_IO;

  let val = PCI_BASE_ADDRESS_SPACE_MEMORY;

  if (flags & IORESOURCE_PREFETCH) val |= PCI_BASE_ADDRESS_MEM_PREFETCH;

  if (flags & IORESOURCE_MEM_64) val |= PCI_BASE_ADDRESS_MEM_TYPE_64;

  return val;
}

/** The virtual BARs keep what hardware would keep of what was written: how their sizes are found. */
function vfio_bar_fixup(vdev: vfio_pci_core_device): void {
  const pdev = vdev.pdev!;
  const vconfig = vdev.vconfig!;
  let mask: bigint;

  if (!vdev.bardirty) return;

  let vbar = PCI_BASE_ADDRESS_0;

  for (let i = 0; i < PCI_STD_NUM_BARS; i++, vbar += 4) {
    const bar = i + PCI_STD_RESOURCES;

    if (!pci_resource_start(pdev, bar)) {
      set_le_at(vconfig, vbar, 4, 0);
      continue;
    }

    mask = ~(pci_resource_len(pdev, bar) - 1n);

    set_le_at(vconfig, vbar, 4, le_at(vconfig, vbar, 4) & lower_32_bits(mask));
    set_le_at(vconfig, vbar, 4, le_at(vconfig, vbar, 4) | vfio_generate_bar_flags(pdev, bar));

    if (le_at(vconfig, vbar, 4) & PCI_BASE_ADDRESS_MEM_TYPE_64) {
      vbar += 4;
      set_le_at(vconfig, vbar, 4, le_at(vconfig, vbar, 4) & upper_32_bits(mask));
      i++;
    }
  }

  vbar = PCI_ROM_ADDRESS;

  // Also where the ROM cannot be read and its region has no size.
  if (pci_resource_start(pdev, PCI_ROM_RESOURCE)) {
    mask = ~(pci_resource_len(pdev, PCI_ROM_RESOURCE) - 1n);
    mask |= BigInt(PCI_ROM_ADDRESS_ENABLE);
    set_le_at(vconfig, vbar, 4, le_at(vconfig, vbar, 4) & lower_32_bits(mask));
  } else if (pdev.resource.at(PCI_ROM_RESOURCE).flags & IORESOURCE_ROM_SHADOW) {
    mask = ~(0x20000n - 1n);
    mask |= BigInt(PCI_ROM_ADDRESS_ENABLE);
    set_le_at(vconfig, vbar, 4, le_at(vconfig, vbar, 4) & lower_32_bits(mask));
  } else set_le_at(vconfig, vbar, 4, 0);

  vdev.bardirty = false;
}

function* vfio_basic_config_read(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: config_value,
): Sleeps<number> {
  if (is_bar(offset)) vfio_bar_fixup(vdev);

  count = yield* vfio_default_config_read(vdev, pos, count, perm, offset, val);

  if (offset === PCI_COMMAND && vdev.pdev!.no_command_memory) {
    const cmd = le_at(vdev.vconfig!, PCI_COMMAND, 2);

    val.value |= cmd & PCI_COMMAND_MEMORY;
  }

  return count;
}

/** Whether the BARs are what we think they are. */
function* vfio_need_bar_restore(vdev: vfio_pci_core_device): Sleeps<boolean> {
  const bar = { value: 0 };
  let i = 0;

  for (let pos = PCI_BASE_ADDRESS_0; pos <= PCI_BASE_ADDRESS_5; i++, pos += 4) {
    if (vdev.rbar.at(i)) {
      const ret = yield* pci_user_read_config_dword(vdev.pdev!, pos, bar);
      if (ret || vdev.rbar.at(i) !== bar.value) return true;
    }
  }

  return false;
}

function* vfio_basic_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: number,
): Sleeps<number> {
  const pdev = vdev.pdev!;
  const vconfig = vdev.vconfig!;
  let new_cmd = 0;

  if (offset === PCI_COMMAND) {
    const phys_cmd = { value: 0 };

    const ret = yield* pci_user_read_config_word(pdev, PCI_COMMAND, phys_cmd);
    if (ret) return ret;

    new_cmd = val & 0xffff;

    const phys_io = (phys_cmd.value & PCI_COMMAND_IO) !== 0;
    const virt_io = (le_at(vconfig, PCI_COMMAND, 2) & PCI_COMMAND_IO) !== 0;
    const new_io = (new_cmd & PCI_COMMAND_IO) !== 0;

    const phys_mem = (phys_cmd.value & PCI_COMMAND_MEMORY) !== 0;
    const virt_mem = (le_at(vconfig, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY) !== 0;
    const new_mem = (new_cmd & PCI_COMMAND_MEMORY) !== 0;

    if (!new_mem) yield* vfio_pci_zap_and_down_write_memory_lock(vdev);
    else yield* down_write(vdev.memory_lock);

    // Enabled as far as we know, and the hardware says that it is not: it has been reset.
    if (
      (new_mem && virt_mem && !phys_mem && !pdev.no_command_memory) ||
      (new_io && virt_io && !phys_io) ||
      (yield* vfio_need_bar_restore(vdev))
    )
      yield* vfio_bar_restore(vdev);
  }

  count = yield* vfio_default_config_write(vdev, pos, count, perm, offset, val);
  if (count < 0) {
    if (offset === PCI_COMMAND) up_write(vdev.memory_lock);
    return count;
  }

  // What the user enabled, for the test above
  if (offset === PCI_COMMAND) {
    const mask = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;

    set_le_at(vconfig, PCI_COMMAND, 2, (le_at(vconfig, PCI_COMMAND, 2) & ~mask) | (new_cmd & mask));

    up_write(vdev.memory_lock);
  }

  if (offset >= PCI_COMMAND && offset <= PCI_COMMAND + 1) {
    const virt_intx_disable = (le_at(vconfig, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) !== 0;

    if (virt_intx_disable && !vdev.virq_disabled) {
      vdev.virq_disabled = true;
      yield* vfio_pci_intx_mask(vdev);
    } else if (!virt_intx_disable && vdev.virq_disabled) {
      vdev.virq_disabled = false;
      yield* vfio_pci_intx_unmask(vdev);
    }
  }

  if (is_bar(offset)) vdev.bardirty = true;

  return count;
}

function init_pci_cap_basic_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_STD_HEADER_SIZEOF)) return -ENOMEM;

  perm.readfn = vfio_basic_config_read;
  perm.writefn = vfio_basic_config_write;

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

function* vfio_lock_and_set_power_state(vdev: vfio_pci_core_device, state: pci_power_t): Sleeps {
  if (state >= PCI_D3hot) yield* vfio_pci_zap_and_down_write_memory_lock(vdev);
  else yield* down_write(vdev.memory_lock);

  yield* vfio_pci_set_power_state(vdev, state);
  up_write(vdev.memory_lock);
}

/** By the two bits of PCI_PM_CTRL_STATE_MASK. */
const pm_states: readonly pci_power_t[] = [PCI_D0, PCI_D1, PCI_D2, PCI_D3hot];

function* vfio_pm_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: number,
): Sleeps<number> {
  count = yield* vfio_default_config_write(vdev, pos, count, perm, offset, val);
  if (count < 0) return count;

  if (offset === PCI_PM_CTRL) yield* vfio_lock_and_set_power_state(vdev, pm_states[val & PCI_PM_CTRL_STATE_MASK]!);

  return count;
}

function init_pci_cap_pm_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_PM_SIZEOF)) return -ENOMEM;

  perm.writefn = vfio_pm_config_write;

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

function* vfio_vpd_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: number,
): Sleeps<number> {
  const pdev = vdev.pdev!;
  const vconfig = vdev.vconfig!;
  const paddr = pos - offset + PCI_VPD_ADDR;
  const pdata = pos - offset + PCI_VPD_DATA;
  const data = new kbuf(4);

  // The flag in the upper byte of the address starts a transfer.
  count = yield* vfio_default_config_write(vdev, pos, count, perm, offset, val);
  if (count < 0 || offset > PCI_VPD_ADDR + 1 || offset + count <= PCI_VPD_ADDR + 1) return count;

  let addr = le_at(vconfig, paddr, 2);

  if (addr & PCI_VPD_ADDR_F) {
    set_le_at(data, 0, 4, le_at(vconfig, pdata, 4));
    if ((yield* pci_write_vpd(pdev, addr & ~PCI_VPD_ADDR_F, 4, data)) !== 4) return count;
  } else {
    if ((yield* pci_read_vpd(pdev, addr, 4, data)) < 0) return count;
    set_le_at(vconfig, pdata, 4, le_at(data, 0, 4));
  }

  // Turning the flag says that it is done: whoever waits for that after an error waits for long.
  addr ^= PCI_VPD_ADDR_F;
  set_le_at(vconfig, paddr, 2, addr);

  return count;
}

function init_pci_cap_vpd_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_CAP_VPD_SIZEOF)) return -ENOMEM;

  perm.writefn = vfio_vpd_config_write;

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

function* vfio_exp_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: number,
): Sleeps<number> {
  const vconfig = vdev.vconfig!;
  const ctrl = pos - offset + PCI_EXP_DEVCTL;
  let readrq = le_at(vconfig, ctrl, 2) & PCI_EXP_DEVCTL_READRQ;

  count = yield* vfio_default_config_write(vdev, pos, count, perm, offset, val);
  if (count < 0) return count;

  // A reset, by FLR or not, if the device has FLR; the bit itself is never seen as set.
  if (le_at(vconfig, ctrl, 2) & PCI_EXP_DEVCTL_BCR_FLR) {
    const cap = { value: 0 };

    set_le_at(vconfig, ctrl, 2, le_at(vconfig, ctrl, 2) & ~PCI_EXP_DEVCTL_BCR_FLR);

    const ret = yield* pci_user_read_config_dword(vdev.pdev!, pos - offset + PCI_EXP_DEVCAP, cap);

    if (!ret && cap.value & PCI_EXP_DEVCAP_FLR) {
      yield* vfio_pci_zap_and_down_write_memory_lock(vdev);
      yield* pci_try_reset_function(vdev.pdev!);
      up_write(vdev.memory_lock);
    }
  }

  // What the device asks for at once may change, but need not be less than a packet takes, of which the host knows best.
  if (readrq !== (le_at(vconfig, ctrl, 2) & PCI_EXP_DEVCTL_READRQ)) {
    readrq = 128 << ((le_at(vconfig, ctrl, 2) & PCI_EXP_DEVCTL_READRQ) >> 12);
    readrq = Math.max(readrq, pcie_get_mps(vdev.pdev!));

    pcie_set_readrq(vdev.pdev!, readrq);
  }

  return count;
}

function init_pci_cap_exp_perm(perm: perm_bits): number {
  // The longest there is
  if (alloc_perm_bits(perm, PCI_CAP_EXP_ENDPOINT_SIZEOF_V2)) return -ENOMEM;

  perm.writefn = vfio_exp_config_write;

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

function* vfio_af_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: number,
): Sleeps<number> {
  const vconfig = vdev.vconfig!;
  const ctrl = pos - offset + PCI_AF_CTRL;

  count = yield* vfio_default_config_write(vdev, pos, count, perm, offset, val);
  if (count < 0) return count;

  // As with PCI Express
  if (byte_at(vconfig, ctrl) & PCI_AF_CTRL_FLR) {
    const cap = { value: 0 };

    set_byte_at(vconfig, ctrl, byte_at(vconfig, ctrl) & ~PCI_AF_CTRL_FLR);

    const ret = yield* pci_user_read_config_byte(vdev.pdev!, pos - offset + PCI_AF_CAP, cap);

    if (!ret && cap.value & PCI_AF_CAP_FLR && cap.value & PCI_AF_CAP_TP) {
      yield* vfio_pci_zap_and_down_write_memory_lock(vdev);
      yield* pci_try_reset_function(vdev.pdev!);
      up_write(vdev.memory_lock);
    }
  }

  return count;
}

function init_pci_cap_af_perm(perm: perm_bits): number {
  if (alloc_perm_bits(perm, PCI_CAP_AF_SIZEOF)) return -ENOMEM;

  perm.writefn = vfio_af_config_write;

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
  free_perm_bits(s.cap_perms[PCI_CAP_ID_BASIC]!);

  free_perm_bits(s.cap_perms[PCI_CAP_ID_PM]!);
  free_perm_bits(s.cap_perms[PCI_CAP_ID_VPD]!);
  free_perm_bits(s.cap_perms[PCI_CAP_ID_PCIX]!);
  free_perm_bits(s.cap_perms[PCI_CAP_ID_EXP]!);
  free_perm_bits(s.cap_perms[PCI_CAP_ID_AF]!);

  free_perm_bits(s.ecap_perms[PCI_EXT_CAP_ID_ERR]!);
  free_perm_bits(s.ecap_perms[PCI_EXT_CAP_ID_PWR]!);
}

/** For the module's init. @return 0; -ENOMEM, or what several of them make together */
export function vfio_pci_init_perm_bits(): number {
  let ret = init_pci_cap_basic_perm(s.cap_perms[PCI_CAP_ID_BASIC]!);

  ret |= init_pci_cap_pm_perm(s.cap_perms[PCI_CAP_ID_PM]!);
  ret |= init_pci_cap_vpd_perm(s.cap_perms[PCI_CAP_ID_VPD]!);
  ret |= init_pci_cap_pcix_perm(s.cap_perms[PCI_CAP_ID_PCIX]!);
  s.cap_perms[PCI_CAP_ID_VNDR]!.writefn = vfio_raw_config_write;
  ret |= init_pci_cap_exp_perm(s.cap_perms[PCI_CAP_ID_EXP]!);
  ret |= init_pci_cap_af_perm(s.cap_perms[PCI_CAP_ID_AF]!);

  ret |= init_pci_ext_cap_err_perm(s.ecap_perms[PCI_EXT_CAP_ID_ERR]!);
  ret |= init_pci_ext_cap_pwr_perm(s.ecap_perms[PCI_EXT_CAP_ID_PWR]!);
  s.ecap_perms[PCI_EXT_CAP_ID_VNDR]!.writefn = vfio_raw_config_write;

  if (ret) vfio_pci_uninit_perm_bits();

  return ret;
}

function vfio_find_cap_start(vdev: vfio_pci_core_device, pos: number): number {
  const map = vdev.pci_config_map!;
  const base = pos >= PCI_CFG_SPACE_SIZE ? PCI_CFG_SPACE_SIZE : PCI_STD_HEADER_SIZEOF;
  const cap = byte_at(map, pos);

  if (cap === PCI_CAP_ID_BASIC) return 0;

  // Two of a kind, one behind the other, are taken for one, as in C.
  while (pos - 1 >= base && byte_at(map, pos - 1) === cap) pos--;

  return pos;
}

function* vfio_msi_config_read(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: config_value,
): Sleeps<number> {
  if (offset <= PCI_MSI_FLAGS && offset + count >= PCI_MSI_FLAGS) {
    const start = vfio_find_cap_start(vdev, pos);

    // Meant for the flags; where it goes, as in C, is the header of the capability.
    const flags = le_at(vdev.vconfig!, start, 2) & ~PCI_MSI_FLAGS_QMASK;

    set_le_at(vdev.vconfig!, start, 2, flags | (vdev.msi_qmax << 1));
  }

  return yield* vfio_default_config_read(vdev, pos, count, perm, offset, val);
}

function* vfio_msi_config_write(
  vdev: vfio_pci_core_device,
  pos: number,
  count: number,
  perm: perm_bits,
  offset: number,
  val: number,
): Sleeps<number> {
  count = yield* vfio_default_config_write(vdev, pos, count, perm, offset, val);
  if (count < 0) return count;

  // What can be had of it goes to the hardware.
  if (offset <= PCI_MSI_FLAGS && offset + count >= PCI_MSI_FLAGS) {
    const start = vfio_find_cap_start(vdev, pos);

    let flags = le_at(vdev.vconfig!, start + PCI_MSI_FLAGS, 2);

    // An ioctl enables it.
    if (vdev.irq_type !== VFIO_PCI_MSI_IRQ_INDEX) flags &= ~PCI_MSI_FLAGS_ENABLE;

    if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 > vdev.msi_qmax) {
      flags &= ~PCI_MSI_FLAGS_QSIZE;
      flags |= vdev.msi_qmax << 4;
    }

    set_le_at(vdev.vconfig!, start + PCI_MSI_FLAGS, 2, flags);
    const ret = yield* pci_user_write_config_word(vdev.pdev!, start + PCI_MSI_FLAGS, flags & 0xffff);
    if (ret) return ret;
  }

  return count;
}

function init_pci_cap_msi_perm(perm: perm_bits, len: number, flags: number): number {
  if (alloc_perm_bits(perm, len)) return -ENOMEM;

  perm.readfn = vfio_msi_config_read;
  perm.writefn = vfio_msi_config_write;

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

  vdev.msi_perm = kmalloc(perm_bits, GFP_KERNEL_ACCOUNT);
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
  const vconfig = vdev.vconfig!;
  const pmc = offset + PCI_PM_PMC;
  const ctrl = offset + PCI_PM_CTRL;

  set_le_at(vconfig, pmc, 2, le_at(vconfig, pmc, 2) & ~PCI_PM_CAP_PME_MASK);
  set_le_at(vconfig, ctrl, 2, le_at(vconfig, ctrl, 2) & ~(PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS));
}

function vfio_fill_vconfig_bytes(vdev: vfio_pci_core_device, offset: number, size: number): number {
  const pdev = vdev.pdev!;
  const vconfig = vdev.vconfig!;
  const val = { value: 0 };
  let ret = 0;

  // As much at once as it goes.
  while (size) {
    let filled: number;

    if (size >= 4 && !(offset % 4)) {
      ret = pci_read_config_dword(pdev, offset, val);
      if (ret) return ret;
      set_le_at(vconfig, offset, 4, val.value);
      filled = 4;
    } else if (size >= 2 && !(offset % 2)) {
      ret = pci_read_config_word(pdev, offset, val);
      if (ret) return ret;
      set_le_at(vconfig, offset, 2, val.value);
      filled = 2;
    } else {
      ret = pci_read_config_byte(pdev, offset, val);
      set_byte_at(vconfig, offset, val.value);
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
  const vconfig = vdev.vconfig!;
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
      set_byte_at(vconfig, prev, next.value);
      pos = next.value;
      continue;
    }

    for (let i = 0; i < len; i++) {
      const was = byte_at(map, pos + i);
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

    memset(bytes_at(map, pos), cap.value, len);
    ret = vfio_fill_vconfig_bytes(vdev, pos, len);
    if (ret) return ret;

    if (cap.value === PCI_CAP_ID_PM) vfio_update_pm_vconfig_bytes(vdev, pos);

    prev = pos + PCI_CAP_LIST_NEXT;
    pos = next.value;
    caps++;
  }

  if (!caps) set_le_at(vconfig, PCI_STATUS, 2, le_at(vconfig, PCI_STATUS, 2) & ~PCI_STATUS_CAP_LIST);

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
      const was = byte_at(map, epos + i);
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

    memset(bytes_at(map, epos), ecap, len);
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

/** Those known not to keep to the rule below. */
const known_bogus_vf_intx_pin: readonly pci_device_id[] = [PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x270c), {}];

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
      if (pin && !pci_match_id(known_bogus_vf_intx_pin, pdev))
        pci_warn(pdev, "Hardware bug: VF reports bogus INTx pin %d\n", pin);

      vconfig.$view.setUint8(PCI_INTERRUPT_PIN, 0);
    }

    // As with others, which have it set by pci_enable_device().
    if (pdev.no_command_memory)
      vconfig.$view.setUint16(PCI_COMMAND, vconfig.$view.getUint16(PCI_COMMAND, true) | PCI_COMMAND_MEMORY, true);

    if (vdev.nointx || pdev.irq === IRQ_NOTCONNECTED) vconfig.$view.setUint8(PCI_INTERRUPT_PIN, 0);

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

/** How many bytes from here on belong to one capability, up to the end of the dword. */
function vfio_pci_cap_remaining_dword(vdev: vfio_pci_core_device, pos: number): number {
  const cap = byte_at(vdev.pci_config_map!, pos);
  let i: number;

  for (i = 1; (pos + i) % 4 && byte_at(vdev.pci_config_map!, pos + i) === cap; i++);

  return i;
}

function* vfio_config_do_rw(
  vdev: vfio_pci_core_device,
  buf: bigint,
  count: number,
  ppos: number,
  iswrite: boolean,
): Sleeps<number> {
  const pdev = vdev.pdev!;
  const val = { value: 0 };
  const bytes = new kbuf(4);
  let perm: perm_bits;
  let cap_start = 0;

  if (ppos < 0 || ppos >= pdev.cfg_size || ppos + count > pdev.cfg_size) return -EFAULT;

  // One access of the hardware's, and to one capability: the caller comes back for the rest.
  count = Math.min(count, vfio_pci_cap_remaining_dword(vdev, ppos));
  if (count >= 4 && !(ppos % 4)) count = 4;
  else if (count >= 2 && !(ppos % 2)) count = 2;
  else count = 1;

  let ret = count;

  const cap_id = byte_at(vdev.pci_config_map!, ppos);

  if (cap_id === PCI_CAP_ID_INVALID) {
    perm = s.unassigned_perms;
    cap_start = ppos;
  } else if (cap_id === PCI_CAP_ID_INVALID_VIRT) {
    perm = s.virt_perms;
    cap_start = ppos;
  } else {
    if (ppos >= PCI_CFG_SPACE_SIZE) {
      // One that is hidden, at the beginning of the list, can have any number.
      if (cap_id > PCI_EXT_CAP_ID_MAX) perm = s.direct_ro_perms;
      else perm = s.ecap_perms[cap_id]!;

      cap_start = vfio_find_cap_start(vdev, ppos);
    } else {
      WARN_ON(cap_id > PCI_CAP_ID_MAX);

      perm = s.cap_perms[cap_id]!;

      if (cap_id === PCI_CAP_ID_MSI) perm = vdev.msi_perm!;

      if (cap_id > PCI_CAP_ID_BASIC) cap_start = vfio_find_cap_start(vdev, ppos);
    }
  }

  WARN_ON(!cap_start && cap_id !== PCI_CAP_ID_BASIC);
  WARN_ON(cap_start > ppos);

  const offset = ppos - cap_start;

  if (iswrite) {
    if (!perm.writefn) return ret;

    if (yield* copy_from_user(bytes, buf, count)) return -EFAULT;
    val.value = le_at(bytes, 0, 4);

    ret = yield* either(perm.writefn(vdev, ppos, count, perm, offset, val.value));
  } else {
    if (perm.readfn) {
      ret = yield* either(perm.readfn(vdev, ppos, count, perm, offset, val));
      if (ret < 0) return ret;
    }

    set_le_at(bytes, 0, 4, val.value);
    if (yield* copy_to_user(buf, bytes, count)) return -EFAULT;
  }

  return ret;
}

/** Accesses of user space, of any length and at any place. @return bytes, -EFAULT beyond the end, -errno. Context: may sleep */
export function* vfio_pci_config_rw(
  vdev: vfio_pci_core_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
  iswrite: boolean,
): Sleeps<number> {
  let done = 0;
  let pos = Number(ppos.value & VFIO_PCI_OFFSET_MASK);

  while (count) {
    const ret = yield* vfio_config_do_rw(vdev, buf, count, pos, iswrite);
    if (ret < 0) return ret;

    count -= ret;
    done += ret;
    buf += BigInt(ret);
    pos += ret;
  }

  ppos.value += BigInt(done);

  return done;
}
