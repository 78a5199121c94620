/**
 * Since 6.18 a range is unpinned by `page + i`. Under classic sparsemem that is only right inside a
 * section: a mapping whose memory goes on over a section border makes the kernel walk out of the
 * section's memory map when it is unmapped. Here is what happens, and where it does not.
 */
import { KernelBug } from '@pinfold/base';
import { MemMap } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { pinAlgorithm } from '../src/index.ts';
import { Guest, outcome, SECTION, VPN, type GuestOptions } from './guest.ts';
import { BATCHES, RUNS } from './kernels.ts';

const batched = pinAlgorithm('batched');
const series14 = pinAlgorithm('series-1-4');
const BORDER = 4 * SECTION;

/** 20 pages over a section border, mapped. */
function overBorder(options: GuestOptions): Guest {
  const guest = new Guest(options).mmap({ pfn: BORDER - 10, npage: 20 });
  expect(outcome(guest.map(0, 20))).toBe('ok');
  return guest;
}

/** Unmaps everything; whether all of it is unpinned and uncharged then. */
function unmapsCleanly(guest: Guest, npage = 20): boolean {
  expect(outcome(guest.unmap(0, npage))).toBe('ok');
  const counts = [...guest.memory.memmap.foliosInUse()].map(({ refcount }) => refcount);
  return (
    guest.memory.vmstat.pinsHeld === 0 && guest.mm.lockedVm === 0 && Math.max(...counts) < 1024
  );
}

describe('a mapping over a section border is unmapped cleanly', () => {
  test.each<[string, GuestOptions]>([
    ['nth_page, vmemmap', { kernel: BATCHES }],
    ['nth_page, classic sparsemem', { kernel: BATCHES, model: 'sparsemem' }],
    [
      'nth_page with runs: it goes through the pfn',
      { kernel: BATCHES, model: 'sparsemem', type1: { pinAlgorithm: series14 } },
    ],
    ['page + i, vmemmap', { kernel: RUNS }],
    [
      'page + i with the page-by-page unpin',
      { kernel: RUNS, model: 'sparsemem', type1: { pinAlgorithm: batched } },
    ],
  ])('%s', (_, options) => {
    expect(unmapsCleanly(overBorder(options))).toBe(true);
  });

  test('page + i, classic sparsemem, if a device page in the mapping makes every page be put on its own', () => {
    const guest = new Guest({ kernel: RUNS, model: 'sparsemem' })
      .mmap({ pfn: BORDER - 10, npage: 20 })
      .mmapBar({ vpn: VPN + 20, npage: 1 });
    guest.map(0, 21);
    expect(unmapsCleanly(guest, 21)).toBe(true);
  });

  test('page + i, classic sparsemem, inside one folio that is larger than a section', () => {
    const guest = new Guest({
      kernel: RUNS,
      model: 'sparsemem',
      ranges: [{ pfn: 2 ** 18, npage: 2 ** 18 }],
    });
    guest.mmap({ vpn: 2 ** 18, pfn: 2 ** 18, npage: 2 ** 18, order: 18, kind: 'hugetlb' });
    guest.map(2 ** 18, 2 ** 18, 2 ** 18);
    expect(outcome(guest.unmap(2 ** 18, 2 ** 18))).toBe('ok');
    expect(guest.memory.vmstat.pinsHeld).toBe(0);
  });
});

describe('page + i, classic sparsemem', () => {
  const options: GuestOptions = { kernel: RUNS, model: 'sparsemem' };

  test.each<[string, number, number]>([
    ['small pages', 0, 20],
    ['2 MiB folios', 9, 1024],
  ])('%s: the unmap walks out of the memory map', (_, order, npage) => {
    const guest = new Guest(options).mmap({ pfn: BORDER - npage / 2, npage, order });
    expect(outcome(guest.map(0, npage))).toBe('ok');
    const { memmap } = guest.memory;
    expect(memmap.pfnToPage(BORDER)).not.toBe(memmap.pfnToPage(BORDER - 1) + 1);
    expect(() => guest.unmap(0, npage)).toThrow(KernelBug);
  });

  test('or it unpins the pages of a stranger, whose memory map happens to follow, and leaks its own', () => {
    const found = adjacentStranger();
    const guest = new Guest({ ...options, seed: found.seed }).mmap({
      pfn: found.border - 10,
      npage: 20,
    });
    // The stranger's pages are mapped as well, and stay so.
    guest.mmap({ vpn: VPN + 100, pfn: found.stranger, npage: 10 });
    guest.map(0, 20);
    guest.map(100, 10, VPN + 100);
    expect(outcome(guest.unmap(0, 20))).toBe('ok');
    const { memmap } = guest.memory;
    const pins = (pfn: number): number =>
      Math.floor(memmap.refcount[memmap.headEntryOf(pfn)] / 1024);
    expect([pins(found.border - 1), pins(found.border), pins(found.stranger)]).toEqual([0, 1, 0]);
    // A device can still reach the stranger's pages, which are no longer pinned.
    expect(guest.iommu.domainList[0].domain.iovaToPhys(100)).toBe(found.stranger);
  });
});

/** A seed for which the memory map behind a section's is that of a section further away. */
function adjacentStranger(): { seed: number; border: number; stranger: number } {
  for (let seed = 0; seed < 1000; seed++) {
    const memmap = new MemMap([{ pfn: SECTION, npage: 9 * SECTION }], 'sparsemem', seed);
    for (let section = 1; section < 8; section++) {
      for (let stranger = 1; stranger < 9; stranger++) {
        if (stranger === section + 1) continue;
        if (
          memmap.pfnToPage(stranger * SECTION) ===
          memmap.pfnToPage(section * SECTION) + SECTION
        ) {
          return { seed, border: (section + 1) * SECTION, stranger: stranger * SECTION };
        }
      }
    }
  }
  throw new Error('no seed places the memory maps so');
}
