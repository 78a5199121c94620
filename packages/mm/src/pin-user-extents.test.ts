import { Errno, PMD_ORDER, type CounterName } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  boot,
  folioOf,
  mapRun,
  MODELS,
  RULES,
  SECTION,
  spaceWith,
  type Run,
} from '../test/machine.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage } from './fault.ts';
import { dupMmap } from './fork.ts';
import { PrescribedLayout } from './frame-source.ts';
import { MemMap } from './memmap.ts';
import type { MemoryRange } from './sections.ts';
import { Memory } from './memory.ts';
import { mmapMemory, mmapPfnmap } from './mmap.ts';
import { MmStruct } from './mm-struct.ts';
import { BuddyAllocator } from './page-alloc.ts';
import { pinUserExtents } from './pin-user-extents.ts';
import { doMmap } from './syscalls.ts';
import { unpinExtents } from './unpin-extents.ts';
import { VM } from './vma.ts';

const GIB = 2 ** 18;
const RW = VM.READ | VM.WRITE;

/** Pins a range; returns the result and the extents as [frame, pages]. */
function pin(
  mm: MmStruct,
  vpn: number,
  npage: number,
  { write = true, capacity = 1000 } = {},
): { ret: number; extents: number[][]; full: boolean } {
  const out = mm.memory.memmap.extents(capacity);
  const ret = pinUserExtents(mm, vpn, npage, write, out);
  const extents = Array.from({ length: out.count }, (_, i) => [out.pfn[i], out.npage[i]]);
  return { ret, extents, full: out.full };
}

function countsOf({ memory }: MmStruct): unknown[] {
  return [...memory.memmap.foliosInUse()];
}

describe('leaves, tables and grabs', () => {
  const small: Run = { vpn: 1024, pfn: SECTION, npage: 512 };
  const thp: Run = { ...small, order: PMD_ORDER };
  const gib: Run = { vpn: GIB, pfn: GIB, npage: GIB, order: 18, kind: 'hugetlb' };

  test.each<[string, Run, number, number, number[]]>([
    // what, memory, offset, pages, [visits, tables, grabs, atomics, merges]
    ['512 small pages', small, 0, 512, [512, 1, 512, 512, 512]],
    ['one small page', small, 17, 1, [1, 1, 1, 1, 1]],
    ['a 2 MiB leaf: one grab', thp, 0, 512, [1, 1, 1, 2, 1]],
    ['the middle of a 2 MiB leaf', thp, 100, 12, [1, 1, 1, 2, 1]],
    [
      'a THP in 4 KiB entries: one grab per table',
      { ...thp, vpn: 1025 },
      0,
      512,
      [512, 2, 2, 4, 512],
    ],
    ['64 KiB folios: one grab each', { ...thp, order: 4 }, 0, 512, [512, 1, 32, 64, 512]],
    ['parts of 64 KiB folios', { ...thp, order: 4 }, 3, 20, [20, 1, 2, 4, 20]],
    ['a 1 GiB leaf: one grab', gib, 5, GIB - 5, [1, 1, 1, 2, 1]],
  ])('%s', (_, run, offset, npage, expected) => {
    const mm = spaceWith([run], { ranges: [{ pfn: SECTION, npage: 2 * GIB }] });
    expect(pin(mm, run.vpn + offset, npage)).toEqual({
      ret: npage,
      extents: [[run.pfn + offset, npage]],
      full: false,
    });
    const names = ['leafVisits', 'leafTables', 'folioGrabs', 'grabAtomics', 'extentMerges'];
    const counted = mm.memory.counters.snapshot();
    expect(names.map((name) => counted[name as CounterName])).toEqual(expected);
    expect(counted).toMatchObject({ extentPinCalls: 1, pageFills: 0, gupCalls: 0, gupSteps: 0 });
    expect(mm.memory.vmstat.pinsHeld).toBe(npage);
    expect(mm.hasPinned).toBe(true);
  });

  test('an entry that leads to a table follows large leaves', () => {
    const mm = spaceWith([
      { vpn: 1024, pfn: SECTION, npage: 1024, order: 9 },
      { vpn: 2048, pfn: SECTION + 1024, npage: 10 },
      { vpn: 2058, pfn: SECTION + 4096, npage: 502 },
      { vpn: 2560, pfn: 2 * SECTION, npage: 512, order: 9 },
    ]);
    expect(pin(mm, 1024, 2048)).toMatchObject({
      ret: 2048,
      extents: [
        [SECTION, 1034],
        [SECTION + 4096, 502],
        [2 * SECTION, 512],
      ],
    });
    expect(
      [SECTION, SECTION + 512, 2 * SECTION].map((pfn) => folioOf(mm.memory.memmap, pfn)),
    ).toEqual(Array.from({ length: 3 }, () => ({ order: 9, refcount: 513, pincount: 512 })));
  });
});

describe('extents', () => {
  test.each(MODELS)('go on over section borders, by frames: %s', (model) => {
    const mm = spaceWith([{ vpn: 1024, pfn: 2 * SECTION - 512, npage: 1024, order: 9 }], { model });
    expect(pin(mm, 1030, 1000).extents).toEqual([[2 * SECTION - 506, 1000]]);
  });

  test('that do not fit are not pinned', () => {
    const pfns = [10, 11, 20, 21, 30].map((pfn) => SECTION + pfn);
    const mm = spaceWith([]);
    const frames = new PrescribedLayout(
      pfns.map((pfn, i) => ({ vpn: 100 + i, pfn, npage: 1, order: 0 })),
    );
    mmapMemory(mm, { vpn: 100, npage: 5, kind: 'anon', order: 0, frames });
    expect(pin(mm, 100, 5, { capacity: 2 })).toEqual({
      ret: 4,
      extents: [
        [SECTION + 10, 2],
        [SECTION + 20, 2],
      ],
      full: true,
    });
    expect(mm.memory.vmstat.pinsHeld).toBe(4);
    expect(folioOf(mm.memory.memmap, SECTION + 30).refcount).toBe(1);
  });

  test('that do not fit: large leaves too', () => {
    const mm = spaceWith([
      { vpn: 1024, pfn: 2 * SECTION, npage: 512, order: 9 },
      { vpn: 1536, pfn: SECTION, npage: 512, order: 9 },
    ]);
    expect(pin(mm, 1024, 1024, { capacity: 1 })).toMatchObject({ ret: 512, full: true });
    expect(folioOf(mm.memory.memmap, SECTION).pincount).toBe(0);
  });

  test('begin at the page table, not at the folio: a page that was copied lies elsewhere', () => {
    const mm = spaceWith([]);
    mm.memory.frames = new BuddyAllocator([{ pfn: SECTION, npage: 8 * SECTION }]);
    mm.memory.thp = { ...mm.memory.thp, enabled: 'always' };
    doMmap(mm, { vpn: 1024, npage: 512, flags: RW, ops: anonymousMemory });
    touchPage(mm, 1024, true);
    const head = mm.pageTable.pfnAt(1024);
    expect(folioOf(mm.memory.memmap, head).order).toBe(9);
    dupMmap(mm, new MmStruct(mm.memory));
    touchPage(mm, 1027, true);
    const copy = mm.pageTable.pfnAt(1027);
    expect(copy).not.toBe(head + 3);
    const { ret, extents } = pin(mm, 1024, 4);
    expect(ret).toBe(4);
    const pages = extents.flatMap(([pfn, n]) => Array.from({ length: n }, (_, i) => pfn + i));
    expect(pages).toEqual([0, 1, 2, 3].map((i) => mm.pageTable.pfnAt(1024 + i)));
    expect(pages[3]).toBe(copy);
    // The pages that the child shares were copied for the write.
    expect(pages.filter((pfn) => pfn >= head && pfn < head + 512)).toEqual([]);
  });
});

describe('pages that cannot be had', () => {
  test('end a pin that has begun, and fail the next one', () => {
    const mm = spaceWith([{ vpn: 1024, pfn: SECTION, npage: 10 }]);
    expect(pin(mm, 1020, 8).ret).toBe(-Errno.EFAULT);
    expect(mm.gupFailure).toEqual({ vpn: 1020, why: 'no VMA covers it' });
    expect(pin(mm, 1024, 20).ret).toBe(10);
    expect(pin(mm, 1034, 10).ret).toBe(-Errno.EFAULT);
  });

  test.each([
    ['read-only memory, to write', { prot: { read: true, write: false } }, true],
    ['write-only memory, to read', { prot: { read: false, write: true } }, false],
  ])('%s', (_, access, write) => {
    const mm = spaceWith([{ vpn: 1024, pfn: SECTION, npage: 10, ...access }]);
    expect(pin(mm, 1024, 10, { write })).toMatchObject({ ret: -Errno.EFAULT, extents: [] });
  });

  test('device memory', () => {
    const mm = spaceWith([]);
    mmapPfnmap(mm, { vpn: 1024, npage: 512, pfn: 2 ** 26 });
    expect(pin(mm, 1024, 512).ret).toBe(-Errno.EFAULT);
    expect(mm.gupFailure?.why).toContain('VM_PFNMAP');
  });

  test.each([0, 4, 9])('a folio of order %i without references', (order) => {
    const mm = spaceWith([{ vpn: 1024, pfn: SECTION, npage: 1024, order }]);
    const { memmap } = mm.memory;
    memmap.refcount[memmap.headEntryOf(SECTION + 512)] = 0;
    expect(pin(mm, 1024, 1024)).toMatchObject({ ret: 512, extents: [[SECTION, 512]] });
    expect(pin(mm, 1536, 512).ret).toBe(-Errno.ENOMEM);
    expect(mm.gupFailure?.why).toContain('overflow');
  });
});

describe('movable memory', () => {
  const NORMAL: MemoryRange = { pfn: 4 * GIB, npage: GIB };
  const MOVABLE: MemoryRange = { pfn: 5 * GIB, npage: GIB, zone: 'movable' };

  function bootMovable(): MmStruct {
    const memory = new Memory(new MemMap([NORMAL, MOVABLE]), RULES.nth_page);
    memory.frames = new BuddyAllocator([NORMAL, MOVABLE]);
    return new MmStruct(memory);
  }

  test.each([
    ['small folios', 'never', 8, 0],
    ['a THP', 'always', 512, 9],
  ] as const)('%s are migrated before they are pinned', (_, enabled, npage, order) => {
    const mm = bootMovable();
    mm.memory.thp = { ...mm.memory.thp, enabled };
    doMmap(mm, { vpn: 0x4000, npage, flags: RW, ops: anonymousMemory });
    for (let i = 0; i < npage; i++) touchPage(mm, 0x4000 + i, true);
    expect(mm.memory.memmap.longtermPinnable(mm.pageTable.pfnAt(0x4000))).toBe(false);
    expect(pin(mm, 0x4000, npage).ret).toBe(npage);
    const pfn = mm.pageTable.pfnAt(0x4000);
    expect(mm.memory.memmap.longtermPinnable(pfn)).toBe(true);
    expect(folioOf(mm.memory.memmap, pfn).order).toBe(order);
    // Nothing that moved was pinned before.
    expect(mm.memory.vmstat).toMatchObject({ nrFollPinAcquired: npage, nrFollPinReleased: 0 });
  });

  test('that cannot be migrated: ENOMEM, and it is as it was', () => {
    const mm = new MmStruct(boot({ ranges: [NORMAL, MOVABLE] }));
    mapRun(mm, { vpn: 1024, pfn: 5 * GIB, npage: 512, order: 9 });
    const before = countsOf(mm);
    expect(pin(mm, 1024, 512).ret).toBe(-Errno.ENOMEM);
    expect(mm.gupFailure).toMatchObject({ vpn: 1024 });
    expect(countsOf(mm)).toEqual(before);
  });
});

test('what was never touched is faulted in, as memory that may be pinned for long', () => {
  const mm = spaceWith([]);
  mm.memory.frames = new BuddyAllocator([{ pfn: SECTION, npage: 8 * SECTION }]);
  mm.memory.thp = { ...mm.memory.thp, enabled: 'never' };
  doMmap(mm, { vpn: 1024, npage: 20, flags: RW, ops: anonymousMemory });
  touchPage(mm, 1030, true);
  expect(pin(mm, 1024, 20).ret).toBe(20);
  expect(mm.memory.counters.snapshot()).toMatchObject({ pageFaults: 20, folioGrabs: 20 });
  expect(mm.memory.memallocPin).toBe(false);
});

test('a pin to read of memory that was only read unshares the zero page', () => {
  const mm = spaceWith([]);
  mm.memory.frames = new BuddyAllocator([{ pfn: SECTION, npage: 8 * SECTION }]);
  mm.memory.thp = { ...mm.memory.thp, enabled: 'never' };
  doMmap(mm, { vpn: 1024, npage: 2, flags: RW, ops: anonymousMemory });
  touchPage(mm, 1024, false);
  expect(mm.pageTable.pfnAt(1024)).toBe(mm.memory.zeroPfn);
  const { ret, extents } = pin(mm, 1024, 2, { write: false });
  expect(ret).toBe(2);
  expect(extents.flat()).not.toContain(mm.memory.zeroPfn);
});

test('page numbers of any size: 2^32 pages are 16 TiB', () => {
  const vpn = 2 ** 35 + 2 ** 32;
  const pfn = 2 ** 36 - 512;
  const mm = new MmStruct(boot({ ranges: [{ pfn: 2 ** 36 - SECTION, npage: 2 * SECTION }] }));
  mapRun(mm, { vpn, pfn, npage: 1024, order: 9 });
  const out = mm.memory.memmap.extents(4);
  expect(pinUserExtents(mm, vpn + 5, 1000, true, out)).toBe(1000);
  expect([out.count, out.pfn[0], out.npage[0]]).toEqual([1, pfn + 5, 1000]);
  expect(unpinExtents(mm.memory, out, 0, 1, true)).toBe(1000);
  expect(mm.memory.vmstat.pinsHeld).toBe(0);
});
