/**
 * VT-d second-stage tables: three to five levels, leaves of 4 KiB, 2 MiB and 1 GiB, present if
 * readable or writable; and how the Intel driver invalidates the IOTLB.
 *
 * @source Intel VT-d specification, second-stage translation; drivers/iommu/intel/iommu.c
 * intel_iommu_tlb_sync, 6.16; reference iommu.md §7.1
 */
import { InputError, PAGE_SIZE, Slot, type Counters, type IovaPn } from '@pinfold/base';
import type { IotlbGather } from '../iotlb-gather.ts';
import type { IoPageTableOptions } from './format.ts';
import type { RadixShape } from './radix-tables.ts';

/**
 * Shape of the tables of a unit.
 *
 * @param options facts of the hardware
 * @returns levels, input addresses and leaf sizes
 * @throws {InputError} when the address width is none of 39, 48 and 57 bits
 * @source Intel VT-d specification, second-stage translation
 */
export function vtdShape({ addressWidth, superpageOrders }: IoPageTableOptions): RadixShape {
  const levels = (addressWidth - 12) / 9;
  if (levels !== 3 && levels !== 4 && levels !== 5)
    throw new InputError('IOMMU address width', '39, 48 or 57 bits', String(addressWidth));
  return {
    levels,
    aperturePages: 2 ** (addressWidth - 12),
    pageOrders: [0, ...[9, 18].filter((order) => superpageOrders.includes(order))],
  };
}

/**
 * Invalidates the gathered range of the IOTLB.
 *
 * @param gather the pending invalidation
 * @param counters counters to add to
 * @source drivers/iommu/intel/iommu.c intel_iommu_tlb_sync, 6.16
 */
export function intelTlbSync(gather: IotlbGather, counters: Counters): void {
  const { tracer } = counters;
  tracer?.enter('intel_iommu_tlb_sync');
  cacheTagFlushRange(gather.start, gather.end, PAGE_SIZE - 1, counters);
  tracer?.exit('intel_iommu_tlb_sync');
}

/**
 * Invalidates a range of the IOTLB.
 *
 * @param first first page; Infinity if the range is empty
 * @param last last page
 * @param offset the last byte in it that the driver names
 * @param counters counters to add to
 * @source drivers/iommu/intel/cache.c cache_tag_flush_range, 6.16
 */
export function cacheTagFlushRange(
  first: IovaPn,
  last: IovaPn,
  offset: number,
  counters: Counters,
): void {
  const { tracer } = counters;
  counters.add(Slot.cacheTagFlushes, 1);
  tracer?.enter('cache_tag_flush_range', first, last, offset);
  tracer?.exit('cache_tag_flush_range');
}
