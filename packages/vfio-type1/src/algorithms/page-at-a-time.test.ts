import { describe, expect, test } from 'vitest';
import { Guest, outcome, PFN, VPN, type GuestOptions } from '../../test/guest.ts';
import { onePinEach, pinsByFolio, reached } from '../../test/pins.ts';
import { pinAlgorithm } from './index.ts';
import { BATCHES } from '../../test/kernels.ts';

function machine(options: GuestOptions = {}): Guest {
  const type1 = { pinAlgorithm: pinAlgorithm('page-at-a-time') };
  return new Guest({ kernel: BATCHES, type1, ...options });
}

/** Three runs of 4 pages. */
const RUNS = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23].map((page) => PFN + page);

describe('page-at-a-time', () => {
  test('the page after a chunk is pinned, put, and pinned again', () => {
    const guest = machine().mmapFrames(VPN, RUNS);
    const counts = guest.counted(() => void guest.map(0, 12));
    expect(counts).toMatchObject({
      gupCalls: 12 + 2,
      unwindPuts: 2,
      pfnCompares: 11,
      // The first of each chunk, those that continue it, and those that are put.
      reservedTests: 3 + 9 + 2,
      vpfnLookups: 12,
      limitTests: 12,
      iommuMapCalls: 3,
      accountingUpdates: 3,
    });
    expect(reached(guest, 0, 12)).toEqual(RUNS);
    expect(pinsByFolio(guest)).toEqual(onePinEach(guest, RUNS));
  });

  test('with disable_hugepages, a page is a chunk, and none is looked ahead at', () => {
    const guest = machine({ params: { disableHugepages: true } }).mmapFrames(VPN, RUNS);
    const counts = guest.counted(() => void guest.map(0, 12));
    expect(counts).toMatchObject({
      gupCalls: 12,
      unwindPuts: 0,
      pfnCompares: 0,
      iommuMapCalls: 12,
    });
  });

  test('a page that cannot be had ends the chunk; the next one finds out, and all is undone', () => {
    const guest = machine().mmapFrames(VPN, RUNS.slice(0, 4));
    const counts = guest.counted(() => expect(outcome(guest.map(0, 12))).toBe('EFAULT'));
    expect(counts).toMatchObject({ gupCalls: 4 + 2, iommuMapCalls: 1, unwindPuts: 0 });
    expect([guest.mm.lockedVm, pinsByFolio(guest), guest.leaves()]).toEqual([0, {}, []]);
  });

  test.each([0, 1, 3, 4, 11])('over a limit of %d pages, nothing stays', (memlockPages) => {
    const guest = machine({ memlockPages }).mmapFrames(VPN, RUNS);
    const before = guest.state();
    expect(outcome(guest.map(0, 12))).toBe('ENOMEM');
    expect(guest.state()).toBe(before);
  });

  test('device memory goes page by page, and is its own chunk', () => {
    const guest = machine().mmapFrames(VPN, RUNS.slice(0, 4));
    guest.mmapBar({ vpn: VPN + 4, npage: 4 });
    const counts = guest.counted(() => expect(outcome(guest.map(0, 8))).toBe('ok'));
    expect(counts).toMatchObject({ iommuMapCalls: 2, pfnmapFollows: 5, gupCalls: 9 });
    expect([guest.mm.lockedVm, outcome(guest.unmap(0, 8))]).toEqual([4, 'ok']);
    expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([0, {}]);
  });
});
