/**
 * IOMMU domains: one I/O address space each. Ranges are mapped and unmapped in the page sizes that
 * the core chooses for a driver's page table, or whole by the generic page table code.
 *
 * @source drivers/iommu/iommu.c, 6.16 and 7.2; reference iommu.md §1 to §6
 */
import {
  Errno,
  isAligned,
  PAGE_SIZE,
  pagesOf,
  Slot,
  WrittenRange,
  type Counters,
  type Extents,
  type IovaPn,
  type Pfn,
  type Tracer,
} from '@pinfold/base';
import { ioPageTableFormat } from './formats/index.ts';
import type {
  IoLeaf,
  IommuDevice,
  IoPageTable,
  IoPageTableOptions,
  LeafRun,
  PhysRun,
} from './formats/format.ts';
import { IotlbGather } from './iotlb-gather.ts';
import { iommuPgsize, Pgsize } from './pgsize.ts';
import { iommuKind } from './kinds/index.ts';
import type { ResvRegion } from './resv-region.ts';
import type { IommuRules } from './rules.ts';
import { TracedDriver } from './traced-driver.ts';

/** Facts of one IOMMU. */
export interface IommuUnit extends IoPageTableOptions {
  /** Kind of hardware: name of an {@link IommuKind}. */
  readonly kind: string;
  /** Whether it can ignore no-snoop requests (enforce_cache_coherency). */
  readonly snoopControl: boolean;
  /** Regions that its groups must not be given. */
  readonly resvRegions: readonly ResvRegion[];
  /** Told of every domain that is allocated on it; not there: nobody is. */
  domainAllocated?: (domain: IommuDomain) => void;
}

/** A domain of no release: what a tracer may see, it sees. */
const CALLS_ALL = { mapNosync: true, syncsEmptyGathers: true } as const;

/** An I/O address space. */
export class IommuDomain {
  /** The IOMMU that translates it. */
  readonly unit: IommuUnit;
  /** Its page table. */
  readonly table: IoPageTable;
  /** Where it was mapped and unmapped, for whoever shows the table step by step. */
  readonly written: WrittenRange = new WrittenRange();
  readonly #counters: Counters;
  readonly #mapNosync: boolean;
  readonly #syncsEmptyGathers: boolean;
  readonly #smallest: number;
  readonly #pgsize = new Pgsize();
  /** Extents that the last {@link mapExtents} mapped, also when it failed half way. */
  extentsMapped = 0;
  /** Their pages. */
  extentPagesMapped = 0;
  /** Pages that the map under way has mapped. */
  #mapped = 0;

  /**
   * @param unit the IOMMU
   * @param table an empty page table
   * @param counters counters to add to
   * @param rules which calls the release's driver gets; default: both
   */
  constructor(
    unit: IommuUnit,
    table: IoPageTable,
    counters: Counters,
    rules: Pick<IommuRules, 'mapNosync' | 'syncsEmptyGathers'> = CALLS_ALL,
  ) {
    this.unit = unit;
    this.table = table;
    this.#counters = counters;
    this.#mapNosync = rules.mapNosync;
    this.#syncsEmptyGathers = rules.syncsEmptyGathers;
    this.#smallest = table.pageOrders[0];
  }

  /** Its page sizes in bytes, one bit each (pgsize_bitmap): 4 KiB, 2 MiB and 1 GiB are 0x40201000. */
  get pgsizeBitmap(): bigint {
    const { pageOrders } = this.table;
    return pageOrders.reduce((bitmap, order) => bitmap | (BigInt(PAGE_SIZE) << BigInt(order)), 0n);
  }

  /** First page of the aperture. */
  get apertureFirst(): IovaPn {
    return this.table.apertureFirst ?? 0;
  }

  /** Last page of the aperture, inclusive. */
  get apertureLast(): IovaPn {
    return this.table.aperturePages - 1;
  }

  /**
   * A device begins to translate by the domain.
   *
   * @param device the device; one that nobody names shows nothing to its driver
   * @source drivers/iommu/iommu.c __iommu_attach_device, 6.18
   */
  attachDevice(device: IommuDevice | undefined): void {
    if (device) this.table.attachDevice?.(device);
  }

  /**
   * A device translates by the domain no longer: it is blocked.
   *
   * @param device the device
   * @source drivers/iommu/iommu.c __iommu_group_set_core_domain, 6.18
   */
  detachDevice(device: IommuDevice | undefined): void {
    if (device) this.table.detachDevice?.(device);
  }

  /**
   * Frees the domain, which no device translates by any more.
   *
   * @source drivers/iommu/iommu.c iommu_domain_free, 6.18
   */
  free(): void {
    this.table.freeAll?.();
  }

  /**
   * Maps a physically contiguous range. What was done is undone when a part of it fails, by an
   * unmap with its own IOTLB flush, which the core makes even if nothing was done.
   *
   * @param iovaPn first I/O virtual page
   * @param pfn first page frame
   * @param npage length in pages
   * @param prot {@link IOMMU} access bits
   * @returns 0; or -EINVAL (misaligned to the smallest page size, no access), or what else the format
   *   refuses with, such as -EFAULT or -ERANGE above the address width
   * @source drivers/iommu/iommu.c iommu_map, iommu_map_nosync, 6.16 and 7.2
   */
  map(iovaPn: IovaPn, pfn: Pfn, npage: number, prot: number): number {
    const { tracer } = this.#counters;
    this.#counters.add(Slot.iommuMapCalls, 1);
    this.written.add(iovaPn, npage);
    if (tracer !== null) this.#enterMap(tracer, iovaPn, pfn, npage);
    let error = -Errno.EINVAL;
    if (!this.#misaligned(iovaPn, npage) && !this.#misaligned(pfn, npage)) {
      error = this.table.isIommupt
        ? this.#mapRange(iovaPn, pfn, npage, prot)
        : this.#mapBySize(iovaPn, pfn, npage, prot);
      if (error === 0) this.table.iotlbSyncMap?.(iovaPn, npage);
      else this.unmap(iovaPn, this.#mapped);
    }
    if (tracer !== null) this.#exitMap(tracer, error);
    return error;
  }

  /**
   * Maps extents one behind the other, as {@link map} does if it is called for each. What was mapped
   * before one that fails stays.
   *
   * @param iovaPn first I/O virtual page
   * @param extents the extents
   * @param count how many of them, from the first on
   * @param prot {@link IOMMU} access bits
   * @returns 0, or what {@link map} returned of the extent that failed; `extentsMapped` and
   *   `extentPagesMapped` say how far it came
   * @source drivers/iommu/iommu.c iommu_map, 6.16
   */
  mapExtents(iovaPn: IovaPn, extents: Extents, count: number, prot: number): number {
    const { table } = this;
    const traced = this.#counters.tracer !== null;
    let pages = 0;
    let i = 0;
    let error = 0;
    while (i < count && error === 0) {
      const leaves = traced ? 0 : (table.mapLeaves?.(iovaPn + pages, extents, i, count, prot) ?? 0);
      if (leaves > 0) {
        this.#countLeafMaps(leaves);
        pages += table.mapped;
        i += leaves;
        continue;
      }
      const npage = Math.abs(extents.npage[i]);
      error = this.map(iovaPn + pages, extents.pfn[i], npage, prot);
      if (error !== 0) break;
      pages += npage;
      i++;
    }
    this.written.add(iovaPn, pages);
    this.extentsMapped = i;
    this.extentPagesMapped = pages;
    return error;
  }

  /** Each was an iommu_map, and of a driver's own page table a call of the driver. */
  #countLeafMaps(leaves: number): void {
    this.#counters.add(Slot.iommuMapCalls, leaves);
    if (!this.table.isIommupt) this.#counters.add(Slot.iommuMapPagesCalls, leaves);
  }

  /**
   * Unmaps a range and invalidates the IOTLB.
   *
   * @param iovaPn first I/O virtual page
   * @param npage length in pages
   * @returns pages unmapped, which can be less or more than asked; 0 if misaligned
   * @source drivers/iommu/iommu.c iommu_unmap, 6.16
   */
  unmap(iovaPn: IovaPn, npage: number): number {
    const { tracer } = this.#counters;
    const gather = new IotlbGather();
    this.#counters.add(Slot.iommuUnmapSyncCalls, 1);
    tracer?.enter('iommu_unmap', iovaPn, npage);
    const unmapped = this.#unmap(iovaPn, npage, gather);
    this.iotlbSync(gather);
    tracer?.exit('iommu_unmap', unmapped);
    return unmapped;
  }

  /**
   * Unmaps a range and leaves the invalidation to the caller.
   *
   * @param iovaPn first I/O virtual page
   * @param npage length in pages
   * @param gather the caller's gather
   * @returns pages unmapped, which can be less or more than asked; 0 if misaligned
   * @source drivers/iommu/iommu.c iommu_unmap_fast, __iommu_unmap, 6.16 and 7.2
   */
  unmapFast(iovaPn: IovaPn, npage: number, gather: IotlbGather): number {
    const { tracer } = this.#counters;
    if (tracer === null) return this.#unmap(iovaPn, npage, gather);
    tracer.enter('iommu_unmap_fast', iovaPn, npage);
    const unmapped = this.#unmap(iovaPn, npage, gather);
    tracer.exit('iommu_unmap_fast', unmapped);
    return unmapped;
  }

  /**
   * Invalidates what a gather holds and empties it. For a gather that holds nothing the core of
   * some releases does not call the driver.
   *
   * @param gather the pending invalidation
   * @source include/linux/iommu.h iommu_iotlb_sync, 6.16 and 7.2
   */
  iotlbSync(gather: IotlbGather): void {
    if (!this.#syncsEmptyGathers && gather.isEmpty) return;
    this.#counters.add(Slot.iotlbSyncs, 1);
    this.table.iotlbSync(gather);
  }

  /**
   * Translates one page.
   *
   * @param iovaPn I/O virtual page
   * @returns its page frame; 0 for "no translation", so that frame 0 cannot be represented
   * @source drivers/iommu/iommu.c iommu_iova_to_phys, 6.16
   */
  iovaToPhys(iovaPn: IovaPn): Pfn {
    const pfn = this.table.iovaToPhys(iovaPn);
    this.#counters.tracer?.repeat('iommu_iova_to_phys', 1, iovaPn, 0, pfn, 0);
    return pfn;
  }

  /**
   * Translates page after page while the frames are consecutive, one call counted per page.
   *
   * @param iovaPn first I/O virtual page
   * @param npage pages to look at, at least 1
   * @param out gets first frame and length; see {@link IoPageTable.iovaToPhysRun}
   * @source drivers/vfio/vfio_iommu_type1.c vfio_unmap_unpin (the scan), 6.16
   */
  iovaToPhysRun(iovaPn: IovaPn, npage: number, out: PhysRun): void {
    const { tracer } = this.#counters;
    if (tracer === null) this.table.iovaToPhysRun(iovaPn, npage, out);
    else this.#scanEach(tracer, iovaPn, npage, out);
  }

  /**
   * Translates page after page, one call each, as a caller does that makes ranges of what it gets: of
   * pages whose frames are consecutive from the first on.
   *
   * @param iovaPn first I/O virtual page
   * @param npage pages to look at, at least 1
   * @param out gets first frame and length: 0 and 0 where the first page has no translation
   * @source drivers/iommu/iommufd/pages.c batch_from_domain, 7.2
   */
  iovaToPhysEach(iovaPn: IovaPn, npage: number, out: PhysRun): void {
    const { tracer } = this.#counters;
    // The call that ends the run is the first of the next one, and is counted there.
    this.table.iovaToPhysRun(iovaPn, npage, out, false);
    if (tracer === null) return;
    const n = Math.max(out.npage, 1);
    tracer.repeat('iommu_iova_to_phys', n, iovaPn, 1, out.pfn, n > 1 ? 1 : 0);
  }

  /**
   * All leaves of its page table in address order.
   *
   * @returns one record per leaf
   */
  leaves(): Iterable<IoLeaf> {
    return this.table.leaves();
  }

  /**
   * Finds the next leaves of its page table; see {@link IoPageTable.nextLeaves}.
   *
   * @param from the page, or the first one behind it, that leaves are wanted of
   * @param out gets the leaves
   * @param end looks for leaves that begin before this page; default: all
   * @returns whether there are any
   */
  nextLeaves(from: IovaPn, out: LeafRun, end?: IovaPn): boolean {
    return this.table.nextLeaves(from, out, end);
  }

  /** The calls of {@link iovaToPhysRun} one by one, so that a tracer sees what each returns. */
  #scanEach(tracer: Tracer, iovaPn: IovaPn, npage: number, out: PhysRun): void {
    const first = this.table.iovaToPhys(iovaPn);
    let next = first;
    let n = 1;
    while (first !== 0 && n < npage) {
      next = this.table.iovaToPhys(iovaPn + n);
      if (next !== first + n) break;
      n++;
    }
    tracer.repeat('iommu_iova_to_phys', n, iovaPn, 1, first, 1);
    if (first !== 0 && n < npage) tracer.repeat('iommu_iova_to_phys', 1, iovaPn + n, 0, next, 0);
    out.pfn = first;
    out.npage = first === 0 ? 0 : n;
  }

  #enterMap(tracer: Tracer, iovaPn: IovaPn, pfn: Pfn, npage: number): void {
    tracer.enter('iommu_map', iovaPn, pfn, npage);
    if (this.#mapNosync) tracer.enter('iommu_map_nosync', iovaPn, pfn, npage);
  }

  #exitMap(tracer: Tracer, error: number): void {
    if (this.#mapNosync) tracer.exit('iommu_map_nosync', error);
    tracer.exit('iommu_map', error);
  }

  /** __iommu_unmap. */
  #unmap(iovaPn: IovaPn, npage: number, gather: IotlbGather): number {
    this.#counters.add(Slot.iommuUnmapCalls, 1);
    if (this.#misaligned(iovaPn, npage)) return 0;
    const unmapped = this.table.isIommupt
      ? this.#driver().unmapPages(iovaPn, this.#smallest, npage / pagesOf(this.#smallest), gather)
      : this.#unmapBySize(iovaPn, npage, gather);
    this.written.add(iovaPn, Math.max(npage, unmapped));
    return unmapped;
  }

  /** The whole range in one call of the generic page table code; `#mapped` says how far it came. */
  #mapRange(iovaPn: IovaPn, pfn: Pfn, npage: number, prot: number): number {
    const count = npage / pagesOf(this.#smallest);
    const error = this.#driver().mapPages(iovaPn, pfn, this.#smallest, count, prot);
    this.#mapped = this.table.mapped;
    return error;
  }

  /** One map_pages call per page size; `#mapped` says how far it came. */
  #mapBySize(iovaPn: IovaPn, pfn: Pfn, npage: number, prot: number): number {
    const { table } = this;
    const driver = this.#driver();
    let done = 0;
    let calls = 0;
    let error = 0;
    while (done < npage && error === 0) {
      iommuPgsize(table.pageOrders, iovaPn + done, pfn + done, npage - done, this.#pgsize);
      const { order } = this.#pgsize;
      const count = table.pageByPage ? 1 : this.#pgsize.count;
      error = driver.mapPages(iovaPn + done, pfn + done, order, count, prot);
      done += table.mapped;
      calls++;
    }
    this.#counters.add(Slot.iommuMapPagesCalls, calls);
    this.#mapped = done;
    return error;
  }

  /** One unmap_pages call per page size, until one unmaps nothing; returns the pages unmapped. */
  #unmapBySize(iovaPn: IovaPn, npage: number, gather: IotlbGather): number {
    const { table } = this;
    const driver = this.#driver();
    let done = 0;
    let calls = 0;
    while (done < npage) {
      iommuPgsize(table.pageOrders, iovaPn + done, iovaPn + done, npage - done, this.#pgsize);
      const { order } = this.#pgsize;
      const count = table.pageByPage ? 1 : this.#pgsize.count;
      const unmapped = driver.unmapPages(iovaPn + done, order, count, gather);
      calls++;
      if (unmapped === 0) break;
      done += unmapped;
    }
    this.#counters.add(Slot.iommuUnmapPagesCalls, calls);
    return done;
  }

  /** The page table, through a tracer if there is one and the driver's functions have names. */
  #driver(): Pick<IoPageTable, 'mapPages' | 'unmapPages'> {
    const { tracer } = this.#counters;
    const { traced } = this.table;
    if (tracer === null || traced === undefined) return this.table;
    return new TracedDriver(this.table, traced, tracer);
  }

  #misaligned(pn: number, npage: number): boolean {
    return !isAligned(pn, this.#smallest) || !isAligned(npage, this.#smallest);
  }
}

/**
 * Whether an IOMMU can translate by a domain that was made for another one (attach_dev): one whose
 * tables are as it would walk them, with no address, no leaf and no flag that it does not know.
 *
 * Left out: the driver of 6.12 narrows a domain to an IOMMU of fewer address bits, as long as
 * nothing was ever mapped above, and to the superpages that both have.
 *
 * @param domain the domain
 * @param unit the IOMMU
 * @param rules IOMMU rules of the kernel
 * @returns true if a group behind the IOMMU can be attached
 * @source drivers/iommu/intel/iommu.c paging_domain_compatible, 6.16 and 6.18
 */
export function canAttach(domain: IommuDomain, unit: IommuUnit, rules: IommuRules): boolean {
  const { kind, addressWidth, superpageOrders, snoopControl } = domain.unit;
  if (kind !== unit.kind || addressWidth > unit.addressWidth) return false;
  if (snoopControl && !unit.snoopControl) return false;
  const known = superpageOrders.every((order) => unit.superpageOrders.includes(order));
  const same = superpageOrders.length === unit.superpageOrders.length;
  return known && (same || !rules.attachNeedsSameSuperpages);
}

/**
 * Allocates a paging domain on an IOMMU, in the page-table code of a release.
 *
 * @param unit the IOMMU
 * @param rules IOMMU rules of the kernel
 * @param counters counters to add to
 * @returns an empty domain
 * @throws {InputError} when the unit's address width is none that its format supports
 * @source drivers/iommu/iommu.c iommu_paging_domain_alloc, 6.16
 */
export function iommuPagingDomainAlloc(
  unit: IommuUnit,
  rules: IommuRules,
  counters: Counters,
): IommuDomain {
  const format = ioPageTableFormat(rules.formats[unit.kind] ?? iommuKind(unit.kind).format);
  const table = format.create(unit, counters);
  const domain = new IommuDomain(unit, table, counters, rules);
  unit.domainAllocated?.(domain);
  return domain;
}
