/** The figures of `pinfold calibrate`, as tables. */
import { percentText, secondsText, type PredictedRow } from '@pinfold/bench';
import { figuresOf } from './figures.ts';

interface Figures {
  readonly rows: readonly PredictedRow[];
  readonly profiles: readonly {
    readonly name: string;
    readonly host: string;
    readonly remarks: readonly string[];
  }[];
}

const { rows, profiles: all } = figuresOf('calibrate') as Figures;

/** How many measurements there are. */
export const totalRows: number = rows.length;

/** Headings of {@link rowsOf}. */
export const head = ['measurement', 'published', 'predicted', '90 % interval', 'error', 'use'];

/** The measurements of a profile that are predicted, and not excluded. */
function judged(name: string): PredictedRow[] {
  return rows.filter(
    ({ profile, predicted, seconds, excluded }) =>
      profile === name && predicted !== null && seconds !== null && excluded === undefined,
  );
}

function errorOf({ predicted, seconds }: PredictedRow): number {
  return (predicted ?? 0) / (seconds ?? 0) - 1;
}

/** The profiles that have measurements, with how far off they are. */
export const profiles = all.flatMap(({ name, host, remarks }) => {
  const errors = judged(name).map((row) => Math.abs(errorOf(row)));
  if (errors.length === 0) return [];
  const mean = errors.reduce((a, b) => a + b, 0) / errors.length;
  const said =
    `${errors.length} measurements: error ${percentText(mean)} on average, ` +
    `${percentText(Math.max(...errors))} at worst.`;
  return [{ name, host, summary: [said, ...remarks].join(' ') }];
});

/**
 * The measurements of a profile beside their predictions.
 *
 * @param name the profile
 * @returns rows of the columns of {@link head}
 */
export function rowsOf(name: string): string[][] {
  return judged(name).map((row) => [
    row.id,
    secondsText(row.seconds ?? 0),
    secondsText(row.predicted ?? 0),
    `${secondsText(row.low ?? 0)} to ${secondsText(row.high ?? 0)}`,
    percentText(errorOf(row), true),
    row.use,
  ]);
}

/** Why measurements are left out, and how many for each reason. */
export const excludedRows: (string | number)[][] = [
  ...new Set(rows.flatMap(({ excluded }) => excluded ?? [])),
].map((why) => [why, rows.filter(({ excluded }) => excluded === why).length]);
