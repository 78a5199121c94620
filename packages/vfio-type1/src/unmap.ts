/**
 * VFIO_IOMMU_UNMAP_DMA: the checks in the kernel's order, then the walk over the mappings.
 *
 * Left out: the notification of devices that have pages of a mapping pinned.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unmap_dma, vfio_dma_do_unmap, 6.16 and
 * 6.18; reference type1.md §7
 */
import { byteAddress, Errno, pageNumber, type IovaPn } from '@pinfold/base';
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
/** Last page of the 64-bit address space, for ALL. */
const LAST_PN = 2 ** 52 - 1;

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

/** What the walk returned. */
type Walked = Omit<UnmapOutcome, 'bitmap'>;

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
  const ret = checkArguments(iommu, args) || checkRange(iommu, args) || checkCuts(iommu, args);
  if (ret) return { ret, unmapped: 0n, bitmap: null };
  const wantsBitmap = (args.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0;
  const bitmap = wantsBitmap ? userMemory(args.bitmap) : null;
  return { ...walk(iommu, args, bitmap), bitmap };
}

/** Checks 2 to 7: structure size, flags, dirty bitmap. */
function checkArguments(iommu: VfioIommu, { argsz, flags, size, bitmap }: UnmapArgs): number {
  const at = 'vfio_iommu_type1_unmap_dma';
  const wantsBitmap = (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0;
  const others = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;
  const known = others | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  if (argsz < DMA_UNMAP_MINSZ || flags & ~known || (wantsBitmap && flags & others)) {
    return iommu.fail(Errno.EINVAL, at, { argsz, minsz: DMA_UNMAP_MINSZ, flags });
  }
  if (!wantsBitmap) return 0;
  if (argsz < DMA_UNMAP_MINSZ + VFIO_BITMAP_SIZE)
    return iommu.fail(Errno.EINVAL, at, { argsz, flags });
  return verifyBitmapSize(iommu, size, bitmap);
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
  const first = pageNumber(iova);
  const last = pageNumber(iova + size) - 1;
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
 * early, it stops with EFAULT: the mappings before that are gone, which nobody is told.
 */
function walk(
  iommu: VfioIommu,
  { flags, iova, size }: UnmapArgs,
  bitmap: DirtyBitmap | null,
): Walked {
  const all = (flags & VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
  const first: IovaPn = all ? 0 : pageNumber(iova);
  const last = all ? LAST_PN : pageNumber(iova + size) - 1;
  let unmapped = 0;
  let dma = iommu.dmaList.findFirst(first, last - first + 1);
  while (dma && dma.iovaPn <= last) {
    // v1: a range that begins inside a mapping ends the walk, with success.
    if (!iommu.v2 && first > dma.iovaPn) break;
    const next: VfioDma | null = iommu.dmaList.next(dma);
    const npage = dma.npage;
    if (flags & VFIO_DMA_UNMAP_FLAG_VADDR) {
      if (dma.vaddrInvalid) return undoInvalidate(iommu, first, dma);
      dma.vaddrInvalid = true;
      iommu.vaddrInvalidCount++;
    } else {
      const ret = bitmap ? updateUserBitmap(iommu, dma, bitmap, first) : 0;
      if (ret) return { ret, unmapped: 0n };
      vfioRemoveDma(iommu, dma);
    }
    unmapped += npage;
    dma = next;
  }
  return { ret: 0, unmapped: byteAddress(unmapped) };
}

/** A second invalidation fails and takes back those that this call has made. */
function undoInvalidate(iommu: VfioIommu, first: IovaPn, at: VfioDma): Walked {
  for (
    let dma = iommu.dmaList.prev(at);
    dma && dma.iovaPn >= first;
    dma = iommu.dmaList.prev(dma)
  ) {
    dma.vaddrInvalid = false;
    iommu.vaddrInvalidCount--;
  }
  const ret = iommu.fail(Errno.EINVAL, 'vfio_dma_do_unmap', {
    vaddrInvalid: true,
    dmaIovaPn: at.iovaPn,
  });
  return { ret, unmapped: 0n };
}
