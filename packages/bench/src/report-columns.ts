/** The columns of a report's tables. */
import { secondsText } from './cost/calibration-report.ts';
import { headings, type OperationName } from './operations.ts';
import { medianRatio, type MeasuredRow } from './rows.ts';
import { formatCount, type Column } from './table.ts';

/** A row and what the table says beside it. */
export interface ReportLine<Row extends MeasuredRow = MeasuredRow> {
  /** The row. */
  readonly row: Row;
  /** The row with which it is compared: that of the first kernel, or of the base algorithm. */
  readonly first: Row;
  /** Mark of the note on its published figure, such as `[1]`; empty without one. */
  readonly mark: string;
}

/**
 * Operation counts.
 *
 * @param names the operations
 * @returns a column for each
 */
export function countColumns(names: readonly OperationName[]): Column<ReportLine>[] {
  return names.map((name) => ({
    group: 'operations',
    heading: headings(name).text,
    short: headings(name).short,
    cell: ({ row }) => formatCount(row.counters[name]),
  }));
}

/**
 * Model time and published time: the latter only where there is some, ratios only where something is
 * compared.
 *
 * @param lines the table's lines, at least one
 * @param versus name of what the lines are compared with
 * @returns the columns
 */
export function timeColumns(lines: readonly ReportLine[], versus: string): Column<ReportLine>[] {
  const compared = lines.some(({ row, first }) => row !== first);
  const published = lines.some(({ row }) => row.published);
  const digits = lines.every(({ row }) => row.modelMs.min >= 1) ? 1 : 3;
  const columns: Column<ReportLine>[] = [
    {
      ...{ group: MODEL, heading: 'min', short: 'model min' },
      cell: ({ row }) => row.modelMs.min.toFixed(digits),
    },
    {
      ...{ group: MODEL, heading: 'median', short: 'model med' },
      cell: ({ row }) => row.modelMs.median.toFixed(digits),
    },
  ];
  if (compared)
    columns.push(ratioColumn(MODEL, 'model /', versus, ({ repetitionMs }) => repetitionMs));
  columns.push(...predictedColumns(lines));
  if (!published) return columns;
  columns.push({
    group: PUBLISHED,
    heading: 'mean',
    short: 'publ. s',
    cell: ({ row }) => row.published?.seconds.toFixed(3) ?? '',
  });
  if (compared) {
    const seconds = ({ published }: MeasuredRow): number[] =>
      published ? [published.seconds] : [];
    columns.push(ratioColumn(PUBLISHED, 'publ. /', versus, seconds));
  }
  columns.push({
    ...{ group: PUBLISHED, heading: '', short: 'src', words: true },
    cell: ({ mark }) => mark,
  });
  return columns;
}

/** Predicted kernel time, with its interval: never one without the other. */
function predictedColumns(lines: readonly ReportLine[]): Column<ReportLine>[] {
  if (!lines.some(({ row }) => row.predicted)) return [];
  return [
    {
      ...{ group: PREDICTED, heading: 'kernel', short: 'pred.' },
      cell: ({ row }) => (row.predicted ? secondsText(row.predicted.seconds) : ''),
    },
    {
      ...{ group: PREDICTED, heading: '90 % interval', short: 'pred. 90 %', words: true },
      cell: ({ row }) =>
        row.predicted
          ? `${secondsText(row.predicted.low)} to ${secondsText(row.predicted.high)}`
          : '',
    },
  ];
}

const PREDICTED = 'predicted';
const MODEL = 'model time, ms';
const PUBLISHED = 'published, s';

/** Times divided by those of the first line, pair by pair; the median where there are several. */
function ratioColumn(
  group: string,
  short: string,
  versus: string,
  times: (row: MeasuredRow) => readonly number[],
): Column<ReportLine> {
  return {
    group,
    heading: `/ ${versus}`,
    short,
    cell: ({ row, first }) =>
      row === first ? '' : ratioText(medianRatio(times(row), times(first))),
  };
}

/** Two decimals; for much smaller values, two significant digits. */
function ratioText(ratio: number | null): string {
  if (ratio === null) return '';
  return ratio >= 0.1 || ratio === 0 ? ratio.toFixed(2) : String(Number(ratio.toPrecision(2)));
}
