import { pinAlgorithms } from '@pinfold/vfio-type1';
import { describe, expect, test } from 'vitest';
import { besideIn, targetOf } from './beside.ts';
import { Recording } from './recording.ts';
import { readState } from './settings.ts';
import { Col, FUNCTIONS, Kind, placeOf, progressOf, ROW, type StepLog } from './steps.ts';

const { settings } = readState(new URLSearchParams('backing=4k&layout=S4&size=128K'));
const NPAGE = 32;

/** All steps of an algorithm. */
function stepsOf(algorithm: string): { recording: Recording; log: StepLog; last: number } {
  const recording = new Recording(settings, algorithm);
  const { steps } = recording.overview();
  return { recording, log: recording.window(0, steps), last: steps - 1 };
}

const rowOf = ({ rows }: StepLog, i: number): Float64Array => rows.subarray(i * ROW, (i + 1) * ROW);

describe.each(pinAlgorithms)('$name beside batched', ({ name }) => {
  const first = stepsOf('batched');
  const second = stepsOf(name);

  test('is never further, and as far wherever it can be', () => {
    const reached = new Set(
      [...second.log.indices].map((i) => progressOf(rowOf(second.log, i), NPAGE)),
    );
    for (let i = 0; i <= first.last; i++) {
      const target = targetOf(rowOf(first.log, i), NPAGE);
      const place = besideIn(second.log, target, NPAGE, second.last);
      expect(place).not.toBeNull();
      const progress = progressOf(rowOf(second.log, place!), NPAGE);
      expect(progress).toBeLessThanOrEqual(target.progress);
      if (reached.has(target.progress)) expect(progress).toBe(target.progress);
    }
  });

  test('is found in a window as in a run, or not at all', () => {
    const third = Math.floor(second.last / 3);
    const window = second.recording.window(third, third);
    let told = 0;
    for (let i = 0; i <= first.last; i += 7) {
      const target = targetOf(rowOf(first.log, i), NPAGE);
      const place = second.recording.locate(target);
      expect(besideIn(second.log, target, NPAGE, second.last)).toBe(place);
      const inWindow = besideIn(window, target, NPAGE, second.last);
      if (inWindow !== null) expect(inWindow).toBe(place);
      if (inWindow !== null) told++;
    }
    expect(told).toBeGreaterThan(0);
  });
});

test('two algorithms stop in the same call', () => {
  const first = stepsOf('batched');
  const second = stepsOf('series-1-4');
  const fn = FUNCTIONS.indexOf('iommu_map');
  let calls = 0;
  for (let i = 0; i <= first.last; i++) {
    const row = rowOf(first.log, i);
    if (row[Col.fn] !== fn || row[Col.kind] !== Kind.enter) continue;
    const place = besideIn(second.log, targetOf(row, NPAGE), NPAGE, second.last)!;
    const beside = rowOf(second.log, placeOf(second.log, place));
    expect([beside[Col.fn], beside[Col.kind], beside[Col.a]]).toEqual([fn, Kind.enter, row[Col.a]]);
    calls++;
  }
  expect(calls).toBe(NPAGE);
});
