import { Counters, Errno, InputError } from '@pinfold/base';
import { describe, expect, test } from 'vitest';
import { FakeTable } from '../test/fake-table.ts';
import { canAttach, IommuDomain, iommuPagingDomainAlloc, type IommuUnit } from './domain.ts';
import { IOMMU, PhysRun } from './formats/format.ts';
import { intelVtd } from './kinds/index.ts';
import { IotlbGather } from './iotlb-gather.ts';
import type { IommuRules } from './rules.ts';

const RW = IOMMU.READ | IOMMU.WRITE;
const RULES: IommuRules = {
  formats: { 'intel-vtd': 'vtd-second-level' },
  mapNosync: true,
  attachNeedsSameSuperpages: false,
  blocksByEmptyTable: false,
  syncsEmptyGathers: true,
  source: 'test',
};

/** A domain on a fake page table. */
function fake(
  pageOrders?: readonly number[],
  isIommupt?: boolean,
): {
  domain: IommuDomain;
  table: FakeTable;
  counters: Counters;
} {
  const table = new FakeTable(pageOrders, isIommupt);
  const counters = new Counters();
  return { domain: new IommuDomain(intelVtd(), table, counters), table, counters };
}

function vtd(addressWidth = 48): { domain: IommuDomain; counters: Counters } {
  const counters = new Counters();
  return { domain: iommuPagingDomainAlloc(intelVtd(addressWidth), RULES, counters), counters };
}

describe('iommu_map', () => {
  test('hands the driver one piece per page size', () => {
    const { domain, table, counters } = fake();
    expect(domain.map(511, 1023, 1025, RW | IOMMU.CACHE)).toBe(0);
    expect(table.calls).toEqual(['map 511 1023 0 1 7', 'map 512 1024 9 2 7']);
    expect(counters.snapshot()).toMatchObject({ iommuMapCalls: 1, iommuMapPagesCalls: 2 });
  });

  test('goes on where the driver stopped', () => {
    const { domain, table } = fake();
    table.mapAnswers.push([0, 3], [0, 5]);
    expect(domain.map(0, 1, 10, RW)).toBe(0);
    expect(table.calls).toEqual(['map 0 1 0 10 3', 'map 3 4 0 7 3', 'map 8 9 0 2 3']);
  });

  test.each([
    // The core unmaps what was mapped, and syncs, without asking whether that is anything.
    ['the first piece, nothing mapped', [[-Errno.ENOMEM, 0]], ['sync Infinity -1']],
    [
      'the first piece, half of it mapped',
      [[-Errno.ENOMEM, 512]],
      ['unmap 512 9 1', 'sync 512 1023'],
    ],
    [
      'the second piece, nothing of it mapped',
      [undefined, [-Errno.ENOMEM, 0]],
      ['unmap 512 9 2', 'sync 512 1535'],
    ],
    [
      'the second piece, some of it mapped',
      [undefined, [-Errno.ENOMEM, 7]],
      ['unmap 512 9 2', 'unmap 1536 0 7', 'sync 512 1542'],
    ],
  ] as const)('undoes what was mapped when the driver fails: %s', (_, answers, undone) => {
    const { domain, table, counters } = fake();
    table.mapAnswers.push(...answers);
    expect(domain.map(512, 1024, 1024 + 20, RW)).toBe(-Errno.ENOMEM);
    expect(table.calls.filter((call) => !call.startsWith('map'))).toEqual(undone);
    expect(counters.snapshot()).toMatchObject({
      iommuMapPagesCalls: answers.length,
      iommuUnmapCalls: 1,
      iotlbSyncs: 1,
    });
  });

  test('refuses what is not aligned to the smallest page', () => {
    for (const [iova, pfn, npage] of [
      [2, 4, 4],
      [4, 2, 4],
      [4, 4, 2],
    ]) {
      const { domain, table } = fake([2, 13]);
      expect(domain.map(iova, pfn, npage, RW)).toBe(-Errno.EINVAL);
      expect(table.calls).toEqual([]);
    }
  });
});

describe('iommu_unmap', () => {
  test('is an unmap and one sync', () => {
    const { domain, table, counters } = fake();
    expect(domain.unmap(511, 1025)).toBe(1025);
    expect(table.calls).toEqual(['unmap 511 0 1', 'unmap 512 9 2', 'sync 511 1535']);
    expect(counters.snapshot()).toMatchObject({
      iommuUnmapCalls: 1,
      iommuUnmapPagesCalls: 2,
      iotlbSyncs: 1,
    });
  });

  test('can return more than asked', () => {
    const { domain, table } = fake();
    table.unmapAnswers.push(512);
    expect(domain.unmap(512, 3)).toBe(512);
    expect(table.calls).toEqual(['unmap 512 0 3', 'sync 512 1023']);
  });

  test('ends where the driver unmaps nothing, and returns what was done', () => {
    const { domain, table } = fake();
    table.unmapAnswers.push(undefined, 0);
    expect(domain.unmap(511, 1025)).toBe(1);
  });

  test('syncs also if nothing was unmapped', () => {
    const { domain, table, counters } = fake();
    table.unmapAnswers.push(0);
    expect(domain.unmap(512, 3)).toBe(0);
    expect(counters.snapshot().iotlbSyncs).toBe(1);
  });

  test('of nothing syncs nothing where the core looks at the gather first', () => {
    const counters = new Counters();
    const table = new FakeTable();
    const domain = new IommuDomain(intelVtd(), table, counters, {
      mapNosync: true,
      syncsEmptyGathers: false,
    });
    table.unmapAnswers.push(0);
    domain.unmap(512, 3);
    expect(counters.snapshot().iotlbSyncs).toBe(0);
    domain.unmap(0, 5);
    expect(counters.snapshot().iotlbSyncs).toBe(1);
  });

  test('of what is not aligned to the smallest page does nothing', () => {
    const { domain, table } = fake([2, 13]);
    expect([domain.unmap(2, 4), domain.unmap(4, 2)]).toEqual([0, 0]);
    expect(table.calls.filter((call) => call.startsWith('unmap'))).toEqual([]);
  });
});

test('iommu_unmap_fast leaves the sync to the caller', () => {
  const { domain, table, counters } = fake();
  const gather = new IotlbGather();
  domain.unmapFast(0, 5, gather);
  domain.unmapFast(5, 5, gather);
  expect(counters.snapshot()).toMatchObject({ iommuUnmapCalls: 2, iotlbSyncs: 0 });
  domain.iotlbSync(gather);
  expect(table.calls).toEqual(['unmap 0 0 5', 'unmap 5 0 5', 'sync 0 9']);
  expect(counters.snapshot().iotlbSyncs).toBe(1);
});

describe('a generic page table is handed whole ranges', () => {
  test('at a map, in pages of the smallest size', () => {
    const { domain, table, counters } = fake([0, 9, 18], true);
    expect(domain.map(511, 1023, 1025, RW)).toBe(0);
    expect(table.calls).toEqual(['map 511 1023 0 1025 3']);
    expect(counters.snapshot()).toMatchObject({ iommuMapCalls: 1, iommuMapPagesCalls: 0 });
  });

  test('at an unmap, whatever it answers', () => {
    const { domain, table, counters } = fake([0, 9, 18], true);
    table.unmapAnswers.push(7, undefined, 0);
    expect(domain.unmap(511, 1025)).toBe(7);
    expect(domain.unmapFast(511, 1025, new IotlbGather())).toBe(1025);
    expect(domain.unmapFast(511, 1025, new IotlbGather())).toBe(0);
    expect(table.calls).toEqual([
      'unmap 511 0 1025',
      'sync 511 517',
      'unmap 511 0 1025',
      'unmap 511 0 1025',
    ]);
    expect(counters.snapshot()).toMatchObject({ iommuUnmapCalls: 3, iommuUnmapPagesCalls: 0 });
  });

  test('at the unmap that undoes a map that failed half way', () => {
    const { domain, table } = fake([0, 9, 18], true);
    table.mapAnswers.push([-Errno.EADDRINUSE, 514]);
    expect(domain.map(511, 1023, 1025, RW)).toBe(-Errno.EADDRINUSE);
    expect(table.calls.slice(1)).toEqual(['unmap 511 0 514', 'sync 511 1024']);
  });

  test('in units of its smallest size', () => {
    const { domain, table } = fake([2, 13], true);
    expect(domain.map(4, 8, 24, RW)).toBe(0);
    expect(domain.unmapFast(4, 24, new IotlbGather())).toBe(24);
    expect(table.calls).toEqual(['map 4 8 2 6 3', 'unmap 4 2 6']);
  });
});

test.each([
  [[0, 9, 18], 0x40201000n],
  [[0], 0x1000n],
  [[2, 13], 0x2004000n],
  [[0, 39], 0x8000000001000n],
])('page orders %j are the bitmap %i in bytes', (orders, bitmap) => {
  expect(fake(orders).domain.pgsizeBitmap).toBe(bitmap);
});

describe('a domain of a VT-d unit', () => {
  test.each([
    [39, 2 ** 27],
    [48, 2 ** 36],
    [57, 2 ** 45],
  ])('of %i bits translates %i pages', (width, pages) => {
    const { domain } = vtd(width);
    expect(domain.apertureLast).toBe(pages - 1);
    expect(domain.map(pages - 1, 77, 1, RW)).toBe(0);
    expect(domain.iovaToPhys(pages - 1)).toBe(77);
    // Recorded up to 6.18: a map above the width is EFAULT.
    expect(domain.map(pages, 78, 1, RW)).toBe(-Errno.EFAULT);
    expect(domain.map(pages - 2, 78, 3, RW)).toBe(-Errno.EFAULT);
    expect([...domain.leaves()]).toEqual([{ iovaPn: pages - 1, pfn: 77, order: 0, prot: RW }]);
  });

  test('of another width does not exist', () => {
    for (const width of [0, 32, 40, 64]) expect(() => vtd(width)).toThrow(InputError);
  });

  test('reads back what was mapped, page by page and as a run', () => {
    const { domain } = vtd();
    domain.map(512, 2 ** 36, 1024 + 3, RW);
    expect(domain.iovaToPhys(511)).toBe(0);
    expect(domain.iovaToPhys(1538)).toBe(2 ** 36 + 1026);
    const run = new PhysRun();
    domain.iovaToPhysRun(600, 5000, run);
    expect(run).toEqual({ pfn: 2 ** 36 + 88, npage: 939 });
  });

  test('cannot say that a page translates to frame 0', () => {
    const { domain } = vtd();
    domain.map(5, 0, 2, RW);
    expect([domain.iovaToPhys(5), domain.iovaToPhys(6)]).toEqual([0, 1]);
    const run = new PhysRun();
    domain.iovaToPhysRun(5, 2, run);
    expect(run).toEqual({ pfn: 0, npage: 0 });
  });

  test('has 2 MiB and 1 GiB pages and the interrupt window', () => {
    expect(intelVtd()).toMatchObject({
      addressWidth: 48,
      superpageOrders: [9, 18],
      snoopControl: false,
    });
    expect(intelVtd().resvRegions.map(({ type }) => type)).toEqual(['msi']);
  });
});

describe('a domain and an IOMMU that it was not made for', () => {
  const unit = (change: Partial<IommuUnit>): IommuUnit => ({ ...intelVtd(), ...change });

  test.each([
    ['alike', {}, {}, true, true],
    ['that has more address bits', { addressWidth: 39 }, {}, true, true],
    ['that has fewer', {}, { addressWidth: 39 }, false, false],
    ['that has more superpages', { superpageOrders: [9] }, {}, false, true],
    ['that has fewer', {}, { superpageOrders: [9] }, false, false],
    ['that has others', { superpageOrders: [9] }, { superpageOrders: [18] }, false, false],
    ['that has snoop control besides', {}, { snoopControl: true }, true, true],
    ['that has none', { snoopControl: true }, {}, false, false],
  ])('%s', (_, made, other, strict, lenient) => {
    const domain = iommuPagingDomainAlloc(unit(made), RULES, new Counters());
    const same = { ...RULES, attachNeedsSameSuperpages: true };
    expect(canAttach(domain, unit(other), same)).toBe(strict);
    expect(canAttach(domain, unit(other), RULES)).toBe(lenient);
  });
});
