/**
 * VFIO_IOMMU_UNMAP_DMA: the checks in the kernel's order, then the walk over the mappings.
 *
 * Devices without an IOMMU that have pages of a mapping pinned are told, and asked again if they do
 * not give them back.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unmap_dma, vfio_dma_do_unmap, 6.16 and
 * 6.18; reference type1.md §7
 */
import { byteAddress, Errno, KernelBug, pageNumber, type IovaPn } from '@pinfold/base';
import { notifyDmaUnmap } from './device-list.ts';
import type { DirtyBitmap } from './dirty-bitmap.ts';
import { updateUserBitmap, userMemory, verifyBitmapSize } from './dirty.ts';
import type { VfioDma } from './dma.ts';
import { vfioRemoveDma } from './remove-dma.ts';
import {
  DMA_UNMAP_MINSZ,
  VFIO_BITMAP_SIZE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  type VfioBitmap,
  type VfioIommuType1DmaUnmap,
} from './uapi.ts';
import type { VfioIommu } from './vfio-iommu.ts';

const U64_END = 2n ** 64n;
/** Times that the devices are told once more of a mapping that is still pinned. */
const MAX_RETRIES = 10;

/** The structure with its defaults filled in. */
interface UnmapArgs {
  readonly argsz: number;
  readonly flags: number;
  readonly iova: bigint;
  readonly size: bigint;
  readonly bitmap: VfioBitmap;
}

/** What {@link vfioDmaDoUnmap} returned. */
export interface UnmapOutcome {
  /** 0 or a negative errno. */
  readonly ret: number;
  /** What was unmapped, in bytes; meaningless unless `ret` is 0. */
  readonly unmapped: bigint;
  /** Memory of the dirty bitmap; null if none was asked for, or a check refused the ioctl. */
  readonly bitmap: DirtyBitmap | null;
}

/** How far an unmap has come, over all its walks. */
class UnmapProgress {
  /** Pages unmapped. */
  unmapped = 0;
  /** The mapping that the devices were told of last. */
  notified: VfioDma | null = null;
  /** How often they were told of it again. */
  retries = 0;
  /** Whether they were told: the mappings may have changed, and the checks are made again. */
  again = false;
}

/**
 * Unmaps a range, everything, or only the vaddr of mappings.
 *
 * @param iommu the container's state
 * @param unmap the ioctl's structure
 * @returns 0 or a negative errno, whose reason is in `iommu.failure`, the bytes unmapped, and the
 *   dirty bitmap of what was unmapped
 * @source drivers/vfio/vfio_iommu_type1.c vfio_dma_do_unmap, 6.16 and 6.18
 */
export function vfioDmaDoUnmap(iommu: VfioIommu, unmap: VfioIommuType1DmaUnmap): UnmapOutcome {
  const args: UnmapArgs = {
    argsz: DMA_UNMAP_MINSZ + (unmap.bitmap ? VFIO_BITMAP_SIZE : 0),
    flags: 0,
    bitmap: { pgsize: 0n, size: 0n },
    ...unmap,
  };
  const refused =
    checkArguments(iommu, args) || checkEmulated(iommu, args) || checkRange(iommu, args);
  if (refused) return { ret: refused, unmapped: 0n, bitmap: null };
  const progress = new UnmapProgress();
  let bitmap: DirtyBitmap | null = null;
  let ret: number;
  do {
    progress.again = false;
    ret = checkCuts(iommu, args);
    if (ret) break;
    if (args.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) bitmap ??= userMemory(args.bitmap);
    ret =
      iommu.rules.unmapOrder === 'tree'
        ? walkTree(iommu, args, bitmap, progress)
        : walk(iommu, args, bitmap, progress);
  } while (progress.again);
  return { ret, unmapped: byteAddress(progress.unmapped, iommu.pageShift), bitmap };
}

/** Checks 2 to 7: structure size, flags, dirty bitmap. */
function checkArguments(iommu: VfioIommu, { argsz, flags, size, bitmap }: UnmapArgs): number {
  const at = 'vfio_iommu_type1_unmap_dma';
  const wantsBitmap = (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0;
  const others =
    (iommu.rules.unmapAll ? VFIO_DMA_UNMAP_FLAG_ALL : 0) |
    (iommu.rules.updateVaddr ? VFIO_DMA_UNMAP_FLAG_VADDR : 0);
  const known = others | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  if (argsz < DMA_UNMAP_MINSZ || flags & ~known || (wantsBitmap && flags & others)) {
    return iommu.fail(Errno.EINVAL, at, { argsz, minsz: DMA_UNMAP_MINSZ, flags });
  }
  if (!wantsBitmap) return 0;
  if (argsz < DMA_UNMAP_MINSZ + VFIO_BITMAP_SIZE)
    return iommu.fail(Errno.EINVAL, at, { argsz, flags });
  return verifyBitmapSize(iommu, size, bitmap);
}

/** Check 8: a device without an IOMMU may look an address up at any time. */
function checkEmulated(iommu: VfioIommu, { flags }: UnmapArgs): number {
  const emulatedGroups = iommu.emulatedGroups.length;
  if (!(flags & VFIO_DMA_UNMAP_FLAG_VADDR) || emulatedGroups === 0) return 0;
  return iommu.fail(Errno.EBUSY, 'vfio_dma_do_unmap', { flags, emulatedGroups });
}

/** Checks 10 to 14: alignment, ALL, wrapping, dirty tracking. */
function checkRange(iommu: VfioIommu, { flags, iova, size, bitmap }: UnmapArgs): number {
  const at = 'vfio_dma_do_unmap';
  const { pgsize } = iommu;
  const all = (flags & VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
  const badAll = all && (iova !== 0n || size !== 0n);
  if (iova % pgsize !== 0n || badAll || (!all && (size === 0n || size % pgsize !== 0n))) {
    return iommu.fail(Errno.EINVAL, at, { iova, size, flags, pgsize });
  }
  if (!all && iova + size > U64_END) return iommu.fail(iommu.rules.wrapErrno, at, { iova, size });
  if (!(flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)) return 0;
  if (iommu.dirtyPageTracking && bitmap.pgsize === pgsize) return 0;
  const { dirtyPageTracking: dirtyTracking } = iommu;
  return iommu.fail(Errno.EINVAL, at, { dirtyTracking, bitmapPgsize: bitmap.pgsize, pgsize });
}

/** Check 15, v2: neither end of the range may lie inside a mapping. */
function checkCuts(iommu: VfioIommu, { flags, iova, size }: UnmapArgs): number {
  if (!iommu.v2 || flags & VFIO_DMA_UNMAP_FLAG_ALL) return 0;
  const first = pageNumber(iova, iommu.pageShift);
  const last = pageNumber(iova + size, iommu.pageShift) - 1;
  for (const [pn, side] of [
    [first, 'start'],
    [last, 'end'],
  ] as const) {
    const dma = iommu.dmaList.find(pn, 1);
    if (dma && pn !== (side === 'start' ? dma.iovaPn : dma.lastPn)) {
      return iommu.fail(Errno.EINVAL, 'vfio_dma_do_unmap', {
        iova,
        size,
        cutAt: side,
        dmaIovaPn: dma.iovaPn,
        dmaPages: dma.npage,
      });
    }
  }
  return 0;
}

/**
 * Handles every mapping of the range in address order. Where the memory of the bitmap ends too
 * early, it stops with EFAULT: the mappings before that are gone, which nobody is told. It stops at
 * a mapping that is pinned too, after telling the devices.
 */
function walk(
  iommu: VfioIommu,
  { flags, iova, size }: UnmapArgs,
  bitmap: DirtyBitmap | null,
  progress: UnmapProgress,
): number {
  const { dmaList } = iommu;
  const all = (flags & VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
  const first = pageNumber(iova, iommu.pageShift);
  const npage = all ? Infinity : pageNumber(size, iommu.pageShift);
  const end = dmaList.endOf(first, npage);
  let dma = dmaList.findFirst(first, npage);
  while (dma && dma.iovaPn < end) {
    // v1: a range that begins inside a mapping ends the walk, with success.
    if (!iommu.v2 && first > dma.iovaPn) break;
    const next: VfioDma | null = dmaList.next(dma);
    if (flags & VFIO_DMA_UNMAP_FLAG_VADDR) {
      if (dma.vaddrInvalid) return undoInvalidate(iommu, first, dma);
      dma.vaddrInvalid = true;
      iommu.vaddrInvalidCount++;
      progress.unmapped += dma.npage;
    } else {
      if (dma.pfnList.root) return notifyPinned(iommu, dma, progress);
      const ret = bitmap ? updateUserBitmap(iommu, dma, bitmap, first) : 0;
      if (ret) return ret;
      progress.unmapped += dma.npage;
      vfioRemoveDma(iommu, dma);
    }
    dma = next;
  }
  return 0;
}

/**
 * Handles the mappings of the range as look-ups from the root of the tree find them, until none is
 * left; which one comes next depends on how the tree stands after the last was erased.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_dma_do_unmap, 5.10; recordings of 5.10.223, u01 and d08
 */
function walkTree(
  iommu: VfioIommu,
  { iova, size }: UnmapArgs,
  bitmap: DirtyBitmap | null,
  progress: UnmapProgress,
): number {
  const first = pageNumber(iova, iommu.pageShift);
  const npage = pageNumber(size, iommu.pageShift);
  let dma = iommu.dmaList.find(first, npage);
  while (dma) {
    if (!iommu.v2 && first > dma.iovaPn) break;
    if (dma.pfnList.root) return notifyPinned(iommu, dma, progress);
    const ret = bitmap ? updateUserBitmap(iommu, dma, bitmap, first) : 0;
    if (ret) return ret;
    progress.unmapped += dma.npage;
    vfioRemoveDma(iommu, dma);
    dma = iommu.dmaList.find(first, npage);
  }
  return 0;
}

/** Tells the devices of a mapping that is pinned, but not for ever; the unmap begins again. */
function notifyPinned(iommu: VfioIommu, dma: VfioDma, progress: UnmapProgress): number {
  progress.retries = progress.notified === dma ? progress.retries + 1 : 0;
  progress.notified = dma;
  if (progress.retries > MAX_RETRIES) {
    const what = `${dma.pfnList.size} pages of the mapping at ${dma.iovaPn} are still pinned`;
    throw new KernelBug('vfio_dma_do_unmap', what);
  }
  notifyDmaUnmap(iommu, dma);
  progress.again = true;
  return 0;
}

/** A second invalidation fails and takes back those that this call has made. */
function undoInvalidate(iommu: VfioIommu, first: IovaPn, at: VfioDma): number {
  for (
    let dma = iommu.dmaList.prev(at);
    dma && dma.iovaPn >= first;
    dma = iommu.dmaList.prev(dma)
  ) {
    dma.vaddrInvalid = false;
    iommu.vaddrInvalidCount--;
  }
  return iommu.fail(Errno.EINVAL, 'vfio_dma_do_unmap', {
    vaddrInvalid: true,
    dmaIovaPn: at.iovaPn,
  });
}
