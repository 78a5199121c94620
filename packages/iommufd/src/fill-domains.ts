/**
 * Filling domains with the pages of a mapping.
 *
 * @source drivers/iommu/iommufd/pages.c iopt_area_fill_domains, iopt_area_fill_domain, 7.2; reference
 * iommufd.md §3 and §11
 */
import type { IommuDomain } from '@pinfold/iommu';
import type { Task } from '@pinfold/mm';
import type { IoptArea } from './area.ts';
import { batchToDomain, ioptAreaUnmapDomainRange } from './batch-domain.ts';
import type { IoptPages } from './pages.ts';
import { PfnReader } from './pfn-reader.ts';
import { unfillPartialDomain } from './unfill-domains.ts';

/**
 * Maps a new mapping in every domain of its address space; without a domain, nothing is pinned.
 *
 * @param area the mapping
 * @param pages its pages
 * @param current the calling process
 * @returns 0, or a negative errno: then nothing is pinned or mapped
 * @source drivers/iommu/iommufd/pages.c iopt_area_fill_domains, 7.2
 */
export function ioptAreaFillDomains(area: IoptArea, pages: IoptPages, current: Task): number {
  const { calls } = area.iopt.context;
  calls.enter('iopt_area_fill_domains');
  const ret = area.iopt.domains.length === 0 ? 0 : fillDomains(area, pages, current);
  return calls.exit('iopt_area_fill_domains', ret);
}

function fillDomains(area: IoptArea, pages: IoptPages, current: Task): number {
  const { domains } = area.iopt;
  const reader = new PfnReader(pages, area.index, area.lastIndex, current);
  const refused = reader.first();
  if (refused !== 0) return refused;
  let ret = 0;
  // What each domain has when the work ends early: those up to the one that failed have more.
  let unmapIndex = 0;
  let firstEnd = area.index;
  let allEnd = area.index;
  while (ret === 0 && !reader.done) {
    firstEnd = reader.batchEndIndex;
    allEnd = reader.batchStartIndex;
    for (unmapIndex = 0; unmapIndex < domains.length && ret === 0; unmapIndex++) {
      ret = batchToDomain(reader.batch, domains[unmapIndex], area, reader.batchStartIndex);
      if (ret !== 0) break;
    }
    if (ret !== 0) break;
    allEnd = firstEnd;
    ret = reader.next();
  }
  ret ||= reader.updatePinned();
  if (ret === 0) {
    [area.storageDomain] = domains;
    pages.domainsTree.insert(area.pagesNode);
  } else {
    reader.releasePins();
    undo(area, pages, (index) => (index < unmapIndex ? firstEnd : allEnd));
  }
  reader.destroy();
  return ret;
}

/** The last domain says which frames are unpinned, the others are only unmapped. */
function undo(area: IoptArea, pages: IoptPages, endOf: (index: number) => number): void {
  const { domains } = area.iopt;
  domains.forEach((domain, index) => {
    const end = endOf(index);
    if (index === domains.length - 1) unfillPartialDomain(area, pages, domain, end);
    else if (end !== area.index) ioptAreaUnmapDomainRange(area, domain, area.index, end - 1);
  });
}

/**
 * Maps a mapping in a further domain.
 *
 * @param area the mapping
 * @param pages its pages
 * @param domain the domain
 * @param current the calling process
 * @returns 0, or a negative errno: then nothing of it is mapped there
 * @source drivers/iommu/iommufd/pages.c iopt_area_fill_domain, 7.2
 */
export function ioptAreaFillDomain(
  area: IoptArea,
  pages: IoptPages,
  domain: IommuDomain,
  current: Task,
): number {
  const { calls } = area.iopt.context;
  calls.enter('iopt_area_fill_domain');
  return calls.exit('iopt_area_fill_domain', fillDomain(area, pages, domain, current));
}

function fillDomain(area: IoptArea, pages: IoptPages, domain: IommuDomain, current: Task): number {
  const reader = new PfnReader(pages, area.index, area.lastIndex, current);
  let ret = reader.first();
  if (ret !== 0) return ret;
  while (ret === 0 && !reader.done) {
    ret = batchToDomain(reader.batch, domain, area, reader.batchStartIndex);
    ret ||= reader.next();
  }
  ret ||= reader.updatePinned();
  if (ret !== 0) {
    const end = reader.batchStartIndex;
    reader.releasePins();
    unfillPartialDomain(area, pages, domain, end);
  }
  reader.destroy();
  return ret;
}
