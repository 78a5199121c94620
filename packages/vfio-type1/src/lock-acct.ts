/**
 * Charging the pages of a mapping to its owner's locked_vm.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_lock_acct, mm_lock_acct, vfio_change_dma_owner, 6.16;
 * reference type1.md §2.2, §6 and §8
 */
import { Errno } from '@pinfold/base';
import { accountLockedVm, type MmStruct, type Task } from '@pinfold/mm';
import type { VfioDma } from './dma.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Charges pages of a mapping, or takes a charge back.
 *
 * @param dma the mapping
 * @param npage pages to charge; negative to take back; 0 does nothing and takes no lock
 * @param async whether the owner may have gone
 * @returns 0; -ENOMEM over RLIMIT_MEMLOCK; -ESRCH if the owner's memory has gone; -EINTR if a fatal
 *   signal interrupts the wait for its mmap lock
 * @source drivers/vfio/vfio_iommu_type1.c vfio_lock_acct, 6.16
 */
export function vfioLockAcct(dma: VfioDma, npage: number, async: boolean): number {
  if (npage === 0) return 0;
  const { tracer } = dma.mm.memory.counters;
  if (tracer !== null) tracer.enter('vfio_lock_acct', npage, async ? 1 : 0);
  let ret = -Errno.ESRCH;
  if (!async || dma.mm.mmUsers > 0) {
    ret = mmLockAcct(dma.mm, npage, dma.task, dma.lockCap);
    if (ret === 0) dma.lockedVm += npage;
  }
  if (tracer !== null) tracer.exit('vfio_lock_acct', ret);
  return ret;
}

/**
 * mm_lock_acct: under the mmap write lock, whose wait a fatal signal ends. Nothing is injected where
 * a charge is taken back: no caller looks at that.
 */
function mmLockAcct(mm: MmStruct, npage: number, task: Task, lockCap: boolean): number {
  const { tracer } = mm.memory.counters;
  if (tracer !== null) tracer.enter('mm_lock_acct', npage);
  const killed = npage > 0 && (mm.memory.injected?.lock() ?? false);
  const ret = killed
    ? -Errno.EINTR
    : accountLockedVm(mm, Math.abs(npage), npage > 0, task, lockCap);
  if (tracer !== null) tracer.exit('mm_lock_acct', ret);
  return ret;
}

/**
 * Fails a step because its pages could not be charged.
 *
 * @param iommu the container's state
 * @param dma the mapping
 * @param npage pages that were to be charged
 * @param ret what {@link vfioLockAcct} returned
 * @returns `ret`
 */
export function refusedByAcct(iommu: VfioIommu, dma: VfioDma, npage: number, ret: number): number {
  if (ret === -Errno.EINTR) return iommu.fail(-ret, 'vfio_lock_acct', { interrupted: true });
  return iommu.fail(-ret, 'vfio_lock_acct', {
    lockedVmPages: dma.mm.lockedVm,
    chunkPages: npage,
    limitPages: dma.task.memlockPages,
  });
}

/**
 * Moves a mapping, with its charge, to the process that gives it a new vaddr.
 *
 * @param dma the mapping
 * @param current the process
 * @returns 0; -ENOMEM over the new owner's RLIMIT_MEMLOCK
 * @source drivers/vfio/vfio_iommu_type1.c vfio_change_dma_owner, 6.16
 */
export function vfioChangeDmaOwner(dma: VfioDma, current: Task): number {
  if (dma.mm === current.mm) return 0;
  const npage = dma.lockedVm;
  const ret = mmLockAcct(current.mm, npage, current, current.capIpcLock);
  if (ret !== 0) return ret;
  if (dma.mm.mmUsers > 0) mmLockAcct(dma.mm, -npage, dma.task, dma.lockCap);
  dma.task = current;
  dma.mm = current.mm;
  dma.lockCap = current.capIpcLock;
  return 0;
}
