/**
 * Refilling a batch: GUP first, and the pfn mapping of a device if GUP refuses.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vaddr_get_pfns, follow_fault_pfn, 6.16; reference type1.md §3,
 * mm.md §5.7
 */
import { Errno, type Vpn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import {
  fixupUserFault,
  FOLL,
  followPfnmap,
  pinUserPagesRemote,
  VM,
  type FollowPfnmap,
  type Vma,
} from '@pinfold/mm';
import type { VfioBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import { countReservedTest, isInvalidReservedPfn } from './put-pfn.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Fills an empty batch from a virtual page on. Device memory leaves it empty: its frames hold no
 * pin, `batch.pfn` and the result describe them.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param vaddr first virtual page
 * @param npage pages wanted; GUP takes at most the batch's capacity, a pfn mapping all
 * @param batch the batch
 * @param maxPfnmap frames of a pfn mapping that one call returns at most; default: no limit
 * @returns pages from `batch.pfn` on, at least 1; -EFAULT, or another errno of GUP or of the fault
 * @source drivers/vfio/vfio_iommu_type1.c vaddr_get_pfns, 6.12 and 6.16
 */
export function vaddrGetPfns(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  batch: VfioBatch,
  maxPfnmap: number = Number.MAX_SAFE_INTEGER,
): number {
  const { tracer } = iommu.counters;
  tracer?.enter('vaddr_get_pfns', vaddr, npage);
  const got = getPfns(iommu, dma, vaddr, npage, batch, maxPfnmap);
  tracer?.exit('vaddr_get_pfns', got);
  return got;
}

/** GUP, or what it leaves to {@link followFaultPfn}. */
function getPfns(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  batch: VfioBatch,
  maxPfnmap: number,
): number {
  const { mm } = dma;
  const flags = FOLL.LONGTERM | (dma.prot & IOMMU.WRITE ? FOLL.WRITE : 0);
  const ret = pinUserPagesRemote(mm, vaddr, Math.min(npage, batch.capacity), flags, batch.pages);
  if (ret > 0) {
    batch.size = ret;
    batch.offset = 0;
    batch.pfn = iommu.memory.memmap.pageToPfn(batch.pages[0]);
    return ret;
  }
  const vma = mm.vmas.lookup(vaddr);
  if (vma && vma.flags & VM.PFNMAP) {
    return followFaultPfn(iommu, dma, vma, vaddr, Math.min(npage, maxPfnmap), batch);
  }
  return ret === 0 ? -Errno.EFAULT : ret;
}

/** The frames of device memory, up to the end of the leaf that maps them. */
function followFaultPfn(
  iommu: VfioIommu,
  dma: VfioDma,
  vma: Vma,
  vaddr: Vpn,
  npage: number,
  batch: VfioBatch,
): number {
  const write = (dma.prot & IOMMU.WRITE) !== 0;
  const entry = followOrFault(dma, vma, vaddr, write);
  if (typeof entry === 'number') return entry;
  if (write && !entry.writable) {
    return refuse(dma, vaddr, -Errno.EFAULT, 'the device’s memory is mapped read-only');
  }
  const reserved = isInvalidReservedPfn(iommu.memory.memmap, entry.pfn);
  countReservedTest(iommu.counters, entry.pfn, reserved);
  if (!reserved) {
    return refuse(dma, vaddr, -Errno.EFAULT, 'the pfn mapping leads to ordinary memory');
  }
  batch.pfn = entry.pfn;
  return Math.min(npage, entry.leafPages - (entry.pfn % entry.leafPages));
}

/** The entry that maps a page; the device's driver is asked once for one that is absent. */
function followOrFault(dma: VfioDma, vma: Vma, vaddr: Vpn, write: boolean): FollowPfnmap | number {
  const { mm } = dma;
  const present = followPfnmap(mm, vma, vaddr);
  if (typeof present !== 'number') return present;
  const fault = fixupUserFault(mm, vaddr, write);
  if (fault !== 0) return refuse(dma, vaddr, fault, 'the device’s driver maps nothing there');
  const entry = followPfnmap(mm, vma, vaddr);
  return typeof entry === 'number'
    ? refuse(dma, vaddr, entry, 'a fault left the page of the device absent')
    : entry;
}

function refuse(dma: VfioDma, vpn: Vpn, ret: number, why: string): number {
  dma.mm.gupFailure = { vpn, why };
  return ret;
}
