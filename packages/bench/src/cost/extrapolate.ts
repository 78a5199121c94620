/**
 * Counters of a size that is too large to run, from two runs of small sizes: every counter of a
 * uniform layout is an affine function of the size, so that what is extrapolated is what the full
 * run would count, to the last unit.
 *
 * @source reference cost.md §6.3
 */
import { COUNTER_NAMES, PUD_ORDER, type CounterValues } from '@pinfold/base';

const GIB = 2 ** 30;

/**
 * Sizes that are run, in bytes, by the order of the folios: whole tables of the IOMMU, and an even
 * number of folios, because layouts exchange neighbours.
 */
function runBytes(order: number): readonly [number, number] {
  return order >= PUD_ORDER ? [2 * GIB, 4 * GIB] : [GIB, 2 * GIB];
}

/**
 * Tables that the small runs do not show: one for each 512 GiB of I/O addresses after the first. The
 * mapping begins at 4 GiB.
 */
function topTables(bytes: number): number {
  return Math.ceil((bytes + 4 * GIB) / (512 * GIB)) - 1;
}

/** Gives the counters of one size by running it. */
export type CountersOfSize = (bytes: number) => CounterValues;

/**
 * The counters of a size: run if it is small, else extrapolated from two small ones.
 *
 * @param bytes the size
 * @param order order of the folios
 * @param run runs a size
 * @returns the counters
 */
export function extrapolatedCounters(
  bytes: number,
  order: number,
  run: CountersOfSize,
): CounterValues {
  const [low, high] = runBytes(order);
  if (bytes <= high) return run(bytes);
  const atLow = run(low);
  const atHigh = run(high);
  const steps = (bytes - low) / (high - low);
  return Object.fromEntries(
    COUNTER_NAMES.map((name) => {
      const value = atLow[name] + steps * (atHigh[name] - atLow[name]);
      const more = name === 'iommuTableAllocs' && atLow[name] > 0 ? topTables(bytes) : 0;
      return [name, Math.round(value) + more];
    }),
  ) as CounterValues;
}
