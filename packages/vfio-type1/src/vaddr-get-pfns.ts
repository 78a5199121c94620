/**
 * Refilling a batch: GUP first, and the pfn mapping of a device if GUP refuses.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vaddr_get_pfns, follow_fault_pfn, 6.16; reference type1.md §3
 */
import { Errno, Slot, type Vpn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { FOLL, followPfnmap, pinUserPagesRemote, VM, type Vma } from '@pinfold/mm';
import type { VfioBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import { isInvalidReservedPfn } from './put-pfn.ts';
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
 * @returns pages from `batch.pfn` on, at least 1; -EFAULT, or another errno of GUP
 * @source drivers/vfio/vfio_iommu_type1.c vaddr_get_pfns, 6.16
 */
export function vaddrGetPfns(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  batch: VfioBatch,
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
  if (vma && vma.flags & VM.PFNMAP) return followFaultPfn(iommu, dma, vma, vaddr, npage, batch);
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
  const { mm } = dma;
  const entry = followPfnmap(mm, vma, vaddr);
  if (typeof entry === 'number')
    return refuse(dma, vaddr, 'the device’s driver has nothing mapped there');
  if (dma.prot & IOMMU.WRITE && !entry.writable) {
    return refuse(dma, vaddr, 'the device’s memory is mapped read-only');
  }
  iommu.counters.add(Slot.reservedTests, 1);
  if (!isInvalidReservedPfn(iommu.memory.memmap, entry.pfn)) {
    return refuse(dma, vaddr, 'the pfn mapping leads to ordinary memory');
  }
  batch.pfn = entry.pfn;
  return Math.min(npage, entry.leafPages - (entry.pfn % entry.leafPages));
}

function refuse(dma: VfioDma, vpn: Vpn, why: string): number {
  dma.mm.gupFailure = { vpn, why };
  return -Errno.EFAULT;
}
