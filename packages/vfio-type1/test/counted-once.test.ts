/**
 * From patch 2 of the series on, the external pins of a region are counted for all of it at once, also
 * those on reserved pages. Such a page takes no part in the charge: with accounting, which only an
 * attach that fails asks for, the process is charged a page that nobody gives back. Nobody on the
 * mailing list has named it.
 */
import { describe, expect, test } from 'vitest';
import { pinAlgorithm } from '../src/index.ts';
import { iommuGroup, Mixed } from './mixed.ts';
import { SECTION, VPN } from './guest.ts';

/** The beginning of a section whose memory begins later: reserved, and with a memory map. */
const RESERVED = 10 * SECTION;
const RANGES = [
  { pfn: SECTION, npage: 8 * SECTION },
  { pfn: RESERVED + 1000, npage: 5000 },
];

/**
 * A driver maps a reserved page, and a device pins it and the memory behind it; then a group behind an
 * IOMMU cannot be attached, because another mapping has no memory. Returns the pages charged before
 * and after.
 */
function failedAttach(algorithm: string): number[] {
  const guest = new Mixed({ ranges: RANGES, type1: { pinAlgorithm: pinAlgorithm(algorithm) } });
  guest.mmapBar({ pfn: RESERVED, npage: 1 }).mmap({ vpn: VPN + 1, npage: 3 });
  guest.map(0, 4);
  guest.map(1000, 1, 2 ** 30);
  expect(guest.pin(0, 2)).toBe(2);
  const before = guest.mm.lockedVm;
  expect(() => guest.attach(iommuGroup())).toThrow(/EFAULT/);
  expect(guest.memory.vmstat.pinsHeld).toBe(1);
  return [before, guest.mm.lockedVm];
}

describe('an attach that fails, with an external pin on a reserved page', () => {
  test.each([
    'page-at-a-time',
    'page-list',
    'batched-page-array',
    'batched',
    'unpin-rfc-2025',
    'series-1-folio',
    'series-1-compare',
    'extent',
  ])('leaves the charge as it was: %s', (algorithm) => {
    expect(failedAttach(algorithm)).toEqual([1, 1]);
  });

  test.each(['unpin-folio-2025', 'series-1-2', 'series-1-3', 'series-1-4-unfixed', 'series-1-4'])(
    'charges a page too much: %s',
    (algorithm) => {
      expect(failedAttach(algorithm)).toEqual([1, 2]);
    },
  );
});
