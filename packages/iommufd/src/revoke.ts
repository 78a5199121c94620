/**
 * Revocation of dma-bufs: the exporter takes the memory back, and every domain loses it at once.
 *
 * @source drivers/iommu/iommufd/pages.c iopt_revoke_notify, 7.2; recordings 7.2-iofd p02 and p05
 */
import type { PciBar } from '@pinfold/mm';
import { IommufdIoas } from './ioas.ts';
import type { IommufdObjects } from './objects.ts';
import type { IoptPages } from './pages.ts';

/**
 * Takes every mapping of a BAR out of its domains; none comes back.
 *
 * @param objects objects of the iommufd
 * @param bar the BAR
 * @source drivers/iommu/iommufd/pages.c iopt_revoke_notify, 7.2
 */
export function revokeBar(objects: IommufdObjects, bar: PciBar): void {
  const revoked = new Set<IoptPages>();
  for (const object of objects.all) {
    if (!(object instanceof IommufdIoas)) continue;
    const { iopt } = object;
    for (const area of iopt.areaTree.items) {
      const { pages } = area;
      if (pages?.source.type !== 'dmabuf' || pages.source.dmabuf.bar !== bar) continue;
      if (pages.revoked) continue;
      revoked.add(pages);
      if (area.storageDomain === null) continue;
      for (const domain of iopt.domains) {
        domain.unmap(area.iovaPnOf(area.index), area.lastIndex - area.index + 1);
      }
    }
  }
  for (const pages of revoked) pages.revoked = true;
}
