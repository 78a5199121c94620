/**
 * Pin algorithms beside pages that a device without an IOMMU has pinned: reference strategies.md,
 * table 2, its rows on external pins.
 */
import { intelVtd } from '@pinfold/iommu';
import { describe, expect, test } from 'vitest';
import type { VfioDevice } from '../src/index.ts';
import { bytes, outcome, PFN, type Guest } from './guest.ts';
import { B, E, E2, IOVA, machine, RIGHT } from './layout-columns.ts';
import { frames, mmapRuns, P } from './memory-layouts.ts';
import { pinsByFolio, reached } from './pins.ts';

/** A container with an emulated device, which has pinned pages before an IOMMU's group joins it. */
function pinnedBeforeReplay(
  name: string,
  npage: number,
  pins: readonly (readonly [page: number, offset?: number])[],
): Guest {
  const group = { emulated: true, name: 'emulated' } as const;
  const guest = machine(name, { group });
  const device: VfioDevice = {
    name: 'emulated',
    group,
    dmaUnmap: () => {
      for (const [page, offset = 0] of pins)
        guest.container.unpinPages(device, bytes(IOVA + page) + BigInt(offset), 1);
    },
  };
  guest.container.openDevice(device);
  const runs = Array.from({ length: npage / 512 }, () => [P, 512] as const);
  mmapRuns(guest, 'hugetlb', 9, runs);
  expect(outcome(guest.map(IOVA, npage))).toBe('ok');
  for (const [page, offset = 0] of pins) {
    const pages: number[] = [];
    const at = bytes(IOVA + page) + BigInt(offset);
    expect(guest.container.tryPinPages(device, at, 1, 3, pages)).toBe(1);
  }
  expect(guest.mm.lockedVm).toBe(pins.length);
  guest.container.addGroup({ name: 'device', unit: intelVtd() });
  return guest;
}

describe('a page of a huge page that a device has pinned is charged once', () => {
  test.each([...RIGHT, E, E2])('%s', (name) => {
    for (const page of [0, 1, 5, 511]) {
      const guest = pinnedBeforeReplay(name, 512, [[page]]);
      expect(reached(guest, IOVA, 512)).toEqual(frames(P, 512));
      expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([512, { [P]: 513 }]);
      expect(outcome(guest.unmap(IOVA, 512))).toBe('ok');
      expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([0, {}]);
      expect([...guest.memory.warnings]).toEqual([]);
    }
  });

  // Counted are the pages from the second on, which has been looked up; not the last.
  test.each([
    ['first', 0, 512],
    ['second: discounted twice', 1, 511],
    ['third', 2, 512],
    ['last but one', 510, 512],
    ['last: not discounted', 511, 513],
  ])('hugetlb-2020, the %s', (_, page, charged) => {
    const guest = pinnedBeforeReplay(B, 512, [[page]]);
    expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([charged, { [P]: 513 }]);
    expect(outcome(guest.unmap(IOVA, 512))).toBe('ok');
    // What is unpinned is taken back as a whole.
    expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([charged - 512, {}]);
  });

  test.each([
    ['batched', 1024],
    [B, 1023],
  ])('%s, if the huge page is mapped twice in the mapping', (name, charged) => {
    // hugetlb-2020 matches frames: the page at the second address is not pinned externally.
    expect(pinnedBeforeReplay(name, 1024, [[5]]).mm.lockedVm).toBe(charged);
  });
});

describe('a device pins at addresses inside pages', () => {
  const group = { emulated: true, name: 'emulated' } as const;
  /** Page 6 first, then page 5: from its address on, the next node within 4 KiB is that of page 6. */
  const PINS = [bytes(IOVA + 6) + 0x80n, bytes(IOVA + 5) + 0x100n] as const;

  function pinned(name: string): { guest: Guest; device: VfioDevice; pages: number[] } {
    const guest = machine(name, { group }).mmap({ npage: 16 });
    const device: VfioDevice = { name: 'emulated', group, dmaUnmap: () => undefined };
    guest.container.openDevice(device);
    guest.map(IOVA, 16);
    const pages = PINS.map((iova) => guest.container.pinPages(device, iova, 1, 3)[0]);
    return { guest, device, pages };
  }

  const UNFIXED = ['series-1-folio', 'series-1-4-unfixed', E2];

  test.each([...RIGHT, B, E].filter((name) => !UNFIXED.includes(name)))(
    '%s: it gets its pages, and gives them back',
    (name) => {
      const { guest, device, pages } = pinned(name);
      expect(pages).toEqual([PFN + 6, PFN + 5]);
      for (const iova of PINS) guest.container.unpinPages(device, iova, 1);
      expect([pinsByFolio(guest), guest.mm.lockedVm]).toEqual([{}, 0]);
      expect(outcome(guest.unmap(IOVA, 16))).toBe('ok');
    },
  );

  test.each(UNFIXED)('%s: it gets the neighbour', (name) => {
    const { guest, pages } = pinned(name);
    expect(pages).toEqual([PFN + 6, PFN + 6]);
    expect(pinsByFolio(guest)).toEqual({ [PFN + 6]: 1 });
  });

  // The exact look-up of a page does not find a pin inside it: the page is charged twice. That is so
  // in every release. The range forms find it: e goes on page by page then, and charges like them.
  test.each([
    ...[...RIGHT.filter((name) => name !== 'extent' && !name.startsWith('series')), E].map(
      (name) => [name, 513] as const,
    ),
    [E2, 512] as const,
    ['series-1-4', 512] as const,
    ['extent', 512] as const,
  ])('%s: the charge when a group behind an IOMMU joins', (name, charged) => {
    expect(pinnedBeforeReplay(name, 512, [[5, 0x100]]).mm.lockedVm).toBe(charged);
  });
});
