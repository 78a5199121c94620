/** The report of `pinfold verify`: what passed per kernel and family, what failed, what was skipped. */
import {
  levels,
  type FailedRecording,
  type Summary,
  type SummaryRow,
  type Verdict,
} from '@pinfold/scenario';
import { formatCount, tableText, type Column } from '../table.ts';
import { showValue } from './show-value.ts';

const VERDICTS: readonly Verdict[] = ['passed', 'failed', 'skipped'];

/**
 * The table of kernels and families.
 *
 * @param rows one row per kernel and family
 * @param chosen names of the levels that were compared
 * @returns the table
 */
export function rowsText(rows: readonly SummaryRow[], chosen: readonly string[]): string {
  const columns: Column<SummaryRow>[] = [
    { heading: 'kernel', words: true, cell: ({ kernel }) => kernel },
    { heading: 'family', words: true, cell: ({ family }) => family },
    { heading: 'recordings', cell: ({ recordings }) => formatCount(recordings) },
    ...levels
      .filter(({ name }) => chosen.includes(name))
      .flatMap(({ name }) => VERDICTS.map((verdict) => verdictColumn(name, verdict))),
  ];
  return tableText(columns, rows);
}

function verdictColumn(level: string, verdict: Verdict): Column<SummaryRow> {
  return {
    group: level,
    heading: verdict,
    cell: (row) => {
      const count = row.levels[level]?.[verdict];
      return count === undefined ? '' : formatCount(count);
    },
  };
}

/**
 * The recordings that failed, with the first difference of each.
 *
 * @param failures the recordings
 * @returns two lines each
 */
export function failuresText(failures: readonly FailedRecording[]): string {
  return failures
    .map(({ file, first, failed }) => {
      const [difference] = first.differences;
      const where = `${first.pass} step ${first.step + 1}, ${first.level}: ${first.line}`;
      const values = `${difference.path}: recorded ${showValue(difference.recorded)}, model ${showValue(difference.model)}`;
      return `${file}: ${formatCount(failed)} failed, first ${where}\n    ${values}\n`;
    })
    .join('');
}

/**
 * Why steps were skipped, and what the levels leave out.
 *
 * @param summary the sums
 * @returns lines; empty if nothing was
 */
export function omissionsText({ skips, exclusions }: Summary): string {
  const lines: string[] = [];
  if (skips.length > 0) lines.push('skipped');
  for (const { reason, count } of skips) lines.push(`  ${formatCount(count)}  ${reason}`);
  const names = new Map<string, string[]>();
  for (const { kernel, level, name, reason } of exclusions) {
    const key = `${level} not compared on ${kernel} (${reason})`;
    names.set(key, [...(names.get(key) ?? []), name]);
  }
  for (const [what, list] of names) lines.push(`${what}: ${list.join(', ')}`);
  return lines.map((line) => `${line}\n`).join('');
}
