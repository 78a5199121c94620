/** The figures of `pinfold bench`, as tables. */
import { COUNTER_DOCS } from '@pinfold/base';
import {
  operations,
  type BenchReport,
  type BenchRow,
  type Op,
  type OperationName,
} from '@pinfold/bench';
import { figuresOf } from './figures.ts';

const { rows } = figuresOf('bench') as BenchReport;

/** The operations of a call in which a kernel differs from another, on any backing. */
export function differing(op: Op): OperationName[] {
  const ofOp = rows.filter((row) => row.op === op);
  return operations[op].filter((name) =>
    ofOp.some((row) =>
      ofOp.some(
        (other) => other.backing === row.backing && other.counters[name] !== row.counters[name],
      ),
    ),
  );
}

/** What one unit of a counter is. */
export function meaning(name: OperationName): string {
  return COUNTER_DOCS[name];
}

/**
 * The counts of a call.
 *
 * @param op map or unmap
 * @returns rows of backing, kernel and the operations that {@link differing} names
 */
export function countRows(op: Op): (string | number)[][] {
  const names = differing(op);
  return rows
    .filter((row) => row.op === op)
    .map((row) => [row.backing, row.kernel, ...names.map((name) => row.counters[name])]);
}

/**
 * The times of a call: of the model on the machine that built the site, and published ones.
 *
 * @param op map or unmap
 * @returns rows of backing, kernel, model time, its ratio to 6.16, published time, its ratio
 */
export function timeRows(op: Op): (string | number)[][] {
  return rows
    .filter((row) => row.op === op)
    .map((row) => {
      const first = rows.find(
        (other) => other.op === op && other.backing === row.backing && other !== row,
      );
      const base = row === laterOf(row, first) ? first : undefined;
      return [
        ...[row.backing, row.kernel, row.modelMs.median.toFixed(1)],
        ratio(row.modelMs.median, base?.modelMs.median),
        row.published ? row.published.seconds.toFixed(3) : '',
        ratio(row.published?.seconds, base?.published?.seconds),
      ];
    });
}

function laterOf(row: BenchRow, other: BenchRow | undefined): BenchRow {
  return other && Number(other.kernel) > Number(row.kernel) ? other : row;
}

function ratio(value: number | undefined, base: number | undefined): string {
  return value === undefined || base === undefined ? '' : (value / base).toFixed(2);
}

/** Who measured what is published. */
export const sources: readonly string[] = [
  ...new Set(
    rows.flatMap(({ published }) =>
      published
        ? [
            `${published.kernel}: ${published.source.author}, ${published.source.date}, “${published.source.title}”${published.caveat && `; ${published.caveat}`}`,
          ]
        : [],
    ),
  ),
];
