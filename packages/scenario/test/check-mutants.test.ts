/** The check finds every mutant of series-1-4, and nothing in the original. */
import { describe, expect, it } from 'vitest';
import { checkAlgorithm } from '../src/index.ts';
import { externalRunsRight, MISSED_BEFORE } from './mutants/missed-before.ts';
import { MUTANTS, mutantOf } from './mutants/series-1-4.ts';

/** Sequences in which each is found; the first class that can show it comes long before. */
const RUNS = 1500;

describe('a mutant of series-1-4', () => {
  it.each(MUTANTS)('%s', async (mutant) => {
    const { findings } = await checkAlgorithm({ algorithm: mutantOf(mutant), runs: RUNS });
    expect(findings).not.toEqual([]);
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
