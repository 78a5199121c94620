/** The figures of `pinfold compare`, as tables. */
import { compareText, textStyle, type CompareReport } from '@pinfold/bench';
import { figuresOf } from './figures.ts';

const report = figuresOf('compare') as CompareReport;

/** Names of the memories: backing and layout. */
const memories = [
  ...new Set(report.rows.map(({ backing, layoutTag }) => `${backing}, ${layoutTag}`)),
];

/** The algorithms, with what they are. */
export const { algorithms, base } = report;

/** Headings of {@link changeRows}. */
export const changeHead: readonly string[] = [
  'algorithm',
  ...memories.flatMap((memory) => [`${memory}: map`, 'unmap']),
];

/** One row per algorithm but the base: by how much the sum of operations changes. */
export const changeRows: readonly string[][] = report.algorithms
  .filter(({ name }) => name !== report.base)
  .map(({ name }) => [
    name,
    ...memories.flatMap((memory) => [
      changeOf(name, memory, 'map'),
      changeOf(name, memory, 'unmap'),
    ]),
  ]);

/** The whole comparison, as the command prints it. */
export const text: string = compareText(report, textStyle(), false);

function changeOf(algorithm: string, memory: string, op: string): string {
  const row = report.rows.find(
    (one) =>
      one.algorithm === algorithm && `${one.backing}, ${one.layoutTag}` === memory && one.op === op,
  );
  const change = row?.change?.operations;
  if (change === undefined || change === null) return '';
  return `${change > 0 ? '+' : ''}${(100 * change).toFixed(1)}%`;
}
