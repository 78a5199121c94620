import type { FailedRecording, Summary } from '@pinfold/conformance';
import { describe, expect, it } from 'vitest';
import { failuresText, omissionsText, rowsText } from './report.ts';
import { verdictOf } from './verdict.ts';

const NAMES = Array.from({ length: 60 }, (_, i) => `kernel_function_${i}`);
const LEVELS = ['state', 'table', 'calls', 'trace'];

function summary(counts: Partial<Summary['total']> = {}): Summary {
  const total = { passed: 4000, failed: 0, skipped: 0, ...counts };
  const file = 'packages/recordings/6.18.15/more/x.json.gz';
  const first: FailedRecording['first'] = {
    ...{ file, kernel: '6.18.15', family: 'more', pass: 'trace', step: 3, level: 'state' },
    ...{ line: `map ${'iova=0x40000000 '.repeat(9)}`, verdict: 'failed' },
    differences: [{ path: 'info', recorded: NAMES, model: undefined }],
  };
  return {
    total,
    rows: [
      {
        ...{ kernel: '6.18.15', family: 'more-hang', recordings: 1173 },
        levels: Object.fromEntries(LEVELS.map((name) => [name, total])),
      },
    ],
    failures: total.failed > 0 ? [{ file, failed: 1, first }] : [],
    skips: total.skipped > 0 ? [{ reason: NAMES.join(' '), count: total.skipped }] : [],
    exclusions: ['6.16.12', '6.18.15'].flatMap((kernel) =>
      ['calls', 'trace'].flatMap((level) =>
        NAMES.map((name) => ({ kernel, level, name, reason: 'no probe' })),
      ),
    ),
  };
}

function widest(text: string): number {
  return Math.max(...text.split('\n').map(({ length }) => length));
}

describe.each([60, 80, 120])('at %i columns', (width) => {
  it('no line is longer, whatever is told', () => {
    const all = summary({ failed: 1000, skipped: 1000 });
    const text = [
      rowsText(all.rows, { width, levels: LEVELS }),
      failuresText(all.failures, width),
      omissionsText(all, width),
    ].join('');
    expect(widest(text)).toBeLessThanOrEqual(width);
    expect(text).toContain('kernel_function_59');
  });
});

it('a run in which everything passes is one table at 80 columns', () => {
  const text = rowsText(summary().rows, { width: 80, levels: LEVELS });
  expect(text).toMatch(/^6\.18\.15 +more-hang +1,173 +4,000 +4,000 +4,000 +4,000$/m);
  expect(text).toMatch(/^more-hang +maps that may never return$/m);
  expect(text).not.toContain('failed');
});

it('what is not compared on several kernels and levels is said once', () => {
  const text = omissionsText(summary(), 80);
  expect(text).toMatch(/^calls, trace not compared on 6\.16\.12, 6\.18\.15 \(no probe\): /);
  expect(text.match(/kernel_function_7\b/g)).toHaveLength(1);
});

it.each<[Partial<Summary['total']>, number, RegExp]>([
  [{}, 0, /^passed: 7 recordings, everything as recorded\.$/],
  [{}, 1, /^FAILED: 7 recordings, everything as recorded\. 1 file could not be run, see stderr\.$/],
  [{ failed: 1 }, 0, /^FAILED: of 7 recordings, 1 went otherwise on the model\.$/],
  [
    { skipped: 9 },
    0,
    /^passed: 7 recordings, everything as recorded, as far as it was compared\.$/,
  ],
  [{ skipped: 900 }, 0, /^FAILED: more than 5 % of what 7 recordings show was skipped/],
  [{ passed: 0 }, 0, /^FAILED: nothing of 7 recordings was compared\.$/],
])('the verdict of %j with %i broken files', (counts, broken, verdict) => {
  expect(verdictOf(summary(counts), 7, broken, false)).toMatch(verdict);
});
