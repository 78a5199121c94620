import { InputError, X86_64 } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { boot, folioOf, SECTION, spaceWith, type Run } from '../test/machine.ts';
import { PG } from './page-state.ts';
import { mmapMemory, mmapPfnmap } from './mmap.ts';
import { MmStruct } from './mm-struct.ts';
import { PrescribedLayout, type FrameSource } from './frame-source.ts';
import { PTE } from './page-table.ts';
import { VM } from './vma.ts';

/** 2 GiB of memory from 1 GiB on, for 1 GiB folios. */
const TWO_GIB = [{ pfn: 2 ** 18, npage: 2 ** 19 }];
const GIB = 2 ** 18;

/** Levels of the leaves that map pages. */
function levels(mm: MmStruct, vpns: readonly number[]): number[] {
  return vpns.map((vpn) => (mm.pageTable.walk(vpn) ? mm.pageTable.level : -1));
}

describe('leaves are as large as folio, alignment and range allow', () => {
  const thp: Run = { vpn: 1024, pfn: SECTION + 512, npage: 512, order: 9 };

  test.each<[string, Run, number]>([
    ['4 KiB pages, even if contiguous and aligned', { ...thp, order: 0 }, 0],
    ['a THP that lies aligned', thp, 1],
    ['a THP at a misaligned address', { ...thp, vpn: 1025 }, 0],
    ['the first half of a THP', { ...thp, npage: 256 }, 0],
    ['the second half of a THP', { ...thp, vpn: 1280, pfn: thp.pfn + 256, npage: 256 }, 0],
    ['64 KiB folios', { ...thp, order: 4 }, 0],
    [
      '64 KiB hugetlb pages, whose contiguous entries GUP sees as PTEs',
      { ...thp, order: 4, kind: 'hugetlb' },
      0,
    ],
    ['a 2 MiB hugetlb page', { ...thp, kind: 'hugetlb' }, 1],
  ])('%s', (_, run, level) => {
    const mm = spaceWith([run]);
    expect(levels(mm, [run.vpn, run.vpn + run.npage - 1])).toEqual([level, level]);
    expect(mm.pageTable.pfnAt(run.vpn + run.npage - 1)).toBe(run.pfn + run.npage - 1);
  });

  test('a 1 GiB hugetlb page', () => {
    const mm = spaceWith([{ vpn: GIB, pfn: GIB, npage: GIB, order: 18, kind: 'hugetlb' }], {
      ranges: TWO_GIB,
    });
    expect(levels(mm, [GIB, 2 * GIB - 1, 2 * GIB])).toEqual([2, 2, -1]);
  });

  test('a run of several THPs, the last one cut', () => {
    const mm = spaceWith([{ vpn: 0, pfn: SECTION, npage: 1024 + 100, order: 9 }]);
    expect(levels(mm, [0, 512, 1024, 1123])).toEqual([1, 1, 0, 0]);
  });
});

describe('references: one per leaf', () => {
  test('a THP in one leaf has one, in 4 KiB entries 512', () => {
    const mm = spaceWith([
      { vpn: 0, pfn: SECTION, npage: 512, order: 9 },
      { vpn: 1025, pfn: SECTION + 512, npage: 512, order: 9 },
    ]);
    const { memmap } = mm.memory;
    expect(folioOf(memmap, SECTION)).toEqual({ order: 9, refcount: 1, pincount: 0 });
    expect(folioOf(memmap, SECTION + 512)).toEqual({ order: 9, refcount: 512, pincount: 0 });
  });

  test('two VMAs may map different parts, or the same part, of one folio', () => {
    const mm = spaceWith([
      { vpn: 0, pfn: SECTION + 2, npage: 3, order: 4 },
      { vpn: 100, pfn: SECTION + 9, npage: 7, order: 4 },
      { vpn: 200, pfn: SECTION + 9, npage: 1, order: 4 },
    ]);
    expect(folioOf(mm.memory.memmap, SECTION)).toEqual({ order: 4, refcount: 11, pincount: 0 });
  });

  test('every small page has one', () => {
    const { memory } = spaceWith([{ vpn: 0, pfn: SECTION, npage: 20 }]);
    const counts = [...memory.memmap.foliosInUse()].map(({ pfn, refcount }) => [pfn, refcount]);
    expect(counts).toEqual(Array.from({ length: 20 }, (_, i) => [SECTION + i, 1]));
  });
});

describe('the VMA', () => {
  test.each([
    ['anonymous', undefined, undefined, VM.READ | VM.WRITE],
    ['hugetlb', 'hugetlb', undefined, VM.READ | VM.WRITE | VM.HUGETLB],
    ['read-only', undefined, { read: true, write: false }, VM.READ],
    ['write-only', undefined, { read: false, write: true }, VM.WRITE],
    ['inaccessible', undefined, { read: false, write: false }, 0],
  ] as const)('of %s memory', (_, kind, prot, flags) => {
    const run = { vpn: 10, pfn: SECTION, npage: 5, ...(kind && { kind }), ...(prot && { prot }) };
    expect([...spaceWith([run]).vmas]).toMatchObject([
      { start: 10, end: 15, flags: flags | VM.MAYWRITE },
    ]);
  });

  test('read-only memory has entries without the write bit, exclusive to the process', () => {
    const mm = spaceWith([
      { vpn: 0, pfn: SECTION, npage: 1, prot: { read: true, write: false } },
      { vpn: 1, pfn: SECTION + 1, npage: 1 },
    ]);
    const bits = [0, 1].map((vpn) => {
      mm.pageTable.walk(vpn);
      return mm.pageTable.ptes.bits[mm.pageTable.index];
    });
    expect(bits).toEqual([
      PTE.present | PTE.anonExclusive,
      PTE.present | PTE.anonExclusive | PTE.write,
    ]);
  });

  test('pages are anonymous, hugetlb pages also hugetlb', () => {
    const { memmap } = spaceWith([
      { vpn: 0, pfn: SECTION, npage: 1 },
      { vpn: 512, pfn: SECTION + 512, npage: 512, order: 9, kind: 'hugetlb' },
    ]).memory;
    expect([...memmap.foliosInUse()].map(({ flags }) => flags)).toEqual([
      PG.anon,
      PG.anon | PG.hugetlb,
    ]);
  });
});

test('pages for which the source has no frame stay absent', () => {
  const mm = new MmStruct(boot());
  const frames = new PrescribedLayout([
    { vpn: 2, pfn: SECTION, npage: 3, order: 0 },
    { vpn: 8, pfn: SECTION + 9, npage: 1, order: 0 },
  ]);
  mmapMemory(mm, { vpn: 0, npage: 10, kind: 'anon', order: 0, frames });
  const pfns = Array.from({ length: 10 }, (_, vpn) => mm.pageTable.pfnAt(vpn));
  expect(pfns).toEqual([-1, -1, SECTION, SECTION + 1, SECTION + 2, -1, -1, -1, SECTION + 9, -1]);
});

describe('a mapping that is refused', () => {
  /** Maps a range whose every page would get the frame `pfn + page`. */
  function mapRange(vpn: number, npage: number, pfn: number): void {
    const mm = spaceWith([{ vpn: 1000, pfn: SECTION, npage: 10 }]);
    const frames: FrameSource = {
      framesFor(at, wanted, _order, out) {
        out.pfn = pfn + at - vpn;
        out.npage = wanted;
      },
    };
    mmapMemory(mm, { vpn, npage, kind: 'anon', order: 0, frames });
  }

  test.each([
    ['empty', 0, 0, SECTION + 100, 'mapping at virtual page 0: expected at least one page'],
    [
      'below 0',
      -1,
      2,
      SECTION + 100,
      'mapping at virtual page -1: expected a range below 2^48 bytes',
    ],
    [
      'beyond 48 address bits',
      X86_64.virtualPages - 1,
      2,
      SECTION + 100,
      'expected a range below 2^48 bytes',
    ],
    [
      'over another',
      1009,
      2,
      SECTION + 100,
      'mapping at virtual page 1009: expected a free address range',
    ],
    ['of frames in use', 0, 1, SECTION + 9, 'expected free pages for a folio'],
    ['of frames that do not exist', 0, 1, 100 * SECTION, 'expected a page of the machine’s memory'],
  ])('%s', (_, vpn, npage, pfn, message) => {
    expect(() => mapRange(vpn, npage, pfn)).toThrow(InputError);
    expect(() => mapRange(vpn, npage, pfn)).toThrow(message);
  });

  test('the last page below 2^48 bytes is none', () => {
    const mm = spaceWith([{ vpn: X86_64.virtualPages - 1, pfn: SECTION, npage: 1 }]);
    expect(mm.pageTable.pfnAt(X86_64.virtualPages - 1)).toBe(SECTION);
  });
});

describe('device memory', () => {
  const bar = { vpn: GIB, npage: GIB + 512 + 1, pfn: 2 ** 26 };

  /** Leaves of the BAR as [first page, level]. */
  function leavesOf(maxLeafOrder?: number, misaligned = 0): number[] {
    const mm = new MmStruct(boot());
    mmapPfnmap(mm, {
      ...bar,
      pfn: bar.pfn + misaligned,
      ...(maxLeafOrder !== undefined && { maxLeafOrder }),
    });
    return levels(mm, [bar.vpn, bar.vpn + GIB, bar.vpn + GIB + 512]);
  }

  test('is mapped in leaves as large as alignment allows', () => {
    expect(leavesOf()).toEqual([2, 1, 0]);
  });

  test('or as its driver does', () => {
    expect(leavesOf(9)).toEqual([1, 1, 0]);
    expect(leavesOf(0)).toEqual([0, 0, 0]);
  });

  test('that is not congruent with its address is mapped in 4 KiB entries', () => {
    expect(leavesOf(18, 1)).toEqual([0, 0, 0]);
    expect(leavesOf(18, 512)).toEqual([1, 1, 0]);
  });

  test('has a VMA for pure pfns, special entries, and no page state', () => {
    const mm = new MmStruct(boot());
    mmapPfnmap(mm, { vpn: 0, npage: 1, pfn: 2 ** 26, prot: { read: true, write: false } });
    const flags = VM.PFNMAP | VM.IO | VM.READ | VM.MAYWRITE;
    expect([...mm.vmas]).toMatchObject([{ start: 0, end: 1, flags }]);
    mm.pageTable.walk(0);
    expect(mm.pageTable.ptes.bits[mm.pageTable.index]).toBe(PTE.present | PTE.special);
    expect([...mm.memory.memmap.foliosInUse()]).toEqual([]);
  });

  test.each([
    ['empty', { vpn: 0, npage: 0, pfn: 1 }],
    ['over another mapping', { vpn: 100, npage: 2, pfn: 1 }],
    ['beyond 48 address bits', { vpn: X86_64.virtualPages, npage: 1, pfn: 1 }],
  ])('%s is refused', (_, device) => {
    const mm = spaceWith([{ vpn: 101, pfn: SECTION, npage: 1 }]);
    expect(() => mmapPfnmap(mm, device)).toThrow(InputError);
  });
});

test('device memory beyond 52 physical address bits is refused, and nothing is mapped', () => {
  const mm = spaceWith([]);
  expect(() => {
    mmapPfnmap(mm, { vpn: 0x1000, npage: 2, pfn: 2 ** 40 - 1 });
  }).toThrow(
    'device memory: expected frames below 2^52 bytes, got frames 1099511627775 to 1099511627776',
  );
  expect([...mm.vmas]).toEqual([]);
});
