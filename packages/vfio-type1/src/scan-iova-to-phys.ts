/**
 * The default of {@link PinAlgorithm.nextUnmapRun}: read the frames back from the IOMMU page table,
 * 4 KiB by 4 KiB, while they are consecutive; on a domain with fine-grained superpages (up to 6.15)
 * one IOMMU page-table entry at a time.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unmap_unpin, 6.12 and 6.16; reference type1.md §7.3
 */
import type { IovaPn } from '@pinfold/base';
import type { PhysRun } from '@pinfold/iommu';
import type { VfioDma } from './dma.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Finds the next run by one iova_to_phys per page, and one more that fails at its end.
 *
 * @param iommu the container's state, with a domain
 * @param _dma the mapping
 * @param iovaPn first I/O virtual page
 * @param npage pages left in the mapping
 * @param run gets first page frame (0: not mapped) and length
 * @source drivers/vfio/vfio_iommu_type1.c vfio_unmap_unpin, 6.12 and 6.16
 */
export function scanIovaToPhys(
  iommu: VfioIommu,
  _dma: VfioDma,
  iovaPn: IovaPn,
  npage: number,
  run: PhysRun,
): void {
  const { domain, fgsp } = iommu.domainList[0];
  // Where large entries go as a whole, the driver says how much has gone; no look-up would help.
  domain.iovaToPhysRun(iovaPn, fgsp ? 1 : npage, run);
}
