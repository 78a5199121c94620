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
  const table = new Table({
    chars: none,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    colWidths: columns.map(({ width }) => width ?? null),
    wordWrap: true,
    colAligns: columns.map(({ words }) => (words ? 'left' : 'right')),
  });
  if (columns.some(({ group }) => group)) table.push(groupCells(columns));
  if (columns.some(({ heading }) => heading)) table.push(headingCells(columns));
  for (const row of rows) table.push(columns.map(({ cell }) => cell(row)));
  const lines = table.toString().split('\n');
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
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
