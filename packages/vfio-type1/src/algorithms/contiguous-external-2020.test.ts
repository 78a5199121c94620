import type { CounterValues } from '@pinfold/base';
import { intelVtd } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import { bytes, Guest, minus, PFN, VPN, type GuestOptions } from '../../test/guest.ts';
import { pinsByFolio } from '../../test/pins.ts';
import { NO_PAGE } from '../pin-external.ts';
import type { VfioDevice } from '../vfio-device.ts';
import { pinAlgorithm } from './index.ts';
import { BATCHES } from '../../test/kernels.ts';

const POSTED = 'contiguous-external-2020';
const TODAY = 'batched';
const group = { emulated: true, name: 'emulated' } as const;
const device: VfioDevice = { name: 'emulated', group, dmaUnmap: () => undefined };

/** A container with a device without an IOMMU, and 16 pages mapped at page 0. */
function machine(name: string, options: GuestOptions = {}, npage = 16): Guest {
  const type1 = { pinAlgorithm: pinAlgorithm(name) };
  const guest = new Guest({ kernel: BATCHES, type1, group, ...options }).mmap({ npage });
  guest.container.openDevice(device);
  expect(guest.map(0, npage).ret).toBe(0);
  return guest;
}

/** Pins a list of pages. */
function pin(
  guest: Guest,
  list: readonly number[],
): { ret: number; pages: number[]; counts: CounterValues } {
  const pages: number[] = [];
  let ret = 0;
  const counts = guest.counted(() => {
    ret = guest.container.tryPinPageList(device, list.map(bytes), 3, pages);
  });
  return { ret, pages, counts };
}

describe('the list {1,5,6,7,9}', () => {
  const list = [1, 5, 6, 7, 9];

  test.each([
    // {1}, {5,6,7}, {9}: of a range, its first page and its mapping are looked up once.
    [POSTED, { gupCalls: 3, accountingUpdates: 3, dmaLookups: 3, vpfnLookups: 5 }],
    [TODAY, { gupCalls: 5, accountingUpdates: 5, dmaLookups: 5, vpfnLookups: 5 }],
  ])('%s', (name, expected) => {
    const guest = machine(name);
    const { ret, pages, counts } = pin(guest, list);
    expect(counts).toMatchObject({ ...expected, vpfnAllocs: 5, pageFills: 5 });
    expect([ret, pages]).toEqual([5, list.map((page) => PFN + page)]);
    expect(pinsByFolio(guest)).toEqual(Object.fromEntries(pages.map((pfn) => [pfn, 1])));
    expect(guest.mm.lockedVm).toBe(5);
    for (const page of list) guest.container.unpinPages(device, bytes(page), 1);
    expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([0, {}]);
  });

  test('with a domain in the container, nothing is charged', () => {
    const guest = machine(POSTED);
    guest.container.addGroup({ name: 'device', unit: intelVtd() });
    expect(pin(guest, list).counts).toMatchObject({ gupCalls: 3, accountingUpdates: 0 });
    expect(guest.mm.lockedVm).toBe(16);
  });
});

describe('calls of 512 consecutive pages', () => {
  const PAGES = 16_384;
  const CALLS = PAGES / 512;

  // Reference strategies.md (c), by its formulas for N = 16,384 pages. It says 2 look-ups of the mapping
  // per range; that is v1. v2 hands the mapping on, so that one is left.
  test.each([
    [POSTED, { gupCalls: CALLS, accountingUpdates: CALLS, dmaLookups: CALLS }],
    [TODAY, { gupCalls: PAGES, accountingUpdates: PAGES, dmaLookups: PAGES }],
  ])('%s', (name, expected) => {
    const guest = machine(name, {}, PAGES);
    const counts = guest.counted(() => {
      for (let at = 0; at < PAGES; at += 512) {
        expect(guest.container.tryPinPages(device, bytes(at), 512, 3, [])).toBe(512);
      }
    });
    expect(counts).toMatchObject({ ...expected, vpfnAllocs: PAGES, vpfnLookups: PAGES });
    expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([PAGES, PAGES]);
  });
});

describe('where a range ends', () => {
  test.each([
    ['at a page that is pinned', [4], [3, 4, 5, 6], { gupCalls: 2, vpfnAllocs: 3 }],
    ['at the end of the mapping', [], [14, 15, 16, 17], { gupCalls: 2, dmaLookups: 2 }],
    ['where a page comes again', [], [3, 4, 3, 4], { gupCalls: 1, vpfnAllocs: 2 }],
    ['where the list goes back', [], [5, 4, 3], { gupCalls: 3 }],
  ])('%s', (_, before, list, expected) => {
    const guest = machine(POSTED);
    guest.mmap({ vpn: VPN + 16, pfn: PFN + 16, npage: 16 });
    guest.map(16, 16, VPN + 16);
    if (before.length > 0) pin(guest, before);
    const { ret, pages, counts } = pin(guest, list);
    expect(counts).toMatchObject(expected);
    expect([ret, pages]).toEqual([list.length, list.map((page) => PFN + page)]);
  });

  test('dirty bits of a range', () => {
    const guest = machine(POSTED);
    guest.container.dirtyPages({ flags: 1 });
    pin(guest, [1, 5, 6, 7, 9]);
    const [dma] = guest.iommu.dmaList;
    expect(Array.from(dma?.bitmap?.runs() ?? [], (run) => [...run])).toEqual([
      [1, 1],
      [5, 3],
      [9, 1],
    ]);
  });
});

describe('what fails', () => {
  /** Everything that a failed call must leave as it was. */
  function expectNothing(guest: Guest): void {
    expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([0, {}]);
    expect(guest.iommu.dmaList.first()?.pfnList.root).toBeNull();
  }

  test('a range that GUP pins in part is gone on with page by page', () => {
    const guest = machine(POSTED, {}, 4);
    guest.unmap(0, 4);
    guest.map(0, 8);
    const { ret, pages, counts } = pin(guest, [1, 2, 3, 4, 5]);
    expect([ret, counts.gupCalls]).toEqual([minus('EFAULT'), 2]);
    expect(pages).toEqual([NO_PAGE, NO_PAGE, NO_PAGE, NO_PAGE]);
    expectNothing(guest);
  });

  test('a range over the limit is pinned as a whole first, then page by page up to it', () => {
    const guest = machine(POSTED, { memlockPages: 3 });
    const { ret, counts } = pin(guest, [1, 5, 6, 7, 9]);
    expect([ret, counts.gupCalls, counts.vpfnAllocs]).toEqual([minus('ENOMEM'), 1 + 1 + 3, 6]);
    expectNothing(guest);
  });

  test.each([
    ['a page without a mapping', [1, 2, 40], 'EINVAL'],
    ['device memory', [1, 2, 20, 21], 'EINVAL'],
  ] as const)('%s', (_, list, errno) => {
    const guest = machine(POSTED);
    guest.mmapBar({ vpn: VPN + 16, npage: 16 });
    guest.map(16, 16, VPN + 16);
    expect(pin(guest, list).ret).toBe(minus(errno));
    expectNothing(guest);
  });

  test('a process that has gone', () => {
    const guest = machine(POSTED);
    guest.mm.mmUsers = 0;
    expect(pin(guest, [1, 2]).ret).toBe(minus('ENODEV'));
  });
});
