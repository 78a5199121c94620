import type { OwnAlgorithm } from '@pinfold/vfio-type1';

/** One GUP for a run of pages that a device wants pinned, in place of one for each page. */
export default {
  name: 'external-batch',
  summary: 'one GUP per run of external pins',
  source: 'after N. Chen, whose requests since 2022 are runs of pages',

  pinExternal(kernel, request) {
    for (let i = 0; i < request.npage;) {
      const dma = kernel.dmaToPin(request, i);
      if (typeof dma === 'number') return kernel.unwindExternal(request, i, dma);
      if (kernel.takeKnownPage(dma, request, i)) {
        i++;
        continue;
      }
      const first = request.iovaPn(i);
      const end = dma.iovaPn + dma.npage;
      let nr = 1;
      if (request.offset(i) === 0 && first >= dma.iovaPn) {
        while (i + nr < request.npage && first + nr < end) {
          if (request.iovaPn(i + nr) !== first + nr || request.offset(i + nr) !== 0) break;
          if (kernel.findVpfn(dma, first + nr)) break;
          nr++;
        }
      }
      const batch = kernel.makeBatch(Math.min(nr, 512));
      let ret = 0;
      if (nr > 1) ret = kernel.vaddrGetPfns(dma, dma.vaddr + first - dma.iovaPn, nr, batch);
      if (ret < 0) return kernel.unwindExternal(request, i, ret);
      if (batch.size === 0) {
        // One page, or device memory.
        ret = kernel.pinNewPage(dma, request, i);
        if (ret < 0) return kernel.unwindExternal(request, i, ret);
        i++;
      }
      while (batch.size > 0) {
        const page = batch.page();
        const reserved = kernel.isInvalidReservedPfn(kernel.pageToPfn(page));
        const acct = request.doAccounting && !reserved ? 1 : 0;
        ret = kernel.lockAcct(dma, acct, false);
        if (ret === 0) {
          ret = kernel.addToPfnList(dma, request, i, page);
          if (ret < 0) kernel.lockAcct(dma, -acct, true);
        }
        if (ret < 0) {
          kernel.batchUnpin(dma, batch);
          return kernel.unwindExternal(request, i, ret);
        }
        batch.take(1);
        i++;
      }
    }
    return request.npage;
  },
} satisfies OwnAlgorithm;
