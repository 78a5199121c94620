/** What `units.json` has to hold: the units of every published measurement that has a workload. */
import { publishedRecords } from '../published/records.ts';
import type { CostUnits } from './classes.ts';
import { linkOf } from './link.ts';
import { countedUnits, keyOf } from './workload.ts';

/**
 * Counts the units of all published measurements.
 *
 * @returns units by the key of their workload
 */
export function countAllUnits(): Record<string, CostUnits> {
  const counted: Record<string, CostUnits> = {};
  for (const record of publishedRecords()) {
    const { workload } = linkOf(record);
    if (workload !== null) counted[keyOf(workload)] ??= countedUnits(workload);
  }
  return counted;
}
