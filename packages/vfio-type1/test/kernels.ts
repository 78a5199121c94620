/**
 * Kernels for the tests of this package: sets of rules in which every rule has each of its values,
 * and every pin algorithm that a release has is used. Which release has which is no concern of them.
 */
import { Errno } from '@pinfold/base';
import { LATEST_IOMMU_RULES } from '@pinfold/iommu';
import { LATEST_MM_RULES, type MmRules } from '@pinfold/mm';
import { LATEST_TYPE1_KERNEL, pinAlgorithm, type Type1Kernel } from '../src/index.ts';

/** A kernel with all that its tests need. */
export interface TestKernel extends Type1Kernel {
  /** What is particular about it. */
  readonly name: string;
  readonly mm: MmRules;
}

/** The newest: runs of pages, on the page tables that the drivers share. */
export const GENERIC_PT: TestKernel = {
  name: 'generic-pt',
  mm: LATEST_MM_RULES,
  ...LATEST_TYPE1_KERNEL,
};

/** The same type1 on the page tables of the VT-d driver. */
export const RUNS: TestKernel = {
  name: 'runs',
  mm: { ...LATEST_MM_RULES, deviceHugeObeysThp: true },
  iommu: {
    ...LATEST_IOMMU_RULES,
    formats: { 'intel-vtd': 'vtd-second-level' },
    syncsEmptyGathers: true,
  },
  type1: LATEST_TYPE1_KERNEL.type1,
};

/** Page by page, and the argument checks that came before. */
export const BATCHES: TestKernel = {
  name: 'batches',
  mm: {
    ...RUNS.mm,
    rangeUnpinStep: 'nth_page',
    collapseNeedsWritable: true,
    faultAround: 'window',
    mremapMovesSeveral: false,
  },
  iommu: { ...RUNS.iommu, attachNeedsSameSuperpages: true },
  type1: {
    ...RUNS.type1,
    pinAlgorithm: pinAlgorithm('batched'),
    wrapErrno: Errno.EINVAL,
    rangeCheckedFirst: false,
    dirtyRangeToTop: false,
    exclusiveEnds: true,
    exactPinLookups: true,
    externalRangeChecked: false,
  },
};

/** The oldest: an array that device memory fills with one page, a superpage test, the nesting type. */
export const PAGE_ARRAY: TestKernel = {
  name: 'page-array',
  mm: {
    ...BATCHES.mm,
    hugeZeroUnshare: 'split',
    diskLargeFolios: false,
    largeAnonReuse: 'never',
  },
  iommu: {
    ...BATCHES.iommu,
    formats: { 'intel-vtd': 'vtd-second-level-6-12' },
    mapNosync: false,
  },
  type1: {
    ...BATCHES.type1,
    pinAlgorithm: pinAlgorithm('batched-page-array'),
    fgspTest: true,
    nestingType: true,
  },
};

/** All of them, the oldest rules first. */
export const kernels: readonly TestKernel[] = [PAGE_ARRAY, BATCHES, RUNS, GENERIC_PT];

/** Looks one up. */
export function testKernel(name: string): TestKernel {
  const kernel = kernels.find((candidate) => candidate.name === name);
  if (!kernel) throw new Error(`there is no kernel '${name}'`);
  return kernel;
}

/** Those that test ranges before all else, with EOVERFLOW for one that wraps. */
export const STRICT: readonly TestKernel[] = kernels.filter(({ type1 }) => type1.rangeCheckedFirst);

/** Those that test them where they are used. */
export const LENIENT: readonly TestKernel[] = kernels.filter((kernel) => !STRICT.includes(kernel));
