import { describe, expect, test } from 'vitest';
import { bitmapBytes, bitmapOf, Emulated, runsOf } from '../test/emulated.ts';
import { bytes, Guest, minus, outcome } from '../test/guest.ts';
import { DirtyBitmap } from './dirty-bitmap.ts';
import type { VfioIommuType1DirtyBitmap, VfioIommuType1DirtyBitmapGet } from './uapi.ts';
import { kernels, LENIENT, RUNS, STRICT, testKernel, type TestKernel } from '../test/kernels.ts';

const [START, STOP, GET] = [1, 2, 4];
const IOCTL = 'vfio_iommu_type1_dirty_pages';
const VERIFY = 'verify_bitmap_size';
const CUT = 'vfio_iova_dirty_bitmap';
const U64 = 2n ** 64n;

/** Mappings of 10 pages at 256 and 266 (adjacent), and of 100 at 300; tracking on unless told. */
function guest(kernel: TestKernel, { v2 = true, tracking = true } = {}): Guest {
  const made = new Guest({ kernel, v2 }).mmap({ npage: 200 });
  for (const [iovaPn, npage] of [
    [256, 10],
    [266, 10],
    [300, 100],
  ]) {
    expect(outcome(made.map(iovaPn, npage))).toBe('ok');
  }
  if (tracking && v2) made.container.dirtyPages({ flags: START });
  return made;
}

/** A good range: the mapping at 256. */
const RANGE: VfioIommuType1DirtyBitmapGet = {
  ...{ iova: bytes(256), size: bytes(10) },
  bitmap: { pgsize: 4096n, size: 8n },
};
const GOOD: VfioIommuType1DirtyBitmap = { argsz: 48, flags: GET, range: RANGE };

type Fault = Partial<VfioIommuType1DirtyBitmapGet> & { argsz?: number; flags?: number };

/** The good request with faults in it. */
function faulty(...faults: readonly Fault[]): VfioIommuType1DirtyBitmap {
  const all: Fault = Object.assign({}, ...faults) as Fault;
  const { argsz = 48, flags = GET, iova = RANGE.iova, size = RANGE.size } = all;
  return { argsz, flags, range: { iova, size, bitmap: all.bitmap ?? RANGE.bitmap } };
}

const bitmap = (pgsize: bigint, size: bigint): Fault => ({ bitmap: { pgsize, size } });

const BAD_ARGSZ = { argsz: 7 };
const BAD_START = { argsz: 7, flags: START };
const UNKNOWN_FLAG = { flags: GET | 8 };
const NO_FLAG = { flags: 0 };
const START_STOP = { flags: START | STOP };
const GET_STOP = { flags: GET | STOP };
const NO_RANGE = { argsz: 8 };
const SHORT_RANGE = { argsz: 47 };
const WRAPS = { iova: U64 - bytes(5) };
const EMPTY = { size: 0n };
const BITMAP_EMPTY = bitmap(4096n, 0n);
const BITMAP_SHORT = bitmap(4096n, 7n);
const BITMAP_HUGE = bitmap(4096n, 2n ** 28n + 1n);
const NO_PAGE = bitmap(65_536n, 8n);
const NO_PGSIZE = bitmap(0n, 8n);
const OTHER_PGSIZE = bitmap(8192n, 8n);
const IOVA_MISALIGNED = { iova: bytes(256) + 512n };
const SIZE_MISALIGNED = { size: bytes(10) + 1n };
const CUT_START = { iova: bytes(257), size: bytes(9) };
const CUT_END = { size: bytes(19) };

describe('every check, and the function whose it is', () => {
  test.each<[string, Fault, string, string, string]>([
    // what, fault, up to 6.16, from 6.18 on, function
    ['the structure is too short', BAD_ARGSZ, 'EINVAL', 'EINVAL', IOCTL],
    ['START, and the structure is too short', BAD_START, 'EINVAL', 'EINVAL', IOCTL],
    ['an unknown flag', UNKNOWN_FLAG, 'EINVAL', 'EINVAL', IOCTL],
    ['no flag', NO_FLAG, 'EINVAL', 'EINVAL', IOCTL],
    ['START and STOP', START_STOP, 'EINVAL', 'EINVAL', IOCTL],
    ['GET_BITMAP and STOP', GET_STOP, 'EINVAL', 'EINVAL', IOCTL],
    ['no range', NO_RANGE, 'EINVAL', 'EINVAL', IOCTL],
    ['the structure is too short for a range', SHORT_RANGE, 'EINVAL', 'EINVAL', IOCTL],
    ['the range wraps', WRAPS, 'EINVAL', 'EOVERFLOW', IOCTL],
    ['the bitmap is empty', BITMAP_EMPTY, 'EINVAL', 'EINVAL', VERIFY],
    ['the bitmap is too short', BITMAP_SHORT, 'EINVAL', 'EINVAL', VERIFY],
    ['the bitmap is larger than 256 MiB', BITMAP_HUGE, 'EINVAL', 'EINVAL', VERIFY],
    ['the range has no page of its size', NO_PAGE, 'EINVAL', 'EINVAL', VERIFY],
    ['the bitmap has no page size', NO_PGSIZE, 'EINVAL', 'EINVAL', VERIFY],
    ['another page size than the smallest', OTHER_PGSIZE, 'EINVAL', 'EINVAL', IOCTL],
    ['iova misaligned', IOVA_MISALIGNED, 'EINVAL', 'EINVAL', IOCTL],
    ['size misaligned', SIZE_MISALIGNED, 'EINVAL', 'EINVAL', IOCTL],
    ['the range starts inside a mapping', CUT_START, 'EINVAL', 'EINVAL', CUT],
    ['the range ends inside a mapping', CUT_END, 'EINVAL', 'EINVAL', CUT],
  ])('%s', (_, fault, errnoBefore, errnoSince, at) => {
    for (const kernel of kernels) {
      const made = guest(kernel);
      const result = made.container.tryDirtyPages(faulty(fault));
      const errno = !kernel.type1.rangeCheckedFirst ? errnoBefore : errnoSince;
      expect({ got: outcome(result), at: result.at }).toEqual({ got: errno, at });
      expect(result.bitmap).toBeNull();
      expect(made.iommu.dirtyPageTracking).toBe(true);
    }
  });

  test.each(kernels)('$name: nothing is dirty or read while tracking is off', (kernel) => {
    const { container } = guest(kernel, { tracking: false });
    expect(container.tryDirtyPages(GOOD)).toEqual({
      ...{ ret: minus('EINVAL'), at: IOCTL, detail: { dirtyTracking: false }, bitmap: null },
    });
  });

  test.each(kernels)(
    '$name: type1 v1 refuses everything with EACCES, bad requests too',
    (kernel) => {
      const { container } = guest(kernel, { v2: false });
      for (const request of [{ flags: START }, { flags: STOP }, GOOD, faulty(BAD_ARGSZ)]) {
        expect(container.tryDirtyPages(request)).toMatchObject({ ret: minus('EACCES'), at: IOCTL });
      }
    },
  );

  test('an empty range has no page; where ranges come first it is seen before the bitmap is', () => {
    for (const kernel of kernels) {
      const at = kernel.type1.rangeCheckedFirst ? IOCTL : VERIFY;
      const result = guest(kernel).container.tryDirtyPages(faulty(EMPTY));
      expect([outcome(result), result.at]).toEqual(['EINVAL', at]);
    }
  });

  test('a container without its driver has no such ioctl', () => {
    const { container } = new Guest();
    container.close();
    expect(container.tryDirtyPages(GOOD)).toMatchObject({ ret: minus('EINVAL'), bitmap: null });
  });
});

describe('of two faults, the first check wins', () => {
  test.each<[string, Fault[], string, string]>([
    // what, faults, errno where ranges come first, function there
    ['structure before wrapping', [WRAPS, BAD_ARGSZ], 'EINVAL', IOCTL],
    ['flags before wrapping', [WRAPS, UNKNOWN_FLAG], 'EINVAL', IOCTL],
    ['the second structure before wrapping', [WRAPS, SHORT_RANGE], 'EINVAL', IOCTL],
    ['no size before wrapping', [{ iova: U64 - 1n }, EMPTY], 'EINVAL', IOCTL],
    ['wrapping before the bitmap', [WRAPS, BITMAP_EMPTY], 'EOVERFLOW', IOCTL],
    ['wrapping before alignment', [{ iova: U64 - 1n }], 'EOVERFLOW', IOCTL],
    ['bitmap before alignment', [IOVA_MISALIGNED, BITMAP_SHORT], 'EINVAL', VERIFY],
    ['page size before the ends', [CUT_START, OTHER_PGSIZE], 'EINVAL', IOCTL],
    ['the start before the end', [{ iova: bytes(257), size: bytes(12) }], 'EINVAL', CUT],
  ])('%s', (_, faults, errnoSince, at) => {
    for (const kernel of STRICT) {
      const result = guest(kernel).container.tryDirtyPages(faulty(...faults));
      expect([outcome(result), result.at]).toEqual([errnoSince, at]);
    }
    for (const kernel of LENIENT) {
      expect(outcome(guest(kernel).container.tryDirtyPages(faulty(...faults)))).toBe('EINVAL');
    }
  });

  test('tracking is looked at before the ends of the range', () => {
    const { container } = guest(RUNS, { tracking: false });
    expect(container.tryDirtyPages(faulty(CUT_START)).at).toBe(IOCTL);
  });
});

test.each([
  // kernel, pages below 2^64 where the range ends, outcome
  ['page-array', 1, 'ok'],
  ['page-array', 0, 'EINVAL'],
  ['batches', 0, 'EINVAL'],
  ['runs', 1, 'ok'],
  ['runs', 0, 'ok'],
  ['generic-pt', 0, 'ok'],
])('%s: a range that ends %i pages below 2^64: %s', (name, below, expected) => {
  const range = { ...RANGE, iova: U64 - bytes(10 + below) };
  const result = guest(testKernel(name)).container.tryDirtyPages({ ...GOOD, range });
  expect(outcome(result)).toBe(expected);
});

describe('the size of the bitmap', () => {
  test.each([
    // pages, bitmap bytes, enough
    [64, 8, true],
    [65, 8, false],
    [65, 15, false],
    [65, 16, true],
    [100, 1000, true],
    [2 ** 31, 2 ** 28, true],
    [2 ** 31 + 1, 2 ** 28, false],
  ])('%i pages, %i bytes: enough is %o', (npage, size, enough) => {
    const made = new Emulated();
    made.dirty(START);
    // A bitmap of no memory: nothing lies in the range, so that nothing is written to it.
    const data = new DirtyBitmap(0);
    expect(made.get(0, npage, { size: BigInt(size), data }).ret).toBe(enough ? 0 : minus('EINVAL'));
  });

  test('is that of the page size that the bitmap names, before it is compared with any', () => {
    const made = guest(RUNS);
    const of = (pgsize: bigint, size: bigint): string =>
      made.container.tryDirtyPages(
        faulty({ iova: bytes(300), size: bytes(100) }, bitmap(pgsize, size)),
      ).at;
    expect(of(4096n, 8n)).toBe(VERIFY);
    expect(of(8192n, 8n)).toBe(IOCTL);
    // The lowest bit of the page size counts.
    expect(of(8192n + 65_536n, 8n)).toBe(IOCTL);
    expect(of(4096n + 8192n, 8n)).toBe(VERIFY);
  });
});

describe('START and STOP', () => {
  test('need the first structure only, and give no bitmap', () => {
    for (const kernel of kernels) {
      const made = guest(kernel, { tracking: false });
      for (const [flags, tracking] of [
        [START, true],
        [START, true],
        [STOP, false],
        [STOP, false],
      ] as const) {
        const result = made.container.tryDirtyPages({ argsz: 8, flags });
        expect(result).toEqual({ ret: 0, at: '', detail: {}, bitmap: null });
        expect(made.iommu.dirtyPageTracking).toBe(tracking);
        const bitmaps = [...made.iommu.dmaList].map((dma) => dma.bitmap !== null);
        expect(bitmaps).toEqual([tracking, tracking, tracking]);
      }
    }
  });

  test('START of 8 TiB fails with EINVAL, and takes the bitmaps back', () => {
    const made = new Emulated();
    expect([made.map(0, 64), made.map(2 ** 32, 2 ** 31)]).toEqual([0, 0]);
    expect(made.dirty(START)).toBe(minus('EINVAL'));
    expect(made.iommu.failure).toEqual({
      at: 'vfio_dma_bitmap_alloc',
      detail: { dmaIovaPn: 2 ** 32, bits: 2 ** 31, bitsMax: 2 ** 31 - 1 },
    });
    expect(made.iommu.dirtyPageTracking).toBe(false);
    expect([...made.iommu.dmaList].map((dma) => dma.bitmap)).toEqual([null, null]);
  });

  test('START of one page less succeeds', () => {
    const made = new Emulated();
    expect([made.map(0, 2 ** 31 - 1), made.dirty(START)]).toEqual([0, 0]);
    // The bits in whole words, and a word for the shift.
    expect(made.dmaAt(0).bitmap?.bits).toBe(2 ** 31 + 64);
  });

  test.each([
    // pages, bits
    [1, 128],
    [64, 128],
    [65, 192],
    [512, 576],
  ])('the bitmap of %i pages has %i bits', (npage, bits) => {
    const made = new Emulated();
    expect([made.dirty(START), made.map(7, npage)]).toEqual([0, 0]);
    expect(made.dmaAt(7).bitmap?.bits).toBe(bits);
  });

  test('a second START keeps what was logged, STOP forgets it', () => {
    const made = new Emulated();
    made.map(0, 64);
    made.dirty(START);
    made.write(5);
    made.dirty(START);
    expect(made.dmaAt(0).bitmap?.set).toBe(1);
    made.dirty(STOP);
    made.dirty(START);
    expect(made.runs(0, 64)).toEqual([]);
  });
});

describe('GET_BITMAP', () => {
  test.each(kernels)('$name: with a group behind an IOMMU everything that is mapped', (kernel) => {
    const made = guest(kernel);
    const size = BigInt(bitmapBytes(300));
    const range = { iova: bytes(200), size: bytes(300), bitmap: { pgsize: 4096n, size } };
    // The first reads of a START show no bit twice.
    expect(runsOf(made.container.dirtyPages({ flags: GET, range }))).toEqual([
      [56, 20],
      [100, 100],
    ]);
  });

  test('takes a larger structure and a larger bitmap', () => {
    const made = guest(RUNS);
    const result = made.container.tryDirtyPages({ ...faulty(bitmap(4096n, 80n)), argsz: 4096 });
    expect(result.bitmap?.bits).toBe(640);
    expect(runsOf(result.bitmap)).toEqual([[0, 10]]);
  });

  test('gives the size of its structures by itself', () => {
    const made = guest(RUNS);
    expect(runsOf(made.container.dirtyPages({ flags: GET, range: RANGE }))).toEqual([[0, 10]]);
    expect(made.container.tryDirtyPages({ flags: GET })).toMatchObject({ ret: minus('EINVAL') });
    expect(made.container.tryDirtyPages({ flags: GET, argsz: 48 })).toMatchObject({
      ret: minus('EINVAL'),
    });
  });

  test('throws what it returns as an errno', () => {
    const { container } = guest(RUNS, { tracking: false });
    expect(() => container.dirtyPages(GOOD)).toThrow(
      'VFIO_IOMMU_DIRTY_PAGES: EINVAL at vfio_iommu_type1_dirty_pages: dirtyTracking=false',
    );
  });

  test('writes to the words of its mappings, the others stay', () => {
    const made = guest(RUNS);
    const data = bitmapOf(320, [0, 63, 70, 130, 200, 300]);
    const range = {
      ...{ iova: bytes(256), size: bytes(300) },
      bitmap: { pgsize: 4096n, size: 40n, data },
    };
    expect(made.container.dirtyPages({ flags: GET, range })).toBe(data);
    // The mapping of bits 0 to 9 replaces the first word, that of 10 to 19 adds to it, and so does
    // that of 44 to 143; its words end with bit 191, and what stands behind 143 is overwritten.
    expect(runsOf(data)).toEqual([
      [0, 20],
      [44, 100],
      [200, 1],
      [300, 1],
    ]);
  });
});
