/**
 * The tables of the recorded releases, written out. The history of the rules is written by what
 * changed when; this is what comes of it.
 */
import { Errno } from '@pinfold/base';
import { LATEST_IOMMU_RULES, type IommuRules } from '@pinfold/iommu';
import { LATEST_MM_RULES, type MmRules } from '@pinfold/mm';
import { LATEST_TYPE1_KERNEL, type Type1Rules } from '@pinfold/vfio-type1';
import { describe, expect, test } from 'vitest';
import { kernelVersion, kernelVersions } from './kernel-versions.ts';

/** A table without its sources, its algorithm by name. */
type Plain<Rules> = Omit<Rules, 'source' | 'pinAlgorithm'>;

interface Tables {
  readonly mm: Plain<MmRules>;
  readonly iommu: Plain<IommuRules>;
  readonly type1: Plain<Type1Rules> & { readonly pinAlgorithm: string };
}

/** Rules of mm that older releases are about, as they have been since 6.12. */
const SINCE_6_12 = {
  readPinUnshare: 'private',
  pinsZeroPage: false,
  pinsWriteToFiles: false,
  follLongterm: 0x100,
  pfnmapWalk: 'follow_pfnmap_start',
  barFault: 'leaf',
  thpSizes: true,
  hugeShmemBeyondEnd: false,
  populateGoesOn: false,
  fileHugeObeysAdvice: true,
} as const;

/** What the drivers of AMD and Arm have of their own. */
const OWN_FORMATS = { amd: 'amd-v1', smmuv3: 'arm-lpae-s1' };

/** Rules of type1 that all modelled releases have. */
const SINCE_5_13 = {
  ...{ nestingErrno: Errno.EINVAL, unmapAll: true, updateVaddr: true },
  unmapOrder: 'address',
} as const;

const V6_12: Tables = {
  mm: {
    rangeUnpinStep: 'nth_page',
    hugeZeroUnshare: 'split',
    diskLargeFolios: false,
    largeAnonReuse: 'never',
    deviceHugeObeysThp: true,
    collapseNeedsWritable: true,
    faultAround: 'window',
    mremapMovesSeveral: false,
    ...SINCE_6_12,
  },
  iommu: {
    formats: { ...OWN_FORMATS, 'intel-vtd': 'vtd-second-level-6-12' },
    mapNosync: false,
    attachNeedsSameSuperpages: true,
    blocksByEmptyTable: false,
    syncsEmptyGathers: true,
  },
  type1: {
    pinAlgorithm: 'batched-page-array',
    batchCapacity: 'page',
    wrapErrno: Errno.EINVAL,
    rangeCheckedFirst: false,
    dirtyRangeToTop: false,
    exclusiveEnds: true,
    externalRangeChecked: false,
    exactPinLookups: true,
    pinNeedsNotifier: true,
    containerCalls: true,
    fgspTest: true,
    nestingType: true,
    ...SINCE_5_13,
  },
};

const V6_16: Tables = {
  mm: {
    rangeUnpinStep: 'nth_page',
    hugeZeroUnshare: 'thp',
    diskLargeFolios: true,
    largeAnonReuse: 'sole-mapper',
    deviceHugeObeysThp: true,
    collapseNeedsWritable: true,
    faultAround: 'window',
    mremapMovesSeveral: false,
    ...SINCE_6_12,
  },
  iommu: {
    formats: { ...OWN_FORMATS, 'intel-vtd': 'vtd-second-level' },
    mapNosync: true,
    attachNeedsSameSuperpages: true,
    blocksByEmptyTable: false,
    syncsEmptyGathers: true,
  },
  type1: {
    pinAlgorithm: 'batched',
    batchCapacity: 'page',
    wrapErrno: Errno.EINVAL,
    rangeCheckedFirst: false,
    dirtyRangeToTop: false,
    exclusiveEnds: true,
    externalRangeChecked: false,
    exactPinLookups: true,
    pinNeedsNotifier: true,
    containerCalls: true,
    fgspTest: false,
    nestingType: false,
    ...SINCE_5_13,
  },
};

const V6_18: Tables = {
  mm: {
    rangeUnpinStep: 'page + i',
    hugeZeroUnshare: 'thp',
    diskLargeFolios: true,
    largeAnonReuse: 'sole-mapper',
    deviceHugeObeysThp: true,
    collapseNeedsWritable: false,
    faultAround: 'folio',
    mremapMovesSeveral: true,
    ...SINCE_6_12,
  },
  iommu: {
    formats: { ...OWN_FORMATS, 'intel-vtd': 'vtd-second-level' },
    mapNosync: true,
    attachNeedsSameSuperpages: false,
    blocksByEmptyTable: false,
    syncsEmptyGathers: true,
  },
  type1: {
    pinAlgorithm: 'series-1-4',
    batchCapacity: 'page',
    wrapErrno: Errno.EOVERFLOW,
    rangeCheckedFirst: true,
    dirtyRangeToTop: true,
    exclusiveEnds: false,
    externalRangeChecked: true,
    exactPinLookups: false,
    pinNeedsNotifier: true,
    containerCalls: true,
    fgspTest: false,
    nestingType: false,
    ...SINCE_5_13,
  },
};

const V7_2: Tables = {
  mm: { ...V6_18.mm, deviceHugeObeysThp: false },
  iommu: {
    ...V6_18.iommu,
    formats: {
      'intel-vtd': 'generic-pt-vtd-ss',
      amd: 'generic-pt-amd-v1',
      smmuv3: 'arm-lpae-s1-inv-list',
    },
    syncsEmptyGathers: false,
  },
  type1: V6_18.type1,
};

const V6_1: Tables = {
  mm: {
    ...V6_12.mm,
    largeAnonReuse: 'last-reference',
    readPinUnshare: 'anon',
    pinsWriteToFiles: true,
    follLongterm: 0x10000,
    pfnmapWalk: 'follow_pte',
    barFault: 'whole',
    thpSizes: false,
    hugeShmemBeyondEnd: true,
    populateGoesOn: true,
    fileHugeObeysAdvice: false,
  },
  iommu: { ...V6_12.iommu, blocksByEmptyTable: true },
  type1: { ...V6_12.type1, pinNeedsNotifier: false, containerCalls: false },
};

test.each<[string, Tables]>([
  ['6.1', V6_1],
  ['6.12', V6_12],
  ['6.16', V6_16],
  ['6.18', V6_18],
  ['7.2', V7_2],
  ['7.3', V7_2],
])('the tables of %s', (series, expected) => {
  const { mm, iommu, type1 } = kernelVersion(series);
  const got = { mm, iommu, type1: { ...type1, pinAlgorithm: type1.pinAlgorithm.name } };
  for (const [name, table] of Object.entries(got)) {
    const { source, ...rules } = table;
    expect(source, name).toMatch(/\S/);
    expect(rules, name).toEqual(expected[name as keyof Tables]);
  }
});

describe('the defaults of the layers', () => {
  const { mm, iommu, type1 } = kernelVersions[kernelVersions.length - 1];

  test.each([
    ['mm', LATEST_MM_RULES, mm],
    ['iommu', LATEST_IOMMU_RULES, iommu],
    ['type1', LATEST_TYPE1_KERNEL.type1, type1],
  ])('of %s are the rules of the newest release', (_, latest, newest) => {
    expect({ ...latest, source: '' }).toEqual({ ...newest, source: '' });
  });
});
