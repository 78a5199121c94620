import { InputError } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { count, forFlag, list } from './flags.ts';

describe('list', () => {
  it('reads items without the spaces around them, each once', () => {
    expect(list('a, b,a', (item) => item)).toEqual(['a', 'b']);
  });

  it('reads an empty item too, for its reader to refuse', () => {
    expect(list('a,', (item) => item)).toEqual(['a', '']);
  });
});

describe('count', () => {
  it('reads whole numbers from 1 to the largest', () => {
    expect(count('1', '--repeat', 9)).toBe(1);
    expect(count('9', '--repeat', 9)).toBe(9);
  });

  it.each(['0', '10', '-1', '1.5', '1e1', '0x2', '', ' 3', 'many'])('refuses %j', (text) => {
    expect(() => count(text, '--repeat', 9)).toThrow(
      new InputError('--repeat', 'a whole number from 1 to 9', `'${text}'`),
    );
  });
});

describe('forFlag', () => {
  it('names the flag in place of what the reader names', () => {
    const read = (): never => {
      throw new InputError('kernel', '6.16 or 6.18', "'5.4'");
    };
    expect(() => forFlag('--kernel', '5.4', read)).toThrow(
      new InputError('--kernel', '6.16 or 6.18', "'5.4'"),
    );
  });

  it('passes other errors on', () => {
    const read = (): never => {
      throw new RangeError('broken');
    };
    expect(() => forFlag('--kernel', '5.4', read)).toThrow(RangeError);
  });
});
