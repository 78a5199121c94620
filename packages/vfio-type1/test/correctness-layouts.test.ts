/**
 * Which pin algorithm is right on which memory: reference strategies.md, table 2, without its column
 * i. A right one lets the device reach exactly the pages of the process, pins and charges each
 * once, and leaves nothing behind; of a wrong one it is said what the device reaches instead.
 */
import { KernelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { outcome, VPN, type Guest } from './guest.ts';
import { B, E, E2, IOVA, machine, RIGHT } from './layout-columns.ts';
import {
  cowedFolio,
  cowedHugetlbAligned,
  cowedHugetlbInBatch,
  frames,
  framesAt,
  hugetlbThenAnon,
  memmapHole,
  P,
  privateFile,
  Q,
  ramAndBar,
  slicedFolio,
  smallHugetlb,
  unalignedHugetlb,
  unalignedToEnd,
  WITH_HOLE,
  type Laid,
} from './memory-layouts.ts';
import { onePinEach, pinsByFolio, reached } from './pins.ts';

/** Maps and unmaps; throws unless everything is right after both. */
function expectRight(guest: Guest, { vpn, pfns, devicePages = 0 }: Laid, iova = IOVA): void {
  const before = guest.state();
  const ram = pfns.slice(0, pfns.length - devicePages);
  expect(outcome(guest.map(iova, pfns.length, vpn))).toBe('ok');
  expect(reached(guest, iova - 1, pfns.length + 2)).toEqual([0, ...pfns, 0]);
  expect(pinsByFolio(guest)).toEqual(onePinEach(guest, ram));
  expect([guest.mm.lockedVm, guest.memory.vmstat.pinsHeld]).toEqual([ram.length, ram.length]);
  expect(outcome(guest.unmap(iova, pfns.length))).toBe('ok');
  expect(guest.state()).toBe(before);
  expect([...guest.memory.warnings]).toEqual([]);
}

describe('right', () => {
  describe.each([
    ['two 2 MiB hugetlb pages, not adjacent, unaligned by 1 MiB', unalignedHugetlb, [E2]],
    ['a hugetlb page, then a page of the next VMA', hugetlbThenAnon, [B, E2]],
    ['two 64 KiB hugetlb pages, not adjacent', smallHugetlb, [B, E2]],
    ['a folio with a copied page', cowedFolio, [B, E]],
    ['slices of a folio in two VMAs', slicedFolio, [B, E]],
    ['hugetlb with a copied huge page, batches aligned', cowedHugetlbAligned, [B, E, E2]],
    ['hugetlb with a copied huge page inside a batch', cowedHugetlbInBatch, [E2]],
    ['memory and a BAR in one mapping', ramAndBar, [B, E, E2]],
  ])('%s', (_, layout, others) => {
    test.each([...RIGHT, ...others])('%s', (name) => {
      const guest = machine(name);
      expectRight(guest, layout(guest));
    });
  });

  test.each([...RIGHT, B, E, E2])('a hole in the memory map, classic sparsemem: %s', (name) => {
    const { guest, laid } = memmapHole((seed) =>
      machine(name, { model: 'sparsemem', ranges: WITH_HOLE, seed }),
    );
    expectRight(guest, laid);
  });

  // The document has this folio in the page cache of a file that is mapped private. But a longterm pin
  // unshares what such a mapping has from the cache: only copies, in folios of their own, are pinned.
  test.each([...RIGHT, B, E, E2])('a private file with a written page: %s', (name) => {
    const guest = machine(name);
    const cache = privateFile(guest);
    expect(framesAt(guest, VPN, 3)).toEqual([cache[0], expect.not.toBeOneOf(cache), cache[2]]);
    expect(outcome(guest.map(IOVA, 16))).toBe('ok');
    const pfns = framesAt(guest, VPN, 16);
    expect(reached(guest, IOVA, 16)).toEqual(pfns);
    expect(pfns.filter((pfn) => cache.includes(pfn))).toEqual([]);
    expect(pinsByFolio(guest)).toEqual(onePinEach(guest, pfns));
    expect(outcome(guest.unmap(IOVA, 16))).toBe('ok');
    expect([pinsByFolio(guest), guest.mm.lockedVm]).toEqual([{}, 0]);
  });
});

describe('hugetlb-2020, unaligned by 1 MiB', () => {
  const layouts = [
    ['to the middle of a huge page', unalignedHugetlb],
    ['to the end of a huge page', unalignedToEnd],
    ['to the middle of a copied huge page', cowedHugetlbInBatch],
  ] as const;

  test.each(
    layouts.flatMap(([what, layout]) => [[what, layout, 0] as const, [what, layout, 256] as const]),
  )('%s, at iova + %3$d pages: it maps right', (_, layout, offset) => {
    const guest = machine(B);
    const { vpn, pfns } = layout(guest);
    expect(outcome(guest.map(IOVA + offset, pfns.length, vpn))).toBe('ok');
    expect(reached(guest, IOVA + offset, pfns.length)).toEqual(pfns);
    expect(pinsByFolio(guest)).toEqual(onePinEach(guest, pfns));
    expect(guest.mm.lockedVm).toBe(pfns.length);
  });

  test('with iova and frames aligned alike, to the end of a huge page: all right', () => {
    const guest = machine(B);
    expectRight(guest, unalignedToEnd(guest), IOVA + 256);
  });

  // The document says that this is right too. But the scan of the second run goes on behind the end of
  // the mapping, bounded by the size of all of it, and VT-d says that it has unmapped what it was asked.
  test('with iova and frames aligned alike, to the middle of one: 256 pages too many are put', () => {
    const guest = machine(B);
    const { vpn } = unalignedHugetlb(guest);
    guest.map(IOVA + 256, 512, vpn);
    expect(() => guest.unmap(IOVA + 256, 512)).toThrow(
      new KernelBug('gup_put_folio', `pfn ${Q + 256} holds no pin that could be dropped`),
    );
    expect(pinsByFolio(guest)).toEqual({});
  });

  test('with iova and frames aligned differently, the unmap goes on behind the first run', () => {
    const guest = machine(B);
    const { vpn } = unalignedHugetlb(guest);
    guest.map(IOVA, 512, vpn);
    expect(() => guest.unmap(IOVA, 512)).toThrow(KernelBug);
    expect(pinsByFolio(guest)).toEqual({ [Q]: 256 });
  });
});

describe('wrong map', () => {
  /** Maps, and says which pages the device reaches in place of others. */
  function misses(name: string, layout: (guest: Guest) => Laid): { guest: Guest; wrong: string[] } {
    const guest = machine(name);
    const { vpn, pfns } = layout(guest);
    expect(outcome(guest.map(IOVA, pfns.length, vpn))).toBe('ok');
    // Its own pages are pinned, also those that it does not reach.
    expect(pinsByFolio(guest)).toEqual(onePinEach(guest, pfns));
    expect(guest.mm.lockedVm).toBe(pfns.length);
    const wrong = reached(guest, IOVA, pfns.length).flatMap((pfn, i) =>
      pfn === pfns[i] ? [] : [`${i}: ${pfn}, not ${pfns[i]}`],
    );
    return { guest, wrong };
  }

  /** Pages from one on, each in place of another. */
  function inPlaceOf(first: number, pfn: number, right: number, npage: number): string[] {
    return frames(first, npage).map((i, k) => `${i}: ${pfn + k}, not ${right + k}`);
  }

  test.each([
    [
      E,
      'what follows the huge page, in place of the next one',
      unalignedHugetlb,
      inPlaceOf(256, P + 512, Q, 256),
    ],
    [
      E,
      'what follows the huge page, in place of the next VMA',
      hugetlbThenAnon,
      inPlaceOf(1, P + 512, Q, 1),
    ],
    [
      E,
      'what follows the 64 KiB page, in place of the next one',
      smallHugetlb,
      inPlaceOf(16, P + 16, Q, 16),
    ],
    // The frames of the huge pages are P, P + 512, P + 1024; the copy of the second is P + 1536.
    [
      E,
      'the page that was copied, and is the child’s or free, in place of the copy',
      cowedHugetlbInBatch,
      [...inPlaceOf(256, P + 512, P + 1536, 512)].slice(0, 256),
    ],
    [
      E2,
      'the page of the folio that was copied, in place of the copy',
      cowedFolio,
      inPlaceOf(1, P + 1, Q, 1),
    ],
    [
      E2,
      'the second page of the folio, in place of the last',
      slicedFolio,
      inPlaceOf(1, P + 1, P + 3, 1),
    ],
  ])('%s: %s', (name, _, layout, expected) => {
    expect(misses(name, layout).wrong).toEqual(expected);
  });

  test('hugetlb-v1-2025: the unmap unpins what was mapped, which nobody has pinned', () => {
    const { guest } = misses(E, unalignedHugetlb);
    expect(() => guest.unmap(IOVA, 512)).toThrow(KernelBug);
  });

  test('hugetlb-v1-2025: or it takes the pins of a stranger, and leaves its own', () => {
    const guest = machine(E);
    const { vpn, pfns } = unalignedHugetlb(guest);
    guest.mmap({ vpn: VPN + 4096, pfn: P + 512, npage: 512, order: 9, kind: 'hugetlb' });
    guest.map(0, 512, VPN + 4096);
    guest.map(IOVA, 512, vpn);
    expect(pinsByFolio(guest)).toEqual({ [P]: 256, [P + 512]: 512, [Q]: 256 });
    guest.unmap(IOVA, pfns.length);
    expect(pinsByFolio(guest)).toEqual({ [P + 512]: 256, [Q]: 256 });
    // The charge is right all the while, and the stranger's pages are still mapped.
    expect([guest.mm.lockedVm, reached(guest, 511, 1)]).toEqual([512, [P + 1023]]);
  });

  test('folio-v2-2025: the unmap puts a page of the folio too often, and leaves the copy', () => {
    const { guest } = misses(E2, cowedFolio);
    expect(() => guest.unmap(IOVA, 4)).toThrow(KernelBug);
    expect(pinsByFolio(guest)[Q]).toBe(1);
  });
});
