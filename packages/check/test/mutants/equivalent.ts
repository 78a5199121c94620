/**
 * Variants that are right all the same, so that nobody can find them. A variant that is not found and
 * not listed here counts as missed: the share that is told is a lower bound.
 */

const RUN = 'if (request.offset(i) === 0 && first >= dma.iovaPn) {';
const GUP =
  'if (nr > 1) ret = kernel.vaddrGetPfns(dma, dma.vaddr + first - dma.iovaPn, nr, batch);';
const ASYNC = 'true is false in if (doAccounting) kernel.lockAcct(dma, locked - unlocked, true);';
const SYNC = 'false is true in if (ret >= 0) ret = kernel.lockAcct(dma, chunk.lockAcct, false);';

/** What makes runs of one page: one GUP for each page, as in the kernel. */
const SHORTER_RUNS = [
  `never in ${RUN}`,
  `=== is !== in ${RUN}`,
  `0 and 1 in ${RUN}`,
  `>= is > in ${RUN}`,
  'always in if (request.iovaPn(i + nr) !== first + nr || request.offset(i + nr) !== 0) break;',
  'always in if (kernel.findVpfn(dma, first + nr)) break;',
  ...['never', 'always', '> is >=', '1 and 1', 'left out', 'argument 3 less 1'].map(
    (how) => `${how} in ${GUP}`,
  ),
].map((what) => `external-batch pinExternal: ${what}`);

/** Their ids. */
export const EQUIVALENT: ReadonlySet<string> = new Set<string>([
  ...SHORTER_RUNS,
  // No request is for so many pages; and it is assigned before it is read.
  'external-batch pinExternal: 512 and 1 in const batch = kernel.makeBatch(Math.min(nr, 512));',
  'external-batch pinExternal: 0 and 1 in let ret = 0;',
  'frames-only pinChunk: 0 and 1 in let ret = 0;',
  'linux-6.16 pinChunk: 0 and 1 in let ret = 0;',
  // Whether the owner may have gone: nothing is pinned or unpinned for one that has.
  `frames-only pinChunk: ${SYNC}`,
  `linux-6.16 pinChunk: ${SYNC}`,
  `frames-only unpinRegion: ${ASYNC}`,
  `linux-6.16 unpinRegion: ${ASYNC}`,
  `unmap-by-folio unpinRegion: ${ASYNC}`,
  // Puts page by page, which passes over reserved pages: slower only.
  'frames-only pinChunk: && is || in dma.hasRsvd ||= ret >= 0 && chunk.rsvd;',
  'frames-only pinChunk: always in if (!chunk.rsvd) kernel.putPfns(dma, chunk.pfnBase, chunk.pinned);',
  'linux-6.16 pinChunk: always in if (!chunk.rsvd) kernel.putPfns(dma, chunk.pfnBase, chunk.pinned);',
]);
