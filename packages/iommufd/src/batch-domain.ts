/**
 * Between batches and domains: ranges are mapped one by one, and read back page by page.
 *
 * @source drivers/iommu/iommufd/pages.c batch_to_domain, batch_from_domain, 7.2; reference iommufd.md
 * §2 and §5
 */
import { pageNumber, type IovaPn, type Pfn } from '@pinfold/base';
import { IOMMU, type IommuDomain } from '@pinfold/iommu';
import { unpinUserPageRangeDirtyLock } from '@pinfold/mm';
import type { IoptArea } from './area.ts';
import type { IoptPages } from './pages.ts';
import { BATCH_KIND, type PfnBatch } from './pfn-batch.ts';

/**
 * Maps the ranges of a batch, one iommu_map each.
 *
 * @param batch the batch
 * @param domain the domain
 * @param area the mapping
 * @param startIndex page index of the first page in the batch
 * @returns 0, or what iommu_map refuses with; nothing of the batch is mapped then
 * @source drivers/iommu/iommufd/pages.c batch_to_domain, 7.2
 */
export function batchToDomain(
  batch: PfnBatch,
  domain: IommuDomain,
  area: IoptArea,
  startIndex: number,
): number {
  const { calls, refusals } = area.iopt.context;
  const fn = 'batch_to_domain';
  calls.enter(fn, batch.end, batch.totalPfns, startIndex, batch.kind);
  const small = area.iopt.disableLargePages;
  // Device memory is MMIO to the IOMMU, which the model's page tables do not tell from memory.
  const prot = batch.kind === BATCH_KIND.MMIO ? area.iommuProt & ~IOMMU.CACHE : area.iommuProt;
  const start = area.iovaPnOf(startIndex);
  const end = pageNumber(area.last) + 1;
  let at = start;
  for (let cur = 0; cur < batch.end; cur++) {
    const npage = Math.min(batch.npfns[cur], end - at);
    const pfn = batch.pfns[cur];
    const ret = small
      ? mapSmall(domain, area, at, pfn, npage, prot)
      : domain.map(at, pfn, npage, prot);
    if (ret !== 0) {
      if (start !== at) domain.unmap(start, at - start);
      const details = { iovaPn: at, pfn, pages: npage, prot };
      refusals.refuse('iommu_map: the domain takes the range', -ret, details);
      return calls.exit(fn, ret);
    }
    at += npage;
  }
  return calls.exit(fn, 0);
}

/** One iommu_map per page (batch_iommu_map_small). */
function mapSmall(
  domain: IommuDomain,
  area: IoptArea,
  iovaPn: IovaPn,
  pfn: Pfn,
  npage: number,
  prot: number,
): number {
  const { calls } = area.iopt.context;
  calls.enter('batch_iommu_map_small', iovaPn, npage);
  let ret = 0;
  for (let i = 0; i < npage && ret === 0; i++) {
    ret = domain.map(iovaPn + i, pfn + i, 1, prot);
    if (ret !== 0 && i > 0) domain.unmap(iovaPn, i);
  }
  return calls.exit('batch_iommu_map_small', ret);
}

/**
 * Reads frames back from a domain, one iova_to_phys per page, until the batch is full.
 *
 * @param batch the batch
 * @param domain the domain
 * @param area the mapping
 * @param startIndex first page index
 * @param lastIndex last page index, inclusive
 * @source drivers/iommu/iommufd/pages.c batch_from_domain, 7.2
 */
export function batchFromDomain(
  batch: PfnBatch,
  domain: IommuDomain,
  area: IoptArea,
  startIndex: number,
  lastIndex: number,
): void {
  const { calls, physRun } = area.iopt.context;
  calls.enter('batch_from_domain', startIndex, lastIndex, batch.arraySize);
  const end = lastIndex + 1;
  let index = startIndex;
  while (index < end) {
    if (batch.end === batch.arraySize) {
      // No new range fits: the next page continues the last one, or is read in vain.
      if (!batch.addNum(domain.iovaToPhys(area.iovaPnOf(index)), 1)) break;
      index++;
      continue;
    }
    domain.iovaToPhysEach(area.iovaPnOf(index), end - index, physRun);
    const { pfn } = physRun;
    // What is not translated is frame 0, and never continues a range.
    const npage = Math.max(physRun.npage, 1);
    if (!batch.addNum(pfn, npage)) break;
    index += npage;
  }
  calls.exit('batch_from_domain');
}

/**
 * Reads on as far as the last range of the batch goes.
 *
 * @param batch the batch
 * @param domain the domain
 * @param area the mapping
 * @param startIndex first page index
 * @param lastIndex last page index, inclusive
 * @source drivers/iommu/iommufd/pages.c batch_from_domain_continue, 7.2
 */
export function batchFromDomainContinue(
  batch: PfnBatch,
  domain: IommuDomain,
  area: IoptArea,
  startIndex: number,
  lastIndex: number,
): void {
  const { calls } = area.iopt.context;
  calls.enter('batch_from_domain_continue', startIndex, lastIndex);
  const { arraySize } = batch;
  batch.arraySize = batch.end;
  batchFromDomain(batch, domain, area, startIndex, lastIndex);
  batch.arraySize = arraySize;
  calls.exit('batch_from_domain_continue');
}

/**
 * Unpins pages of a batch, one unpin call per range.
 *
 * @param batch the batch
 * @param pages the pages that they belong to
 * @param firstPage pages of the batch before the first
 * @param npages pages to unpin
 * @source drivers/iommu/iommufd/pages.c batch_unpin, 7.2
 */
export function batchUnpin(
  batch: PfnBatch,
  pages: IoptPages,
  firstPage: number,
  npages: number,
): void {
  const { calls, memory } = pages.context;
  calls.enter('batch_unpin', batch.end, batch.totalPfns, firstPage, npages);
  let cur = 0;
  let offset = firstPage;
  while (offset > 0 && batch.npfns[cur] <= offset) offset -= batch.npfns[cur++];
  for (let left = npages; left > 0; cur++) {
    const npage = Math.min(left, batch.npfns[cur] - offset);
    const page = memory.memmap.pfnToPage(batch.pfns[cur] + offset);
    unpinUserPageRangeDirtyLock(memory, page, npage, pages.writable);
    left -= npage;
    offset = 0;
  }
  pages.npinned -= npages;
  calls.exit('batch_unpin');
}

/**
 * Takes a part of a mapping out of a domain, with one flush.
 *
 * @param area the mapping
 * @param domain the domain
 * @param startIndex first page index
 * @param lastIndex last page index, inclusive
 * @source drivers/iommu/iommufd/pages.c iopt_area_unmap_domain_range, 7.2
 */
export function ioptAreaUnmapDomainRange(
  area: IoptArea,
  domain: IommuDomain,
  startIndex: number,
  lastIndex: number,
): void {
  const { calls } = area.iopt.context;
  calls.enter('iopt_area_unmap_domain_range', startIndex, lastIndex);
  unmapNofail(area, domain, startIndex, lastIndex);
  calls.exit('iopt_area_unmap_domain_range');
}

/**
 * Unmaps a part of a mapping, all of which has to be there.
 *
 * @param area the mapping
 * @param domain the domain
 * @param startIndex first page index
 * @param lastIndex last page index, inclusive
 * @source drivers/iommu/iommufd/pages.c iommu_unmap_nofail, 7.2
 */
export function unmapNofail(
  area: IoptArea,
  domain: IommuDomain,
  startIndex: number,
  lastIndex: number,
): void {
  const npage = lastIndex - startIndex + 1;
  const unmapped = domain.unmap(area.iovaPnOf(startIndex), npage);
  if (unmapped === npage) return;
  const { memory } = area.iopt.context;
  memory.warnOn('iommu_unmap_nofail', `${unmapped} of ${npage} pages were unmapped`);
}
