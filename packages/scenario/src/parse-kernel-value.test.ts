import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { kstrtobool, kstrtouint } from './parse-kernel-value.ts';

const EINVAL = { errno: -Errno.EINVAL };
const ERANGE = { errno: -Errno.ERANGE };

// Recordings prm02 of family more, on every release.
describe('kstrtouint', () => {
  test.each([
    ['0', 0],
    ['3', 3],
    ['4294967295', 4294967295],
    ['0x10', 16],
    ['0XfF', 255],
    ['010', 8],
    ['+5', 5],
  ])('%s is %d', (text, value) => {
    expect(kstrtouint(text)).toEqual({ value });
  });

  test.each(['-1', '5x', 'abc', '08', '', '+', '0x', '0xg', ' 1', '1.5'])(
    '%j is EINVAL',
    (text) => {
      expect(kstrtouint(text)).toEqual(EINVAL);
    },
  );

  test.each(['4294967296', '18446744073709551615', '18446744073709551616x', '9'.repeat(40)])(
    '%s is ERANGE',
    (text) => {
      expect(kstrtouint(text)).toEqual(ERANGE);
    },
  );
});

// Recordings prm01.
describe('kstrtobool', () => {
  test.each([
    ...['1', 'y', 'Y', 'T', 'true', 'on', 'ON'].map((text) => [text, true] as const),
    ...['0', 'N', 'no', 'f', 'off', '01'].map((text) => [text, false] as const),
  ])('%s is %s', (text, value) => {
    expect(kstrtobool(text)).toEqual({ value });
  });

  test.each(['2', '-1', 'x', '', 'o', 'open'])('%j is EINVAL', (text) => {
    expect(kstrtobool(text)).toEqual(EINVAL);
  });
});
