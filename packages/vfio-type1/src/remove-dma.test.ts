import { intelVtd, iommuPagingDomainAlloc } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { Guest, outcome, PFN, VPN } from '../test/guest.ts';
import { watch } from '../test/watched-table.ts';
import { VfioDomain } from './vfio-domain.ts';
import { kernels } from '../test/kernels.ts';

/** Frames of which no two neighbours are adjacent. */
function scattered(npage: number): number[] {
  return Array.from({ length: npage }, (_, i) => PFN + (i ^ 1));
}

describe.each(kernels)('kernel $name', (kernel) => {
  describe('order', () => {
    test('unmap, IOTLB sync, unpin: a device never reaches memory that is not pinned', () => {
      const guest = new Guest({ kernel }).mmapFrames(VPN, scattered(600));
      const pinsAt: Record<string, Set<number>> = {};
      watch(guest.iommu, {
        note: (what) =>
          (pinsAt[what.split(' ')[0] ?? ''] ??= new Set()).add(guest.memory.vmstat.pinsHeld),
      });
      guest.map(0, 600);
      for (const pins of Object.values(pinsAt)) pins.clear();
      guest.unmap(0, 600);
      // 512 regions wait for one sync, with their pins held; then the rest.
      expect([...(pinsAt.unmap ?? [])]).toEqual([600, 88]);
      expect([...(pinsAt.sync ?? [])]).toEqual([600, 88]);
      expect(guest.memory.vmstat.pinsHeld).toBe(0);
    });

    test('the charge is taken back once, at the end', () => {
      const guest = new Guest({ kernel }).mmapFrames(VPN, scattered(600));
      guest.map(0, 600);
      expect(guest.counted(() => guest.unmap(0, 600)).accountingUpdates).toBe(1);
      expect(guest.mm.lockedVm).toBe(0);
    });
  });

  describe('syncs: one per 512 regions', () => {
    test.each([
      [1, 1],
      [511, 1],
      [512, 1],
      [513, 2],
      [1024, 2],
      [1025, 3],
    ])('%i regions, %i syncs', (npage, syncs) => {
      const guest = new Guest({ kernel }).mmapFrames(
        VPN,
        Array.from({ length: npage }, (_, i) => PFN + 2 * i),
      );
      guest.map(0, npage);
      const counts = guest.counted(() => guest.unmap(0, npage));
      expect(counts).toMatchObject({
        iotlbSyncs: syncs,
        regionAllocs: npage,
        iommuUnmapCalls: npage,
        unpinPagesRemoteCalls: npage,
      });
    });
  });

  describe('runs are found by reading the IOMMU back: pages + runs - 1 calls', () => {
    test.each([
      ['one run', [[PFN, 100]], 100],
      [
        'three runs',
        [
          [PFN, 10],
          [PFN + 50, 20],
          [PFN + 100, 5],
        ],
        37,
      ],
    ])('%s', (_, parts, calls) => {
      const pfns = parts.flatMap(([pfn, n]) => Array.from({ length: n }, (__, i) => pfn + i));
      const guest = new Guest({ kernel }).mmapFrames(VPN, pfns);
      guest.map(0, pfns.length);
      expect(guest.counted(() => guest.unmap(0, pfns.length))).toMatchObject({
        iovaToPhysCalls: calls,
        iommuUnmapCalls: parts.length,
      });
    });

    test('chunks that were mapped apart but are physically adjacent are one run', () => {
      const guest = new Guest({ kernel, params: { disableHugepages: true } }).mmap({ npage: 100 });
      guest.map(0, 100);
      expect(guest.counted(() => guest.unmap(0, 100))).toMatchObject({
        iovaToPhysCalls: 100,
        iommuUnmapCalls: 1,
      });
    });

    test('two mappings never are', () => {
      const guest = new Guest({ kernel }).mmap({ npage: 100 });
      guest.map(0, 50);
      guest.map(50, 50, VPN + 50);
      expect(guest.counted(() => guest.unmap(0, 100))).toMatchObject({
        iommuUnmapCalls: 2,
        accountingUpdates: 2,
      });
    });
  });

  describe('a driver that does not do what it is asked', () => {
    test('unmaps nothing at the first try: the slow path unmaps, syncs and unpins at once', () => {
      const guest = new Guest({ kernel }).mmapFrames(
        VPN,
        [0, 1, 10, 11, 20, 21].map((page) => PFN + page),
      );
      guest.map(0, 6);
      let refuse = true;
      watch(guest.iommu, {
        unmap: (iovaPn) => {
          if (iovaPn !== 2 || !refuse) return null;
          refuse = false;
          return 0;
        },
      });
      const counts = guest.counted(() => expect(outcome(guest.unmap(0, 6))).toBe('ok'));
      // A sync for the region that waited, one of the slow unmap, one for the region behind it.
      expect(counts).toMatchObject({ iommuUnmapCalls: 4, iotlbSyncs: 3, regionAllocs: 3 });
      expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm, guest.leaves().length]).toEqual([
        0, 0, 0,
      ]);
      expect([...guest.memory.warnings]).toEqual([]);
    });

    test('unmaps nothing at all: the kernel warns, and the rest leaks', () => {
      const guest = new Guest({ kernel }).mmapFrames(VPN, [
        PFN,
        PFN + 1,
        PFN + 10,
        PFN + 11,
        PFN + 20,
      ]);
      guest.map(0, 5);
      watch(guest.iommu, { unmap: (iovaPn) => (iovaPn === 2 ? 0 : null) });
      expect(outcome(guest.unmap(0, 5))).toBe('ok');
      expect([...guest.memory.warnings.keys()]).toEqual(['vfio_unmap_unpin']);
      expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm]).toEqual([3, 3]);
      expect(guest.dmas()).toEqual([]);
    });

    test('unmaps less than asked: it is asked for the rest', () => {
      const guest = new Guest({ kernel }).mmap({ npage: 10 });
      guest.map(0, 10);
      watch(guest.iommu, { unmap: (_, npage) => Math.min(npage, 3) });
      const counts = guest.counted(() => guest.unmap(0, 10));
      // Of a driver, the core asks for what is left; of the generic page table, type1 does.
      const generic = guest.iommu.domainList[0].domain.table.isIommupt === true;
      expect(counts).toMatchObject({
        iommuUnmapCalls: generic ? 4 : 1,
        iommuUnmapPagesCalls: generic ? 0 : 4,
        unpinPagesRemoteCalls: generic ? 4 : 1,
      });
      expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm, guest.leaves().length]).toEqual([
        0, 0, 0,
      ]);
    });

    test('unmaps more than asked: what it returns is unpinned, and the scan goes on behind it', () => {
      // The scan is cut short, so that there is more behind the run that belongs to it.
      const { pinAlgorithm } = kernel.type1;
      let first = true;
      const cutShort: typeof pinAlgorithm = {
        ...pinAlgorithm,
        nextUnmapRun(iommu, dma, iovaPn, npage, run) {
          pinAlgorithm.nextUnmapRun(iommu, dma, iovaPn, npage, run);
          if (first) run.npage = 8;
          first = false;
        },
      };
      const guest = new Guest({ kernel, type1: { pinAlgorithm: cutShort } }).mmap({ npage: 20 });
      guest.map(0, 20);
      watch(guest.iommu, { unmap: (iovaPn) => (iovaPn === 0 ? 12 : null) });
      const counts = guest.counted(() => expect(outcome(guest.unmap(0, 20))).toBe('ok'));
      expect(counts).toMatchObject({ iommuUnmapCalls: 2, unpinPagesRemoteCalls: 2 });
      expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm, guest.leaves().length]).toEqual([
        0, 0, 0,
      ]);
    });
  });

  test('a page that is not mapped is skipped with a warning, and its pin leaks', () => {
    const guest = new Guest({ kernel }).mmap({ npage: 10 });
    guest.map(0, 10);
    guest.iommu.domainList[0].domain.unmap(4, 1);
    expect(outcome(guest.unmap(0, 10))).toBe('ok');
    expect([...guest.memory.warnings.keys()]).toEqual(['vfio_unmap_unpin']);
    expect(guest.memory.vmstat.pinsHeld).toBe(1);
  });

  test('the domains that are not read back are unmapped first, whole', () => {
    const guest = new Guest({ kernel }).mmapFrames(VPN, scattered(8));
    const { iommu } = guest;
    const second = iommuPagingDomainAlloc(intelVtd(), kernel.iommu, iommu.counters);
    iommu.domainList.push(new VfioDomain(second));
    const mapped = guest.counted(() => guest.map(0, 8));
    expect(mapped.iommuMapCalls).toBe(16);
    const notes: string[] = [];
    watch(iommu, { note: (what) => notes.push(`first ${what}`) }, 0);
    watch(iommu, { note: (what) => notes.push(`second ${what}`) }, 1);
    guest.unmap(0, 8);
    expect(notes.slice(0, 3)).toEqual(['second unmap 0+8', 'second sync', 'first unmap 0+1']);
    expect(notes.filter((note) => note.startsWith('second')).length).toBe(2);
    for (const { domain } of iommu.domainList) expect([...domain.leaves()]).toEqual([]);
  });

  test('a chunk that a second domain refuses is taken out of the first', () => {
    const guest = new Guest({ kernel }).mmapFrames(VPN, scattered(8));
    const { iommu } = guest;
    const second = iommuPagingDomainAlloc(intelVtd(), kernel.iommu, iommu.counters);
    iommu.domainList.push(new VfioDomain(second));
    let calls = 0;
    watch(iommu, { map: () => (++calls === 5 ? { error: -12, mapped: 0 } : null) }, 1);
    const before = guest.state();
    expect(guest.map(0, 8)).toMatchObject({ ret: -12, at: 'iommu_map' });
    expect(guest.state()).toBe(before);
  });
});
