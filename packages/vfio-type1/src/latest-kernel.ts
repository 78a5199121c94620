/** What the newest kernel does: the default of a container. */
import { Errno } from '@pinfold/base';
import { LATEST_IOMMU_RULES } from '@pinfold/iommu';
import { series14 } from './algorithms/series-1-4.ts';
import type { Type1Kernel } from './rules.ts';

/** The newest kernel, so that this package can be used alone. */
export const LATEST_TYPE1_KERNEL: Type1Kernel = {
  iommu: LATEST_IOMMU_RULES,
  type1: {
    pinAlgorithm: series14,
    batchCapacity: 'page',
    wrapErrno: Errno.EOVERFLOW,
    rangeCheckedFirst: true,
    dirtyRangeToTop: true,
    exclusiveEnds: false,
    exactPinLookups: false,
    externalRangeChecked: true,
    pinNeedsNotifier: true,
    containerCalls: true,
    fgspTest: false,
    nestingType: false,
    nestingErrno: Errno.EINVAL,
    unmapAll: true,
    updateVaddr: true,
    unmapOrder: 'address',
    source: 'drivers/vfio/vfio_iommu_type1.c, 7.3; recordings of 7.2.12',
  },
};
