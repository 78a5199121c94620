/**
 * Reports: a run's rows as text for people or as JSON for programs. The text has a table for each
 * operation, with exact operation counts, model time and published time side by side.
 */
import { formatSize, PAGE_SIZE } from '@pinfold/base';
import type { BenchReport, BenchRow } from './bench.ts';
import { ops, type Op } from './measure.ts';
import { countColumns, formatCount, rowColumns, timeColumns } from './report-columns.ts';
import { notes, originOf, type Note } from './report-notes.ts';
import { tableText, type Column } from './table.ts';

/** A row and what the table says beside it. */
export interface ReportLine {
  /** The row. */
  readonly row: BenchRow;
  /** The row of the first kernel, with which it is compared. */
  readonly first: BenchRow;
  /** Mark of the note on its published figure, such as `[1]`; empty without one. */
  readonly mark: string;
}

const IOCTL: Readonly<Record<Op, string>> = {
  map: 'VFIO_IOMMU_MAP_DMA',
  unmap: 'VFIO_IOMMU_UNMAP_DMA',
};

/** Narrower than this, notes are no longer wrapped to fit. */
const MIN_WIDTH = 60;

/**
 * A run as JSON.
 *
 * @param report the run
 * @returns JSON with one object per row, ending in a line break
 */
export function reportJson(report: BenchReport): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

/**
 * A run as text.
 *
 * @param report the run, with at least one row
 * @param width columns of the terminal; a table that is wider is split in two
 * @returns lines, ending in a line break
 */
export function reportText(report: BenchReport, width = 120): string {
  const lines = reportLines(report);
  const size = report.rows[0].bytes;
  const mapped = `${formatSize(size)}: ${formatCount(size / PAGE_SIZE)} pages`;
  const tables = ops.map((op) => {
    const rows = lines.filter(({ row }) => row.op === op);
    return `${IOCTL[op]} of ${mapped}\n\n${opTable(op, rows, width)}\n`;
  });
  return `${[...tables, notesText(notes(lines), Math.max(width, MIN_WIDTH))].join('\n')}\n`;
}

function reportLines({ rows }: BenchReport): ReportLine[] {
  const published = rows.flatMap((row) => row.published ?? []);
  const origins = [...new Set(published.map(originOf))];
  return rows.map((row) => ({
    row,
    first: rows.find(({ op, backing }) => op === row.op && backing === row.backing) ?? row,
    mark: row.published ? `[${origins.indexOf(originOf(row.published)) + 1}]` : '',
  }));
}

/** The rows of one operation; in two tables if one would be too wide. */
function opTable(op: Op, lines: readonly ReportLine[], width: number): string {
  const counts = countColumns(op);
  const times = timeColumns(lines);
  const whole = tableText([...rowColumns, ...counts, ...times], lines);
  if (whole.split('\n').every((line) => line.length <= width)) return whole;
  return [counts, times].map((part) => tableText([...rowColumns, ...part], lines)).join('\n\n');
}

function notesText(notes: readonly Note[], width: number): string {
  const labelWidth = Math.max(...notes.map(({ label }) => label.length));
  const columns: Column<Note>[] = [
    { group: '', heading: '', words: true, cell: ({ label }) => label },
    {
      ...{ group: '', heading: '', words: true, width: width - labelWidth - 2 },
      cell: ({ text }) => text,
    },
  ];
  return tableText(columns, notes);
}
