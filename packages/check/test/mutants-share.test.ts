/** The share of wrong variants that the check finds: a number that only grows. */
import { describe, expect, it } from 'vitest';
import { EQUIVALENT } from './mutants/equivalent.ts';
import { allVariants, rightFiles, search, searchIn } from './mutants/find-variant.ts';
import { algorithmOf } from './mutants/mutate.ts';

/** Sequences for each variant here; the benchmark takes more. */
const RUNS = 150;
/** Variants of this file are searched here; the benchmark takes all of them. */
const SAMPLE = 'unmap-by-folio ';
/** Only ever made smaller. */
const MOST_MISSED = 4;

const variants = allVariants();

it('there are more than a hundred variants, each with a name of its own', () => {
  expect(variants.length).toBeGreaterThan(200);
  expect(new Set(variants.map(({ id }) => id)).size).toBe(variants.length);
});

it('each that is said to be right is one of them', () => {
  const ids = new Set(variants.map(({ id }) => id));
  expect([...EQUIVALENT].filter((id) => !ids.has(id))).toEqual([]);
});

describe('the check', () => {
  it.each(rightFiles())('finds nothing in $name', ({ name, text }) => {
    const algorithm = algorithmOf({ id: name, text });
    expect(searchIn(algorithm, 250, false)).toMatchObject({ found: false, sequences: 250 });
  });

  it('finds no fewer wrong variants than it did', () => {
    const sample = variants.filter(({ id }) => id.startsWith(SAMPLE) && !EQUIVALENT.has(id));
    const missed = sample.filter((variant) => !search(variant, RUNS).found).map(({ id }) => id);
    expect(missed.length, missed.join('\n')).toBeLessThanOrEqual(MOST_MISSED);
    expect(sample.length).toBeGreaterThanOrEqual(32);
  });
});
