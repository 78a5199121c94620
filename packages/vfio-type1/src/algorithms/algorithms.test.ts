import { InputError } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { Guest, PFN, VPN } from '../../test/guest.ts';
import { VfioBatch } from '../batch.ts';
import { VfioDma } from '../dma.ts';
import { PinnedChunk } from '../pin-chunk.ts';
import { VfioPfn } from '../vpfn.ts';
import { pinAlgorithm, pinAlgorithms } from './index.ts';

describe('the registry', () => {
  test('finds every algorithm by its name', () => {
    for (const algorithm of pinAlgorithms) expect(pinAlgorithm(algorithm.name)).toBe(algorithm);
    expect(new Set(pinAlgorithms.map(({ name }) => name)).size).toBe(pinAlgorithms.length);
  });

  test('refuses an unknown name with those that exist', () => {
    expect(() => pinAlgorithm('folio-walk')).toThrow(InputError);
    const names = pinAlgorithms.map(({ name }) => name).join(', ');
    expect(() => pinAlgorithm('folio-walk')).toThrow(`one of ${names}, got 'folio-walk'`);
  });

  test.each(pinAlgorithms)(
    '$name says what it is and where it comes from',
    ({ summary, source }) => {
      expect(summary).toMatch(/\S/);
      expect(source).toMatch(/\S/);
    },
  );
});

describe.each(pinAlgorithms)(
  '$name, with pages that a device without IOMMU has pinned',
  (algorithm) => {
    /** A mapping at page 100 of 20 pages of memory, some of them pinned externally. */
    function mapping(
      external: readonly number[],
      memlockPages = Infinity,
    ): { guest: Guest; dma: VfioDma } {
      const guest = new Guest({ memlockPages, type1: { pinAlgorithm: algorithm } }).mmap({
        npage: 20,
      });
      const dma = new VfioDma(100, VPN, 3, guest.task);
      for (const page of external) dma.pfnList.insert(new VfioPfn(100 + page, PFN + page));
      return { guest, dma };
    }

    function pin({ guest, dma }: { guest: Guest; dma: VfioDma }, from = 0, npage = 20): number {
      const batch = new VfioBatch(guest.memory.memmap.pageArray(512));
      const limit = guest.task.memlockPages;
      return algorithm.pinChunk(
        guest.iommu,
        dma,
        VPN + from,
        npage,
        limit,
        batch,
        new PinnedChunk(),
      );
    }

    test.each([
      ['none', [], 20],
      ['one', [7], 19],
      ['some', [0, 1, 5, 19], 16],
      ['all', Array.from({ length: 20 }, (_, i) => i), 0],
      ['others', [-1, 20, 300], 20],
    ])('%s: they are charged already', (_, external, charged) => {
      const made = mapping(external);
      expect(pin(made)).toBe(20);
      expect([made.guest.mm.lockedVm, made.dma.lockedVm]).toEqual([charged, charged]);
      expect(made.guest.memory.vmstat.pinsHeld).toBe(20);
    });

    test('the limit counts only the others', () => {
      expect(pin(mapping([2, 3, 4], 17))).toBe(20);
      const short = mapping([2, 3, 4], 16);
      expect(pin(short)).toBe(-12);
      expect([short.guest.mm.lockedVm, short.guest.memory.vmstat.pinsHeld]).toEqual([0, 0]);
    });

    test('a chunk that begins inside the mapping looks at its own pages', () => {
      const made = mapping([0, 9, 10, 14, 15]);
      expect(pin(made, 10, 5)).toBe(5);
      expect(made.guest.mm.lockedVm).toBe(3);
    });

    test('unpinning takes back the charge of the others', () => {
      const made = mapping([0, 1, 5]);
      pin(made);
      const { guest, dma } = made;
      expect(algorithm.unpinRegion(guest.iommu, dma, 100, PFN, 20, true)).toBe(20);
      expect([guest.mm.lockedVm, dma.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([0, 0, 0]);
    });

    test('unpinning without accounting leaves the charge to the caller', () => {
      const made = mapping([]);
      pin(made);
      const { guest, dma } = made;
      const counts = guest.counted(() =>
        expect(algorithm.unpinRegion(guest.iommu, dma, 100, PFN, 20, false)).toBe(20),
      );
      expect(counts).toMatchObject({ unpinPagesRemoteCalls: 1, accountingUpdates: 0 });
      expect(guest.mm.lockedVm).toBe(20);
    });
  },
);

describe('what the algorithms count', () => {
  /** Pins 20 pages in runs of 10, of which pages 3 and 12 are pinned externally. */
  function counts(name: string): Readonly<Record<string, number>> {
    const guest = new Guest({ memlockPages: 100 }).mmapFrames(
      VPN,
      Array.from({ length: 20 }, (_, i) => PFN + i + (i < 10 ? 0 : 5)),
    );
    const dma = new VfioDma(100, VPN, 3, guest.task);
    for (const page of [3, 12]) dma.pfnList.insert(new VfioPfn(100 + page, 1));
    const batch = new VfioBatch(guest.memory.memmap.pageArray(512));
    return guest.counted(() => {
      for (let done = 0; done < 20;) {
        done += pinAlgorithm(name).pinChunk(
          guest.iommu,
          dma,
          VPN + done,
          20 - done,
          100,
          batch,
          new PinnedChunk(),
        );
      }
    });
  }

  test('batched: a look-up per page, a limit test per page that is not pinned already', () => {
    expect(counts('batched')).toMatchObject({
      vpfnLookups: 20,
      limitTests: 18,
      pfnCompares: 21,
      reservedTests: 22,
      pageCompares: 0,
    });
  });

  test('series-1-4: a look-up and a limit test per run', () => {
    expect(counts('series-1-4')).toMatchObject({
      vpfnLookups: 2,
      limitTests: 2,
      pfnCompares: 3,
      reservedTests: 4,
      pageCompares: 10 + 9,
    });
  });
});
