import { InputError } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { evaluate, isRegionName, parseExpression, regionsOf, U64_MAX } from './expression.ts';

const regions = new Map([
  ['A', { va: 0x10_0000_0000n, size: 0x20_0000n }],
  ['fed', { va: 4096n, size: 8192n }],
]);
const TERM =
  'a number, decimal or 0x..., with or without K, M, G, T or P (4 KiB pages), or a region such as A, A.end or A.len';

function value(text: string): bigint {
  return evaluate(parseExpression(text, 'x.scn:1'), regions, 'x.scn:1');
}

it.each([
  ['0', 0n],
  ['4096', 4096n],
  ['0xfed00000', 0xfed00000n],
  ['0xFED', 0xfedn],
  ['1P', 4096n],
  ['4K', 4096n],
  ['3M', 3n << 20n],
  ['2G', 2n << 30n],
  ['1T', 1n << 40n],
  ['0x10M', 16n << 20n],
  ['A', 0x10_0000_0000n],
  ['A.end', 0x10_0020_0000n],
  ['A.len', 0x20_0000n],
  ['A+1P', 0x10_0000_1000n],
  ['A.end-A', 0x20_0000n],
  ['A+2M-4K', 0x10_001f_f000n],
  ['fed', 4096n],
  ['0x1000000000000-4K', 0xffff_ffff_f000n],
  ['4K-8K+8K', 4096n],
  ['-4K+8K', 4096n],
  ['0xffffffffffffffff', U64_MAX],
  ['0x10000000000000000-1', U64_MAX],
])('%s is %d', (text, expected) => {
  expect(value(text)).toBe(expected);
});

it.each([
  ['4X', "'4X'"],
  ['4k', "'4k'"],
  ['4KB', "'4KB'"],
  ['0X10', "'0X10'"],
  ['0x', "'0x'"],
  ['1.5M', "'1.5M'"],
  ['', "''"],
  ['+', "'+'"],
  ['A+', "'A+'"],
  ['A++B', "'A++B'"],
  ['--4', "'--4'"],
  ['A.start', "'A.start'"],
  ['A+4X', "'4X' in 'A+4X'"],
  ['(A)', "'(A)'"],
])('refuses %j', (text, got) => {
  expect(() => parseExpression(text, 'x.scn:1')).toThrow(new InputError('x.scn:1', TERM, got));
});

describe('results out of range', () => {
  it.each([
    ['4K-8K', '-0x1000'],
    ['-1', '-0x1'],
    ['0x10000000000000000', '0x10000000000000000'],
    ['A-2T', '-0x1f000000000'],
    ['0xffffffffffffffff+A', '0x10000000fffffffff'],
  ])('%s', (text, result) => {
    expect(() => value(text)).toThrow(
      new InputError(
        'x.scn:1',
        'a value from 0 to 0xffffffffffffffff',
        `'${text}', which is ${result}`,
      ),
    );
  });

  it('is checked against the limit of the argument', () => {
    const sum = parseExpression('4G', 'x');
    expect(() => evaluate(sum, regions, 'x', 0xffff_ffffn)).toThrow(
      new InputError('x', 'a value from 0 to 0xffffffff', "'4G', which is 0x100000000"),
    );
  });
});

it('names the regions of a sum', () => {
  expect(regionsOf(parseExpression('A+4K-B.len', 'x'))).toEqual(['A', 'B']);
});

it('needs the regions to be mapped', () => {
  expect(() => value('B+1')).toThrow(
    new InputError('x.scn:1', 'a region that is mapped', "'B', whose mmap failed"),
  );
});

it('knows what may name a region', () => {
  expect(['A', 'R0', 'a_b', '_'].every(isRegionName)).toBe(true);
  expect(['', '0A', 'A.end', 'A-B', 'A B'].some(isRegionName)).toBe(false);
});
