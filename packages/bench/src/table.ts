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

/** Rows that are laid out together. */
const ROWS_AT_ONCE = 200;

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
  if (rows.length <= ROWS_AT_ONCE) return linesOf(columns, cells).join('');
  // The library's work grows with the square of the rows. Every part has the widest cells, and so the
  // widths of the whole table.
  const widest = widestCells(columns, cells);
  const head = linesOf(columns, [widest]);
  const parts = [head.slice(0, -1)];
  for (let at = 0; at < cells.length; at += ROWS_AT_ONCE) {
    const part = linesOf(columns, [widest, ...cells.slice(at, at + ROWS_AT_ONCE)]);
    parts.push(part.slice(head.length));
  }
  return parts.map((lines) => lines.join('')).join('');
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
  const lines = linesOf(columns, [widestCells(columns, cells)]);
  return Math.max(...lines.map((line) => line.length - 1));
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

/** The lines of the headings and of rows. */
function linesOf<Row>(
  columns: readonly Column<Row>[],
  rows: readonly (readonly string[])[],
): string[] {
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
  return lines.map((line) => `${line.trimEnd()}\n`);
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
