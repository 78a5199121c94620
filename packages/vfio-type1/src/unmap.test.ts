import { describe, expect, test } from 'vitest';
import { bytes, Guest, minus, outcome, VPN, type GuestOptions } from '../test/guest.ts';
import { Mdev } from '../test/mdev.ts';
import {
  VFIO_DMA_UNMAP_FLAG_ALL as ALL,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP as DIRTY,
  VFIO_DMA_UNMAP_FLAG_VADDR as VADDR,
  type VfioIommuType1DmaUnmap,
} from './uapi.ts';
import { kernels, LENIENT, STRICT, type TestKernel } from '../test/kernels.ts';

const U64 = 2n ** 64n;
const IOCTL = 'vfio_iommu_type1_unmap_dma';
const DO_UNMAP = 'vfio_dma_do_unmap';

/** Mappings of 10 pages at 256, 266 (adjacent) and 300. */
function guest(options: GuestOptions = {}): Guest {
  const made = new Guest(options).mmap({ npage: 100 });
  for (const [i, iovaPn] of [256, 266, 300].entries()) {
    expect(outcome(made.map(iovaPn, 10, VPN + 10 * i))).toBe('ok');
  }
  return made;
}

/** UNMAP_ALL. */
const ALL_OF_IT = { flags: ALL, iova: 0n, size: 0n };

/** A good request: the mapping at 256. */
const GOOD: VfioIommuType1DmaUnmap = { argsz: 24, flags: 0, iova: bytes(256), size: bytes(10) };
/** A good bitmap for it: 10 pages fit one word. */
const BITMAP = { argsz: 48, flags: DIRTY, bitmap: { pgsize: 4096n, size: 8n } };

// Faults, each with what it changes in the good request (reference type1.md §7).
const BAD_ARGSZ = { argsz: 23 };
const UNKNOWN_FLAG = { flags: 8 };
const DIRTY_ALL = { ...BITMAP, flags: DIRTY | ALL };
const DIRTY_VADDR = { ...BITMAP, flags: DIRTY | VADDR };
const DIRTY_ARGSZ = { ...BITMAP, argsz: 47 };
const BITMAP_EMPTY = { ...BITMAP, bitmap: { pgsize: 4096n, size: 0n } };
const BITMAP_NO_PAGE = { ...BITMAP, bitmap: { pgsize: 65_536n, size: 8n } };
const BITMAP_HUGE = { ...BITMAP, bitmap: { pgsize: 4096n, size: 2n ** 28n + 8n } };
const IOVA_MISALIGNED = { iova: bytes(256) + 1n };
const ALL_WITH_IOVA = { flags: ALL, size: 0n };
const ALL_WITH_SIZE = { flags: ALL, iova: 0n };
const EMPTY = { size: 0n };
const SIZE_MISALIGNED = { size: bytes(10) - 512n };
const WRAPS = { iova: U64 - bytes(5) };
const CUT_START = { iova: bytes(257), size: bytes(9) };
const CUT_END = { size: bytes(15) };

/** Runs the good request with faults in it; returns errno and function. */
function refused(
  kernel: TestKernel,
  ...faults: readonly Partial<VfioIommuType1DmaUnmap>[]
): { got: string; at: string } {
  const made = guest({ kernel });
  const before = made.state();
  const request = Object.assign({ ...GOOD }, ...faults) as VfioIommuType1DmaUnmap;
  const result = made.container.tryUnmapDma(request);
  expect(made.state()).toBe(before);
  // The structure goes back to the user as it came, and no bitmap with it.
  expect(result.size).toBe(request.size);
  expect(result.bitmap).toBeNull();
  return { got: outcome(result), at: result.at };
}

test.each(kernels)('$name: a good request succeeds', (kernel) => {
  const made = guest({ kernel });
  const result = made.container.tryUnmapDma(GOOD);
  expect(result).toEqual({ ret: 0, at: '', detail: {}, size: bytes(10), bitmap: null });
  expect(made.dmas()).toEqual([
    [266, 10],
    [300, 10],
  ]);
  expect([made.mm.lockedVm, made.memory.vmstat.pinsHeld, made.iommu.dmaAvail]).toEqual([
    20, 20, 65_533,
  ]);
});

describe('every check, and the function whose it is', () => {
  test.each<[string, Partial<VfioIommuType1DmaUnmap>, string, string, string]>([
    // what, fault, up to 6.16, from 6.18 on, function
    ['2 the structure is too short', BAD_ARGSZ, 'EINVAL', 'EINVAL', IOCTL],
    ['2 an unknown flag', UNKNOWN_FLAG, 'EINVAL', 'EINVAL', IOCTL],
    ['3 a dirty bitmap of everything', DIRTY_ALL, 'EINVAL', 'EINVAL', IOCTL],
    ['3 a dirty bitmap with VADDR', DIRTY_VADDR, 'EINVAL', 'EINVAL', IOCTL],
    ['4 the structure is too short for a bitmap', DIRTY_ARGSZ, 'EINVAL', 'EINVAL', IOCTL],
    ['7 the bitmap is empty', BITMAP_EMPTY, 'EINVAL', 'EINVAL', 'verify_bitmap_size'],
    ['7 the bitmap has no page', BITMAP_NO_PAGE, 'EINVAL', 'EINVAL', 'verify_bitmap_size'],
    ['7 the bitmap is larger than 256 MiB', BITMAP_HUGE, 'EINVAL', 'EINVAL', 'verify_bitmap_size'],
    ['10 iova misaligned', IOVA_MISALIGNED, 'EINVAL', 'EINVAL', DO_UNMAP],
    ['11 ALL with an iova', ALL_WITH_IOVA, 'EINVAL', 'EINVAL', DO_UNMAP],
    ['11 ALL with a size', ALL_WITH_SIZE, 'EINVAL', 'EINVAL', DO_UNMAP],
    ['12 no size', EMPTY, 'EINVAL', 'EINVAL', DO_UNMAP],
    ['12 size misaligned', SIZE_MISALIGNED, 'EINVAL', 'EINVAL', DO_UNMAP],
    ['13 the range wraps', WRAPS, 'EINVAL', 'EOVERFLOW', DO_UNMAP],
    ['14 dirty tracking is off', BITMAP, 'EINVAL', 'EINVAL', DO_UNMAP],
    ['15 v2: the range starts inside a mapping', CUT_START, 'EINVAL', 'EINVAL', DO_UNMAP],
    ['15 v2: the range ends inside a mapping', CUT_END, 'EINVAL', 'EINVAL', DO_UNMAP],
  ])('%s', (_, fault, errnoBefore, errnoSince, at) => {
    for (const kernel of LENIENT) expect(refused(kernel, fault)).toEqual({ got: errnoBefore, at });
    for (const kernel of STRICT) expect(refused(kernel, fault)).toEqual({ got: errnoSince, at });
  });
});

describe('of two faults, the first check wins', () => {
  test.each<[string, Partial<VfioIommuType1DmaUnmap>[], string, string]>([
    // what, faults, errno in 6.18, function in 6.18
    ['structure before wrapping', [WRAPS, BAD_ARGSZ], 'EINVAL', IOCTL],
    ['flags before wrapping', [WRAPS, UNKNOWN_FLAG], 'EINVAL', IOCTL],
    ['bitmap before wrapping', [BITMAP_EMPTY, WRAPS], 'EINVAL', 'verify_bitmap_size'],
    ['bitmap before alignment', [BITMAP_HUGE, IOVA_MISALIGNED], 'EINVAL', 'verify_bitmap_size'],
    ['structure for the bitmap before the bitmap', [BITMAP_EMPTY, DIRTY_ARGSZ], 'EINVAL', IOCTL],
    ['alignment of iova before wrapping', [{ iova: U64 - bytes(5) + 1n }], 'EINVAL', DO_UNMAP],
    ['alignment of size before wrapping', [WRAPS, SIZE_MISALIGNED], 'EINVAL', DO_UNMAP],
    ['no size before wrapping', [WRAPS, EMPTY], 'EINVAL', DO_UNMAP],
    ['wrapping before dirty tracking', [BITMAP, WRAPS], 'EOVERFLOW', DO_UNMAP],
  ])('%s', (_, faults, errnoSince, at) => {
    for (const kernel of STRICT)
      expect(refused(kernel, ...faults)).toEqual({ got: errnoSince, at });
    for (const kernel of LENIENT) expect(refused(kernel, ...faults)).toEqual({ got: 'EINVAL', at });
  });
});

describe('verify_bitmap_size', () => {
  test.each([
    // pages, bitmap bytes, enough
    [1, 7, false],
    [1, 8, true],
    [64, 8, true],
    [65, 8, false],
    [65, 15, false],
    [65, 16, true],
    [2 ** 20, 2 ** 17 - 1, false],
    [2 ** 20, 2 ** 17, true],
    [2 ** 31, 2 ** 28, true],
    [2 ** 31 + 1, 2 ** 28, false],
  ])('%i pages, %i bytes: enough is %o', (npage, size, enough) => {
    const made = new Guest();
    const request = {
      ...GOOD,
      ...BITMAP,
      size: bytes(npage),
      bitmap: { pgsize: 4096n, size: BigInt(size) },
    };
    expect(made.container.tryUnmapDma(request).at).toBe(enough ? DO_UNMAP : 'verify_bitmap_size');
  });
});

describe('v2: neither end of a range lies inside a mapping', () => {
  test.each<[string, number, number, string, number[]]>([
    // what, iova page, pages, outcome and pages unmapped or errno, mappings left
    ['exactly one mapping', 266, 10, 'ok 10', [256, 300]],
    ['two adjacent ones', 256, 20, 'ok 20', [300]],
    ['all, with holes before, between and behind', 0, 4096, 'ok 30', []],
    ['a hole', 276, 24, 'ok 0', [256, 266, 300]],
    ['nothing anywhere near', 2 ** 30, 1, 'ok 0', [256, 266, 300]],
    ['beyond the aperture', 2 ** 40, 1, 'ok 0', [256, 266, 300]],
    ['the first page of a mapping', 256, 1, 'EINVAL', [256, 266, 300]],
    ['the last page of a mapping', 265, 1, 'EINVAL', [256, 266, 300]],
    ['the middle of a mapping', 258, 3, 'EINVAL', [256, 266, 300]],
    ['one mapping and the start of the next', 256, 11, 'EINVAL', [256, 266, 300]],
    ['the end of one mapping and the next', 265, 11, 'EINVAL', [256, 266, 300]],
    ['from a hole into a mapping', 290, 15, 'EINVAL', [256, 266, 300]],
  ])('%s', (_, iovaPn, npage, expected, left) => {
    for (const kernel of kernels) {
      const made = guest({ kernel });
      const result = made.unmap(iovaPn, npage);
      expect(result.ret === 0 ? `ok ${result.size / 4096n}` : outcome(result)).toBe(expected);
      expect(made.dmas().map(([start]) => start)).toEqual(left);
    }
  });
});

describe('v1: mappings go whole or not at all', () => {
  test.each<[string, number, number, number, number[]]>([
    // what, iova page, pages, pages unmapped, mappings left
    ['exactly one mapping', 266, 10, 10, [256, 300]],
    ['its first page takes all of it', 256, 1, 10, [266, 300]],
    ['one mapping and the start of the next take both', 256, 11, 20, [300]],
    ['from a hole into a mapping takes it', 290, 15, 10, [256, 266]],
    ['its last page takes nothing', 265, 1, 0, [256, 266, 300]],
    ['from its middle on, nothing, nor what follows', 257, 100, 0, [256, 266, 300]],
    ['a hole', 276, 24, 0, [256, 266, 300]],
  ])('%s', (_, iovaPn, npage, unmapped, left) => {
    for (const kernel of kernels) {
      const made = guest({ kernel, v2: false });
      expect(made.unmap(iovaPn, npage)).toMatchObject({ ret: 0, size: bytes(unmapped) });
      expect(made.dmas().map(([start]) => start)).toEqual(left);
      expect(made.memory.vmstat.pinsHeld).toBe(10 * left.length);
    }
  });
});

describe('ALL', () => {
  test.each([true, false])('unmaps everything, v2 %o', (v2) => {
    const made = guest({ v2 });
    expect(outcome(made.map(2 ** 36 - 2, 2))).toBe('ok');
    expect(made.unmap(0, 0, ALL)).toMatchObject({ ret: 0, size: bytes(32) });
    expect([made.dmas(), made.leaves(), made.memory.vmstat.pinsHeld]).toEqual([[], [], 0]);
  });

  test('of nothing succeeds', () => {
    expect(new Guest().unmap(0, 0, ALL)).toMatchObject({ ret: 0, size: 0n });
  });
});

describe('VADDR', () => {
  test('invalidates mappings and keeps them mapped and pinned', () => {
    const made = guest();
    const leaves = made.leaves();
    expect(made.unmap(256, 20, VADDR)).toMatchObject({ ret: 0, size: bytes(20) });
    expect([...made.iommu.dmaList].map(({ vaddrInvalid }) => vaddrInvalid)).toEqual([
      true,
      true,
      false,
    ]);
    expect(made.iommu.vaddrInvalidCount).toBe(2);
    expect([made.leaves(), made.memory.vmstat.pinsHeld]).toEqual([leaves, 30]);
  });

  test('with ALL invalidates every mapping', () => {
    const made = guest();
    expect(made.unmap(0, 0, ALL | VADDR)).toMatchObject({ ret: 0, size: bytes(30) });
    expect(made.iommu.vaddrInvalidCount).toBe(3);
  });

  test.each([
    ['the first', 256],
    ['one in the middle', 266],
    ['the last', 300],
  ])('takes back what it did when one is invalid already: %s', (_, already) => {
    const made = guest();
    made.unmap(already, 10, VADDR);
    const before = made.state();
    expect(made.unmap(0, 4096, VADDR)).toMatchObject({ ret: -22, size: bytes(4096) });
    expect(made.state()).toBe(before);
    expect(made.iommu.vaddrInvalidCount).toBe(1);
    const invalid = [...made.iommu.dmaList].filter((dma) => dma.vaddrInvalid);
    expect(invalid.map(({ iovaPn }) => iovaPn)).toEqual([already]);
  });

  test('takes back the first one too, if the range begins with it', () => {
    const made = guest();
    made.unmap(266, 10, VADDR);
    expect(outcome(made.unmap(256, 20, VADDR))).toBe('EINVAL');
    const invalid = [...made.iommu.dmaList].filter((dma) => dma.vaddrInvalid);
    expect(invalid.map(({ iovaPn }) => iovaPn)).toEqual([266]);
    expect(made.iommu.vaddrInvalidCount).toBe(1);
  });

  test('obeys the rules for ends that lie inside mappings', () => {
    expect(outcome(guest().unmap(257, 5, VADDR))).toBe('EINVAL');
    const v1 = guest({ v2: false });
    expect(v1.unmap(257, 100, VADDR)).toMatchObject({ ret: 0, size: 0n });
    expect(v1.unmap(256, 1, VADDR)).toMatchObject({ ret: 0, size: bytes(10) });
  });

  test('does not keep a mapping from being unmapped', () => {
    const made = guest();
    made.unmap(256, 10, VADDR);
    expect(made.unmap(256, 10)).toMatchObject({ ret: 0, size: bytes(10) });
    expect([made.iommu.vaddrInvalidCount, made.memory.vmstat.pinsHeld]).toEqual([0, 20]);
  });
});

describe('ranges at the end of the address space', () => {
  test.each(kernels)('$name: up to 2^64 is no error, but finds nothing up to 6.17', (kernel) => {
    const made = guest({ kernel });
    const size = U64 - bytes(256);
    const found = made.iommu.rules.exclusiveEnds ? 0 : 30;
    expect(made.container.tryUnmapDma({ iova: bytes(256), size })).toMatchObject({
      ret: 0,
      size: bytes(found),
    });
  });
});

describe('a mapping that ends at 2^64, in a container without an IOMMU', () => {
  const TOP = 2 ** 52 - 4;
  const RANGE = { iova: bytes(TOP), size: bytes(4) };

  test.each(kernels.filter(({ type1 }) => type1.exclusiveEnds))('$name: is not found', (kernel) => {
    const made = new Mdev({ kernel }).map(TOP, 4);
    expect(made.pin(TOP)).toBe(minus('EINVAL'));
    made.map(TOP, 4).map(TOP - 8, 4);
    expect(made.iommu.dmaList.size).toBe(3);
    for (const range of [RANGE, { ...RANGE, iova: bytes(TOP - 8) }, ALL_OF_IT]) {
      expect(made.container.tryUnmapDma(range)).toMatchObject({ ret: 0, size: 0n });
    }
    made.container.close();
    expect(made.held).toEqual([0, 0]);
  });

  test.each(kernels.filter(({ type1 }) => !type1.exclusiveEnds))(
    '$name: is one as others',
    (kernel) => {
      const made = new Mdev({ kernel }).map(TOP, 4);
      expect(made.pin(TOP + 3)).toBe(1);
      made.releaseOnUnmap(TOP + 3);
      expect(() => made.map(TOP, 4)).toThrow('EEXIST');
      expect(made.container.unmapDma(RANGE)).toBe(bytes(4));
      made.map(TOP, 4);
      expect(made.container.unmapDma(ALL_OF_IT)).toBe(bytes(4));
    },
  );
});
