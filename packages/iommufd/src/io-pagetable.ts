/**
 * io_pagetable: one I/O address space. Mappings, reserved and allowed ranges, and the domains that
 * all have the same mappings.
 *
 * @source drivers/iommu/iommufd/io_pagetable.c, io_pagetable.h struct io_pagetable, 7.2; reference
 * iommufd.md §1, §4 and §11
 */
import { Errno, PAGE_SIZE } from '@pinfold/base';
import type { IommuDomain, ResvRegion } from '@pinfold/iommu';
import type { Task } from '@pinfold/mm';
import type { IommufdAccess } from './access.ts';
import { IoptArea } from './area.ts';
import type { IommufdContext } from './context.ts';
import { ioptAreaFillDomain, ioptAreaFillDomains } from './fill-domains.ts';
import { IntervalTree, spanAt } from './interval-tree.ts';
import { ioptAllocIova } from './alloc-iova.ts';
import type { IoptPages } from './pages.ts';
import { ioptAreaUnfillDomain, ioptAreaUnfillDomains } from './unfill-domains.ts';
import { ioptAreaUnmapDomainRange, unmapNofail } from './batch-domain.ts';
import { bytes } from './traced-bytes.ts';
import { U64_MAX, type IovaRange } from './uapi.ts';

const PAGE_BYTES = BigInt(PAGE_SIZE);
/** Tries to have accesses let go of a mapping. */
const MAX_TRIES = 100;

/** A reserved range, and its owner. */
export interface ReservedRange extends IovaRange {
  /** Who reserved it: a device, or a domain. */
  readonly owner: object;
}

/** A slice of pages, to be mapped. */
export interface PagesSlice {
  /** The pages; a reference of theirs goes to the mapping. */
  readonly pages: IoptPages;
  /** First byte in the pages. */
  readonly startByte: bigint;
  /** Length in bytes. */
  readonly length: bigint;
}

/** What unmapping has done. */
export interface Unmapped {
  /** 0 or a negative errno. */
  readonly ret: number;
  /** Bytes that were unmapped, also before an error. */
  readonly bytes: bigint;
}

/** What a place for a mapping is. */
export type Placed = { readonly iova: bigint } | { readonly error: number };

/** An I/O address space. */
export class IoPagetable {
  /** What it needs of the machine. */
  readonly context: IommufdContext;
  /** Its domains; the first stores the frames of new mappings. */
  readonly domains: IommuDomain[] = [];
  /** Mappings. */
  readonly areaTree: IntervalTree<bigint, IoptArea> = new IntervalTree();
  /** Ranges that may not be mapped. */
  readonly reservedTree: IntervalTree<bigint, ReservedRange> = new IntervalTree();
  /** Ranges from which places are chosen; empty: all. */
  readonly allowedTree: IntervalTree<bigint, IovaRange> = new IntervalTree();
  /** In-kernel users. */
  readonly accesses: IommufdAccess[] = [];
  /** What addresses and lengths of mappings are multiples of, in bytes. */
  iovaAlignment = 1;
  /** Whether domains map by pages of the smallest size alone. */
  disableLargePages = false;

  /** @param context what it needs of the machine */
  constructor(context: IommufdContext) {
    this.context = context;
  }

  /**
   * Maps slices of pages one behind the other.
   *
   * @param slices the slices, at least one; their references are the mapping's, or dropped
   * @param length length in bytes
   * @param at where to map them; null: choose a place
   * @param prot access bits of the IOMMU
   * @param current the calling process
   * @returns the place, or a negative errno
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_map_pages, 7.2
   */
  mapPages(
    slices: readonly PagesSlice[],
    length: bigint,
    at: bigint | null,
    prot: number,
    current: Task,
  ): Placed {
    const { calls } = this.context;
    calls.enter('iopt_map_pages', ...bytes(length), prot, at === null ? 1 : 0);
    const made: { readonly area: IoptArea; readonly pages: IoptPages }[] = [];
    const placed = this.#allocAreaPages(slices, length, at, prot, made);
    let error = 'error' in placed ? placed.error : 0;
    for (const { area, pages } of error === 0 ? made : []) {
      error = ioptAreaFillDomains(area, pages, current);
      if (error !== 0) break;
      // From here on the mapping may be unmapped.
      area.pages = pages;
    }
    calls.exit('iopt_map_pages', error);
    if (error === 0) return placed;
    this.#abort(slices, made);
    return { error };
  }

  /** Finds the place and reserves it: mappings whose pages are null. */
  #allocAreaPages(
    slices: readonly PagesSlice[],
    length: bigint,
    at: bigint | null,
    prot: number,
    made: { area: IoptArea; pages: IoptPages }[],
  ): Placed {
    const { refusals } = this.context;
    const alignment = BigInt(this.iovaAlignment);
    if (length % alignment !== 0n || length === 0n) {
      const check = 'iopt_alloc_area_pages: the length is aligned';
      return { error: refusals.refuse(check, Errno.EINVAL, { length, alignment }) };
    }
    const [first] = slices;
    const placed = at === null ? this.#allocIova(first, length) : this.#checkedIova(at, length);
    if ('error' in placed) return placed;
    let iova = placed.iova;
    for (const { pages, startByte, length: bytesOfSlice } of slices) {
      const error = this.#insertArea(iova, pages, startByte, bytesOfSlice, prot, made);
      if (error !== 0) return { error };
      iova += bytesOfSlice;
    }
    return placed;
  }

  #allocIova({ pages, startByte }: PagesSlice, length: bigint): Placed {
    const { source } = pages;
    const base = BigInt(source.type === 'user' ? source.vpn : source.pgoff) * PAGE_BYTES;
    return ioptAllocIova(this, base + startByte, length);
  }

  #checkedIova(iova: bigint, length: bigint): Placed {
    const { calls } = this.context;
    calls.enter('iopt_check_iova', ...bytes(iova), ...bytes(length));
    const error = calls.exit('iopt_check_iova', this.#checkIova(iova, length));
    return error === 0 ? { iova } : { error };
  }

  /** iopt_check_iova: aligned, no wrap, not reserved, free; in this order. */
  #checkIova(iova: bigint, length: bigint): number {
    const { refusals } = this.context;
    const alignment = BigInt(this.iovaAlignment);
    if (iova % alignment !== 0n) {
      const details = { iova, alignment };
      return refusals.refuse('iopt_check_iova: the address is aligned', Errno.EINVAL, details);
    }
    const last = iova + length - 1n;
    if (last > U64_MAX) {
      const details = { iova, length };
      return refusals.refuse('iopt_check_iova: the range does not wrap', Errno.EOVERFLOW, details);
    }
    const reserved = this.reservedTree.first(iova, last);
    if (reserved !== null) {
      const details = { iova, last, reservedStart: reserved.start, reservedLast: reserved.last };
      return refusals.refuse('iopt_check_iova: no reserved range', Errno.EINVAL, details);
    }
    const area = this.areaTree.first(iova, last);
    if (area === null) return 0;
    const details = { iova, last, areaStart: area.start, areaLast: area.last };
    return refusals.refuse('iopt_check_iova: no mapping is there', Errno.EEXIST, details);
  }

  /** iopt_insert_area. */
  #insertArea(
    iova: bigint,
    pages: IoptPages,
    startByte: bigint,
    length: bigint,
    prot: number,
    made: { area: IoptArea; pages: IoptPages }[],
  ): number {
    const { calls, refusals } = this.context;
    calls.call('iopt_insert_area', ...bytes(iova), Number(startByte), ...bytes(length));
    if (prot & IOMMU_WRITE && !pages.writable) {
      return refusals.refuse('iopt_insert_area: the pages may be written to', Errno.EPERM, {
        prot,
      });
    }
    const area = new IoptArea(this, iova, length, startByte, prot);
    if (area.pageOffset % this.iovaAlignment !== 0) {
      const details = { pageOffset: area.pageOffset, alignment: this.iovaAlignment };
      const check = 'iopt_insert_area: the start is aligned in its page';
      return refusals.refuse(check, Errno.EINVAL, details);
    }
    this.areaTree.insert(area);
    made.push({ area, pages });
    return 0;
  }

  /** iopt_free_pages_list: what was made goes, and every reference. */
  #abort(
    slices: readonly PagesSlice[],
    made: readonly { readonly area: IoptArea; readonly pages: IoptPages }[],
  ): void {
    const { calls } = this.context;
    slices.forEach(({ pages }, i) => {
      const area = made.at(i)?.area;
      if (area?.pages) {
        area.pages = null;
        ioptAreaUnfillDomains(area, pages);
      }
      calls.call('iopt_abort_area');
      if (area) this.areaTree.remove(area);
      pages.put();
    });
  }

  /**
   * Unmaps every mapping of a range. A mapping that the range cuts ends it; what was unmapped before
   * stays so.
   *
   * @param start first byte
   * @param last last byte, inclusive
   * @returns 0; -ENOENT at a mapping that is cut; -EBUSY at one that is being made, or held; -EDEADLOCK
   *   when an access does not let go
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_unmap_iova_range, 7.2
   */
  unmapIovaRange(start: bigint, last: bigint): Unmapped {
    const { calls } = this.context;
    calls.enter('iopt_unmap_iova_range', ...bytes(start), ...bytes(last));
    const unmapped = this.#unmapRange(start, last);
    calls.exit('iopt_unmap_iova_range', unmapped.ret);
    return unmapped;
  }

  #unmapRange(first: bigint, last: bigint): Unmapped {
    const { calls, refusals } = this.context;
    let unmapped = 0n;
    let tries = 0;
    let start = first;
    for (;;) {
      const area = this.areaTree.first(start, last);
      if (area === null) return { ret: 0, bytes: unmapped };
      const { pages } = area;
      const seen = { iova: first, last, areaStart: area.start, areaLast: area.last };
      if (pages === null || area.numLocks > 0) {
        const check = 'iopt_unmap_iova_range: nobody uses the mapping';
        return { ret: refusals.refuse(check, Errno.EBUSY, seen), bytes: unmapped };
      }
      if (area.start < start || area.last > last) {
        const check = 'iopt_unmap_iova_range: no mapping is cut';
        return { ret: refusals.refuse(check, Errno.ENOENT, seen), bytes: unmapped };
      }
      if (area.start !== start) tries = 0;
      if (area.numAccesses > 0) {
        start = area.start;
        area.preventAccess = true;
        this.#notifyUnmap(area);
        if (++tries > MAX_TRIES) {
          const { memory } = this.context;
          memory.warnOn('iopt_unmap_iova_range', 'an access does not let go of a mapping');
          const check = 'iopt_unmap_iova_range: the accesses let go';
          return { ret: refusals.refuse(check, Errno.EDEADLOCK, seen), bytes: unmapped };
        }
        continue;
      }
      area.pages = null;
      ioptAreaUnfillDomains(area, pages);
      calls.call('iopt_abort_area');
      this.areaTree.remove(area);
      pages.put();
      unmapped += area.length;
    }
  }

  /** iommufd_access_notify_unmap: every access is asked to let go of a range. */
  #notifyUnmap(area: IoptArea): void {
    const { calls } = this.context;
    calls.enter('iommufd_access_notify_unmap', ...bytes(area.start), ...bytes(area.length));
    for (const access of [...this.accesses]) access.ops.unmap?.(area.start, area.length);
    calls.exit('iommufd_access_notify_unmap');
  }

  /**
   * The areas that cover a range without a gap, each with the part that lies in the range.
   *
   * @param iova first byte
   * @param last last byte, inclusive
   * @returns the areas in order; null if something of the range is not mapped
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_area_contig_init, iopt_area_contig_next, 7.2
   */
  contiguousAreas(
    iova: bigint,
    last: bigint,
  ): { area: IoptArea; iova: bigint; last: bigint }[] | null {
    const found: { area: IoptArea; iova: bigint; last: bigint }[] = [];
    for (let at = iova; ;) {
      const area = this.areaTree.first(at, at);
      if (area?.pages === undefined || area.pages === null) return null;
      const end = area.last < last ? area.last : last;
      found.push({ area, iova: at, last: end });
      if (end === last) return found;
      at = end + 1n;
    }
  }

  /**
   * Reserves a range for a device or a domain.
   *
   * @param start first byte
   * @param last last byte, inclusive
   * @param owner who reserves it
   * @returns 0, or -EADDRINUSE if something is mapped or allowed there
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_reserve_iova, 7.2
   */
  reserveIova(start: bigint, last: bigint, owner: object): number {
    const taken = this.areaTree.first(start, last) ?? this.allowedTree.first(start, last);
    if (taken !== null) {
      return this.context.refusals.refuse(
        'iopt_reserve_iova: nothing is mapped or allowed there',
        Errno.EADDRINUSE,
        { start, last, takenStart: taken.start, takenLast: taken.last },
      );
    }
    this.reservedTree.insert({ start, last, owner });
    return 0;
  }

  /**
   * Gives up what an owner has reserved.
   *
   * @param owner the owner
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_remove_reserved_iova, 7.2
   */
  removeReservedIova(owner: object): void {
    for (const range of [...this.reservedTree.items]) {
      if (range.owner === owner) this.reservedTree.remove(range);
    }
  }

  /**
   * Reserves what the IOMMU of a device does not translate; relaxable ranges are not reserved.
   *
   * @param regions reserved regions of the device's group
   * @param owner the device
   * @returns 0, or -EADDRINUSE: then none of it is reserved
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_table_enforce_dev_resv_regions, 7.2
   */
  enforceDevResvRegions(regions: readonly ResvRegion[], owner: object): number {
    for (const { type, start, last } of regions) {
      if (type === 'direct-relaxable') continue;
      const end = (BigInt(last) + 1n) * PAGE_BYTES - 1n;
      const error = this.reserveIova(BigInt(start) * PAGE_BYTES, end, owner);
      if (error === 0) continue;
      this.removeReservedIova(owner);
      return error;
    }
    return 0;
  }

  /**
   * Adds a domain: everything that is mapped is mapped in it too.
   *
   * @param domain the domain
   * @param current the calling process
   * @returns 0; -EADDRINUSE for mappings that it cannot take; -EINVAL for a page size above 4 KiB; what
   *   pinning and mapping refuse with
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_table_add_domain, 7.2; reference §11
   */
  addDomain(domain: IommuDomain, current: Task): number {
    const { calls } = this.context;
    calls.enter('iopt_table_add_domain');
    return calls.exit('iopt_table_add_domain', this.#addDomain(domain, current));
  }

  #addDomain(domain: IommuDomain, current: Task): number {
    const { refusals } = this.context;
    const smallest = smallestPage(domain);
    const alignment = Math.max(smallest, this.iovaAlignment);
    if (alignment > PAGE_SIZE) {
      const check = 'iopt_calculate_iova_alignment: no larger than a page';
      return refusals.refuse(check, Errno.EINVAL, { alignment });
    }
    if (alignment !== this.iovaAlignment) {
      const error = this.#checkAlignment(
        alignment,
        'iopt_check_iova_alignment: all mappings comply',
      );
      if (error !== 0) return error;
    }
    const apertureLast = (BigInt(domain.apertureLast) + 1n) * PAGE_BYTES - 1n;
    if (apertureLast < U64_MAX) {
      const error = this.reserveIova(apertureLast + 1n, U64_MAX, domain);
      if (error !== 0) return error;
    }
    const error = this.#fillDomain(domain, current);
    if (error !== 0) {
      this.removeReservedIova(domain);
      return error;
    }
    this.iovaAlignment = alignment;
    this.domains.push(domain);
    return 0;
  }

  /** Whether all mappings are multiples of an alignment; or -EADDRINUSE. */
  #checkAlignment(
    alignment: number,
    check:
      | 'iopt_check_iova_alignment: all mappings comply'
      | 'iopt_disable_large_pages: all mappings are aligned',
  ): number {
    const by = BigInt(alignment);
    for (const { start, length, pageOffset } of this.areaTree.items) {
      if (start % by === 0n && length % by === 0n && pageOffset % alignment === 0) continue;
      const details = { areaStart: start, length, pageOffset, alignment };
      return this.context.refusals.refuse(check, Errno.EADDRINUSE, details);
    }
    return 0;
  }

  /** iopt_fill_domain: every mapping in the order of its addresses; if one fails, none stays. */
  #fillDomain(domain: IommuDomain, current: Task): number {
    const { calls } = this.context;
    calls.enter('iopt_fill_domain');
    const filled: IoptArea[] = [];
    let error = 0;
    for (const area of this.areaTree.items) {
      const { pages } = area;
      if (pages === null) continue;
      if (pages.revoked) continue;
      error = ioptAreaFillDomain(area, pages, domain, current);
      if (error !== 0) break;
      filled.push(area);
      if (area.storageDomain === null) {
        area.storageDomain = domain;
        pages.domainsTree.insert(area.pagesNode);
      }
    }
    for (const area of error === 0 ? [] : filled) this.#unfillAfterFailure(area, domain);
    calls.exit('iopt_fill_domain', error);
    return error;
  }

  #unfillAfterFailure(area: IoptArea, domain: IommuDomain): void {
    const { pages } = area;
    if (pages === null) return;
    if (area.storageDomain === domain) {
      pages.domainsTree.remove(area.pagesNode);
      area.storageDomain = null;
      ioptAreaUnfillDomain(area, pages, domain);
    } else ioptAreaUnmapDomainRange(area, domain, area.index, area.lastIndex);
  }

  /**
   * Removes a domain; with the last one everything is unpinned that no access holds.
   *
   * @param domain one of its domains
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_table_remove_domain, 7.2; reference §11
   */
  removeDomain(domain: IommuDomain): void {
    const { calls } = this.context;
    calls.enter('iopt_table_remove_domain');
    // The last domain takes the place of the one that goes.
    const at = this.domains.indexOf(domain);
    const last = this.domains.pop();
    if (last && last !== domain) this.domains[at] = last;
    this.#unfillDomain(domain);
    this.removeReservedIova(domain);
    this.#recalculateAlignment();
    calls.exit('iopt_table_remove_domain');
  }

  /** iopt_unfill_domain. */
  #unfillDomain(domain: IommuDomain): void {
    const { calls } = this.context;
    calls.enter('iopt_unfill_domain');
    const [storage = null] = this.domains;
    for (const area of this.areaTree.items) {
      const { pages } = area;
      if (pages === null) continue;
      if (storage !== null) {
        if (area.storageDomain === domain) area.storageDomain = storage;
        if (pages.revoked) continue;
        calls.enter('iopt_area_unmap_domain');
        unmapNofail(area, domain, area.index, area.lastIndex);
        calls.exit('iopt_area_unmap_domain');
      } else if (area.storageDomain !== null) {
        pages.domainsTree.remove(area.pagesNode);
        area.storageDomain = null;
        ioptAreaUnfillDomain(area, pages, domain);
      }
    }
    calls.exit('iopt_unfill_domain');
  }

  /** iopt_calculate_iova_alignment, where it can only get smaller. */
  #recalculateAlignment(): void {
    const least = this.disableLargePages ? PAGE_SIZE : 1;
    const aligned = this.accesses.map(({ iovaAlignment }) => iovaAlignment);
    const all = this.domains.map(smallestPage).concat(aligned);
    this.iovaAlignment = all.reduce((most, one) => Math.max(most, one), least);
  }

  /**
   * Has large pages used again.
   *
   * @returns 0
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_enable_large_pages, 7.2
   */
  enableLargePages(): number {
    this.disableLargePages = false;
    this.#recalculateAlignment();
    return 0;
  }

  /**
   * Has every domain map page by page from now on.
   *
   * @returns 0; -EINVAL with a domain and something mapped; -EADDRINUSE for mappings inside pages
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_disable_large_pages, 7.2; recordings 7.2-iofd o01
   * and x04
   */
  doDisableLargePages(): number {
    const { calls, refusals } = this.context;
    calls.call('iopt_disable_large_pages');
    if (this.disableLargePages) return 0;
    if (this.domains.length > 0 && this.areaTree.size > 0) {
      const check = 'iopt_disable_large_pages: nothing is mapped yet';
      const details = { domains: this.domains.length, mappings: this.areaTree.size };
      return refusals.refuse(check, Errno.EINVAL, details);
    }
    const check = 'iopt_disable_large_pages: all mappings are aligned';
    const error = this.#checkAlignment(PAGE_SIZE, check);
    if (error !== 0) return error;
    this.disableLargePages = true;
    this.#recalculateAlignment();
    return 0;
  }

  /**
   * Adds an in-kernel user.
   *
   * @param access the access
   * @returns 0, or -EADDRINUSE for mappings that are not aligned as it needs
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_add_access, 7.2
   */
  addAccess(access: IommufdAccess): number {
    const alignment = Math.max(access.iovaAlignment, this.iovaAlignment);
    if (alignment !== this.iovaAlignment) {
      const error = this.#checkAlignment(
        alignment,
        'iopt_check_iova_alignment: all mappings comply',
      );
      if (error !== 0) return error;
    }
    this.accesses.push(access);
    this.iovaAlignment = alignment;
    return 0;
  }

  /**
   * Removes an in-kernel user.
   *
   * @param access one of its accesses
   * @source drivers/iommu/iommufd/io_pagetable.c iopt_remove_access, 7.2
   */
  removeAccess(access: IommufdAccess): void {
    this.accesses.splice(this.accesses.indexOf(access), 1);
    this.#recalculateAlignment();
  }

  /**
   * The ranges that are not reserved.
   *
   * @returns the ranges in order
   * @source drivers/iommu/iommufd/ioas.c iommufd_ioas_iova_ranges, 7.2
   */
  iovaRanges(): IovaRange[] {
    const ranges: IovaRange[] = [];
    for (let at = 0n; at <= U64_MAX;) {
      const span = spanAt(this.reservedTree, at, U64_MAX);
      if (!span.used) ranges.push({ start: at, last: span.last });
      at = span.last + 1n;
    }
    return ranges;
  }
}

/** IOMMU_WRITE. */
const IOMMU_WRITE = 2;

function smallestPage(domain: IommuDomain): number {
  return PAGE_SIZE * 2 ** domain.table.pageOrders[0];
}
