import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  foliosOf,
  map,
  NO_THP,
  pin,
  PIN_READ,
  RW,
  stateOf,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN, SMALL_PFN } from '../test/free-frames.ts';
import { folioOf } from '../test/machine.ts';
import { anonymousMemory } from './anon.ts';
import { FAULT_FLAG, handleMmFault, touchPage, VM_FAULT } from './fault.ts';
import { dupMmap } from './fork.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { munmap } from './syscalls.ts';
import { VM } from './vma.ts';
import { exitMmap } from './zap.ts';

/** A fault as its flags say, at BASE. */
function fault(mm: MmStruct, flags: number): number {
  const [vma] = mm.vmas;
  return handleMmFault(mm, vma, BASE, flags);
}

/** A written page at BASE that a child shares: order 0, or 9 with hugetlb. */
function shared(hugetlb = false): Faulting & { child: MmStruct } {
  const machine = bootFaulting({ ...NO_THP, hugePages: 2 });
  const { mm } = machine;
  if (hugetlb) map(mm, BASE, 512, new HugetlbMemory(9), RW | VM.HUGETLB);
  else map(mm, BASE, 1, anonymousMemory);
  touchPage(mm, BASE, true);
  const child = new MmStruct(machine.memory);
  dupMmap(mm, child);
  return { ...machine, child };
}

describe('a page that fork has shared', () => {
  test.each([
    ['a write', FAULT_FLAG.WRITE, 'write anonExclusive'],
    ['an unshare', FAULT_FLAG.UNSHARE, 'anonExclusive'],
  ])('is copied by %s; the other process keeps it', (_, flags, bits) => {
    const { mm, memory, child } = shared();
    expect(counting(memory, () => fault(mm, flags))).toEqual({ pageFaults: 1, pagesCopied: 1 });
    expect(entryAt(mm, BASE)).toEqual({ pfn: SMALL_PFN + 1, level: 0, bits });
    expect(entryAt(child, BASE)).toEqual({ pfn: SMALL_PFN, level: 0, bits: '' });
    expect(foliosOf(memory)).toEqual([
      [0, 1, 0],
      [0, 1, 0],
    ]);
  });

  test.each([
    ['a write', FAULT_FLAG.WRITE, 'write anonExclusive'],
    ['an unshare', FAULT_FLAG.UNSHARE, 'anonExclusive'],
  ])('is taken back by %s of the last who has it', (_, flags, bits) => {
    const { mm, memory, child } = shared();
    exitMmap(child);
    expect(counting(memory, () => fault(mm, flags))).toEqual({ pageFaults: 1 });
    expect(entryAt(mm, BASE)).toEqual({ pfn: SMALL_PFN, level: 0, bits });
  });

  test('stays as it is on a read', () => {
    const { mm, memory } = shared();
    expect(counting(memory, () => fault(mm, 0))).toEqual({ pageFaults: 1 });
    expect(entryAt(mm, BASE)).toEqual({ pfn: SMALL_PFN, level: 0, bits: '' });
  });

  test.each([
    ['a small page', false, VM_FAULT.OOM],
    ['a hugetlb page of the child', true, VM_FAULT.SIGBUS],
  ])('%s cannot be copied without a frame, and nothing changes', (_, hugetlb, code) => {
    const machine = shared(hugetlb);
    // A pool is of frames that are there: it runs out by its count.
    const pool = machine.memory.hugetlbPool(9)!;
    if (hugetlb) pool.freeHugePages = 0;
    else machine.frames.left = 0;
    const before = stateOf(machine);
    expect(fault(hugetlb ? machine.child : machine.mm, FAULT_FLAG.WRITE)).toBe(code);
    expect(stateOf(machine)).toEqual(before);
  });

  test('of hugetlb memory is taken away from the child when the pool is dry', () => {
    const { mm, memory, child } = shared(true);
    memory.hugetlbPool(9)!.freeHugePages = 0;
    expect(fault(mm, FAULT_FLAG.WRITE)).toBe(0);
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: 'write anonExclusive' });
    expect(entryAt(child, BASE)).toBeNull();
    expect(foliosOf(memory)).toEqual([[9, 1, 0]]);
  });

  test('of hugetlb memory is copied whole', () => {
    const { mm, memory, child } = shared(true);
    expect(counting(memory, () => fault(mm, FAULT_FLAG.WRITE))).toEqual({
      pageFaults: 1,
      pagesCopied: 512,
    });
    expect(entryAt(mm, BASE)).toEqual({
      pfn: HUGE_PFN + 512,
      level: 1,
      bits: 'write anonExclusive',
    });
    expect(entryAt(child, BASE)?.pfn).toBe(HUGE_PFN);
    exitMmap(mm);
    exitMmap(child);
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 2, resvHugePages: 0 });
  });
});

describe('a page that is this process’s alone', () => {
  test('is reused by a write, however often it is pinned', () => {
    const machine = bootFaulting(NO_THP);
    const { mm, memory } = machine;
    map(mm, BASE, 1, anonymousMemory);
    expect(pin(mm, BASE, 1, PIN_READ).pfns).toEqual([SMALL_PFN]);
    expect(entryAt(mm, BASE)).toMatchObject({ bits: 'anonExclusive' });
    expect(counting(memory, () => fault(mm, FAULT_FLAG.WRITE))).toEqual({ pageFaults: 1 });
    expect(entryAt(mm, BASE)).toEqual({ pfn: SMALL_PFN, level: 0, bits: 'write anonExclusive' });
  });
});

describe('a page of a file in a private mapping', () => {
  test('is copied though this is its only mapping, and the file keeps its page', () => {
    const { mm, memory, memmap } = bootFaulting();
    const file = new MappedFile('shmem', 1);
    map(mm, BASE, 1, file);
    touchPage(mm, BASE, false);
    expect(folioOf(memmap, SMALL_PFN)).toMatchObject({ refcount: 2 });
    expect(counting(memory, () => fault(mm, FAULT_FLAG.WRITE))).toEqual({
      pageFaults: 1,
      pagesCopied: 1,
    });
    expect(entryAt(mm, BASE)?.pfn).toBe(SMALL_PFN + 1);
    expect(folioOf(memmap, SMALL_PFN)).toMatchObject({ refcount: 1 });
  });
});

describe('a page of a folio of 64 KiB that was shared', () => {
  /** Written at BASE, with a child; the child has ended unless it stays. */
  function folio(largeAnonReuse: 'never' | 'sole-mapper', stays = false): Faulting {
    const machine = bootFaulting({ thp: { orders: { 4: 'always' } }, rules: { largeAnonReuse } });
    const { mm, memory } = machine;
    map(mm, BASE, 16, anonymousMemory);
    touchPage(mm, BASE, true);
    const child = new MmStruct(memory);
    dupMmap(mm, child);
    if (!stays) exitMmap(child);
    return machine;
  }

  /** Pages copied by a write to BASE. */
  function copiedBy({ mm, memory }: Faulting): number {
    return counting(memory, () => fault(mm, FAULT_FLAG.WRITE)).pagesCopied ?? 0;
  }

  test('is kept since 6.15, and always copied before', () => {
    expect(copiedBy(folio('sole-mapper'))).toBe(0);
    expect(copiedBy(folio('never'))).toBe(1);
  });

  test('is copied while the child lives, or another page is pinned', () => {
    expect(copiedBy(folio('sole-mapper', true))).toBe(1);
    const machine = folio('sole-mapper');
    pin(machine.mm, BASE + 3, 1, PIN_READ);
    expect(copiedBy(machine)).toBe(1);
  });

  test('is kept while a child lives that maps other memory only', () => {
    const machine = folio('sole-mapper', true);
    for (const mm of machine.memory.addressSpaces) {
      if (mm !== machine.mm) munmap(mm, BASE, 16);
    }
    expect(copiedBy(machine)).toBe(0);
  });

  test.each(['never', 'sole-mapper'] as const)('is copied as the last one mapped: %s', (rule) => {
    const machine = folio(rule);
    munmap(machine.mm, BASE + 1, 15);
    expect(copiedBy(machine)).toBe(1);
  });
});
