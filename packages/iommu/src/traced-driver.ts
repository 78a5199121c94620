/** The calls of the IOMMU driver that a tracer sees. */
import { pagesOf, type IovaPn, type Pfn, type Tracer } from '@pinfold/base';
import type { DriverFunctions, IoPageTable } from './formats/format.ts';
import type { IotlbGather } from './iotlb-gather.ts';

/** The map_pages and unmap_pages of a driver's page table, with a tracer that sees them. */
export class TracedDriver implements Pick<IoPageTable, 'mapPages' | 'unmapPages'> {
  readonly #table: IoPageTable;
  readonly #functions: DriverFunctions;
  readonly #tracer: Tracer;
  /** Whether its functions take a length, not a page size and a count. */
  readonly #takesLength: boolean;

  /**
   * @param table the page table
   * @param functions what its driver's functions are called
   * @param tracer sees the calls
   */
  constructor(table: IoPageTable, functions: DriverFunctions, tracer: Tracer) {
    this.#table = table;
    this.#functions = functions;
    this.#tracer = tracer;
    this.#takesLength = [table.isIommupt, table.pageByPage].some(Boolean);
  }

  mapPages(iovaPn: IovaPn, pfn: Pfn, order: number, count: number, prot: number): number {
    const { map } = this.#functions;
    const tracer = this.#tracer;
    const pages = pagesOf(order);
    for (const fn of map) {
      if (this.#takesLength) tracer.enter(fn, iovaPn, pfn, pages * count);
      else tracer.enter(fn, iovaPn, pfn, pages, count);
    }
    const error = this.#table.mapPages(iovaPn, pfn, order, count, prot);
    for (const fn of map.toReversed()) tracer.exit(fn, error);
    return error;
  }

  unmapPages(iovaPn: IovaPn, order: number, count: number, gather: IotlbGather): number {
    const { unmap } = this.#functions;
    const tracer = this.#tracer;
    const pages = pagesOf(order);
    for (const fn of unmap) {
      if (this.#takesLength) tracer.enter(fn, iovaPn, pages * count);
      else tracer.enter(fn, iovaPn, pages, count);
    }
    const unmapped = this.#table.unmapPages(iovaPn, order, count, gather);
    for (const fn of unmap.toReversed()) tracer.exit(fn, unmapped);
    return unmapped;
  }
}
