import { InputError } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { BASE, bootFaulting, counting, foliosOf, stateOf } from '../test/faulting.ts';
import { HUGE_PFN, SMALL_PFN } from '../test/free-frames.ts';
import { allocCopyOfFolio, allocZeroedFolio, vmaAllocFolio } from './fault-folio.ts';
import type { FrameRun, FrameSource } from './frame-source.ts';
import { PG } from './page-state.ts';

/** A source that always gives one answer. */
function always(answer: Partial<FrameRun>): FrameSource {
  return { framesFor: (_vpn, _npage, _order, out) => void Object.assign(out, answer) };
}

describe('a folio for a fault', () => {
  test('has one reference and its flags', () => {
    const { mm, memmap } = bootFaulting();
    expect(vmaAllocFolio(mm, BASE, 9, PG.anon)).toBe(HUGE_PFN);
    expect([...memmap.foliosInUse()]).toEqual([
      { pfn: HUGE_PFN, order: 9, refcount: 1, pincount: 0, flags: PG.anon },
    ]);
  });

  test.each([
    ['zeroed', allocZeroedFolio, { pagesZeroed: 512 }],
    ['copied', allocCopyOfFolio, { pagesCopied: 512 }],
    ['neither', vmaAllocFolio, {}],
  ])('is counted page by page when it is %s', (_, alloc, counted) => {
    const { mm, memory } = bootFaulting();
    expect(counting(memory, () => alloc(mm, BASE, 9, PG.anon))).toEqual(counted);
  });

  test.each<[string, number, Partial<FrameRun>]>([
    ['no frame', 0, { pfn: -1 }],
    ['a folio of a smaller order', 9, { pfn: HUGE_PFN, npage: 512, order: 8 }],
    ['a part of a folio', 9, { pfn: HUGE_PFN, npage: 256, order: 9 }],
    ['a folio that is not aligned', 9, { pfn: HUGE_PFN + 1, npage: 512, order: 9 }],
  ])('is refused where the source has %s: nothing is counted, nothing changes', (_, order, run) => {
    const machine = bootFaulting();
    const { mm, memory } = machine;
    memory.frames = always(run);
    const before = stateOf(machine);
    for (const alloc of [vmaAllocFolio, allocZeroedFolio, allocCopyOfFolio]) {
      expect(counting(memory, () => alloc(mm, BASE, order, PG.anon))).toEqual({});
      expect(alloc(mm, BASE, order, PG.anon)).toBe(-1);
    }
    expect(stateOf(machine)).toEqual(before);
  });

  test('is none without a source', () => {
    const { mm, memory } = bootFaulting();
    memory.frames = null;
    expect(vmaAllocFolio(mm, BASE, 0, PG.anon)).toBe(-1);
  });

  test('comes from the source of its address space, if that has one', () => {
    const { mm, memory } = bootFaulting();
    mm.frames = always({ pfn: SMALL_PFN + 77, npage: 1, order: 0 });
    expect(vmaAllocFolio(mm, BASE, 0, PG.anon)).toBe(SMALL_PFN + 77);
    mm.frames = null;
    expect(vmaAllocFolio(mm, BASE, 0, PG.anon)).toBe(SMALL_PFN);
    expect(foliosOf(memory)).toHaveLength(2);
  });

  test('of frames in use is a wrong input', () => {
    const { mm, memory } = bootFaulting();
    memory.frames = always({ pfn: SMALL_PFN, npage: 1, order: 0 });
    vmaAllocFolio(mm, BASE, 0, PG.anon);
    expect(() => vmaAllocFolio(mm, BASE, 0, PG.anon)).toThrow(InputError);
  });

  test('of hugetlb comes out of its pool', () => {
    const { mm, memory } = bootFaulting({ hugePages: 1 });
    const pool = memory.hugetlbPool(9);
    expect(vmaAllocFolio(mm, BASE, 9, PG.anon)).toBe(HUGE_PFN);
    expect(pool?.freeHugePages).toBe(1);
    expect(vmaAllocFolio(mm, BASE, 9, PG.hugetlb)).toBe(HUGE_PFN + 512);
    expect(pool?.freeHugePages).toBe(0);
    expect(vmaAllocFolio(mm, BASE, 9, PG.hugetlb)).toBe(-1);
  });

  test('of hugetlb that the source refuses goes back to the pool', () => {
    const { mm, memory, frames } = bootFaulting({ hugePages: 1 });
    frames.left = 0;
    expect(vmaAllocFolio(mm, BASE, 9, PG.hugetlb)).toBe(-1);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(1);
  });

  test('of a hugetlb size without a pool is any free one', () => {
    const { mm } = bootFaulting();
    expect(vmaAllocFolio(mm, BASE, 9, PG.hugetlb)).toBe(HUGE_PFN);
  });
});
