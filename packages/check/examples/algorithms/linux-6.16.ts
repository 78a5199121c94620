import type { OwnAlgorithm } from '@pinfold/vfio-type1';

/** What Linux 6.16 does: every page is compared, looked up, tested and put on its own. */
export default {
  name: 'linux-6-16',
  summary: 'what Linux 6.16 does (batched), page by page',

  pinChunk(kernel, dma, vaddr, npage, limit, batch, chunk) {
    const want = kernel.disableHugepages ? 1 : npage;
    let ret = 0;
    let joins = true;
    if (batch.size > 0) kernel.startChunk(chunk, kernel.pageToPfn(batch.page()));
    while (joins && ret >= 0 && chunk.pinned < want) {
      if (batch.size === 0) {
        ret = kernel.vaddrGetPfns(dma, vaddr + chunk.pinned, want - chunk.pinned, batch);
        if (ret < 0) break;
        if (chunk.pfnBase === 0) kernel.startChunk(chunk, batch.pfn);
        if (batch.size === 0) {
          joins = kernel.continuesChunk(chunk, batch.pfn) && chunk.rsvd;
          if (joins) chunk.pinned += ret;
        }
      }
      while (joins && batch.size > 0) {
        const pfn = kernel.pageToPfn(batch.page());
        const iovaPn = vaddr + chunk.pinned - dma.vaddr + dma.iovaPn;
        joins =
          kernel.continuesChunk(chunk, pfn) && kernel.isInvalidReservedPfn(pfn) === chunk.rsvd;
        if (!joins) break;
        if (!chunk.rsvd && !kernel.findVpfn(dma, iovaPn)) {
          ret = kernel.testLimit(dma, chunk.lockAcct, 1, limit);
          if (ret < 0) break;
          chunk.lockAcct++;
        }
        chunk.pinned++;
        batch.take(1);
      }
    }
    if (ret >= 0) ret = kernel.lockAcct(dma, chunk.lockAcct, false);
    if (ret >= 0) return chunk.pinned;
    if (!chunk.rsvd) kernel.putPfns(dma, chunk.pfnBase, chunk.pinned);
    kernel.batchUnpin(dma, batch);
    return ret;
  },

  unpinRegion(kernel, dma, iovaPn, pfn, npage, doAccounting) {
    let unlocked = 0;
    let locked = 0;
    for (let i = 0; i < npage; i++) {
      if (kernel.putPfns(dma, pfn + i, 1) === 0) continue;
      unlocked++;
      if (kernel.findVpfn(dma, iovaPn + i)) locked++;
    }
    if (doAccounting) kernel.lockAcct(dma, locked - unlocked, true);
    return unlocked;
  },
} satisfies OwnAlgorithm;
