/** `mapExtents` is `map` for one extent after the other: the same leaves, the same counts. */
import { Counters, Errno, Extents, MIXED, pageNumbers } from '@pinfold/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeTable } from '../test/fake-table.ts';
import { IommuDomain, iommuPagingDomainAlloc } from './domain.ts';
import { intelVtd } from './kinds/index.ts';
import { IOMMU } from './formats/format.ts';
import { IotlbGather } from './iotlb-gather.ts';
import { ioPageTableFormats } from './formats/index.ts';
import { LATEST_IOMMU_RULES } from './rules.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const RW = IOMMU.READ | IOMMU.WRITE;

/** An extent: its length, whether its frame is aligned to it, and whether it holds pins. */
const extent = fc.record({
  npage: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(1, 512, 2 ** 18) },
    { weight: 1, arbitrary: fc.constantFrom(2, 511, 513, 1024) },
  ),
  repeat: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 600 })),
  aligned: fc.boolean(),
  device: fc.boolean(),
});
type Piece = typeof extent extends fc.Arbitrary<infer T> ? T : never;

function extentsOf(pieces: readonly Piece[], high: boolean): Extents {
  const count = pieces.reduce((sum, { repeat }) => sum + repeat, 0);
  const extents = new Extents(pageNumbers(count, high ? 2 ** 33 : 1), new Int32Array(count), count);
  let pfn = high ? 2 ** 32 : 2 ** 20;
  let i = 0;
  for (const { npage, repeat, aligned, device } of pieces) {
    for (let n = 0; n < repeat; n++, i++) {
      pfn = (Math.floor(pfn / 2 ** 18) + 1) * 2 ** 18 + (aligned || npage > 1024 ? 0 : 1);
      extents.pfn[i] = pfn % (high ? 2 ** 33 : 2 ** 30);
      extents.npage[i] = device ? -npage : npage;
    }
  }
  // What makes extents knows whether they are alike; here the test does.
  const [{ npage, aligned }] = pieces;
  const alike = pieces.every((piece) => piece.npage === npage && (piece.aligned || npage === 1));
  extents.unit = alike && (aligned || npage === 1) ? npage : MIXED;
  return extents;
}

describe.each(ioPageTableFormats.map(({ name }) => name))('format %s', (format) => {
  test('maps and counts as one map per extent', () => {
    const check = (
      pieces: readonly Piece[],
      start: number,
      prot: number,
      orders: readonly number[],
      high: boolean,
      before: boolean,
    ): void => {
      const make = (): { domain: IommuDomain; counters: Counters } => {
        const counters = new Counters();
        const rules = {
          ...LATEST_IOMMU_RULES,
          formats: { 'intel-vtd': format },
          syncsEmptyGathers: true,
        };
        const unit = { ...intelVtd(48), superpageOrders: orders };
        return { domain: iommuPagingDomainAlloc(unit, rules, counters), counters };
      };
      const [bulk, single] = [make(), make()];
      const extents = extentsOf(pieces, high);
      for (const { domain } of [bulk, single]) {
        if (!before) continue;
        // Left-over tables without leaves, where a format leaves some.
        domain.map(start, 7, 300, RW);
        for (let i = 0; i < 300; i++) domain.unmap(start + i, 1);
      }
      expect(bulk.domain.mapExtents(start, extents, extents.count, prot)).toBe(0);
      let at = start;
      for (let i = 0; i < extents.count; i++) {
        const npage = Math.abs(extents.npage[i]);
        expect(single.domain.map(at, extents.pfn[i], npage, prot)).toBe(0);
        at += npage;
      }
      expect([bulk.domain.extentsMapped, bulk.domain.extentPagesMapped]).toEqual([
        extents.count,
        at - start,
      ]);
      expect(bulk.counters.snapshot()).toEqual(single.counters.snapshot());
      expect(leavesOf(bulk.domain)).toBe(leavesOf(single.domain));
      for (const { domain } of [bulk, single])
        domain.iotlbSync(unmapped(domain, start, at - start));
      expect(bulk.counters.snapshot()).toEqual(single.counters.snapshot());
      expect(bulk.domain.table.tablePages).toBe(single.domain.table.tablePages);
    };
    const start = fc.constantFrom(0, 2 ** 18, 512, 511, 2 ** 20 - 512 * 300);
    const orders = fc.constantFrom([9, 18], [9], []);
    fc.assert(
      fc.property(
        fc.array(extent, { minLength: 1, maxLength: 4 }),
        start,
        fc.constantFrom(1, 2, RW, RW | IOMMU.CACHE),
        orders,
        fc.boolean(),
        fc.boolean(),
        (pieces, at, prot, sizes, high, before) => {
          // 1 GiB in 4 KiB leaves would take minutes.
          const large = at % 512 === 0 && sizes.length > 0;
          const fits = ({ npage }: Piece): boolean => npage % 512 === 0 || npage < 512;
          const small = pieces.filter(
            ({ npage }) => npage < 2 ** 18 || (large && pieces.every(fits)),
          );
          const few = small.map((piece) => ({ ...piece, repeat: repeats(piece, at, sizes) }));
          check(few, at, prot, sizes, high, before);
        },
      ),
      { numRuns: 25, seed: SEED + 5 },
    );
  }, 60_000);
});

function leavesOf(domain: IommuDomain): string {
  const leaves = Array.from(domain.leaves(), ({ iovaPn, pfn, order, prot }) =>
    [iovaPn, pfn, order, prot].join(),
  );
  return leaves.join(' ');
}

/** How often a piece is repeated: seldom where it becomes many small leaves. */
function repeats({ npage, repeat, aligned }: Piece, at: number, orders: readonly number[]): number {
  if (npage === 1) return repeat;
  const oneLeaf = npage === 512 && aligned && at % 512 === 0 && orders.includes(9);
  return oneLeaf ? repeat : Math.min(repeat, npage < 2 ** 18 ? 4 : 1);
}

function unmapped(domain: IommuDomain, start: number, npage: number): IotlbGather {
  const gather = new IotlbGather();
  expect(domain.unmapFast(start, npage, gather)).toBe(npage);
  return gather;
}

test('what fails leaves the extents before it, and says how far it came', () => {
  const counters = new Counters();
  const table = new FakeTable();
  const domain = new IommuDomain(intelVtd(), table, counters);
  const extents = extentsOf([{ npage: 2, repeat: 4, aligned: true, device: false }], false);
  table.mapAnswers.push([0, 2], [0, 2], [-Errno.ENOMEM, 0]);
  expect(domain.mapExtents(100, extents, 4, RW)).toBe(-Errno.ENOMEM);
  expect([domain.extentsMapped, domain.extentPagesMapped]).toEqual([2, 4]);
  expect(counters.snapshot().iommuMapCalls).toBe(3);
});
