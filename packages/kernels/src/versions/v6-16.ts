/** Linux 6.16: before the large-folio series. */
import { Errno } from '@pinfold/base';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import type { KernelVersion } from '../kernel-version.ts';

/** The 6.16 series. */
export const v6_16: KernelVersion = {
  series: '6.16',
  summary: 'page-by-page accounting and unpin in batches of 512',
  mm: {
    rangeUnpinStep: 'nth_page',
    hugeZeroUnshare: 'thp',
    diskLargeFolios: true,
    largeAnonReuse: 'sole-mapper',
    deviceHugeObeysThp: true,
    collapseNeedsWritable: true,
    faultAround: 'window',
    mremapMovesSeveral: false,
    source: 'mm/gup.c unpin_user_page_range_dirty_lock, 6.16',
  },
  iommu: {
    formats: { 'intel-vtd': 'vtd-second-level' },
    attachNeedsSameSuperpages: true,
    source: 'drivers/iommu/intel/iommu.c, 6.16',
  },
  type1: {
    pinAlgorithm: pinAlgorithm('batched'),
    batchCapacity: 512,
    wrapErrno: Errno.EINVAL,
    rangeCheckedFirst: false,
    dirtyRangeToTop: false,
    exclusiveEnds: true,
    externalRangeChecked: false,
    fgspTest: false,
    nestingType: false,
    source: 'drivers/vfio/vfio_iommu_type1.c, 6.16; recordings of 6.16.12',
  },
};
