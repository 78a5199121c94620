/**
 * The report of `pinfold compare`, as an ablation table: for each memory and call the operations in
 * which the algorithms differ, beside model time and published time; then gain and loss against the
 * base algorithm, and what small folios pay.
 */
import type { CompareRow } from './changes.ts';
import type { CompareReport } from './compare.ts';
import { summary } from './compare-summary.ts';
import { ops, type Op } from './measure.ts';
import { memoryName } from './memories.ts';
import { operations, operationWords, type OperationName } from './operations.ts';
import { countColumns, timeColumns, type ReportLine } from './report-columns.ts';
import {
  fastestNotes,
  headingNotes,
  iommuNotes,
  leftOutNotes,
  marksOf,
  memoryNotes,
  predictedNotes,
  publishedNotes,
  timeNotes,
} from './report-notes.ts';
import { IOCTL, mappedSize } from './report.ts';
import { textStyle, type Note, type Style } from './style.ts';
import { formatCount, type Column } from './table.ts';

type CompareLine = ReportLine<CompareRow>;

/** Follows the name of an algorithm that is known to be wrong. */
const WRONG = ' (!)';

/**
 * A comparison as text.
 *
 * @param report the comparison, with at least one row
 * @param style how to write it; default for a terminal
 * @param times whether to show model time and published time; what is left without them is the
 *   same on every machine
 * @returns lines, ending in a line break
 */
export function compareText(
  report: CompareReport,
  style: Style = textStyle(),
  times = true,
): string {
  const lines = compareLines(report);
  const sections = memoriesIn(lines).flatMap((ofMemory) =>
    ops.flatMap((op) => section(report, op, ofMemory, style, times)),
  );
  return [
    ...sections,
    ...summary(report, style, times),
    style.notes(notes(report, lines, style, times)),
  ].join('\n');
}

function compareLines({ rows, base }: CompareReport): CompareLine[] {
  const marks = marksOf(rows);
  return rows.map((row) => ({
    row,
    first: rows.find((other) => other.algorithm === base && sameCase(row, other)) ?? row,
    mark: marks.get(row) ?? '',
  }));
}

function sameCase(a: CompareRow, b: CompareRow): boolean {
  return a.op === b.op && a.backing === b.backing && a.layoutTag === b.layoutTag;
}

/** The lines, apart by memory. */
function memoriesIn(lines: readonly CompareLine[]): CompareLine[][] {
  const memories = new Map<string, CompareLine[]>();
  for (const line of lines) {
    const name = memoryName(line.row);
    memories.set(name, [...(memories.get(name) ?? []), line]);
  }
  return [...memories.values()];
}

/** One call on one memory: heading, tables, and what is the same for all. */
function section(
  report: CompareReport,
  op: Op,
  ofMemory: readonly CompareLine[],
  style: Style,
  times: boolean,
): string[] {
  const lines = ofMemory.filter(({ row }) => row.op === op);
  const { different, same } = sortOut(op, lines);
  const memory = memoryName(lines[0].row);
  const keys = [algorithmColumn(report)];
  const columns = [countColumns(different), times ? timeColumns(lines, report.base) : []];
  return [
    style.heading(`${IOCTL[op]} of ${memory}, ${mappedSize(report.bytes)}`),
    ...(columns.flat().length === 0 ? [] : [style.tables(keys, columns, lines)]),
    ...(same === '' ? [] : [style.paragraph(`All alike: ${same}.`)]),
  ];
}

/** The operations in which lines differ, and those that all make equally often, in words. */
function sortOut(
  op: Op,
  lines: readonly CompareLine[],
): { different: OperationName[]; same: string } {
  const made = operations[op].filter((name) => lines.some(({ row }) => row.counters[name] > 0));
  const [{ row: first }] = lines;
  const alike = made.filter(
    (name) =>
      lines.length > 1 && lines.every(({ row }) => row.counters[name] === first.counters[name]),
  );
  const words = alike.map((name) => `${operationWords(name)} ${formatCount(first.counters[name])}`);
  return { different: made.filter((name) => !alike.includes(name)), same: words.join(', ') };
}

/** The operations that have a column in some table. */
function differentIn(lines: readonly CompareLine[]): OperationName[] {
  return memoriesIn(lines).flatMap((ofMemory) =>
    ops.flatMap(
      (op) =>
        sortOut(
          op,
          ofMemory.filter(({ row }) => row.op === op),
        ).different,
    ),
  );
}

function algorithmColumn({ algorithms }: CompareReport): Column<CompareLine> {
  const wrong = algorithms.filter(({ defects }) => defects.length > 0).map(({ name }) => name);
  return {
    ...{ heading: 'algorithm', words: true },
    cell: ({ row: { algorithm } }) => `${algorithm}${wrong.includes(algorithm) ? WRONG : ''}`,
  };
}

function notes(
  report: CompareReport,
  lines: readonly CompareLine[],
  style: Style,
  times: boolean,
): Note[] {
  const { kernel, base, algorithms } = report;
  const named = algorithms.map(({ name, summary, source, defects }) => ({
    label: `${name}${defects.length > 0 ? WRONG : ''}`,
    text: `${summary} (${source})${defects.length > 0 ? `; known to be wrong: ${defects.join('; ')}` : ''}`,
  }));
  return [
    ...named,
    ...memoryNotes(lines),
    ...leftOutNotes(report.leftOut, report.bytes),
    ...iommuNotes(report.iommu),
    ...headingNotes(differentIn(lines), style),
    { label: 'kernel', text: `the rules of ${kernel}, but for the pin algorithm` },
    ...(times ? timesNotes(lines, base) : []),
    ...(algorithms.length > 1 ? [operationsNote(report.smallFolios.length > 0)] : []),
  ];
}

/** What the times are, and where published ones come from. */
function timesNotes(lines: readonly CompareLine[], base: string): Note[] {
  return [
    ...timeNotes(lines, base),
    ...fastestNotes(lines, base, ({ algorithm }) => algorithm),
    ...predictedNotes(lines),
    ...publishedNotes(lines),
  ];
}

/** How operations are added up, and from when on small folios lose, if there are any. */
function operationsNote(smallFolios: boolean): Note {
  const sum =
    'exact counts. Their change is that of the sum of all operations that are listed or alike, ' +
    'each counted as one, whatever it costs a kernel: a compare far less than a GUP step or a put';
  const loss = '. It is a loss for small folios where the sum grows by 0.1% or more';
  return { label: 'operations', text: `${sum}${smallFolios ? loss : ''}` };
}
