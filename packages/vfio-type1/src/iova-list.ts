/**
 * The usable I/O virtual addresses of a container: the aperture of its domains without the
 * reserved regions of its groups.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_aper_resize, vfio_iommu_resv_exclude,
 * vfio_iommu_aper_expand, vfio_iommu_resv_refresh, vfio_iommu_iova_dma_valid, 6.16; reference
 * type1.md §11
 */
import type { IovaPn } from '@pinfold/base';
import type { ResvRegion } from '@pinfold/iommu';

/** A usable range (struct vfio_iova). */
export interface IovaRange {
  /** First page. */
  readonly start: IovaPn;
  /** Last page, inclusive. */
  readonly last: IovaPn;
}

/**
 * Clips the list to an aperture.
 *
 * @param list usable ranges; empty means no restriction yet
 * @param aperture the aperture
 * @returns the clipped list
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_aper_resize, 6.16
 */
export function clipToAperture(list: readonly IovaRange[], aperture: IovaRange): IovaRange[] {
  if (list.length === 0) return [aperture];
  return list
    .map(({ start, last }) => ({
      start: Math.max(start, aperture.start),
      last: Math.min(last, aperture.last),
    }))
    .filter(({ start, last }) => start <= last);
}

/**
 * Cuts reserved regions out of the list. A relaxable direct mapping is left in.
 *
 * @param list usable ranges
 * @param regions reserved regions
 * @returns the ranges that remain
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_resv_exclude, 6.16
 */
export function excludeReserved(
  list: readonly IovaRange[],
  regions: readonly ResvRegion[],
): IovaRange[] {
  let ranges = [...list];
  for (const region of regions) {
    if (region.type === 'direct-relaxable') continue;
    ranges = ranges.flatMap(({ start, last }) =>
      [
        { start, last: Math.min(last, region.start - 1) },
        { start: Math.max(start, region.last + 1), last },
      ].filter((piece) => piece.start <= piece.last),
    );
  }
  return ranges;
}

/**
 * Widens the list to the apertures of the domains that are left; what lies between its ends stays.
 *
 * @param list usable ranges; empty means no restriction
 * @param apertures apertures of the domains; none leaves the whole 64-bit address space
 * @param pageShift log2 of the page size in bytes
 * @returns the list with its first start and its last end moved
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_aper_expand, 6.16
 */
export function expandAperture(
  list: readonly IovaRange[],
  apertures: readonly IovaRange[],
  pageShift: number,
): readonly IovaRange[] {
  if (list.length === 0) return list;
  const start = Math.max(0, ...apertures.map((aperture) => aperture.start));
  const last = Math.min(2 ** (64 - pageShift) - 1, ...apertures.map((aperture) => aperture.last));
  return list.map((range, i) => ({
    start: i === 0 ? start : range.start,
    last: i === list.length - 1 ? last : range.last,
  }));
}

/**
 * The list anew, between its own ends, with other reserved regions cut out.
 *
 * @param list usable ranges; empty means no restriction
 * @param regions reserved regions of the groups that are left
 * @returns the new list, or null if nothing would be left of it
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_resv_refresh, 6.16
 */
export function refreshReserved(
  list: readonly IovaRange[],
  regions: readonly ResvRegion[],
): readonly IovaRange[] | null {
  if (list.length === 0) return list;
  const whole = { start: list[0].start, last: list[list.length - 1].last };
  const refreshed = excludeReserved([whole], regions);
  return refreshed.length > 0 ? refreshed : null;
}

/**
 * Whether a range lies inside one range of the list; two that touch are still two.
 *
 * @param list usable ranges; empty means no restriction
 * @param start first page
 * @param last last page, inclusive
 * @returns true if it may be mapped
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_iova_dma_valid, 6.16
 */
export function iovaDmaValid(list: readonly IovaRange[], start: IovaPn, last: IovaPn): boolean {
  return list.length === 0 || list.some((range) => range.start <= start && last <= range.last);
}
