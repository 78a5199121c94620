import type { OwnAlgorithm } from '@pinfold/vfio-type1';

/** The scan of an unmap page by page, and one unpin for each folio of what it has found. */
export default {
  name: 'unmap-by-folio',
  summary: 'scan by iova_to_phys, then one unpin per folio of the region',

  nextUnmapRun(kernel, _dma, iovaPn, npage, run) {
    const pfn = kernel.iovaToPhys(iovaPn);
    let nr = 1;
    while (nr < npage && kernel.iovaToPhys(iovaPn + nr) === pfn + nr) nr++;
    run.pfn = pfn;
    run.npage = nr;
  },

  unpinRegion(kernel, dma, iovaPn, pfn, npage, doAccounting) {
    const dirty = (dma.prot & kernel.IOMMU_WRITE) !== 0;
    let unlocked = 0;
    for (let i = 0; i < npage;) {
      if (kernel.isInvalidReservedPfn(pfn + i)) {
        i++;
        continue;
      }
      const page = kernel.pfnToPage(pfn + i);
      const folio = kernel.pageFolio(page);
      const left = kernel.folioNrPages(folio) - kernel.folioPageIdx(folio, page);
      const nr = Math.min(left, npage - i);
      kernel.unpinUserFolioDirtyLocked(folio, nr, dirty);
      unlocked += nr;
      i += nr;
    }
    const locked = kernel.vpfnPages(dma, iovaPn, npage);
    if (doAccounting) kernel.lockAcct(dma, locked - unlocked, true);
    return unlocked;
  },
} satisfies OwnAlgorithm;
