/** Algorithms of one's own beside what each is a difference against: which operations it changes. */
import type { PinAlgorithm } from '@pinfold/vfio-type1';
import { changeOf, type Change, type CompareRow } from './changes.ts';
import type { LayoutTag } from './layouts.ts';
import type { Op } from './measure.ts';
import { operations, type OperationName } from './operations.ts';

/** An operation that a patch makes another number of times than its base. */
export interface PatchedOperation {
  /** The operation. */
  readonly name: OperationName;
  /** How often the base makes it. */
  readonly before: number;
  /** How often the patch does. */
  readonly after: number;
}

/** What a patch changes in one call on one memory. */
export interface PatchChange {
  /** Name of the algorithm. */
  readonly algorithm: string;
  /** Name of the algorithm that it is a difference against. */
  readonly base: string;
  /** Name of the backing. */
  readonly backing: string;
  /** The layout. */
  readonly layoutTag: LayoutTag;
  /** The call. */
  readonly op: Op;
  /** Change of the sum of operations and of the model time. */
  readonly change: Change;
  /** The operations that differ. */
  readonly operations: readonly PatchedOperation[];
}

/**
 * What the algorithms of one's own change, each against its own base.
 *
 * @param algorithms the algorithms of a comparison, the bases among them
 * @param rows all of its rows
 * @returns one entry per algorithm with a base, memory and call
 */
export function patchChanges(
  algorithms: readonly PinAlgorithm[],
  rows: readonly CompareRow[],
): PatchChange[] {
  return algorithms.flatMap(({ name: algorithm, base }) =>
    rows.flatMap((row) => {
      if (!base || row.algorithm !== algorithm) return [];
      const { backing, layoutTag, op } = row;
      const before = rows.find(
        (other) =>
          other.algorithm === base.algorithm.name &&
          other.backing === backing &&
          other.layoutTag === layoutTag &&
          other.op === op,
      );
      if (!before) return [];
      const changed = operations[op].map((name) => ({
        ...{ name, before: before.counters[name], after: row.counters[name] },
      }));
      return [
        {
          ...{ algorithm, base: base.algorithm.name, backing, layoutTag, op },
          change: changeOf(row, before),
          operations: changed.filter((one) => one.before !== one.after),
        },
      ];
    }),
  );
}
