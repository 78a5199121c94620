import { COUNTER_NAMES, type CounterValues } from '@pinfold/base';
import { expect, test } from 'vitest';
import { backing, benchMemDmaMap } from './index.ts';
import { benchSummary } from './bench-summary.ts';
import { DEFAULT_IOMMU } from './workloads/mem-dma-map.ts';

test('says by how much operations change, as the comparison of the series does', () => {
  const spec = { bytes: 2 ** 26, layout: 'scattered', repeat: 1 } as const;
  const backings = [backing('thp'), backing('4k')];
  const report = benchMemDmaMap(
    { ...spec, backings, kernels: ['6.16', '6.18', 'batched'] },
    { clock: () => 0 },
  );
  expect(benchSummary(report)).toEqual([
    'Operations of 6.18 compared with 6.16, each counted as one: ' +
      'thp 49.7% fewer to map, 85.5% fewer to unmap; 4k 8.3% more to map, 12.5% fewer to unmap.',
    'Operations of batched compared with 6.16, each counted as one: ' +
      'thp as many to map, as many to unmap; 4k as many to map, as many to unmap.',
  ]);
});

test('has nothing to say of one kernel', () => {
  const counters = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 1])) as CounterValues;
  const row = {
    kernel: '6.18',
    backing: 'thp',
    op: 'map',
    bytes: 4096,
    layout: 'scattered',
  } as const;
  const measured = { layoutTag: 'H2', counters, published: null, repetitionMs: [1] } as const;
  const rows = [{ ...row, ...measured, modelMs: { min: 1, median: 1 } }];
  expect(benchSummary({ rows, leftOut: [], iommu: DEFAULT_IOMMU })).toEqual([]);
});
