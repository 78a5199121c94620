import { Errno, PMD_ORDER, X86_64 } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import {
  boot,
  folioOf,
  mapRun,
  MODELS,
  SECTION,
  spaceWith,
  type Boot,
  type Run,
} from '../test/machine.ts';
import { FOLL } from './foll.ts';
import { pinUserPagesRemote } from './gup.ts';
import { mmapMemory, mmapPfnmap } from './mmap.ts';
import { MmStruct } from './mm-struct.ts';
import { PrescribedLayout } from './frame-source.ts';
import type { MemMap } from './memmap.ts';

const READ = FOLL.LONGTERM;
const WRITE = FOLL.LONGTERM | FOLL.WRITE;
const GIB = 2 ** 18;

/** Pins pages as type1 does; returns the result and the frames of the page array. */
function pin(
  mm: MmStruct,
  vpn: number,
  npage: number,
  flags = WRITE,
): { ret: number; pfns: number[] } {
  const pages = new Float64Array(npage);
  const ret = pinUserPagesRemote(mm, vpn, npage, flags, pages);
  return {
    ret,
    pfns: [...pages.subarray(0, Math.max(0, ret))].map((page) => mm.memory.memmap.pageToPfn(page)),
  };
}

function frames(pfn: number, npage: number): number[] {
  return Array.from({ length: npage }, (_, i) => pfn + i);
}

function countsOf(memmap: MemMap): unknown[] {
  return [...memmap.foliosInUse()];
}

describe('steps, fills and grabs', () => {
  const small: Run = { vpn: 1024, pfn: SECTION, npage: 512 };
  const thp: Run = { ...small, order: PMD_ORDER };
  const gib: Run = { vpn: GIB, pfn: GIB, npage: GIB, order: 18, kind: 'hugetlb' };
  const twoGib: Boot = { ranges: [{ pfn: GIB, npage: 2 * GIB }] };

  test.each<[string, Run, Boot, number, number, number[]]>([
    // what, machine, offset, pages, [steps, fills, grabs, atomics]
    ['512 small pages', small, {}, 0, 512, [512, 512, 512, 512]],
    ['one small page', small, {}, 17, 1, [1, 1, 1, 1]],
    [
      'a 2 MiB leaf: two grabs, one for the first page and one for the rest',
      thp,
      {},
      0,
      512,
      [1, 512, 2, 4],
    ],
    ['one page of a 2 MiB leaf: one grab', thp, {}, 511, 1, [1, 1, 1, 2]],
    ['the end of a 2 MiB leaf', thp, {}, 500, 12, [1, 12, 2, 4]],
    [
      'a THP in 4 KiB entries: a step and a grab per page',
      { ...thp, vpn: 1025 },
      {},
      0,
      512,
      [512, 512, 512, 1024],
    ],
    [
      '64 KiB folios: a step and a grab per page',
      { ...thp, order: 4 },
      {},
      0,
      64,
      [64, 64, 64, 128],
    ],
    [
      '64 KiB hugetlb pages: seen as 4 KiB entries',
      { ...thp, order: 4, kind: 'hugetlb' },
      {},
      0,
      64,
      [64, 64, 64, 128],
    ],
    ['two 2 MiB leaves', { ...thp, npage: 1024 }, {}, 256, 512, [2, 512, 4, 8]],
    ['a batch of a 1 GiB leaf', gib, twoGib, 512, 512, [1, 512, 2, 4]],
    ['all of a 1 GiB leaf', gib, twoGib, 0, GIB, [1, GIB, 2, 4]],
  ])('%s', (_, run, machine, offset, npage, [steps, fills, grabs, atomics]) => {
    const mm = spaceWith([run], machine);
    expect(pin(mm, run.vpn + offset, npage)).toEqual({
      ret: npage,
      pfns: frames(run.pfn + offset, npage),
    });
    expect(mm.memory.counters.snapshot()).toMatchObject({
      gupCalls: 1,
      gupSteps: steps,
      pageFills: fills,
      folioGrabs: grabs,
      grabAtomics: atomics,
      migrateChecks: npage,
    });
    expect(mm.memory.vmstat.pinsHeld).toBe(npage);
  });

  test('a pin costs 1024 references of a small folio; of a large one 1, and 1 pincount', () => {
    const mm = spaceWith([small, { vpn: 0, pfn: SECTION + 1024, npage: 512, order: 9 }]);
    pin(mm, 1024, 2);
    pin(mm, 100, 50);
    const { memmap } = mm.memory;
    expect(folioOf(memmap, SECTION)).toEqual({ order: 0, refcount: 1025, pincount: 0 });
    expect(folioOf(memmap, SECTION + 1024)).toEqual({ order: 9, refcount: 51, pincount: 50 });
  });

  test('the mm remembers that it has pinned pages', () => {
    const mm = spaceWith([small]);
    expect(mm.hasPinned).toBe(false);
    pin(mm, small.vpn, 1);
    expect(mm.hasPinned).toBe(true);
  });
});

describe('a call goes on', () => {
  test('from one leaf size to another, over tables and VMAs', () => {
    const mm = spaceWith([
      { vpn: 500, pfn: SECTION, npage: 12 },
      { vpn: 512, pfn: SECTION + 512, npage: 512, order: 9 },
      { vpn: 1024, pfn: SECTION + 2048, npage: 8, order: 2 },
      { vpn: 1032, pfn: SECTION + 100, npage: 1 },
    ]);
    expect(pin(mm, 500, 533)).toEqual({
      ret: 533,
      pfns: [
        ...frames(SECTION, 12),
        ...frames(SECTION + 512, 512),
        ...frames(SECTION + 2048, 8),
        SECTION + 100,
      ],
    });
  });

  test.each(MODELS)('over section borders, inside a leaf and between small pages, %s', (model) => {
    const mm = spaceWith(
      [
        { vpn: 0, pfn: 8 * SECTION, npage: GIB, order: 18, kind: 'hugetlb' },
        { vpn: GIB, pfn: 2 * SECTION - 3, npage: 6 },
      ],
      { model, seed: 3, ranges: [{ pfn: SECTION, npage: 15 * SECTION }] },
    );
    const { memmap } = mm.memory;
    for (const [vpn, pfn, npage] of [
      [SECTION - 5, 9 * SECTION - 5, 10],
      [0, 8 * SECTION, 2 * SECTION + 1],
      [GIB, 2 * SECTION - 3, 6],
    ]) {
      const pages = new Float64Array(npage);
      expect(pinUserPagesRemote(mm, vpn, npage, WRITE, pages)).toBe(npage);
      expect([...pages]).toEqual(frames(pfn, npage).map((frame) => memmap.pfnToPage(frame)));
    }
  });
});

describe('where a call ends', () => {
  /** Pages 10 to 14, then what follows. */
  function space(follow: (mm: MmStruct) => void): MmStruct {
    const mm = spaceWith([{ vpn: 10, pfn: SECTION, npage: 5 }]);
    follow(mm);
    return mm;
  }
  const absent = new PrescribedLayout([]);
  const next = { vpn: 15, pfn: SECTION + 5, npage: 5 };
  const device = { vpn: 15, npage: 5, pfn: 2 ** 26 };

  test.each<[string, number, (mm: MmStruct) => void, string]>([
    ['no VMA', WRITE, () => undefined, 'no VMA covers it'],
    [
      'pages that are not there',
      WRITE,
      (mm) => mmapMemory(mm, { vpn: 15, npage: 5, kind: 'anon', order: 0, frames: absent }),
      'no page is mapped there with this access',
    ],
    ['device memory', WRITE, (mm) => mmapPfnmap(mm, device), 'the VMA is VM_IO or VM_PFNMAP'],
    [
      'device memory, to read',
      READ,
      (mm) => mmapPfnmap(mm, device),
      'the VMA is VM_IO or VM_PFNMAP',
    ],
    [
      'read-only memory, to write',
      WRITE,
      (mm) => mapRun(mm, { ...next, prot: { read: true, write: false } }),
      'the VMA is not writable',
    ],
    [
      'write-only memory, to read',
      READ,
      (mm) => mapRun(mm, { ...next, prot: { read: false, write: true } }),
      'the VMA is not readable',
    ],
    [
      'inaccessible memory, to read',
      READ,
      (mm) => mapRun(mm, { ...next, prot: { read: false, write: false } }),
      'the VMA is not readable',
    ],
    [
      'inaccessible memory, to write',
      WRITE,
      (mm) => mapRun(mm, { ...next, prot: { read: false, write: false } }),
      'the VMA is not writable',
    ],
  ])('%s: what was before it is pinned, EFAULT if nothing was', (_, flags, follow, why) => {
    const mm = space(follow);
    expect(pin(mm, 10, 10, flags)).toEqual({ ret: 5, pfns: frames(SECTION, 5) });
    expect(mm.gupFailure).toEqual({ vpn: 15, why });
    const before = countsOf(mm.memory.memmap);
    expect(pin(mm, 15, 1, flags).ret).toBe(-Errno.EFAULT);
    expect(countsOf(mm.memory.memmap)).toEqual(before);
    expect(mm.memory.vmstat.pinsHeld).toBe(5);
  });

  test.each([
    ['read-only memory, to read', READ, { read: true, write: false }],
    ['write-only memory, to write', WRITE, { read: false, write: true }],
  ])('nowhere: %s', (_, flags, prot) => {
    const mm = space((space) => mapRun(space, { ...next, prot }));
    expect(pin(mm, 10, 10, flags).ret).toBe(10);
  });

  test('the VMA, though the page table goes on with memory of another VMA', () => {
    const mm = space((space) => mapRun(space, { ...next, prot: { read: true, write: false } }));
    expect(mm.pageTable.pfnAt(15)).toBe(SECTION + 5);
    expect(pin(mm, 10, 10, WRITE).ret).toBe(5);
  });

  test('the last page of 48 address bits', () => {
    const mm = spaceWith([{ vpn: X86_64.virtualPages - 2, pfn: SECTION, npage: 2 }]);
    expect(pin(mm, X86_64.virtualPages - 2, 5)).toEqual({ ret: 2, pfns: frames(SECTION, 2) });
    expect(pin(mm, X86_64.virtualPages, 1).ret).toBe(-Errno.EFAULT);
    expect(pin(mm, 2 ** 52 - 1, 1).ret).toBe(-Errno.EFAULT);
  });

  test('a read-only large leaf, to write', () => {
    const mm = spaceWith([
      { vpn: 0, pfn: SECTION, npage: 512, order: 9, prot: { read: true, write: false } },
    ]);
    expect(pin(mm, 0, 512, WRITE).ret).toBe(-Errno.EFAULT);
    expect(pin(mm, 0, 512, READ).ret).toBe(512);
  });
});

describe('a folio whose reference count has overflowed', () => {
  function space(order: number): MmStruct {
    const mm = spaceWith([
      { vpn: 0, pfn: SECTION, npage: 512 },
      { vpn: 512, pfn: SECTION + 512, npage: 512, order },
    ]);
    const { memmap } = mm.memory;
    memmap.refcount[memmap.headEntryOf(SECTION + 512)] = -(2 ** 31);
    return mm;
  }

  test.each([0, 4, 9])('of order %i is refused, with ENOMEM if it comes first', (order) => {
    const mm = space(order);
    expect(pin(mm, 500, 100).ret).toBe(12);
    expect(pin(mm, 512, 100).ret).toBe(-Errno.ENOMEM);
    expect(mm.gupFailure).toMatchObject({ vpn: 512 });
    expect(folioOf(mm.memory.memmap, SECTION + 512)).toMatchObject({
      refcount: -(2 ** 31),
      pincount: 0,
    });
  });

  test('comes after about two million pins of one small page', () => {
    const mm = spaceWith([{ vpn: 0, pfn: SECTION, npage: 1 }]);
    const { memmap } = mm.memory;
    memmap.refcount[memmap.headEntryOf(SECTION)] = 2 ** 31 - 1024;
    expect(pin(mm, 0, 1).ret).toBe(1);
    expect(pin(mm, 0, 1).ret).toBe(-Errno.ENOMEM);
  });
});

describe('movable memory', () => {
  const machine: Boot = {
    ranges: [
      { pfn: SECTION, npage: SECTION },
      { pfn: 2 * SECTION, npage: SECTION, zone: 'movable' },
    ],
  };

  function space(order: number): MmStruct {
    const npage = 2 ** order;
    return spaceWith(
      [
        { vpn: 1024 - 10, pfn: SECTION, npage: 10 },
        { vpn: 1024, pfn: 2 * SECTION, npage, order },
        { vpn: 1024 + npage, pfn: SECTION + 10, npage: 10 },
      ],
      machine,
    );
  }

  test.each([0, 3, 9])(
    'a movable folio of order %i ends a longterm pin with ENOMEM, everything unpinned',
    (order) => {
      const mm = space(order);
      const before = countsOf(mm.memory.memmap);
      expect(pin(mm, 1014, 20 + 2 ** order).ret).toBe(-Errno.ENOMEM);
      expect(countsOf(mm.memory.memmap)).toEqual(before);
      const { nrFollPinAcquired, nrFollPinReleased } = mm.memory.vmstat;
      expect([nrFollPinAcquired, nrFollPinReleased]).toEqual([20 + 2 ** order, 20 + 2 ** order]);
      expect(mm.gupFailure).toMatchObject({ vpn: 1024 });
    },
  );

  test('a pin that stops before it succeeds', () => {
    expect(pin(space(0), 1014, 10).ret).toBe(10);
  });

  test('a pin that is not for long does not care, and makes no check', () => {
    const mm = space(0);
    expect(pin(mm, 1014, 21, FOLL.WRITE).ret).toBe(21);
    expect(mm.memory.counters.snapshot().migrateChecks).toBe(0);
  });
});

test('page numbers of any size: 2^32 pages are 16 TiB', () => {
  const run: Run = { vpn: 2 ** 35 + 2 ** 32, pfn: 2 ** 36 - 512, npage: 1024, order: 9 };
  const mm = new MmStruct(boot({ ranges: [{ pfn: 2 ** 36 - SECTION, npage: 2 * SECTION }] }));
  mapRun(mm, run);
  expect(pin(mm, run.vpn + 5, 1000)).toEqual({ ret: 1000, pfns: frames(run.pfn + 5, 1000) });
});
