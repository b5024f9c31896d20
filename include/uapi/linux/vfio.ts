// SPDX-License-Identifier: GPL-2.0-only
// dup: the user-space interface of VFIO: extensions, ioctl numbers, structs byte by byte
import { b16, b32, b64, b8, bs32, bytes, bytestruct, inner, over } from "#linux/types.ts";

/** _IO(VFIO_TYPE, VFIO_BASE + nr): carries no direction and no size. */
const _IO = (nr: number): number => (VFIO_TYPE << 8) | (VFIO_BASE + nr);

export const VFIO_API_VERSION = 0;
export const VFIO_TYPE1_IOMMU = 1;
export const VFIO_SPAPR_TCE_IOMMU = 2;
export const VFIO_TYPE1v2_IOMMU = 3;
export const VFIO_DMA_CC_IOMMU = 4;
export const VFIO_EEH = 5;
export const VFIO_TYPE1_NESTING_IOMMU = 6;
export const VFIO_SPAPR_TCE_v2_IOMMU = 7;
export const VFIO_NOIOMMU_IOMMU = 8;
export const VFIO_UNMAP_ALL = 9;
export const VFIO_UPDATE_VADDR = 10;
export const VFIO_TYPE = 0x3b;
export const VFIO_BASE = 100;

export class vfio_info_cap_header extends bytestruct("vfio_info_cap_header", {
  id: b16(),
  version: b16(),
  next: b32(),
}) {}
export const VFIO_GET_API_VERSION = _IO(0);
export const VFIO_CHECK_EXTENSION = _IO(1);
export const VFIO_SET_IOMMU = _IO(2);

export class vfio_group_status extends bytestruct("vfio_group_status", {
  argsz: b32(),
  flags: b32(),
}) {}
export const VFIO_GROUP_FLAGS_VIABLE = 1 << 0;
export const VFIO_GROUP_FLAGS_CONTAINER_SET = 1 << 1;
export const VFIO_GROUP_GET_STATUS = _IO(3);
export const VFIO_GROUP_SET_CONTAINER = _IO(4);
export const VFIO_GROUP_UNSET_CONTAINER = _IO(5);
export const VFIO_GROUP_GET_DEVICE_FD = _IO(6);

export class vfio_device_info extends bytestruct("vfio_device_info", {
  argsz: b32(),
  flags: b32(),
  num_regions: b32(),
  num_irqs: b32(),
  cap_offset: b32(),
}) {}
export const VFIO_DEVICE_FLAGS_RESET = 1 << 0;
export const VFIO_DEVICE_FLAGS_PCI = 1 << 1;
export const VFIO_DEVICE_FLAGS_PLATFORM = 1 << 2;
export const VFIO_DEVICE_FLAGS_AMBA = 1 << 3;
export const VFIO_DEVICE_FLAGS_CCW = 1 << 4;
export const VFIO_DEVICE_FLAGS_AP = 1 << 5;
export const VFIO_DEVICE_FLAGS_FSL_MC = 1 << 6;
export const VFIO_DEVICE_FLAGS_CAPS = 1 << 7;
export const VFIO_DEVICE_GET_INFO = _IO(7);
export const VFIO_DEVICE_API_PCI_STRING = "vfio-pci";
export const VFIO_DEVICE_API_PLATFORM_STRING = "vfio-platform";
export const VFIO_DEVICE_API_AMBA_STRING = "vfio-amba";
export const VFIO_DEVICE_API_CCW_STRING = "vfio-ccw";
export const VFIO_DEVICE_API_AP_STRING = "vfio-ap";
export const VFIO_DEVICE_INFO_CAP_ZPCI_BASE = 1;
export const VFIO_DEVICE_INFO_CAP_ZPCI_GROUP = 2;
export const VFIO_DEVICE_INFO_CAP_ZPCI_UTIL = 3;
export const VFIO_DEVICE_INFO_CAP_ZPCI_PFIP = 4;

export class vfio_region_info extends bytestruct("vfio_region_info", {
  argsz: b32(),
  flags: b32(),
  index: b32(),
  cap_offset: b32(),
  size: b64(),
  offset: b64(),
}) {}
export const VFIO_REGION_INFO_FLAG_READ = 1 << 0;
export const VFIO_REGION_INFO_FLAG_WRITE = 1 << 1;
export const VFIO_REGION_INFO_FLAG_MMAP = 1 << 2;
export const VFIO_REGION_INFO_FLAG_CAPS = 1 << 3;
export const VFIO_DEVICE_GET_REGION_INFO = _IO(8);
export const VFIO_REGION_INFO_CAP_SPARSE_MMAP = 1;

export class vfio_region_sparse_mmap_area extends bytestruct("vfio_region_sparse_mmap_area", {
  offset: b64(),
  size: b64(),
}) {}

export class vfio_region_info_cap_sparse_mmap extends bytestruct("vfio_region_info_cap_sparse_mmap", {
  header: inner(() => vfio_info_cap_header),
  nr_areas: b32(),
  reserved: b32(),
  areas: bytes(0),
}) {}
export const VFIO_REGION_INFO_CAP_TYPE = 2;

export class vfio_region_info_cap_type extends bytestruct("vfio_region_info_cap_type", {
  header: inner(() => vfio_info_cap_header),
  type: b32(),
  subtype: b32(),
}) {}
export const VFIO_REGION_TYPE_PCI_VENDOR_TYPE = 0x80000000;
export const VFIO_REGION_TYPE_PCI_VENDOR_MASK = 0xffff;
export const VFIO_REGION_TYPE_GFX = 1;
export const VFIO_REGION_TYPE_CCW = 2;
export const VFIO_REGION_TYPE_MIGRATION_DEPRECATED = 3;
export const VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION = 1;
export const VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG = 2;
export const VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG = 3;
export const VFIO_REGION_SUBTYPE_NVIDIA_NVLINK2_RAM = 1;
export const VFIO_REGION_SUBTYPE_IBM_NVLINK2_ATSD = 1;
export const VFIO_REGION_SUBTYPE_GFX_EDID = 1;

export class vfio_region_gfx_edid extends bytestruct("vfio_region_gfx_edid", {
  edid_offset: b32(),
  edid_max_size: b32(),
  edid_size: b32(),
  max_xres: b32(),
  max_yres: b32(),
  link_state: b32(),
}) {}
export const VFIO_DEVICE_GFX_LINK_STATE_UP = 1;
export const VFIO_DEVICE_GFX_LINK_STATE_DOWN = 2;
export const VFIO_REGION_SUBTYPE_CCW_ASYNC_CMD = 1;
export const VFIO_REGION_SUBTYPE_CCW_SCHIB = 2;
export const VFIO_REGION_SUBTYPE_CCW_CRW = 3;
export const VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED = 1;

export class vfio_device_migration_info extends bytestruct("vfio_device_migration_info", {
  device_state: b32(),
  reserved: b32(),
  pending_bytes: b64(),
  data_offset: b64(),
  data_size: b64(),
}) {}
export const VFIO_DEVICE_STATE_V1_STOP = 0;
export const VFIO_DEVICE_STATE_V1_RUNNING = 1 << 0;
export const VFIO_DEVICE_STATE_V1_SAVING = 1 << 1;
export const VFIO_DEVICE_STATE_V1_RESUMING = 1 << 2;
export const VFIO_DEVICE_STATE_MASK =
  VFIO_DEVICE_STATE_V1_RUNNING | VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RESUMING;
export const VFIO_DEVICE_STATE_VALID = (state: number): boolean =>
  state & VFIO_DEVICE_STATE_V1_RESUMING ? (state & VFIO_DEVICE_STATE_MASK) === VFIO_DEVICE_STATE_V1_RESUMING : true;
export const VFIO_DEVICE_STATE_IS_ERROR = (state: number): boolean =>
  (state & VFIO_DEVICE_STATE_MASK) === (VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RESUMING);
export const VFIO_DEVICE_STATE_SET_ERROR = (state: number): number =>
  (state & ~VFIO_DEVICE_STATE_MASK) | VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RESUMING;
export const VFIO_REGION_INFO_CAP_MSIX_MAPPABLE = 3;
export const VFIO_REGION_INFO_CAP_NVLINK2_SSATGT = 4;

export class vfio_region_info_cap_nvlink2_ssatgt extends bytestruct("vfio_region_info_cap_nvlink2_ssatgt", {
  header: inner(() => vfio_info_cap_header),
  tgt: b64(),
}) {}
export const VFIO_REGION_INFO_CAP_NVLINK2_LNKSPD = 5;

export class vfio_region_info_cap_nvlink2_lnkspd extends bytestruct("vfio_region_info_cap_nvlink2_lnkspd", {
  header: inner(() => vfio_info_cap_header),
  link_speed: b32(),
  __pad: b32(),
}) {}

export class vfio_irq_info extends bytestruct("vfio_irq_info", {
  argsz: b32(),
  flags: b32(),
  index: b32(),
  count: b32(),
}) {}
export const VFIO_IRQ_INFO_EVENTFD = 1 << 0;
export const VFIO_IRQ_INFO_MASKABLE = 1 << 1;
export const VFIO_IRQ_INFO_AUTOMASKED = 1 << 2;
export const VFIO_IRQ_INFO_NORESIZE = 1 << 3;
export const VFIO_DEVICE_GET_IRQ_INFO = _IO(9);

export class vfio_irq_set extends bytestruct("vfio_irq_set", {
  argsz: b32(),
  flags: b32(),
  index: b32(),
  start: b32(),
  count: b32(),
  data: bytes(0),
}) {}
export const VFIO_IRQ_SET_DATA_NONE = 1 << 0;
export const VFIO_IRQ_SET_DATA_BOOL = 1 << 1;
export const VFIO_IRQ_SET_DATA_EVENTFD = 1 << 2;
export const VFIO_IRQ_SET_ACTION_MASK = 1 << 3;
export const VFIO_IRQ_SET_ACTION_UNMASK = 1 << 4;
export const VFIO_IRQ_SET_ACTION_TRIGGER = 1 << 5;
export const VFIO_DEVICE_SET_IRQS = _IO(10);
export const VFIO_IRQ_SET_DATA_TYPE_MASK = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD;
export const VFIO_IRQ_SET_ACTION_TYPE_MASK =
  VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_ACTION_TRIGGER;
export const VFIO_DEVICE_RESET = _IO(11);
export const VFIO_PCI_BAR0_REGION_INDEX = 0;
export const VFIO_PCI_BAR1_REGION_INDEX = 1;
export const VFIO_PCI_BAR2_REGION_INDEX = 2;
export const VFIO_PCI_BAR3_REGION_INDEX = 3;
export const VFIO_PCI_BAR4_REGION_INDEX = 4;
export const VFIO_PCI_BAR5_REGION_INDEX = 5;
export const VFIO_PCI_ROM_REGION_INDEX = 6;
export const VFIO_PCI_CONFIG_REGION_INDEX = 7;
export const VFIO_PCI_VGA_REGION_INDEX = 8;
export const VFIO_PCI_NUM_REGIONS = 9;
export const VFIO_PCI_INTX_IRQ_INDEX = 0;
export const VFIO_PCI_MSI_IRQ_INDEX = 1;
export const VFIO_PCI_MSIX_IRQ_INDEX = 2;
export const VFIO_PCI_ERR_IRQ_INDEX = 3;
export const VFIO_PCI_REQ_IRQ_INDEX = 4;
export const VFIO_PCI_NUM_IRQS = 5;
export const VFIO_CCW_CONFIG_REGION_INDEX = 0;
export const VFIO_CCW_NUM_REGIONS = 1;
export const VFIO_CCW_IO_IRQ_INDEX = 0;
export const VFIO_CCW_CRW_IRQ_INDEX = 1;
export const VFIO_CCW_REQ_IRQ_INDEX = 2;
export const VFIO_CCW_NUM_IRQS = 3;

export class vfio_pci_dependent_device extends bytestruct("vfio_pci_dependent_device", {
  group_id: b32(),
  segment: b16(),
  bus: b8(),
  devfn: b8(),
}) {}

export class vfio_pci_hot_reset_info extends bytestruct("vfio_pci_hot_reset_info", {
  argsz: b32(),
  flags: b32(),
  count: b32(),
  devices: bytes(0),
}) {}
export const VFIO_DEVICE_GET_PCI_HOT_RESET_INFO = _IO(12);

export class vfio_pci_hot_reset extends bytestruct("vfio_pci_hot_reset", {
  argsz: b32(),
  flags: b32(),
  count: b32(),
  group_fds: bytes(0),
}) {}
export const VFIO_DEVICE_PCI_HOT_RESET = _IO(13);

export class vfio_device_gfx_plane_info extends bytestruct("vfio_device_gfx_plane_info", {
  argsz: b32(),
  flags: b32(),
  drm_plane_type: b32(),
  drm_format: b32(),
  drm_format_mod: b64(),
  width: b32(),
  height: b32(),
  stride: b32(),
  size: b32(),
  x_pos: b32(),
  y_pos: b32(),
  x_hot: b32(),
  y_hot: b32(),
  region_index: b32(),
  dmabuf_id: over("region_index", b32()),
}) {}
export const VFIO_GFX_PLANE_TYPE_PROBE = 1 << 0;
export const VFIO_GFX_PLANE_TYPE_DMABUF = 1 << 1;
export const VFIO_GFX_PLANE_TYPE_REGION = 1 << 2;
export const VFIO_DEVICE_QUERY_GFX_PLANE = _IO(14);
export const VFIO_DEVICE_GET_GFX_DMABUF = _IO(15);

export class vfio_device_ioeventfd extends bytestruct("vfio_device_ioeventfd", {
  argsz: b32(),
  flags: b32(),
  offset: b64(),
  data: b64(),
  fd: bs32(),
}) {}
export const VFIO_DEVICE_IOEVENTFD_8 = 1 << 0;
export const VFIO_DEVICE_IOEVENTFD_16 = 1 << 1;
export const VFIO_DEVICE_IOEVENTFD_32 = 1 << 2;
export const VFIO_DEVICE_IOEVENTFD_64 = 1 << 3;
export const VFIO_DEVICE_IOEVENTFD_SIZE_MASK = 0xf;
export const VFIO_DEVICE_IOEVENTFD = _IO(16);

export class vfio_device_feature extends bytestruct("vfio_device_feature", {
  argsz: b32(),
  flags: b32(),
  data: bytes(0),
}) {}
export const VFIO_DEVICE_FEATURE_MASK = 0xffff;
export const VFIO_DEVICE_FEATURE_GET = 1 << 16;
export const VFIO_DEVICE_FEATURE_SET = 1 << 17;
export const VFIO_DEVICE_FEATURE_PROBE = 1 << 18;
export const VFIO_DEVICE_FEATURE = _IO(17);
export const VFIO_DEVICE_FEATURE_PCI_VF_TOKEN = 0;

export class vfio_device_feature_migration extends bytestruct("vfio_device_feature_migration", {
  flags: b64(),
}) {}
export const VFIO_MIGRATION_STOP_COPY = 1 << 0;
export const VFIO_MIGRATION_P2P = 1 << 1;
export const VFIO_DEVICE_FEATURE_MIGRATION = 1;

export class vfio_device_feature_mig_state extends bytestruct("vfio_device_feature_mig_state", {
  device_state: b32(),
  data_fd: bs32(),
}) {}
export const VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE = 2;
export type vfio_device_mig_state = number;
export const VFIO_DEVICE_STATE_ERROR = 0;
export const VFIO_DEVICE_STATE_STOP = 1;
export const VFIO_DEVICE_STATE_RUNNING = 2;
export const VFIO_DEVICE_STATE_STOP_COPY = 3;
export const VFIO_DEVICE_STATE_RESUMING = 4;
export const VFIO_DEVICE_STATE_RUNNING_P2P = 5;
export const VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY = 3;

export class vfio_device_low_power_entry_with_wakeup extends bytestruct("vfio_device_low_power_entry_with_wakeup", {
  wakeup_eventfd: bs32(),
  reserved: b32(),
}) {}
export const VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP = 4;
export const VFIO_DEVICE_FEATURE_LOW_POWER_EXIT = 5;

export class vfio_device_feature_dma_logging_control extends bytestruct("vfio_device_feature_dma_logging_control", {
  page_size: b64(),
  num_ranges: b32(),
  __reserved: b32(),
  ranges: b64(),
}) {}

export class vfio_device_feature_dma_logging_range extends bytestruct("vfio_device_feature_dma_logging_range", {
  iova: b64(),
  length: b64(),
}) {}
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_START = 6;
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP = 7;

export class vfio_device_feature_dma_logging_report extends bytestruct("vfio_device_feature_dma_logging_report", {
  iova: b64(),
  length: b64(),
  page_size: b64(),
  bitmap: b64(),
}) {}
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT = 8;

export class vfio_iommu_type1_info extends bytestruct("vfio_iommu_type1_info", {
  argsz: b32(),
  flags: b32(),
  iova_pgsizes: b64(),
  cap_offset: b32(),
}) {}
export const VFIO_IOMMU_INFO_PGSIZES = 1 << 0;
export const VFIO_IOMMU_INFO_CAPS = 1 << 1;
export const VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;

export class vfio_iova_range extends bytestruct("vfio_iova_range", {
  start: b64(),
  end: b64(),
}) {}

export class vfio_iommu_type1_info_cap_iova_range extends bytestruct("vfio_iommu_type1_info_cap_iova_range", {
  header: inner(() => vfio_info_cap_header),
  nr_iovas: b32(),
  reserved: b32(),
  iova_ranges: bytes(0),
}) {}
export const VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION = 2;

export class vfio_iommu_type1_info_cap_migration extends bytestruct("vfio_iommu_type1_info_cap_migration", {
  header: inner(() => vfio_info_cap_header),
  flags: b32(),
  pgsize_bitmap: b64(),
  max_dirty_bitmap_size: b64(),
}) {}
export const VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL = 3;

export class vfio_iommu_type1_info_dma_avail extends bytestruct("vfio_iommu_type1_info_dma_avail", {
  header: inner(() => vfio_info_cap_header),
  avail: b32(),
}) {}
export const VFIO_IOMMU_GET_INFO = _IO(12);

export class vfio_iommu_type1_dma_map extends bytestruct("vfio_iommu_type1_dma_map", {
  argsz: b32(),
  flags: b32(),
  vaddr: b64(),
  iova: b64(),
  size: b64(),
}) {}
export const VFIO_DMA_MAP_FLAG_READ = 1 << 0;
export const VFIO_DMA_MAP_FLAG_WRITE = 1 << 1;
export const VFIO_DMA_MAP_FLAG_VADDR = 1 << 2;
export const VFIO_IOMMU_MAP_DMA = _IO(13);

export class vfio_bitmap extends bytestruct("vfio_bitmap", {
  pgsize: b64(),
  size: b64(),
  data: b64(),
}) {}

export class vfio_iommu_type1_dma_unmap extends bytestruct("vfio_iommu_type1_dma_unmap", {
  argsz: b32(),
  flags: b32(),
  iova: b64(),
  size: b64(),
  data: bytes(0),
}) {}
export const VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP = 1 << 0;
export const VFIO_DMA_UNMAP_FLAG_ALL = 1 << 1;
export const VFIO_DMA_UNMAP_FLAG_VADDR = 1 << 2;
export const VFIO_IOMMU_UNMAP_DMA = _IO(14);
export const VFIO_IOMMU_ENABLE = _IO(15);
export const VFIO_IOMMU_DISABLE = _IO(16);

export class vfio_iommu_type1_dirty_bitmap extends bytestruct("vfio_iommu_type1_dirty_bitmap", {
  argsz: b32(),
  flags: b32(),
  data: bytes(0),
}) {}
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_START = 1 << 0;
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP = 1 << 1;
export const VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP = 1 << 2;

export class vfio_iommu_type1_dirty_bitmap_get extends bytestruct("vfio_iommu_type1_dirty_bitmap_get", {
  iova: b64(),
  size: b64(),
  bitmap: inner(() => vfio_bitmap),
}) {}
export const VFIO_IOMMU_DIRTY_PAGES = _IO(17);

export class vfio_iommu_spapr_tce_ddw_info extends bytestruct("vfio_iommu_spapr_tce_ddw_info", {
  pgsizes: b64(),
  max_dynamic_windows_supported: b32(),
  levels: b32(),
}) {}

export class vfio_iommu_spapr_tce_info extends bytestruct("vfio_iommu_spapr_tce_info", {
  argsz: b32(),
  flags: b32(),
  dma32_window_start: b32(),
  dma32_window_size: b32(),
  ddw: inner(() => vfio_iommu_spapr_tce_ddw_info),
}) {}
export const VFIO_IOMMU_SPAPR_INFO_DDW = 1 << 0;
export const VFIO_IOMMU_SPAPR_TCE_GET_INFO = _IO(12);

export class vfio_eeh_pe_err extends bytestruct("vfio_eeh_pe_err", {
  type: b32(),
  func: b32(),
  addr: b64(),
  mask: b64(),
}) {}

export class vfio_eeh_pe_op extends bytestruct("vfio_eeh_pe_op", {
  argsz: b32(),
  flags: b32(),
  op: b32(),
  err: inner(() => vfio_eeh_pe_err),
}) {}
export const VFIO_EEH_PE_DISABLE = 0;
export const VFIO_EEH_PE_ENABLE = 1;
export const VFIO_EEH_PE_UNFREEZE_IO = 2;
export const VFIO_EEH_PE_UNFREEZE_DMA = 3;
export const VFIO_EEH_PE_GET_STATE = 4;
export const VFIO_EEH_PE_STATE_NORMAL = 0;
export const VFIO_EEH_PE_STATE_RESET = 1;
export const VFIO_EEH_PE_STATE_STOPPED = 2;
export const VFIO_EEH_PE_STATE_STOPPED_DMA = 4;
export const VFIO_EEH_PE_STATE_UNAVAIL = 5;
export const VFIO_EEH_PE_RESET_DEACTIVATE = 5;
export const VFIO_EEH_PE_RESET_HOT = 6;
export const VFIO_EEH_PE_RESET_FUNDAMENTAL = 7;
export const VFIO_EEH_PE_CONFIGURE = 8;
export const VFIO_EEH_PE_INJECT_ERR = 9;
export const VFIO_EEH_PE_OP = _IO(21);

export class vfio_iommu_spapr_register_memory extends bytestruct("vfio_iommu_spapr_register_memory", {
  argsz: b32(),
  flags: b32(),
  vaddr: b64(),
  size: b64(),
}) {}
export const VFIO_IOMMU_SPAPR_REGISTER_MEMORY = _IO(17);
export const VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY = _IO(18);

export class vfio_iommu_spapr_tce_create extends bytestruct("vfio_iommu_spapr_tce_create", {
  argsz: b32(),
  flags: b32(),
  page_shift: b32(),
  __resv1: b32(),
  window_size: b64(),
  levels: b32(),
  __resv2: b32(),
  start_addr: b64(),
}) {}
export const VFIO_IOMMU_SPAPR_TCE_CREATE = _IO(19);

export class vfio_iommu_spapr_tce_remove extends bytestruct("vfio_iommu_spapr_tce_remove", {
  argsz: b32(),
  flags: b32(),
  start_addr: b64(),
}) {}
export const VFIO_IOMMU_SPAPR_TCE_REMOVE = _IO(20);
