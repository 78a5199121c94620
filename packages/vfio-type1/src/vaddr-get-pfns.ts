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
  unpinUserPage,
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
 * @param offset offset of the address in its page, in bytes, which only a tracer sees; default 0
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
  offset = 0,
): number {
  const { tracer } = iommu.counters;
  tracer?.enter('vaddr_get_pfns', vaddr, offset, npage);
  const got = getPfns(iommu, dma, vaddr, npage, batch, maxPfnmap, offset);
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
  offset: number,
): number {
  const { mm } = dma;
  const flags = FOLL.LONGTERM | (dma.prot & IOMMU.WRITE ? FOLL.WRITE : 0);
  const wanted = Math.min(npage, batch.capacity);
  const ret = pinUserPagesRemote(mm, vaddr, wanted, flags, batch.pages, offset);
  if (ret > 0) {
    batch.size = ret;
    batch.offset = 0;
    batch.pfn = iommu.memory.memmap.pageToPfn(batch.pages[0]);
    if (iommu.memory.rules.readPinUnshare !== 'private') unpinZeroPages(iommu, batch);
    return ret;
  }
  return pfnsWithoutGup(iommu, dma, vaddr, Math.min(npage, maxPfnmap), batch, ret, offset);
}

/**
 * Gives pins of the zero page back: it is always there, and as a reserved page nobody would unpin it
 * later.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vaddr_get_pfns, 6.1
 */
function unpinZeroPages({ memory }: VfioIommu, { pages, size }: VfioBatch): void {
  const zero = memory.memmap.pfnToPage(memory.zeroPfn);
  for (let i = 0; i < size; i++) if (pages[i] === zero) unpinUserPage(memory, zero);
}

/**
 * The frames of device memory that GUP has refused, up to the end of the leaf that maps them.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param vaddr virtual page that GUP refused
 * @param npage pages wanted
 * @param batch gets the first frame in `pfn`; its size stays 0
 * @param ret what GUP returned: 0 or a negative errno
 * @param offset offset of the address in its page, in bytes, for the tracer; default 0
 * @returns pages from `batch.pfn` on; if no pfn mapping covers the page what GUP returned, and
 *   -EFAULT for 0
 * @source drivers/vfio/vfio_iommu_type1.c vaddr_get_pfns, 6.16
 */
export function pfnsWithoutGup(
  iommu: VfioIommu,
  dma: VfioDma,
  vaddr: Vpn,
  npage: number,
  batch: VfioBatch,
  ret: number,
  offset = 0,
): number {
  const vma = dma.mm.vmas.lookup(vaddr);
  if (vma && vma.flags & VM.PFNMAP)
    return followFaultPfn(iommu, dma, vma, vaddr, npage, batch, offset);
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
  offset: number,
): number {
  const write = (dma.prot & IOMMU.WRITE) !== 0;
  const entry = followOrFault(dma, vma, vaddr, write, offset);
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
function followOrFault(
  dma: VfioDma,
  vma: Vma,
  vaddr: Vpn,
  write: boolean,
  offset: number,
): FollowPfnmap | number {
  const { mm } = dma;
  const present = followPfnmap(mm, vma, vaddr, offset);
  if (typeof present !== 'number') return present;
  const fault = fixupUserFault(mm, vaddr, write, offset);
  if (fault !== 0) return refuse(dma, vaddr, fault, 'the device’s driver maps nothing there');
  const entry = followPfnmap(mm, vma, vaddr, offset);
  return typeof entry === 'number'
    ? refuse(dma, vaddr, entry, 'a fault left the page of the device absent')
    : entry;
}

function refuse(dma: VfioDma, vpn: Vpn, ret: number, why: string): number {
  dma.mm.gupFailure = { vpn, why };
  return ret;
}
