// The generic page table code in arenas of typed arrays, against a map of leaves and a set of
// tables, over random maps and unmaps: also over what is mapped, over holes, and inside large leaves.
import { Counters } from '@pinfold/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IommuDomain, intelVtd } from '../src/domain.ts';
import { genericPtVtdSs } from '../src/formats/generic-pt-vtd-ss.ts';
import { IotlbGather } from '../src/iotlb-gather.ts';
import { base, hardware, length, mapStep, originOf, place, rangeOf } from './arbitraries.ts';
import { listed } from './expected-leaves.ts';
import { PlainGenericPt } from './plain-generic-pt.ts';

const unmapStep = fc.record({ unmap: place, npage: length });
/** Unmaps a range that was mapped, from a leaf border or not, and a little less or more of it. */
const unmapMappedStep = fc.record({
  which: fc.nat(),
  skip: fc.constantFrom(0, 0, 0, 1, 512),
  grow: fc.constantFrom(0, 0, 0, -1, 1, 512),
});
const step = fc.oneof(
  { weight: 4, arbitrary: mapStep },
  { weight: 2, arbitrary: unmapMappedStep },
  { weight: 1, arbitrary: unmapStep },
);

test('leaves, tables, flushes and what map and unmap return', () => {
  const seen = { refused: 0, short: 0, long: 0, replaced: 0 };
  fc.assert(
    fc.property(hardware, base, fc.array(step, { maxLength: 12 }), (facts, where, steps) => {
      const counters = new Counters();
      const unit = { ...intelVtd(facts.width), superpageOrders: facts.superpages };
      const domain = new IommuDomain(unit, genericPtVtdSs.create(unit, counters), counters);
      const orders = domain.table.pageOrders;
      const plain = new PlainGenericPt(facts.width, orders);
      const origin = originOf(facts, where);
      const mapped: [number, number][] = [];
      for (const what of steps) {
        if ('map' in what) {
          const [iova, pfn, npage] = rangeOf(what, origin, orders);
          if (iova + npage > domain.table.aperturePages) continue;
          const flushes = plain.counts.flushes;
          const ret = plain.map(iova, pfn, npage, what.prot);
          expect(domain.map(iova, pfn, npage, what.prot)).toBe(ret);
          if (ret === 0) mapped.push([iova, npage]);
          seen.refused += ret === 0 ? 0 : 1;
          seen.replaced += plain.counts.flushes - flushes > (ret === 0 ? 0 : 1) ? 1 : 0;
        } else {
          const [at, n] =
            'which' in what ? (mapped[what.which % (mapped.length || 1)] ?? [origin, 1]) : [0, 0];
          const iova = 'which' in what ? at + Math.min(what.skip, n - 1) : origin + what.unmap;
          const npage = 'which' in what ? Math.max(1, n + what.grow) : what.npage;
          if (iova + npage > domain.table.aperturePages) continue;
          const unmapped = plain.unmap(iova, npage);
          const gather = new IotlbGather();
          expect(domain.unmapFast(iova, npage, gather)).toBe(unmapped);
          expect(gather).toMatchObject({ start: iova, end: iova + unmapped - 1 });
          domain.iotlbSync(gather);
          seen.short += unmapped < npage ? 1 : 0;
          seen.long += unmapped > npage ? 1 : 0;
        }
        expect(listed(domain.leaves())).toBe(listed(plain.leaves()));
        expect(domain.table.tablePages).toBe(plain.tables);
        expect(counters.snapshot()).toMatchObject({
          iommuTableAllocs: plain.counts.allocs,
          iommuTableFrees: plain.counts.frees,
          cacheTagFlushes: plain.counts.flushes,
        });
      }
    }),
    { seed: 23, numRuns: 400 },
  );
  // The steps must have met each of the rules, or the comparison says nothing about them.
  for (const times of Object.values(seen)) expect(times).toBeGreaterThan(20);
});
