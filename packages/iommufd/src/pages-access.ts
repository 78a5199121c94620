/**
 * Pages that accesses hold: their frames are kept by page index, wherever they come from.
 *
 * @source drivers/iommu/iommufd/pages.c iopt_area_add_access, iopt_pages_fill_xarray, 7.2; reference
 * iommufd.md §7 and §13
 */
import { Errno, type PageNumbers } from '@pinfold/base';
import { unpinUserPages, type Task } from '@pinfold/mm';
import { updatePinned, updateUnpinned } from './accounting.ts';
import type { IoptArea } from './area.ts';
import { batchUnpin } from './batch-domain.ts';
import { doubleSpanAt } from './interval-tree.ts';
import type { IoptPages, PagesAccess } from './pages.ts';
import { PfnBatch } from './pfn-batch.ts';
import { PfnReaderUser } from './pfn-reader-user.ts';
import { IOMMUFD_ACCESS_RW_WRITE } from './uapi.ts';

/**
 * Holds pages of a mapping.
 *
 * @param area the mapping
 * @param pages its pages
 * @param first first page index
 * @param last last page index, inclusive
 * @param out gets the pages
 * @param flags IOMMUFD_ACCESS_RW_WRITE
 * @param current the calling process
 * @returns 0; -EPERM for pages that may not be written to; -EINVAL for a dma-buf; what pinning refuses
 *   with
 * @source drivers/iommu/iommufd/pages.c iopt_area_add_access, 7.2
 */
export function ioptAreaAddAccess(
  area: IoptArea,
  pages: IoptPages,
  first: number,
  last: number,
  out: PageNumbers,
  flags: number,
  current: Task,
): number {
  const { calls, refusals } = pages.context;
  calls.enter('iopt_area_add_access', first, last);
  if (pages.isDmabuf) return calls.exit('iopt_area_add_access', -Errno.EINVAL);
  if (flags & IOMMUFD_ACCESS_RW_WRITE && !pages.writable) {
    const check = 'iopt_area_add_access: the pages may be written to';
    return calls.exit('iopt_area_add_access', refusals.refuse(check, Errno.EPERM, { first, last }));
  }
  const known = exactAccess(pages, first, last);
  if (known) {
    known.users++;
    fillFromXarray(pages, first, last, out);
  } else {
    const error = ioptPagesFillXarray(pages, first, last, out, current);
    if (error !== 0) return calls.exit('iopt_area_add_access', error);
    pages.accessTree.insert({ start: first, last, users: 1 });
  }
  area.numAccesses++;
  return calls.exit('iopt_area_add_access', 0);
}

/** iopt_pages_get_exact_access. */
function exactAccess(pages: IoptPages, first: number, last: number): PagesAccess | null {
  const { accessTree } = pages;
  for (let at = accessTree.first(first, last); at; at = accessTree.next(at, first, last)) {
    if (at.start === first && at.last === last) return at;
  }
  return null;
}

/**
 * Lets go of pages of a mapping that were held in exactly this way.
 *
 * @param area the mapping
 * @param first first page index
 * @param last last page index, inclusive
 * @source drivers/iommu/iommufd/pages.c iopt_area_remove_access, 7.2
 */
export function ioptAreaRemoveAccess(area: IoptArea, first: number, last: number): void {
  const { pages, iopt } = area;
  const { calls, memory } = iopt.context;
  if (pages === null) return;
  calls.enter('iopt_area_remove_access', first, last);
  const access = exactAccess(pages, first, last);
  if (access === null) {
    memory.warnOn('iopt_area_remove_access', `pages ${first} to ${last} are not held in this way`);
  } else {
    area.numAccesses--;
    if (--access.users === 0) {
      pages.accessTree.remove(access);
      ioptPagesUnfillXarray(pages, first, last);
    }
  }
  calls.exit('iopt_area_remove_access');
}

/** iopt_pages_fill_xarray. */
function ioptPagesFillXarray(
  pages: IoptPages,
  first: number,
  last: number,
  out: PageNumbers,
  current: Task,
): number {
  const { calls } = pages.context;
  calls.enter('iopt_pages_fill_xarray', first, last);
  const user = new PfnReaderUser(current);
  let end = first;
  let error = 0;
  for (let at = first; at <= last && error === 0;) {
    const span = doubleSpanAt(pages.accessTree, pages.domainsTree, at, last);
    const part = out.subarray(at - first, span.last - first + 1);
    if (span.used === 1) fillFromXarray(pages, at, span.last, part);
    else {
      if (span.used === 2) fillFromDomains(pages, at, span.last, part);
      else error = fillFromMm(pages, user, at, span.last, part);
      if (error === 0) {
        pagesToXarray(pages, at, span.last, part);
        end = span.last + 1;
      }
    }
    at = span.last + 1;
  }
  error ||= updatePinned(pages);
  if (error !== 0 && end !== first) ioptPagesUnfillXarray(pages, first, end - 1);
  return calls.exit('iopt_pages_fill_xarray', error);
}

function fillFromXarray(pages: IoptPages, first: number, last: number, out: PageNumbers): void {
  const { memmap } = pages.context.memory;
  for (let index = first; index <= last; index++) {
    out[index - first] = memmap.pfnToPage(pages.pinnedPfns.get(index));
  }
}

/** iopt_pages_fill_from_domain: every part from the first domain that covers it. */
function fillFromDomains(pages: IoptPages, first: number, last: number, out: PageNumbers): void {
  const { calls, memory } = pages.context;
  for (let at = first; at <= last;) {
    const node = pages.domainsTree.first(at, at);
    const domain = node?.area.storageDomain;
    if (!node || !domain) return;
    const end = Math.min(node.last, last);
    calls.enter('raw_pages_from_domain', at, end);
    for (let index = at; index <= end; index++) {
      const pfn = domain.iovaToPhys(node.area.iovaPnOf(index));
      out[index - first] = memory.memmap.pfnToPage(pfn);
    }
    calls.exit('raw_pages_from_domain');
    at = end + 1;
  }
}

/** iopt_pages_fill_from_mm. */
function fillFromMm(
  pages: IoptPages,
  user: PfnReaderUser,
  first: number,
  last: number,
  out: PageNumbers,
): number {
  const { memory } = pages.context;
  for (let at = first; at <= last;) {
    const error = user.pin(pages, at, last, out.subarray(at - first));
    if (error !== 0) {
      // iopt_pages_err_unpin.
      if (at > first) {
        pages.context.calls.enter('iopt_pages_err_unpin', first, at - 1);
        unpinUserPages(memory, out, at - first);
        pages.npinned -= at - first;
        pages.context.calls.exit('iopt_pages_err_unpin');
      }
      return error;
    }
    at = user.upagesEnd;
  }
  return 0;
}

function pagesToXarray(pages: IoptPages, first: number, last: number, from: PageNumbers): void {
  const { calls, memory } = pages.context;
  calls.call('pages_to_xarray', first, last);
  for (let index = first; index <= last; index++) {
    pages.pinnedPfns.set(index, memory.memmap.pageToPfn(from[index - first]));
  }
}

/** iopt_pages_unfill_xarray: what a domain stores is forgotten, what nobody else holds is unpinned. */
function ioptPagesUnfillXarray(pages: IoptPages, first: number, last: number): void {
  const { calls } = pages.context;
  calls.enter('iopt_pages_unfill_xarray', first, last);
  const batch = new PfnBatch(last + 1);
  for (let at = first; at <= last;) {
    const span = doubleSpanAt(pages.accessTree, pages.domainsTree, at, last);
    if (span.used === 2) {
      calls.call('clear_xarray', at, span.last);
      pages.pinnedPfns.clear(at, span.last);
    } else if (span.used === 0) {
      for (let from = at; from <= span.last;) {
        fromXarrayClear(batch, pages, from, span.last);
        batchUnpin(batch, pages, 0, batch.totalPfns);
        from += batch.totalPfns;
        batch.clear();
      }
    }
    at = span.last + 1;
  }
  updateUnpinned(pages);
  calls.exit('iopt_pages_unfill_xarray');
}

/** batch_from_xarray_clear. */
function fromXarrayClear(batch: PfnBatch, pages: IoptPages, first: number, last: number): void {
  pages.context.calls.call('batch_from_xarray_clear', first, last);
  for (let index = first; index <= last; index++) {
    if (!batch.addNum(pages.pinnedPfns.get(index), 1)) break;
    pages.pinnedPfns.clear(index, index);
  }
}
