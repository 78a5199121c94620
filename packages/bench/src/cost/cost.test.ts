import { describe, expect, it } from 'vitest';
import { publishedRecords } from '../published/records.ts';
import { fit, predict, type PredictedSeconds } from './fit.ts';
import { fittedRows, linkRows, priorCosts, type LinkedRow } from './profiles.ts';

const rows = linkRows(publishedRecords());

/** Rows of a host that are fitted and judged. */
function judged(profile: string): LinkedRow[] {
  return rows.filter(({ link, units }) => {
    return link.profile === profile && link.reason === null && units !== null;
  });
}

interface Judgement {
  readonly mean: number;
  readonly worst: number;
  readonly covered: number;
  readonly halfWidth: number;
  readonly n: number;
}

/** Errors and intervals of predictions, each a share of what was measured. */
function judge(predicted: readonly (readonly [LinkedRow, PredictedSeconds])[]): Judgement {
  const errors = predicted.map(([row, p]) => Math.abs(p.seconds / seconds(row) - 1));
  const covered = predicted.filter(([row, p]) => p.low <= seconds(row) && seconds(row) <= p.high);
  const widths = predicted.map(([, p]) => (p.high - p.low) / 2 / p.seconds).sort((a, b) => a - b);
  return {
    mean: errors.reduce((a, b) => a + b, 0) / errors.length,
    worst: Math.max(...errors),
    covered: covered.length / predicted.length,
    halfWidth: widths[Math.floor(widths.length / 2)],
    n: predicted.length,
  };
}

function seconds(row: LinkedRow): number {
  return row.seconds as number;
}

type Choice = (row: LinkedRow) => boolean;

/** Predictions of some rows by a fit of others. */
function heldOut(
  of: readonly LinkedRow[],
  train: Choice,
  test: Choice,
  factor = 1,
): [LinkedRow, PredictedSeconds][] {
  const posterior = fit(fittedRows(of.filter(train)), priorCosts(factor));
  return of.filter(test).map((row) => [row, predict(posterior, row.units ?? {})]);
}

const liZhe = judged('li-zhe-2025');
const isGup: Choice = ({ record }) => record.notes.startsWith('gup_test');
const isCover: Choice = ({ record }) => record.source.date === '2025-06-30';
const isBase: Choice = ({ record }) => record.variant === 'base';
const trained: Choice = (row) => isCover(row) || isGup(row);
const untrained: Choice = (row) => !trained(row);

describe('li-zhe-2025, trained on the cover letter and gup_test', () => {
  it('predicts all other rows within 4 % on average and 10 % at worst', () => {
    const { n, mean, worst, covered, halfWidth } = judge(heldOut(liZhe, trained, untrained));
    expect(n).toBe(54);
    expect(mean).toBeLessThan(0.04);
    expect(worst).toBeLessThan(0.1);
    expect(covered).toBeGreaterThanOrEqual(0.85);
    expect(halfWidth).toBeLessThan(0.12);
  });

  it('is better than the nearest trained row', () => {
    const copies = liZhe.filter(untrained).map((row): [LinkedRow, PredictedSeconds] => {
      const same = liZhe.filter((one) => isCover(one) && sameCall(one, row));
      const changes = (one: LinkedRow): boolean => one.link.workload?.kernel !== '6.16';
      const copy = seconds(same.find((one) => changes(one) === changes(row)) as LinkedRow);
      return [row, { seconds: copy, low: copy, high: copy }];
    });
    const copied = judge(copies);
    const { mean, worst } = judge(heldOut(liZhe, trained, untrained));
    expect(mean).toBeLessThan(copied.mean);
    expect(worst).toBeLessThan(copied.worst);
  });

  it('hardly depends on the priors', () => {
    const [half, one, two] = [0.5, 1, 2].map(
      (factor) => judge(heldOut(liZhe, trained, untrained, factor)).mean,
    );
    expect(Math.abs(half - one)).toBeLessThan(0.01);
    expect(Math.abs(two - one)).toBeLessThan(0.01);
  });
});

function sameCall(a: LinkedRow, b: LinkedRow): boolean {
  const [x, y] = [a.link.workload, b.link.workload];
  return x?.call === y?.call && x?.backing === y?.backing;
}

describe('li-zhe-2025, trained as if the series did not exist', () => {
  it('predicts all rows with the series within 5 % on average and 15 % at worst', () => {
    const train: Choice = (row) => (isCover(row) && isBase(row)) || isGup(row);
    const { n, mean, worst, covered } = judge(
      heldOut(liZhe, train, (row) => !isBase(row) && !isGup(row)),
    );
    expect(n).toBe(42);
    expect(mean).toBeLessThan(0.05);
    expect(worst).toBeLessThan(0.15);
    expect(covered).toBeGreaterThanOrEqual(0.85);
  });
});

describe('li-zhe-2025, one mail left out at a time', () => {
  const mailOf = ({ record: { source } }: LinkedRow): string => `${source.date} ${source.title}`;
  const mails = [...new Set(liZhe.map(mailOf))];
  const predicted = mails.flatMap((mail) =>
    heldOut(
      liZhe,
      (row) => mailOf(row) !== mail,
      (row) => mailOf(row) === mail,
    ),
  );

  it('is predicted within 3 % on average and 9 % at worst', () => {
    const { mean, worst, covered, halfWidth } = judge(predicted);
    expect(mean).toBeLessThan(0.03);
    expect(worst).toBeLessThan(0.09);
    expect(covered).toBeGreaterThanOrEqual(0.85);
    expect(halfWidth).toBeLessThan(0.12);
  });

  it('has the ratios of patched to base within 10 %, 4 % on average', () => {
    const ratios = predicted.flatMap(([row, p]) => {
      if (isBase(row) || isGup(row)) return [];
      const base = predicted.find(
        ([one]) => mailOf(one) === mailOf(row) && isBase(one) && sameCall(one, row),
      );
      if (!base) return [];
      return Math.abs(p.seconds / base[1].seconds / (seconds(row) / seconds(base[0])) - 1);
    });
    expect(ratios.length).toBeGreaterThan(15);
    expect(Math.max(...ratios)).toBeLessThan(0.1);
    expect(ratios.reduce((a, b) => a + b, 0) / ratios.length).toBeLessThan(0.04);
  });
});

describe('hosts of which larger sizes are predicted from smaller ones', () => {
  const GIB = 2 ** 30;
  const bytes = ({ record }: LinkedRow): number => record.size_bytes ?? 0;
  const errors = (profile: string, upTo: number): Map<string, number> => {
    const predicted = heldOut(
      judged(profile),
      (row) => bytes(row) <= upTo * GIB,
      (row) => bytes(row) > upTo * GIB,
    );
    return new Map(predicted.map(([row, p]) => [row.record.id, p.seconds / seconds(row) - 1]));
  };

  it('jordan-2022-intel: 360 GiB from 16 and 128', () => {
    const found = errors('jordan-2022-intel', 128);
    expect(found.size).toBe(4);
    for (const [id, error] of found)
      expect(Math.abs(error), id).toBeLessThan(id.includes('-q0-') ? 0.03 : 0.06);
  });

  it('jordan-2022-amd: 980 GiB not populated from 16 and 128', () => {
    const found = [...errors('jordan-2022-amd', 128)].filter(([id]) => id.includes('-q0-'));
    expect(found).toHaveLength(2);
    for (const [id, error] of found) expect(Math.abs(error), id).toBeLessThan(0.03);
  });

  it('jordan-2021: 64 and 120 GiB from up to 32', () => {
    const found = errors('jordan-2021', 32);
    expect(found.size).toBe(4);
    for (const [id, error] of found) expect(Math.abs(error), id).toBeLessThan(0.03);
  });
});

describe('williamson-2025', () => {
  it('predicts the rows that repeat a configuration within 8 %', () => {
    const host = judged('williamson-2025');
    const key = ({ units }: LinkedRow): string => JSON.stringify(units);
    const base = new Set(host.filter(isBase).map(key));
    const predicted = heldOut(host, isBase, (row) => !isBase(row) && base.has(key(row)));
    expect(predicted).toHaveLength(3);
    expect(judge(predicted).worst).toBeLessThan(0.08);
  });
});
