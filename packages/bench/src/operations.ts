/**
 * Which counters are operations that reports show and compare, with the headings of their columns.
 * A counter that is a part of another, or that always equals another, is not among them.
 */
import type { CounterValues } from '@pinfold/base';
import { sum } from 'simple-statistics';
import type { Op } from './measure.ts';

/** Headings of an operation's column. */
interface Headings {
  /** In a terminal: on two lines at most, each no wider than a count. */
  readonly text: string;
  /** In Markdown: one line, no wider than a count. */
  readonly short: string;
}

const HEADINGS = {
  gupCalls: { text: 'GUP\ncalls', short: 'GUP' },
  gupFastCalls: { text: 'GUP-fast\ncalls', short: 'GUP-fast' },
  extentPinCalls: { text: 'extent\npins', short: 'ext pins' },
  leafTables: { text: 'leaf\ntables', short: 'leaf tbl' },
  leafVisits: { text: 'leaf\nvisits', short: 'leaves' },
  gupSteps: { text: 'GUP\nsteps', short: 'GUP steps' },
  pageFills: { text: 'page\nfills', short: 'fills' },
  grabAtomics: { text: 'grab\natomics', short: 'grab atm' },
  migrateChecks: { text: 'migrate\nchecks', short: 'migrate' },
  bulkPins: { text: 'bulk\npins', short: 'bulk pins' },
  extentMerges: { text: 'extent\nmerges', short: 'ext merge' },
  mergeCompares: { text: 'merge\ncompares', short: 'merge cmp' },
  sgEntries: { text: 'sg\nentries', short: 'sg' },
  pfnCompares: { text: 'pfn\ncompares', short: 'pfn cmp' },
  pageCompares: { text: 'page\ncompares', short: 'page cmp' },
  hugetlbTests: { text: 'hugetlb\ntests', short: 'hugetlb' },
  folioLookups: { text: 'folio\nlook-ups', short: 'folio' },
  reservedTests: { text: 'reserved\ntests', short: 'rsvd' },
  vpfnLookups: { text: 'vpfn\nlook-ups', short: 'vpfn' },
  vpfnTreeWalks: { text: 'vpfn\nwalks', short: 'vpfn walk' },
  limitTests: { text: 'limit\ntests', short: 'limit' },
  accountingUpdates: { text: 'acct\nlocks', short: 'acct' },
  iommuMapCalls: { text: 'iommu_\nmap', short: 'iommu_map' },
  iovaToPhysCalls: { text: 'iova_to_\nphys', short: 'iova2phys' },
  iommuUnmapCalls: { text: 'iommu_\nunmap', short: 'unmap' },
  iotlbSyncs: { text: 'IOTLB\nsyncs', short: 'syncs' },
  extentReads: { text: 'extent\nreads', short: 'ext reads' },
  unpinCalls: { text: 'unpin\ncalls', short: 'unpins' },
  putCalls: { text: 'folio\nputs', short: 'puts' },
  putAtomics: { text: 'put\natomics', short: 'put atm' },
} as const;

/** A counter that reports show as an operation. */
export type OperationName = keyof typeof HEADINGS;

/**
 * The operations of a call, in the order in which a kernel does them.
 *
 * @source reference strategies.md, tables (a) to (h) and (j)
 */
export const operations: Readonly<Record<Op, readonly OperationName[]>> = {
  map: [
    ...(['gupCalls', 'gupFastCalls', 'extentPinCalls', 'leafTables', 'leafVisits'] as const),
    ...(['gupSteps', 'pageFills', 'grabAtomics', 'migrateChecks', 'bulkPins'] as const),
    ...(['extentMerges', 'mergeCompares', 'sgEntries', 'pfnCompares'] as const),
    ...(['pageCompares', 'hugetlbTests', 'folioLookups', 'reservedTests', 'vpfnLookups'] as const),
    ...(['vpfnTreeWalks', 'limitTests', 'accountingUpdates', 'iommuMapCalls'] as const),
    ...(['putCalls', 'putAtomics'] as const),
  ],
  unmap: [
    ...(['iovaToPhysCalls', 'iommuUnmapCalls', 'iotlbSyncs', 'hugetlbTests'] as const),
    ...(['folioLookups', 'reservedTests', 'vpfnLookups', 'vpfnTreeWalks', 'extentReads'] as const),
    ...(['unpinCalls', 'putCalls', 'putAtomics', 'accountingUpdates'] as const),
  ],
};

/**
 * The heading of an operation's column.
 *
 * @param name the operation
 * @returns a heading of two lines for a terminal, and a short one
 */
export function headings(name: OperationName): Headings {
  return HEADINGS[name];
}

/**
 * An operation in words.
 *
 * @param name the operation
 * @returns its heading on one line
 */
export function operationWords(name: OperationName): string {
  return HEADINGS[name].text.replace('_\n', '_').replace('\n', ' ');
}

/**
 * How many operations a call made: each counts as one, whatever it costs a kernel.
 *
 * @param op the call
 * @param counters its counters
 * @returns the sum of its {@link operations}
 */
export function totalOperations(op: Op, counters: CounterValues): number {
  return sum(operations[op].map((name) => counters[name]));
}
