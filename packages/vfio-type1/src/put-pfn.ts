/**
 * Reserved pfns, and putting pages one by one.
 *
 * @source drivers/vfio/vfio_iommu_type1.c is_invalid_reserved_pfn, put_pfn, 6.16; reference type1.md §4
 */
import { Slot, type Counters, type IovaPn, type Pfn, type Tracer } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { unpinUserPagesOneByOne, type MemMap } from '@pinfold/mm';
import type { VfioIommu } from './vfio-iommu.ts';
import type { VpfnTree } from './vpfn.ts';

/** What {@link putPfns} has done. */
export class PutCount {
  /** Pages unpinned. */
  unlocked = 0;
  /** Unpinned pages that a device without IOMMU has pinned too, so that their charge stays. */
  locked = 0;
}

/**
 * Whether a pfn was obtained by following a pfn mapping, not by GUP: it has no memory map, or is
 * PG_reserved. The caller counts the tests.
 *
 * @param memmap memory map
 * @param pfn page frame
 * @returns true if nothing must be unpinned
 * @source drivers/vfio/vfio_iommu_type1.c is_invalid_reserved_pfn, 6.16
 */
export function isInvalidReservedPfn(memmap: MemMap, pfn: Pfn): boolean {
  return !memmap.pfnValid(pfn) || memmap.pageReserved(pfn);
}

/**
 * Counts a test that is a call of its own: of the first pfn of a chunk, and of a pfn that a mapping
 * of device memory leads to.
 *
 * @param counters the machine's counters
 * @param pfn page frame
 * @param reserved what the test found
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, follow_fault_pfn, 6.16
 */
export function countReservedTest(counters: Counters, pfn: Pfn, reserved: boolean): void {
  const { tracer } = counters;
  counters.add(Slot.reservedTests, 1);
  counters.add(Slot.chunkStartTests, 1);
  if (tracer !== null) tracer.repeat('is_invalid_reserved_pfn', 1, pfn, 0, reserved ? 1 : 0, 0);
}

/**
 * A tracer sees a test that compilers inline where they can.
 *
 * @param tracer the tracer
 * @param pfn page frame
 * @param reserved what the test found
 * @source drivers/vfio/vfio_iommu_type1.c put_pfn, vfio_pin_pages_remote, 6.18; recordings of
 * 6.18.15 on arm64
 */
export function traceInlinedTest(tracer: Tracer, pfn: Pfn, reserved: boolean): void {
  tracer.repeat('is_invalid_reserved_pfn (inlined)', 1, pfn, 0, reserved ? 1 : 0, 0);
}

/**
 * put_pfn for consecutive pfns, page by page: a reserved test each, and one unpin call per page
 * that is not reserved. The result is left in `iommu.put`.
 *
 * @param iommu the container's state
 * @param pfn first page frame
 * @param npage number of pages
 * @param prot IOMMU access bits; WRITE marks the pages dirty
 * @param external the tree to look every unpinned page up in, or null for no look-ups
 * @param iovaPn I/O virtual page of the first page, for the look-ups
 * @source drivers/vfio/vfio_iommu_type1.c put_pfn, vfio_unpin_pages_remote (the loop), 6.16
 */
export function putPfns(
  iommu: VfioIommu,
  pfn: Pfn,
  npage: number,
  prot: number,
  external: VpfnTree | null = null,
  iovaPn: IovaPn = 0,
): void {
  const { memory, put } = iommu;
  const { memmap } = memory;
  const dirty = (prot & IOMMU.WRITE) !== 0;
  put.unlocked = put.locked = 0;
  for (let i = 0; i < npage;) {
    const run = memmap.invalidOrReservedRun(pfn + i, npage - i, false);
    if (run > 0) {
      unpinUserPagesOneByOne(memory, pfn + i, run, dirty);
      put.unlocked += run;
      if (external) put.locked += findEach(iommu, external, iovaPn + i, run);
    }
    // The page that ended the run has been tested: it is reserved and nothing is put.
    i += run + 1;
  }
  iommu.counters.add(Slot.reservedTests, npage);
}

/**
 * put_pfn for consecutive pfns as {@link putPfns}, page by page, so that a tracer sees the tests.
 *
 * @param iommu the container's state
 * @param pfn first page frame
 * @param npage number of pages
 * @param prot IOMMU access bits; WRITE marks the pages dirty
 * @param tracer the tracer
 * @param external the tree to look every unpinned page up in, or null for no look-ups
 * @param iovaPn I/O virtual page of the first page, for the look-ups
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unpin_pages_remote (the loop), 6.18
 */
export function putPfnsTraced(
  iommu: VfioIommu,
  pfn: Pfn,
  npage: number,
  prot: number,
  tracer: Tracer,
  external: VpfnTree | null = null,
  iovaPn: IovaPn = 0,
): void {
  let unlocked = 0;
  let locked = 0;
  for (let i = 0; i < npage; i++) {
    traceInlinedTest(tracer, pfn + i, isInvalidReservedPfn(iommu.memory.memmap, pfn + i));
    putPfns(iommu, pfn + i, 1, prot, external, iovaPn + i);
    unlocked += iommu.put.unlocked;
    locked += iommu.put.locked;
  }
  iommu.put.unlocked = unlocked;
  iommu.put.locked = locked;
}

/** One vfio_find_vpfn per page; returns how many were found. */
function findEach(iommu: VfioIommu, tree: VpfnTree, iovaPn: IovaPn, npage: number): number {
  let found = 0;
  tree.nodesVisited = 0;
  let i = 0;
  // In an empty tree, the common case, a look-up is the test of its root.
  while (i < npage && tree.root === null) i++;
  const { vpfnSpan } = iommu.rules.pinAlgorithm;
  for (; i < npage; i++) if (tree.findAt(iovaPn + i, 0, vpfnSpan) !== null) found++;
  iommu.counters.add(Slot.vpfnLookups, npage);
  iommu.counters.add(Slot.vpfnNodes, tree.nodesVisited);
  return found;
}
