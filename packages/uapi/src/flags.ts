/**
 * The flags of the structures by name. Flags of the same word are one table, named after the field.
 *
 * @source include/uapi/linux/vfio.h and include/uapi/linux/iommufd.h, 7.3
 */

/** Names and bits of the flags, by structure. */
export const FLAGS = {
  vfio_group_status: { VFIO_GROUP_FLAGS_VIABLE: 1, VFIO_GROUP_FLAGS_CONTAINER_SET: 2 },
  vfio_device_info: {
    VFIO_DEVICE_FLAGS_RESET: 1,
    VFIO_DEVICE_FLAGS_PCI: 2,
    VFIO_DEVICE_FLAGS_PLATFORM: 4,
    VFIO_DEVICE_FLAGS_AMBA: 8,
    VFIO_DEVICE_FLAGS_CCW: 0x10,
    VFIO_DEVICE_FLAGS_AP: 0x20,
    VFIO_DEVICE_FLAGS_FSL_MC: 0x40,
    VFIO_DEVICE_FLAGS_CAPS: 0x80,
    VFIO_DEVICE_FLAGS_CDX: 0x100,
  },
  vfio_region_info: {
    VFIO_REGION_INFO_FLAG_READ: 1,
    VFIO_REGION_INFO_FLAG_WRITE: 2,
    VFIO_REGION_INFO_FLAG_MMAP: 4,
    VFIO_REGION_INFO_FLAG_CAPS: 8,
  },
  vfio_irq_info: {
    VFIO_IRQ_INFO_EVENTFD: 1,
    VFIO_IRQ_INFO_MASKABLE: 2,
    VFIO_IRQ_INFO_AUTOMASKED: 4,
    VFIO_IRQ_INFO_NORESIZE: 8,
  },
  vfio_irq_set: {
    VFIO_IRQ_SET_DATA_NONE: 1,
    VFIO_IRQ_SET_DATA_BOOL: 2,
    VFIO_IRQ_SET_DATA_EVENTFD: 4,
    VFIO_IRQ_SET_ACTION_MASK: 8,
    VFIO_IRQ_SET_ACTION_UNMASK: 0x10,
    VFIO_IRQ_SET_ACTION_TRIGGER: 0x20,
  },
  vfio_device_ioeventfd: {
    VFIO_DEVICE_IOEVENTFD_8: 1,
    VFIO_DEVICE_IOEVENTFD_16: 2,
    VFIO_DEVICE_IOEVENTFD_32: 4,
    VFIO_DEVICE_IOEVENTFD_64: 8,
  },
  vfio_device_feature: {
    VFIO_DEVICE_FEATURE_GET: 0x1_0000,
    VFIO_DEVICE_FEATURE_SET: 0x2_0000,
    VFIO_DEVICE_FEATURE_PROBE: 0x4_0000,
  },
  vfio_iommu_type1_info: { VFIO_IOMMU_INFO_PGSIZES: 1, VFIO_IOMMU_INFO_CAPS: 2 },
  vfio_iommu_type1_dma_map: {
    VFIO_DMA_MAP_FLAG_READ: 1,
    VFIO_DMA_MAP_FLAG_WRITE: 2,
    VFIO_DMA_MAP_FLAG_VADDR: 4,
  },
  vfio_iommu_type1_dma_unmap: {
    VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: 1,
    VFIO_DMA_UNMAP_FLAG_ALL: 2,
    VFIO_DMA_UNMAP_FLAG_VADDR: 4,
  },
  vfio_iommu_type1_dirty_bitmap: {
    VFIO_IOMMU_DIRTY_PAGES_FLAG_START: 1,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP: 2,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP: 4,
  },
  iommu_ioas_map: {
    IOMMU_IOAS_MAP_FIXED_IOVA: 1,
    IOMMU_IOAS_MAP_WRITEABLE: 2,
    IOMMU_IOAS_MAP_READABLE: 4,
  },
  iommu_hwpt_alloc: {
    IOMMU_HWPT_ALLOC_NEST_PARENT: 1,
    IOMMU_HWPT_ALLOC_DIRTY_TRACKING: 2,
    IOMMU_HWPT_FAULT_ID_VALID: 4,
    IOMMU_HWPT_ALLOC_PASID: 8,
  },
  iommu_hwpt_set_dirty_tracking: { IOMMU_HWPT_DIRTY_TRACKING_ENABLE: 1 },
  iommu_hwpt_get_dirty_bitmap: { IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR: 1 },
} as const;

/** A structure whose flags have names. */
export type FlaggedStruct = keyof typeof FLAGS;

/** Numbers of VFIO_SET_IOMMU and VFIO_CHECK_EXTENSION. */
export const EXTENSIONS = {
  VFIO_TYPE1_IOMMU: 1,
  VFIO_SPAPR_TCE_IOMMU: 2,
  VFIO_TYPE1v2_IOMMU: 3,
  VFIO_DMA_CC_IOMMU: 4,
  VFIO_EEH: 5,
  VFIO_TYPE1_NESTING_IOMMU: 6,
  VFIO_SPAPR_TCE_v2_IOMMU: 7,
  VFIO_NOIOMMU_IOMMU: 8,
  VFIO_UNMAP_ALL: 9,
  VFIO_UPDATE_VADDR: 10,
} as const;

/** Numbers of the capabilities of VFIO_IOMMU_GET_INFO. */
export const INFO_CAPS = {
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE: 1,
  VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION: 2,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL: 3,
} as const;

/** Options of IOMMU_OPTION, and what it does with them. */
export const IOMMU_OPTIONS = {
  IOMMU_OPTION_RLIMIT_MODE: 0,
  IOMMU_OPTION_HUGE_PAGES: 1,
} as const;

/** What IOMMU_OPTION does. */
export const IOMMU_OPTION_OPS = { IOMMU_OPTION_OP_SET: 0, IOMMU_OPTION_OP_GET: 1 } as const;

/** What IOMMU_VFIO_IOAS does. */
export const IOMMU_VFIO_IOAS_OPS = {
  IOMMU_VFIO_IOAS_GET: 0,
  IOMMU_VFIO_IOAS_SET: 1,
  IOMMU_VFIO_IOAS_CLEAR: 2,
} as const;

/** All names of flags, extensions, capabilities and options with their numbers. */
const NUMBERS: ReadonlyMap<string, number> = new Map(
  [
    ...Object.values(FLAGS),
    ...[EXTENSIONS, INFO_CAPS, IOMMU_OPTIONS, IOMMU_OPTION_OPS, IOMMU_VFIO_IOAS_OPS],
  ].flatMap((table) => Object.entries(table)),
);

/**
 * The number that a name of the headers stands for.
 *
 * @param name name of a flag, an extension, a capability or an option
 * @returns its number; undefined if there is no such name
 */
export function numberOfName(name: string): number | undefined {
  return NUMBERS.get(name);
}

/**
 * Flags by their names, as strace writes them.
 *
 * @param struct the structure
 * @param bits the word
 * @returns names with `|` between them, bits without a name in hex at the end; `0` for none
 */
export function flagText(struct: FlaggedStruct, bits: number): string {
  const known = Object.entries(FLAGS[struct]).filter(([, bit]) => (bits & bit) !== 0);
  const rest = known.reduce((left, [, bit]) => left & ~bit, bits) >>> 0;
  const names = known.map(([name]) => name);
  if (rest !== 0 || names.length === 0) names.push(rest === 0 ? '0' : `0x${rest.toString(16)}`);
  return names.join('|');
}
