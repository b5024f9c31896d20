// SPDX-License-Identifier: GPL-2.0-only
/**
 * Graphics of Intel CPUs: what the firmware says of them, and the configuration space of two bridges that their drivers look
 * at, as regions that can be read. Source: drivers/vfio/pci/vfio_pci_igd.c
 */
import { EFAULT, EINVAL, ENODEV, ENOMEM } from "#linux/errno.ts";
import type { loff_ptr } from "#linux/fs.ts";
import { memremap, MEMREMAP_WB, memunmap } from "#linux/io.ts";
import {
  PCI_CLASS_BRIDGE_HOST,
  PCI_CLASS_BRIDGE_ISA,
  type pci_dev,
  pci_dev_put,
  PCI_DEVFN,
  pci_get_domain_bus_and_slot,
  pci_read_config_dword,
  pci_user_read_config_byte,
  pci_user_read_config_dword,
  pci_user_read_config_word,
  PCI_VENDOR_ID_INTEL,
} from "#linux/pci.ts";
import { GFP_KERNEL_ACCOUNT, kfree, kzalloc } from "#linux/slab.ts";
import { byte_at, set_byte_at, set_u16_at, set_u32_at, u16_at, u32_at } from "#linux/string.ts";
import { kbuf, ptr, type Sleeps, struct } from "#linux/types.ts";
import { copy_to_user } from "#linux/uaccess.ts";
import {
  type vfio_pci_core_device,
  vfio_pci_core_register_dev_region,
  VFIO_PCI_OFFSET_MASK,
  VFIO_PCI_OFFSET_TO_INDEX,
  type vfio_pci_region,
  type vfio_pci_regops,
} from "#linux/vfio_pci_core.ts";
import {
  VFIO_PCI_NUM_REGIONS,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG,
  VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG,
  VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
  VFIO_REGION_TYPE_PCI_VENDOR_TYPE,
} from "#uapi/linux/vfio.ts";
import { PCI_CAP_ID_INVALID_VIRT } from "./vfio_pci_priv.ts";

const OPREGION_SIGNATURE = "IntelGraphicsMem";
const OPREGION_SIZE = 8 * 1024;
const OPREGION_PCI_ADDR = 0xfc;

const OPREGION_RVDA = 0x3ba;
const OPREGION_RVDS = 0x3c2;
const OPREGION_VERSION = 0x16;

class igd_opregion_vbt extends struct("igd_opregion_vbt", { opregion: ptr<kbuf>(), vbt_ex: ptr<kbuf>() }) {}

/** What igd_opregion_shift_copy() moves on, by pointers in C. */
interface position {
  off: number;
  pos: number;
  remaining: number;
}

/** Bytes of @src from @from on, as a pointer to there; into the page of NULL for what is not there. */
const from_byte = (src: kbuf | null, from: number): kbuf | null => src && new kbuf(src.$bytes.subarray(from));

/** Copies a part and moves on. @return 0 or -EFAULT */
function* igd_opregion_shift_copy(dst: bigint, at: position, src: kbuf | null, bytes: number): Sleeps<number> {
  if (yield* copy_to_user(dst + BigInt(at.off), src, bytes)) return -EFAULT;

  at.off += bytes;
  at.pos += bytes;
  at.remaining -= bytes;

  return 0;
}

/**
 * The region is the firmware's, with what does not fit into it right behind: where that is, and the version from which it may
 * be there, are changed on the way.
 */
function* vfio_pci_igd_rw(
  vdev: vfio_pci_core_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
  iswrite: boolean,
): Sleeps<number> {
  const i = VFIO_PCI_OFFSET_TO_INDEX(ppos.value) - VFIO_PCI_NUM_REGIONS;
  const opregionvbt = vdev.region!.at(i).data as igd_opregion_vbt;
  const at: position = { off: 0, pos: Number(ppos.value & VFIO_PCI_OFFSET_MASK), remaining: 0 };
  const size = Number(vdev.region!.at(i).size);

  if (at.pos >= size || iswrite) return -EINVAL;

  count = Math.min(count, size - at.pos);
  at.remaining = count;

  // Up to the version
  if (at.remaining && at.pos < OPREGION_VERSION) {
    const bytes = Math.min(at.remaining, OPREGION_VERSION - at.pos);

    if (yield* igd_opregion_shift_copy(buf, at, from_byte(opregionvbt.opregion, at.pos), bytes)) return -EFAULT;
  }

  // The version: 2.1, if it is 2.0 and there is something behind
  if (at.remaining && at.pos < OPREGION_VERSION + 2) {
    const bytes = Math.min(at.remaining, OPREGION_VERSION + 2 - at.pos);
    const version = new kbuf(2);
    set_u16_at(version, 0, u16_at(opregionvbt.opregion!, OPREGION_VERSION));

    if (u16_at(version, 0) === 0x0200 && opregionvbt.vbt_ex) set_u16_at(version, 0, 0x0201);

    if (yield* igd_opregion_shift_copy(buf, at, from_byte(version, at.pos - OPREGION_VERSION), bytes)) return -EFAULT;
  }

  if (at.remaining && at.pos < OPREGION_RVDA) {
    const bytes = Math.min(at.remaining, OPREGION_RVDA - at.pos);

    if (yield* igd_opregion_shift_copy(buf, at, from_byte(opregionvbt.opregion, at.pos), bytes)) return -EFAULT;
  }

  // Where the rest is: right behind
  if (at.remaining && at.pos < OPREGION_RVDA + 8) {
    const bytes = Math.min(at.remaining, OPREGION_RVDA + 8 - at.pos);
    const rvda = new kbuf(8);
    set_u32_at(rvda, 0, opregionvbt.vbt_ex ? OPREGION_SIZE : 0);

    if (yield* igd_opregion_shift_copy(buf, at, from_byte(rvda, at.pos - OPREGION_RVDA), bytes)) return -EFAULT;
  }

  if (at.remaining && at.pos < OPREGION_SIZE) {
    const bytes = Math.min(at.remaining, OPREGION_SIZE - at.pos);

    if (yield* igd_opregion_shift_copy(buf, at, from_byte(opregionvbt.opregion, at.pos), bytes)) return -EFAULT;
  }

  // What is behind
  if (
    at.remaining &&
    (yield* copy_to_user(buf + BigInt(at.off), from_byte(opregionvbt.vbt_ex, at.pos - OPREGION_SIZE), at.remaining))
  )
    return -EFAULT;

  ppos.value += BigInt(count);

  return count;
}

function vfio_pci_igd_release(_vdev: vfio_pci_core_device, region: vfio_pci_region): void {
  const opregionvbt = region.data as igd_opregion_vbt;

  if (opregionvbt.vbt_ex) memunmap(opregionvbt.vbt_ex);

  memunmap(opregionvbt.opregion!);
  kfree(opregionvbt);
}

const vfio_pci_igd_regops: vfio_pci_regops = {
  rw: vfio_pci_igd_rw,
  release: vfio_pci_igd_release,
};

function vfio_pci_igd_opregion_init(vdev: vfio_pci_core_device): number {
  const addr = { value: 0 };

  let ret = pci_read_config_dword(vdev.pdev!, OPREGION_PCI_ADDR, addr);
  if (ret) return ret;

  if (!addr.value || addr.value === 0xffffffff) return -ENODEV;

  const opregionvbt = kzalloc(igd_opregion_vbt, GFP_KERNEL_ACCOUNT);
  if (!opregionvbt) return -ENOMEM;

  opregionvbt.opregion = memremap(BigInt(addr.value), OPREGION_SIZE, MEMREMAP_WB);
  if (!opregionvbt.opregion) {
    kfree(opregionvbt);
    return -ENOMEM;
  }

  const opregion = opregionvbt.opregion;
  if ([...OPREGION_SIGNATURE].some((c, i) => byte_at(opregion, i) !== c.charCodeAt(0))) {
    memunmap(opregionvbt.opregion);
    kfree(opregionvbt);
    return -EINVAL;
  }

  let size = u32_at(opregion, 16);
  if (!size) {
    memunmap(opregionvbt.opregion);
    kfree(opregionvbt);
    return -EINVAL;
  }

  // It is in KB
  size = Math.imul(size, 1024) >>> 0;

  // From 2.0 on there may be more of the video BIOS's table than has room: in 2.0 its address is given, later how far off it is.
  const version = u16_at(opregion, OPREGION_VERSION);
  if (version >= 0x0200) {
    const rvda = (BigInt(u32_at(opregion, OPREGION_RVDA + 4)) << 32n) | BigInt(u32_at(opregion, OPREGION_RVDA));
    const rvds = u32_at(opregion, OPREGION_RVDS);

    if (rvda && rvds) {
      size = (size + rvds) >>> 0;

      // C has 32 bits for it.
      if (version === 0x0200) addr.value = Number(BigInt.asUintN(32, rvda));
      else addr.value = Number(BigInt.asUintN(32, BigInt(addr.value) + rvda));

      opregionvbt.vbt_ex = memremap(BigInt(addr.value), rvds, MEMREMAP_WB);
      if (!opregionvbt.vbt_ex) {
        memunmap(opregionvbt.opregion);
        kfree(opregionvbt);
        return -ENOMEM;
      }
    }
  }

  ret = vfio_pci_core_register_dev_region(
    vdev,
    (PCI_VENDOR_ID_INTEL | VFIO_REGION_TYPE_PCI_VENDOR_TYPE) >>> 0,
    VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
    vfio_pci_igd_regops,
    BigInt(size),
    VFIO_REGION_INFO_FLAG_READ,
    opregionvbt,
  );
  if (ret) {
    if (opregionvbt.vbt_ex) memunmap(opregionvbt.vbt_ex);

    memunmap(opregionvbt.opregion);
    kfree(opregionvbt);
    return ret;
  }

  // The register is the user's from here on.
  set_u32_at(vdev.vconfig!, OPREGION_PCI_ADDR, addr.value);
  for (let i = 0; i < 4; i++) set_byte_at(vdev.pci_config_map!, OPREGION_PCI_ADDR + i, PCI_CAP_ID_INVALID_VIRT);

  return ret;
}

function* vfio_pci_igd_cfg_rw(
  vdev: vfio_pci_core_device,
  buf: bigint,
  count: number,
  ppos: loff_ptr,
  iswrite: boolean,
): Sleeps<number> {
  const i = VFIO_PCI_OFFSET_TO_INDEX(ppos.value) - VFIO_PCI_NUM_REGIONS;
  const pdev = vdev.region!.at(i).data as pci_dev;
  let pos = Number(ppos.value & VFIO_PCI_OFFSET_MASK);
  const val = { value: 0 };
  const bytes = new kbuf(4);
  let ret: number;

  if (BigInt(pos) >= vdev.region!.at(i).size || iswrite) return -EINVAL;

  let size = (count = Math.min(count, Number(vdev.region!.at(i).size) - pos));

  if (pos & 1 && size) {
    ret = yield* pci_user_read_config_byte(pdev, pos, val);
    if (ret) return ret;

    set_byte_at(bytes, 0, val.value);
    if (yield* copy_to_user(buf + BigInt(count - size), bytes, 1)) return -EFAULT;

    pos++;
    size--;
  }

  if (pos & 3 && size > 2) {
    ret = yield* pci_user_read_config_word(pdev, pos, val);
    if (ret) return ret;

    set_u16_at(bytes, 0, val.value);
    if (yield* copy_to_user(buf + BigInt(count - size), bytes, 2)) return -EFAULT;

    pos += 2;
    size -= 2;
  }

  while (size > 3) {
    ret = yield* pci_user_read_config_dword(pdev, pos, val);
    if (ret) return ret;

    set_u32_at(bytes, 0, val.value);
    if (yield* copy_to_user(buf + BigInt(count - size), bytes, 4)) return -EFAULT;

    pos += 4;
    size -= 4;
  }

  while (size >= 2) {
    ret = yield* pci_user_read_config_word(pdev, pos, val);
    if (ret) return ret;

    set_u16_at(bytes, 0, val.value);
    if (yield* copy_to_user(buf + BigInt(count - size), bytes, 2)) return -EFAULT;

    pos += 2;
    size -= 2;
  }

  while (size) {
    ret = yield* pci_user_read_config_byte(pdev, pos, val);
    if (ret) return ret;

    set_byte_at(bytes, 0, val.value);
    if (yield* copy_to_user(buf + BigInt(count - size), bytes, 1)) return -EFAULT;

    pos++;
    size--;
  }

  ppos.value += BigInt(count);

  return count;
}

function* vfio_pci_igd_cfg_release(_vdev: vfio_pci_core_device, region: vfio_pci_region): Sleeps {
  const pdev = region.data as pci_dev;

  yield* pci_dev_put(pdev);
}

const vfio_pci_igd_cfg_regops: vfio_pci_regops = {
  rw: vfio_pci_igd_cfg_rw,
  release: vfio_pci_igd_cfg_release,
};

function* vfio_pci_igd_cfg_init(vdev: vfio_pci_core_device): Sleeps<number> {
  const host_bridge = yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(0, 0));
  if (!host_bridge) return -ENODEV;

  if (host_bridge.vendor !== PCI_VENDOR_ID_INTEL || host_bridge.class !== PCI_CLASS_BRIDGE_HOST << 8) {
    yield* pci_dev_put(host_bridge);
    return -EINVAL;
  }

  let ret = vfio_pci_core_register_dev_region(
    vdev,
    (PCI_VENDOR_ID_INTEL | VFIO_REGION_TYPE_PCI_VENDOR_TYPE) >>> 0,
    VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG,
    vfio_pci_igd_cfg_regops,
    BigInt(host_bridge.cfg_size),
    VFIO_REGION_INFO_FLAG_READ,
    host_bridge,
  );
  if (ret) {
    yield* pci_dev_put(host_bridge);
    return ret;
  }

  const lpc_bridge = yield* pci_get_domain_bus_and_slot(0, 0, PCI_DEVFN(0x1f, 0));
  if (!lpc_bridge) return -ENODEV;

  if (lpc_bridge.vendor !== PCI_VENDOR_ID_INTEL || lpc_bridge.class !== PCI_CLASS_BRIDGE_ISA << 8) {
    yield* pci_dev_put(lpc_bridge);
    return -EINVAL;
  }

  ret = vfio_pci_core_register_dev_region(
    vdev,
    (PCI_VENDOR_ID_INTEL | VFIO_REGION_TYPE_PCI_VENDOR_TYPE) >>> 0,
    VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG,
    vfio_pci_igd_cfg_regops,
    BigInt(lpc_bridge.cfg_size),
    VFIO_REGION_INFO_FLAG_READ,
    lpc_bridge,
  );
  if (ret) {
    yield* pci_dev_put(lpc_bridge);
    return ret;
  }

  return 0;
}

/** The regions, when the device is opened. @return 0; -ENODEV if there is nothing of that kind; -errno. Context: may sleep */
export function* vfio_pci_igd_init(vdev: vfio_pci_core_device): Sleeps<number> {
  let ret = vfio_pci_igd_opregion_init(vdev);
  if (ret) return ret;

  ret = yield* vfio_pci_igd_cfg_init(vdev);
  if (ret) return ret;

  return 0;
}
