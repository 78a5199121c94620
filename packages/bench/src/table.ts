/**
 * Tables: for a terminal, cells in columns without borders, two spaces between columns; for a mail
 * or a pull request, in Markdown.
 */
import Table from 'cli-table3';

/** A column of a table. */
export interface Column<Row> {
  /** Heading above the headings of neighbouring columns of the same group. */
  readonly group?: string;
  /** Heading. */
  readonly heading: string;
  /** Heading in Markdown, which has neither groups nor line breaks; default: group and heading. */
  readonly short?: string;
  /** Whether the cells are words, which stand on the left; figures stand on the right. */
  readonly words?: boolean;
  /** Width at which a cell is wrapped between words; default: that of its longest cell. */
  readonly width?: number;
  /** The text of a row's cell. */
  readonly cell: (row: Row) => string;
}

const none = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', 'left-mid': '', mid: '', 'mid-mid': '' },
  ...{ right: '', 'right-mid': '', middle: '  ' },
};

/**
 * Lays out a table.
 *
 * @param columns its columns
 * @param rows its rows
 * @returns lines without trailing spaces, each ending in a line break
 */
export function tableText<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row)));
  const widest = widestCells(columns, cells);
  // The library's work for a row is large, and grows with their number: it lays out the headings, and
  // what is not plain text.
  const { lines: head, widths } = laidOut(columns, [widest]);
  const body = cells.flatMap(
    (row) =>
      plainRow(columns, widths, row) ?? laidOut(columns, [widest, row]).lines.slice(head.length),
  );
  return [...head.slice(0, -1), ...body].map((line) => `${line}\n`).join('');
}

/**
 * The width of a table.
 *
 * @param columns its columns
 * @param rows its rows
 * @returns characters of its longest line, as {@link tableText} lays it out
 */
export function tableWidth<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): number {
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row)));
  const { lines } = laidOut(columns, [widestCells(columns, cells)]);
  return Math.max(...lines.map((line) => line.length));
}

/** The lines of a row of plain text; null if a cell has other text, or a word that is too long. */
function plainRow<Row>(
  columns: readonly Column<Row>[],
  widths: readonly number[],
  row: readonly string[],
): string[] | null {
  const cells: string[][] = [];
  for (const [i, text] of row.entries()) {
    const lines = plainLines(text, widths[i]);
    if (!lines) return null;
    cells.push(lines);
  }
  const height = cells.reduce((max, { length }) => Math.max(max, length), 1);
  return Array.from({ length: height }, (_, line) =>
    columns
      .map(({ words }, i) => {
        const text = cells[i].at(line) ?? '';
        return words ? text.padEnd(widths[i]) : text.padStart(widths[i]);
      })
      .join(none.middle)
      .trimEnd(),
  );
}

/** A text wrapped between words; null if it is not plain, or a word has no room. */
function plainLines(text: string, width: number): string[] | null {
  if (!/^[\n -~]*$/.test(text)) return null;
  const wrapped: string[] = [];
  for (const paragraph of text.split('\n')) {
    if (paragraph.length <= width) {
      wrapped.push(paragraph);
      continue;
    }
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (word.length > width || word === '') return null;
      if (line === '') line = word;
      else if (line.length + 1 + word.length <= width) line += ` ${word}`;
      else {
        wrapped.push(line);
        line = word;
      }
    }
    wrapped.push(line);
  }
  return wrapped;
}

/** A row as wide as all of them: of each column the widest line; where cells are wrapped, all of it. */
function widestCells<Row>(
  columns: readonly Column<Row>[],
  cells: readonly (readonly string[])[],
): string[] {
  return columns.map(({ width }, column) => {
    let widest = '';
    for (const row of cells) {
      for (const line of row[column].split('\n')) if (line.length > widest.length) widest = line;
    }
    return width === undefined ? widest : 'x'.repeat(width);
  });
}

/** The headings and rows as the library lays them out: lines, and the widths of the columns. */
function laidOut<Row>(
  columns: readonly Column<Row>[],
  rows: readonly (readonly string[])[],
): { lines: string[]; widths: number[] } {
  const table = new Table({
    chars: none,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    colWidths: columns.map(({ width }) => width ?? null),
    wordWrap: true,
    colAligns: columns.map(({ words }) => (words ? 'left' : 'right')),
  });
  if (columns.some(({ group }) => group)) table.push(groupCells(columns));
  if (columns.some(({ heading }) => heading)) table.push(headingCells(columns));
  for (const row of rows) table.push([...row]);
  const lines = table.toString().split('\n');
  // The library writes the widths that it has found where those are that it was given.
  const widths = columns.map((_, i) => table.options.colWidths[i] ?? 0);
  return { lines: lines.map((line) => line.trimEnd()), widths };
}

/**
 * Lays out a table in Markdown, padded so that it reads well as plain text too.
 *
 * @param columns its columns
 * @param rows its rows
 * @returns lines, each ending in a line break
 */
export function tableMarkdown<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = columns.map((column) => [
    column.short ?? `${column.group ?? ''} ${column.heading}`.trim().replaceAll('\n', ' '),
    ...rows.map((row) => column.cell(row).replaceAll('|', '\\|')),
  ]);
  const widths = cells.map((column) => Math.max(3, ...column.map((cell) => cell.length)));
  const line = (part: (i: number) => string): string =>
    `| ${columns.map((_, i) => part(i)).join(' | ')} |\n`;
  const pad = (i: number, text: string): string =>
    columns[i].words ? text.padEnd(widths[i]) : text.padStart(widths[i]);
  const rule = line((i) =>
    columns[i].words ? '-'.repeat(widths[i]) : `${'-'.repeat(widths[i] - 1)}:`,
  );
  const [head, ...body] = cells[0].map((_, at) => line((i) => pad(i, cells[i][at])));
  return [head, rule, ...body].join('');
}

/** One cell per group of neighbouring columns. */
function groupCells<Row>(columns: readonly Column<Row>[]): Table.Cell[] {
  const cells: { content: string; colSpan: number; hAlign: 'center' }[] = [];
  for (const { group = '' } of columns) {
    const last = cells.at(-1);
    if (last?.content === group) last.colSpan++;
    else cells.push({ content: group, colSpan: 1, hAlign: 'center' });
  }
  return cells;
}

function headingCells<Row>(columns: readonly Column<Row>[]): Table.Cell[] {
  return columns.map(({ heading }) => ({ content: heading, vAlign: 'bottom' }));
}

/**
 * A whole number with its thousands separated.
 *
 * @param n the number
 * @returns for example `4,194,304`
 */
export function formatCount(n: number): string {
  return n.toLocaleString('en-US');
}
