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
import { touchPage, VM_FAULT } from './fault.ts';
import { PG } from './page-state.ts';
import { MmStruct } from './mm-struct.ts';
import { MappedFile, type FileKind } from './page-cache.ts';
import { adviseDontneed, mprotect, munmap } from './syscalls.ts';
import { unpinUserPages } from './unpin.ts';
import { VM, Vma } from './vma.ts';
import { zapRange } from './zap.ts';

const SHARED = RW | VM.SHARED;

/** A machine with a file of some pages mapped at BASE. */
function mapped(
  kind: FileKind,
  npage: number,
  flags = SHARED,
  options: FaultBoot = {},
): Faulting & { file: MappedFile } {
  const machine = bootFaulting({ hugePages: 4, ...options });
  const huge = kind === 'hugetlbfs';
  const file = new MappedFile(kind, npage, huge ? 9 : 0);
  map(machine.mm, BASE, npage, file, flags | (huge ? VM.HUGETLB | VM.NORESERVE : 0));
  return { ...machine, file };
}

describe('a shared mapping', () => {
  test('maps the page of the cache: one reference of the cache, one of the leaf', () => {
    const { mm, memory, memmap } = mapped('shmem', 4);
    expect(counting(memory, () => touchPage(mm, BASE + 2, true))).toEqual({
      pageFaults: 1,
      pagesZeroed: 1,
    });
    expect(entryAt(mm, BASE + 2)).toEqual({ pfn: SMALL_PFN, level: 0, bits: 'write' });
    expect([...memmap.foliosInUse()]).toEqual([
      { pfn: SMALL_PFN, order: 0, refcount: 2, pincount: 0, flags: PG.swapbacked },
    ]);
  });

  test('and another one have the same page, at the file’s offset', () => {
    const { mm, memory, file } = mapped('shmem', 4);
    const other = new MmStruct(memory);
    map(other, 100, 2, file, SHARED, 2);
    touchPage(mm, BASE + 3, true);
    expect(counting(memory, () => touchPage(other, 101, true))).toEqual({ pageFaults: 1 });
    expect(entryAt(other, 101)?.pfn).toBe(entryAt(mm, BASE + 3)?.pfn);
    expect(foliosOf(memory)).toEqual([[0, 3, 0]]);
  });

  test.each<[FileKind, number, boolean, number, string]>([
    ['shmem', VM.READ | VM.WRITE, false, 0, 'write'],
    ['shmem', VM.READ, false, 0, ''],
    ['hugetlbfs', VM.READ | VM.WRITE, false, 0, 'write'],
    ['hugetlbfs', VM.READ, false, 0, ''],
    // A file system on a disk wants to know of the first write.
    ['disk', VM.READ | VM.WRITE, false, 1, ''],
    ['disk', VM.READ | VM.WRITE, true, 0, 'write'],
  ])('%s with access %i, write %s: then %i fault for a write', (kind, prot, write, more, bits) => {
    const { mm, memory } = mapped(kind, 512, prot | VM.SHARED);
    touchPage(mm, BASE, write);
    expect(entryAt(mm, BASE)?.bits).toBe(bits);
    if (prot & VM.WRITE) {
      expect(counting(memory, () => touchPage(mm, BASE, true)).pageFaults ?? 0).toBe(more);
      expect(entryAt(mm, BASE)?.bits).toBe('write');
    }
  });

  test('of hugetlbfs has a huge page in one leaf, out of the pool', () => {
    const { mm, memory, memmap } = mapped('hugetlbfs', 1024);
    touchPage(mm, BASE + 600, true);
    expect(entryAt(mm, BASE + 512)).toEqual({ pfn: HUGE_PFN, level: 1, bits: 'write' });
    expect([...memmap.foliosInUse()]).toMatchObject([{ order: 9, refcount: 2, flags: PG.hugetlb }]);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(3);
  });
});

describe('a private mapping', () => {
  test('reads the file’s page, and writes a copy that the file does not see', () => {
    const { mm, memory, memmap } = mapped('shmem', 4, RW);
    touchPage(mm, BASE, false);
    expect(entryAt(mm, BASE)).toEqual({ pfn: SMALL_PFN, level: 0, bits: '' });
    expect(counting(memory, () => touchPage(mm, BASE, true))).toEqual({
      pageFaults: 1,
      pagesCopied: 1,
    });
    expect(entryAt(mm, BASE)).toEqual({
      pfn: SMALL_PFN + 1,
      level: 0,
      bits: 'write anonExclusive',
    });
    expect([...memmap.foliosInUse()]).toMatchObject([
      { refcount: 1, flags: PG.swapbacked },
      { refcount: 1, flags: PG.anon },
    ]);
  });

  test('copies a cached page at once when it is first written', () => {
    const { mm, memory, file } = mapped('shmem', 4, RW);
    file.fill(mm, [...mm.vmas][0]);
    expect(counting(memory, () => touchPage(mm, BASE + 1, true))).toEqual({
      pageFaults: 1,
      pagesCopied: 1,
    });
    expect(entryAt(mm, BASE + 1)).toMatchObject({ bits: 'write anonExclusive' });
    expect(foliosOf(memory).map(([, refs]) => refs)).toEqual([1, 1, 1, 1, 1]);
  });

  test('keeps its copy when the file goes, and drops it with its mapping', () => {
    const { mm, memory, file } = mapped('shmem', 4, RW);
    touchPage(mm, BASE, false);
    touchPage(mm, BASE, true);
    file.evict(memory);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
    munmap(mm, BASE, 4);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('copies a page that was the file’s, though the file has gone', () => {
    const { mm, memory, file } = mapped('shmem', 1, RW);
    touchPage(mm, BASE, false);
    file.evict(memory);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
    expect(counting(memory, () => touchPage(mm, BASE, true)).pagesCopied).toBe(1);
    expect(entryAt(mm, BASE)?.pfn).toBe(SMALL_PFN + 1);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
  });

  test('sees the file again after MADV_DONTNEED', () => {
    const { mm } = mapped('shmem', 1, RW);
    touchPage(mm, BASE, false);
    touchPage(mm, BASE, true);
    adviseDontneed(mm, BASE, 1);
    touchPage(mm, BASE, false);
    expect(entryAt(mm, BASE)).toEqual({ pfn: SMALL_PFN, level: 0, bits: '' });
  });

  test('of hugetlbfs copies whole huge pages', () => {
    const { mm, memory, file } = mapped('hugetlbfs', 512, RW);
    file.fill(mm, [...mm.vmas][0]);
    touchPage(mm, BASE, false);
    expect(counting(memory, () => touchPage(mm, BASE + 5, true))).toEqual({
      pageFaults: 1,
      pagesCopied: 512,
    });
    expect(entryAt(mm, BASE)).toEqual({
      pfn: HUGE_PFN + 512,
      level: 1,
      bits: 'write anonExclusive',
    });
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(2);
  });

  test('of a hole in hugetlbfs has a page of its own from the first read on', () => {
    const { mm, memory, memmap, file } = mapped('hugetlbfs', 512, RW);
    touchPage(mm, BASE, false);
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: 'anonExclusive' });
    expect(counting(memory, () => pin(mm, BASE, 512, PIN_READ)).pageFaults).toBeUndefined();
    const other = new MmStruct(memory);
    map(other, BASE, 512, file, SHARED | VM.HUGETLB | VM.NORESERVE);
    touchPage(other, BASE, false);
    expect(entryAt(other, BASE)?.pfn).toBe(HUGE_PFN + 512);
    expect(folioOf(memmap, HUGE_PFN)).toMatchObject({ refcount: 513 });
  });
});

describe('beyond the end of the file', () => {
  test.each<[FileKind, number]>([
    ['shmem', 3],
    ['disk', 3],
    ['hugetlbfs', 512],
  ])('%s of %i pages: SIGBUS, EFAULT for a pin, and nothing changes', (kind, npage) => {
    const machine = bootFaulting({ hugePages: 4 });
    const { mm } = machine;
    const huge = kind === 'hugetlbfs';
    const flags = huge ? VM.HUGETLB | VM.NORESERVE : 0;
    const prot = huge ? VM.READ : RW;
    map(mm, BASE, 2 * 512, new MappedFile(kind, npage, huge ? 9 : 0), prot | flags);
    expect(touchPage(mm, BASE + npage - 1, false)).toBe(0);
    const before = stateOf(machine);
    for (const write of huge ? [false] : [false, true]) {
      expect(touchPage(mm, BASE + npage, write)).toBe(VM_FAULT.SIGBUS);
    }
    expect(pin(mm, BASE + npage, 1, PIN_READ).ret).toBe(-Errno.EFAULT);
    expect(stateOf(machine)).toEqual(before);
  });

  test('a writable mapping makes hugetlbfs longer, for all mappings', () => {
    const { mm } = bootFaulting({ hugePages: 3 });
    const file = new MappedFile('hugetlbfs', 512, 9);
    map(mm, BASE, 1024, file, VM.READ | VM.SHARED | VM.HUGETLB);
    expect(touchPage(mm, BASE + 512, false)).toBe(VM_FAULT.SIGBUS);
    map(mm, BASE + 1024, 512, file, SHARED | VM.HUGETLB, 512);
    expect(touchPage(mm, BASE + 512, false)).toBe(0);
  });

  test('is counted from the offset of the mapping', () => {
    const { mm } = bootFaulting();
    map(mm, BASE, 4, new MappedFile('shmem', 5), SHARED, 3);
    expect([0, 1, 2].map((i) => touchPage(mm, BASE + i, true))).toEqual([0, 0, VM_FAULT.SIGBUS]);
  });
});

describe('without a frame', () => {
  test.each<[FileKind, number, boolean, number]>([
    ['shmem', SHARED, true, VM_FAULT.OOM],
    ['shmem', RW, true, VM_FAULT.OOM],
    ['shmem', RW, false, VM_FAULT.OOM],
    ['disk', SHARED, false, VM_FAULT.OOM],
    ['hugetlbfs', SHARED, true, VM_FAULT.SIGBUS],
    ['hugetlbfs', RW, true, VM_FAULT.SIGBUS],
    ['hugetlbfs', RW, false, VM_FAULT.SIGBUS],
  ])('%s, flags %i, write %s: fault code %i, nothing changes', (kind, flags, write, code) => {
    const machine = mapped(kind, 512, flags, { hugePages: 0 });
    machine.frames.left = 0;
    const before = stateOf(machine);
    expect(touchPage(machine.mm, BASE, write)).toBe(code);
    expect(stateOf(machine)).toEqual(before);
  });
});

describe('the page cache', () => {
  test('keeps its pages when nobody maps them, and frees them with the file', () => {
    const { mm, memory, file } = mapped('shmem', 4);
    touchPage(mm, BASE, true);
    munmap(mm, BASE, 4);
    expect(foliosOf(memory)).toEqual([[0, 1, 0]]);
    file.evict(memory);
    expect(foliosOf(memory)).toEqual([]);
  });

  test('leaves a pinned page to its pin', () => {
    const { mm, memory, file } = mapped('hugetlbfs', 512);
    const { pages } = pin(mm, BASE, 2);
    munmap(mm, BASE, 512);
    file.evict(memory);
    expect(foliosOf(memory)).toEqual([[9, 2, 2]]);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(3);
    unpinUserPages(memory, pages, 2);
    expect(foliosOf(memory)).toEqual([]);
    expect(memory.hugetlbPool(9)?.freeHugePages).toBe(4);
  });

  test('is filled once, page by page, before anything is mapped', () => {
    const { mm, memory } = bootFaulting();
    const file = new MappedFile('shmem', 5);
    const vma = new Vma(BASE, BASE + 2, RW, file, 3);
    expect(counting(memory, () => file.fill(mm, vma))).toEqual({ pagesZeroed: 5 });
    expect(counting(memory, () => file.fill(mm, vma))).toEqual({});
    expect(foliosOf(memory)).toEqual(Array(5).fill([0, 1, 0]));
  });

  test.each([
    ['has folios of 64 KiB where the release has them, smaller ones for the rest', true, [4, 1, 0]],
    ['has pages of 4 KiB else', false, Array(19).fill(0)],
  ])('of a disk %s', (_, diskLargeFolios, orders) => {
    const { mm, memory } = bootFaulting({ rules: { diskLargeFolios } });
    const file = new MappedFile('disk', 19);
    file.fill(mm, new Vma(BASE, BASE + 19, RW, file));
    expect(foliosOf(memory).map(([order]) => order)).toEqual(orders);
    map(mm, BASE, 19, file, SHARED);
    for (const i of [0, 3]) touchPage(mm, BASE + i, true);
    // Leaves of 4 KiB, whatever the folio: the cache's reference and two of leaves.
    expect(framesAt(mm, BASE, 2)).toEqual([SMALL_PFN, -1]);
    if (diskLargeFolios) expect(foliosOf(memory)[0]).toEqual([4, 3, 0]);
  });

  test('is mapped around a page that is read: the aligned 64 KiB, what is cached of them', () => {
    const { mm, memory } = bootFaulting();
    const file = new MappedFile('shmem', 40);
    map(mm, BASE, 40, file, SHARED);
    // BASE is aligned to 64 KiB: pages 16 to 31 are one range.
    for (const i of [15, 17, 30, 31, 32]) touchPage(mm, BASE + i, true);
    const cached = framesAt(mm, BASE, 40);
    zapRange(mm, BASE, BASE + 40);
    touchPage(mm, BASE + 20, false);
    const around = [17, 20, 30, 31];
    expect(framesAt(mm, BASE, 40).flatMap((pfn, i) => (pfn >= 0 ? [i] : []))).toEqual(around);
    for (const i of [17, 30, 31]) expect(framesAt(mm, BASE, 40)[i]).toBe(cached[i]);
    expect(foliosOf(memory)).toHaveLength(6);
  });

  test('is not mapped around a page that is written', () => {
    const { mm } = bootFaulting();
    const file = new MappedFile('shmem', 16);
    map(mm, BASE, 16, file, SHARED);
    file.fill(mm, new Vma(BASE, BASE + 16, RW, file));
    touchPage(mm, BASE + 3, true);
    expect(framesAt(mm, BASE, 16).filter((pfn) => pfn >= 0)).toHaveLength(1);
  });
});

describe('shmem with huge pages', () => {
  const huge: FaultBoot = { thp: { shmem: 'always' } };

  test.each([
    ['always', 9],
    ['force', 9],
    ['never', 0],
    ['deny', 0],
  ] as const)('shmem_enabled %s: folios of order %i', (shmem, order) => {
    const { mm, memory } = mapped('shmem', 512, SHARED, { thp: { shmem } });
    touchPage(mm, BASE + 3, true);
    expect(foliosOf(memory)).toEqual([[order, 2, 0]]);
    expect(entryAt(mm, BASE + 3)?.level).toBe(order / 9);
  });

  test('has 4 KiB entries where a leaf does not fit into the VMA', () => {
    const { mm, memory, file } = mapped('shmem', 512, SHARED, huge);
    const other = new MmStruct(memory);
    map(other, BASE + 1, 511, file, SHARED, 1);
    touchPage(other, BASE + 2, true);
    touchPage(other, BASE + 3, true);
    expect(entryAt(other, BASE + 2)).toEqual({ pfn: HUGE_PFN + 2, level: 0, bits: 'write' });
    touchPage(mm, BASE, false);
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: 'write' });
    expect(foliosOf(memory)).toEqual([[9, 4, 0]]);
  });

  test('has 4 KiB entries where a page table hangs', () => {
    const { mm } = mapped('shmem', 512, SHARED, huge);
    mprotect(mm, BASE + 9, 1, VM.READ);
    touchPage(mm, BASE + 9, false);
    mprotect(mm, BASE + 9, 1, RW);
    expect([...mm.vmas]).toHaveLength(1);
    touchPage(mm, BASE, true);
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 0, bits: 'write' });
  });

  test('has 4 KiB entries where address and offset do not agree', () => {
    const { mm, memory } = bootFaulting(huge);
    map(mm, BASE, 600, new MappedFile('shmem', 1024), SHARED, 1);
    touchPage(mm, BASE, true);
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN + 1, level: 0, bits: 'write' });
    expect(foliosOf(memory)).toEqual([[9, 2, 0]]);
  });

  test('has a small page at the end of the file, or beside a cached one', () => {
    const { mm, memory } = mapped('shmem', 700, SHARED, huge);
    touchPage(mm, BASE + 600, true);
    expect(foliosOf(memory)).toEqual([[0, 2, 0]]);
    memory.thp = { ...memory.thp, shmem: 'never' };
    touchPage(mm, BASE + 10, true);
    memory.thp = { ...memory.thp, shmem: 'always' };
    touchPage(mm, BASE + 11, true);
    expect(foliosOf(memory)).toEqual(Array(3).fill([0, 2, 0]));
  });

  test('in a private mapping: a write copies one page, not 2 MiB', () => {
    const { mm, memory } = mapped('shmem', 512, RW, huge);
    touchPage(mm, BASE, false);
    expect(entryAt(mm, BASE)).toEqual({ pfn: HUGE_PFN, level: 1, bits: '' });
    const counted = counting(memory, () => touchPage(mm, BASE + 7, true));
    expect(counted).toMatchObject({ pageFaults: 1, pagesCopied: 1 });
    const bits = 'write anonExclusive';
    expect(entryAt(mm, BASE + 7)).toEqual({ pfn: SMALL_PFN, level: 0, bits });
    expect(entryAt(mm, BASE + 6)).toBeNull();
    expect(foliosOf(memory).map(([order, , pins]) => [order, pins])).toEqual([
      [0, 0],
      [9, 0],
    ]);
  });
});

describe('a longterm pin to read of a huge page that is mapped privately', () => {
  test.each([
    ['touched before', true],
    ['untouched', false],
  ])('never returns: the large leaf is split and comes back (%s)', (_, touched) => {
    const { mm } = mapped('shmem', 512, RW, { thp: { shmem: 'force' } });
    if (touched) touchPage(mm, BASE, false);
    expect(() => pin(mm, BASE + 7, 1, PIN_READ)).toThrow(KernelHang);
    expect(entryAt(mm, BASE)).toMatchObject({ level: 1 });
  });

  test('returns where one page was written, so that no large leaf fits', () => {
    const { mm } = mapped('shmem', 512, RW, { thp: { shmem: 'force' } });
    touchPage(mm, BASE, true);
    expect(pin(mm, BASE + 7, 1, PIN_READ).ret).toBe(1);
    expect(entryAt(mm, BASE + 7)).toMatchObject({ level: 0, bits: 'anonExclusive' });
  });

  test('returns where the mapping is smaller than the leaf', () => {
    const { mm } = mapped('shmem', 256, RW, { thp: { shmem: 'force' } });
    expect(pin(mm, BASE + 7, 1, PIN_READ).ret).toBe(1);
  });
});

describe('pins of files', () => {
  test.each<[FileKind, number, number, number]>([
    ['shmem', SHARED, PIN_WRITE, 1],
    ['hugetlbfs', SHARED, PIN_WRITE, 1],
    ['disk', SHARED, PIN_READ, 1],
    ['disk', RW, PIN_WRITE, 1],
    ['disk', VM.READ | VM.SHARED, PIN_READ, 1],
    // The file system could not know what the device writes.
    ['disk', SHARED, PIN_WRITE, -Errno.EFAULT],
    ['disk', VM.READ | VM.SHARED, PIN_WRITE, -Errno.EFAULT],
  ])('%s, VMA flags %i, GUP flags %i: %i', (kind, flags, gupFlags, ret) => {
    const { mm } = mapped(kind, 512, flags);
    expect(pin(mm, BASE, 1, gupFlags).ret).toBe(ret);
  });

  test('a shared page is pinned itself, to read and to write', () => {
    const { mm, memmap } = mapped('shmem', 2);
    expect(pin(mm, BASE, 1, PIN_READ).pfns).toEqual([SMALL_PFN]);
    expect(pin(mm, BASE, 1, PIN_WRITE).pfns).toEqual([SMALL_PFN]);
    // The cache, the leaf, two pins.
    expect(folioOf(memmap, SMALL_PFN)).toMatchObject({ refcount: 2 + 2 * 1024 });
  });

  test('a private page is copied first, so that the file’s is not pinned', () => {
    const { mm, memory, memmap } = mapped('shmem', 2, RW);
    const counted = counting(memory, () => {
      expect(pin(mm, BASE, 1, PIN_READ).pfns).toEqual([SMALL_PFN + 1]);
    });
    // A read, then an unshare; a walk before each and one after.
    expect(counted).toMatchObject({ pageFaults: 2, gupSteps: 3, pagesZeroed: 1, pagesCopied: 1 });
    expect(folioOf(memmap, SMALL_PFN)).toMatchObject({ refcount: 1 });
    expect(folioOf(memmap, SMALL_PFN + 1)).toMatchObject({ refcount: 1025 });
  });
});
