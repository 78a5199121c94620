/** The project's set of published measurements. */
import data from './measurements.json' with { type: 'json' };
import { parseRecords, type PublishedRecord } from './record.ts';

let parsed: readonly PublishedRecord[] | null = null;

/**
 * All published measurements that the project knows of.
 *
 * @returns the records of `measurements.json`
 */
export function publishedRecords(): readonly PublishedRecord[] {
  parsed ??= parseRecords(data, 'measurements.json');
  return parsed;
}
