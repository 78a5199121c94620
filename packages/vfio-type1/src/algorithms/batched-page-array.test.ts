import { describe, expect, test } from 'vitest';
import { BAR, Guest, outcome, PFN, VPN, type GuestOptions } from '../../test/guest.ts';
import { pinAlgorithm } from './index.ts';

function boot(name: string, options: GuestOptions = {}): Guest {
  return new Guest({ ...options, type1: { pinAlgorithm: pinAlgorithm(name) } });
}

/** Frames in runs of [first frame, pages]. */
function runs(...lengths: readonly (readonly [number, number])[]): number[] {
  return lengths.flatMap(([pfn, npage]) => Array.from({ length: npage }, (_, i) => pfn + i));
}

describe('a page that a refill brings alone', () => {
  test.each([
    // frames, pages pinned, put again, GUP calls: of batched-page-array and of batched
    ['continues the chunk', runs([PFN, 513]), [513, 0, 2], [513, 0, 2]],
    ['does not', runs([PFN, 512], [PFN + 1000, 1]), [514, 1, 3], [513, 0, 2]],
    ['is one of two', runs([PFN, 512], [PFN + 1000, 2]), [514, 0, 2], [514, 0, 2]],
    [
      'comes after a chunk of one page',
      runs([PFN, 511], [PFN + 2000, 1], [PFN + 1000, 1]),
      [514, 1, 3],
      [513, 0, 2],
    ],
    ['is the only one', runs([PFN, 1]), [1, 0, 1], [1, 0, 1]],
  ])('%s', (_, frames, pageArray, batched) => {
    const figures = (name: string): number[] => {
      const guest = boot(name).mmapFrames(VPN, frames);
      const counts = guest.counted(() => guest.map(0, frames.length));
      const { nrFollPinAcquired, nrFollPinReleased } = guest.memory.vmstat;
      expect(counts.unwindPuts).toBe(nrFollPinReleased);
      expect(guest.mm.lockedVm).toBe(frames.length);
      return [nrFollPinAcquired, nrFollPinReleased, counts.gupCalls];
    };
    expect(figures('batched-page-array')).toEqual(pageArray);
    expect(figures('batched')).toEqual(batched);
  });

  test('over the limit is dropped before the rest is released', () => {
    const figures = (name: string): number[] => {
      const guest = boot(name, { memlockPages: 0 }).mmap({ npage: 1 });
      const counts = guest.counted(() => expect(outcome(guest.map(0, 1))).toBe('ENOMEM'));
      expect(guest.memory.vmstat.pinsHeld).toBe(0);
      return [counts.unwindPuts, counts.unpinCalls];
    };
    expect(figures('batched-page-array')).toEqual([1, 1]);
    expect(figures('batched')).toEqual([0, 1]);
  });

  test('with disable_hugepages begins a chunk each time: none is dropped', () => {
    const params = { disableHugepages: true };
    const guest = boot('batched-page-array', { params }).mmapFrames(VPN, [PFN, PFN + 5, PFN + 6]);
    const counts = guest.counted(() => guest.map(0, 3));
    expect(counts).toMatchObject({ gupCalls: 3, iommuMapCalls: 3, unwindPuts: 0 });
  });
});

describe('device memory', () => {
  test('costs a GUP call and a walk per page, whatever maps it', () => {
    const guest = boot('batched-page-array').mmapBar({ npage: 1024 });
    const counts = guest.counted(() => guest.map(0, 1024));
    expect(counts).toMatchObject({
      gupCalls: 1024,
      pfnmapFollows: 1024,
      // One for the chunk, and per page one after the walk and one in the loop.
      reservedTests: 1 + 2 * 1024,
      chunkStartTests: 1 + 1024,
      iommuMapCalls: 1,
      unwindPuts: 0,
    });
  });

  test('behind memory: its first frame is put, which does nothing, and followed again', () => {
    const guest = boot('batched-page-array')
      .mmap({ npage: 3 })
      .mmapBar({ vpn: VPN + 3, npage: 5 });
    const counts = guest.counted(() => guest.map(0, 8));
    expect(counts).toMatchObject({ pfnmapFollows: 6, unwindPuts: 1, unpinCalls: 0 });
    expect(guest.leaves()).toEqual([
      ...[0, 1, 2].map((page) => [page, PFN + page, 0]),
      ...[0, 1, 2, 3, 4].map((page) => [3 + page, BAR + page, 0]),
    ]);
  });

  test('that does not go on where other device memory ends: as well', () => {
    const guest = boot('batched-page-array')
      .mmapBar({ npage: 2 })
      .mmapBar({ vpn: VPN + 2, pfn: BAR + 100, npage: 2 });
    const counts = guest.counted(() => guest.map(0, 4));
    expect(counts).toMatchObject({ pfnmapFollows: 5, unwindPuts: 1, iommuMapCalls: 2 });
  });

  test('before memory: what the refill brings is kept', () => {
    const guest = boot('batched-page-array')
      .mmapBar({ npage: 5 })
      .mmap({ vpn: VPN + 5, npage: 3 });
    const counts = guest.counted(() => guest.map(0, 8));
    expect(counts).toMatchObject({ gupCalls: 6, unwindPuts: 0 });
    expect(guest.memory.vmstat.nrFollPinAcquired).toBe(3);
  });
});
