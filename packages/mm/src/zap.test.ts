import { describe, expect, test } from 'vitest';
import {
  BASE,
  bootFaulting,
  entryAt,
  foliosOf,
  framesAt,
  leavesOf,
  map,
  NO_THP,
  pin,
  RW,
  type FaultBoot,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN, SMALL_PFN } from '../test/free-frames.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage } from './fault.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { MappedFile } from './page-cache.ts';
import { PciBar } from './pci-bar.ts';
import { munmap } from './syscalls.ts';
import { unpinUserPages } from './unpin.ts';
import { VM } from './vma.ts';
import { exitMmap, freePgtables, splitAt, zapRange } from './zap.ts';

/** A machine with written anonymous memory at BASE. */
function written(npage: number, options: FaultBoot = {}): Faulting {
  const machine = bootFaulting(options);
  map(machine.mm, BASE, npage, anonymousMemory);
  for (let i = 0; i < npage; i++) touchPage(machine.mm, BASE + i, true);
  return machine;
}

describe('zapping a range', () => {
  test('clears its entries, frees its pages, and leaves the others', () => {
    const { mm, memory } = written(4, NO_THP);
    zapRange(mm, BASE + 1, BASE + 3);
    expect(framesAt(mm, BASE, 4)).toEqual([SMALL_PFN, -1, -1, SMALL_PFN + 3]);
    expect(foliosOf(memory)).toEqual([
      [0, 1, 0],
      [0, 1, 0],
    ]);
  });

  test('of a whole THP drops the one reference of its leaf', () => {
    const { mm, memory } = written(512);
    zapRange(mm, BASE, BASE + 512);
    expect(foliosOf(memory)).toEqual([]);
    expect(mm.pageTable.none(BASE, 1)).toBe(true);
  });

  test.each([
    ['the first page', 0, 1],
    ['the last page', 511, 512],
    ['pages in the middle', 100, 103],
  ])('of %s of a THP splits it: the folio keeps a reference per page left', (_, from, to) => {
    const { mm, memory } = written(512);
    zapRange(mm, BASE + from, BASE + to);
    const left = 512 - (to - from);
    expect(foliosOf(memory)).toEqual([[9, left, 0]]);
    expect(leavesOf(mm)).toBe(left);
    expect(framesAt(mm, BASE + from, to - from)).toEqual(Array(to - from).fill(-1));
    zapRange(mm, BASE, BASE + 512);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('leaves a pinned folio to its pins, mapped nowhere', () => {
    const { mm, memory } = written(513);
    const { pages } = pin(mm, BASE + 511, 2);
    zapRange(mm, BASE, BASE + 513);
    expect(leavesOf(mm)).toBe(0);
    expect(foliosOf(memory)).toEqual([
      [0, 1024, 0],
      [9, 1, 1],
    ]);
    unpinUserPages(memory, pages, 2);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('a page comes back as another one while the old one is pinned', () => {
    const { mm } = written(1, NO_THP);
    pin(mm, BASE, 1);
    zapRange(mm, BASE, BASE + 1);
    touchPage(mm, BASE, true);
    expect(entryAt(mm, BASE)?.pfn).toBe(SMALL_PFN + 1);
  });

  test('drops no reference for zero pages', () => {
    const { mm, memory } = bootFaulting();
    map(mm, BASE, 600, anonymousMemory);
    for (const vpn of [BASE, BASE + 599]) touchPage(mm, vpn, false);
    zapRange(mm, BASE + 5, BASE + 600);
    expect(framesAt(mm, BASE, 6)).toEqual([1, 1, 1, 1, 1, -1]);
    expect(foliosOf(memory)).toEqual([]);
  });
});

describe('splitting at a page', () => {
  test.each([
    ['inside a THP splits its leaf', 7, 0, 512],
    ['at the start of a THP does nothing', 0, 1, 1],
    ['behind a THP does nothing', 512, 1, 1],
  ])('%s', (_, offset, level, refcount) => {
    const { mm, memory } = written(512);
    splitAt(mm, BASE + offset);
    expect(entryAt(mm, BASE)?.level).toBe(level);
    expect(foliosOf(memory)).toEqual([[9, refcount, 0]]);
  });
});

describe('page tables', () => {
  test('go when no VMA is left in their 2 MiB', () => {
    const { mm } = written(600, NO_THP);
    expect(mm.pageTable.ptes.live).toBe(2);
    munmap(mm, BASE, 512);
    expect([mm.pageTable.ptes.live, mm.pageTable.none(BASE, 1)]).toEqual([1, true]);
    munmap(mm, BASE + 512, 87);
    expect(mm.pageTable.ptes.live).toBe(1);
    munmap(mm, BASE + 599, 1);
    expect(mm.pageTable.ptes.live).toBe(0);
  });

  test('stay while a VMA lies in their 2 MiB, though nothing is mapped', () => {
    const { mm } = written(2, NO_THP);
    zapRange(mm, BASE, BASE + 2);
    freePgtables(mm, BASE, BASE + 2);
    expect([mm.pageTable.ptes.live, mm.pageTable.none(BASE, 1)]).toEqual([1, false]);
  });

  test('that went make room for a THP', () => {
    const { mm, memory } = written(512, NO_THP);
    memory.thp = { ...memory.thp, enabled: 'always' };
    munmap(mm, BASE, 512);
    map(mm, BASE, 512, anonymousMemory);
    touchPage(mm, BASE, true);
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: 'write anonExclusive' });
  });
});

describe('the end of an address space', () => {
  test('takes every mapping of every kind, and frees what nobody else has', () => {
    const machine = bootFaulting({ hugePages: 1 });
    const { mm, memory } = machine;
    const file = new MappedFile('shmem', 4);
    map(mm, BASE, 600, anonymousMemory);
    map(mm, BASE + 1024, 512, new HugetlbMemory(9), RW | VM.HUGETLB);
    map(mm, BASE + 2048, 4, file, RW | VM.SHARED);
    map(mm, BASE + 3000, 4, file);
    map(mm, BASE + 4096, 512, new PciBar(2 ** 26, 512), RW | VM.SHARED | VM.PFNMAP | VM.IO);
    for (const vma of mm.vmas) touchPage(mm, vma.start, true);
    touchPage(mm, BASE + 599, false);
    expect(leavesOf(mm)).toBe(6);
    exitMmap(mm);
    expect([leavesOf(mm), [...mm.vmas], mm.mmUsers]).toEqual([0, [], 0]);
    // The topmost table alone is left, and it is empty.
    expect([mm.pageTable.ptes.live, mm.pageTable.dirs.live]).toEqual([0, 1]);
    expect(mm.pageTable.none(BASE, 2)).toBe(true);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
    file.evict(memory);
    expect(foliosOf(memory)).toEqual([]);
    expect(memory.hugetlbPool(9)).toMatchObject({ freeHugePages: 1, resvHugePages: 0 });
  });

  test('leaves pinned folios, which go with their last pin', () => {
    const { mm, memory } = written(513);
    const { pages } = pin(mm, BASE, 513);
    exitMmap(mm);
    expect(foliosOf(memory)).toEqual([
      [0, 1024, 0],
      [9, 512, 512],
    ]);
    unpinUserPages(memory, pages, 513);
    expect(foliosOf(memory)).toEqual([]);
    expect(memory.vmstat.pinsHeld).toBe(0);
  });
});
