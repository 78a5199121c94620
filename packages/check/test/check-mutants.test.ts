/** The check finds every mutant of series-1-4, and nothing in the original. */
import { describe, expect, it } from 'vitest';
import { checkAlgorithm } from '../src/index.ts';
import { externalRunsRight, MISSED_BEFORE } from './mutants/missed-before.ts';
import { MUTANTS, mutantOf } from './mutants/series-1-4.ts';

/** Sequences in which each is found. */
const RUNS = 1500;
/** Most are found in the first hundred; the same sequences come first in a longer check. */
const ATTEMPTS = [100, 300, RUNS];

describe('a mutant of series-1-4', () => {
  it.each(MUTANTS)('%s', async (mutant) => {
    let found = 0;
    for (const runs of ATTEMPTS) {
      const { findings } = await checkAlgorithm({ algorithm: mutantOf(mutant), runs });
      found = findings.length;
      if (found > 0) break;
    }
    expect(found).toBeGreaterThan(0);
  });
});

describe('of what no sequence led to before', () => {
  it.each(MISSED_BEFORE)('$name is found', async (algorithm) => {
    const { findings } = await checkAlgorithm({ algorithm, runs: 2000 });
    expect(findings).not.toEqual([]);
  });

  it('the right one is not flagged', async () => {
    const report = await checkAlgorithm({ algorithm: externalRunsRight, runs: 2000 });
    expect(report.findings).toEqual([]);
  });
});

it('the original is not flagged', async () => {
  const report = await checkAlgorithm({ algorithm: mutantOf(null), runs: RUNS });
  expect(report.findings).toEqual([]);
  expect(report.sequences).toBe(RUNS);
});
