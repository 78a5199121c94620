import { describe, expect, test } from 'vitest';
import { InputError } from './errors.ts';
import {
  byteAddress,
  formatSize,
  isAligned,
  offsetIn,
  PAGE_SHIFT,
  PAGE_SIZE,
  pageNumber,
  pagesOf,
  parseSize,
  PMD_ORDER,
  PTRS_PER_TABLE,
  PUD_ORDER,
} from './units.ts';

test('pages are 4 KiB, tables have 512 entries, large leaves are 2 MiB and 1 GiB', () => {
  expect(PAGE_SIZE).toBe(4096);
  expect(2 ** PAGE_SHIFT).toBe(PAGE_SIZE);
  expect(PTRS_PER_TABLE).toBe(512);
  expect(PAGE_SIZE * 2 ** PMD_ORDER).toBe(2 ** 21);
  expect(PAGE_SIZE * 2 ** PUD_ORDER).toBe(2 ** 30);
});

// 16 TiB are 2^32 pages, 2^48 bytes are 2^36 pages, 2^64 bytes are 2^52 pages.
describe.each([
  ['0', 0n, 0],
  ['the first page', 4096n, 1],
  ['16 TiB', 2n ** 44n, 2 ** 32],
  ['one page below 16 TiB', 2n ** 44n - 4096n, 2 ** 32 - 1],
  ['the end of 48 address bits', 2n ** 48n, 2 ** 36],
  ['the last page of 64 address bits', 2n ** 64n - 4096n, 2 ** 52 - 1],
])('the address %s', (_, address, pn) => {
  test('is a whole page number, and back', () => {
    expect(pageNumber(address)).toBe(pn);
    expect(byteAddress(pn)).toBe(address);
  });

  test('loses its offset inside the page', () => {
    expect(pageNumber(address + 4095n)).toBe(pn);
  });
});

test('pagesOf is a power of two up to the 2^52 pages of 64 address bits', () => {
  expect([0, 9, 18, 32, 36, 52].map(pagesOf)).toEqual([
    1, 512, 262_144, 4_294_967_296, 68_719_476_736, 4_503_599_627_370_496,
  ]);
});

describe('alignment of page numbers', () => {
  test.each([
    // pn, order, offset in the block of 2^order pages
    [0, 9, 0],
    [511, 9, 511],
    [512, 9, 0],
    [7, 0, 0],
    [2 ** 32, 18, 0],
    [2 ** 32 + 513, 9, 1],
    [2 ** 36 - 1, 9, 511],
    [2 ** 36 + 3, 30, 3],
    [2 ** 36 + 3, 31, 3],
    [2 ** 31, 31, 0],
    [2 ** 31, 32, 2 ** 31],
    [2 ** 52 - 1, 32, 2 ** 32 - 1],
    [2 ** 52 - 1, 52, 2 ** 52 - 1],
  ])('page %d, in blocks of order %d, lies at offset %d', (pn, order, offset) => {
    expect(offsetIn(pn, order)).toBe(offset);
    expect(isAligned(pn, order)).toBe(offset === 0);
  });
});

describe('parseSize', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['8P', 32_768],
    ['512K', 524_288],
    ['16M', 16_777_216],
    ['16m', 16_777_216],
    [' 16G ', 17_179_869_184],
    ['16T', 2 ** 44],
    ['9007199254740991', 2 ** 53 - 1],
  ])('%j is %d bytes', (text, bytes) => {
    expect(parseSize(text, '--size')).toBe(bytes);
  });

  test.each([
    '',
    'G',
    '1.5G',
    '-1',
    '+1',
    '0x1000',
    '16 G',
    '16GB',
    '16E',
    '1e3',
    '8192T',
    '9007199254740992',
  ])('%j is refused, naming the place', (text) => {
    expect(() => parseSize(text, '--size')).toThrow(InputError);
    expect(() => parseSize(text, '--size')).toThrow(/^--size: expected a size like .*, got '/);
  });
});

describe('formatSize', () => {
  test.each([
    [0, '0'],
    [1, '1'],
    [4097, '4097'],
    [4096, '4K'],
    [2 ** 21, '2M'],
    [3 * 2 ** 29, '1536M'],
    [2 ** 34, '16G'],
    [2 ** 44, '16T'],
  ])('%d bytes is %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
    expect(parseSize(text, 'round trip')).toBe(bytes);
  });
});
