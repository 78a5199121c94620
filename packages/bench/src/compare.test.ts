import { COUNTER_NAMES, InputError } from '@pinfold/base';
import { pinAlgorithm, pinAlgorithms } from '@pinfold/vfio-type1';
import { describe, expect, it } from 'vitest';
import { backing } from './backings.ts';
import {
  checkCompare,
  compareAlgorithms,
  DEFAULT_ALGORITHMS,
  defaultAlgorithms,
  type CompareReport,
  type CompareSpec,
} from './compare.ts';
import { footprint } from './footprint.ts';
import { layout } from './layouts.ts';
import type { Memory } from './memories.ts';
import { totalOperations } from './operations.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const clock = (): number => 0;
const [batched, series14] = ['batched', 'series-1-4'].map(pinAlgorithm);

function memory(name: string, tag: string): Memory {
  return { backing: backing(name), layout: layout(tag) };
}

const base: CompareSpec = {
  ...{ algorithms: [batched, series14], base: batched, memories: [memory('4k', 'S4')] },
  ...{ bytes: 4 * MIB, kernel: '6.18', repeat: 2 },
};

function compare(spec: Partial<CompareSpec>): CompareReport {
  return compareAlgorithms({ ...base, ...spec }, { clock });
}

describe('compareAlgorithms', () => {
  it('gives the rows by memory, call and algorithm, with every counter', () => {
    const { rows } = compare({ memories: [memory('4k', 'T4'), memory('thp', 'H2-adjacent')] });
    expect(
      rows.map(({ backing: name, layoutTag, op, algorithm }) =>
        [name, layoutTag, op, algorithm].join(' '),
      ),
    ).toEqual([
      ...['4k T4 map batched', '4k T4 map series-1-4'],
      ...['4k T4 unmap batched', '4k T4 unmap series-1-4'],
      ...['thp H2-adjacent map batched', 'thp H2-adjacent map series-1-4'],
      ...['thp H2-adjacent unmap batched', 'thp H2-adjacent unmap series-1-4'],
    ]);
    for (const { counters, op, operations } of rows) {
      expect(Object.keys(counters)).toEqual(COUNTER_NAMES);
      expect(operations).toBe(totalOperations(op, counters));
    }
  });

  it('compares every row with the base of its memory and call', () => {
    const { rows } = compare({ memories: [memory('4k', 'S4'), memory('4k', 'T4')] });
    for (const row of rows.filter(({ algorithm }) => algorithm === 'batched')) {
      expect(row.change).toBeNull();
      const other = rows.find(
        ({ algorithm, layoutTag, op }) =>
          algorithm === 'series-1-4' && layoutTag === row.layoutTag && op === row.op,
      );
      expect(other?.change?.operations).toBe((other?.operations ?? 0) / row.operations - 1);
    }
  });

  it('adds the base if it was not asked for, as the first', () => {
    const { algorithms, rows } = compare({ algorithms: [series14] });
    expect(algorithms.map(({ name }) => name)).toEqual(['batched', 'series-1-4']);
    expect(rows).toHaveLength(4);
    const both = compare({ algorithms: [series14, batched] });
    expect(both.algorithms.map(({ name }) => name)).toEqual(['series-1-4', 'batched']);
  });

  it('uses the algorithm and not that of the kernel, and the other rules of the kernel', () => {
    const counts = (kernel: string): unknown => {
      const { rows } = compare({ kernel, algorithms: [batched] });
      return rows.map(({ counters: { vpfnLookups, putCalls } }) => [vpfnLookups, putCalls]);
    };
    expect(counts('6.16')).toEqual(counts('6.18.15'));
    expect(() => compare({ kernel: '2.6' })).toThrow(InputError);
  });

  it('finds one chunk in adjacent huge pages', () => {
    const spec = { bytes: 2 * GIB, repeat: 1 };
    const adjacent = compare({ ...spec, memories: [memory('hugetlb-1g', 'H1-adjacent')] });
    const apart = compare({ ...spec, memories: [memory('hugetlb-1g', 'H1')] });
    const maps = ({ rows }: CompareReport): number[] =>
      rows.filter(({ op }) => op === 'map').map(({ counters }) => counters.iommuMapCalls);
    expect(maps(adjacent)).toEqual([1, 1]);
    expect(maps(apart)).toEqual([2, 2]);
  });

  it('shows published figures beside the algorithm of the release that they are of', () => {
    const { rows } = compare({
      ...{
        bytes: 16 * GIB,
        repeat: 1,
        algorithms: pinAlgorithms.filter(({ name }) => /batched|1-4$/.test(name)),
      },
      memories: [memory('hugetlb-1g', 'H1')],
    });
    const published = rows.filter((row) => row.published && row.op === 'unmap');
    expect(published.map((row) => [row.algorithm, row.published?.seconds])).toEqual([
      ['batched', 0.103],
      ['series-1-4', 0.023],
    ]);
  });

  it('tells where it stands, memory by memory', () => {
    const steps: string[] = [];
    const memories = [memory('4k', 'S4'), memory('thp', 'H2')];
    compareAlgorithms(
      { ...base, memories, repeat: 1 },
      { clock, onProgress: (step) => steps.push(step) },
    );
    expect(steps).toEqual([
      ...['4k, S4, batched: populating memory', '4k, S4, series-1-4: populating memory'],
      'repetition 1 of 1',
      ...['thp, H2, batched: populating memory', 'thp, H2, series-1-4: populating memory'],
      'repetition 1 of 1',
    ]);
  });
});

describe('what small folios pay', () => {
  it('is a pointer compare per page for the series, where no two pages are adjacent', () => {
    const { smallFolios } = compare({ memories: [memory('4k', 'S4')] });
    const [map, unmap] = smallFolios;
    const pages = (4 * MIB) / 4096;
    expect(map).toMatchObject({
      ...{ algorithm: 'series-1-4', layoutTag: 'S4', op: 'map', loses: true, fewer: [] },
      more: [{ name: 'pageCompares', perPage: (pages - pages / 512) / pages }],
    });
    expect(unmap).toMatchObject({
      ...{ op: 'unmap', loses: false, more: [] },
      fewer: [{ name: 'reservedTests', perPage: -1 }],
    });
  });
});

describe('defaultAlgorithms', () => {
  it('are the series patch by patch, each once, from the base on', () => {
    const names = defaultAlgorithms().map(({ name }) => name);
    expect(names).toEqual(DEFAULT_ALGORITHMS);
    expect(new Set(names).size).toBe(names.length);
    expect([names[0], names.at(-1)]).toEqual(['batched', 'series-1-4']);
  });
});

describe('checkCompare', () => {
  it('checks every backing', () => {
    expect(() =>
      checkCompare({ ...base, memories: [memory('hugetlb-1g', 'H1')] }, Infinity, '--size'),
    ).toThrow('--size: expected a multiple of 1G, the page size of hugetlb-1g, such as 1G, got 4M');
  });

  it('adds up the machines of one memory, which exist side by side, but not the memories', () => {
    const memories = [memory('4k', 'S4'), memory('4k', 'T4')];
    const largest = Math.max(
      ...memories.map((one) => footprint(base.bytes, one.backing, one.layout)),
    );
    const spec = { ...base, memories };
    expect(() => checkCompare(spec, 2 * largest)).not.toThrow();
    expect(() => checkCompare(spec, 2 * largest - 1)).toThrow(
      /^size: expected what fits into .* got 4M of 4k, for which/,
    );
    expect(() => checkCompare({ ...spec, algorithms: [series14] }, 2 * largest - 1)).toThrow(
      InputError,
    );
  });
});
