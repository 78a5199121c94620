// GUP where pages must be faulted in first.
import { Errno, KernelHang } from '@pinfold/base';
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
  pin,
  PIN_READ,
  PIN_WRITE,
  RW,
  stateOf,
  type FaultBoot,
  type Faulting,
} from '../test/faulting.ts';
import { HUGE_PFN, SMALL_PFN } from '../test/free-frames.ts';
import { folioOf } from '../test/machine.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage } from './fault.ts';
import { dupMmap } from './fork.ts';
import { PG } from './page-state.ts';
import { MmStruct } from './mm-struct.ts';
import { MappedFile } from './page-cache.ts';
import { PciBar } from './pci-bar.ts';
import { adviseDontneed } from './syscalls.ts';
import { unpinUserPage, unpinUserPages } from './unpin.ts';
import { VM, Vma } from './vma.ts';

const SPLIT: FaultBoot = { rules: { hugeZeroUnshare: 'split' } };
const NO_ZERO: FaultBoot = { thp: { useZeroPage: false } };
const MTHP: FaultBoot = { thp: { orders: { 4: 'always' } } };

function anon(npage: number, options: FaultBoot = {}, flags = RW): Faulting {
  const machine = bootFaulting(options);
  map(machine.mm, BASE, npage, anonymousMemory, flags);
  return machine;
}

describe('a walk more than faults, per leaf that is pinned', () => {
  test.each<[string, FaultBoot, number, number, number, number, number]>([
    // what, machine, GUP flags, pages, faults, walks, pages zeroed
    ['small pages to write', NO_THP, PIN_WRITE, 8, 8, 16, 8],
    ['small pages to read: the zero page, then a page', NO_THP, PIN_READ, 8, 16, 24, 8],
    ['a THP to write', {}, PIN_WRITE, 512, 1, 2, 512],
    ['a THP to read: the huge zero page, then a THP', {}, PIN_READ, 512, 2, 3, 512],
    ['a THP to read, where the huge zero page is split', SPLIT, PIN_READ, 512, 513, 1025, 512],
    ['a THP to read without zero page', NO_ZERO, PIN_READ, 512, 1, 2, 512],
    // A fault per folio of 16 pages, a walk per page.
    ['mTHP to write', MTHP, PIN_WRITE, 32, 2, 34, 32],
  ])('%s', (_, options, flags, npage, faults, walks, zeroed) => {
    const { mm, memory } = anon(512, options);
    const counted = counting(memory, () => {
      expect(pin(mm, BASE, npage, flags).ret).toBe(npage);
    });
    expect(counted).toMatchObject({
      gupCalls: 1,
      pageFaults: faults,
      gupSteps: walks,
      pageFills: npage,
      pagesZeroed: zeroed,
    });
    expect(counted.pagesCopied).toBeUndefined();
    expect(memory.vmstat.pinsHeld).toBe(npage);
    expect(counting(memory, () => pin(mm, BASE, npage, flags)).pageFaults).toBeUndefined();
  });

  test('is all for pages of several kinds in one call', () => {
    const { mm, memory } = anon(515);
    touchPage(mm, BASE + 513, true);
    // The THP, a fault and a walk for it; two more small pages besides the one that is there.
    expect(counting(memory, () => pin(mm, BASE, 515))).toMatchObject({
      pageFaults: 3,
      gupSteps: 2 + 1 + 2 * 2,
      pageFills: 515,
    });
  });
});

describe('a longterm pin never gets a zero page', () => {
  test.each<[string, FaultBoot, number, number]>([
    ['of 4 KiB', NO_THP, 0, 1025],
    ['of 2 MiB', {}, 9, 2],
    ['of 2 MiB that is split', SPLIT, 0, 1025],
  ])('%s, though it only reads', (_, options, order, refcount) => {
    const { mm, memmap } = anon(512, options, VM.READ);
    const { pfns } = pin(mm, BASE + 3, 1, PIN_READ);
    expect(pfns).toEqual([order === 9 ? HUGE_PFN + 3 : SMALL_PFN]);
    expect(folioOf(memmap, pfns[0])).toMatchObject({ order, refcount });
    expect(entryAt(mm, BASE + 3)?.bits).toBe('anonExclusive');
  });

  test('where the huge zero page was split, one small page replaces each zero page', () => {
    const { mm, memory } = anon(512, SPLIT);
    pin(mm, BASE + 10, 3, PIN_READ);
    const pfns = framesAt(mm, BASE + 9, 5);
    expect(pfns).toEqual([1, SMALL_PFN, SMALL_PFN + 1, SMALL_PFN + 2, 1]);
    expect(foliosOf(memory)).toEqual(Array(3).fill([0, 1025, 0]));
  });
});

describe('a pin to read that is not for long', () => {
  test('takes the zero page, and counts no pin', () => {
    const { mm, memory } = anon(3, NO_THP);
    touchPage(mm, BASE + 1, true);
    const counted = counting(memory, () => {
      const { ret, pages, pfns } = pin(mm, BASE, 3, 0);
      expect([ret, pfns]).toEqual([3, [1, SMALL_PFN, 1]]);
      expect(memory.vmstat.pinsHeld).toBe(1);
      unpinUserPages(memory, pages, 2);
      unpinUserPage(memory, pages[2]);
    });
    expect(counted).toMatchObject({ pageFaults: 2, gupSteps: 5, folioGrabs: 3, grabAtomics: 1 });
    expect(counted).toMatchObject({ putCalls: 3, putAtomics: 1 });
    expect(memory.vmstat).toMatchObject({ nrFollPinAcquired: 1, nrFollPinReleased: 1 });
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
  });

  test('takes pages of the huge zero page, which count', () => {
    const { mm, memory } = anon(512);
    const { ret, pages, pfns } = pin(mm, BASE + 7, 3, 0);
    expect([ret, pfns]).toEqual([3, [519, 520, 521]]);
    expect(memory.vmstat.pinsHeld).toBe(3);
    expect(counting(memory, () => unpinUserPages(memory, pages, 3))).toMatchObject({
      putCalls: 1,
      putAtomics: 2,
    });
    expect(memory.vmstat.pinsHeld).toBe(0);
    expect(foliosOf(memory)).toEqual([]);
  });

  test.each<[string, FaultBoot['thp'], number]>([
    ['', {}, 0],
    [' in a large leaf', { shmem: 'force' }, 1],
  ])(
    'takes the page of a file that is mapped privately%s; a longterm pin does not',
    (_, thp, level) => {
      const { mm, memory, memmap } = bootFaulting({ thp: thp ?? {} });
      map(mm, BASE, 512, new MappedFile('shmem', 512));
      const { pfns } = pin(mm, BASE, 1, 0);
      expect(entryAt(mm, BASE)).toEqual({ pfn: pfns[0], level, bits: '' });
      expect(memmap.flags[memmap.headEntryOf(pfns[0])] & PG.anon).toBe(0);
      expect(memory.counters.snapshot()).toMatchObject({ pageFaults: 1, pagesCopied: 0 });
      if (level === 1) {
        expect(() => pin(mm, BASE, 1, PIN_READ)).toThrow(KernelHang);
        return;
      }
      expect(pin(mm, BASE, 1, PIN_READ).pfns).not.toEqual(pfns);
      expect(memory.counters.snapshot().pagesCopied).toBe(1);
    },
  );

  test.each([
    ['', NO_THP, 1, 1],
    [' of a THP', {}, 512, 1],
  ])('unshares an anonymous page%s that a child has, and no other', (_, options, npage, copied) => {
    const { mm, memory } = anon(512, options);
    for (let i = 0; i < npage; i++) touchPage(mm, BASE + i, true);
    const child = new MmStruct(memory);
    dupMmap(mm, child);
    const before = mm.pageTable.pfnAt(BASE);
    expect(counting(memory, () => pin(mm, BASE, 1, 0)).pagesCopied).toBe(copied);
    expect(mm.pageTable.pfnAt(BASE)).not.toBe(before);
    expect(counting(memory, () => pin(mm, BASE, 1, 0)).pageFaults).toBeUndefined();
  });
});

describe('where a page cannot be had', () => {
  test('the pages before it are pinned; the next call says why: EFAULT beyond a file', () => {
    const machine = bootFaulting();
    const { mm, memory } = machine;
    map(mm, BASE, 5, new MappedFile('shmem', 3), RW | VM.SHARED);
    expect(pin(mm, BASE, 5)).toMatchObject({
      ret: 3,
      pfns: [SMALL_PFN, SMALL_PFN + 1, SMALL_PFN + 2],
    });
    const before = stateOf(machine);
    expect(pin(mm, BASE + 3, 2).ret).toBe(-Errno.EFAULT);
    expect(mm.gupFailure).toEqual({
      vpn: BASE + 3,
      why: 'the fault ended with VM_FAULT_SIGBUS: nothing is behind the page',
    });
    expect(stateOf(machine)).toEqual(before);
    expect(memory.vmstat.pinsHeld).toBe(3);
  });

  test('the pages before it are pinned; the next call says why: ENOMEM without a frame', () => {
    const machine = anon(8, NO_THP);
    const { mm, memory, frames } = machine;
    frames.left = 3;
    expect(pin(mm, BASE, 8).ret).toBe(3);
    const before = stateOf(machine);
    expect(pin(mm, BASE + 3, 5).ret).toBe(-Errno.ENOMEM);
    expect(mm.gupFailure).toEqual({
      vpn: BASE + 3,
      why: 'the fault ended with VM_FAULT_OOM: no free frame',
    });
    expect(stateOf(machine)).toEqual(before);
    expect(memory.vmstat.pinsHeld).toBe(3);
    frames.left = 5;
    expect(pin(mm, BASE + 3, 5).ret).toBe(5);
  });

  test('an unshare without a frame leaves the zero page', () => {
    const { mm, frames } = anon(1, NO_THP);
    frames.left = 0;
    expect(pin(mm, BASE, 1, PIN_READ).ret).toBe(-Errno.ENOMEM);
    expect(entryAt(mm, BASE)).toEqual({ pfn: 1, level: 0, bits: 'special' });
  });

  test.each<[string, number, number]>([
    ['no VMA', PIN_WRITE, 2],
    ['a write to read-only memory', PIN_WRITE, 3],
    ['device memory', PIN_READ, 4],
  ])('EFAULT without a fault: %s', (_, flags, at) => {
    const { mm, memory } = anon(1, NO_THP);
    map(mm, BASE + 3, 1, anonymousMemory, VM.READ);
    map(mm, BASE + 4, 1, new PciBar(2 ** 26, 1), RW | VM.SHARED | VM.PFNMAP | VM.IO);
    const counted = counting(memory, () => {
      expect(pin(mm, BASE + at, 1, flags).ret).toBe(-Errno.EFAULT);
    });
    expect(counted).toEqual({ gupCalls: 1 });
  });

  test('EFAULT, and no fault, where nobody answers for the memory', () => {
    const { mm, memory } = bootFaulting();
    mm.vmas.insert(new Vma(BASE, BASE + 1, RW));
    expect(counting(memory, () => pin(mm, BASE, 1))).toEqual({ gupCalls: 1 });
    expect(mm.gupFailure?.why).toBe('no page is mapped there with this access');
  });
});

describe('a page that is pinned to read', () => {
  test('stays where it is when the process writes', () => {
    const { mm, memory } = anon(1, NO_THP);
    const { pfns } = pin(mm, BASE, 1, PIN_READ);
    expect(counting(memory, () => touchPage(mm, BASE, true))).toEqual({ pageFaults: 1 });
    expect(framesAt(mm, BASE, 1)).toEqual(pfns);
    expect(pin(mm, BASE, 1, PIN_WRITE).pfns).toEqual(pfns);
  });

  test('is left to the device by MADV_DONTNEED: the process gets another', () => {
    const { mm, memory } = anon(1, NO_THP);
    const { pfns } = pin(mm, BASE, 1, PIN_READ);
    adviseDontneed(mm, BASE, 1);
    touchPage(mm, BASE, true);
    expect(framesAt(mm, BASE, 1)).not.toEqual(pfns);
    expect(foliosOf(memory)).toEqual([
      [0, 1024, 0],
      [0, 1, 0],
    ]);
  });
});
