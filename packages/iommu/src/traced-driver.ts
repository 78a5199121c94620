/** The calls of the IOMMU driver that a tracer sees. */
import { pagesOf, type IovaPn, type Pfn, type Tracer } from '@pinfold/base';
import type { IoPageTable } from './formats/format.ts';
import type { IotlbGather } from './iotlb-gather.ts';

/** The map_pages and unmap_pages of a driver's page table, with a tracer that sees them. */
export class TracedDriver implements Pick<IoPageTable, 'mapPages' | 'unmapPages'> {
  readonly #table: IoPageTable;
  readonly #tracer: Tracer;

  /**
   * @param table the page table
   * @param tracer sees the calls
   */
  constructor(table: IoPageTable, tracer: Tracer) {
    this.#table = table;
    this.#tracer = tracer;
  }

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    this.#tracer.enter('intel_iommu_map_pages', iovaPn, pfn, pagesOf(order), count);
    const error = this.#table.mapPages(iovaPn, pfn, order, count, prot);
    this.#tracer.exit('intel_iommu_map_pages', error);
    return error;
  }

  unmapPages(iovaPn: IovaPn, order: number, count: number, gather: IotlbGather): number {
    this.#tracer.enter('intel_iommu_unmap_pages', iovaPn, pagesOf(order), count);
    const unmapped = this.#table.unmapPages(iovaPn, order, count, gather);
    this.#tracer.exit('intel_iommu_unmap_pages', unmapped);
    return unmapped;
  }
}
