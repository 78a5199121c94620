/**
 * The default of {@link PinAlgorithm.pinMap}: a chunk is pinned, mapped, and only then part of the
 * mapping.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_map_dma, vfio_iommu_map, 6.16 and 6.18
 */
import type { IovaPn, Pfn } from '@pinfold/base';
import { IOMMU } from '@pinfold/iommu';
import { makeBatch } from './batch.ts';
import type { VfioDma } from './dma.ts';
import { batchUnpin, PinnedChunk } from './pin-chunk.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * The loop of vfio_pin_map_dma.
 *
 * @param iommu the container's state
 * @param dma the mapping, of 0 pages
 * @param npage its size to be, in pages
 * @param limit RLIMIT_MEMLOCK of the caller, in pages
 * @returns 0 or a negative errno
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_map_dma, 6.16 and 6.18
 */
export function pinMapByChunks(
  iommu: VfioIommu,
  dma: VfioDma,
  npage: number,
  limit: number,
): number {
  const { pinAlgorithm } = iommu.rules;
  const batch = makeBatch(iommu, npage);
  const chunk = new PinnedChunk();
  while (dma.npage < npage) {
    const vaddr = dma.vaddr + dma.npage;
    const left = npage - dma.npage;
    const pinned = pinAlgorithm.pinChunk(iommu, dma, vaddr, left, limit, batch, chunk);
    if (pinned <= 0) {
      if (pinned === 0) iommu.memory.warnOnce('vfio_pin_map_dma', 'pinned no page and no error');
      return pinned;
    }
    const iovaPn = dma.iovaPn + dma.npage;
    const ret = vfioIommuMap(iommu, iovaPn, chunk.pfnBase, pinned, dma.prot);
    if (ret) {
      pinAlgorithm.unpinRegion(iommu, dma, iovaPn, chunk.pfnBase, pinned, true);
      batchUnpin(iommu, dma, batch);
      return ret;
    }
    dma.npage += pinned;
  }
  return 0;
}

/** Maps a chunk in every domain, or in none (vfio_iommu_map). */
function vfioIommuMap(
  iommu: VfioIommu,
  iovaPn: IovaPn,
  pfn: Pfn,
  npage: number,
  prot: number,
): number {
  const { domainList } = iommu;
  for (let i = 0; i < domainList.length; i++) {
    const ret = domainList[i].domain.map(iovaPn, pfn, npage, prot | IOMMU.CACHE);
    if (ret === 0) continue;
    for (let done = i - 1; done >= 0; done--) domainList[done].domain.unmap(iovaPn, npage);
    return iommu.fail(-ret, 'iommu_map', { iovaPn, pfn, npage });
  }
  return 0;
}
