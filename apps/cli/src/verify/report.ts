/** The report of `pinfold verify`: what passed per kernel and family, what failed, what was skipped. */
import { textStyle, type Style } from '@pinfold/bench';
import {
  familySummary,
  levels,
  type FailedRecording,
  type Summary,
  type SummaryRow,
  type Verdict,
} from '@pinfold/conformance';
import { formatCount, type Column } from '../table.ts';
import { hanging } from './hanging.ts';
import { showValue } from './show-value.ts';

const VERDICTS: readonly Verdict[] = ['passed', 'failed', 'skipped'];
/** Indent of what belongs to the line before. */
const INDENT = '    ';

/** How a report is laid out. */
export interface Layout {
  /** Columns of the terminal. */
  readonly width: number;
  /** Names of the levels that were compared. */
  readonly levels: readonly string[];
}

/**
 * The table of kernels and families, and what the families are about.
 *
 * @param rows one row per kernel and family
 * @param layout levels and width; a table that is too wide is several
 * @returns the table; verdicts that no step of a level has are left out, but for `passed`
 */
export function rowsText(rows: readonly SummaryRow[], layout: Layout): string {
  const style = textStyle(layout.width);
  const keys: Column<SummaryRow>[] = [
    { heading: 'kernel', words: true, cell: ({ kernel }) => kernel },
    { heading: 'family', words: true, cell: ({ family }) => family },
    { heading: 'recordings', cell: ({ recordings }) => formatCount(recordings) },
  ];
  const parts = levels
    .filter(({ name }) => layout.levels.includes(name))
    .map(({ name }) =>
      VERDICTS.filter((verdict) => verdict === 'passed' || has(rows, name, verdict)).map(
        (verdict) => verdictColumn(name, verdict),
      ),
    );
  return `${style.tables(keys, parts, rows)}${familiesText(rows, style)}`;
}

function has(rows: readonly SummaryRow[], level: string, verdict: Verdict): boolean {
  return rows.some((row) => (row.levels[level]?.[verdict] ?? 0) > 0);
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

function familiesText(rows: readonly SummaryRow[], style: Style): string {
  const notes = [...new Set(rows.map(({ family }) => family))].sort().flatMap((family) => {
    const text = familySummary(family);
    return text === undefined ? [] : { label: family, text };
  });
  return notes.length === 0 ? '' : `\n${style.notes(notes)}`;
}

/**
 * The recordings that failed, with the first difference of each.
 *
 * @param failures the recordings
 * @param width columns of the terminal
 * @returns three lines or more each
 */
export function failuresText(failures: readonly FailedRecording[], width: number): string {
  return failures
    .map(({ file, first, failed }) => {
      const [difference] = first.differences;
      const where = `first: ${first.pass} step ${first.step + 1}, ${first.level}: ${first.line}`;
      const values = `${difference.path}: recorded ${showValue(difference.recorded)}, model ${showValue(difference.model)}`;
      return [
        `${file}: ${formatCount(failed)} failed\n`,
        ...[where, values].map((line) => hanging(`${INDENT}${line}`, `${INDENT}  `, width)),
      ].join('');
    })
    .join('');
}

/**
 * Why steps were skipped, and what the levels leave out.
 *
 * @param summary the sums
 * @param width columns of the terminal
 * @returns lines; empty if nothing was
 */
export function omissionsText({ skips, exclusions }: Summary, width: number): string {
  const lines: string[] = [];
  if (skips.length > 0) lines.push('skipped\n');
  for (const { reason, count } of skips) {
    lines.push(hanging(`  ${formatCount(count)}  ${reason}`, INDENT, width));
  }
  return [...lines, exclusionsText(exclusions, width)].join('');
}

/** What is not compared: what is alike on several kernels and levels is said once. */
function exclusionsText(exclusions: Summary['exclusions'], width: number): string {
  const lists = new Map<
    string,
    { level: string; kernel: string; reason: string; list: string[] }
  >();
  for (const { kernel, level, name, reason } of exclusions) {
    const key = `${kernel} ${level} ${reason}`;
    const found = lists.get(key) ?? { level, kernel, reason, list: [] };
    lists.set(key, found);
    found.list.push(name);
  }
  const told = [...lists.values()].map(({ list, ...rest }) => ({
    ...rest,
    names: list.join(', '),
  }));
  const byLevel = grouped(told, ({ level, reason, names }) => [level, reason, names]);
  const alike = byLevel.map((same) => ({
    ...same[0],
    kernels: same.map(({ kernel }) => kernel).join(', '),
  }));
  const byKernels = grouped(alike, ({ kernels, reason, names }) => [kernels, reason, names]);
  return byKernels
    .map((same) => {
      const [{ kernels, reason, names }] = same;
      const compared = same.map(({ level }) => level).join(', ');
      const text = `${compared} not compared on ${kernels} (${reason}): ${names}`;
      return hanging(text, INDENT, width);
    })
    .join('');
}

/** Groups of items that are alike, in the order of their first. */
function grouped<Item>(
  items: readonly Item[],
  key: (item: Item) => readonly string[],
): [Item, ...Item[]][] {
  const groups = new Map<string, [Item, ...Item[]]>();
  for (const item of items) {
    const name = JSON.stringify(key(item));
    const group = groups.get(name);
    if (group) group.push(item);
    else groups.set(name, [item]);
  }
  return [...groups.values()];
}
