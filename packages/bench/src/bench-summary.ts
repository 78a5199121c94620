/** The last sentences of `pinfold bench`: how the operations of the kernels differ, by memory. */
import type { BenchReport, BenchRow } from './bench.ts';
import { ops } from './measure.ts';
import { totalOperations } from './operations.ts';

/**
 * How many operations every kernel makes compared with the first one.
 *
 * @param report the run
 * @returns a sentence per kernel but the first
 */
export function benchSummary({ rows }: BenchReport): string[] {
  const kernels = [...new Set(rows.map(({ kernel }) => kernel))];
  const backings = [...new Set(rows.map(({ backing }) => backing))];
  const [versus] = kernels;
  return kernels.slice(1).map((kernel) => {
    const changes = backings.map((backing) => {
      const calls = ops.map((op) => {
        const rowOf = (of: string): BenchRow | undefined =>
          rows.find((row) => row.kernel === of && row.backing === backing && row.op === op);
        return `${changeWords(rowOf(kernel), rowOf(versus))} to ${op}`;
      });
      return `${backing} ${calls.join(', ')}`;
    });
    return `Operations of ${kernel} compared with ${versus}, each counted as one: ${changes.join('; ')}.`;
  });
}

/** The change of the sum of a call's operations: `49.7% fewer`. */
function changeWords(row: BenchRow | undefined, base: BenchRow | undefined): string {
  if (!row || !base) return 'not run';
  const change =
    totalOperations(row.op, row.counters) / totalOperations(base.op, base.counters) - 1;
  const percent = (100 * Math.abs(change)).toFixed(1);
  if (!Number.isFinite(change) || Number(percent) === 0) return 'as many';
  return `${percent}% ${change < 0 ? 'fewer' : 'more'}`;
}
