/** Tables for a terminal: cells in columns, no borders, two spaces between columns. */
import Table from 'cli-table3';

/** A column of a table. */
export interface Column<Row> {
  /** Heading above the headings of neighbouring columns of the same group; may be empty. */
  readonly group?: string;
  /** Heading. */
  readonly heading: string;
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
 * @returns lines without trailing spaces, ending in a line break
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
  if (columns.some(({ heading }) => heading)) {
    table.push(columns.map(({ heading }) => ({ content: heading, vAlign: 'bottom' })));
  }
  for (const row of rows) table.push(columns.map(({ cell }) => cell(row)));
  const lines = table.toString().split('\n');
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
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

/**
 * A whole number with its thousands separated.
 *
 * @param n the number
 * @returns for example `4,194,304`
 */
export function formatCount(n: number): string {
  return n.toLocaleString('en-US');
}

/** Width of a paragraph. */
const TEXT_WIDTH = 100;

/**
 * Wraps a paragraph between words.
 *
 * @param text the paragraph
 * @param indent what every line begins with
 * @returns its lines, each ending in a line break
 */
export function wrapped(text: string, indent: string): string {
  let line = '';
  let lines = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + 1 + word.length > TEXT_WIDTH) {
      lines += `${indent}${line}\n`;
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return `${lines}${indent}${line}\n`;
}
