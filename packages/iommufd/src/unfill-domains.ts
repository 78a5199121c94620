/**
 * Emptying domains of a mapping: what is no longer held by anybody is read back from the domain, page
 * by page, unmapped, and only then unpinned.
 *
 * @source drivers/iommu/iommufd/pages.c __iopt_area_unfill_domain, iopt_area_unpin_domain, 7.2;
 * reference iommufd.md §5
 */
import type { IommuDomain } from '@pinfold/iommu';
import type { IoptArea } from './area.ts';
import { updateUnpinned } from './accounting.ts';
import {
  batchFromDomain,
  batchFromDomainContinue,
  batchUnpin,
  ioptAreaUnmapDomainRange,
} from './batch-domain.ts';
import { doubleSpanAt } from './interval-tree.ts';
import type { IoptPages } from './pages.ts';
import { PfnBatch } from './pfn-batch.ts';

/**
 * Takes a mapping out of every domain of its address space.
 *
 * @param area the mapping
 * @param pages its pages
 * @source drivers/iommu/iommufd/pages.c iopt_area_unfill_domains, 7.2
 */
export function ioptAreaUnfillDomains(area: IoptArea, pages: IoptPages): void {
  const { context, domains } = area.iopt;
  context.calls.enter('iopt_area_unfill_domains');
  const { storageDomain } = area;
  if (storageDomain !== null) {
    for (const domain of domains) {
      if (domain === storageDomain || pages.revoked) continue;
      ioptAreaUnmapDomainRange(area, domain, area.index, area.lastIndex);
    }
    pages.domainsTree.remove(area.pagesNode);
    ioptAreaUnfillDomain(area, pages, storageDomain);
    area.storageDomain = null;
  }
  context.calls.exit('iopt_area_unfill_domains');
}

/**
 * Takes a mapping out of the domain that stores its frames, and unpins what nobody else holds.
 *
 * @param area the mapping, which is in no domains tree any more
 * @param pages its pages
 * @param domain the domain
 * @source drivers/iommu/iommufd/pages.c iopt_area_unfill_domain, 7.2
 */
export function ioptAreaUnfillDomain(area: IoptArea, pages: IoptPages, domain: IommuDomain): void {
  const { calls } = area.iopt.context;
  calls.enter('iopt_area_unfill_domain');
  // What the exporter has taken back is in no domain.
  if (!pages.revoked) unfillDomain(area, pages, domain, area.lastIndex);
  calls.exit('iopt_area_unfill_domain');
}

/**
 * Takes the first pages of a mapping out of a domain that was not filled to its end.
 *
 * @param area the mapping
 * @param pages its pages
 * @param domain the domain
 * @param endIndex page index after the last that it has
 * @source drivers/iommu/iommufd/pages.c iopt_area_unfill_partial_domain, 7.2
 */
export function unfillPartialDomain(
  area: IoptArea,
  pages: IoptPages,
  domain: IommuDomain,
  endIndex: number,
): void {
  if (endIndex !== area.index) unfillDomain(area, pages, domain, endIndex - 1);
}

/** __iopt_area_unfill_domain. */
function unfillDomain(
  area: IoptArea,
  pages: IoptPages,
  domain: IommuDomain,
  lastIndex: number,
): void {
  const { calls } = area.iopt.context;
  calls.enter('__iopt_area_unfill_domain', lastIndex);
  if (pages.isDmabuf) ioptAreaUnmapDomainRange(area, domain, area.index, lastIndex);
  else new DomainUnpin(area, pages, domain, lastIndex).run();
  calls.exit('__iopt_area_unfill_domain');
}

/** One unfill of a domain. */
class DomainUnpin {
  readonly #area: IoptArea;
  readonly #pages: IoptPages;
  readonly #domain: IommuDomain;
  readonly #lastIndex: number;
  readonly #batch: PfnBatch;
  /** Page index up to which the domain is unmapped. */
  #unmappedEnd: number;

  constructor(area: IoptArea, pages: IoptPages, domain: IommuDomain, lastIndex: number) {
    this.#area = area;
    this.#pages = pages;
    this.#domain = domain;
    this.#lastIndex = lastIndex;
    this.#unmappedEnd = area.index;
    // The kernel asks for room for all indexes up to the last, the area's or not.
    this.#batch = new PfnBatch(lastIndex + 1);
  }

  run(): void {
    const pages = this.#pages;
    const { calls } = pages.context;
    const last = this.#lastIndex;
    for (let at = this.#area.index; at <= last;) {
      const span = doubleSpanAt(pages.domainsTree, pages.accessTree, at, last);
      if (span.used === 0) this.#unpin(at, span.last);
      else {
        calls.call('batch_skip_carry', span.last - at + 1);
        this.#batch.skipCarry(span.last - at + 1);
      }
      at = span.last + 1;
    }
    // A range that ends in an access is unmapped without an unpin.
    if (this.#unmappedEnd !== last + 1) {
      ioptAreaUnmapDomainRange(this.#area, this.#domain, this.#unmappedEnd, last);
    }
    updateUnpinned(pages);
  }

  /**
   * iopt_area_unpin_domain: an unmap may cut only where the frames are not contiguous, as the map
   * did; what is read beyond the pages that are unpinned is carried over.
   */
  #unpin(first: number, last: number): void {
    const area = this.#area;
    const batch = this.#batch;
    const { calls } = this.#pages.context;
    calls.enter('iopt_area_unpin_domain', first, last);
    for (let start = first; start <= last;) {
      let batchLast = last;
      if (this.#unmappedEnd <= last) {
        const from = Math.max(start, this.#unmappedEnd);
        batchFromDomain(batch, this.#domain, area, from, last);
        batchLast = start + batch.totalPfns - 1;
      }
      if (batchLast === last && last !== this.#lastIndex) {
        batchFromDomainContinue(batch, this.#domain, area, last + 1, this.#lastIndex);
      }
      if (this.#unmappedEnd <= batchLast) {
        const end = start + batch.totalPfns;
        ioptAreaUnmapDomainRange(area, this.#domain, this.#unmappedEnd, end - 1);
        this.#unmappedEnd = end;
      }
      batchUnpin(batch, this.#pages, 0, batchLast - start + 1);
      start = batchLast + 1;
      const keep = this.#unmappedEnd - batchLast - 1;
      calls.call('batch_clear_carry', keep);
      batch.clearCarry(keep);
    }
    calls.exit('iopt_area_unpin_domain');
  }
}
