/**
 * The ioctls of VFIO and iommufd. All are `_IO(';', number)`: neither size nor direction is in the
 * command. VFIO counts from 100 and gives a number anew on another kind of file, so that a command alone
 * may stand for several ioctls; iommufd counts from 0x80.
 *
 * @source include/uapi/linux/vfio.h and include/uapi/linux/iommufd.h, 7.3
 */
import type { StructName } from './structs.ts';

/** Kind of file that an ioctl is made on. `vfio` is the container, whatever its IOMMU type. */
export type IoctlFile = 'vfio' | 'type1' | 'spapr' | 'group' | 'device' | 'iommufd';

/** An ioctl. */
export interface IoctlCommand {
  /** Its name, as the headers spell it. */
  readonly name: string;
  /** The command: what the second argument of the system call is. */
  readonly command: number;
  /** Kind of file that it is made on. */
  readonly file: IoctlFile;
  /** Structure that its argument points to; null: a number, a string, or nothing. */
  readonly struct: StructName | null;
}

/** Type of all ioctls: `_IO(';', nr)`. */
const TYPE = 0x3b;
const VFIO_BASE = 100;
const IOMMUFD_BASE = 0x80;

type Row = readonly [file: IoctlFile, name: string, nr: number, struct?: StructName];

const ROWS: readonly Row[] = [
  ['vfio', 'VFIO_GET_API_VERSION', VFIO_BASE],
  ['vfio', 'VFIO_CHECK_EXTENSION', VFIO_BASE + 1],
  ['vfio', 'VFIO_SET_IOMMU', VFIO_BASE + 2],
  ['group', 'VFIO_GROUP_GET_STATUS', VFIO_BASE + 3, 'vfio_group_status'],
  ['group', 'VFIO_GROUP_SET_CONTAINER', VFIO_BASE + 4],
  ['group', 'VFIO_GROUP_UNSET_CONTAINER', VFIO_BASE + 5],
  ['group', 'VFIO_GROUP_GET_DEVICE_FD', VFIO_BASE + 6],
  ['device', 'VFIO_DEVICE_GET_INFO', VFIO_BASE + 7, 'vfio_device_info'],
  ['device', 'VFIO_DEVICE_GET_REGION_INFO', VFIO_BASE + 8, 'vfio_region_info'],
  ['device', 'VFIO_DEVICE_GET_IRQ_INFO', VFIO_BASE + 9, 'vfio_irq_info'],
  ['device', 'VFIO_DEVICE_SET_IRQS', VFIO_BASE + 10, 'vfio_irq_set'],
  ['device', 'VFIO_DEVICE_RESET', VFIO_BASE + 11],
  ['device', 'VFIO_DEVICE_GET_PCI_HOT_RESET_INFO', VFIO_BASE + 12, 'vfio_pci_hot_reset_info'],
  ['device', 'VFIO_DEVICE_PCI_HOT_RESET', VFIO_BASE + 13, 'vfio_pci_hot_reset'],
  ['device', 'VFIO_DEVICE_QUERY_GFX_PLANE', VFIO_BASE + 14, 'vfio_device_gfx_plane_info'],
  ['device', 'VFIO_DEVICE_GET_GFX_DMABUF', VFIO_BASE + 15],
  ['device', 'VFIO_DEVICE_IOEVENTFD', VFIO_BASE + 16, 'vfio_device_ioeventfd'],
  ['device', 'VFIO_DEVICE_FEATURE', VFIO_BASE + 17, 'vfio_device_feature'],
  ['device', 'VFIO_DEVICE_BIND_IOMMUFD', VFIO_BASE + 18, 'vfio_device_bind_iommufd'],
  ['device', 'VFIO_DEVICE_ATTACH_IOMMUFD_PT', VFIO_BASE + 19, 'vfio_device_attach_iommufd_pt'],
  ['device', 'VFIO_DEVICE_DETACH_IOMMUFD_PT', VFIO_BASE + 20, 'vfio_device_detach_iommufd_pt'],
  ['type1', 'VFIO_IOMMU_GET_INFO', VFIO_BASE + 12, 'vfio_iommu_type1_info'],
  ['type1', 'VFIO_IOMMU_MAP_DMA', VFIO_BASE + 13, 'vfio_iommu_type1_dma_map'],
  ['type1', 'VFIO_IOMMU_UNMAP_DMA', VFIO_BASE + 14, 'vfio_iommu_type1_dma_unmap'],
  ['type1', 'VFIO_IOMMU_ENABLE', VFIO_BASE + 15],
  ['type1', 'VFIO_IOMMU_DISABLE', VFIO_BASE + 16],
  ['type1', 'VFIO_IOMMU_DIRTY_PAGES', VFIO_BASE + 17, 'vfio_iommu_type1_dirty_bitmap'],
  ['spapr', 'VFIO_IOMMU_SPAPR_TCE_GET_INFO', VFIO_BASE + 12],
  ['spapr', 'VFIO_EEH_PE_OP', VFIO_BASE + 21],
  ['spapr', 'VFIO_IOMMU_SPAPR_REGISTER_MEMORY', VFIO_BASE + 17],
  ['spapr', 'VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY', VFIO_BASE + 18],
  ['spapr', 'VFIO_IOMMU_SPAPR_TCE_CREATE', VFIO_BASE + 19],
  ['spapr', 'VFIO_IOMMU_SPAPR_TCE_REMOVE', VFIO_BASE + 20],
  ['iommufd', 'IOMMU_DESTROY', IOMMUFD_BASE, 'iommu_destroy'],
  ['iommufd', 'IOMMU_IOAS_ALLOC', IOMMUFD_BASE + 1, 'iommu_ioas_alloc'],
  ['iommufd', 'IOMMU_IOAS_ALLOW_IOVAS', IOMMUFD_BASE + 2, 'iommu_ioas_allow_iovas'],
  ['iommufd', 'IOMMU_IOAS_COPY', IOMMUFD_BASE + 3, 'iommu_ioas_copy'],
  ['iommufd', 'IOMMU_IOAS_IOVA_RANGES', IOMMUFD_BASE + 4, 'iommu_ioas_iova_ranges'],
  ['iommufd', 'IOMMU_IOAS_MAP', IOMMUFD_BASE + 5, 'iommu_ioas_map'],
  ['iommufd', 'IOMMU_IOAS_UNMAP', IOMMUFD_BASE + 6, 'iommu_ioas_unmap'],
  ['iommufd', 'IOMMU_OPTION', IOMMUFD_BASE + 7, 'iommu_option'],
  ['iommufd', 'IOMMU_VFIO_IOAS', IOMMUFD_BASE + 8, 'iommu_vfio_ioas'],
  ['iommufd', 'IOMMU_HWPT_ALLOC', IOMMUFD_BASE + 9, 'iommu_hwpt_alloc'],
  ['iommufd', 'IOMMU_GET_HW_INFO', IOMMUFD_BASE + 10, 'iommu_hw_info'],
  [
    ...(['iommufd', 'IOMMU_HWPT_SET_DIRTY_TRACKING'] as const),
    ...([IOMMUFD_BASE + 11, 'iommu_hwpt_set_dirty_tracking'] as const),
  ],
  [
    ...(['iommufd', 'IOMMU_HWPT_GET_DIRTY_BITMAP'] as const),
    ...([IOMMUFD_BASE + 12, 'iommu_hwpt_get_dirty_bitmap'] as const),
  ],
  ['iommufd', 'IOMMU_HWPT_INVALIDATE', IOMMUFD_BASE + 13, 'iommu_hwpt_invalidate'],
  ['iommufd', 'IOMMU_FAULT_QUEUE_ALLOC', IOMMUFD_BASE + 14, 'iommu_fault_alloc'],
  ['iommufd', 'IOMMU_IOAS_MAP_FILE', IOMMUFD_BASE + 15, 'iommu_ioas_map_file'],
  ['iommufd', 'IOMMU_VIOMMU_ALLOC', IOMMUFD_BASE + 16, 'iommu_viommu_alloc'],
  ['iommufd', 'IOMMU_VDEVICE_ALLOC', IOMMUFD_BASE + 17, 'iommu_vdevice_alloc'],
  ['iommufd', 'IOMMU_IOAS_CHANGE_PROCESS', IOMMUFD_BASE + 18, 'iommu_ioas_change_process'],
  ['iommufd', 'IOMMU_VEVENTQ_ALLOC', IOMMUFD_BASE + 19, 'iommu_veventq_alloc'],
  ['iommufd', 'IOMMU_HW_QUEUE_ALLOC', IOMMUFD_BASE + 20, 'iommu_hw_queue_alloc'],
];

/** All ioctls. */
export const ioctlCommands: readonly IoctlCommand[] = ROWS.map(([file, name, nr, struct]) => ({
  ...{ name, file, command: ioctlNumber(nr), struct: struct ?? null },
}));

const BY_NAME = new Map(ioctlCommands.map((one) => [one.name, one]));

/**
 * The command of an ioctl of VFIO or iommufd.
 *
 * @param nr its number among those of type `;`: 100 and more for VFIO, 0x80 and more for iommufd
 * @returns `_IO(';', nr)`
 */
export function ioctlNumber(nr: number): number {
  return TYPE * 0x100 + nr;
}

/**
 * The ioctl of a name.
 *
 * @param name its name, as the headers spell it
 * @returns the ioctl; undefined if there is none
 */
export function ioctlNamed(name: string): IoctlCommand | undefined {
  return BY_NAME.get(name);
}

/**
 * The ioctls that a command may stand for.
 *
 * @param command the second argument of the system call
 * @param file kind of the file, if it is known
 * @returns the ioctls; empty if none is of VFIO or iommufd
 */
export function ioctlsOf(command: number, file?: IoctlFile): IoctlCommand[] {
  return ioctlCommands.filter(
    (one) => one.command === command && (file === undefined || one.file === file),
  );
}
