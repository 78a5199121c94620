/** The notes below a report's tables: what backings, layouts, times and sources are. */
import { formatSize, PAGE_SIZE } from '@pinfold/base';
import { iommuKind } from '@pinfold/iommu';
import { backing } from './backings.ts';
import { layouts } from './layouts.ts';
import { headings, operationWords, type OperationName } from './operations.ts';
import type { PublishedFigure } from './published/published-figure.ts';
import type { ReportLine } from './report-columns.ts';
import type { MeasuredRow } from './rows.ts';
import type { Note, Style } from './style.ts';
import { DEFAULT_IOMMU } from './workloads/mem-dma-map.ts';

/**
 * Marks of published figures: figures with the same origin share a mark and a note.
 *
 * @param rows the report's rows
 * @returns for every row with a figure, a mark such as `[1]`
 */
export function marksOf(rows: readonly MeasuredRow[]): Map<MeasuredRow, string> {
  const origins = [...new Set(rows.flatMap(({ published }) => published ?? []).map(originOf))];
  const marks = new Map<MeasuredRow, string>();
  for (const row of rows) {
    if (row.published) marks.set(row, `[${origins.indexOf(originOf(row.published)) + 1}]`);
  }
  return marks;
}

/** Where a published figure comes from: author, date and caveat. */
function originOf({ source, caveat }: PublishedFigure): string {
  return `${source.author}, ${source.date}${caveat && `; ${caveat}`}`;
}

/**
 * What the backings are, and how they lie.
 *
 * @param lines the report's lines
 * @returns a note per backing and layout
 */
export function memoryNotes(lines: readonly ReportLine[]): Note[] {
  const memories = lines.map(({ row: { backing: name, layoutTag } }) => ({
    label: name,
    text: `${backing(name).summary}; ${layouts[layoutTag].summary} (${layoutTag})`,
  }));
  return [...new Map(memories.map((note) => [note.text, note])).values()];
}

/**
 * Which backings a report is without, and why.
 *
 * @param names their names
 * @param bytes size of the mapping, no whole number of their pages
 * @returns a note per backing
 */
export function leftOutNotes(names: readonly string[], bytes: number): Note[] {
  return names.map((label) => {
    const page = formatSize(PAGE_SIZE * 2 ** backing(label).order);
    return {
      label,
      text: `left out: ${formatSize(bytes)} is no multiple of its page size, ${page}`,
    };
  });
}

/**
 * Which IOMMU the machine has, where it is not the default.
 *
 * @param kind its kind
 * @returns a note, or none
 */
export function iommuNotes(kind: string): Note[] {
  if (kind === DEFAULT_IOMMU) return [];
  return [{ label: 'IOMMU', text: `${kind}: ${iommuKind(kind).summary}` }];
}

/**
 * What model time and ratios are.
 *
 * @param lines the report's lines, at least one
 * @param versus name of what the lines are compared with
 * @returns the notes
 */
export function timeNotes(lines: readonly ReportLine[], versus: string): Note[] {
  const [{ row }] = lines;
  const repetitions = `repetitions: ${row.repetitionMs.length}, all rows in turn`;
  const model = `of this model on this machine, not of a kernel; ${repetitions}`;
  const ratios =
    `the time divided by that of ${versus} (model: in the same repetition, median); ` +
    'the model pays for no atomics';
  const compared = lines.some((line) => line.row !== line.first);
  return [
    { label: 'model time', text: model },
    ...(compared ? [{ label: `/ ${versus}`, text: ratios }] : []),
  ];
}

/** From how many times faster on a row is said to be. */
const MUCH_FASTER = 10;

/**
 * Which rows are faster by an order of magnitude, by their fastest repetitions.
 *
 * @param lines the report's lines
 * @param versus name of what the lines are compared with
 * @param nameOf name of a row among those that are compared
 * @returns a note per row and operation, none where nothing is that fast
 */
export function fastestNotes<Row extends MeasuredRow>(
  lines: readonly ReportLine<Row>[],
  versus: string,
  nameOf: (row: Row) => string,
): Note[] {
  return lines.flatMap(({ row, first }) => {
    const times = first.modelMs.min / row.modelMs.min;
    if (row === first || !(times >= MUCH_FASTER)) return [];
    const repetitions = `minimum of ${row.repetitionMs.length} repetitions each, of the same run`;
    const text = `${row.op} of ${row.backing} ${Math.floor(times)} times faster than ${versus} (${repetitions})`;
    return [{ label: nameOf(row), text }];
  });
}

/**
 * What predicted times are.
 *
 * @param lines the report's lines
 * @returns a note per profile; none where nothing is predicted
 */
export function predictedNotes(lines: readonly ReportLine[]): Note[] {
  const names = new Set(lines.flatMap(({ row }) => row.predicted?.profile ?? []));
  return [...names].map((name) => {
    const text =
      `kernel time of a first map and unmap, from operations and the costs of profile ${name}, ` +
      'with its 90 % interval; not measured here';
    return { label: 'predicted', text };
  });
}

/**
 * Where published figures come from.
 *
 * @param lines the report's lines
 * @returns a note per origin, with the kernels that were measured
 */
export function publishedNotes(lines: readonly ReportLine[]): Note[] {
  const figures = new Map<string, PublishedFigure[]>();
  for (const { row, mark } of lines) {
    if (row.published) figures.set(mark, [...(figures.get(mark) ?? []), row.published]);
  }
  return [...figures].map(([mark, ofMark]) => {
    const kernels = [...new Set(ofMark.map(({ kernel }) => kernel))].join(', and ');
    return { label: mark, text: `published: ${kernels}; ${originOf(ofMark[0])}` };
  });
}

/**
 * What short headings stand for.
 *
 * @param names the operations that have columns
 * @param style how the report is written
 * @returns a note; none where headings are not shortened
 */
export function headingNotes(names: readonly OperationName[], style: Style): Note[] {
  if (!style.shortHeadings || names.length === 0) return [];
  const words = [...new Set(names)].map(
    (name) => `${headings(name).short}: ${operationWords(name)}`,
  );
  return [{ label: 'columns', text: words.join('; ') }];
}
