import { PG } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { BAR, Guest, PFN, SECTION, VPN } from '../test/guest.ts';
import { isInvalidReservedPfn, putPfns } from './put-pfn.ts';
import { VfioPfn, VpfnTree } from './vpfn.ts';

/** 8 pinned pages of memory at PFN; page 3 of them was then reserved by a driver. */
function pinned(): Guest {
  const guest = new Guest().mmap({ npage: 8 });
  guest.map(0, 8);
  guest.memory.memmap.reservePages(PFN + 3, 1);
  return guest;
}

test.each([
  ['memory', PFN, false],
  ['a reserved page', PFN + 3, true],
  ['device memory', BAR, true],
  ['a hole before all memory', 0, true],
  ['the section behind all memory', 10 * SECTION, true],
])('%s: invalid or reserved is %o', (_, pfn, expected) => {
  const { memmap } = pinned().memory;
  expect(isInvalidReservedPfn(memmap, pfn)).toBe(expected);
});

describe('put_pfn, page by page', () => {
  test('unpins what is not reserved, with a test of every page', () => {
    const guest = pinned();
    const counts = guest.counted(() => putPfns(guest.iommu, PFN, 8, 3));
    expect(counts).toMatchObject({ reservedTests: 8, unpinCalls: 7, putCalls: 7, vpfnLookups: 0 });
    expect(guest.iommu.put).toMatchObject({ unlocked: 7, locked: 0 });
    expect(guest.memory.vmstat.pinsHeld).toBe(1);
  });

  test('does nothing to device memory', () => {
    const guest = pinned();
    const counts = guest.counted(() => putPfns(guest.iommu, BAR, 600, 3));
    expect(counts).toMatchObject({ reservedTests: 600, unpinCalls: 0 });
    expect(guest.iommu.put).toMatchObject({ unlocked: 0, locked: 0 });
  });

  test('dirties what the device may have written to', () => {
    for (const [prot, dirty] of [
      [1, false],
      [2, true],
      [3, true],
    ] as const) {
      const guest = pinned();
      const { memmap } = guest.memory;
      putPfns(guest.iommu, PFN, 1, prot);
      expect((memmap.flags[memmap.headEntryOf(PFN)] & PG.dirty) !== 0).toBe(dirty);
    }
  });

  test('looks every unpinned page up, and counts those that a device has pinned too', () => {
    const guest = pinned();
    const tree = new VpfnTree(4096);
    for (const iovaPn of [101, 103, 106, 500]) tree.insert(new VfioPfn(iovaPn, 1));
    tree.insert(new VfioPfn(104, 1, 8));
    const counts = guest.counted(() => putPfns(guest.iommu, PFN, 8, 3, tree, 100));
    // Page 103 is reserved: not unpinned, so not looked up.
    expect(guest.iommu.put).toMatchObject({ unlocked: 7, locked: 2 });
    expect(counts).toMatchObject({ vpfnLookups: 7 });
    expect(counts.vpfnNodes).toBeGreaterThanOrEqual(7);
  });

  test('forgets the count of the call before', () => {
    const guest = pinned();
    putPfns(guest.iommu, PFN, 3, 3);
    putPfns(guest.iommu, BAR, 3, 3);
    expect(guest.iommu.put).toMatchObject({ unlocked: 0, locked: 0 });
    expect(guest.mm.vmas.lookup(VPN)).not.toBeNull();
  });
});
