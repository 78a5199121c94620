import type { OwnAlgorithm } from '@pinfold/vfio-type1';

export default {
  name: 'my-algorithm',
  summary: 'what Linux 6.18 does (series-1-4)',

  // Pins pages from vaddr on while they are physically contiguous, run by run.
  pinChunk(kernel, dma, vaddr, npage, limit, batch, chunk) {
    const want = kernel.disableHugepages ? 1 : npage;
    let ret = 0;
    if (batch.size > 0) kernel.startChunk(chunk, kernel.pageToPfn(batch.page()));
    while (chunk.pinned < want) {
      if (batch.size === 0) {
        ret = kernel.vaddrGetPfns(dma, vaddr + chunk.pinned, want - chunk.pinned, batch);
        if (ret < 0) break;
        if (chunk.pfnBase === 0) kernel.startChunk(chunk, batch.pfn);
      }
      const pfn = batch.size > 0 ? kernel.pageToPfn(batch.page()) : batch.pfn;
      if (!kernel.continuesChunk(chunk, pfn)) break;
      if (batch.size > 0) {
        if (kernel.isInvalidReservedPfn(pfn) !== chunk.rsvd) break;
        const nr = kernel.numPagesContiguous(batch);
        const iovaPn = vaddr + chunk.pinned - dma.vaddr + dma.iovaPn;
        const acct = chunk.rsvd ? 0 : nr - kernel.vpfnPages(dma, iovaPn, nr);
        ret = acct > 0 ? kernel.testLimit(dma, chunk.lockAcct, acct, limit) : 0;
        if (ret < 0) break;
        chunk.lockAcct += acct;
        chunk.pinned += nr;
        batch.take(nr);
      } else if (chunk.rsvd) chunk.pinned += ret;
      else break; // device memory after ordinary pages
    }
    if (ret >= 0) ret = kernel.lockAcct(dma, chunk.lockAcct, false);
    dma.hasRsvd ||= ret >= 0 && chunk.rsvd;
    if (ret >= 0) return chunk.pinned;
    if (!chunk.rsvd) kernel.putPfns(dma, chunk.pfnBase, chunk.pinned);
    kernel.batchUnpin(dma, batch);
    return ret;
  },

  // Unpins a physically contiguous region, one put per folio unless it may have reserved pages.
  unpinRegion(kernel, dma, iovaPn, pfn, npage, doAccounting) {
    const locked = kernel.vpfnPages(dma, iovaPn, npage);
    const dirty = (dma.prot & kernel.IOMMU_WRITE) !== 0;
    const unlocked = dma.hasRsvd ? kernel.putPfns(dma, pfn, npage) : npage;
    if (!dma.hasRsvd) kernel.unpinUserPageRangeDirtyLock(kernel.pfnToPage(pfn), npage, dirty);
    if (doAccounting) kernel.lockAcct(dma, locked - unlocked, true);
    return unlocked;
  },
} satisfies OwnAlgorithm;
