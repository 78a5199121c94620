/**
 * Counters of a size that is too large to run, from two runs of small sizes: every counter of a
 * uniform layout is an affine function of the number of whole periods, so that what is extrapolated is
 * what the full run would count, to the last unit.
 *
 * @source reference cost.md §6.3
 */
import { COUNTER_NAMES, PAGE_SIZE, PUD_ORDER, type CounterValues } from '@pinfold/base';
import { TLB_SYNC_MAX } from '@pinfold/vfio-type1';
import { DEFAULT_IOMMU } from '../workloads/mem-dma-map.ts';

const GIB = 2 ** 30;

/** Bytes that one table below the root of four levels maps. */
const TOP_TABLE = 512 * GIB;

/** The mapping begins there, in bytes of I/O addresses. */
const FIRST_IOVA = 4 * GIB;

/**
 * After how many bytes everything repeats: whole tables of the IOMMU, and an even number of folios,
 * because layouts exchange neighbours.
 */
function periodOf(order: number): number {
  return order >= PUD_ORDER ? 2 * GIB : GIB;
}

/** Counters of flushes: one for so many unmapped runs, and one for the rest. */
const PER_SYNC: ReadonlySet<string> = new Set([
  'iotlbSyncs',
  'cacheTagFlushes',
  'syncUnpinCalls',
  'iommuFlushes',
]);

/** What is extrapolated. */
export interface Extrapolated {
  /** Size in bytes. */
  readonly bytes: number;
  /** Order of the folios. */
  readonly order: number;
  /** Kind of the IOMMU; default VT-d. */
  readonly iommu?: string | undefined;
  /**
   * Gives the counters of a size by running it.
   *
   * @param bytes the size
   * @param iovaOffset pages by which it lies behind where mappings begin
   * @returns the counters
   */
  readonly run: (bytes: number, iovaOffset: number) => CounterValues;
}

/**
 * The counters of a size: run if it is small, else extrapolated from two small ones, which lie where
 * its end lies, because a table with a root that grows is as deep as its last address asks for.
 *
 * @param of what to extrapolate
 * @returns the counters
 */
export function extrapolatedCounters({
  bytes,
  order,
  iommu = DEFAULT_IOMMU,
  run,
}: Extrapolated): CounterValues {
  const period = periodOf(order);
  const low = period + (bytes % period);
  if (bytes <= low + period) return run(bytes, 0);
  const before = Math.ceil((FIRST_IOVA + bytes) / TOP_TABLE) - 1;
  const offset = (before * TOP_TABLE) / PAGE_SIZE;
  const atLow = run(low, offset);
  const atHigh = run(low + period, offset);
  const periods = (bytes - low) / period;
  const at = (name: keyof CounterValues): number =>
    Math.round(atLow[name] + periods * (atHigh[name] - atLow[name]));
  const syncs = Math.ceil(at('regionAllocs') / TLB_SYNC_MAX);
  return Object.fromEntries(
    COUNTER_NAMES.map((name) => {
      const rare = PER_SYNC.has(name) && atLow[name] === atHigh[name];
      if (rare) return [name, atLow[name] * Math.max(1, syncs)];
      const tables = name === 'iommuTableAllocs' && atLow[name] > 0;
      return [name, at(name) + (tables ? tablesBefore(before, iommu) : 0)];
    }),
  ) as CounterValues;
}

/**
 * Tables that small runs behind so many whole tables do not show. AMD's tables grow at the root: the
 * old root stays as the first table, and the run has made one for its own place.
 */
function tablesBefore(before: number, iommu: string): number {
  return iommu === 'amd' ? Math.max(0, before - 1) : before;
}
