import { intelVtd } from '@pinfold/iommu';
import { MmStruct, Task } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { BAR, Guest, outcome, PFN, VPN } from '../test/guest.ts';
import { emulatedGroup, iommuGroup, Mixed } from '../test/mixed.ts';
import { VFIO_TYPE1v2_IOMMU } from './uapi.ts';
import { kernels, type TestKernel } from '../test/kernels.ts';

/** Frames of which no two are neighbours: every page is a chunk. */
function scattered(npage: number): number[] {
  return Array.from({ length: npage }, (_, i) => PFN + 2 * i);
}

const APERTURE_END = 2 ** 36;
/** Errno of a map above the aperture. */
const above = (kernel: TestKernel): string =>
  kernel.iommu.formats['intel-vtd'] === 'generic-pt-vtd-ss' ? 'ERANGE' : 'EFAULT';

describe('a group without an IOMMU', () => {
  test('has no domain and restricts nothing', () => {
    const guest = new Mixed();
    const { iommu, container } = guest;
    expect([iommu.domainList, iommu.iovaList, iommu.numNonPinnedGroups]).toEqual([[], [], 0]);
    const info = container.getInfo();
    expect(info.iovaPgsizes).toBe(2n ** 64n - 4096n);
    expect(info.caps.map(({ name }) => name)).toEqual(['migration', 'dma_avail']);
  });

  test.each([
    ['memory', 256, VPN],
    ['memory, in the interrupt window', 0xfee00, VPN],
    ['memory, above every aperture', 2 ** 45, VPN],
    ['no memory at all', 256, 2 ** 30],
  ])('lets %s be mapped, without a pin or a charge', (_, iovaPn, vpn) => {
    const guest = new Mixed({ memlockPages: 0 }).mmap({ npage: 16 });
    const counts = guest.counted(() => expect(outcome(guest.map(iovaPn, 16, vpn))).toBe('ok'));
    expect(counts).toMatchObject({ gupCalls: 0, iommuMapCalls: 0, accountingUpdates: 0 });
    expect([guest.dma.npage, guest.dma.iommuMapped, guest.mm.lockedVm]).toEqual([16, false, 0]);
  });

  test('may come while mappings exist: nothing changes but the counters', () => {
    const guest = new Guest().mmap({ npage: 10 });
    guest.map(0, 10);
    const before = guest.state();
    const { iovaList } = guest.iommu;
    const counts = guest.counted(() => guest.container.addGroup(emulatedGroup()));
    expect(counts).toMatchObject({ attachGroupCalls: 1, iommuMapCalls: 0, iovaToPhysCalls: 0 });
    expect(guest.state()).toBe(before);
    expect(guest.iommu.iovaList).toBe(iovaList);
    expect(guest.iommu.numNonPinnedGroups).toBe(1);
  });

  test('is refused while a vaddr is invalid, and twice', () => {
    const guest = new Guest().mmap({ npage: 10 });
    const group = emulatedGroup();
    guest.map(0, 10);
    guest.unmap(0, 10, 4);
    expect(() => guest.container.addGroup(group)).toThrow(/EBUSY at vfio_iommu_type1_attach_group/);
    guest.map(0, 10, undefined, 4);
    guest.container.addGroup(group);
    expect(() => guest.container.addGroup(group)).toThrow(/EINVAL/);
    expect(guest.iommu.emulatedGroups).toEqual([group]);
  });
});

describe.each(kernels)('a group behind an IOMMU comes later, kernel $name', (kernel) => {
  test('every mapping is pinned, charged and mapped', () => {
    const guest = new Mixed({ kernel }).mmap({ npage: 600 });
    guest.map(512, 500);
    guest.map(2048, 100, VPN + 500);
    const counts = guest.counted(() => guest.attach());
    expect(counts).toMatchObject({ attachGroupCalls: 1, pinPagesRemoteCalls: 2 });
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([600, 600]);
    const mapped = guest.leaves().reduce((sum, [, , order]) => sum + 2 ** order, 0);
    expect(mapped).toBe(600);
    expect([...guest.iommu.dmaList].map((dma) => [dma.iommuMapped, dma.lockedVm])).toEqual([
      [true, 500],
      [true, 100],
    ]);
    expect(outcome(guest.unmap(0, 4096))).toBe('ok');
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([0, 0]);
  });

  test.each([
    ['none', []],
    ['the first two', [[0, 2]]],
    ['some in the middle', [[2, 4]]],
    [
      'all',
      [
        [0, 8],
        [8, 8],
      ],
    ],
  ])('of what devices have pinned, %s, nothing is charged again', (_, pins) => {
    for (const frames of [scattered(16), Array.from({ length: 16 }, (_, i) => PFN + i)]) {
      const guest = new Mixed({ kernel }).mmapFrames(VPN, frames);
      guest.map(256, 16);
      for (const [at, npage] of pins) expect(guest.pin(256 + at, npage)).toBe(npage);
      const pinned = pins.reduce((sum, [, npage]) => sum + npage, 0);
      expect(guest.mm.lockedVm).toBe(pinned);
      guest.attach();
      expect([guest.mm.lockedVm, guest.dma.lockedVm]).toEqual([16, 16]);
      expect(guest.memory.vmstat.pinsHeld).toBe(16 + pinned);
    }
  });

  // Recorded: 6.12 and 6.16 look for a node at exactly the page's address.
  test('pins inside pages are charged again by the look-up of single pages', () => {
    const guest = new Mixed({ kernel }).mmapFrames(VPN, scattered(8));
    guest.map(256, 8);
    expect(guest.pin(256, 2, 0x800)).toBe(2);
    guest.attach();
    const again = kernel.type1.rangeCheckedFirst ? 0 : 2;
    expect(guest.mm.lockedVm).toBe(8 + again);
  });

  test('device memory is mapped, neither pinned nor charged', () => {
    const guest = new Mixed({ kernel }).mmapBar({ npage: 16 });
    guest.map(256, 16);
    guest.attach();
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([0, 0]);
    expect(guest.iommu.domainList[0].domain.iovaToPhys(271)).toBe(BAR + 15);
  });

  // Recorded (y17): 16 look-ups in the mapping that failed, 31 that find the runs, 16 that look at
  // each page again after its unmap.
  test('a mapping without memory: EFAULT, and what was pinned before is given back', () => {
    const guest = new Mixed({ kernel }).mmapFrames(VPN, scattered(16));
    guest.map(256, 16);
    guest.map(512, 16, 2 ** 30);
    guest.pin(256, 2);
    const before = guest.state();
    const counts = guest.counted(() => {
      expect(() => guest.attach()).toThrow('VFIO_GROUP_SET_CONTAINER: EFAULT at vaddr_get_pfns');
    });
    const fgsp = kernel.type1.fgspTest ? 1 : 0;
    expect(counts).toMatchObject({
      pinPagesRemoteCalls: 17,
      gupCalls: 2,
      iommuMapCalls: 16 + fgsp,
      iovaToPhysCalls: 16 + 31 + 16,
      iommuUnmapSyncCalls: 16 + 2 * fgsp,
      unpinPagesRemoteCalls: 16,
      accountingUpdates: 28,
    });
    expect(guest.state()).toBe(before);
    expect([guest.iommu.domainList, guest.iommu.iovaList]).toEqual([[], []]);
    expect([...guest.iommu.dmaList].map(({ iommuMapped }) => iommuMapped)).toEqual([false, false]);
    guest.unmap(512, 16);
    guest.attach();
    expect(guest.mm.lockedVm).toBe(16);
  });

  test.each([
    ['in the interrupt window', 0xfee00, 'EINVAL at vfio_iommu_resv_conflict', 0],
    ['above the aperture', APERTURE_END, `${above(kernel)} at vfio_iommu_replay`, 1],
    ['across its end', APERTURE_END - 8, `${above(kernel)} at vfio_iommu_replay`, 1],
  ])('a mapping %s: refused, and all is as before', (_, iovaPn, refusal, gupCalls) => {
    const guest = new Mixed({ kernel }).mmap({ npage: 32 });
    guest.map(iovaPn, 16);
    guest.map(256, 16, VPN + 16);
    guest.pin(256, 4);
    const before = guest.state();
    const counts = guest.counted(() => {
      expect(() => guest.attach()).toThrow(`VFIO_GROUP_SET_CONTAINER: ${refusal}`);
    });
    expect(counts.gupCalls).toBe(2 * gupCalls);
    expect(guest.state()).toBe(before);
    expect([guest.iommu.domainList, guest.iommu.iovaList]).toEqual([[], []]);
  });

  test.each([
    ['reached', 32, false, 31, 'ENOMEM at vfio_pin_pages_remote'],
    ['just not', 32, false, 32, null],
    ['does not bind with CAP_IPC_LOCK at map time', 32, true, 0, null],
  ])('RLIMIT_MEMLOCK %s', (_, npage, capIpcLock, memlockPages, refusal) => {
    for (const frames of [scattered(npage), Array.from({ length: npage }, (_, i) => PFN + i)]) {
      const guest = new Mixed({ kernel, capIpcLock }).mmapFrames(VPN, frames);
      guest.map(256, npage / 2);
      guest.map(512, npage / 2, VPN + npage / 2);
      guest.task.capIpcLock = false;
      guest.pin(256, 2);
      guest.task.rlimitMemlock = memlockPages * 4096;
      const before = guest.state();
      if (refusal === null) {
        guest.attach();
        expect(guest.mm.lockedVm).toBe(npage);
      } else {
        expect(() => guest.attach()).toThrow(`VFIO_GROUP_SET_CONTAINER: ${refusal}`);
        expect(guest.state()).toBe(before);
      }
    }
  });

  test('the limit is that of the process that attaches, and then that of the one that maps', () => {
    const guest = new Mixed({ kernel }).mmap({ npage: 16 });
    guest.map(256, 16);
    const { memory } = guest;
    const of = (npage: number): Task => new Task(new MmStruct(memory), npage * 4096, false);
    const refusals = [
      [of(15), 'ENOMEM at vfio_pin_pages_remote'],
      [of(16), null],
    ] as const;
    for (const [current, refusal] of refusals) {
      const attach = (): unknown => guest.attach(iommuGroup(), current);
      if (refusal === null) expect(attach).not.toThrow();
      else expect(attach).toThrow(refusal);
    }
    const other = new Mixed({ kernel }).mmap({ npage: 16 });
    other.map(256, 16);
    other.task.rlimitMemlock = 15 * 4096;
    expect(() => other.attach(iommuGroup(), of(16))).toThrow('ENOMEM at vfio_lock_acct');
    expect([other.mm.lockedVm, other.memory.vmstat.pinsHeld]).toEqual([0, 0]);
    expect(() => other.attach(iommuGroup(), null)).toThrow('ENOMEM at vfio_pin_pages_remote');
  });

  test('with disable_hugepages page by page', () => {
    const params = { disableHugepages: true };
    const guest = new Mixed({ kernel, params }).mmap({ npage: 16, order: 4 });
    guest.map(256, 16);
    expect(guest.counted(() => guest.attach())).toMatchObject({ pinPagesRemoteCalls: 16 });
    expect(guest.leaves().map(([, , order]) => order)).toEqual(new Array(16).fill(0));
  });
});

describe('after a group behind an IOMMU has left', () => {
  // 2^64 wraps to 0 in the look-up behind the aperture, up to 6.17.
  test.each(kernels)('a mapping above the aperture keeps another out, kernel $name', (kernel) => {
    const guest = new Mixed({ kernel }).mmap({ npage: 16 });
    guest.container.removeGroup(guest.attach());
    expect(guest.iommu.iovaList).toEqual([{ start: 0, last: 2 ** 52 - 1 }]);
    expect(outcome(guest.map(APERTURE_END, 16))).toBe('ok');
    const before = guest.state();
    expect(() => guest.attach()).toThrow(
      kernel.type1.exclusiveEnds
        ? `${above(kernel)} at vfio_iommu_replay`
        : 'EINVAL at vfio_iommu_aper_conflict',
    );
    expect(guest.state()).toBe(before);
  });
});

test('VFIO_SET_IOMMU attaches groups of both kinds, in their order', () => {
  const guest = new Guest({ group: emulatedGroup() });
  const { container } = guest;
  container.removeGroup(container.iommu.emulatedGroups[0]);
  container.addGroup(iommuGroup('a', intelVtd(39)));
  container.addGroup(emulatedGroup());
  container.addGroup(iommuGroup('b', { ...intelVtd(), snoopControl: true }));
  const counts = guest.counted(() => container.setIommu(VFIO_TYPE1v2_IOMMU));
  expect(counts.attachGroupCalls).toBe(3);
  expect(container.iommu.emulatedGroups.length).toBe(1);
  expect(container.iommu.domainList.map(({ groupList }) => groupList[0].name)).toEqual(['b', 'a']);
  expect(guest.memory.counters.snapshot().detachGroupCalls).toBe(1);
});
