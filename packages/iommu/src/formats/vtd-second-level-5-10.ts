/**
 * VT-d second-level tables as the Intel driver kept them up to 5.14.
 *
 * - It says that it has every power of two from 4 KiB on as a page size, and cuts what it is handed
 *   into leaves itself; so the core hands it the largest powers of two that fit, one per call.
 * - Each unmap flushes the IOTLB, and frees the tables that it covers: nothing is gathered.
 * - Every leaf is readable, as in 6.12.
 *
 * @source drivers/iommu/intel/iommu.c intel_iommu_map, intel_iommu_unmap, 5.10; recordings of
 * 5.10.223, i01, b53 and s06
 */
import { pagesOf, Slot, type Counters, type IovaPn } from '@pinfold/base';
import { IotlbGather } from '../iotlb-gather.ts';
import {
  IOMMU,
  type DriverFunctions,
  type IoPageTableFormat,
  type IoPageTableOptions,
} from './format.ts';
import { ENTRY_PAGES } from './radix-tables.ts';
import { VtdSecondLevel } from './vtd-second-level.ts';
import { vtdShape } from './vtd-tables.ts';

const INTEL: DriverFunctions = { map: ['intel_iommu_map'], unmap: ['intel_iommu_unmap'] };
/** Orders of 4 KiB to 2^63 bytes. */
const EVERY_ORDER: readonly number[] = Array.from({ length: 52 }, (_, order) => order);

class VtdSecondLevel510 extends VtdSecondLevel {
  override readonly traced: DriverFunctions = INTEL;
  readonly pageByPage = true;
  readonly leafOrders: readonly number[];
  /** Tables of the unmap under way. */
  readonly #freed = new IotlbGather();

  constructor(options: IoPageTableOptions, counters: Counters) {
    super(options, counters, IOMMU.READ, { ...vtdShape(options), pageOrders: EVERY_ORDER });
    this.leafOrders = vtdShape(options).pageOrders;
  }

  override unmapPages(iovaPn: IovaPn, order: number, count: number): number {
    if (iovaPn >= this.aperturePages) return 0;
    const npage = Math.max(count * pagesOf(order), ENTRY_PAGES[this.levelAt(iovaPn)]);
    this.clear(this.root, this.top, iovaPn, iovaPn + npage - 1, this.#freed);
    this.counters.add(Slot.cacheTagFlushes, 1);
    this.freeGathered(this.#freed);
    return npage;
  }

  override iotlbSync(): void {
    // The driver has no iotlb_sync: nothing is left to flush.
  }
}

/** The format's entry in the registry. */
export const vtdSecondLevel510: IoPageTableFormat = {
  name: 'vtd-second-level-5-10',
  summary:
    'VT-d second-level tables, code of the Intel driver of 5.10: a flush per page of any size',
  create: (options, counters) => new VtdSecondLevel510(options, counters),
};
