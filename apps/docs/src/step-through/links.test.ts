import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Recording } from './recording.ts';
import { readState, writeState } from './settings.ts';
import { FUNCTIONS } from './steps.ts';

const page = join(import.meta.dirname, '../content/docs/interactive/step-through.mdx');
const links = [...readFileSync(page, 'utf8').matchAll(/\]\(\?([^)]+)\)/g)].map(
  ([, query]) => query,
);

test('the page suggests some', () => expect(links.length).toBeGreaterThan(3));

test.each(links)('%s leads to a step', (query) => {
  const state = readState(new URLSearchParams(query));
  expect(writeState(state).toString()).toBe(query);
  const { steps, calls } = new Recording(state.settings, state.algorithm).overview();
  expect(state.step).toBeLessThan(steps);
  if (state.breakpoint !== '')
    expect(calls[FUNCTIONS.findIndex((name) => name === state.breakpoint)]).toBeGreaterThan(0);
});
