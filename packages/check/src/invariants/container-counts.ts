/** What a container has kept count of. */
import type { VfioIommu } from '@pinfold/vfio-type1';
import type { Violations } from './violations.ts';

/** Counts a container's mappings and groups anew. */
export class ContainerCounts {
  /** Mappings that each container may have: as many as when it was first seen. */
  readonly #limits = new WeakMap<VfioIommu, number>();

  /**
   * Compares the counts.
   *
   * @param iommu the container's state
   * @param found told of what does not hold
   */
  check(iommu: VfioIommu, found: Violations): void {
    const { dmaList, dmaAvail, domainList } = iommu;
    const limit = this.#limits.get(iommu) ?? dmaAvail + dmaList.size;
    this.#limits.set(iommu, limit);
    if (dmaAvail + dmaList.size !== limit) {
      found.add('entries left and mappings are the limit', `${dmaAvail} + ${dmaList.size}`);
    }
    const invalid = [...dmaList].filter(({ vaddrInvalid }) => vaddrInvalid).length;
    if (iommu.vaddrInvalidCount !== invalid) {
      const what = `${iommu.vaddrInvalidCount}, not ${invalid}`;
      found.add('mappings without vaddr are counted', what);
    }
    const groups = domainList.reduce((sum, { groupList }) => sum + groupList.length, 0);
    if (iommu.numNonPinnedGroups + iommu.pinnedPageDirtyScope.size !== groups) {
      found.add('groups are counted by dirty scope', `${iommu.numNonPinnedGroups} of ${groups}`);
    }
  }
}
