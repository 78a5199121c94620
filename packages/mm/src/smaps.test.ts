import { describe, expect, test } from 'vitest';
import { BASE, bootFaulting, entryAt, foliosOf, map, RW } from '../test/faulting.ts';
import { anonymousMemory } from './anon.ts';
import { touchPage } from './fault.ts';
import { HugetlbMemory } from './hugetlb.ts';
import { PciBar } from './pci-bar.ts';
import { walkSmaps } from './smaps.ts';
import { VM } from './vma.ts';

const DEVICE = RW | VM.SHARED | VM.PFNMAP | VM.IO;
const GIB = 2 ** 18;

describe('reading smaps', () => {
  test('clears leaves of 1 GiB of device memory, and a fault brings them back', () => {
    const { mm } = bootFaulting();
    map(mm, GIB, 2 * GIB, new PciBar(2 ** 26, 2 * GIB), DEVICE);
    for (const vpn of [GIB, 2 * GIB]) touchPage(mm, vpn, true);
    walkSmaps(mm);
    expect([entryAt(mm, GIB), entryAt(mm, 2 * GIB)]).toEqual([null, null]);
    touchPage(mm, GIB, true);
    expect(entryAt(mm, GIB)).toMatchObject({ pfn: 2 ** 26, level: 2 });
  });

  test.each([
    ['2 MiB', 512, 1],
    ['4 KiB', 8, 0],
  ])('leaves leaves of %s of device memory', (_, npage, level) => {
    const { mm } = bootFaulting();
    map(mm, BASE, npage, new PciBar(2 ** 26, npage), DEVICE);
    touchPage(mm, BASE, true);
    walkSmaps(mm);
    expect(entryAt(mm, BASE)).toMatchObject({ pfn: 2 ** 26, level });
  });

  test('leaves memory that has pages, hugetlb pages of 1 GiB among it', () => {
    const { mm, memory } = bootFaulting({ gigaPages: 1 });
    map(mm, GIB, GIB, new HugetlbMemory(18), RW | VM.HUGETLB);
    map(mm, BASE, 512, anonymousMemory);
    for (const vpn of [GIB, BASE]) touchPage(mm, vpn, true);
    walkSmaps(mm);
    expect([entryAt(mm, GIB)?.level, entryAt(mm, BASE)?.level]).toEqual([2, 1]);
    expect(foliosOf(memory)).toEqual([
      [9, 1, 0],
      [18, 1, 0],
    ]);
  });
});
