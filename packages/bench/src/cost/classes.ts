/**
 * The classes of work that cost a kernel time, each with what one unit of it is and what is believed
 * of it before anything was measured: instructions, atomic operations and cold cache lines, from
 * which {@link priorNs} makes nanoseconds. A class takes its units from counters alone
 * ({@link unitsOf}), so that a prediction is a product of counts and costs and nothing else.
 *
 * @source reference cost.md §1, §2; recordings `icount` for the instructions
 */
import type { CounterValues } from '@pinfold/base';

/** The parts of an ioctl's time that reports show. */
export type CostPart = 'clearing' | 'faulting' | 'pinning' | 'accounting' | 'IOMMU';

/** Parts in the order in which reports show them. */
export const costParts: readonly CostPart[] = [
  'clearing',
  'faulting',
  'pinning',
  'accounting',
  'IOMMU',
];

/** What is believed of one unit before anything was measured. */
export interface CostPrior {
  /** What one unit is, in words. */
  readonly unit: string;
  /** The part of the time that it belongs to. */
  readonly part: CostPart;
  /** Instructions. */
  readonly instructions: number;
  /** Atomic operations. */
  readonly atomics: number;
  /** Cache lines that are not in a cache. */
  readonly lines: number;
}

function prior(
  unit: string,
  part: CostPart,
  instructions: number,
  atomics = 0,
  lines = 0,
): CostPrior {
  return { unit, part, instructions, atomics, lines };
}

/** All classes: the only list of them. */
export const COST_CLASSES: Readonly<Record<CostClass, CostPrior>> = {
  ioctl: prior('ioctl', 'accounting', 5000),
  qemuStart: prior('start of QEMU without its memory', 'faulting', 6e9),
  gupCall: prior('GUP call', 'pinning', 900, 2),
  stepSmall: prior('GUP step at a 4 KiB leaf', 'pinning', 480, 3, 2),
  stepThp: prior('GUP step at a THP leaf', 'pinning', 1500, 5, 6),
  stepHugetlb: prior('GUP step at a hugetlb leaf', 'pinning', 1800, 5, 50),
  stepThpPage: prior('GUP step for one page of a THP, before 6.6', 'pinning', 600, 4, 6),
  pageFill: prior('entry of the page array stored, large folio', 'pinning', 5, 0, 1 / 8),
  structPageLine: prior('line of struct page read by the longterm pass', 'pinning', 6, 0, 0.8),
  acceptPage: prior('page or run accepted: reserved, limit, external pins', 'accounting', 80),
  pageCompare: prior('page pointer compare', 'pinning', 6),
  folioLookup: prior('look-up of a folio', 'pinning', 6, 0, 0.1),
  chunk: prior('physically contiguous chunk of a map', 'accounting', 1700),
  unmapRun: prior('physically contiguous run of an unmap', 'IOMMU', 1700),
  iommuMapCall: prior('iommu_map call', 'IOMMU', 975),
  iommuLeaf: prior('leaf written', 'IOMMU', 27),
  iommuTable: prior('page table allocated', 'IOMMU', 3000, 0, 64),
  iovaToPhys: prior('iommu_iova_to_phys call', 'IOMMU', 75),
  iovaToPhysLevel: prior('level read by such a call', 'IOMMU', 27),
  iommuUnmapCall: prior('iommu_unmap call', 'IOMMU', 1300),
  iotlbSync: prior('IOTLB sync', 'IOMMU', 3000, 10, 100),
  unpinCall: prior('unpin call', 'pinning', 90),
  putSmall: prior('put of a small folio', 'pinning', 60, 1, 1),
  putLarge: prior('put of a large folio', 'pinning', 55, 2),
  putEntry: prior("further entry of a large folio's run in a put", 'pinning', 12, 0, 0.85),
  dirtySmall: prior('small folio marked dirty', 'pinning', 300, 3, 1),
  dirtyLarge: prior('large folio marked dirty', 'pinning', 300, 3, 1),
  pfnmapFollow: prior('follow of a pfn mapping', 'pinning', 1100),
  writeNotify: prior('write-notify fault of a shared page', 'faulting', 1100, 3, 2),
  faultSmall: prior('fault of a 4 KiB page', 'faulting', 4500, 12, 20),
  faultLarge: prior('fault of a huge page', 'faulting', 20_000, 20, 600),
  clearSmall: prior('4 KiB cleared, small pages', 'clearing', 40, 0, 152),
  clearThp: prior('4 KiB cleared, THP', 'clearing', 40, 0, 152),
  clearHugetlb: prior('4 KiB cleared, hugetlb', 'clearing', 40, 0, 152),
};

/** Name of a class. */
export type CostClass =
  | 'ioctl'
  | 'qemuStart'
  | 'gupCall'
  | 'stepSmall'
  | 'stepThp'
  | 'stepHugetlb'
  | 'stepThpPage'
  | 'pageFill'
  | 'structPageLine'
  | 'acceptPage'
  | 'pageCompare'
  | 'folioLookup'
  | 'chunk'
  | 'unmapRun'
  | 'iommuMapCall'
  | 'iommuLeaf'
  | 'iommuTable'
  | 'iovaToPhys'
  | 'iovaToPhysLevel'
  | 'iommuUnmapCall'
  | 'iotlbSync'
  | 'unpinCall'
  | 'putSmall'
  | 'putLarge'
  | 'putEntry'
  | 'dirtySmall'
  | 'dirtyLarge'
  | 'pfnmapFollow'
  | 'writeNotify'
  | 'faultSmall'
  | 'faultLarge'
  | 'clearSmall'
  | 'clearThp'
  | 'clearHugetlb';

/** All classes, in the order of {@link COST_CLASSES}. */
export const COST_CLASS_NAMES = Object.keys(COST_CLASSES) as readonly CostClass[];

/** How fast a machine is at the three things that a prior counts. */
export interface MachineRates {
  /** Instructions per nanosecond. */
  readonly instructionsPerNs: number;
  /** Nanoseconds of an uncontended atomic operation. */
  readonly atomicNs: number;
  /** Nanoseconds of a cache line that is not in a cache, in a sequence. */
  readonly lineNs: number;
}

/**
 * Rates of no machine in particular.
 *
 * @source reference cost.md §2
 */
const DEFAULT_RATES: MachineRates = { instructionsPerNs: 15, atomicNs: 6, lineNs: 5 };

/** Standard deviation of a prior within a host, as a share of its mean. */
export const PRIOR_SHARE = 0.8;

/**
 * What a unit is believed to cost before anything was measured.
 *
 * @param name the class
 * @param rates the machine's rates
 * @returns nanoseconds
 */
export function priorNs(name: CostClass, rates: MachineRates = DEFAULT_RATES): number {
  const { instructions, atomics, lines } = COST_CLASSES[name];
  return instructions / rates.instructionsPerNs + atomics * rates.atomicNs + lines * rates.lineNs;
}

/** What decides about cost and is no counter. */
export interface CostFacts {
  /** What the memory is. */
  readonly memory: 'anon' | 'hugetlb' | 'shmem';
  /** Pages are mapped by reading only, and the pin for writing faults once more for each. */
  readonly writeNotify: boolean;
  /** A THP takes one GUP step per 4 KiB page, as before 6.6. */
  readonly thpStepsByPage: boolean;
  /** The longterm pass reads the `struct page` of every entry, as before 6.17. */
  readonly longtermReadsPages: boolean;
  /** `struct page`s of hugetlb pages share lines (HVO): the pass finds them cached. */
  readonly hvo: boolean;
  /** Pages that have to be allocated and cleared inside the call. */
  readonly pagesCleared: number;
  /** Starts of QEMU around it: 1 or 0. */
  readonly starts: number;
}

/** Units of every class that is not 0. */
export type CostUnits = Readonly<Partial<Record<CostClass, number>>>;

/**
 * The units of work of a call, from its counters.
 *
 * @param c its counters
 * @param facts what is no counter
 * @returns units by class, without zeros
 */
export function unitsOf(c: CounterValues, facts: CostFacts): CostUnits {
  const large = c.putAtomics - c.putCalls;
  const small = c.putCalls - large;
  const smallSteps = c.gupSteps - c.gupLargeSteps;
  // Before 6.6 a THP was stepped through page by page.
  const byPage = facts.thpStepsByPage && facts.memory === 'anon' && c.gupLargeSteps > 0;
  const largeEntries = c.pageFills - smallSteps;
  const isHugetlb = facts.memory === 'hugetlb';
  const linesRead = facts.longtermReadsPages && !facts.hvo ? largeEntries : c.gupLargeSteps;
  const isMap = c.pinPagesRemoteCalls > 0;
  const isCall = isMap || c.removeDmaCalls > 0;
  const units: Record<CostClass, number> = {
    ioctl: isCall ? 1 : 0,
    qemuStart: facts.starts,
    gupCall: c.gupCalls,
    stepSmall: smallSteps,
    stepThp: !isHugetlb && !byPage ? c.gupLargeSteps : 0,
    stepHugetlb: isHugetlb ? c.gupLargeSteps : 0,
    stepThpPage: byPage ? largeEntries : 0,
    pageFill: byPage ? 0 : largeEntries,
    structPageLine: byPage ? 0 : c.migrateChecks > 0 ? linesRead : 0,
    acceptPage: c.limitTests,
    pageCompare: c.pageCompares,
    folioLookup: c.folioLookups,
    chunk: c.pinPagesRemoteCalls,
    unmapRun: c.regionAllocs,
    iommuMapCall: c.iommuMapCalls,
    iommuLeaf: c.iommuLeaves4k + c.iommuLeaves2m + c.iommuLeaves1g,
    iommuTable: c.iommuTableAllocs,
    iovaToPhys: c.iovaToPhysCalls,
    iovaToPhysLevel: c.iovaToPhysLevels,
    iommuUnmapCall: c.iommuUnmapCalls,
    iotlbSync: c.iotlbSyncs + c.iotlbGatherSyncs,
    unpinCall: c.unpinCalls,
    putSmall: small,
    putLarge: large,
    putEntry: large > 0 && c.putEntries > c.putCalls ? c.putEntries - c.putCalls : 0,
    dirtySmall: facts.memory === 'shmem' ? 0 : c.dirtyLocks - c.dirtyLocksLarge,
    dirtyLarge: c.dirtyLocksLarge,
    pfnmapFollow: c.pfnmapFollows,
    writeNotify: facts.writeNotify ? smallSteps : 0,
    ...clearing(facts, c),
  };
  return Object.fromEntries(Object.entries(units).filter(([, n]) => n !== 0));
}

type Clearing = 'faultSmall' | 'faultLarge' | 'clearSmall' | 'clearThp' | 'clearHugetlb';

function clearing(facts: CostFacts, c: CounterValues): Record<Clearing, number> {
  const cleared = facts.pagesCleared;
  const faults = cleared > 0 ? c.gupLargeSteps : 0;
  const small = c.gupLargeSteps === 0;
  return {
    faultSmall: small ? cleared : 0,
    faultLarge: faults,
    clearSmall: small ? cleared : 0,
    clearThp: !small && facts.memory === 'anon' ? cleared : 0,
    clearHugetlb: !small && facts.memory === 'hugetlb' ? cleared : 0,
  };
}
