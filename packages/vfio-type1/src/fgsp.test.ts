import { X86_64 } from '@pinfold/base';
import { intelVtd, IommuDomain, iommuPagingDomainAlloc, PhysRun } from '@pinfold/iommu';
import { MemMap } from '@pinfold/mm';
import { describe, expect, test } from 'vitest';
import { Guest, SECTION } from '../test/guest.ts';
import { watch } from '../test/watched-table.ts';
import { testDomainFgsp } from './fgsp.ts';
import type { IovaRange } from './iova-list.ts';
import { scanIovaToPhys } from './scan-iova-to-phys.ts';
import { kernels, PAGE_ARRAY } from '../test/kernels.ts';

/** A domain that notes what it is asked; `whole`: what is mapped as two pages goes as two. */
class Spy extends IommuDomain {
  readonly calls: [string, number, number, number?][] = [];
  whole = false;

  override map(iovaPn: number, pfn: number, npage: number, prot: number): number {
    this.calls.push(['map', iovaPn, npage, pfn]);
    return super.map(iovaPn, pfn, npage, prot);
  }

  override unmap(iovaPn: number, npage: number): number {
    this.calls.push(['unmap', iovaPn, npage]);
    return super.unmap(iovaPn, this.whole ? 2 : npage);
  }
}

function spy(): Spy {
  const { memory } = new Guest();
  const unit = intelVtd();
  const { table } = iommuPagingDomainAlloc(unit, PAGE_ARRAY.iommu, memory.counters);
  return new Spy(unit, table, memory.counters);
}

const MEMORY = [{ pfn: SECTION, npage: SECTION }];
const EVERYTHING: readonly IovaRange[] = [{ start: 0, last: 2 ** 36 - 1 }];

describe('the test of a new domain', () => {
  test('maps two pages, unmaps the first, and then the second', () => {
    const domain = spy();
    expect(testDomainFgsp(new MemMap(MEMORY), domain, EVERYTHING)).toBe(false);
    const pfn = domain.calls[0][3] ?? 0;
    expect(domain.calls).toEqual([
      ['map', 0, 2, pfn],
      ['unmap', 0, 1],
      ['unmap', 1, 1],
    ]);
    expect(pfn % 2).toBe(0);
    expect([...domain.leaves()]).toEqual([]);
  });

  test('finds superpages when the second goes with the first', () => {
    const domain = spy();
    domain.whole = true;
    expect(testDomainFgsp(new MemMap(MEMORY), domain, EVERYTHING)).toBe(true);
    expect(domain.calls.map(([call]) => call)).toEqual(['map', 'unmap']);
    expect([...domain.leaves()]).toEqual([]);
  });

  test.each<[string, readonly [number, number][], number | null]>([
    ['at an even page', [[5, 100]], 6],
    ['three pages are enough', [[4, 6]], 4],
    ['two are not', [[4, 5]], null],
    ['nor three from an odd page on', [[5, 7]], null],
    [
      'the first range that has room',
      [
        [1, 2],
        [11, 14],
        [20, 90],
      ],
      12,
    ],
    ['no range', [], null],
  ])('%s', (_, ranges, expected) => {
    const domain = spy();
    const usable = ranges.map(([start, last]) => ({ start, last }));
    expect(testDomainFgsp(new MemMap(MEMORY), domain, usable)).toBe(false);
    expect(domain.calls[0]?.[1] ?? null).toBe(expected);
  });

  test('takes frames that are free, and leaves no trace of them', () => {
    const memmap = new MemMap([{ pfn: 0, npage: SECTION }]);
    memmap.allocFolio(2, 0, 0);
    memmap.allocFolio(5, 0, 0);
    memmap.reservePages(6, 1);
    memmap.allocFolio(8, 3, 0);
    const before = [...memmap.foliosInUse()];
    const domain = spy();
    testDomainFgsp(memmap, domain, EVERYTHING);
    // Frame 0 is never given away; 2 and 5 are folios, 6 is reserved, 8 to 15 are one folio.
    expect(domain.calls[0][3]).toBe(16);
    expect([...memmap.foliosInUse()]).toEqual(before);
  });

  test('without two free frames maps nothing and finds nothing', () => {
    const memmap = new MemMap([
      ...MEMORY,
      { pfn: 2 * X86_64.sectionPages, npage: X86_64.sectionPages, zone: 'movable' },
    ]);
    memmap.reservePages(SECTION, SECTION);
    const domain = spy();
    domain.whole = true;
    expect(testDomainFgsp(memmap, domain, EVERYTHING)).toBe(false);
    expect(domain.calls).toEqual([]);
  });
});

describe.each(kernels)('kernel $name', (kernel) => {
  // Recorded: 6.12 leaves the tables of the test behind, one per level.
  test.each([
    [48, kernel.type1.fgspTest ? 4 : 1],
    [39, kernel.type1.fgspTest ? 3 : 1],
  ])(
    'VT-d with %i bits has no such superpages; page tables after attaching: %i',
    (width, pages) => {
      const [{ fgsp, domain }] = new Guest({ kernel, unit: intelVtd(width) }).iommu.domainList;
      expect(fgsp).toBe(false);
      expect([...domain.leaves()]).toEqual([]);
      expect(domain.table.tablePages).toBe(pages);
    },
  );
});

describe('on a domain with such superpages', () => {
  /** 8 contiguous pages, in IOMMU entries of 4. */
  function mapped(): Guest {
    const guest = new Guest({ kernel: PAGE_ARRAY }).mmap({ npage: 8 });
    guest.map(0, 8);
    guest.iommu.domainList[0].fgsp = true;
    watch(guest.iommu, { unmap: () => 4 });
    return guest;
  }

  test('the scan asks for one page', () => {
    const guest = mapped();
    const [dma] = guest.iommu.dmaList;
    const run = new PhysRun();
    scanIovaToPhys(guest.iommu, dma, 0, 8, run);
    expect(run.npage).toBe(1);
  });

  test('unmapping takes one look-up per entry, and unpins all of it', () => {
    const guest = mapped();
    const counts = guest.counted(() => guest.unmap(0, 8));
    expect(counts).toMatchObject({ iovaToPhysCalls: 2, iommuUnmapCalls: 2, unpinCalls: 8 });
    expect([guest.memory.vmstat.pinsHeld, guest.mm.lockedVm]).toEqual([0, 0]);
    expect([...guest.memory.warnings]).toEqual([]);
  });
});
