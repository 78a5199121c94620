/**
 * Templates for algorithms of one's own, as text: made from test/own-algorithm-template.ts and
 * test/own-algorithm-batched.ts, which are checked and tested. `vitest run
 * test/own-algorithm.test.ts -u` writes it.
 */

/** What Linux 6.18 does, in fifty lines. */
export const SERIES_1_4 = `import type { OwnAlgorithm } from '@pinfold/vfio-type1';

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
`;

/** What Linux 6.16 does, with all steps. */
export const BATCHED = `import type { OwnAlgorithm } from '@pinfold/vfio-type1';

export default {
  name: 'my-algorithm',
  summary: 'what Linux 6.16 does (batched)',

  // Pins pages from vaddr on while they are physically contiguous, page by page.
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
        const iovaPn = vaddr + chunk.pinned - dma.vaddr + dma.iovaPn;
        if (!chunk.rsvd && !kernel.findVpfn(dma, iovaPn)) {
          ret = kernel.testLimit(dma, chunk.lockAcct, 1, limit);
          if (ret < 0) break;
          chunk.lockAcct++;
        }
        chunk.pinned++;
        batch.take(1);
      } else if (chunk.rsvd) chunk.pinned += ret;
      else break; // device memory after ordinary pages
    }
    if (ret >= 0) ret = kernel.lockAcct(dma, chunk.lockAcct, false);
    if (ret >= 0) return chunk.pinned;
    if (!chunk.rsvd) kernel.putPfns(dma, chunk.pfnBase, chunk.pinned);
    kernel.batchUnpin(dma, batch);
    return ret;
  },

  // Unpins a physically contiguous region, page by page.
  unpinRegion(kernel, dma, iovaPn, pfn, npage, doAccounting) {
    let [unlocked, locked] = [0, 0];
    for (let i = 0; i < npage; i++) {
      if (kernel.putPfns(dma, pfn + i, 1) === 0) continue; // reserved, not pinned
      unlocked++;
      if (kernel.findVpfn(dma, iovaPn + i)) locked++;
    }
    if (doAccounting) kernel.lockAcct(dma, locked - unlocked, true);
    return unlocked;
  },

  // Finds the next physically contiguous run, by one iommu_iova_to_phys per page.
  nextUnmapRun(kernel, _dma, iovaPn, npage, run) {
    const max = kernel.fgsp ? 1 : npage; // a superpage goes as a whole then
    run.pfn = kernel.iovaToPhys(iovaPn);
    run.npage = 1;
    if (run.pfn === 0) return; // not mapped
    while (run.npage < max && kernel.iovaToPhys(iovaPn + run.npage) === run.pfn + run.npage)
      run.npage++;
  },

  // Pins pages for a device without an IOMMU, page by page.
  pinExternal(kernel, request) {
    for (let i = 0; i < request.npage; i++) {
      const dma = kernel.dmaToPin(request, i);
      if (typeof dma === 'number') return kernel.unwindExternal(request, i, dma);
      if (kernel.takeKnownPage(dma, request, i)) continue;
      const ret = kernel.pinNewPage(dma, request, i);
      if (ret < 0) return kernel.unwindExternal(request, i, ret);
    }
    return request.npage;
  },

  // Called when a mapping has gone: what was remembered of it in dma.state can go.
  forget(_kernel, dma) {
    dma.state = null;
  },
} satisfies OwnAlgorithm;
`;
