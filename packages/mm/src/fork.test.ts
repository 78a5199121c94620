import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  counting,
  entryAt,
  foliosOf,
  framesAt,
  leavesOf,
  map,
  NO_THP,
  pin,
  PIN_READ,
  PIN_WRITE,
  RW,
  type FaultBoot,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN, SMALL_PFN } from '../test/free-frames.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage, type VmOperations } from './fault.ts';
import { dupMmap } from './fork.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { MmStruct, Task } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { PciBar } from './pci-bar.ts';
import { adviseDontneed, mlock, munmap } from './syscalls.ts';
import { unpinUserPages } from './unpin.ts';
import { VM } from './vma.ts';
import { exitMmap } from './zap.ts';

/** A machine with written anonymous memory at BASE. */
function written(npage: number, options: FaultBoot = NO_THP): Faulting {
  const machine = bootFaulting(options);
  map(machine.mm, BASE, npage, anonymousMemory);
  for (let i = 0; i < npage; i++) touchPage(machine.mm, BASE + i, true);
  return machine;
}

function fork(parent: MmStruct): MmStruct {
  const child = new MmStruct(parent.memory);
  expect(dupMmap(parent, child)).toBe(0);
  return child;
}

describe('the child of a fork', () => {
  test('shares pages, and nobody may write them', () => {
    const { mm, memory } = written(2);
    let child = mm;
    expect(counting(memory, () => (child = fork(mm)))).toEqual({});
    expect(framesAt(child, BASE, 2)).toEqual(framesAt(mm, BASE, 2));
    expect([entryAt(mm, BASE)?.bits, entryAt(child, BASE)?.bits]).toEqual(['', '']);
    expect(foliosOf(memory)).toEqual([
      [0, 2, 0],
      [0, 2, 0],
    ]);
  });

  test('has the same areas, without locks and their charge', () => {
    const { mm } = written(4);
    mlock(new Task(mm), BASE + 1, 2, true);
    const child = fork(mm);
    expect([...child.vmas].map(({ start, end, flags }) => [start, end, flags & VM.LOCKED])).toEqual(
      [
        [BASE, BASE + 1, 0],
        [BASE + 1, BASE + 3, 0],
        [BASE + 3, BASE + 4, 0],
      ],
    );
    expect([mm.lockedVm, child.lockedVm]).toEqual([2, 0]);
  });

  test('has zero pages and device memory too, shared files not until it asks', () => {
    const { mm, memory } = bootFaulting(NO_THP);
    const file = new MappedFile('shmem', 1);
    map(mm, BASE, 2, anonymousMemory);
    map(mm, BASE + 2, 1, file, RW | VM.SHARED);
    map(mm, BASE + 3, 1, new PciBar(2 ** 26, 1), RW | VM.SHARED | VM.PFNMAP | VM.IO);
    touchPage(mm, BASE + 1, true);
    for (const i of [0, 2, 3]) touchPage(mm, BASE + i, false);
    const child = fork(mm);
    expect(framesAt(child, BASE, 4)).toEqual([1, SMALL_PFN, -1, 2 ** 26]);
    touchPage(child, BASE + 2, true);
    expect(entryAt(child, BASE + 2)?.pfn).toBe(entryAt(mm, BASE + 2)?.pfn);
    expect(foliosOf(memory)).toEqual([
      [0, 2, 0],
      [0, 3, 0],
    ]);
  });

  test.each<[string, VmOperations]>([
    ['of a file', new MappedFile('shmem', 4)],
    ['that was only read', anonymousMemory],
  ])('gets the entries of private memory %s only if that had a page of its own', (_, ops) => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE, 4, ops);
    touchPage(mm, BASE, false);
    expect(framesAt(fork(mm), BASE, 1)).toEqual([-1]);
    // The area has had one, though it is gone.
    touchPage(mm, BASE + 1, true);
    adviseDontneed(mm, BASE + 1, 1);
    expect(framesAt(fork(mm), BASE, 2)).toEqual(framesAt(mm, BASE, 2));
    // So has each part of it, and what is joined to one.
    munmap(mm, BASE + 1, 2);
    expect(framesAt(fork(mm), BASE, 1)).toEqual(framesAt(mm, BASE, 1));
    touchPage(mm, BASE + 3, false);
    map(mm, BASE + 1, 2, ops, RW, 1);
    touchPage(mm, BASE + 2, false);
    expect(framesAt(fork(mm), BASE, 4)).toEqual(framesAt(mm, BASE, 4));
  });

  test.each([
    ['before', 0, 1],
    ['behind', 1, 0],
  ])('gets the entries of an area that was joined to one with pages, %s it', (_, own, other) => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE + own, 1, anonymousMemory);
    touchPage(mm, BASE + own, true);
    map(mm, BASE + other, 1, anonymousMemory);
    touchPage(mm, BASE + other, false);
    expect([...mm.vmas]).toHaveLength(1);
    expect(framesAt(fork(mm), BASE + other, 1)).toEqual([1]);
  });

  test('has the huge zero page', () => {
    const { mm } = bootFaulting();
    map(mm, BASE, 512, anonymousMemory);
    touchPage(mm, BASE, false);
    expect(entryAt(fork(mm), BASE)).toEqual({ pfn: 512, level: 1, bits: 'special' });
  });

  test.each([
    ['the parent', 0],
    ['the child', 1],
  ])('gets its own page when %s writes, and only one is copied', (_, writer) => {
    const { mm, memory } = written(1);
    const both = [mm, fork(mm)];
    const [first, second] = [both[writer], both[1 - writer]];
    expect(counting(memory, () => touchPage(first, BASE, true)).pagesCopied).toBe(1);
    expect(counting(memory, () => touchPage(second, BASE, true))).toEqual({ pageFaults: 1 });
    expect([entryAt(first, BASE)?.pfn, entryAt(second, BASE)?.pfn]).toEqual([
      SMALL_PFN + 1,
      SMALL_PFN,
    ]);
    exitMmap(mm);
    exitMmap(both[1]);
    expect(foliosOf(memory)).toEqual([]);
  });
});

describe('a page that is pinned', () => {
  test.each([
    ['to write', PIN_WRITE],
    ['to read', PIN_READ],
  ])('%s stays the parent’s; the child gets a copy at once, which it may write', (_, flags) => {
    const { mm, memory } = written(2);
    const { pfns } = pin(mm, BASE, 1, flags);
    let child = mm;
    expect(counting(memory, () => (child = fork(mm)))).toEqual({ pagesCopied: 1 });
    expect(framesAt(mm, BASE, 1)).toEqual(pfns);
    expect(entryAt(mm, BASE)?.bits).toBe('write anonExclusive');
    expect(entryAt(child, BASE)).toEqual({
      pfn: SMALL_PFN + 2,
      level: 0,
      bits: 'write anonExclusive',
    });
    for (const space of [mm, child]) {
      expect(counting(memory, () => touchPage(space, BASE, true))).toEqual({});
    }
    // The page that is not pinned is shared as ever.
    expect(entryAt(child, BASE + 1)?.pfn).toBe(entryAt(mm, BASE + 1)?.pfn);
  });

  test('no more is shared again', () => {
    const { mm, memory } = written(1);
    const { pages } = pin(mm, BASE, 1);
    unpinUserPages(memory, pages, 1);
    expect(counting(memory, () => fork(mm))).toEqual({});
  });

  test.each([
    ['copied, if the process has ever pinned', true, 1],
    ['shared, if it never has', false, 0],
  ])('cannot be told from a small one with 1024 references: it is %s', (_, pinned, copied) => {
    const { mm, memory, memmap } = written(2);
    if (pinned) pin(mm, BASE + 1, 1);
    mm.memory.memmap.refcount[memmap.headEntryOf(SMALL_PFN)] += 1023;
    const counted = counting(memory, () => fork(mm));
    // The pin itself has its page copied too.
    expect(counted.pagesCopied ?? 0).toBe(copied + (pinned ? 1 : 0));
  });

  test('of a THP has it split and copied page by page', () => {
    const { mm, memory } = written(512, {});
    pin(mm, BASE + 9, 1);
    const child = new MmStruct(memory);
    expect(counting(memory, () => dupMmap(mm, child))).toEqual({ pagesCopied: 512 });
    expect([entryAt(mm, BASE)?.level, entryAt(child, BASE)?.level]).toEqual([0, 0]);
    expect(entryAt(mm, BASE + 9)?.pfn).toBe(HUGE_PFN + 9);
    expect(foliosOf(memory)).toEqual([...Array<number[]>(512).fill([0, 1, 0]), [9, 513, 1]]);
  });

  test('of hugetlb memory is copied whole', () => {
    const { mm, memory } = bootFaulting({ hugePages: 2 });
    map(mm, BASE, 512, new HugetlbMemory(9), RW | VM.HUGETLB);
    pin(mm, BASE, 1);
    const child = new MmStruct(memory);
    expect(counting(memory, () => dupMmap(mm, child))).toEqual({ pagesCopied: 512 });
    expect([entryAt(mm, BASE), entryAt(child, BASE)]).toEqual([
      { pfn: HUGE_PFN, level: 1, bits: 'write anonExclusive' },
      { pfn: HUGE_PFN + 512, level: 1, bits: 'write anonExclusive' },
    ]);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(0);
  });

  test('cannot be copied without a frame: ENOMEM, and the child is empty', () => {
    const { mm, memory, frames } = written(4);
    pin(mm, BASE + 3, 1);
    frames.left = 0;
    const child = new MmStruct(memory);
    expect(dupMmap(mm, child)).toBe(-Errno.ENOMEM);
    expect([leavesOf(child), [...child.vmas]]).toEqual([0, []]);
    expect(foliosOf(memory).map(([, refs]) => refs)).toEqual([1, 1, 1, 1025]);
    expect(framesAt(mm, BASE, 4)).toEqual([0, 1, 2, 3].map((i) => SMALL_PFN + i));
  });
});

describe('a THP', () => {
  test('is shared in one leaf', () => {
    const { mm, memory } = written(512, {});
    const child = fork(mm);
    expect(entryAt(child, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: '' });
    expect(foliosOf(memory)).toEqual([[9, 2, 0]]);
    exitMmap(mm);
    exitMmap(child);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('is copied by a longterm pin to read, while the child shares it', () => {
    const { mm, memory } = written(512, {});
    fork(mm);
    const counted = counting(memory, () => pin(mm, BASE, 2, PIN_READ));
    expect(counted).toMatchObject({ pageFaults: 2, pagesCopied: 2 });
    expect(framesAt(mm, BASE, 3)).toEqual([SMALL_PFN, SMALL_PFN + 1, HUGE_PFN + 2]);
  });
});
