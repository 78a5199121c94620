/**
 * Cutting mappings at an address, so that a part of one can be unmapped: what type1 v1 allows.
 *
 * @source drivers/iommu/iommufd/io_pagetable.c iopt_cut_iova, iopt_area_split, 7.2; recording
 * 7.2-iofd compat-dev v02
 */
import { Errno } from '@pinfold/base';
import { IoptArea } from './area.ts';
import type { IoPagetable } from './io-pagetable.ts';
import { bytes } from './traced-bytes.ts';

/**
 * Cuts the mappings that lie around addresses.
 *
 * @param iopt the I/O address space
 * @param lasts addresses, each the last byte of what is to be one mapping
 * @returns 0; -EBUSY for a mapping that is being made; -EINVAL where an access holds it, where it is
 *   not aligned, or where a domain may have it in large pages
 * @source drivers/iommu/iommufd/io_pagetable.c iopt_cut_iova, 7.2
 */
export function ioptCutIova(iopt: IoPagetable, lasts: readonly bigint[]): number {
  const { calls } = iopt.context;
  calls.enter('iopt_cut_iova', lasts.length);
  let error = 0;
  for (const last of lasts) {
    const area = iopt.areaTree.first(last, last);
    if (area === null) continue;
    calls.enter('iopt_area_split', ...bytes(last));
    error = calls.exit('iopt_area_split', splitArea(area, last));
    if (error !== 0) break;
  }
  calls.exit('iopt_cut_iova');
  return error;
}

/** iopt_area_split. */
function splitArea(area: IoptArea, last: bigint): number {
  const { iopt, pages, start } = area;
  const { calls, refusals } = iopt.context;
  if (last === area.last) return 0;
  const details = { iova: last + 1n, areaStart: start, areaLast: area.last };
  if (pages === null || area.preventAccess) {
    const check = 'iopt_unmap_iova_range: nobody uses the mapping';
    return refusals.refuse(check, Errno.EBUSY, details);
  }
  const by = BigInt(iopt.iovaAlignment);
  const leftBytes = last + 1n - start;
  if ((last + 1n) % by !== 0n || (area.startByte + leftBytes) % by !== 0n) {
    const check = 'iopt_area_split: the cut is aligned';
    return refusals.refuse(check, Errno.EINVAL, { ...details, alignment: by });
  }
  if (area.numAccesses > 0) {
    return refusals.refuse('iopt_area_split: no access holds the mapping', Errno.EINVAL, details);
  }
  if (area.storageDomain !== null && !iopt.disableLargePages) {
    return refusals.refuse('iopt_area_split: no large pages', Errno.EINVAL, details);
  }
  iopt.areaTree.remove(area);
  const { storageDomain, iommuProt } = area;
  if (storageDomain !== null) pages.domainsTree.remove(area.pagesNode);
  pages.users++;
  for (const [at, offset, length] of [
    [start, 0n, leftBytes],
    [last + 1n, leftBytes, area.length - leftBytes],
  ]) {
    const startByte = area.startByte + offset;
    calls.call('iopt_insert_area', ...bytes(at), Number(startByte), ...bytes(length));
    const part = new IoptArea(iopt, at, length, startByte, iommuProt);
    iopt.areaTree.insert(part);
    part.pages = pages;
    part.storageDomain = storageDomain;
    if (storageDomain !== null) pages.domainsTree.insert(part.pagesNode);
  }
  return 0;
}
