/** What an algorithm does more and less than another: the arithmetic of a comparison. */
import { PAGE_SIZE } from '@pinfold/base';
import { layouts, type LayoutTag } from './layouts.ts';
import type { Op } from './measure.ts';
import { isSmall } from './memories.ts';
import { operations, totalOperations, type OperationName } from './operations.ts';
import { medianRatio, type MeasuredRow } from './rows.ts';

/** How a row differs from that of the base algorithm; -0.25 is a quarter less. */
export interface Change {
  /** Of the sum of operations, which each count as one; null if the base makes none. */
  readonly operations: number | null;
  /** Of the model time: repetition by repetition, the median; null if a time is 0. */
  readonly modelTime: number | null;
}

/** One call of one algorithm on one memory. */
export interface CompareRow extends MeasuredRow {
  /** Name of the algorithm. */
  readonly algorithm: string;
  /** Sum of the call's {@link operations}. */
  readonly operations: number;
  /** What has changed against the base algorithm; null in the base's own row. */
  readonly change: Change | null;
}

/** An operation that is made more or less often than by the base algorithm. */
export interface OperationChange {
  /** The operation. */
  readonly name: OperationName;
  /** How many more per 4 KiB page of the mapping; less than 0: fewer. */
  readonly perPage: number;
}

/** What one algorithm does on small folios that the base algorithm does not. */
export interface SmallFolioChange {
  /** Name of the algorithm. */
  readonly algorithm: string;
  /** Name of the backing. */
  readonly backing: string;
  /** The layout. */
  readonly layoutTag: LayoutTag;
  /** The call. */
  readonly op: Op;
  /** Whether it makes more operations than the base: see {@link loses}. */
  readonly loses: boolean;
  /** Change of the sum of operations and of the model time. */
  readonly change: Change;
  /** The operations that are made more often. */
  readonly more: readonly OperationChange[];
  /** The operations that are made less often. */
  readonly fewer: readonly OperationChange[];
}

/** Growth of the sum of operations below which nothing is said to lose: one operation in a thousand. */
const LOSS = 0.001;

/**
 * Whether an algorithm makes more operations than the base: by exact counts, never by time.
 *
 * @param change how its row differs; null for the base itself
 * @returns true when the sum of operations grows by a thousandth or more
 */
export function loses(change: Change | null): boolean {
  return (change?.operations ?? 0) >= LOSS;
}

/**
 * How a row differs from another of the same memory and call.
 *
 * @param row the row
 * @param base the row it is compared with
 * @returns relative changes
 */
export function changeOf(row: MeasuredRow, base: MeasuredRow): Change {
  const made = totalOperations(row.op, base.counters);
  const time = medianRatio(row.repetitionMs, base.repetitionMs);
  return {
    operations: made === 0 ? null : totalOperations(row.op, row.counters) / made - 1,
    modelTime: time === null ? null : time - 1,
  };
}

/**
 * What every algorithm does more and less on small folios.
 *
 * @param rows all rows of a comparison
 * @param baseName name of the base algorithm
 * @returns one entry per algorithm, memory of 4 KiB folios and call, without the base
 */
export function smallFolioChanges(
  rows: readonly CompareRow[],
  baseName: string,
): SmallFolioChange[] {
  return rows.flatMap((row) => {
    const { algorithm, backing, layoutTag, op, change } = row;
    if (!change || !isSmall({ layout: layouts[layoutTag] })) return [];
    const base = rows.find(
      (other) =>
        other.algorithm === baseName &&
        other.backing === backing &&
        other.layoutTag === layoutTag &&
        other.op === op,
    );
    const changes = base ? operationChanges(row, base) : [];
    return [
      {
        ...{ algorithm, backing, layoutTag, op, change },
        loses: loses(change),
        more: changes.filter(({ perPage }) => perPage > 0),
        fewer: changes.filter(({ perPage }) => perPage < 0),
      },
    ];
  });
}

/** The operations that two rows make a different number of times. */
function operationChanges(row: MeasuredRow, base: MeasuredRow): OperationChange[] {
  const pages = row.bytes / PAGE_SIZE;
  return operations[row.op]
    .map((name) => ({ name, perPage: (row.counters[name] - base.counters[name]) / pages }))
    .filter(({ perPage }) => perPage !== 0);
}
