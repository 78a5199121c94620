/** The columns of a report's tables. */
import type { CounterName } from '@pinfold/base';
import { median } from 'simple-statistics';
import type { BenchRow } from './bench.ts';
import type { Op } from './measure.ts';
import type { ReportLine } from './report.ts';
import type { Column } from './table.ts';

/** The counters in which kernels and backings differ most, with their headings. */
const SHOWN: Readonly<Record<Op, readonly (readonly [CounterName, string])[]>> = {
  map: [
    ['gupSteps', 'GUP\nsteps'],
    ['pfnCompares', 'pfn\ncompares'],
    ['pageCompares', 'page\ncompares'],
    ['vpfnLookups', 'vpfn\nlook-ups'],
    ['iommuMapCalls', 'iommu_\nmap'],
  ],
  unmap: [
    ['iovaToPhysCalls', 'iova_to_\nphys'],
    ['iommuUnmapCalls', 'iommu_\nunmap'],
    ['reservedTests', 'reserved\ntests'],
    ['vpfnLookups', 'vpfn\nlook-ups'],
    ['putCalls', 'folio\nputs'],
  ],
};

/** Which row it is. */
export const rowColumns: readonly Column<ReportLine>[] = [
  { group: '', heading: 'backing', words: true, cell: ({ row }) => row.backing },
  { group: '', heading: 'kernel', words: true, cell: ({ row }) => row.kernel },
];

/**
 * The operation counts that matter for an operation.
 *
 * @param op the operation
 * @returns the columns
 */
export function countColumns(op: Op): Column<ReportLine>[] {
  return SHOWN[op].map(([name, heading]) => ({
    group: 'operations',
    heading,
    cell: ({ row }) => formatCount(row.counters[name]),
  }));
}

/**
 * Model time and published time: the latter only where there is some, ratios only between kernels.
 *
 * @param lines the table's lines, at least one
 * @returns the columns
 */
export function timeColumns(lines: readonly ReportLine[]): Column<ReportLine>[] {
  const compared = lines.some(({ row, first }) => row !== first);
  const published = lines.some(({ row }) => row.published);
  const digits = lines.every(({ row }) => row.modelMs.min >= 1) ? 1 : 3;
  const columns: Column<ReportLine>[] = [
    { group: MODEL, heading: 'min', cell: ({ row }) => row.modelMs.min.toFixed(digits) },
    { group: MODEL, heading: 'median', cell: ({ row }) => row.modelMs.median.toFixed(digits) },
  ];
  if (compared) columns.push(ratioColumn(MODEL, lines, ({ repetitionMs }) => repetitionMs));
  if (!published) return columns;
  columns.push({
    group: PUBLISHED,
    heading: 'mean',
    cell: ({ row }) => row.published?.seconds.toFixed(3) ?? '',
  });
  if (compared) {
    const seconds = ({ published }: BenchRow): number[] => (published ? [published.seconds] : []);
    columns.push(ratioColumn(PUBLISHED, lines, seconds));
  }
  columns.push({ group: PUBLISHED, heading: '', words: true, cell: ({ mark }) => mark });
  return columns;
}

const MODEL = 'model time, ms';
const PUBLISHED = 'published, s';

/** Times divided by those of the first kernel, pair by pair; the median where there are several. */
function ratioColumn(
  group: string,
  lines: readonly ReportLine[],
  times: (row: BenchRow) => readonly number[],
): Column<ReportLine> {
  return {
    group,
    heading: `/ ${lines[0].first.kernel}`,
    cell: ({ row, first }) => {
      const base = times(first);
      const ratios = row === first ? [] : times(row).map((time, i) => time / base[i]);
      return ratios.every(Number.isFinite) && ratios.length > 0 ? median(ratios).toFixed(2) : '';
    },
  };
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
