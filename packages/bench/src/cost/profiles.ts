/** Profiles: named sets of costs, each fitted to the rows of one host. */
import { roundingOf, secondsOf, type PublishedRecord } from '../published/record.ts';
import {
  COST_CLASS_NAMES,
  PRIOR_SHARE,
  priorNs,
  type CostUnits,
  type MachineRates,
} from './classes.ts';
import type { ClassCosts, FitRow } from './fit.ts';
import { linkOf, type Link } from './link.ts';
import { workloadUnits } from './workload.ts';

/** A measurement beside its units of work. */
export interface LinkedRow {
  /** The measurement. */
  readonly record: PublishedRecord;
  /** What it measured, and of which host it is. */
  readonly link: Link;
  /** Units of its workload; null without one. */
  readonly units: CostUnits | null;
  /** What was measured, in seconds; null when nothing was. */
  readonly seconds: number | null;
}

/**
 * Links measurements to units of work.
 *
 * @param records the measurements
 * @returns a row for each
 */
export function linkRows(records: readonly PublishedRecord[]): LinkedRow[] {
  return records.map((record) => {
    const link = linkOf(record);
    const units = link.workload === null ? null : workloadUnits(link.workload);
    return { record, link, units, seconds: secondsOf(record) };
  });
}

/**
 * What is believed of every class before anything was measured.
 *
 * @param factor factor for all means, to see how much they matter; default 1
 * @param rates the machine's rates; default those of no machine in particular
 * @returns mean and standard deviation by class
 */
export function priorCosts(factor = 1, rates?: MachineRates): ClassCosts {
  return Object.fromEntries(
    COST_CLASS_NAMES.map((name) => {
      const mean = priorNs(name, rates) * factor;
      return [name, { mean, sd: PRIOR_SHARE * mean }];
    }),
  );
}

/**
 * The rows that can be fitted.
 *
 * @param rows linked rows
 * @returns those with units, seconds and no reason against them
 */
export function fittedRows(rows: readonly LinkedRow[]): FitRow[] {
  return rows.flatMap(({ record, link, units, seconds }) =>
    units !== null && seconds !== null && link.reason === null
      ? [{ units, seconds, rounding: roundingOf(record) }]
      : [],
  );
}
