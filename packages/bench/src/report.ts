/**
 * The report of `pinfold bench`: a run's rows for people or as JSON for programs. It has a table for
 * each operation, with exact operation counts, model time and published time side by side.
 */
import { formatSize, PAGE_SIZE } from '@pinfold/base';
import { benchSummary } from './bench-summary.ts';
import type { BenchReport, BenchRow } from './bench.ts';
import { ops, type Op } from './measure.ts';
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
import type { OperationName } from './operations.ts';
import { textStyle, type Style } from './style.ts';
import { formatCount, type Column } from './table.ts';

/** The operations in which kernels and backings differ most. */
const SHOWN: Readonly<Record<Op, readonly OperationName[]>> = {
  map: ['gupSteps', 'pfnCompares', 'pageCompares', 'vpfnLookups', 'iommuMapCalls'],
  unmap: ['iovaToPhysCalls', 'iommuUnmapCalls', 'reservedTests', 'vpfnLookups', 'putCalls'],
};

const KEYS: readonly Column<ReportLine<BenchRow>>[] = [
  { heading: 'backing', words: true, cell: ({ row }) => row.backing },
  { heading: 'kernel', words: true, cell: ({ row }) => row.kernel },
];

/**
 * A run as JSON.
 *
 * @param report the run
 * @returns JSON, ending in a line break
 */
export function reportJson(report: object): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

/**
 * A run as text.
 *
 * @param report the run, with at least one row
 * @param style how to write it; default for a terminal
 * @returns lines, ending in a line break
 */
export function reportText(report: BenchReport, style: Style = textStyle()): string {
  const lines = reportLines(report);
  const versus = report.rows[0].kernel;
  const tables = ops.flatMap((op) => {
    const ofOp = lines.filter(({ row }) => row.op === op);
    const parts = [countColumns(SHOWN[op]), timeColumns(ofOp, versus)];
    return [
      style.heading(`${IOCTL[op]} of ${mappedSize(report.rows[0].bytes)}`),
      style.tables(KEYS, parts, ofOp),
    ];
  });
  const notes = [
    ...memoryNotes(lines),
    ...leftOutNotes(report.leftOut, report.rows[0].bytes),
    ...iommuNotes(report.iommu),
    ...headingNotes([...SHOWN.map, ...SHOWN.unmap], style),
    ...timeNotes(lines, versus),
    ...fastestNotes(lines, versus, ({ kernel }) => kernel),
    ...predictedNotes(lines),
    ...publishedNotes(lines),
  ];
  const summary = benchSummary(report).map((text) => style.paragraph(text));
  return [...tables, style.notes(notes), ...summary].join('\n');
}

/** The ioctl of an operation. */
export const IOCTL: Readonly<Record<Op, string>> = {
  map: 'VFIO_IOMMU_MAP_DMA',
  unmap: 'VFIO_IOMMU_UNMAP_DMA',
};

/**
 * The size of a mapping in words.
 *
 * @param bytes the size
 * @returns for example `64M: 16,384 pages`
 */
export function mappedSize(bytes: number): string {
  return `${formatSize(bytes)}: ${formatCount(bytes / PAGE_SIZE)} pages`;
}

function reportLines({ rows }: BenchReport): ReportLine<BenchRow>[] {
  const marks = marksOf(rows);
  return rows.map((row) => ({
    row,
    first: rows.find(({ op, backing }) => op === row.op && backing === row.backing) ?? row,
    mark: marks.get(row) ?? '',
  }));
}
