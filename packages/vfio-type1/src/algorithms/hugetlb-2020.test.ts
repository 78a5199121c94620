import { KernelBug } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { Guest, outcome, VPN, type GuestOptions } from '../../test/guest.ts';
import { mmapRuns, P, Q } from '../../test/memory-layouts.ts';
import { pinsByFolio, reached } from '../../test/pins.ts';
import { VfioBatch } from '../batch.ts';
import { VfioDma } from '../dma.ts';
import { PinnedChunk } from '../pin-chunk.ts';
import { VfioPfn } from '../vpfn.ts';
import { pinAlgorithm } from './index.ts';
import { BATCHES } from '../../test/kernels.ts';

/** Which defect is seen where the table of layouts (correctness-layouts.test.ts) does not show it. */
function machine(options: GuestOptions = {}, name = 'hugetlb-2020'): Guest {
  return new Guest({ kernel: BATCHES, type1: { pinAlgorithm: pinAlgorithm(name) }, ...options });
}

describe('over RLIMIT_MEMLOCK', () => {
  test.each([
    ['in the rest of a huge page, one pin stays', 100, { [P]: 1 }],
    ['in the rest of the second one, too', 512 + 100, { [Q]: 1 }],
    ['at the first page of a huge page, none', 512, {}],
    ['at its second page, none', 513, {}],
  ])('%s', (_, memlockPages, left) => {
    const guest = machine({ memlockPages });
    mmapRuns(guest, 'hugetlb', 9, [
      [P, 512],
      [Q, 512],
    ]);
    expect(outcome(guest.map(0, 1024))).toBe('ENOMEM');
    expect(guest.mm.lockedVm).toBe(0);
    expect([pinsByFolio(guest), guest.leaves()]).toEqual([left, []]);
  });

  test('a limit that is just kept', () => {
    const guest = machine({ memlockPages: 512 });
    mmapRuns(guest, 'hugetlb', 9, [[P, 512]]);
    expect(outcome(guest.map(0, 512))).toBe('ok');
  });
});

describe('the scan of the unmap goes on behind the end of the mapping', () => {
  /** P and the lower half of Q mapped, and the upper half of Q as the next mapping. */
  function neighbours(): Guest {
    const guest = machine();
    mmapRuns(guest, 'hugetlb', 9, [
      [P, 512],
      [Q, 512],
    ]);
    expect(outcome(guest.map(0, 768))).toBe('ok');
    expect(outcome(guest.map(768, 256, VPN + 768))).toBe('ok');
    return guest;
  }

  test('it takes the next mapping with it', () => {
    const guest = neighbours();
    expect(outcome(guest.unmap(0, 768))).toBe('ok');
    expect(guest.dmas()).toEqual([[768, 256]]);
    expect(reached(guest, 768, 256)).toEqual(new Array(256).fill(0));
    expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([0, {}]);
  });

  test('whose own unmap finds nothing', () => {
    const guest = neighbours();
    guest.unmap(0, 768);
    expect(outcome(guest.unmap(768, 256))).toBe('ok');
    expect([...guest.memory.warnings.keys()]).toEqual(['vfio_unmap_unpin']);
  });
});

test('pins are added to a count that overflows; GUP refuses that', () => {
  const map = (name: string): [string, number] => {
    const guest = machine({}, name);
    mmapRuns(guest, 'hugetlb', 9, [[P, 512]]);
    const { memmap } = guest.memory;
    const head = memmap.headEntryOf(P);
    memmap.refcount[head] = 2 ** 31 - 1 - 300;
    return [outcome(guest.map(0, 512)), memmap.refcount[head]];
  };
  expect(map('page-at-a-time')).toEqual(['ENOMEM', 2 ** 31 - 1 - 300]);
  expect(map('hugetlb-2020')).toEqual(['ok', -(2 ** 31) + 512 - 301]);
});

describe('unpinning with accounting', () => {
  /** A mapping of a huge page, with these of its pages pinned externally, pinned and unpinned. */
  function pinAndUnpin(external: readonly number[], npage = 512): number {
    const guest = machine();
    mmapRuns(guest, 'hugetlb', 9, [
      [P, 512],
      [P + 512, 512],
    ]);
    const { iommu, task } = guest;
    const { pinAlgorithm: algorithm } = iommu.rules;
    const dma = new VfioDma(0, VPN, 3, task);
    for (const page of external) dma.pfnList.insert(new VfioPfn(page, P + page));
    const batch = new VfioBatch(guest.memory.memmap.pageArray(512));
    const chunk = new PinnedChunk();
    expect(algorithm.pinChunk(iommu, dma, VPN, npage, Infinity, batch, chunk)).toBe(npage);
    expect(algorithm.unpinRegion(iommu, dma, 0, P, npage, true)).toBe(npage);
    expect(pinsByFolio(guest)).toEqual({});
    return guest.mm.lockedVm;
  }

  test('none pinned externally: nothing is left', () => {
    expect([pinAndUnpin([]), pinAndUnpin([], 1024)]).toEqual([0, 0]);
  });

  test('a page of the huge page that is put is looked for behind it: too much is taken back', () => {
    expect(pinAndUnpin([5])).toBe(-1);
  });

  test('a page of the second huge page is found when the first is put', () => {
    expect(pinAndUnpin([512 + 5], 1024)).toBe(0);
  });

  test('one of each: the second is found in place of the first, but only it', () => {
    expect(pinAndUnpin([5, 512 + 5], 1024)).toBe(-1);
  });
});

test('iova and frames aligned differently: the unpin finds another head, and puts page by page', () => {
  const guest = machine();
  mmapRuns(guest, 'hugetlb', 9, [[P, 1024]]);
  guest.map(256, 1024);
  const counts = guest.counted(() => void guest.unmap(256, 1024));
  // Per huge page half of its pages at once, and the other half one by one.
  expect([counts.unpinCalls, counts.putCalls]).toEqual([256, 256 + 3]);
  expect([guest.mm.lockedVm, pinsByFolio(guest)]).toEqual([0, {}]);
});

test('a huge page that has fewer pins than pages are put is put page by page, down to the bug', () => {
  const guest = machine();
  mmapRuns(guest, 'hugetlb', 9, [[P, 512]]);
  guest.map(0, 512);
  const { memmap } = guest.memory;
  memmap.pincount[memmap.headEntryOf(P)] -= 1;
  expect(() => guest.unmap(0, 512)).toThrow(KernelBug);
});
