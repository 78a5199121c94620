/** Linux 6.18: with the large-folio series, and with the argument checks of later releases. */
import { Errno } from '@pinfold/base';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import type { KernelVersion } from '../kernel-version.ts';

/** The 6.18 series. */
export const v6_18: KernelVersion = {
  series: '6.18',
  summary: 'runs of consecutive pages on pin, range unpin with one put per folio',
  mm: {
    rangeUnpinStep: 'page + i',
    hugeZeroUnshare: 'thp',
    diskLargeFolios: true,
    largeAnonReuse: 'sole-mapper',
    deviceHugeObeysThp: true,
    collapseNeedsWritable: false,
    faultAround: 'folio',
    mremapMovesSeveral: true,
    source: 'mm/gup.c gup_folio_range_next, 6.18',
  },
  iommu: {
    formats: { 'intel-vtd': 'vtd-second-level' },
    source: 'drivers/iommu/intel/iommu.c, 6.18',
  },
  type1: {
    pinAlgorithm: pinAlgorithm('series-1-4'),
    batchCapacity: 512,
    wrapErrno: Errno.EOVERFLOW,
    rangeCheckedFirst: true,
    dirtyRangeToTop: true,
    exclusiveEnds: false,
    externalRangeChecked: true,
    fgspTest: false,
    nestingType: false,
    source: 'drivers/vfio/vfio_iommu_type1.c, 6.18; recordings of 6.18.15',
  },
};
