/** The notes below a report's tables: what the memory was, and what the times are. */
import { backing } from './backings.ts';
import { layouts } from './layouts.ts';
import type { PublishedFigure } from './published/published-figure.ts';
import type { ReportLine } from './report.ts';

/** A note: what it is on, and a sentence. */
export interface Note {
  /** Name or mark in the tables. */
  readonly label: string;
  /** The sentence. */
  readonly text: string;
}

/**
 * All notes that a report needs.
 *
 * @param lines its lines, at least one
 * @returns the notes in the order of the columns that they explain
 */
export function notes(lines: readonly ReportLine[]): Note[] {
  return [...memoryNotes(lines), ...timeNotes(lines), ...publishedNotes(lines)];
}

/**
 * Where a published figure comes from: figures with the same origin share a note.
 *
 * @param figure the figure
 * @returns author, date and caveat
 */
export function originOf({ source, caveat }: PublishedFigure): string {
  return `${source.author}, ${source.date}${caveat && `; ${caveat}`}`;
}

function memoryNotes(lines: readonly ReportLine[]): Note[] {
  const tags = new Map(lines.map(({ row }) => [row.backing, row.layoutTag]));
  return [...tags].map(([name, tag]) => ({
    label: name,
    text: `${backing(name).summary}; ${layouts[tag].summary} (${tag})`,
  }));
}

function timeNotes(lines: readonly ReportLine[]): Note[] {
  const [{ row, first }] = lines;
  const repetitions = `repetitions: ${row.repetitionMs.length}, all rows in turn`;
  const model = `of this model on this machine, not of a kernel; ${repetitions}`;
  const ratios =
    `the time divided by that of ${first.kernel} (model: in the same repetition, median); ` +
    'the model pays for no atomics';
  const compared = lines.some((line) => line.row !== line.first);
  return [
    { label: 'model time', text: model },
    ...(compared ? [{ label: `/ ${first.kernel}`, text: ratios }] : []),
  ];
}

/** One note per origin, with the kernels that were measured. */
function publishedNotes(lines: readonly ReportLine[]): Note[] {
  const figures = new Map<string, PublishedFigure[]>();
  for (const { row, mark } of lines) {
    if (row.published) figures.set(mark, [...(figures.get(mark) ?? []), row.published]);
  }
  return [...figures].map(([mark, ofMark]) => {
    const kernels = [...new Set(ofMark.map(({ kernel }) => kernel))].join(', and ');
    return { label: mark, text: `published: ${kernels}; ${originOf(ofMark[0])}` };
  });
}
