/**
 * The superpage test of a new domain, up to 6.15: an IOMMU whose page sizes are all powers of two
 * maps 8 KiB by one entry, which goes as a whole. Unmapping then asks for one entry at a time, and
 * is told how much went.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_test_domain_fgsp, 6.12; reference type1.md §7.4
 */
import type { Pfn } from '@pinfold/base';
import { IOMMU, type IommuDomain } from '@pinfold/iommu';
import type { MemMap } from '@pinfold/mm';
import type { IovaRange } from './iova-list.ts';

/** Pages of the test: one allocation of order 1. */
const TEST_PAGES = 2;

/**
 * Maps two pages, unmaps the first, and looks how much has gone. Page tables that the test needed
 * stay where the format does not free them.
 *
 * @param memmap memory map, for two free page frames; they are free again afterwards
 * @param domain a new domain
 * @param ranges usable I/O virtual addresses
 * @returns true if the second page went with the first
 * @source drivers/vfio/vfio_iommu_type1.c vfio_test_domain_fgsp, 6.12
 */
export function testDomainFgsp(
  memmap: MemMap,
  domain: IommuDomain,
  ranges: readonly IovaRange[],
): boolean {
  const pfn = findFreePages(memmap);
  if (pfn === 0) return false;
  for (const { start, last } of ranges) {
    const iovaPn = start + (start % TEST_PAGES);
    // The kernel compares the last byte with the end of the test, so that one page more is asked.
    if (last - iovaPn < TEST_PAGES) continue;
    const prot = IOMMU.READ | IOMMU.WRITE | IOMMU.CACHE;
    if (domain.map(iovaPn, pfn, TEST_PAGES, prot) !== 0) return false;
    if (domain.unmap(iovaPn, 1) !== 1) return true;
    domain.unmap(iovaPn + 1, 1);
    return false;
  }
  return false;
}

/** Two free page frames, aligned, outside movable memory; 0 if there are none. */
function findFreePages(memmap: MemMap): Pfn {
  for (let section = 0; section < memmap.sectionBase.length; section++) {
    const start = section * memmap.sectionPages;
    if (!memmap.pfnValid(start) || !memmap.longtermPinnable(start)) continue;
    const end = start + memmap.sectionPages;
    for (let pfn = Math.max(start, TEST_PAGES); pfn < end; pfn += TEST_PAGES) {
      if (isFree(memmap, section, pfn) && isFree(memmap, section, pfn + 1)) return pfn;
    }
  }
  return 0;
}

/** A section that was never touched has no state, and all its pages are free. */
function isFree(memmap: MemMap, section: number, pfn: Pfn): boolean {
  if (memmap.sectionBase[section] < 0) return true;
  return !memmap.pageReserved(pfn) && memmap.refcount[memmap.headEntryOf(pfn)] === 0;
}
