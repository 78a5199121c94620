import { describe, expect, test } from 'vitest';
import { iommuPgsize, Pgsize } from './pgsize.ts';

const VTD = [0, 9, 18];
/** AMD v1: every power of two from 4 KiB to 2^51 but 512 GiB, in orders of 4 KiB pages. */
const AMD = Array.from({ length: 40 }, (_, order) => order).filter((order) => order !== 27);
/** 16 KiB granule of ARM: 16 KiB and 32 MiB. */
const ARM_16K = [2, 13];

const K = 2 ** 10;
const M = 2 ** 20;
const G = 2 ** 30;

/** The (page size × count) of every call that a range takes. Addresses and sizes in bytes. */
function calls(
  orders: readonly number[],
  iova: number,
  paddr: number,
  size: number,
): [number, number][] {
  const out = new Pgsize();
  const chosen: [number, number][] = [];
  const npage = size / 4096;
  for (let done = 0; done < npage; done += out.count * 2 ** out.order) {
    iommuPgsize(orders, iova / 4096 + done, paddr / 4096 + done, npage - done, out);
    chosen.push([4096 * 2 ** out.order, out.count]);
  }
  return chosen;
}

// Reference iommu.md §13.
describe('the vectors of the reference', () => {
  test.each<[string, readonly number[], number, number, number, [number, number][]]>([
    ['4K 2M 1G', VTD, 0x200000, 0x80200000, 4 * M, [[2 * M, 2]]],
    [
      '4K 2M 1G',
      VTD,
      0x1ff000,
      0x801ff000,
      4 * M,
      [
        [4 * K, 1],
        [2 * M, 1],
        [4 * K, 511],
      ],
    ],
    ['4K 2M 1G', VTD, 0x201000, 0x80200000, 4 * M, [[4 * K, 1024]]],
    ['4K 2M 1G', VTD, 0x40000000, 0x100000000, 3 * G, [[G, 3]]],
    [
      '4K 2M 1G',
      VTD,
      0x3fe00000,
      0x13fe00000,
      2 * G,
      [
        [2 * M, 1],
        [G, 1],
        [2 * M, 511],
      ],
    ],
    ['4K 2M 1G', VTD, 0x3fe00000, 0x100000000, 2 * G, [[2 * M, 1024]]],
    [
      '4K 2M 1G',
      VTD,
      0x3ffff000,
      0x13ffff000,
      G + 8 * K,
      [
        [4 * K, 1],
        [G, 1],
        [4 * K, 1],
      ],
    ],
    ['AMD dense', AMD, 0x0, 0x100000000, 16 * G, [[4 * G, 4]]],
    [
      'AMD dense',
      AMD,
      0x1000,
      0x101000,
      M,
      [
        [4 * K, 1],
        [8 * K, 1],
        [16 * K, 1],
        [32 * K, 1],
        [64 * K, 1],
        [128 * K, 1],
        [256 * K, 1],
        [512 * K, 1],
        [4 * K, 1],
      ],
    ],
    [
      'AMD dense',
      AMD,
      0x10000,
      0x110000,
      96 * K,
      [
        [64 * K, 1],
        [32 * K, 1],
      ],
    ],
    [
      'AMD dense',
      AMD,
      0x3000,
      0x3000,
      20 * K,
      [
        [4 * K, 1],
        [16 * K, 1],
      ],
    ],
    ['AMD dense', AMD, 0x200000, 0x80400000, 8 * M, [[2 * M, 4]]],
    [
      '16K 32M',
      ARM_16K,
      0x4000,
      0x2004000,
      64 * M,
      [
        [16 * K, 2047],
        [32 * M, 1],
        [16 * K, 1],
      ],
    ],
  ])('%s: iova %d, paddr %d, %d bytes', (_, orders, iova, paddr, size, expected) => {
    expect(calls(orders, iova, paddr, size)).toEqual(expected);
  });
});

describe('an unmap, where both addresses are the same', () => {
  test.each<[number, number, [number, number][]]>([
    [0x40001000, 0x200000, [[4 * K, 512]]],
    [
      0x40201000,
      0x400000,
      [
        [4 * K, 511],
        [2 * M, 1],
        [4 * K, 1],
      ],
    ],
    [0x40000000, 0x400000, [[2 * M, 2]]],
  ])('iova %d, %d bytes', (iova, size, expected) => {
    // The pieces of the recorded unmaps of b54-large-thp.
    expect(calls(VTD, iova, iova, size)).toEqual(expected);
  });
});

test('address 0 limits nothing: only the length does', () => {
  expect(calls(VTD, 0, 0, G)).toEqual([[G, 1]]);
  expect(calls(VTD, 0, 0, G - 4096)).toEqual([
    [2 * M, 511],
    [4 * K, 511],
  ]);
});

test('no size above 4 KiB: one call', () => {
  expect(calls([0], 0, 0, 3 * G)).toEqual([[4 * K, (3 * G) / (4 * K)]]);
});

// In pages: 2^32 are 16 TiB, 2^36 are 256 TiB; iova up to the end of 57 address bits, 2^45.
describe('page numbers of any size', () => {
  test.each([
    [2 ** 32, 2 ** 32, 2 ** 18, [18, 1]],
    [2 ** 32 - 512, 2 ** 36 - 512, 2 ** 18, [9, 512]], // too short to reach the end of a 1 GiB page
    [2 ** 32 - 512, 2 ** 36 - 512, 2 ** 18 + 512, [9, 1]],
    [2 ** 45 - 2 ** 18, 2 ** 36, 2 ** 18, [18, 1]],
    [2 ** 45 - 2 ** 18 + 1, 2 ** 36 + 1, 2 ** 18 - 1, [0, 511]],
    [2 ** 32 + 512, 2 ** 32, 2 ** 30, [9, 2 ** 21]],
    [2 ** 36 + 1, 2 ** 32, 2 ** 32, [0, 2 ** 32]],
  ])('iova page %d, frame %d, %d pages', (iovaPn, pfn, npage, [order, count]) => {
    const out = new Pgsize();
    iommuPgsize(VTD, iovaPn, pfn, npage, out);
    expect([out.order, out.count]).toEqual([order, count]);
  });
});
