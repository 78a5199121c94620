/** Series-1-4 as an algorithm of one's own, with one thing left out or wrong at a time. */
import {
  algorithmFrom,
  type OwnAlgorithm,
  type OwnBatch,
  type PinAlgorithm,
} from '@pinfold/vfio-type1';

/** What can be wrong. */
export const MUTANTS = [
  'no reserved test in a chunk',
  'leftover batch is off by one',
  'no section test in classic sparsemem',
  'batch takes one page too many',
  'no rollback',
  'batch is kept after an error',
  'unpins before the unmap',
  'pages of devices are charged',
  'pages of devices are not uncharged',
  'pointers are not compared with the chunk',
  'the whole batch is contiguous',
  'the whole batch is contiguous after 600 pages',
  'never dirty',
  'charged twice',
  'has_rsvd of the last chunk only',
  'no accounting on unpin',
  'unpin forgets the last page',
] as const;

/** One of them. */
export type Mutant = (typeof MUTANTS)[number];

/**
 * The algorithm.
 *
 * @param mutant what is wrong with it; null: nothing
 * @returns the algorithm
 */
export function mutantOf(mutant: Mutant | null): PinAlgorithm {
  const is = (other: Mutant): boolean => other === mutant;
  const own: OwnAlgorithm = {
    name: mutant === null ? 'original' : mutant.replaceAll(' ', '-').replaceAll('_', '-'),
    summary: 'series-1-4, changed',

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
        const next = kernel.continuesChunk(chunk, pfn);
        if (!next && !is('pointers are not compared with the chunk')) break;
        if (batch.size > 0) {
          const rsvd = kernel.isInvalidReservedPfn(pfn);
          if (rsvd !== chunk.rsvd && !is('no reserved test in a chunk')) break;
          const whole =
            is('the whole batch is contiguous') ||
            (is('the whole batch is contiguous after 600 pages') && chunk.pinned > 600);
          const nr = whole
            ? batch.size
            : is('no section test in classic sparsemem')
              ? consecutivePointers(batch)
              : kernel.numPagesContiguous(batch);
          const iovaPn = vaddr + chunk.pinned - dma.vaddr + dma.iovaPn;
          const theirs = is('pages of devices are charged') ? 0 : kernel.vpfnPages(dma, iovaPn, nr);
          const acct = chunk.rsvd ? 0 : (nr - theirs) * (is('charged twice') ? 2 : 1);
          ret = acct > 0 ? kernel.testLimit(dma, chunk.lockAcct, acct, limit) : 0;
          if (ret < 0) break;
          chunk.lockAcct += acct;
          const more = is('batch takes one page too many') && batch.size > nr ? 1 : 0;
          chunk.pinned += nr + more;
          const lost = is('leftover batch is off by one') && batch.size > nr ? 1 : 0;
          batch.take(nr + more + lost);
        } else if (chunk.rsvd || is('no reserved test in a chunk')) chunk.pinned += ret;
        else break;
      }
      if (ret >= 0) ret = kernel.lockAcct(dma, chunk.lockAcct, false);
      if (is('has_rsvd of the last chunk only')) dma.hasRsvd = chunk.rsvd;
      else dma.hasRsvd ||= ret >= 0 && chunk.rsvd;
      if (ret >= 0) return chunk.pinned;
      if (!chunk.rsvd && !is('no rollback')) kernel.putPfns(dma, chunk.pfnBase, chunk.pinned);
      if (is('batch is kept after an error')) batch.take(batch.size);
      else kernel.batchUnpin(dma, batch);
      return ret;
    },

    unpinRegion(kernel, dma, iovaPn, pfn, npage, doAccounting) {
      if (is('unpins before the unmap') && dma.state === iovaPn) return npage;
      const locked = is('pages of devices are not uncharged')
        ? 0
        : kernel.vpfnPages(dma, iovaPn, npage);
      const dirty = (dma.prot & kernel.IOMMU_WRITE) !== 0 && !is('never dirty');
      const put = is('unpin forgets the last page') ? npage - 1 : npage;
      const unlocked = dma.hasRsvd ? kernel.putPfns(dma, pfn, npage) : npage;
      if (!dma.hasRsvd && put > 0) {
        kernel.unpinUserPageRangeDirtyLock(kernel.pfnToPage(pfn), put, dirty);
      }
      if (doAccounting && !is('no accounting on unpin')) {
        kernel.lockAcct(dma, locked - unlocked, true);
      }
      return is('no accounting on unpin') ? 0 : unlocked;
    },

    ...(is('unpins before the unmap') && {
      nextUnmapRun(kernel, dma, iovaPn, npage, run) {
        kernel.iovaToPhysRun(iovaPn, npage, run);
        if (run.pfn === 0 || kernel.isInvalidReservedPfn(run.pfn)) return;
        kernel.unpinUserPageRangeDirtyLock(kernel.pfnToPage(run.pfn), run.npage, true);
        dma.state = iovaPn;
      },
    }),
  };
  return algorithmFrom(own, 'mutants/series-1-4.ts');
}

/** num_pages_contiguous without its look at the section. */
function consecutivePointers(batch: OwnBatch): number {
  let n = 1;
  while (n < batch.size && batch.page(n) === batch.page() + n) n++;
  return n;
}
