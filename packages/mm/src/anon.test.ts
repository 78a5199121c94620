import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  foliosOf,
  framesAt,
  map,
  NO_THP,
  RW,
  stateOf,
  type FaultBoot,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN, SMALL_PFN } from '../test/free-frames.ts';
import { anonymousMemory, splitHugePmd } from './anon.ts';
import { touchPage, VM_FAULT } from './fault.ts';
import { dupMmap } from './fork.ts';
import { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { PciBar } from './pci-bar.ts';
import { munmap } from './syscalls.ts';
import { VM } from './vma.ts';
import { exitMmap } from './zap.ts';

/** A machine with anonymous memory from BASE on. */
function anon(npage: number, options: FaultBoot = {}, flags = RW): Faulting {
  const machine = bootFaulting(options);
  map(machine.mm, BASE, npage, anonymousMemory, flags);
  return machine;
}

const ZERO = { pfn: 1, level: 0, bits: 'special' };

describe('a write to untouched memory', () => {
  test('gets a zeroed page of its own with one reference', () => {
    const { mm, memory } = anon(4, NO_THP);
    expect(counting(memory, () => touchPage(mm, BASE + 2, true))).toEqual({
      pageFaults: 1,
      pagesZeroed: 1,
    });
    expect(entryAt(mm, BASE + 2)).toEqual({
      pfn: SMALL_PFN,
      level: 0,
      bits: 'write anonExclusive',
    });
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
    expect(framesAt(mm, BASE, 4)).toEqual([-1, -1, SMALL_PFN, -1]);
  });

  test('gets a THP in one leaf with one reference, where 2 MiB lie in the VMA', () => {
    const { mm, memory } = anon(1024);
    expect(counting(memory, () => touchPage(mm, BASE + 700, true))).toEqual({
      pageFaults: 1,
      pagesZeroed: 512,
    });
    const thp = { pfn: HUGE_PFN, level: 1, bits: 'write anonExclusive' };
    expect(entryAt(mm, BASE + 512)).toEqual(thp);
    expect(entryAt(mm, BASE + 1023)).toEqual({ ...thp, pfn: HUGE_PFN + 511 });
    expect(foliosOf(memory)).toEqual([[9, 1, 0]]);
    expect(entryAt(mm, BASE + 511)).toBeNull();
  });

  test.each([
    ['the block begins before the VMA', 1, 512],
    ['the block ends behind the VMA', 0, 511],
  ])('gets 4 KiB where %s', (_, skip, npage) => {
    const { mm, memory } = bootFaulting();
    map(mm, BASE + skip, npage, anonymousMemory);
    touchPage(mm, BASE + 300, true);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
  });

  test('gets 4 KiB where the block has a page table', () => {
    const { mm, memory } = anon(512, NO_THP);
    touchPage(mm, BASE, true);
    memory.thp = { ...memory.thp, enabled: 'always' };
    touchPage(mm, BASE + 1, true);
    expect(foliosOf(memory)).toEqual([
      [0, 1, 0],
      [0, 1, 0],
    ]);
  });

  test('gets 4 KiB where no THP is free', () => {
    const { mm, memory, frames } = anon(512);
    frames.maxOrder = 8;
    expect(touchPage(mm, BASE + 5, true)).toBe(0);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
  });

  test.each([{}, NO_THP, { thp: { orders: { 2: 'always', 4: 'always' } } }] as FaultBoot[])(
    'is out of memory without a frame, and nothing changes: %o',
    (options) => {
      const machine = anon(512, options);
      machine.frames.left = 0;
      const before = stateOf(machine);
      expect(touchPage(machine.mm, BASE + 20, true)).toBe(VM_FAULT.OOM);
      expect(stateOf(machine)).toEqual(before);
    },
  );
});

describe('mTHP', () => {
  const orders: FaultBoot = { thp: { orders: { 2: 'always', 4: 'always' } } };

  test('maps every page of the folio, with a reference for each', () => {
    const { mm, memory } = anon(512, orders);
    expect(counting(memory, () => touchPage(mm, BASE + 21, true))).toEqual({
      pageFaults: 1,
      pagesZeroed: 16,
    });
    expect(framesAt(mm, BASE + 15, 18)).toEqual([
      -1,
      ...Array.from({ length: 16 }, (_, i) => SMALL_PFN + i),
      -1,
    ]);
    expect(entryAt(mm, BASE + 31)).toMatchObject({ level: 0, bits: 'write anonExclusive' });
    expect(foliosOf(memory)).toEqual([[4, 16, 0]]);
  });

  test('is smaller where a page of the block is mapped', () => {
    const { mm, memory } = anon(512, NO_THP);
    touchPage(mm, BASE + 17, false);
    memory.thp = { ...memory.thp, orders: orders.thp?.orders ?? {} };
    touchPage(mm, BASE + 25, true);
    expect(framesAt(mm, BASE + 23, 6).map((pfn) => pfn >= 0)).toEqual([
      false,
      true,
      true,
      true,
      true,
      false,
    ]);
    touchPage(mm, BASE + 18, true);
    expect(foliosOf(memory).map(([order, refs]) => [order, refs])).toEqual([
      [2, 4],
      [0, 1],
    ]);
  });

  test('is smaller where the VMA cuts the block', () => {
    const { mm, memory } = bootFaulting(orders);
    map(mm, BASE + 20, 10, anonymousMemory);
    touchPage(mm, BASE + 22, true);
    touchPage(mm, BASE + 29, true);
    expect(foliosOf(memory).map(([order]) => order)).toEqual([2, 0]);
  });

  test('is smaller where none of the larger order is free', () => {
    const { mm, memory, frames } = anon(512, orders);
    frames.maxOrder = 3;
    touchPage(mm, BASE + 22, true);
    expect(foliosOf(memory)).toEqual([[2, 4, 0]]);
  });

  test('is not asked for by a read, nor by a write to the zero page', () => {
    const { mm, memory } = anon(512, orders);
    touchPage(mm, BASE + 22, false);
    expect(entryAt(mm, BASE + 22)).toEqual(ZERO);
    touchPage(mm, BASE + 22, true);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
  });

  test('serves where a THP does not fit', () => {
    const { mm, memory } = anon(500, { thp: { orders: { 4: 'always', 9: 'always' } } });
    touchPage(mm, BASE + 3, true);
    expect(foliosOf(memory)).toEqual([[4, 16, 0]]);
  });
});

describe('a read of untouched memory', () => {
  test('maps the zero page, without reference', () => {
    const { mm, memory } = anon(4, NO_THP);
    expect(counting(memory, () => touchPage(mm, BASE, false))).toEqual({ pageFaults: 1 });
    expect(entryAt(mm, BASE)).toEqual(ZERO);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('maps the huge zero page, where a THP could be', () => {
    const { mm, memory } = anon(600);
    expect(counting(memory, () => touchPage(mm, BASE + 7, false))).toEqual({ pageFaults: 1 });
    expect(entryAt(mm, BASE + 7)).toEqual({ pfn: 512 + 7, level: 1, bits: 'special' });
    touchPage(mm, BASE + 512, false);
    expect(entryAt(mm, BASE + 512)).toEqual(ZERO);
    expect(foliosOf(memory)).toEqual([]);
  });

  test.each([
    ['writable', RW, 'write anonExclusive'],
    ['read-only', VM.READ, 'anonExclusive'],
  ])('gets a THP if use_zero_page is off, %s as its VMA', (_, flags, bits) => {
    const { mm, memory } = anon(512, { thp: { useZeroPage: false } }, flags);
    expect(counting(memory, () => touchPage(mm, BASE, false))).toEqual({
      pageFaults: 1,
      pagesZeroed: 512,
    });
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits });
  });
});

describe('a write to the zero page', () => {
  test('gets a zeroed page, nothing is copied', () => {
    const { mm, memory } = anon(4, NO_THP);
    touchPage(mm, BASE, false);
    expect(counting(memory, () => touchPage(mm, BASE, true))).toEqual({
      pageFaults: 1,
      pagesZeroed: 1,
    });
    expect(entryAt(mm, BASE)).toEqual({ pfn: SMALL_PFN, level: 0, bits: 'write anonExclusive' });
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
  });

  test('of 2 MiB gets a THP', () => {
    const { mm, memory } = anon(512);
    touchPage(mm, BASE, false);
    expect(counting(memory, () => touchPage(mm, BASE + 9, true))).toEqual({
      pageFaults: 1,
      pagesZeroed: 512,
    });
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: 'write anonExclusive' });
    expect(foliosOf(memory)).toEqual([[9, 1, 0]]);
  });

  test.each<[string, FaultBoot, number]>([
    ['by the rules of the release', { rules: { hugeZeroUnshare: 'split' } }, 18],
    ['without a free THP', {}, 0],
  ])('of 2 MiB gets a page, and 511 zero pages around it, %s', (_, options, maxOrder) => {
    const { mm, memory, frames } = anon(512, options);
    touchPage(mm, BASE, false);
    frames.maxOrder = maxOrder;
    expect(counting(memory, () => touchPage(mm, BASE + 9, true))).toEqual({
      pageFaults: 1,
      pagesZeroed: 1,
    });
    const pfns = framesAt(mm, BASE, 512);
    expect(pfns[9]).toBe(SMALL_PFN);
    expect(pfns.filter((pfn) => pfn === 1)).toHaveLength(511);
    expect(entryAt(mm, BASE + 8)).toEqual(ZERO);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
  });

  test('is out of memory without a frame: the zero page stays', () => {
    const machine = anon(4, NO_THP);
    touchPage(machine.mm, BASE, false);
    machine.frames.left = 0;
    const before = stateOf(machine);
    expect(touchPage(machine.mm, BASE, true)).toBe(VM_FAULT.OOM);
    expect(stateOf(machine)).toEqual(before);
  });
});

describe('a write to a THP that a child shares', () => {
  function forked(): Faulting & { child: MmStruct } {
    const machine = anon(512);
    touchPage(machine.mm, BASE, true);
    const child = new MmStruct(machine.memory);
    dupMmap(machine.mm, child);
    return { ...machine, child };
  }

  test('splits the writer’s leaf and copies one page', () => {
    const { mm, memory, child } = forked();
    expect(foliosOf(memory)).toEqual([[9, 2, 0]]);
    expect(counting(memory, () => touchPage(mm, BASE + 5, true))).toEqual({
      pageFaults: 1,
      pagesCopied: 1,
    });
    expect(framesAt(mm, BASE + 4, 3)).toEqual([HUGE_PFN + 4, SMALL_PFN, HUGE_PFN + 6]);
    expect(entryAt(mm, BASE + 4)).toMatchObject({ level: 0, bits: '' });
    expect(entryAt(child, BASE + 5)).toEqual({ pfn: HUGE_PFN + 5, level: 1, bits: '' });
    // 511 small leaves of the parent, the large one of the child.
    expect(foliosOf(memory)).toEqual([
      [0, 1, 0],
      [9, 512, 0],
    ]);
  });

  test('takes the THP back once the child has gone', () => {
    const { mm, memory, child } = forked();
    exitMmap(child);
    expect(counting(memory, () => touchPage(mm, BASE + 5, true))).toEqual({ pageFaults: 1 });
    expect(entryAt(mm, BASE + 5)).toEqual({
      pfn: HUGE_PFN + 5,
      level: 1,
      bits: 'write anonExclusive',
    });
  });
});

describe('splitting a PMD leaf', () => {
  test('of anonymous memory keeps frames and bits, and adds 511 references', () => {
    const { mm, memory } = anon(512);
    touchPage(mm, BASE, true);
    splitHugePmd(mm, BASE + 100);
    expect(framesAt(mm, BASE, 512)).toEqual(Array.from({ length: 512 }, (_, i) => HUGE_PFN + i));
    expect(entryAt(mm, BASE + 511)).toMatchObject({ level: 0, bits: 'write anonExclusive' });
    expect(foliosOf(memory)).toEqual([[9, 512, 0]]);
    munmap(mm, BASE + 1, 511);
    expect(foliosOf(memory)).toEqual([[9, 1, 0]]);
    munmap(mm, BASE, 1);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('of the huge zero page makes zero pages', () => {
    const { mm, memory } = anon(512);
    touchPage(mm, BASE, false);
    splitHugePmd(mm, BASE);
    expect(new Set(framesAt(mm, BASE, 512))).toEqual(new Set([1]));
    expect(entryAt(mm, BASE + 511)).toEqual(ZERO);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('of a device clears it', () => {
    const { mm } = bootFaulting();
    map(mm, BASE, 512, new PciBar(2 ** 26, 512), RW | VM.SHARED | VM.PFNMAP | VM.IO);
    touchPage(mm, BASE, true);
    expect(entryAt(mm, BASE)?.level).toBe(1);
    splitHugePmd(mm, BASE + 3);
    expect(framesAt(mm, BASE, 512)).toEqual(Array(512).fill(-1));
  });

  test('of a file clears it, and drops its reference', () => {
    const { mm, memory } = bootFaulting({ thp: { shmem: 'always' } });
    map(mm, BASE, 512, new MappedFile('shmem', 512), RW | VM.SHARED);
    touchPage(mm, BASE, true);
    expect(foliosOf(memory)).toEqual([[9, 2, 0]]);
    splitHugePmd(mm, BASE);
    expect(framesAt(mm, BASE, 512)).toEqual(Array(512).fill(-1));
    expect(foliosOf(memory)).toEqual([[9, 1, 0]]);
  });
});
