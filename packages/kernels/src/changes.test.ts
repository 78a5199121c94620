import { expect, test } from 'vitest';
import { changesIn } from './changes.ts';
import { kernelVersion, kernelVersions } from './kernel-versions.ts';

test('what has changed with 6.18', () => {
  const texts = changesIn(kernelVersion('6.18')).map(({ what }) => what);
  expect(texts).toContain('a range that wraps is EOVERFLOW');
  expect(texts).toContain('MADV_COLLAPSE needs no writable entry');
  expect(texts).not.toContain('attaching tests for no superpages');
});

test('every release names its changes, and the oldest all that it does', () => {
  const [oldest] = kernelVersions;
  expect(changesIn(oldest).length).toBeGreaterThan(10);
  for (const kernel of kernelVersions)
    for (const { what, source } of changesIn(kernel)) expect(what + source).toMatch(/\S/);
});

test('7.3 does what 7.2 does', () => {
  expect(changesIn(kernelVersion('7.3'))).toEqual([]);
});
