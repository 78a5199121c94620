import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { BASE, bootFaulting, map, NO_THP, RW } from '../test/faulting.ts';
import { folioOf } from '../test/machine.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage } from './fault.ts';
import { dupMmap } from './fork.ts';
import { pinUserPagesFast } from './gup-fast.ts';
import { FOLL } from './foll.ts';
import { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { mprotect } from './syscalls.ts';
import { VM } from './vma.ts';

const WRITE = FOLL.WRITE | FOLL.LONGTERM;

function pinFast(mm: MmStruct, npage: number, flags = WRITE): { got: number; pfns: number[] } {
  const pages = mm.memory.memmap.pageArray(npage);
  const got = pinUserPagesFast(mm, BASE, npage, flags, pages);
  const pinned = [...pages.subarray(0, Math.max(0, got))];
  return { got, pfns: pinned.map((page) => mm.memory.memmap.pageToPfn(page)) };
}

function frames(mm: MmStruct, npage: number): number[] {
  return Array.from({ length: npage }, (_, i) => mm.pageTable.pfnAt(BASE + i));
}

describe('what lies there is pinned without the slow path', () => {
  test('small pages: a step, a grab and two atomics each', () => {
    const { mm, memory, memmap } = bootFaulting(NO_THP);
    map(mm, BASE, 4, anonymousMemory);
    for (let i = 0; i < 4; i++) touchPage(mm, BASE + i, true);
    const before = memory.counters.snapshot();
    expect(pinFast(mm, 4)).toEqual({ got: 4, pfns: frames(mm, 4) });
    expect(memory.counters.since(before)).toMatchObject({
      gupFastCalls: 1,
      gupCalls: 0,
      gupSteps: 4,
      folioGrabs: 4,
      grabAtomics: 8,
      pageFills: 4,
      pageFaults: 0,
    });
    expect(folioOf(memmap, frames(mm, 1)[0])).toMatchObject({ refcount: 1 + 1024 });
    expect(memory.vmstat.pinsHeld).toBe(4);
  });

  test('a THP: one step and one grab for all its pages', () => {
    const { mm, memory, memmap } = bootFaulting();
    map(mm, BASE, 1024, anonymousMemory);
    touchPage(mm, BASE, true);
    touchPage(mm, BASE + 512, true);
    const before = memory.counters.snapshot();
    expect(pinFast(mm, 700)).toEqual({ got: 700, pfns: frames(mm, 700) });
    expect(memory.counters.since(before)).toMatchObject({ gupSteps: 2, folioGrabs: 2 });
    expect(folioOf(memmap, frames(mm, 1)[0])).toMatchObject({ refcount: 513, pincount: 512 });
  });
});

describe('the slow path decides', () => {
  // The fast path makes two atomics of a grab, the slow one makes one of a small folio. The fast path
  // grabs what it may not keep and puts it again: recording 7.2-iofd b13.
  test.each<[string, number, number, number, number]>([
    // what, protection, flags of the pin, atomics of grabs, pages
    ['a longterm pin to read takes a writable page', RW, FOLL.LONGTERM, 2, 1],
    ['but not one that is mapped read-only', VM.READ, FOLL.LONGTERM, 2 + 1, 1],
    ['which a short pin takes', VM.READ, 0, 2, 1],
    ['what may not be accessed', 0, 0, 0, -Errno.EFAULT],
  ])('of a shared file: %s', (_, prot, flags, atomics, ret) => {
    const { mm, memory } = bootFaulting();
    map(mm, BASE, 1, new MappedFile('shmem', 1), RW | VM.SHARED);
    touchPage(mm, BASE, false);
    mprotect(mm, BASE, 1, prot);
    const before = memory.counters.snapshot();
    expect(pinFast(mm, 1, flags).got).toBe(ret);
    expect(memory.counters.since(before).grabAtomics).toBe(atomics);
    expect(memory.vmstat.pinsHeld).toBe(Math.max(ret, 0));
  });

  test('of an anonymous page that others map too: it is unshared', () => {
    const { mm, memory } = bootFaulting(NO_THP);
    map(mm, BASE, 1, anonymousMemory);
    touchPage(mm, BASE, true);
    const child = new MmStruct(memory);
    dupMmap(mm, child);
    const { pfns } = pinFast(mm, 1, 0);
    expect(pfns).not.toEqual([child.pageTable.pfnAt(BASE)]);
    expect(pinFast(child, 1, 0).pfns).toEqual([child.pageTable.pfnAt(BASE)]);
  });
});

describe('the slow path does the rest', () => {
  test('from the first page that is not there', () => {
    const { mm, memory } = bootFaulting(NO_THP);
    map(mm, BASE, 4, anonymousMemory);
    touchPage(mm, BASE, true);
    const before = memory.counters.snapshot();
    expect(pinFast(mm, 4)).toEqual({ got: 4, pfns: frames(mm, 4) });
    expect(memory.counters.since(before)).toMatchObject({ gupFastCalls: 1, pageFaults: 3 });
    expect(memory.vmstat.pinsHeld).toBe(4);
  });

  test('and its error shows only if nothing was pinned', () => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE, 2, anonymousMemory);
    touchPage(mm, BASE, true);
    touchPage(mm, BASE + 1, true);
    expect(pinFast(mm, 3).got).toBe(2);
    const pages = mm.memory.memmap.pageArray(1);
    expect(pinUserPagesFast(mm, BASE + 2, 1, WRITE, pages)).toBe(-Errno.EFAULT);
  });

  test('for a longterm write to a page of a disk file, which it refuses', () => {
    const { mm } = bootFaulting(NO_THP);
    map(mm, BASE, 2, new MappedFile('disk', 2), RW | VM.SHARED);
    touchPage(mm, BASE, true);
    expect(pinFast(mm, 1).got).toBe(-Errno.EFAULT);
    expect(pinFast(mm, 1, FOLL.LONGTERM).got).toBe(1);
  });
});
