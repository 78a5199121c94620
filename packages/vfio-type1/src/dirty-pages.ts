/**
 * VFIO_IOMMU_DIRTY_PAGES: the checks in the kernel's order, then tracking on, off, or a bitmap.
 *
 * Left out: the checks that cannot fail here (copying the structures from user space, an address of
 * the bitmap that is none of user space, values that do not fit a 32-bit machine).
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_dirty_pages, vfio_iova_dirty_bitmap,
 * 6.12 and 7.3; reference type1.md §10
 */
import { Errno, pageNumber } from '@pinfold/base';
import type { DirtyBitmap } from './dirty-bitmap.ts';
import {
  resetBitmap,
  updateUserBitmap,
  userMemory,
  verifyBitmapSize,
  vfioDmaBitmapAllocAll,
  vfioDmaBitmapFreeAll,
} from './dirty.ts';
import type { VfioDma } from './dma.ts';
import {
  DIRTY_BITMAP_GET_SIZE,
  DIRTY_BITMAP_MINSZ,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
  type VfioIommuType1DirtyBitmap,
  type VfioIommuType1DirtyBitmapGet,
} from './uapi.ts';
import type { VfioIommu } from './vfio-iommu.ts';

const AT = 'vfio_iommu_type1_dirty_pages';
const U64_END = 2n ** 64n;
const KNOWN_FLAGS =
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START |
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP |
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
const NO_RANGE: VfioIommuType1DirtyBitmapGet = {
  ...{ iova: 0n, size: 0n },
  bitmap: { pgsize: 0n, size: 0n },
};

/** What {@link vfioIommuType1DirtyPages} returned. */
export interface DirtyOutcome {
  /** 0 or a negative errno. */
  readonly ret: number;
  /** Memory of the user's bitmap; null if the ioctl did not get as far as writing to it. */
  readonly bitmap: DirtyBitmap | null;
}

/**
 * Turns dirty tracking on or off, or reads the dirty pages of a range.
 *
 * @param iommu the container's state
 * @param dirty the ioctl's structure
 * @returns 0 or a negative errno, whose reason is in `iommu.failure`, and the bitmap
 * @throws {KernelBug} when a page is pinned that begins before its mapping
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_dirty_pages, 6.12 and 7.3
 */
export function vfioIommuType1DirtyPages(
  iommu: VfioIommu,
  dirty: VfioIommuType1DirtyBitmap,
): DirtyOutcome {
  const { flags, range } = dirty;
  const argsz = dirty.argsz ?? DIRTY_BITMAP_MINSZ + (range ? DIRTY_BITMAP_GET_SIZE : 0);
  const refused = checkArguments(iommu, argsz, flags);
  if (refused) return { ret: refused, bitmap: null };
  if (flags === VFIO_IOMMU_DIRTY_PAGES_FLAG_START) return { ret: start(iommu), bitmap: null };
  if (flags === VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP) return { ret: stop(iommu), bitmap: null };
  return getBitmap(iommu, argsz, range ?? NO_RANGE);
}

/** Type1 v2 only, the size of the structure, known flags, and exactly one of them. */
function checkArguments(iommu: VfioIommu, argsz: number, flags: number): number {
  if (!iommu.v2) return iommu.fail(Errno.EACCES, AT, { v2: false });
  if (argsz < DIRTY_BITMAP_MINSZ || flags & ~KNOWN_FLAGS) {
    return iommu.fail(Errno.EINVAL, AT, { argsz, minsz: DIRTY_BITMAP_MINSZ, flags });
  }
  const one = flags !== 0 && (flags & (flags - 1)) === 0;
  return one ? 0 : iommu.fail(Errno.EINVAL, AT, { flags });
}

/** START; when tracking is on, nothing happens and the bitmaps stay. */
function start(iommu: VfioIommu): number {
  if (iommu.dirtyPageTracking) return 0;
  const ret = vfioDmaBitmapAllocAll(iommu);
  if (ret === 0) iommu.dirtyPageTracking = true;
  return ret;
}

/** STOP; when tracking is off, nothing happens. */
function stop(iommu: VfioIommu): number {
  iommu.dirtyPageTracking = false;
  vfioDmaBitmapFreeAll(iommu);
  return 0;
}

function getBitmap(
  iommu: VfioIommu,
  argsz: number,
  range: VfioIommuType1DirtyBitmapGet,
): DirtyOutcome {
  const ret =
    checkRange(iommu, argsz, range) ||
    verifyBitmapSize(iommu, range.size, range.bitmap) ||
    checkPages(iommu, range) ||
    checkCuts(iommu, range);
  if (ret) return { ret, bitmap: null };
  const bitmap = userMemory(range.bitmap);
  return { ret: iovaDirtyBitmap(iommu, range, bitmap), bitmap };
}

/** The second structure, and the range before its alignment. */
function checkRange(
  iommu: VfioIommu,
  argsz: number,
  { iova, size }: VfioIommuType1DirtyBitmapGet,
): number {
  const { rules } = iommu;
  if (argsz - DIRTY_BITMAP_MINSZ < DIRTY_BITMAP_GET_SIZE) {
    return iommu.fail(Errno.EINVAL, AT, { argsz, minsz: DIRTY_BITMAP_MINSZ });
  }
  if (rules.rangeCheckedFirst && size === 0n) return iommu.fail(Errno.EINVAL, AT, { size });
  const end = rules.dirtyRangeToTop ? U64_END : U64_END - 1n;
  return iova + size > end ? iommu.fail(rules.wrapErrno, AT, { iova, size }) : 0;
}

/** Page size of the bitmap, alignment, and whether tracking is on. */
function checkPages(
  iommu: VfioIommu,
  { iova, size, bitmap }: VfioIommuType1DirtyBitmapGet,
): number {
  const { pgsize } = iommu;
  if (bitmap.pgsize !== pgsize || (iova | size) % pgsize !== 0n) {
    return iommu.fail(Errno.EINVAL, AT, { iova, size, bitmapPgsize: bitmap.pgsize, pgsize });
  }
  return iommu.dirtyPageTracking ? 0 : iommu.fail(Errno.EINVAL, AT, { dirtyTracking: false });
}

/** Neither end of the range may lie inside a mapping. */
function checkCuts(iommu: VfioIommu, { iova, size }: VfioIommuType1DirtyBitmapGet): number {
  const first = pageNumber(iova, iommu.pageShift);
  const last = first + pageNumber(size, iommu.pageShift) - 1;
  const cut = (dma: VfioDma | null, whole: boolean): number => {
    if (!dma || whole) return 0;
    const detail = { iova, size, dmaIovaPn: dma.iovaPn, dmaPages: dma.npage };
    return iommu.fail(Errno.EINVAL, 'vfio_iova_dirty_bitmap', detail);
  };
  const [atFirst, atLast] = [iommu.dmaList.find(first, 1), iommu.dmaList.find(last, 1)];
  return cut(atFirst, atFirst?.iovaPn === first) || cut(atLast, atLast?.lastPn === last);
}

/** Reads the mappings of the range, in address order, and starts the bitmap of each anew. */
function iovaDirtyBitmap(
  iommu: VfioIommu,
  { iova, size }: VfioIommuType1DirtyBitmapGet,
  user: DirtyBitmap,
): number {
  const first = pageNumber(iova, iommu.pageShift);
  const npage = pageNumber(size, iommu.pageShift);
  let dma = iommu.dmaList.findFirst(first, npage);
  for (; dma && dma.iovaPn < first + npage; dma = iommu.dmaList.next(dma)) {
    const ret = updateUserBitmap(iommu, dma, user, first);
    if (ret) return ret;
    resetBitmap(iommu, dma);
  }
  return 0;
}
