import { Errno } from '@pinfold/base';
import { expect, test } from 'vitest';
import { bootFaulting } from '../test/faulting.ts';
import { folioOf } from '../test/machine.ts';
import { folioAddPins, memfdPinFolios, PinnedFolios } from './memfd-pin.ts';
import { MappedFile } from './page-cache.ts';

test('a hole is allocated, and each folio gets one pin', () => {
  const { mm, memory, memmap } = bootFaulting();
  const file = new MappedFile('shmem', 8);
  const folios = new PinnedFolios(8);
  expect(memfdPinFolios(mm, file, 2, 6, folios)).toBe(5);
  expect(memory.vmstat.pinsHeld).toBe(5);
  expect(memory.counters.snapshot()).toMatchObject({ memfdPinCalls: 1, memfdAllocs: 5 });
  expect(folioOf(memmap, folios.pfn[0])).toMatchObject({ refcount: 1 + 1024 });
  expect(memfdPinFolios(mm, file, 2, 6, folios)).toBe(5);
  expect(memory.counters.snapshot()).toMatchObject({ memfdPinCalls: 2, memfdAllocs: 5 });
});

test('a large folio is one, which is told where the range begins in it', () => {
  const { mm, memory, memmap } = bootFaulting();
  const file = new MappedFile('hugetlbfs', 1024, 9);
  const folios = new PinnedFolios(8);
  expect(memfdPinFolios(mm, file, 500, 520, folios)).toBe(2);
  expect(folios.offset).toBe(500);
  expect(folioAddPins(memory, folios.pfn[0], 11)).toBe(0);
  expect(folioOf(memmap, folios.pfn[0])).toMatchObject({ refcount: 13, pincount: 12 });
  expect(memory.vmstat.pinsHeld).toBe(13);
});

test('no more folios than there is room for', () => {
  const { mm } = bootFaulting();
  expect(memfdPinFolios(mm, new MappedFile('shmem', 8), 0, 7, new PinnedFolios(3))).toBe(3);
});

test.each([
  ['beyond the end', new MappedFile('shmem', 4), 4],
  ['a file on a disk', new MappedFile('disk', 8), 1],
])('EINVAL: %s', (_, file, last) => {
  const { mm, memory } = bootFaulting();
  expect(memfdPinFolios(mm, file, 0, last, new PinnedFolios(8))).toBe(-Errno.EINVAL);
  expect(memory.vmstat.pinsHeld).toBe(0);
});
