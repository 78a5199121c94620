import { KernelBug, type Extents } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { folioOf, MODELS, SECTION, spaceWith, type Run } from '../test/machine.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import { pinUserExtents } from './pin-user-extents.ts';
import { unpinExtent, unpinExtents } from './unpin-extents.ts';

const RUNS: readonly Run[] = [
  { vpn: 1024, pfn: 2 * SECTION - 1024, npage: 2048, order: 9 },
  { vpn: 3072, pfn: 4 * SECTION - 5, npage: 10 },
  { vpn: 3082, pfn: 5 * SECTION + 3, npage: 40, order: 4 },
];
const NPAGE = 2098;

function pinned(model = MODELS[0]): { mm: MmStruct; extents: Extents } {
  const mm = spaceWith(RUNS, { model, step: 'page + i' });
  const extents = mm.memory.memmap.extents(8);
  expect(pinUserExtents(mm, 1024, NPAGE, true, extents)).toBe(NPAGE);
  return { mm, extents };
}

function state({ memory }: MmStruct): unknown[] {
  return Array.from(memory.memmap.foliosInUse(), ({ pfn, refcount, pincount }) => [
    pfn,
    refcount,
    pincount,
  ]);
}

describe.each(MODELS)('%s', (model) => {
  test('one put per folio, also where extents go over section borders', () => {
    const { mm, extents } = pinned(model);
    const before = state(spaceWith(RUNS, { model }));
    expect(unpinExtents(mm.memory, extents, 0, extents.count, true)).toBe(NPAGE);
    expect(state(mm)).toEqual(before);
    expect(mm.memory.vmstat.pinsHeld).toBe(0);
    // Four folios of 2 MiB, ten of 4 KiB, three of 64 KiB, the first and the last in part.
    expect(mm.memory.counters.snapshot()).toMatchObject({
      putCalls: 17,
      putAtomics: 2 * 7 + 10,
      dirtyTests: 17,
      dirtyLocks: 17,
      unpinCalls: 0,
    });
  });
});

test('a clean unpin tests and marks nothing dirty', () => {
  const { mm, extents } = pinned();
  unpinExtents(mm.memory, extents, 0, extents.count, false);
  expect(mm.memory.counters.snapshot()).toMatchObject({ dirtyTests: 0, dirtyLocks: 0 });
  for (const { flags } of mm.memory.memmap.foliosInUse()) expect(flags & PG.dirty).toBe(0);
});

test('some of the extents, and what holds no pins is left out', () => {
  const { mm, extents } = pinned();
  extents.npage[1] = -extents.npage[1];
  expect(unpinExtents(mm.memory, extents, 0, 2, true)).toBe(2048);
  expect(mm.memory.vmstat.pinsHeld).toBe(50);
});

test('an extent in parts', () => {
  const { mm } = pinned();
  unpinExtent(mm.memory, 2 * SECTION - 1024, 100, true);
  expect(folioOf(mm.memory.memmap, 2 * SECTION - 1024)).toMatchObject({ pincount: 412 });
  unpinExtent(mm.memory, 2 * SECTION - 924, 924, true);
  expect(folioOf(mm.memory.memmap, 2 * SECTION - 1024)).toMatchObject({ pincount: 0 });
  expect(folioOf(mm.memory.memmap, 2 * SECTION - 1)).toMatchObject({ pincount: 0 });
  expect(mm.memory.vmstat.pinsHeld).toBe(NPAGE - 1024);
});

test('frees what has no other reference, and refuses what holds no pin', () => {
  const { mm, extents } = pinned();
  const { memmap } = mm.memory;
  for (const pfn of [2 * SECTION - 1024, 4 * SECTION]) memmap.refcount[memmap.headEntryOf(pfn)]--;
  unpinExtents(mm.memory, extents, 0, extents.count, true);
  expect(folioOf(memmap, 2 * SECTION - 1024)).toEqual({ order: 0, refcount: 0, pincount: 0 });
  expect(folioOf(memmap, 4 * SECTION).refcount).toBe(0);
  expect(() => unpinExtents(mm.memory, extents, 0, 1, true)).toThrow(KernelBug);
});
