/**
 * VFIO_IOMMU_MAP_DMA: the checks in the kernel's order, then pinning and mapping.
 *
 * Left out: the checks that cannot fail here (copying the structure from user space, values that
 * do not fit a 32-bit machine).
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_map_dma, vfio_dma_do_map,
 * vfio_pin_map_dma, 6.16 and 6.18; reference type1.md §2
 */
import { Errno, pageNumber, type IovaPn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import type { Task } from '@pinfold/mm';
import { vfioDmaBitmapAlloc } from './dirty.ts';
import { VfioDma } from './dma.ts';
import { iovaDmaValid } from './iova-list.ts';
import { vfioChangeDmaOwner } from './lock-acct.ts';
import { vfioRemoveDma } from './remove-dma.ts';
import {
  DMA_MAP_MINSZ,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_MAP_FLAG_WRITE,
  type VfioIommuType1DmaMap,
} from './uapi.ts';
import type { VfioIommu } from './vfio-iommu.ts';

const ACCESS_FLAGS = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
const U64_END = 2n ** 64n;

/** The structure with its defaults filled in. */
type MapArgs = Required<VfioIommuType1DmaMap>;

/**
 * Maps process memory into the container's I/O address space.
 *
 * @param iommu the container's state
 * @param current the calling process
 * @param map the ioctl's structure
 * @returns 0 or a negative errno; why is in `iommu.failure`
 * @source drivers/vfio/vfio_iommu_type1.c vfio_dma_do_map, 6.16 and 6.18
 */
export function vfioDmaDoMap(iommu: VfioIommu, current: Task, map: VfioIommuType1DmaMap): number {
  const args: MapArgs = { argsz: DMA_MAP_MINSZ, flags: ACCESS_FLAGS, ...map };
  const refused = checkArguments(iommu, args) || checkRange(iommu, args);
  if (refused) return refused;
  if (args.flags & VFIO_DMA_MAP_FLAG_VADDR) return updateVaddr(iommu, current, args);
  const iovaPn = pageNumber(args.iova, iommu.pageShift);
  const npage = pageNumber(args.size, iommu.pageShift);
  const noRoom = checkPlace(iommu, iovaPn, npage);
  if (noRoom) return noRoom;
  const prot =
    (args.flags & VFIO_DMA_MAP_FLAG_READ ? IOMMU.READ : 0) |
    (args.flags & VFIO_DMA_MAP_FLAG_WRITE ? IOMMU.WRITE : 0);
  const dma = new VfioDma(iovaPn, pageNumber(args.vaddr, iommu.pageShift), prot, current);
  iommu.dmaAvail--;
  iommu.dmaList.insert(dma);
  let ret = 0;
  if (iommu.domainList.length > 0) ret = pinMapDma(iommu, current, dma, npage);
  else dma.npage = npage;
  return ret || logDirtyPages(iommu, dma);
}

/** Check 16: while dirty pages are logged, a mapping without a bitmap goes again. */
function logDirtyPages(iommu: VfioIommu, dma: VfioDma): number {
  if (!iommu.dirtyPageTracking) return 0;
  const ret = vfioDmaBitmapAlloc(iommu, dma);
  if (ret) vfioRemoveDma(iommu, dma);
  return ret;
}

/** Checks 2, 4, 5 and 6: structure size and flags; since 6.18 size and wrapping come before access. */
function checkArguments(iommu: VfioIommu, { argsz, flags, iova, vaddr, size }: MapArgs): number {
  const at = 'vfio_iommu_type1_map_dma';
  const known = ACCESS_FLAGS | (iommu.rules.updateVaddr ? VFIO_DMA_MAP_FLAG_VADDR : 0);
  if (argsz < DMA_MAP_MINSZ || flags & ~known) {
    return iommu.fail(Errno.EINVAL, at, { argsz, minsz: DMA_MAP_MINSZ, flags });
  }
  if (iommu.rules.rangeCheckedFirst) {
    if (size === 0n) return iommu.fail(Errno.EINVAL, at, { size });
    const wraps = checkWrap(iommu, at, iova, vaddr, size);
    if (wraps) return wraps;
  }
  const setVaddr = (flags & VFIO_DMA_MAP_FLAG_VADDR) !== 0;
  const access = (flags & ACCESS_FLAGS) !== 0;
  return access === setVaddr ? iommu.fail(Errno.EINVAL, at, { flags }) : 0;
}

/** Checks 7 and 8: alignment, and wrapping where it was not checked before. */
function checkRange(iommu: VfioIommu, { iova, vaddr, size }: MapArgs): number {
  const { pgsize } = iommu;
  if (size === 0n || (iova | vaddr | size) % pgsize !== 0n) {
    return iommu.fail(Errno.EINVAL, 'vfio_dma_do_map', { iova, vaddr, size, pgsize });
  }
  return iommu.rules.rangeCheckedFirst ? 0 : checkWrap(iommu, 'vfio_dma_do_map', iova, vaddr, size);
}

function checkWrap(
  iommu: VfioIommu,
  at: string,
  iova: bigint,
  vaddr: bigint,
  size: bigint,
): number {
  if (iova + size <= U64_END && vaddr + size <= U64_END) return 0;
  return iommu.fail(iommu.rules.wrapErrno, at, { iova, vaddr, size });
}

/** Check 9: a mapping that lost its vaddr gets a new one; nothing is pinned. */
function updateVaddr(iommu: VfioIommu, current: Task, args: MapArgs): number {
  const iovaPn = pageNumber(args.iova, iommu.pageShift);
  const npage = pageNumber(args.size, iommu.pageShift);
  const dma = iommu.dmaList.find(iovaPn, npage);
  const at = 'vfio_dma_do_map';
  if (!dma) return iommu.fail(Errno.ENOENT, at, { iova: args.iova, size: args.size });
  if (!dma.vaddrInvalid || dma.iovaPn !== iovaPn || dma.npage !== npage) {
    return iommu.fail(Errno.EINVAL, at, {
      iova: args.iova,
      size: args.size,
      vaddrInvalid: dma.vaddrInvalid,
      dmaIovaPn: dma.iovaPn,
      dmaPages: dma.npage,
    });
  }
  const ret = vfioChangeDmaOwner(dma, current);
  if (ret) {
    return iommu.fail(-ret, 'vfio_change_dma_owner', {
      lockedVmPages: dma.lockedVm,
      chargedPages: current.mm.lockedVm,
      limitPages: current.memlockPages,
    });
  }
  dma.vaddr = pageNumber(args.vaddr, iommu.pageShift);
  dma.vaddrInvalid = false;
  iommu.vaddrInvalidCount--;
  return 0;
}

/** Checks 10 to 12: overlap, entry limit, usable I/O virtual addresses. */
function checkPlace(iommu: VfioIommu, iovaPn: IovaPn, npage: number): number {
  const at = 'vfio_dma_do_map';
  const overlap = iommu.dmaList.find(iovaPn, npage);
  if (overlap) {
    return iommu.fail(Errno.EEXIST, at, {
      iovaPn,
      npage,
      dmaIovaPn: overlap.iovaPn,
      dmaPages: overlap.npage,
    });
  }
  if (iommu.dmaAvail === 0) {
    // The limit is that of VFIO_SET_IOMMU; the module's parameter may have changed since.
    return iommu.fail(Errno.ENOSPC, at, { dmaEntryLimit: iommu.dmaList.size });
  }
  const last = iovaPn + npage - 1;
  if (iovaDmaValid(iommu.iovaList, iovaPn, last)) return 0;
  const usable = iommu.iovaList.map(({ start, last: end }) => `${start}-${end}`).join(',');
  return iommu.fail(Errno.EINVAL, 'vfio_iommu_iova_dma_valid', { iovaPn, lastPn: last, usable });
}

/** vfio_pin_map_dma: the algorithm pins and maps; what it has mapped goes again if it fails. */
function pinMapDma(iommu: VfioIommu, current: Task, dma: VfioDma, npage: number): number {
  const ret = iommu.rules.pinAlgorithm.pinMap(iommu, dma, npage, current.memlockPages);
  dma.iommuMapped = true;
  if (ret) vfioRemoveDma(iommu, dma);
  return ret;
}
