/** Linux 6.12: pfn mappings page by page, a superpage test at attach, the nesting type. */
import { Errno } from '@pinfold/base';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import type { KernelVersion } from '../kernel-version.ts';

/** The 6.12 series. */
export const v6_12: KernelVersion = {
  series: '6.12',
  summary: 'as 6.16, but one call per 4 KiB of device memory, and a lone page is pinned twice',
  mm: {
    rangeUnpinStep: 'nth_page',
    hugeZeroUnshare: 'split',
    diskLargeFolios: false,
    largeAnonReuse: 'never',
    deviceHugeObeysThp: true,
    collapseNeedsWritable: true,
    faultAround: 'window',
    mremapMovesSeveral: false,
    source: 'mm/gup.c unpin_user_page_range_dirty_lock, 6.12; recordings of 6.12.90',
  },
  iommu: {
    formats: { 'intel-vtd': 'vtd-second-level-6-12' },
    hasMapNosync: false,
    attachNeedsSameSuperpages: true,
    source: 'drivers/iommu/intel/iommu.c, 6.12; recordings of 6.12.90',
  },
  type1: {
    pinAlgorithm: pinAlgorithm('batched-page-array'),
    batchCapacity: 512,
    wrapErrno: Errno.EINVAL,
    rangeCheckedFirst: false,
    dirtyRangeToTop: false,
    exclusiveEnds: true,
    externalRangeChecked: false,
    fgspTest: true,
    nestingType: true,
    source: 'drivers/vfio/vfio_iommu_type1.c, 6.12; recordings of 6.12.90',
  },
};
