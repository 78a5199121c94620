import { Errno } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { BAR, bytes, Guest, outcome, PFN, VPN, type GuestOptions } from '../../test/guest.ts';
import { iommuGroup, Mixed } from '../../test/mixed.ts';
import { watch } from '../../test/watched-table.ts';
import { pageList } from './page-list.ts';
import { BATCHES } from '../../test/kernels.ts';

const RO = { read: true, write: false };

function boot(options: GuestOptions = {}): Guest {
  return new Guest({ ...options, type1: { pinAlgorithm: pageList } });
}

/** Nothing is pinned, charged or remembered. */
function expectNothing(guest: Guest): void {
  expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm, guest.iommu.dmaList.size]).toEqual([
    0, 0, 0,
  ]);
}

describe('the limit', () => {
  test('is checked before a page is pinned', () => {
    const guest = boot({ memlockPages: 999 }).mmap({ npage: 1000 });
    const counts = guest.counted(() => expect(outcome(guest.map(0, 1000))).toBe('ENOMEM'));
    expect(counts).toMatchObject({ gupFastCalls: 0, limitTests: 1, accountingUpdates: 0 });
    expect(guest.map(0, 1000).detail).toEqual({
      lockedVmPages: 0,
      chunkPages: 0,
      morePages: 1000,
      limitPages: 999,
    });
    expect(outcome(guest.map(0, 999))).toBe('ok');
    expect(guest.mm.lockedVm).toBe(999);
  });

  test('does not count device memory', () => {
    const guest = boot({ memlockPages: 8 })
      .mmap({ npage: 3 })
      .mmapBar({ vpn: VPN + 3, npage: 100 })
      .mmap({ vpn: VPN + 103, pfn: PFN + 50, npage: 5 });
    expect(outcome(guest.map(0, 108))).toBe('ok');
    expect(guest.mm.lockedVm).toBe(8);
    expect(outcome(guest.map(200, 1))).toBe('ENOMEM');
  });

  test('counts what a pin will refuse, too: ENOMEM, where the others say EFAULT', () => {
    const guest = boot({ memlockPages: 6 })
      .mmap({ npage: 4 })
      .mmap({ vpn: VPN + 4, pfn: PFN + 4, npage: 4, prot: RO });
    expect(outcome(guest.map(0, 8))).toBe('ENOMEM');
    const batched = new Guest({ kernel: BATCHES, memlockPages: 6 })
      .mmap({ npage: 4 })
      .mmap({ vpn: VPN + 4, pfn: PFN + 4, npage: 4, prot: RO });
    expect(outcome(batched.map(0, 8))).toBe('EFAULT');
  });
});

describe('a failure', () => {
  test('of a pin releases all pages, in device memory and behind it too', () => {
    const guest = boot()
      .mmap({ npage: 700 })
      .mmapBar({ vpn: VPN + 700, npage: 10 })
      .mmap({ vpn: VPN + 710, pfn: PFN + 1000, npage: 5 });
    const counts = guest.counted(() => expect(outcome(guest.map(0, 716))).toBe('EFAULT'));
    expect(counts).toMatchObject({ iommuMapCalls: 0, unpinRangeCalls: 2, accountingUpdates: 2 });
    expectNothing(guest);
  });

  test.each([0, 1, 2, 3])(
    'of a map releases what is mapped, the chunk, and the rest: %i',
    (entry) => {
      const guest = boot().mmapFrames(VPN, [PFN, PFN + 5, PFN + 7, PFN + 9]);
      let calls = 0;
      watch(guest.iommu, {
        map: () => (calls++ === entry ? { error: -Errno.ENOSPC, mapped: 0 } : null),
      });
      expect(outcome(guest.map(0, 4))).toBe('ENOSPC');
      expectNothing(guest);
      calls = entry + 1;
      expect(outcome(guest.map(0, 4))).toBe('ok');
      expect(guest.mm.lockedVm).toBe(4);
    },
  );
});

describe('unmapping', () => {
  test('is one call and no translation, whatever the frames', () => {
    const guest = boot()
      .mmapFrames(VPN, [PFN, PFN + 5, PFN + 7, PFN + 9])
      .mmapBar({ vpn: VPN + 4, npage: 6 });
    guest.map(0, 10);
    expect(guest.leaves().map(([, pfn]) => pfn)).toEqual([
      ...[PFN, PFN + 5, PFN + 7, PFN + 9],
      ...[0, 1, 2, 3, 4, 5].map((page) => BAR + page),
    ]);
    const counts = guest.counted(() => expect(guest.unmap(0, 10).size).toBe(bytes(10)));
    expect(counts).toMatchObject({ iovaToPhysCalls: 0, iommuUnmapCalls: 1, unpinRangeCalls: 4 });
    expectNothing(guest);
  });

  test('unpins by address what was unmapped, be it less than asked', () => {
    const guest = boot().mmapFrames(VPN, [PFN, PFN + 1, PFN + 7, PFN + 8]);
    guest.map(0, 4);
    // Every other call of the driver unmaps one page, the next one nothing.
    let call = 0;
    watch(guest.iommu, { unmap: (_, npage) => (call++ % 2 > 0 ? 0 : npage > 1 ? 1 : null) });
    const counts = guest.counted(() => guest.unmap(0, 4));
    expect(counts).toMatchObject({ iommuUnmapCalls: 4, unpinRangeCalls: 4, regionAllocs: 4 });
    expectNothing(guest);
  });
});

test('write-only memory is pinned for a device that reads: fast GUP looks at no VMA', () => {
  const writeOnly = { read: false, write: true };
  const guest = boot().mmap({ npage: 3, prot: writeOnly });
  expect(outcome(guest.map(0, 3, VPN, 1))).toBe('ok');
  expect(guest.mm.lockedVm).toBe(3);
  const batched = new Guest({ kernel: BATCHES }).mmap({ npage: 3, prot: writeOnly });
  expect(outcome(batched.map(0, 3, VPN, 1))).toBe('EFAULT');
});

test('with disable_hugepages, arrays and maps are of one page', () => {
  const guest = boot({ params: { disableHugepages: true } }).mmap({ npage: 5 });
  const counts = guest.counted(() => guest.map(0, 5));
  expect(counts).toMatchObject({ gupFastCalls: 5, sgEntries: 1, iommuMapCalls: 5 });
  guest.unmap(0, 5);
  expectNothing(guest);
});

describe('domains that come and go', () => {
  const unit = { ...iommuGroup().unit, snoopControl: true };

  test('a second one reads the first one back, and pins nothing', () => {
    const guest = boot().mmapFrames(VPN, [PFN, PFN + 5, PFN + 6]);
    guest.map(0, 3);
    const second = { name: 'second', unit };
    const counts = guest.counted(() => guest.container.addGroup(second));
    expect(counts).toMatchObject({ gupFastCalls: 0, iommuMapCalls: 2 });
    expect(guest.iommu.domainList.map(({ domain }) => domain.iovaToPhys(1))).toEqual([
      PFN + 5,
      PFN + 5,
    ]);
    guest.unmap(0, 3);
    expectNothing(guest);
  });

  test('the last one leaves the charge of external pins; the list is gone, and made again', () => {
    const guest = new Mixed({ type1: { pinAlgorithm: pageList } }).mmap({ npage: 8 });
    guest.map(0, 8);
    expect(guest.pin(2, 3)).toBe(3);
    for (let round = 0; round < 2; round++) {
      const group = guest.attach();
      expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([8, 11]);
      guest.container.removeGroup(group);
      expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([3, 3]);
      expect(guest.dma.pinState).toBeNull();
    }
  });
});
