import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { BASE, bootFaulting, counting, entryAt, framesAt, map, RW } from '../test/faulting.ts';
import { fixupUserFault, touchPage, VM_FAULT } from './fault.ts';
import type { MmStruct } from './mm-struct.ts';
import { PciBar } from './pci-bar.ts';
import { advisePopulate, mprotect, munmap } from './syscalls.ts';
import { VM } from './vma.ts';
import { zapRange } from './zap.ts';

const DEVICE = VM.SHARED | VM.PFNMAP | VM.IO;
const GIB = 2 ** 18;
const PFN = 2 ** 26;

function mapBar(vpn: number, npage: number, bar: PciBar, prot = RW, pgoff = 0): MmStruct {
  const { mm } = bootFaulting();
  map(mm, vpn, npage, bar, prot | DEVICE, pgoff);
  return mm;
}

/** First page and level of the leaf that a fault at a page makes. */
function leafAt(mm: MmStruct, vpn: number): [number, number] {
  expect(touchPage(mm, vpn, false)).toBe(0);
  const { pfn, level } = entryAt(mm, vpn)!;
  return [pfn, level];
}

describe('the leaf that a fault makes', () => {
  test.each<[string, number, number, PciBar, number, number]>([
    // what, first page, pages, BAR, page touched, level
    ['1 GiB', GIB, GIB, new PciBar(PFN, GIB), GIB + 700, 2],
    ['2 MiB: the BAR is smaller than 1 GiB', GIB, 1024, new PciBar(PFN, 1024), GIB + 700, 1],
    ['2 MiB: the VMA does not begin on 1 GiB', GIB + 512, GIB, new PciBar(PFN, GIB), GIB + 1500, 1],
    ['2 MiB: its frames do not', GIB, GIB, new PciBar(PFN + 512, GIB), GIB + 700, 1],
    ['4 KiB: its frames are not even aligned to 2 MiB', GIB, GIB, new PciBar(PFN + 1, GIB), GIB, 0],
    ['4 KiB: the VMA ends inside 2 MiB', GIB, 700, new PciBar(PFN, 1024), GIB + 600, 0],
    ['4 KiB: the VMA begins inside 2 MiB', GIB + 1, 511, new PciBar(PFN + 1, 511), GIB + 7, 0],
    ['4 KiB: a BAR of one page', GIB, 1, new PciBar(PFN, 1), GIB, 0],
  ])('%s', (_, vpn, npage, bar, at, level) => {
    const mm = mapBar(vpn, npage, bar);
    expect(leafAt(mm, at)).toEqual([bar.pfn + (at - vpn), level]);
  });

  test('is of the offset in the BAR that is mapped', () => {
    const mm = mapBar(BASE, 512, new PciBar(PFN, 4096), RW, 1024);
    expect(leafAt(mm, BASE + 5)).toEqual([PFN + 1024 + 5, 1]);
  });

  test('is writable if the VMA is, after a read too', () => {
    const bar = new PciBar(PFN, 8);
    const mm = mapBar(BASE, 8, bar);
    map(mm, BASE + 8, 8, bar, VM.READ | DEVICE);
    leafAt(mm, BASE);
    leafAt(mm, BASE + 8);
    expect([entryAt(mm, BASE)?.bits, entryAt(mm, BASE + 8)?.bits]).toEqual([
      'write special',
      'special',
    ]);
  });

  test('is 4 KiB beside others, where a page table hangs', () => {
    const bar = new PciBar(PFN, 512);
    const mm = mapBar(BASE, 512, bar);
    mprotect(mm, BASE, 1, VM.READ);
    expect(leafAt(mm, BASE + 3)).toEqual([PFN + 3, 0]);
    mprotect(mm, BASE, 1, RW);
    expect(leafAt(mm, BASE + 4)[1]).toBe(0);
  });
});

describe('a fault', () => {
  test('is a SIGBUS while the device’s memory is disabled', () => {
    const bar = new PciBar(PFN, 512);
    const mm = mapBar(BASE, 512, bar);
    bar.enabled = false;
    expect(touchPage(mm, BASE, true)).toBe(VM_FAULT.SIGBUS);
    expect(entryAt(mm, BASE)).toBeNull();
    bar.enabled = true;
    expect(touchPage(mm, BASE, true)).toBe(0);
  });

  test('is a SIGBUS beyond the BAR', () => {
    const mm = mapBar(BASE, 1024, new PciBar(PFN, 600));
    expect(touchPage(mm, BASE + 599, true)).toBe(0);
    expect(entryAt(mm, BASE + 599)?.level).toBe(0);
    expect(touchPage(mm, BASE + 600, true)).toBe(VM_FAULT.SIGBUS);
  });

  test('takes no frame and no reference', () => {
    const mm = mapBar(BASE, 512, new PciBar(PFN, 512));
    const counted = counting(mm.memory, () => fixupUserFault(mm, BASE, true));
    expect(counted).toEqual({ fixupFaults: 1, pageFaults: 1 });
    expect([...mm.memory.memmap.foliosInUse()]).toEqual([]);
  });

  test.each([
    ['2 MiB', 512, 1],
    ['4 KiB', 8, 0],
  ])('makes a leaf of %s writable that was mapped to be read', (_, npage, level) => {
    const mm = mapBar(BASE, npage, new PciBar(PFN, npage), VM.READ);
    touchPage(mm, BASE, false);
    mprotect(mm, BASE, npage, RW);
    expect(fixupUserFault(mm, BASE + 3, true)).toBe(0);
    expect(touchPage(mm, BASE + 3, true)).toBe(0);
    expect(entryAt(mm, BASE + 3)).toEqual({ pfn: PFN + 3, level, bits: 'write special' });
  });
});

describe('taking a BAR away', () => {
  test('revokes all leaves, and they come back when they are touched', () => {
    const mm = mapBar(BASE, 1024, new PciBar(PFN, 1024));
    for (const vpn of [BASE, BASE + 512]) touchPage(mm, vpn, true);
    zapRange(mm, BASE, BASE + 1024);
    expect(framesAt(mm, BASE, 1024)).toEqual(Array(1024).fill(-1));
    expect(leafAt(mm, BASE + 512)).toEqual([PFN + 512, 1]);
  });

  test.each([
    ['2 MiB', BASE, 1],
    ['1 GiB', GIB, 2],
  ])('in part clears the leaf of %s: the rest comes back in smaller ones', (_, vpn, level) => {
    const npage = 2 ** (9 * level);
    const mm = mapBar(vpn, npage, new PciBar(PFN, npage));
    expect(leafAt(mm, vpn)[1]).toBe(level);
    munmap(mm, vpn + npage - 1, 1);
    expect(entryAt(mm, vpn)).toBeNull();
    expect(leafAt(mm, vpn)).toEqual([PFN, level - 1]);
    expect(entryAt(mm, vpn + npage - 1)).toBeNull();
  });
});

test.each<[string, boolean, 'always' | 'madvise' | 'never', number, number]>([
  ['always', true, 'always', 0, 1],
  ['always, MADV_NOHUGEPAGE', true, 'always', VM.NOHUGEPAGE, 0],
  ['madvise', true, 'madvise', 0, 0],
  ['madvise, MADV_HUGEPAGE', true, 'madvise', VM.HUGEPAGE, 1],
  ['never, MADV_HUGEPAGE', true, 'never', VM.HUGEPAGE, 0],
  ['never, since 7.2', false, 'never', 0, 1],
  ['MADV_NOHUGEPAGE, since 7.2', false, 'always', VM.NOHUGEPAGE, 0],
])('a fault obeys THP and the advice: %s', (_, deviceHugeObeysThp, enabled, advice, level) => {
  const { mm } = bootFaulting({ thp: { enabled }, rules: { deviceHugeObeysThp } });
  map(mm, BASE, 512, new PciBar(PFN, 512), RW | DEVICE | advice);
  expect(leafAt(mm, BASE)).toEqual([PFN, level]);
});

test('MADV_POPULATE_* refuses a BAR', () => {
  const mm = mapBar(BASE, 512, new PciBar(PFN, 512));
  for (const write of [false, true]) {
    expect(advisePopulate(mm, BASE, 512, write)).toBe(-Errno.EINVAL);
  }
});
