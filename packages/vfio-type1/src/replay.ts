/**
 * Mapping what a container has mapped into a domain that is new in it. The frames are read back
 * from the container's first domain; nothing is pinned or charged again.
 *
 * Left out: mappings that no domain maps, which only devices without an IOMMU can bring about.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_replay, 6.16; reference type1.md §11
 */
import { IOMMU, PhysRun, type IommuDomain } from '@pinfold/iommu';
import type { VfioDma } from './dma.ts';
import type { VfioIommu } from './vfio-iommu.ts';

/**
 * Maps every mapping of a container into a new domain, or none.
 *
 * @param iommu the container's state, with a domain if it has mappings
 * @param domain the new domain
 * @returns 0, or the errno of iommu_map, with nothing left in the new domain
 * @source drivers/vfio/vfio_iommu_type1.c vfio_iommu_replay, 6.16
 */
export function vfioIommuReplay(iommu: VfioIommu, domain: IommuDomain): number {
  for (let dma = iommu.dmaList.first(); dma; dma = iommu.dmaList.next(dma)) {
    const ret = replayDma(iommu, dma, domain);
    if (ret === 0) continue;
    for (let at: VfioDma | null = dma; at; at = iommu.dmaList.prev(at)) {
      domain.unmap(at.iovaPn, at.npage);
    }
    return ret;
  }
  return 0;
}

/** Maps one mapping, run by run of consecutive frames. */
function replayDma(iommu: VfioIommu, dma: VfioDma, domain: IommuDomain): number {
  const [source] = iommu.domainList;
  const run = new PhysRun();
  for (let pos = 0; pos < dma.npage; pos += run.npage) {
    const iovaPn = dma.iovaPn + pos;
    source.domain.iovaToPhysRun(iovaPn, dma.npage - pos, run);
    if (run.pfn === 0) {
      iommu.memory.warnOnce('vfio_iommu_replay', `iova page ${iovaPn} of a mapping is not mapped`);
      run.npage = 1;
      continue;
    }
    const ret = domain.map(iovaPn, run.pfn, run.npage, dma.prot | IOMMU.CACHE);
    if (ret)
      return iommu.fail(-ret, 'vfio_iommu_replay', { iovaPn, pfn: run.pfn, npage: run.npage });
  }
  return 0;
}
