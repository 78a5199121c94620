/** Why an ioctl was refused: which check gave the errno, and what it saw. */
import { errnoName, type ErrorDetail } from '@pinfold/base';

/** The checks of iommufd, each named `<kernel function>: <what it wants>`. */
export type IommufdCheck =
  | 'iommufd_ioas_map: known flags and zero reserved fields'
  | 'iommufd_ioas_map: iova and length below the end'
  | 'iommufd_ioas_map: readable or writeable'
  | 'iommufd_get_object: the id names such an object'
  | 'iommufd_object_remove: nobody uses the object'
  | 'iopt_alloc_pages: the length is not 0'
  | 'iopt_alloc_pages: the range does not wrap'
  | 'iopt_alloc_file_pages: the descriptor is open'
  | 'iopt_map_dmabuf: the range lies inside the buffer'
  | 'iopt_map_dmabuf: the exporter is vfio-pci'
  | 'iopt_map_dmabuf: the buffer is not revoked'
  | 'iopt_alloc_area_pages: the length is aligned'
  | 'iopt_check_iova: the address is aligned'
  | 'iopt_check_iova: the range does not wrap'
  | 'iopt_check_iova: no reserved range'
  | 'iopt_check_iova: no mapping is there'
  | 'iopt_alloc_iova: the length can be aligned'
  | 'iopt_alloc_iova: a hole is large enough'
  | 'iopt_insert_area: the pages may be written to'
  | 'iopt_insert_area: the start is aligned in its page'
  | 'pfn_reader_user_pin: the pages can be pinned'
  | 'memfd_pin_folios: the range lies inside a file in memory'
  | 'pfn_reader_update_pinned: RLIMIT_MEMLOCK of the user'
  | 'pfn_reader_update_pinned: RLIMIT_MEMLOCK of the process'
  | 'update_mm_locked_vm: the owner of the memory is there'
  | 'iommu_map: the domain takes the range'
  | 'iopt_get_pages: the source is mapped as a whole'
  | 'iopt_unmap_iova: the length is not 0'
  | 'iopt_unmap_iova: the range does not wrap'
  | 'iopt_unmap_iova_range: something is mapped there'
  | 'iopt_unmap_iova_range: no mapping is cut'
  | 'iopt_unmap_iova_range: nobody uses the mapping'
  | 'iopt_unmap_iova_range: the accesses let go'
  | 'iommufd_ioas_iova_ranges: the array holds all ranges'
  | 'iommufd_ioas_allow_iovas: the ranges are in order'
  | 'iommufd_ioas_allow_iovas: the ranges do not overlap'
  | 'iopt_set_allow_iova: nothing of it is reserved'
  | 'iommufd_option: known option and operation'
  | 'iommufd_option_rlimit_mode: CAP_SYS_RESOURCE'
  | 'iommufd_option_rlimit_mode: before the first object'
  | 'iommufd_ioas_option: the value is 0 or 1'
  | 'iopt_enable_large_pages: the alignment allows it'
  | 'iopt_disable_large_pages: nothing is mapped yet'
  | 'iopt_disable_large_pages: all mappings are aligned'
  | 'iommufd_ioas_change_process: all pages are of files'
  | 'iommufd_ioas_change_process: the owner is there'
  | 'iopt_calculate_iova_alignment: no larger than a page'
  | 'iopt_check_iova_alignment: all mappings comply'
  | 'iopt_reserve_iova: nothing is mapped or allowed there'
  | 'iommufd_device_attach: an IOAS or a page table'
  | 'iommufd_device_replace: the device is attached'
  | 'iommufd_device_bind: the device is not bound'
  | 'iommufd_access_pin_pages: the length is not 0'
  | 'iommufd_access_pin_pages: the range does not wrap'
  | 'iommufd_access_pin_pages: the access is attached'
  | 'iommufd_access_pin_pages: the mapping is not going'
  | 'iommufd_access_pin_pages: the access is allowed'
  | 'iommufd_access_pin_pages: the range is mapped as a whole'
  | 'iopt_area_add_access: the pages may be written to'
  | 'iopt_area_split: the cut is aligned'
  | 'iopt_area_split: no access holds the mapping'
  | 'iopt_area_split: no large pages'
  | 'vfio_compat: argsz, flags'
  | 'vfio_compat: type1 or type1 v2'
  | 'vfio_compat: all of it is named by no range'
  | 'vfio_compat: the command is known'
  | 'iommufd_get_object: a compatibility IOAS';

/** A refusal. */
export interface IommufdRefusal {
  /** The check. */
  readonly check: IommufdCheck;
  /** The errno, positive. */
  readonly errno: number;
  /** What the check saw. */
  readonly details: ErrorDetail;
}

/**
 * One line that says what was refused, and why.
 *
 * @param refusal the refusal
 * @returns for example `EEXIST: iopt_check_iova: no mapping is there (iova=0x1000)`
 */
export function refusalText({ check, errno, details }: IommufdRefusal): string {
  const seen = Object.entries(details).map(([name, value]) => `${name}=${textOf(value)}`);
  return `${errnoName(errno)}: ${check}${seen.length > 0 ? ` (${seen.join(', ')})` : ''}`;
}

function textOf(value: string | number | boolean | bigint): string {
  return typeof value === 'bigint' ? `0x${value.toString(16)}` : String(value);
}

/** The refusal of the ioctl under way. */
export class Refusals {
  /** The check that gave the errno; null if none did. */
  last: IommufdRefusal | null = null;

  /**
   * Refuses.
   *
   * @param check the check
   * @param errno positive errno
   * @param details what it saw
   * @returns the negative errno
   */
  refuse(check: IommufdCheck, errno: number, details: ErrorDetail = {}): number {
    this.last = { check, errno, details };
    return -errno;
  }
}
