import { Errno, type CounterName } from '@pinfold/base';
import { mmapMemory, PG, type FrameSource } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { Guest, outcome, PFN, SECTION, VPN, type GuestOptions } from '../../test/guest.ts';
import { iommuGroup, Mixed } from '../../test/mixed.ts';
import { watch } from '../../test/watched-table.ts';
import { ExtentList } from '../extent-list.ts';
import { extent } from './extent.ts';
import { GENERIC_PT } from '../../test/kernels.ts';

const RO = { read: true, write: false };

function boot(options: GuestOptions = {}): Guest {
  return new Guest({ ...options, type1: { pinAlgorithm: extent } });
}

/** Nothing is pinned, charged or remembered. */
function expectNothing(guest: Guest): void {
  expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm, guest.iommu.dmaList.size]).toEqual([
    0, 0, 0,
  ]);
}

function dirtyPages({ memory }: Guest): number[] {
  const folios = [...memory.memmap.foliosInUse()];
  return folios.filter(({ flags }) => flags & PG.dirty).map(({ pfn }) => pfn);
}

/** The extents that a mapping remembers. */
function remembered(guest: Guest): ExtentList {
  const [{ pinState }] = guest.iommu.dmaList;
  if (pinState instanceof ExtentList) return pinState;
  throw new Error('no extents');
}

describe('the limit', () => {
  test('ends the pin one page beyond it, whatever else could be pinned', () => {
    const guest = boot({ memlockPages: 999 }).mmap({ npage: 5000 });
    const counts = guest.counted(() => expect(outcome(guest.map(0, 5000))).toBe('ENOMEM'));
    expect(counts).toMatchObject({ folioGrabs: 1000, limitTests: 1, accountingUpdates: 0 });
    expectNothing(guest);
    expect(guest.map(0, 5000).detail).toEqual({
      lockedVmPages: 0,
      chunkPages: 0,
      morePages: 1000,
      limitPages: 999,
    });
    expect(outcome(guest.map(0, 999))).toBe('ok');
  });

  test('hit by a later extent, with those before it mapped and taken back', () => {
    const guest = boot({ memlockPages: 5 }).mmapFrames(VPN, [
      PFN,
      PFN + 1,
      PFN + 9,
      PFN + 5,
      PFN + 3,
      PFN + 7,
    ]);
    const counts = guest.counted(() => expect(outcome(guest.map(0, 6))).toBe('ENOMEM'));
    expect(counts).toMatchObject({ iommuMapCalls: 4, limitTests: 5, accountingUpdates: 2 });
    expectNothing(guest);
  });

  test('does not count device memory, nor bind with CAP_IPC_LOCK', () => {
    const layout = (options: GuestOptions): Guest =>
      boot(options)
        .mmap({ npage: 3 })
        .mmapBar({ vpn: VPN + 3, npage: 100 })
        .mmap({ vpn: VPN + 103, pfn: PFN + 50, npage: 5 });
    const guest = layout({ memlockPages: 8 });
    expect(outcome(guest.map(0, 108))).toBe('ok');
    expect(guest.mm.lockedVm).toBe(8);
    expect(outcome(layout({ memlockPages: 7 }).map(0, 108))).toBe('ENOMEM');
    expect(outcome(layout({ memlockPages: 7, capIpcLock: true }).map(0, 108))).toBe('ok');
  });

  test('is met before a page behind it that cannot be had, as by the releases', () => {
    const layout = (guest: Guest): Guest =>
      guest.mmap({ npage: 4 }).mmap({ vpn: VPN + 4, pfn: PFN + 4, npage: 4, prot: RO });
    for (const make of [boot, (options: GuestOptions) => new Guest(options)]) {
      expect(outcome(layout(make({ memlockPages: 3 })).map(0, 8))).toBe('ENOMEM');
      expect(outcome(layout(make({ memlockPages: 4 })).map(0, 8))).toBe('EFAULT');
    }
  });
});

describe('a failure', () => {
  test('of a pin comes after the maps before it: what they fail with is what is returned', () => {
    const layout = (guest: Guest): Guest =>
      guest
        .mmapFrames(VPN, [PFN, PFN + 5, PFN + 6])
        .mmap({ vpn: VPN + 3, pfn: PFN + 7, npage: 1, prot: RO });
    for (const guest of [layout(boot()), layout(new Guest())]) {
      const mapped: number[] = [];
      watch(guest.iommu, {
        map: (iovaPn) => {
          mapped.push(iovaPn);
          return null;
        },
      });
      expect(outcome(guest.map(0, 4))).toBe('EFAULT');
      // The extent that the failing page might have gone on with is not mapped.
      expect(mapped).toEqual([0]);
      watch(guest.iommu, { map: () => ({ error: -Errno.ENOSPC, mapped: 0 }) });
      expect(outcome(guest.map(0, 4))).toBe('ENOSPC');
      expectNothing(guest);
    }
  });

  test.each([0, 1, 2, 3])('of a map releases what is mapped, and the rest: %i', (entry) => {
    const guest = boot().mmapFrames(VPN, [PFN, PFN + 5, PFN + 7, PFN + 9]);
    let calls = 0;
    watch(guest.iommu, {
      map: () => (calls++ === entry ? { error: -Errno.ENOSPC, mapped: 0 } : null),
    });
    const before = guest.state();
    expect(outcome(guest.map(0, 4))).toBe('ENOSPC');
    expect(guest.state()).toBe(before);
    expect(guest.iommu.failure?.detail).toMatchObject({ iovaPn: entry, npage: 1 });
    expect(outcome(guest.map(0, 4))).toBe('ok');
  });

  test.each([0, 1, 2])('of a map in the second domain unmaps the first: extent %i', (entry) => {
    const guest = boot().mmapFrames(VPN, [PFN, PFN + 5, PFN + 7]);
    guest.container.addGroup(
      iommuGroup('snoops', { ...guest.iommu.domainList[0].domain.unit, snoopControl: true }),
    );
    expect(guest.iommu.domainList).toHaveLength(2);
    const before = guest.state();
    watch(guest.iommu, { map: (at) => (at === 2 ? { error: -Errno.ERANGE, mapped: 0 } : null) }, 0);
    watch(
      guest.iommu,
      { map: (at) => (at === entry ? { error: -Errno.ENOSPC, mapped: 0 } : null) },
      1,
    );
    // The first extent that fails in any domain, there in the first of them.
    expect(outcome(guest.map(0, 3))).toBe(entry === 2 ? 'ERANGE' : 'ENOSPC');
    expect(guest.state()).toBe(before);
  });
});

describe('what is remembered', () => {
  test('is one extent per run, of memory and of devices', () => {
    const guest = boot()
      .mmap({ npage: 700 })
      .mmapBar({ vpn: VPN + 700, npage: 600 })
      .mmap({ vpn: VPN + 1300, pfn: PFN + 700, npage: 5 });
    expect(outcome(guest.map(0, 1305))).toBe('ok');
    expect(remembered(guest).bytes).toBe(3 * 8);
    expect(guest.mm.lockedVm).toBe(705);
    const counts = guest.counted(() => guest.unmap(0, 1305));
    expect(counts).toMatchObject({ extentReads: 3, iommuUnmapCalls: 1, putCalls: 705 });
    expectNothing(guest);
  });

  test('of 300 GiB of scattered 2 MiB pages fits into 3 MiB', () => {
    const npage = 300 * 2 ** 18;
    const guest = boot({ ranges: [{ pfn: 2 ** 20, npage: npage + SECTION }] });
    const frames: FrameSource = {
      framesFor(vpn, _npage, order, out) {
        out.pfn = 2 ** 20 + (((vpn - VPN) / 512) ^ 1) * 512;
        out.npage = 512;
        out.order = order;
      },
    };
    mmapMemory(guest.mm, { vpn: VPN, npage, kind: 'anon', order: 9, frames });
    expect(outcome(guest.map(2 ** 20, npage))).toBe('ok');
    const { bytes } = remembered(guest);
    // 19 blocks of 8,192 extents, the last of them three quarters full.
    expect(bytes).toBe(19 * 8_192 * 8);
    expect(bytes).toBeLessThanOrEqual(3 * 2 ** 20);
    expect(outcome(guest.unmap(2 ** 20, npage))).toBe('ok');
    expectNothing(guest);
  });

  test('takes twelve bytes per extent where memory lies above 8 TiB', () => {
    const pfn = 2 ** 31;
    const guest = boot({ ranges: [{ pfn, npage: SECTION }] }).mmapFrames(VPN, [
      pfn,
      pfn + 2,
      pfn + 4,
    ]);
    expect(outcome(guest.map(0, 3))).toBe('ok');
    expect(remembered(guest).bytes).toBe(3 * 12);
    expect(guest.leaves()).toEqual([0, 1, 2].map((i) => [i, pfn + 2 * i, 0]));
    expect(outcome(guest.unmap(0, 3))).toBe('ok');
    expectNothing(guest);
  });

  test('is forgotten with the mapping', () => {
    const guest = boot().mmap({ npage: 10 });
    guest.map(0, 10);
    const [dma] = guest.iommu.dmaList;
    guest.unmap(0, 10);
    expect(dma.pinState).toBeNull();
  });
});

describe('an unmap', () => {
  test('of which the IOMMU takes only a part at a time unpins no more than that', () => {
    const guest = boot({ kernel: GENERIC_PT }).mmap({ npage: 1024, order: 9 });
    expect(outcome(guest.map(0, 1024))).toBe('ok');
    const held: number[] = [];
    watch(guest.iommu, {
      unmap: (_, npage) => Math.min(npage, 300),
      note: (what) => what.startsWith('unmap') && held.push(guest.memory.vmstat.pinsHeld),
    });
    expect(outcome(guest.unmap(0, 1024))).toBe('ok');
    // All are unmapped before the one flush, after which all are unpinned.
    expect(held).toEqual([1024, 1024, 1024, 1024]);
    expectNothing(guest);
  });

  test('marks what a device may have written to dirty', () => {
    for (const [flags, dirty] of [
      [3, [PFN, PFN + 1]],
      [1, []],
    ] as const) {
      const guest = boot().mmap({ npage: 2 });
      guest.map(0, 2, VPN, flags);
      guest.unmap(0, 2);
      expect(dirtyPages(guest)).toEqual(dirty);
    }
  });
});

describe('disable_hugepages', () => {
  test('maps page by page, in entries of 4 KiB, and remembers runs', () => {
    const guest = boot({ params: { disableHugepages: true } }).mmap({ npage: 1024, order: 9 });
    const counts = guest.counted(() => expect(outcome(guest.map(0, 1024))).toBe('ok'));
    expect(counts).toMatchObject({ iommuMapCalls: 1024, iommuLeaves4k: 1024, iommuLeaves2m: 0 });
    expect(guest.counted(() => guest.unmap(0, 1024))).toMatchObject({
      extentReads: 1,
      putCalls: 2,
    });
    expectNothing(guest);
  });
});

describe('external pins', () => {
  function mixed(): Mixed {
    return new Mixed({ type1: { pinAlgorithm: extent } });
  }

  test('are not charged again when a group behind an IOMMU joins, counted per extent', () => {
    const guest = mixed().mmap({ npage: 600 });
    guest.map(256, 600);
    guest.pin(260, 4);
    expect(guest.mm.lockedVm).toBe(4);
    const counts = guest.counted(() => guest.attach());
    expect(counts).toMatchObject({ vpfnLookups: 1, limitTests: 1, extentPinCalls: 1 });
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([600, 604]);
    guest.unpin(260, 4);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([600, 600]);
    guest.unmap(256, 600);
    expectNothing(guest);
  });

  test('stay charged when an attach fails and gives back what it has pinned', () => {
    const guest = mixed().mmapFrames(VPN, [PFN, PFN + 1, PFN + 5, PFN + 7]);
    guest.map(0, 4);
    guest.map(1000, 1, 2 ** 30);
    guest.pin(1, 2);
    const before = [guest.mm.lockedVm, guest.memory.vmstat.pinsHeld];
    expect(() => guest.attach()).toThrow(/EFAULT/);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual(before);
    expect([...guest.iommu.dmaList].map(({ pinState }) => pinState)).toEqual([null, null]);
  });
});

test('nothing is counted per 4 KiB page of a larger leaf', () => {
  const guest = boot().mmap({ npage: 4096, order: 9 });
  const none: CounterName[] = ['pageFills', 'pfnCompares', 'pageCompares', 'migrateChecks'];
  const map = guest.counted(() => expect(outcome(guest.map(0, 4096))).toBe('ok'));
  const unmap = guest.counted(() => expect(outcome(guest.unmap(0, 4096))).toBe('ok'));
  for (const name of [...none, 'reservedTests', 'iovaToPhysCalls'] as const)
    expect([name, map[name], unmap[name]]).toEqual([name, 0, 0]);
  expect(Math.max(...Object.values(map), ...Object.values(unmap))).toBeLessThanOrEqual(16);
});
