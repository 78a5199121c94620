import { Errno } from '@pinfold/base';
import { intelVtd, type IommuUnit } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { Guest, outcome, PFN, VPN } from '../test/guest.ts';
import { iommuGroup, Mixed } from '../test/mixed.ts';
import { watch } from '../test/watched-table.ts';
import type { IommuGroup } from './vfio-domain.ts';
import { kernels } from '../test/kernels.ts';

const GIB = 2 ** 18;
const FULL = intelVtd();
const NO_1G: IommuUnit = { ...FULL, superpageOrders: [9] };
const SMALL: IommuUnit = { ...FULL, superpageOrders: [] };
const NARROW = intelVtd(39);
const WIDE = intelVtd(57);
const SNOOP: IommuUnit = { ...FULL, snoopControl: true };

/** Page sizes in bytes, one bit each. */
const SIZES = { small: 0x1000n, no1g: 0x201000n, full: 0x40201000n };

/** Three chunks: runs of 3, 2 and 4 pages. */
const FRAMES = [0, 1, 2, 10, 11, 20, 21, 22, 23].map((page) => PFN + page);

/** Leaves of every domain, the first domain first. */
function leaves({ iommu }: Guest): unknown[][] {
  return iommu.domainList.map(({ domain }) => [...domain.leaves()]);
}

/** Number of leaves of every domain by order. */
function orders({ iommu }: Guest): Record<number, number>[] {
  return iommu.domainList.map(({ domain }) => {
    const counts: Record<number, number> = {};
    for (const { order } of domain.leaves()) counts[order] = (counts[order] ?? 0) + 1;
    return counts;
  });
}

/** Adds a group for every IOMMU; the last one's domain comes first. */
function addAll(guest: Guest, units: readonly IommuUnit[]): IommuGroup[] {
  return units.map((unit, i) => {
    const group = iommuGroup(`group ${i}`, unit);
    guest.container.addGroup(group);
    return group;
  });
}

describe.each(kernels)('which domain serves a group, kernel $name', (kernel) => {
  const subset = !kernel.iommu.attachNeedsSameSuperpages;

  test.each([
    ['the same kind', FULL, { ...FULL }, true],
    ['more address bits', NARROW, FULL, true],
    ['fewer address bits', FULL, NARROW, false],
    ['more superpages', NO_1G, FULL, subset],
    ['superpages where there were none', SMALL, FULL, subset],
    ['fewer superpages', FULL, NO_1G, false],
    ['none', FULL, SMALL, false],
    ['snoop control', FULL, SNOOP, false],
    ['no snoop control', SNOOP, FULL, false],
    ['snoop control and more address bits', SNOOP, { ...SNOOP, addressWidth: 57 }, true],
  ])('an IOMMU of %s after another', (_, unit, second, joins) => {
    const guest = new Guest({ kernel, unit }).mmap({ npage: 8 });
    guest.map(256, 8);
    const before = leaves(guest);
    const counts = guest.counted(() => addAll(guest, [second]));
    const [first, other] = guest.iommu.domainList;
    expect(guest.iommu.numNonPinnedGroups).toBe(2);
    if (joins) {
      expect(other).toBeUndefined();
      expect(first.groupList.map(({ name }) => name)).toEqual(['device', 'group 0']);
      expect(counts).toMatchObject({ iovaToPhysCalls: 0, iommuMapCalls: 0 });
      expect(leaves(guest)).toEqual(before);
    } else {
      expect([first.domain.unit, other.domain.unit]).toEqual([second, unit]);
      expect(counts.iovaToPhysCalls).toBe(8);
    }
  });

  test('a group joins the newest domain that serves it', () => {
    const guest = new Guest({ kernel, unit: WIDE });
    addAll(guest, [FULL, SNOOP, NARROW]);
    const [third] = addAll(guest, [WIDE]);
    expect(guest.iommu.domainList.map(({ domain }) => domain.unit)).toEqual([
      NARROW,
      SNOOP,
      FULL,
      WIDE,
    ]);
    expect(guest.iommu.domainList[0].groupList).toContain(third);
  });
});

describe.each(kernels)('page sizes that differ, kernel $name', (kernel) => {
  /** A folio of 1 GiB and one of 2 MiB, physically one after the other. */
  function memory(unit: IommuUnit): Guest {
    const ranges = [{ pfn: 2 * GIB, npage: 2 * GIB }];
    return new Guest({ kernel, unit, ranges })
      .mmap({ vpn: 4 * GIB, pfn: 2 * GIB, npage: GIB, order: 18, kind: 'hugetlb' })
      .mmap({ vpn: 5 * GIB, pfn: 3 * GIB, npage: 512, order: 9 });
  }
  const EXPECTED = [{ 0: GIB + 512 }, { 9: 513 }, { 18: 1, 9: 1 }];

  test('every domain maps a chunk in the sizes it has', () => {
    const guest = memory(FULL);
    addAll(guest, [NO_1G, SMALL]);
    const counts = guest.counted(() => guest.map(8 * GIB, GIB + 512, 4 * GIB));
    expect(counts).toMatchObject({ pinPagesRemoteCalls: 1, iommuMapCalls: 3 });
    expect(orders(guest)).toEqual(EXPECTED);
    expect(guest.mm.lockedVm).toBe(GIB + 512);
  });

  test('a replay does the same, from one domain to the next', () => {
    const guest = memory(FULL);
    guest.map(8 * GIB, GIB + 512, 4 * GIB);
    const { nrFollPinAcquired } = guest.memory.vmstat;
    addAll(guest, [NO_1G, SMALL]);
    expect(orders(guest)).toEqual(EXPECTED);
    expect([guest.memory.vmstat.nrFollPinAcquired, guest.mm.lockedVm]).toEqual([
      nrFollPinAcquired,
      GIB + 512,
    ]);
  });

  test('the container has those that all domains have, until one leaves', () => {
    const guest = new Guest({ kernel });
    const { container } = guest;
    const sizes = (): bigint => container.getInfo().iovaPgsizes;
    expect(sizes()).toBe(SIZES.full);
    const [no1g, small] = addAll(guest, [NO_1G, SMALL]);
    expect(sizes()).toBe(SIZES.small);
    container.removeGroup(small);
    expect(sizes()).toBe(SIZES.no1g);
    container.removeGroup(no1g);
    expect(sizes()).toBe(SIZES.full);
  });

  test('unmapping reads the first domain, empties the others before it, and unpins once', () => {
    const guest = new Guest({ kernel }).mmapFrames(VPN, FRAMES);
    addAll(guest, [NO_1G, SMALL]);
    guest.map(100, 9);
    const notes: string[] = [];
    for (const which of [0, 1, 2])
      watch(guest.iommu, { note: (what) => notes.push(`${which} ${what}`) }, which);
    const counts = guest.counted(() => expect(outcome(guest.unmap(100, 9))).toBe('ok'));
    expect(counts).toMatchObject({
      iovaToPhysCalls: 9 + 2,
      iommuUnmapCalls: 2 + 3,
      iommuUnmapSyncCalls: 2,
      accountingUpdates: 1,
    });
    const unmaps = notes.filter((note) => note.includes('unmap'));
    expect(unmaps).toEqual([
      '1 unmap 100+9',
      '2 unmap 100+9',
      '0 unmap 100+3',
      '0 unmap 103+2',
      '0 unmap 105+4',
    ]);
    expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm]).toEqual([0, 0]);
  });
});

describe('a map that fails in one of three domains', () => {
  test.each([0, 1, 2].flatMap((which) => [1, 2, 3].map((call) => [which, call] as const)))(
    'domain %i, call %i: undone in all of them',
    (which, failsAt) => {
      const guest = new Guest().mmapFrames(VPN, [...FRAMES, PFN + 40]);
      addAll(guest, [NO_1G, SMALL]);
      guest.map(50, 1, VPN + 9);
      let calls = 0;
      const fail = { error: -Errno.ENOMEM, mapped: 1 };
      watch(guest.iommu, { map: () => (++calls === failsAt ? fail : null) }, which);
      const before = guest.state();
      const counts = guest.counted(() => {
        expect(guest.map(100, 9)).toMatchObject({ ret: -Errno.ENOMEM, at: 'iommu_map' });
      });
      expect(guest.state()).toBe(before);
      // The chunks before, then those domains of the last one that come before the failing one; the
      // undo of the failing call is an unmap too, and the first domain's part of the rest is fast.
      const done = failsAt - 1;
      expect(counts.iommuMapCalls).toBe(3 * done + which + 1);
      expect(counts.iommuUnmapSyncCalls).toBe(1 + which + (done > 0 ? 2 : 0));
      expect(guest.map(100, 9).ret).toBe(0);
      expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([10, 10]);
    },
  );
});

describe('a domain leaves', () => {
  test.each([
    ['the oldest', 0, SIZES.small],
    ['the one between', 1, SIZES.small],
    ['the newest', 2, SIZES.no1g],
  ])('%s of three: the others keep the mappings', (_, leaving, sizes) => {
    const guest = new Guest().mmapFrames(VPN, FRAMES);
    const groups = [guest.iommu.domainList[0].groupList[0], ...addAll(guest, [NO_1G, SMALL])];
    guest.map(100, 9);
    const all = leaves(guest);
    const counts = guest.counted(() => guest.container.removeGroup(groups[leaving]));
    expect(counts).toMatchObject({ iommuUnmapCalls: 0, unpinCalls: 0, accountingUpdates: 0 });
    expect(leaves(guest)).toEqual(all.filter((_leaves, i) => i !== 2 - leaving));
    expect(guest.iommu.pgsizeBitmap).toBe(sizes);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([9, 9]);
    expect(outcome(guest.unmap(100, 9))).toBe('ok');
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([0, 0]);
    expect(leaves(guest)).toEqual([[], []]);
    expect([...guest.memory.warnings]).toEqual([]);
  });

  test('the usable addresses widen to the narrowest that is left', () => {
    const guest = new Guest({ unit: WIDE });
    const { container, iommu } = guest;
    const last = (): number | undefined => iommu.iovaList.at(-1)?.last;
    const [full, narrow] = addAll(guest, [FULL, NARROW]);
    expect([iommu.domainList.length, last()]).toEqual([3, 2 ** 27 - 1]);
    container.removeGroup(full);
    expect(last()).toBe(2 ** 27 - 1);
    container.removeGroup(narrow);
    expect(last()).toBe(2 ** 45 - 1);
  });

  test('pages that devices pinned stay theirs, until the last one leaves', () => {
    const guest = new Mixed().mmapFrames(VPN, FRAMES);
    guest.map(100, 9);
    expect(guest.pin(102, 3)).toBe(3);
    const first = guest.attach(iommuGroup('first', WIDE));
    const second = guest.attach(iommuGroup('second', NARROW));
    expect(leaves(guest)[0]).toEqual(leaves(guest)[1]);
    const both = [guest.mm.lockedVm, guest.memory.vmstat.pinsHeld];
    guest.container.removeGroup(second);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual(both);
    expect(both).toEqual([9, 12]);
    guest.container.removeGroup(first);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([3, 3]);
  });
});
