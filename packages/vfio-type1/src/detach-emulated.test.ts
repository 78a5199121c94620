import { munmap } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { Guest, outcome, PFN, SECTION, VPN } from '../test/guest.ts';
import { emulatedGroup, iommuGroup, Mixed } from '../test/mixed.ts';
import { kernels } from '../test/kernels.ts';

const EVERYTHING = [{ start: 0, last: 2 ** 52 - 1 }];

describe.each(kernels)('the last group behind an IOMMU leaves others, kernel $name', (kernel) => {
  test('the mappings stay; what it pinned is given back, what devices pinned is charged', () => {
    const guest = new Mixed({ kernel }).mmap({ npage: 600 });
    const edu = guest.attach();
    guest.map(512, 500);
    guest.map(2048, 100, VPN + 500);
    expect([guest.pin(520, 4), guest.pin(520, 2), guest.pin(2048, 1)]).toEqual([4, 2, 1]);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([600, 605]);
    const counts = guest.counted(() => guest.container.removeGroup(edu));
    expect(counts).toMatchObject({
      detachGroupCalls: 1,
      unmapUnpinCalls: 2,
      removeDmaCalls: 0,
      // One per mapping, for both directions at once.
      accountingUpdates: 2,
    });
    // References do not count, nodes do.
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([5, 5]);
    expect(
      [...guest.iommu.dmaList].map((dma) => [dma.npage, dma.iommuMapped, dma.lockedVm]),
    ).toEqual([
      [500, false, 4],
      [100, false, 1],
    ]);
    const { iommu } = guest;
    expect([iommu.domainList, iommu.iovaList, iommu.numNonPinnedGroups]).toEqual([
      [],
      EVERYTHING,
      0,
    ]);
    expect(guest.container.getInfo().iovaPgsizes).toBe(2n ** 64n - 4096n);
    expect([...guest.memory.warnings]).toEqual([]);
  });

  test('and comes back: the rest is charged again', () => {
    const guest = new Mixed({ kernel }).mmap({ npage: 64 });
    guest.map(256, 64);
    guest.pin(260, 4);
    for (let round = 0; round < 3; round++) {
      const edu = guest.attach();
      expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([64, 68]);
      guest.container.removeGroup(edu);
      expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([4, 4]);
    }
    guest.unpin(260, 4);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([0, 0]);
  });

  test('pins that were made while it was in are charged when it leaves', () => {
    const guest = new Mixed({ kernel }).mmap({ npage: 8 });
    const edu = guest.attach();
    guest.map(256, 8);
    expect(guest.pin(256, 8)).toBe(8);
    expect(guest.counted(() => guest.container.removeGroup(edu)).accountingUpdates).toBe(0);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([8, 8]);
  });

  test('reserved pages that devices pin are not charged', () => {
    const guest = new Mixed({ kernel });
    guest.memory.memmap.reservePages(3 * SECTION, 4);
    guest.mmapBar({ npage: 4, pfn: 3 * SECTION });
    const edu = guest.attach();
    guest.map(256, 4);
    expect(guest.pin(256, 2)).toBe(2);
    expect(guest.counted(() => guest.container.removeGroup(edu)).accountingUpdates).toBe(0);
    expect([guest.mm.lockedVm, guest.dma.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([
      0, 0, 0,
    ]);
  });

  test('while dirty pages are logged: all of it may be dirty, once', () => {
    const guest = new Mixed({ kernel }).mmap({ npage: 64 });
    guest.map(256, 64);
    const { container, iommu } = guest;
    container.dirtyPages({ flags: 1 });
    guest.pin(256, 1);
    const read = (): number[][] => {
      const range = {
        iova: 256n * 4096n,
        size: 64n * 4096n,
        bitmap: { pgsize: 4096n, size: 8n },
      };
      return Array.from(container.dirtyPages({ flags: 4, range })?.runs() ?? [], (run) => [...run]);
    };
    expect(read()).toEqual([[0, 1]]);
    const edu = guest.attach();
    expect(read()).toEqual([[0, 64]]);
    container.removeGroup(edu);
    expect(iommu.numNonPinnedGroups).toBe(0);
    expect([read(), read()]).toEqual([[[0, 64]], [[0, 1]]]);
  });

  test('of two in one domain the first to leave changes nothing', () => {
    const guest = new Mixed({ kernel }).mmap({ npage: 16 });
    guest.map(256, 16);
    guest.pin(256, 2);
    const [a, b] = [guest.attach(iommuGroup('a')), guest.attach(iommuGroup('b'))];
    const before = guest.state();
    guest.container.removeGroup(a);
    expect(guest.state()).toBe(before);
    guest.container.removeGroup(b);
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([2, 2]);
  });
});

describe('a group without an IOMMU leaves', () => {
  test('another one: nothing changes', () => {
    const guest = new Mixed().mmap({ npage: 16 });
    const second = emulatedGroup('ext1');
    guest.container.addGroup(second);
    guest.map(256, 16);
    guest.pin(256, 2);
    const before = guest.state();
    guest.container.removeGroup(second);
    expect(guest.state()).toBe(before);
    expect(guest.iommu.emulatedGroups).toEqual([guest.group]);
  });

  test('one behind an IOMMU: nothing changes', () => {
    const guest = new Mixed().mmap({ npage: 16 });
    guest.map(256, 16);
    guest.attach();
    const before = guest.state();
    const counts = guest.counted(() => guest.leave());
    expect(counts).toMatchObject({ detachGroupCalls: 1, removeDmaCalls: 0, iommuUnmapCalls: 0 });
    expect(guest.state()).toBe(before);
  });

  test('as the last of all: every mapping goes', () => {
    const guest = new Mixed().mmap({ npage: 16 });
    const { iommu } = guest;
    guest.map(256, 8);
    guest.map(512, 8, VPN + 8);
    guest.pin(256, 2);
    guest.unpin(256, 2);
    const counts = guest.counted(() => guest.leave());
    expect(counts).toMatchObject({ removeDmaCalls: 2, unmapUnpinCalls: 2, iommuUnmapCalls: 0 });
    expect([iommu.dmaList.size, iommu.dmaAvail]).toEqual([0, 65_535]);
    expect([...guest.memory.warnings]).toEqual([]);
    expect(outcome(guest.map(0, 1))).toBe('EINVAL');
  });

  // Recorded (z02, z03): the charge and the pins stay behind.
  test('and its device keeps pins: the kernel warns, and they are lost', () => {
    const guest = new Mixed().mmap({ npage: 16 });
    guest.map(256, 16);
    guest.pin(256, 4);
    guest.leave();
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([4, 4]);
    expect([...guest.memory.warnings.keys()]).toEqual(['vfio_remove_dma']);
  });
});

test('devices that are open when everything goes are worth a warning', () => {
  for (const group of [emulatedGroup(), iommuGroup()]) {
    const guest = new Guest({ group }).mmap({ npage: 16 });
    guest.map(256, 16);
    guest.iommu.deviceList.push({ name: 'left open', group });
    guest.container.removeGroup(group);
    expect([...guest.memory.warnings]).toEqual([
      ['vfio_iommu_type1_detach_group', 'left open is open'],
    ]);
    expect(guest.mm.lockedVm).toBe(0);
  }
});

test('frames that changed since a device pinned them: the new ones are mapped, the old stay pinned', () => {
  const guest = new Mixed().mmapFrames(VPN, [PFN, PFN + 2]);
  guest.map(256, 2);
  guest.pin(256, 1);
  munmap(guest.mm, VPN, 2);
  guest.mmapFrames(VPN, [PFN + 10, PFN + 12]);
  const edu = guest.attach();
  expect(guest.leaves().map(([, pfn]) => pfn)).toEqual([PFN + 10, PFN + 12]);
  expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([2, 3]);
  guest.container.removeGroup(edu);
  expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([1, 1]);
});
