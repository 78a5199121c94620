import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { kstrtobool, kstrtoull, kstrtouint } from './kstrto.ts';

const INVALID = { error: -Errno.EINVAL };
const RANGE = { error: -Errno.ERANGE };

describe('kstrtouint', () => {
  test.each([
    ['0', 0],
    ['5', 5],
    ['+5', 5],
    ['010', 8],
    ['0x10', 16],
    ['0XfF', 255],
    ['4294967295', 0xffff_ffff],
  ])('%s is %i', (text, value) => {
    expect(kstrtouint(text, 0)).toEqual({ value });
  });

  test.each(['', '-1', '5x', 'abc', '08', '0x', '0xg', '++5', '+', '5 '])(
    '%j is EINVAL',
    (text) => {
      expect(kstrtouint(text, 0)).toEqual(INVALID);
    },
  );

  test.each([
    '4294967296',
    '18446744073709551615',
    '18446744073709551616',
    '18446744073709551616x',
  ])('%s is ERANGE', (text) => {
    expect(kstrtouint(text, 0)).toEqual(RANGE);
  });
});

test('kstrtoull with base 10 knows no prefix', () => {
  expect(kstrtoull('010', 10)).toEqual({ value: 10n });
  expect(kstrtoull('0x1', 10)).toEqual(INVALID);
  expect(kstrtoull('18446744073709551615', 10)).toEqual({ value: 2n ** 64n - 1n });
});

describe('kstrtobool', () => {
  test.each(['1', '1x', 'y', 'Yes', 'T', 'true', 'on', 'ON'])('%s is yes', (text) => {
    expect(kstrtobool(text)).toEqual({ value: true });
  });

  test.each(['0', '01', 'n', 'N', 'false', 'off', 'oF'])('%s is no', (text) => {
    expect(kstrtobool(text)).toEqual({ value: false });
  });

  test.each(['', '2', '-1', 'x', 'o', 'ox'])('%j is EINVAL', (text) => {
    expect(kstrtobool(text)).toEqual(INVALID);
  });
});
