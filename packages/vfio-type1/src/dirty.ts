/**
 * The dirty bitmaps of mappings: one bit per page of the smallest IOMMU page size.
 *
 * A page is dirty while a device without an IOMMU has it pinned, and until the next read when one
 * had it pinned or wrote to it. With a group behind an IOMMU, whose writes nobody sees, every
 * mapping is dirty from end to end.
 *
 * Left out: running out of kernel memory for a bitmap.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_dma_bitmap_alloc, vfio_dma_bitmap_alloc_all,
 * vfio_dma_populate_bitmap, vfio_iommu_populate_bitmap_full, update_user_bitmap,
 * verify_bitmap_size, 6.12; reference type1.md §10
 */
import { Errno, KernelBug, ModelBug, Slot, type IovaPn } from '@pinfold/base';
import { DirtyBitmap, WORD_BITS } from './dirty-bitmap.ts';
import type { VfioDma } from './dma.ts';
import type { VfioBitmap } from './uapi.ts';
import type { IommuGroup } from './vfio-domain.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/** Most bits that a bitmap may have (DIRTY_BITMAP_PAGES_MAX): INT_MAX. */
const DIRTY_BITMAP_PAGES_MAX = 2 ** 31 - 1;
/** Largest dirty bitmap, in bytes: INT_MAX bits, rounded up. */
export const DIRTY_BITMAP_SIZE_MAX: bigint = 2n ** 28n;

/**
 * Checks that the user's bitmap has a bit for every page of a range, and is not too large.
 *
 * @param iommu the container's state
 * @param size size of the range in bytes
 * @param bitmap the user's bitmap; its page size counts, whether the IOMMU has it or not
 * @returns 0; -EINVAL if the range has no such page, or the bitmap is empty, too small, or larger
 *   than 256 MiB
 * @source drivers/vfio/vfio_iommu_type1.c verify_bitmap_size, 6.12
 */
export function verifyBitmapSize(iommu: VfioIommu, size: bigint, bitmap: VfioBitmap): number {
  const lowest = bitmap.pgsize & -bitmap.pgsize;
  const npages = lowest === 0n ? 0n : size / lowest;
  const needed = ((npages + 63n) / 64n) * 8n;
  if (npages > 0n && bitmap.size >= needed && bitmap.size <= DIRTY_BITMAP_SIZE_MAX) return 0;
  const detail = { size, pgsize: bitmap.pgsize, bitmap: bitmap.size };
  return iommu.fail(Errno.EINVAL, 'verify_bitmap_size', detail);
}

/**
 * The memory that the user's bitmap lies in.
 *
 * @param bitmap the user's bitmap, whose size is verified
 * @returns its memory; memory of all zeros if the user gave none
 */
export function userMemory(bitmap: VfioBitmap): DirtyBitmap {
  return bitmap.data ?? new DirtyBitmap(Number(bitmap.size) * 8);
}

/**
 * Gives a mapping its bitmap, with one word more than its pages need: room for the shift of a read.
 *
 * @param iommu the container's state
 * @param dma the mapping, in its full size
 * @returns 0; -EINVAL if it has more than INT_MAX pages
 * @source drivers/vfio/vfio_iommu_type1.c vfio_dma_bitmap_alloc, 6.12
 */
export function vfioDmaBitmapAlloc(iommu: VfioIommu, dma: VfioDma): number {
  const bits = bitsOf(iommu, dma);
  if (bits > DIRTY_BITMAP_PAGES_MAX) {
    const detail = { dmaIovaPn: dma.iovaPn, bits, bitsMax: DIRTY_BITMAP_PAGES_MAX };
    return iommu.fail(Errno.EINVAL, 'vfio_dma_bitmap_alloc', detail);
  }
  dma.bitmap = new DirtyBitmap(Math.ceil(bits / WORD_BITS) * WORD_BITS + WORD_BITS);
  return 0;
}

/**
 * Gives every mapping its bitmap, or none.
 *
 * @param iommu the container's state
 * @returns 0; -EINVAL if a mapping has more than INT_MAX pages
 * @source drivers/vfio/vfio_iommu_type1.c vfio_dma_bitmap_alloc_all, 6.12
 */
export function vfioDmaBitmapAllocAll(iommu: VfioIommu): number {
  for (const dma of iommu.dmaList) {
    const ret = vfioDmaBitmapAlloc(iommu, dma);
    if (ret) {
      vfioDmaBitmapFreeAll(iommu);
      return ret;
    }
    populateBitmap(iommu, dma);
  }
  return 0;
}

/**
 * Takes the bitmaps away.
 *
 * @param iommu the container's state
 * @source drivers/vfio/vfio_iommu_type1.c vfio_dma_bitmap_free_all, 6.12
 */
export function vfioDmaBitmapFreeAll(iommu: VfioIommu): void {
  for (const dma of iommu.dmaList) dma.bitmap = null;
}

/**
 * Marks pages dirty that a device without an IOMMU pins or writes to, if tracking is on.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param iovaPn first page
 * @param npage length in pages, at least 1
 * @throws {KernelBug} when the range begins before the mapping, as a pin that is not aligned can:
 *   the number of the bit wraps, and the kernel writes far behind the bitmap
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages,
 * vfio_iommu_type1_dma_rw_chunk, 6.12
 */
export function markDirty(iommu: VfioIommu, dma: VfioDma, iovaPn: IovaPn, npage: number): void {
  if (!dma.bitmap) return;
  const perBit = pagesPerBit(iommu);
  if (iovaPn < dma.iovaPn) {
    const what = `bit of page ${iovaPn}, before the mapping at ${dma.iovaPn}`;
    throw new KernelBug('bitmap_set', what);
  }
  const first = Math.floor((iovaPn - dma.iovaPn) / perBit);
  const last = Math.floor((iovaPn + npage - 1 - dma.iovaPn) / perBit);
  dma.bitmap.fill(first, last - first + 1);
}

/**
 * Starts the bitmap of a mapping anew: dirty is what devices without an IOMMU have pinned now. Only
 * as many bits as the mapping has pages are cleared; what a read has shifted behind them stays.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @throws {KernelBug} when a page is pinned that begins before the mapping
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iova_dirty_bitmap, 6.12
 */
export function resetBitmap(iommu: VfioIommu, dma: VfioDma): void {
  dma.bitmap?.clear(0, bitsOf(iommu, dma));
  populateBitmap(iommu, dma);
}

/** Marks the pages that are pinned (vfio_dma_populate_bitmap). */
function populateBitmap(iommu: VfioIommu, dma: VfioDma): void {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.populateBitmapCalls, 1);
  tracer?.enter('vfio_dma_populate_bitmap');
  for (const vpfn of dma.pfnList) markDirty(iommu, dma, vpfn.iovaPn, 1);
  tracer?.exit('vfio_dma_populate_bitmap');
}

/**
 * A group whose device pins pages tells by that what it dirties: it no longer makes everything
 * dirty (the pinned_page_dirty_scope of its first vfio_pin_pages).
 *
 * @param iommu the container's state
 * @param group a group behind an IOMMU
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_pin_pages, 6.12
 */
export function narrowDirtyScope(iommu: VfioIommu, group: IommuGroup): void {
  if (iommu.pinnedPageDirtyScope.has(group)) return;
  iommu.pinnedPageDirtyScope.add(group);
  iommu.numNonPinnedGroups--;
}

/**
 * Counts a group behind an IOMMU that has joined: what it writes is seen by nobody.
 *
 * @param iommu the container's state
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_attach_group, 6.12
 */
export function addDirtyScope(iommu: VfioIommu): void {
  iommu.numNonPinnedGroups++;
}

/**
 * Counts a group behind an IOMMU out. If nobody saw what it wrote, that was perhaps everything.
 *
 * @param iommu the container's state
 * @param group the group, which has left
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_detach_group,
 * vfio_iommu_populate_bitmap_full, 6.12
 */
export function removeDirtyScope(iommu: VfioIommu, group: IommuGroup): void {
  if (iommu.pinnedPageDirtyScope.delete(group)) return;
  iommu.numNonPinnedGroups--;
  for (const dma of iommu.dmaList) dma.bitmap?.fill(0, bitsOf(iommu, dma));
}

/**
 * Writes the bitmap of a mapping to its place in the user's bitmap.
 *
 * The kernel's bitmap is shifted in place until it lies like the user's words, and takes up what
 * the user's first word holds already; then whole words are written. It stays as it is then.
 *
 * @param iommu the container's state
 * @param dma a mapping with a bitmap
 * @param user memory of the user's bitmap
 * @param basePn page that the user's first bit stands for
 * @returns 0; -EFAULT if the memory ends too early, after what there is has been written
 * @throws {ModelBug} when the mapping has no bitmap
 * @source drivers/vfio/vfio_iommu_type1.c update_user_bitmap, 6.12
 */
export function updateUserBitmap(
  iommu: VfioIommu,
  dma: VfioDma,
  user: DirtyBitmap,
  basePn: IovaPn,
): number {
  const { tracer } = iommu.counters;
  iommu.counters.add(Slot.updateUserBitmapCalls, 1);
  tracer?.enter('update_user_bitmap');
  const ret = writeUserBitmap(iommu, dma, user, basePn);
  tracer?.exit('update_user_bitmap', ret);
  return ret;
}

/** Fills, shifts and copies the bitmap; returns 0 or -EFAULT. */
function writeUserBitmap(
  iommu: VfioIommu,
  dma: VfioDma,
  user: DirtyBitmap,
  basePn: IovaPn,
): number {
  const { bitmap } = dma;
  if (!bitmap) throw new ModelBug(`the mapping at ${dma.iovaPn} has no bitmap to read`);
  const bits = bitsOf(iommu, dma);
  const offset = (dma.iovaPn - basePn) / pagesPerBit(iommu);
  const shift = offset % WORD_BITS;
  const word = (offset - shift) / WORD_BITS;
  if (iommu.numNonPinnedGroups > 0 && dma.iommuMapped) bitmap.fill(0, bits);
  if (shift > 0) bitmap.shiftLeft(shift, bits + shift);
  const written =
    (shift === 0 || bitmap.orFirstWord(user, word)) && bitmap.copyTo(user, word, bits + shift);
  if (written) return 0;
  const detail = { dmaIovaPn: dma.iovaPn, bits, offset, memoryBits: user.bits };
  return iommu.fail(Errno.EFAULT, 'update_user_bitmap', detail);
}

/** Pages that one bit stands for. */
function pagesPerBit(iommu: VfioIommu): number {
  return Number(iommu.pgsize) / iommu.pageSize;
}

/** Bits of a mapping. */
function bitsOf(iommu: VfioIommu, dma: VfioDma): number {
  return Math.floor(dma.npage / pagesPerBit(iommu));
}
