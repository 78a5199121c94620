import { describe, expect, test } from 'vitest';
import { BAR, Guest, outcome, PFN, SECTION, VPN, type GuestOptions } from '../test/guest.ts';
import { BATCHES, kernels, RUNS, testKernel, type TestKernel } from '../test/kernels.ts';

/** A chunk is what one iommu_map call gets: [iova page, frame, pages] of the leaves, merged. */
function chunks(guest: Guest): number[][] {
  const merged: number[][] = [];
  for (const [iovaPn, pfn, order] of guest.leaves()) {
    const last = merged.at(-1);
    if (last && last[1] + last[2] === pfn && last[0] + last[2] === iovaPn) last[2] += 2 ** order;
    else merged.push([iovaPn, pfn, 2 ** order]);
  }
  return merged;
}

/** Frames: n from each of the given ones on. */
function runs(...parts: readonly (readonly [number, number])[]): number[] {
  return parts.flatMap(([pfn, n]) => Array.from({ length: n }, (_, i) => pfn + i));
}

describe.each(kernels)('kernel $name', (kernel) => {
  const boot = (options: GuestOptions = {}): Guest => new Guest({ kernel, ...options });

  describe('a chunk does not end', () => {
    test.each<[string, (guest: Guest) => unknown, number, number]>([
      // what, memory, pages, GUP calls
      ['at a batch', (guest) => guest.mmap({ npage: 5000 }), 5000, 10],
      ['at a folio', (guest) => guest.mmap({ npage: 64, order: 2 }), 64, 1],
      [
        'between folios of different sizes',
        (guest) =>
          guest.mmap({ npage: 512, order: 9 }).mmap({ vpn: VPN + 512, pfn: PFN + 512, npage: 5 }),
        517,
        2,
      ],
      [
        'at a VMA',
        (guest) => guest.mmap({ npage: 5 }).mmap({ vpn: VPN + 5, pfn: PFN + 5, npage: 5 }),
        10,
        1,
      ],
      ['at a section border', (guest) => guest.mmap({ pfn: 2 * SECTION - 5, npage: 10 }), 10, 1],
    ])('%s', (_, memory, npage, gupCalls) => {
      const guest = boot();
      memory(guest);
      const counts = guest.counted(() => expect(outcome(guest.map(0, npage))).toBe('ok'));
      expect(counts).toMatchObject({
        pinPagesRemoteCalls: 1,
        iommuMapCalls: 1,
        accountingUpdates: 1,
        gupCalls,
      });
    });

    test('at a section border under classic sparsemem', () => {
      const guest = boot({ model: 'sparsemem', seed: 3 }).mmap({
        pfn: 2 * SECTION - 300,
        npage: 600,
      });
      const counts = guest.counted(() => expect(outcome(guest.map(0, 600))).toBe('ok'));
      expect(counts).toMatchObject({ pinPagesRemoteCalls: 1, iommuMapCalls: 1, gupCalls: 2 });
      expect(chunks(guest)).toEqual([[0, 2 * SECTION - 300, 600]]);
    });
  });

  describe('a chunk ends', () => {
    test('where the next frame is another one', () => {
      const guest = boot().mmapFrames(
        VPN,
        runs([PFN, 3], [PFN + 10, 2], [PFN + 9, 1], [PFN + 20, 4]),
      );
      const counts = guest.counted(() => guest.map(100, 10));
      expect(chunks(guest)).toEqual([
        [100, PFN, 3],
        [103, PFN + 10, 2],
        [105, PFN + 9, 1],
        [106, PFN + 20, 4],
      ]);
      expect(counts).toMatchObject({
        pinPagesRemoteCalls: 4,
        iommuMapCalls: 4,
        accountingUpdates: 4,
      });
    });

    test('where strangers have adjacent memmaps: the frames are compared', () => {
      for (let seed = 0; seed < 20; seed++) {
        const guest = boot({ model: 'sparsemem', seed });
        const pairs = [1, 2, 3, 4, 5, 6, 7]
          .flatMap((a) => [1, 2, 3, 4, 5, 6, 7].map((b) => [a, b]))
          .filter(([a, b]) => b !== a && b !== a + 1);
        for (const [i, [last, first]] of pairs.slice(0, 12).entries()) {
          const at = VPN + i * 8;
          if (guest.mm.vmas.lookup(at)) continue;
          guest.mmapFrames(
            at,
            runs([(last + 1) * SECTION - 2 - 4 * i, 2], [first * SECTION + 4 * i, 2]),
          );
          expect(outcome(guest.map(at, 4, at))).toBe('ok');
        }
        for (const [iovaPn, pfn] of guest.leaves())
          expect(guest.mm.pageTable.pfnAt(iovaPn)).toBe(pfn);
      }
    });

    test('at every page with disable_hugepages: no superpage, no left-over entry', () => {
      const guest = boot({ params: { disableHugepages: true } }).mmap({ npage: 512, order: 9 });
      const counts = guest.counted(() => expect(outcome(guest.map(512, 512))).toBe('ok'));
      expect(counts).toMatchObject({
        gupCalls: 512,
        pinPagesRemoteCalls: 512,
        iommuMapCalls: 512,
        iommuLeaves4k: 512,
        iommuLeaves2m: 0,
      });
    });

    test('where memory turns into device memory, though the frames continue', () => {
      // Section 10 has no memory map.
      const ranges = [{ pfn: SECTION, npage: 9 * SECTION }];
      const guest = boot({ ranges })
        .mmap({ pfn: 10 * SECTION - 4, npage: 4 })
        .mmapBar({ vpn: VPN + 4, pfn: 10 * SECTION, npage: 4 });
      const counts = guest.counted(() => expect(outcome(guest.map(0, 8))).toBe('ok'));
      expect(counts).toMatchObject({ iommuMapCalls: 2, pinPagesRemoteCalls: 2 });
      expect(guest.mm.lockedVm).toBe(4);
      const unmap = guest.counted(() => guest.unmap(0, 8));
      // Read back from the IOMMU they are one run; only the pages of memory are unpinned.
      expect(unmap).toMatchObject({ iommuUnmapCalls: 1, unpinPagesRemoteCalls: 1, unpinCalls: 4 });
      expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm]).toEqual([0, 0]);
    });
  });

  describe('entries that a chunk leaves over', () => {
    test('serve the next one: one GUP call per 512 pages, however many chunks', () => {
      const guest = boot().mmapFrames(
        VPN,
        Array.from({ length: 1024 }, (_, i) => PFN + (i ^ 1)),
      );
      const counts = guest.counted(() => expect(outcome(guest.map(0, 1024))).toBe('ok'));
      expect(counts).toMatchObject({ gupCalls: 2, pageFills: 1024, iommuMapCalls: 1024 });
    });

    test("are GUP'd from where the batch ended, not from where the chunk began", () => {
      const guest = boot().mmapFrames(VPN, runs([PFN, 500], [PFN + 1000, 600]));
      const counts = guest.counted(() => guest.map(0, 1100));
      expect(counts).toMatchObject({ gupCalls: 3, pageFills: 1100, iommuMapCalls: 2 });
    });

    test('are unpinned when a later page fails', () => {
      const guest = boot({ memlockPages: 100 }).mmapFrames(
        VPN,
        Array.from({ length: 512 }, (_, i) => PFN + (i ^ 1)),
      );
      const before = guest.state();
      expect(outcome(guest.map(0, 512))).toBe('ENOMEM');
      expect(guest.state()).toBe(before);
      const { nrFollPinAcquired, nrFollPinReleased } = guest.memory.vmstat;
      expect([nrFollPinAcquired, nrFollPinReleased]).toEqual([512, 512]);
    });
  });

  describe('device memory', () => {
    const GIB = 2 ** 18;

    test.each([
      // largest leaf, pages, follow_pfnmap walks
      [18, GIB + 1024, 1 + 2],
      [9, 1536, 3],
      [0, 600, 600],
    ])(
      'in leaves of order %i: a walk per leaf (6.12: per page), one chunk, nothing pinned or charged',
      (maxLeafOrder, npage, leaves) => {
        const walks = kernel.type1.pinAlgorithm.name === 'batched-page-array' ? npage : leaves;
        const guest = boot({ memlockPages: 0 }).mmapBar({ vpn: GIB, npage, maxLeafOrder });
        const counts = guest.counted(() => expect(outcome(guest.map(GIB, npage, GIB))).toBe('ok'));
        expect(counts).toMatchObject({
          pfnmapFollows: walks,
          gupCalls: walks,
          iommuMapCalls: 1,
          accountingUpdates: 0,
          pageFills: 0,
        });
        expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([0, 0]);
        const unmap = guest.counted(() => guest.unmap(GIB, npage));
        expect(unmap).toMatchObject({ reservedTests: npage, unpinCalls: 0, accountingUpdates: 0 });
        expect(guest.leaves()).toEqual([]);
      },
    );

    test('from the middle of a leaf, over the end of another', () => {
      const guest = boot().mmapBar({ npage: 1536 });
      const counts = guest.counted(() => guest.map(500, 1000, VPN + 500));
      const walks = kernel.type1.pinAlgorithm.name === 'batched-page-array' ? 1000 : 3;
      expect(counts).toMatchObject({ pfnmapFollows: walks, iommuMapCalls: 1 });
      expect(chunks(guest)).toEqual([[500, BAR + 500, 1000]]);
    });

    test('page by page with disable_hugepages', () => {
      const guest = boot({ params: { disableHugepages: true } }).mmapBar({ npage: 512 });
      const counts = guest.counted(() => guest.map(512, 512));
      expect(counts).toMatchObject({ pfnmapFollows: 512, iommuMapCalls: 512, iommuLeaves4k: 512 });
    });

    test('of two devices with frames that do not continue: two chunks', () => {
      const guest = boot()
        .mmapBar({ npage: 8 })
        .mmapBar({ vpn: VPN + 8, pfn: BAR + 100, npage: 8 });
      guest.map(0, 16);
      expect(chunks(guest)).toEqual([
        [0, BAR, 8],
        [8, BAR + 100, 8],
      ]);
    });

    test('between memory, in one mapping: memory alone is pinned and charged', () => {
      const guest = boot()
        .mmap({ npage: 10 })
        .mmapBar({ vpn: VPN + 10, npage: 20 })
        .mmap({ vpn: VPN + 30, pfn: PFN + 100, npage: 10 });
      const before = guest.state();
      expect(outcome(guest.map(0, 40))).toBe('ok');
      expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([20, 20]);
      const counts = guest.counted(() => guest.unmap(0, 40));
      // One reserved page anywhere makes every page of the mapping be tested and put on its own.
      expect(counts).toMatchObject({ reservedTests: 40, unpinCalls: 20, accountingUpdates: 1 });
      expect(guest.state()).toBe(before);
    });

    test('that is read-only ends a writable mapping with EFAULT, undone', () => {
      const guest = boot()
        .mmap({ npage: 10 })
        .mmapBar({ vpn: VPN + 10, npage: 10, prot: { read: true, write: false } });
      const before = guest.state();
      expect(outcome(guest.map(0, 20))).toBe('EFAULT');
      expect(guest.state()).toBe(before);
      expect(outcome(guest.map(0, 20, VPN, 1))).toBe('ok');
    });
  });

  test('a map that fails half way releases every chunk before', () => {
    const guest = boot().mmapFrames(VPN, runs([PFN, 300], [PFN + 1000, 900], [PFN + 400, 1]));
    const before = guest.state();
    const counts = guest.counted(() => expect(outcome(guest.map(0, 1202))).toBe('EFAULT'));
    expect(guest.state()).toBe(before);
    expect(counts.iommuMapCalls).toBeGreaterThanOrEqual(2);
    expect([...guest.memory.warnings]).toEqual([]);
  });

  test('movable memory in the middle is ENOMEM, undone', () => {
    const guest = boot()
      .mmap({ npage: 600 })
      .mmap({ vpn: VPN + 600, pfn: 9 * SECTION, npage: 5 });
    const before = guest.state();
    expect(outcome(guest.map(0, 605))).toBe('ENOMEM');
    expect(guest.state()).toBe(before);
    expect(outcome(guest.map(0, 600))).toBe('ok');
  });

  // pfn_base == 0 means "not known yet": a chunk that begins at frame 0 learns its base again at the
  // next refill, and what was pinned so far is mapped to the frames of that batch.
  describe('frame 0', () => {
    const lowMemory: GuestOptions = { ranges: [{ pfn: 0, npage: 2 * SECTION }] };

    test('within one batch is mapped right, but cannot be read back', () => {
      const guest = boot(lowMemory).mmap({ pfn: 0, npage: 10 });
      expect(outcome(guest.map(0, 10))).toBe('ok');
      expect(chunks(guest)).toEqual([[0, 0, 10]]);
      guest.unmap(0, 10);
      expect([...guest.memory.warnings.keys()]).toContain('vfio_unmap_unpin');
      expect(guest.memory.vmstat.pinsHeld).toBe(1);
    });

    test('over two batches, the base is learnt again: the first 512 pages are mapped to the wrong frames', () => {
      const guest = boot(lowMemory).mmap({ pfn: 0, npage: 1024 });
      expect(outcome(guest.map(0, 1024))).toBe('ok');
      expect(guest.iommu.domainList[0].domain.iovaToPhys(0)).toBe(512);
      expect(guest.iommu.domainList[0].domain.iovaToPhys(512)).toBe(512);
    });
  });
});

describe('calls that a trace shows', () => {
  test.each([
    // release, put_pfn calls of the pin loop, of 10 pages of which 3 may be locked
    ['page-array', 3],
    ['batches', 3],
    // The run of 10 is refused as a whole: all of it is still in the batch.
    ['runs', 0],
    ['generic-pt', 0],
  ])('%s: a pin over the limit puts %i pages, and the rest from the batch', (name, puts) => {
    const guest = new Guest({ kernel: testKernel(name), memlockPages: 3 }).mmap({ npage: 10 });
    const counts = guest.counted(() => expect(outcome(guest.map(0, 10))).toBe('ENOMEM'));
    expect(counts).toMatchObject({ unwindPuts: puts, unpinCalls: 10 });
  });

  test.each(kernels)('$name: a reserved test begins every chunk', (kernel) => {
    const guest = new Guest({ kernel })
      .mmapFrames(VPN, runs([PFN, 5], [PFN + 100, 5]))
      .mmapBar({ vpn: VPN + 10, npage: 2, maxLeafOrder: 0 });
    // Two chunks of memory and one of device memory, whose two frames are tested as well: the first
    // of them twice, because no batch remembers that it has been followed.
    expect(guest.counted(() => guest.map(0, 12)).chunkStartTests).toBe(3 + 3);
  });

  test.each(kernels)('$name: removing mappings', (kernel) => {
    const guest = new Guest({ kernel }).mmapFrames(
      VPN,
      Array.from({ length: 600 }, (_, i) => PFN + (i ^ 1)),
    );
    guest.map(0, 600);
    guest.map(1000, 1);
    expect(guest.counted(() => guest.unmap(0, 0, 2))).toMatchObject({
      removeDmaCalls: 2,
      unmapUnpinCalls: 2,
      // 512 runs and 88, and one.
      syncUnpinCalls: 2 + 1,
    });
    // Nothing was mapped when the map failed: there is nothing to flush.
    expect(guest.counted(() => guest.map(0, 1, VPN - 1))).toMatchObject({
      removeDmaCalls: 1,
      unmapUnpinCalls: 1,
      syncUnpinCalls: 0,
    });
  });
});

describe('what a page costs', () => {
  /** 1000 pages in one run, mapped and unmapped. */
  function costs(kernel: TestKernel): {
    map: ReturnType<Guest['counted']>;
    unmap: ReturnType<Guest['counted']>;
  } {
    const guest = new Guest({ kernel }).mmap({ npage: 1000 });
    return {
      map: guest.counted(() => guest.map(0, 1000)),
      unmap: guest.counted(() => guest.unmap(0, 1000)),
    };
  }

  test('6.16: a compare, a reserved test, a look-up and a limit test per page', () => {
    expect(costs(BATCHES).map).toMatchObject({
      pfnCompares: 1000,
      reservedTests: 1001,
      vpfnLookups: 1000,
      limitTests: 1000,
      pageCompares: 0,
    });
    expect(costs(BATCHES).unmap).toMatchObject({
      unpinCalls: 1000,
      putCalls: 1000,
      reservedTests: 1000,
      vpfnLookups: 1000,
      dirtyTests: 1000,
    });
  });

  test('6.18: these once per run of a batch, and a pointer compare per page but the first', () => {
    expect(costs(RUNS).map).toMatchObject({
      pfnCompares: 2,
      reservedTests: 3,
      vpfnLookups: 2,
      limitTests: 2,
      pageCompares: 998,
    });
    expect(costs(RUNS).unmap).toMatchObject({
      unpinCalls: 1,
      putCalls: 1000,
      reservedTests: 0,
      vpfnLookups: 1,
      dirtyTests: 1000,
    });
  });
});
