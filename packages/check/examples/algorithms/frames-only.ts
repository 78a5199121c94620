import type { OwnAlgorithm } from '@pinfold/vfio-type1';

/** VFIO looks at frames only, and unpins ranges: J. Gunthorpe on the large-folio series, June 2025. */
export default {
  name: 'frames-only',
  summary: 'chunks by page frames alone, one range unpin per region',
  source: 'after J. Gunthorpe, 18 June 2025',

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
      if (batch.size === 0) {
        if (!kernel.continuesChunk(chunk, batch.pfn) || !chunk.rsvd) break;
        chunk.pinned += ret;
        continue;
      }
      const first = chunk.pfnBase + chunk.pinned;
      let nr = 0;
      while (nr < batch.size && kernel.pageToPfn(batch.page(nr)) === first + nr) nr++;
      if (nr === 0 || kernel.isInvalidReservedPfn(first) !== chunk.rsvd) break;
      const iovaPn = vaddr + chunk.pinned - dma.vaddr + dma.iovaPn;
      const acct = chunk.rsvd ? 0 : nr - kernel.vpfnPages(dma, iovaPn, nr);
      ret = acct > 0 ? kernel.testLimit(dma, chunk.lockAcct, acct, limit) : 0;
      if (ret < 0) break;
      chunk.lockAcct += acct;
      chunk.pinned += nr;
      batch.take(nr);
    }
    if (ret >= 0) ret = kernel.lockAcct(dma, chunk.lockAcct, false);
    dma.hasRsvd ||= ret >= 0 && chunk.rsvd;
    if (ret >= 0) return chunk.pinned;
    if (!chunk.rsvd) kernel.putPfns(dma, chunk.pfnBase, chunk.pinned);
    kernel.batchUnpin(dma, batch);
    return ret;
  },

  unpinRegion(kernel, dma, iovaPn, pfn, npage, doAccounting) {
    const locked = kernel.vpfnPages(dma, iovaPn, npage);
    const dirty = (dma.prot & kernel.IOMMU_WRITE) !== 0;
    const unlocked = dma.hasRsvd ? kernel.putPfns(dma, pfn, npage) : npage;
    if (!dma.hasRsvd) kernel.unpinUserPageRangeDirtyLock(kernel.pfnToPage(pfn), npage, dirty);
    if (doAccounting) kernel.lockAcct(dma, locked - unlocked, true);
    return unlocked;
  },
} satisfies OwnAlgorithm;
