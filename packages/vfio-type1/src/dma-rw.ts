/**
 * vfio_dma_rw: a device reads or writes the memory behind I/O virtual addresses without pinning it.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_dma_rw, vfio_iommu_type1_dma_rw_chunk,
 * 6.16; reference type1.md §14
 */
import { byteAddress, Errno, pageNumber } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { readUser, writeUser, type Task } from '@pinfold/mm';
import { markDirty } from './dirty.ts';
import type { VfioDma } from './dma.ts';
import type { VfioIommu } from './vfio-iommu.ts';

const AT = 'vfio_iommu_type1_dma_rw';

/**
 * Copies between a device and the memory of mappings, mapping by mapping. An error ends it; what was
 * copied before stays.
 *
 * @param iommu the container's state
 * @param current the calling process; null: a kernel thread
 * @param iova first I/O virtual address in bytes
 * @param data what is written, or gets what is read
 * @param write whether the device writes to memory
 * @returns 0; -EBUSY (the vaddr of a mapping is invalid), -EINVAL (not mapped), -EPERM (the mapping
 *   is not readable, or is to be written and is not writable, or its process has gone), -EFAULT
 *   (memory not there, or of another process than the caller)
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_dma_rw, 6.16
 */
export function vfioIommuType1DmaRw(
  iommu: VfioIommu,
  current: Task | null,
  iova: bigint,
  data: Uint8Array,
  write: boolean,
): number {
  const { vaddrInvalidCount } = iommu;
  if (vaddrInvalidCount > 0) {
    iommu.memory.warnOnce(AT, 'not allowed with VFIO_UPDATE_VADDR');
    return iommu.fail(Errno.EBUSY, AT, { vaddrInvalidCount });
  }
  let done = 0;
  while (done < data.length) {
    const at = BigInt.asUintN(64, iova + BigInt(done));
    const copied = dmaRwChunk(iommu, current, at, data.subarray(done), write);
    if (copied < 0) return copied;
    done += copied;
  }
  return 0;
}

/** Copies the part that lies in one mapping; returns its bytes or a negative errno. */
function dmaRwChunk(
  iommu: VfioIommu,
  current: Task | null,
  iova: bigint,
  data: Uint8Array,
  write: boolean,
): number {
  const { pageShift } = iommu;
  const dma = iommu.dmaList.find(pageNumber(iova, pageShift), 1);
  const refused = checkChunk(iommu, current, iova, dma, write);
  if (!dma || refused) return refused;
  const offset = iova - byteAddress(dma.iovaPn, pageShift);
  const room = byteAddress(dma.npage, pageShift) - offset;
  const chunk = room < BigInt(data.length) ? data.subarray(0, Number(room)) : data;
  const vaddr = byteAddress(dma.vaddr, pageShift) + offset;
  const left = write ? writeUser(dma.mm, vaddr, chunk) : readUser(dma.mm, vaddr, chunk);
  if (left > 0) return iommu.fail(Errno.EFAULT, AT, { iova, vaddr, bytes: chunk.length, left });
  if (write) markWritten(iommu, dma, iova, chunk.length);
  return chunk.length;
}

/** The checks before the copy, in the kernel's order. */
function checkChunk(
  iommu: VfioIommu,
  current: Task | null,
  iova: bigint,
  dma: VfioDma | null,
  write: boolean,
): number {
  if (!dma) return iommu.fail(Errno.EINVAL, AT, { iova, mapped: false });
  const needed = write ? IOMMU.READ | IOMMU.WRITE : IOMMU.READ;
  if ((dma.prot & needed) !== needed)
    return iommu.fail(Errno.EPERM, AT, { iova, write, dmaProt: dma.prot, dmaIovaPn: dma.iovaPn });
  if (dma.mm.mmUsers === 0) return iommu.fail(Errno.EPERM, AT, { iova, mmUsers: 0 });
  // A kernel thread borrows the address space; another process is in one of its own.
  if (current === null || current.mm === dma.mm) return 0;
  return iommu.fail(Errno.EFAULT, AT, { iova, ownMemory: false });
}

/** Marks the pages dirty that a write has touched. */
function markWritten(iommu: VfioIommu, dma: VfioDma, iova: bigint, bytes: number): void {
  const first = pageNumber(iova, iommu.pageShift);
  const last = pageNumber(iova + BigInt(bytes - 1), iommu.pageShift);
  markDirty(iommu, dma, first, last - first + 1);
}
