/** The report of a calibration: every measurement beside its prediction. */
import {
  UNCALIBRATED,
  type CalibratedRow,
  type Calibration,
  type Profile,
  type RowUse,
} from './calibration.ts';
import { counted } from './words.ts';
import type { Style } from '../style.ts';
import type { Column } from '../table.ts';

/** Errors of some rows, each a share of what was measured. */
export interface ErrorSummary {
  /** How many rows. */
  readonly n: number;
  /** Mean of the sizes of their errors. */
  readonly mean: number;
  /** The largest. */
  readonly worst: number;
  /** Share of the rows within their intervals. */
  readonly covered: number;
  /** Median half width of the intervals, as a share of the prediction. */
  readonly halfWidth: number;
}

/**
 * How good predictions are.
 *
 * @param rows rows, of which those with seconds and a prediction count
 * @returns the summary; null without such rows
 */
export function errorSummary(rows: readonly CalibratedRow[]): ErrorSummary | null {
  const judged = rows.flatMap(({ seconds: measured, predicted }) => {
    if (measured === null || measured === 0 || predicted === null) return [];
    const { seconds, low, high } = predicted;
    return [{ measured, predicted: seconds, low, high }];
  });
  if (judged.length === 0) return null;
  const errors = judged.map(({ predicted, measured }) => Math.abs(predicted / measured - 1));
  const widths = judged.map(({ predicted, low, high }) => (high - low) / 2 / predicted);
  const inside = judged.filter(({ measured, low, high }) => low <= measured && measured <= high);
  return {
    n: judged.length,
    mean: errors.reduce((a, b) => a + b, 0) / errors.length,
    worst: Math.max(...errors),
    covered: inside.length / judged.length,
    halfWidth: widths.sort((a, b) => a - b)[Math.floor(widths.length / 2)],
  };
}

/**
 * Seconds with the digits that matter.
 *
 * @param seconds the time
 * @returns for example `0.0473 s`, `12.3 us`
 */
export function secondsText(seconds: number): string {
  if (seconds === 0) return '0 s';
  const [factor, unit] = seconds >= 0.01 ? [1, 's'] : seconds >= 1e-3 ? [1e3, 'ms'] : [1e6, 'us'];
  const value = seconds * factor;
  return `${value.toPrecision(3).includes('e') ? Math.round(value) : Number(value.toPrecision(3))} ${unit}`;
}

/**
 * A share as percent.
 *
 * @param share the share
 * @param signed whether to show a plus; default false
 * @returns for example `+3.1 %`
 */
export function percentText(share: number, signed = false): string {
  return `${signed && share > 0 ? '+' : ''}${(share * 100).toFixed(1)} %`;
}

const USES: readonly RowUse[] = ['fitted', 'held out', 'excluded'];

const ROW_COLUMNS: readonly Column<CalibratedRow>[] = [
  { heading: 'measured', cell: ({ seconds }) => (seconds === null ? '' : secondsText(seconds)) },
  {
    ...{ heading: 'predicted', short: 'predicted' },
    cell: ({ predicted }) => (predicted === null ? '' : secondsText(predicted.seconds)),
  },
  {
    ...{ heading: '90 % interval', words: true },
    cell: ({ predicted }) =>
      predicted === null ? '' : `${secondsText(predicted.low)} to ${secondsText(predicted.high)}`,
  },
  { heading: 'error', cell: errorText },
];

function errorText({ seconds, predicted }: CalibratedRow): string {
  if (seconds === null || seconds === 0 || predicted === null) return '';
  return percentText(predicted.seconds / seconds - 1, true);
}

const KEYS: readonly Column<CalibratedRow>[] = [
  { heading: 'measurement', words: true, cell: ({ record }) => record.id },
];

const CLASS_COLUMNS: readonly Column<Profile['classes'][number]>[] = [
  { heading: 'ns', cell: ({ ns }) => Number(ns.toPrecision(3)).toString() },
  { heading: 'SD', cell: ({ sd }) => Number(sd.toPrecision(2)).toString() },
  { heading: 'from', words: true, cell: ({ from }) => from },
];

/**
 * A calibration for people.
 *
 * @param calibration the calibration
 * @param style how to write it
 * @returns lines, ending in a line break
 */
export function calibrationText({ profiles, rows }: Calibration, style: Style): string {
  const parts = profiles.flatMap((profile) => {
    const own = rows.filter((row) => row.profile === profile.name && row.use !== 'not expressed');
    const isAsked = profile.name !== UNCALIBRATED;
    if (own.length === 0 && profile.rows.length === 0 && !isAsked) return [];
    return [profileText(profile, style), ...USES.flatMap((use) => usePart(own, use, style))];
  });
  const predicted = rows.filter((row) => !profiles.some(({ name }) => name === row.profile));
  const others = predicted.filter(({ use }) => use !== 'not expressed');
  if (others.length > 0)
    parts.push(
      style.heading('No profile of their host: priors alone, right within a factor of 2.5'),
      style.tables(KEYS, [ROW_COLUMNS], others),
    );
  return [...parts, notExpressed(rows, style)].filter((part) => part !== '').join('\n');
}

function profileText(profile: Profile, style: Style): string {
  const { name, host, rows, classes, remarks, posterior } = profile;
  const about =
    rows.length === 0
      ? `Host: ${host}. No measurement: intervals are a factor of 2.5 up and down.`
      : `Host: ${host}. Fitted to ${counted(rows.length, 'measurement')}; a drift of ` +
        `${percentText(posterior.drift)} between runs is part of every interval.`;
  return [
    style.heading(`Profile ${name}`),
    style.paragraph(about),
    ...remarks.map((remark) => style.paragraph(`${remark[0].toUpperCase()}${remark.slice(1)}.`)),
    style.tables(
      [{ heading: 'class', words: true, cell: ({ unit }) => unit }],
      [CLASS_COLUMNS],
      classes,
    ),
  ].join('\n');
}

function usePart(rows: readonly CalibratedRow[], use: RowUse, style: Style): string[] {
  const used = rows.filter((row) => row.use === use);
  if (used.length === 0) return [];
  const summary = errorSummary(used);
  const heading = `${use[0].toUpperCase()}${use.slice(1)}: ${used.length}`;
  const table = style.tables(KEYS, [ROW_COLUMNS], used);
  const said =
    summary === null || use === 'excluded'
      ? reasons(used).map((reason) => style.paragraph(reason))
      : [style.paragraph(summaryText(summary))];
  return [style.heading(heading), table, ...said];
}

function summaryText({ mean, worst, covered, halfWidth }: ErrorSummary): string {
  return (
    `Error ${percentText(mean)} on average, ${percentText(worst)} at worst; ` +
    `${percentText(covered)} within their 90 % interval, of a median half width of ` +
    `${percentText(halfWidth)}.`
  );
}

function reasons(rows: readonly CalibratedRow[]): string[] {
  const byReason = new Map<string, number>();
  for (const { reason } of rows)
    if (reason !== null) byReason.set(reason, (byReason.get(reason) ?? 0) + 1);
  return [...byReason].map(([reason, n]) => `${n}: ${reason}.`);
}

function notExpressed(rows: readonly CalibratedRow[], style: Style): string {
  const left = rows.filter(({ use }) => use === 'not expressed');
  if (left.length === 0) return '';
  const lines = reasons(left).map((reason) => style.paragraph(reason));
  return [style.heading(`Not expressed: ${left.length}`), ...lines].join('\n');
}

/** A row as `--predict` prints it. */
export interface PredictedRow {
  /** Name of the measurement. */
  readonly id: string;
  /** What was measured. */
  readonly seconds: number | null;
  /** The prediction; null when the model cannot express it. */
  readonly predicted: number | null;
  /** Lower end of the 90 % interval. */
  readonly low: number | null;
  /** Upper end. */
  readonly high: number | null;
  /** Name of the profile. */
  readonly profile: string;
  /** How it was used. */
  readonly use: RowUse;
  /** Why it should not be judged. */
  readonly excluded?: string;
}

/**
 * Rows for programs.
 *
 * @param calibration the calibration
 * @returns a row for each measurement
 */
export function predictedRows({ rows }: Calibration): PredictedRow[] {
  return rows.map(({ record, seconds, predicted, profile, use, reason }) => ({
    id: record.id,
    seconds,
    predicted: predicted?.seconds ?? null,
    low: predicted?.low ?? null,
    high: predicted?.high ?? null,
    profile,
    use,
    ...(reason === null ? {} : { excluded: reason }),
  }));
}
