/**
 * `hugetlb-2020`: Ming Mao's second version of August 2020, never merged. The page-wise loop of its
 * time; once a look-ahead page turns out to be hugetlb, the rest of the huge page is pinned by adding
 * to its counts. Unpinning and the scan of the unmap go by huge pages too. Other memory gains nothing.
 *
 * It is written down with its defects ({@link hugetlb2020}); what Alex Williamson's review of
 * 20 August 2020 asked for is left as it was.
 *
 * @source reference strategies.md (b)
 */
import { Slot, type IovaPn, type Pfn, type Vpn } from '@pinfold/base';
import { IOMMU, type PhysRun } from '@pinfold/iommu';
import {
  addHugetlbPins,
  exceedsMemlock,
  folioOrderOf,
  pageHuge,
  subHugetlbPins,
} from '@pinfold/mm';
import type { VfioDma } from '../dma.ts';
import { vfioLockAcct } from '../lock-acct.ts';
import { overLimit, unwindPfns, type PinnedChunk } from '../pin-chunk.ts';
import type { PinAlgorithm } from '../pin-algorithm.ts';
import { pinPageByPage } from '../pin-page-by-page.ts';
import { putPfns } from '../put-pfn.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { definePinAlgorithm } from './define-pin-algorithm.ts';

/** is_hugetlbpage, counted. */
function isHugetlbPage(iommu: VfioIommu, pfn: Pfn): boolean {
  iommu.counters.add(Slot.hugetlbTests, 1);
  return pageHuge(iommu.memory.memmap, pfn);
}

/**
 * Pages from an address to the end of a huge page, as if the address were aligned like the huge page
 * (hugetlb_get_residual_pages).
 */
function residualPages(address: Vpn | IovaPn, order: number): number {
  const npage = 2 ** order;
  return npage - (address % npage);
}

/** Nodes of the tree with one of these frames, wherever they are mapped: a walk through all of it. */
function externallyPinned(iommu: VfioIommu, dma: VfioDma, pfn: Pfn, npage: number): number {
  let num = 0;
  let visited = 0;
  for (let node = dma.pfnList.first(); node; node = dma.pfnList.next(node)) {
    visited++;
    if (node.pfn >= pfn && node.pfn < pfn + npage) num++;
  }
  iommu.counters.add(Slot.vpfnTreeWalks, 1);
  iommu.counters.add(Slot.vpfnNodes, visited);
  return num;
}

/** Pins what is left of a huge page behind one of its pages. */
function pinRestOfHugePage(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  pfn: Pfn,
  npage: number,
  limit: number,
  chunk: PinnedChunk,
): number {
  if (npage === 0 || !isHugetlbPage(iommu, pfn)) return 0;
  const { memory } = iommu;
  const residual = residualPages(vaddr, folioOrderOf(memory.memmap, pfn));
  const more = Math.min(residual - 1, npage);
  if (more === 0) return 0;
  addHugetlbPins(memory, pfn, more);
  // The pages pinned here begin at pfn + 1; these are counted from pfn on.
  const charged = more - externallyPinned(iommu, dma, pfn, more);
  iommu.counters.add(Slot.limitTests, 1);
  if (!dma.lockCap && exceedsMemlock(dma.mm.lockedVm + chunk.lockAcct + charged, limit)) {
    // 1 + more pins are held.
    unwindPfns(iommu, dma, pfn, more);
    return overLimit(iommu, dma, chunk.lockAcct, charged, limit);
  }
  chunk.lockAcct += charged;
  return more;
}

/** Unpins a region huge page by huge page; other pages, and where that fails, page by page. */
function unpinHugePages(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  pfn: Pfn,
  npage: number,
  doAccounting: boolean,
): number {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.unpinPagesRemoteCalls, 1);
  tracer?.enter('vfio_unpin_pages_remote', iovaPn, pfn, npage);
  let unlocked = 0;
  let locked = 0;
  for (let i = 0; i < npage;) {
    const put = putHugePage(iommu, dma, iovaPn + i, pfn + i, npage - i);
    i += put;
    unlocked += put;
    if (put > 0) {
      // The frame has moved on: these are the pages behind those that were put.
      locked += externallyPinned(iommu, dma, pfn + i, put);
      continue;
    }
    putPfns(iommu, pfn + i, 1, dma.prot, dma.pfnList, iovaPn + i);
    unlocked += iommu.put.unlocked;
    locked += iommu.put.locked;
    i++;
  }
  if (doAccounting) vfioLockAcct(dma, locked - unlocked, true);
  tracer?.exit('vfio_unpin_pages_remote', unlocked);
  return unlocked;
}

/** Puts the part of a huge page that begins here in one go; returns its pages, 0 if it cannot. */
function putHugePage(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  pfn: Pfn,
  npage: number,
): number {
  if (!isHugetlbPage(iommu, pfn)) return 0;
  const { memory } = iommu;
  const put = Math.min(residualPages(iovaPn, folioOrderOf(memory.memmap, pfn)), npage);
  // hugetlb_put_pfn makes the test once more.
  iommu.counters.add(Slot.hugetlbTests, 1);
  return subHugetlbPins(memory, pfn, put, (dma.prot & IOMMU.WRITE) !== 0) ? put : 0;
}

/**
 * Reads frames back until they are not consecutive, but only one of each huge page. The jump ends
 * where a huge page would if the I/O virtual address were aligned like it, and is bounded by what
 * the whole mapping is longer than the run.
 */
function scanHugePages(
  iommu: VfioIommu,
  dma: VfioDma,
  iovaPn: IovaPn,
  npage: number,
  run: PhysRun,
): void {
  const { domain, fgsp } = iommu.domainList[0];
  const { memmap } = iommu.memory;
  run.pfn = domain.iovaToPhys(iovaPn);
  run.npage = 1;
  if (run.pfn === 0 || fgsp) return;
  let len = 1;
  while (len < npage) {
    const next = domain.iovaToPhys(iovaPn + len);
    if (next !== run.pfn + len) break;
    const room = dma.npage - len;
    len +=
      room > 0 && isHugetlbPage(iommu, next)
        ? Math.min(room, residualPages(iovaPn + len, folioOrderOf(memmap, next)))
        : 1;
  }
  run.npage = len;
}

/** The registry's entry. */
export const hugetlb2020: PinAlgorithm = definePinAlgorithm({
  name: 'hugetlb-2020',
  summary: 'page by page, but the rest of a hugetlb page at once, on unmap too',
  source: 'Ming Mao, V2 of 14 August 2020, not merged',
  repins: true,
  defects: [
    'over RLIMIT_MEMLOCK one pin of the huge page stays behind (analysis)',
    'external pins are counted from one page too early, and on unpin behind the pages put (analysis)',
    'external pins are matched by frame, also those of other addresses (analysis)',
    'unmap takes pages for contiguous where iova and frame are aligned differently (analysis)',
    'unmap may go on behind the end of the mapping (analysis)',
    'pins are added without the check for overflow of GUP (analysis)',
    'release is page-wise where the pins were taken at once (Alex Williamson, 20 August 2020)',
  ],

  pinChunk: (iommu, dma, vaddr, npage, limit, batch, chunk) =>
    pinPageByPage(iommu, dma, vaddr, npage, limit, batch, chunk, pinRestOfHugePage),
  unpinRegion: unpinHugePages,
  nextUnmapRun: scanHugePages,
});
