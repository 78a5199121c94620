/**
 * A page table in front of another one: it notes the calls that change something, and can be told
 * to fail or to return other lengths than asked.
 */
import {
  IommuDomain,
  type IoLeaf,
  type IotlbGather,
  type IoPageTable,
  type LeafRun,
  type PhysRun,
} from '@pinfold/iommu';
import { VfioDomain, type VfioIommu } from '../src/index.ts';

/** What a watched table may be told. */
export interface Orders {
  /** Called before every map_pages; an errno below 0 makes it fail, with `mapped` pages done. */
  readonly map?: (
    iovaPn: number,
    npage: number,
  ) => { readonly error: number; readonly mapped: number } | null;
  /** Called before every unmap_pages: what it does and returns instead, null to do as asked. */
  readonly unmap?: (iovaPn: number, npage: number) => number | null;
  /** Called at every change. */
  readonly note?: (what: string) => void;
}

class WatchedTable implements IoPageTable {
  readonly #inner: IoPageTable;
  readonly #orders: Orders;
  mapped = 0;

  constructor(inner: IoPageTable, orders: Orders) {
    this.#inner = inner;
    this.#orders = orders;
  }

  get pageOrders(): readonly number[] {
    return this.#inner.pageOrders;
  }

  get aperturePages(): number {
    return this.#inner.aperturePages;
  }

  get isIommupt(): boolean {
    return this.#inner.isIommupt === true;
  }

  get tablePages(): number {
    return this.#inner.tablePages;
  }

  mapPages(iovaPn: number, pfn: number, order: number, count: number, prot: number): number {
    this.#orders.note?.(`map ${iovaPn}+${count * 2 ** order}`);
    const refused = this.#orders.map?.(iovaPn, count * 2 ** order) ?? null;
    const whole = count * 2 ** order;
    const leaves = refused ? Math.floor(Math.min(refused.mapped, whole) / 2 ** order) : count;
    const ret = leaves > 0 ? this.#inner.mapPages(iovaPn, pfn, order, leaves, prot) : 0;
    this.mapped = leaves > 0 ? this.#inner.mapped : 0;
    return refused ? refused.error : ret;
  }

  unmapPages(iovaPn: number, order: number, count: number, gather: IotlbGather): number {
    const npage = count * 2 ** order;
    const instead = this.#orders.unmap?.(iovaPn, npage) ?? null;
    this.#orders.note?.(`unmap ${iovaPn}+${npage}`);
    if (instead === 0) return 0;
    if (instead === null) return this.#inner.unmapPages(iovaPn, order, count, gather);
    this.#inner.unmapPages(iovaPn, 0, instead, gather);
    return instead;
  }

  iotlbSync(gather: IotlbGather): void {
    this.#orders.note?.('sync');
    this.#inner.iotlbSync(gather);
  }

  iovaToPhys(iovaPn: number): number {
    return this.#inner.iovaToPhys(iovaPn);
  }

  iovaToPhysRun(iovaPn: number, npage: number, out: PhysRun): void {
    this.#inner.iovaToPhysRun(iovaPn, npage, out);
  }

  leaves(): Iterable<IoLeaf> {
    return this.#inner.leaves();
  }

  nextLeaves(from: number, out: LeafRun): boolean {
    return this.#inner.nextLeaves(from, out);
  }
}

/** Puts a watched table in front of that of a container's domain. */
export function watch(iommu: VfioIommu, orders: Orders, which = 0): void {
  const known = iommu.domainList[which];
  const { unit, table } = known.domain;
  const watched = new IommuDomain(unit, new WatchedTable(table, orders), iommu.counters);
  iommu.domainList[which] = Object.assign(new VfioDomain(watched), {
    groupList: known.groupList,
    fgsp: known.fgsp,
  });
}
