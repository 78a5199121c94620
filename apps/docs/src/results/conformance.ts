/** The figures of `pinfold verify`, as tables. */
import type { Summary } from '@pinfold/conformance';
import { figuresOf } from './figures.ts';

const summary = figuresOf('verify') as Summary;

/** All step-levels by verdict. */
export const { total } = summary;

/** The levels, in the order in which a row has them. */
export const levels: readonly string[] = [
  ...new Set(summary.rows.flatMap((row) => Object.keys(row.levels))),
];

/** The kernels. */
export const kernels: readonly string[] = [...new Set(summary.rows.map(({ kernel }) => kernel))];

/** Recordings in all. */
export const recordings: number = summary.rows.reduce((sum, row) => sum + row.recordings, 0);

/**
 * A kernel's rows.
 *
 * @param kernel the kernel
 * @returns per family: its name, the number of recordings, and per level what passed of how many
 */
export function familyRows(kernel: string): (string | number)[][] {
  return summary.rows
    .filter((row) => row.kernel === kernel)
    .map((row) => [
      ...[row.family, row.recordings],
      ...levels.map((level) => {
        const counts = row.levels[level];
        if (!counts) return '';
        const all = counts.passed + counts.failed + counts.skipped;
        return counts.passed === all ? all : `${counts.passed} of ${all}`;
      }),
    ]);
}

/**
 * What the levels leave out on a kernel.
 *
 * @param kernel the kernel
 * @returns rows of function and reason
 */
export function exclusionRows(kernel: string): string[][] {
  const left = summary.exclusions.filter((exclusion) => exclusion.kernel === kernel);
  const reasons = new Map<string, Set<string>>();
  for (const { name, reason } of left) {
    reasons.set(reason, (reasons.get(reason) ?? new Set()).add(name));
  }
  return [...reasons].map(([reason, names]) => [reason, [...names].sort().join(', ')]);
}
