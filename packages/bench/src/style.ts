/** How a report is written: for a terminal, or in Markdown for a mail or a pull request. */
import { tableMarkdown, tableText, type Column } from './table.ts';

/** A note below a report's tables. */
export interface Note {
  /** What in the tables it explains. */
  readonly label: string;
  /** The sentence. */
  readonly text: string;
}

/** A way of writing reports. Every part is lines, each ending in a line break. */
export interface Style {
  /** Whether columns have their short headings, which need a word of explanation. */
  readonly shortHeadings: boolean;
  /**
   * A heading.
   *
   * @param text the heading
   * @returns its line
   */
  heading(text: string): string;
  /**
   * A paragraph.
   *
   * @param text the paragraph
   * @param indent what every line begins with; default nothing
   * @returns its lines, wrapped between words
   */
  paragraph(text: string, indent?: string): string;
  /**
   * Rows, in one table if it is narrow enough; otherwise every part of the columns is a table of its
   * own, and a part that is still too wide is several.
   *
   * @param keys the columns that say which row it is, in every table
   * @param parts the other columns, in parts that belong together
   * @param rows the rows
   * @returns the tables, with an empty line between them
   */
  tables<Row>(
    keys: readonly Column<Row>[],
    parts: readonly (readonly Column<Row>[])[],
    rows: readonly Row[],
  ): string;
  /**
   * Notes.
   *
   * @param notes the notes, at least one
   * @returns their lines, wrapped between words
   */
  notes(notes: readonly Note[]): string;
}

/** Narrower than this, nothing is made narrower. */
const MIN_WIDTH = 60;

/** Width of plain text in a mail. */
const MAIL_WIDTH = 80;

/**
 * Text for a terminal.
 *
 * @param columns width of the terminal
 * @returns the style
 */
export function textStyle(columns = 120): Style {
  const width = Math.max(columns, MIN_WIDTH);
  return {
    shortHeadings: false,
    heading: (text) => `${text}\n`,
    paragraph: (text, indent = '') => wrap(`${indent}${text}`, width, indent),
    tables: (keys, parts, rows) => fittingTables(tableText, width, keys, parts, rows),
    notes: (notes) => notesTable(notes, width),
  };
}

/** Markdown that reads well as plain text of 80 columns too. */
export const markdownStyle: Style = {
  shortHeadings: true,
  heading: (text) => `### ${text}\n`,
  paragraph: (text, indent = '') => wrap(`${indent}${text}`, MAIL_WIDTH, indent),
  tables: (keys, parts, rows) => fittingTables(tableMarkdown, MAIL_WIDTH, keys, parts, rows),
  notes: (notes) =>
    notes.map(({ label, text }) => wrap(`- **${label}**: ${text}`, MAIL_WIDTH, '  ')).join(''),
};

type Render = <Row>(columns: readonly Column<Row>[], rows: readonly Row[]) => string;

function fittingTables<Row>(
  render: Render,
  width: number,
  keys: readonly Column<Row>[],
  parts: readonly (readonly Column<Row>[])[],
  rows: readonly Row[],
): string {
  const fits = (columns: readonly Column<Row>[]): boolean =>
    render([...keys, ...columns], rows)
      .split('\n')
      .every((line) => line.length <= width);
  const tables = fits(parts.flat()) ? [parts.flat()] : parts.flatMap((part) => split(part, fits));
  return tables.map((columns) => render([...keys, ...columns], rows)).join('\n');
}

/** Splits columns into as few lists as fit, of about the same length. */
function split<Item>(columns: readonly Item[], fits: (some: readonly Item[]) => boolean): Item[][] {
  for (let lists = 1; lists < columns.length; lists++) {
    const evenly = chunks(columns, lists);
    if (evenly.every(fits)) return evenly;
  }
  return columns.map((column) => [column]);
}

function chunks<Item>(items: readonly Item[], count: number): Item[][] {
  const start = (i: number): number => Math.ceil((i * items.length) / count);
  return Array.from({ length: count }, (_, i) => items.slice(start(i), start(i + 1)));
}

function notesTable(notes: readonly Note[], width: number): string {
  const labelWidth = Math.max(...notes.map(({ label }) => label.length));
  const columns: Column<Note>[] = [
    { heading: '', words: true, cell: ({ label }) => label },
    { heading: '', words: true, width: width - labelWidth - 2, cell: ({ text }) => text },
  ];
  return tableText(columns, notes);
}

/** Wraps a paragraph between words; lines after the first begin with the indent. */
function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(`${lines.length === 0 ? '' : indent}${word}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}
