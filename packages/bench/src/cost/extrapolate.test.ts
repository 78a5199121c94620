import { describe, expect, it } from 'vitest';
import type { CounterValues } from '@pinfold/base';
import type { CostFacts } from './classes.ts';
import { countersOf, countersOfFullRun, type CostCall, type CostWorkload } from './workload.ts';

const GIB = 2 ** 30;

const facts: CostFacts = {
  memory: 'anon',
  writeNotify: false,
  thpStepsByPage: false,
  longtermReadsPages: true,
  hvo: false,
  pagesCleared: 0,
  starts: 0,
};

describe('extrapolated counters', () => {
  it.each([
    ['thp', 'H2', 256, '6.18'],
    ['hugetlb-2m', 'H2-adjacent', 8, '6.16'],
    ['hugetlb-1g', 'H1', 16, '7.2'],
    ['4k', 'T4', 3, '6.16'],
    ['4k', 'S4', 3, '7.2'],
  ] as const)('are those of the full run: %s in %s, %i GiB', (backing, layout, gib, kernel) => {
    for (const call of ['map', 'unmap'] as const) {
      const workload: CostWorkload = {
        ...{ call, kernel, backing, layout, bytes: gib * GIB, warm: false, facts },
      };
      expect(countersOf(workload), call).toEqual(countersOfFullRun(workload));
    }
  });

  it.each([
    ['thp', 'H2', 20 * 1024 + 346, 'intel-vtd'],
    ['hugetlb-1g', 'H1', 510 * 1024, 'amd'],
    ['hugetlb-1g', 'H1', 510 * 1024, 'smmuv3'],
    ['hugetlb-1g', 'H1', 700 * 1024, 'intel-vtd'],
  ] as const)('are exact at odd sizes too: %s in %s, %i MiB, %s', (backing, layout, mib, iommu) => {
    for (const call of ['map', 'unmap'] as const) {
      const workload: CostWorkload = {
        ...{ call, kernel: '7.2', backing, layout, bytes: mib * 2 ** 20, warm: false, facts },
        iommu,
      };
      expect(countersOf(workload), call).toEqual(countersOfFullRun(workload));
    }
  });

  it('split steps, puts and dirtying by the size of the folio', () => {
    const of = (backing: string, layout: string, call: CostCall): CounterValues =>
      countersOf({ call, kernel: '6.16', backing, layout, bytes: 2 ** 21, warm: false, facts });
    expect(of('thp', 'H2', 'map')).toMatchObject({ gupSteps: 1, gupLargeSteps: 1 });
    expect(of('thp', 'H2', 'map')).toMatchObject({ migrateChecks: 512, longtermFolios: 1 });
    expect(of('4k', 'T4', 'map')).toMatchObject({ gupSteps: 512, gupLargeSteps: 0 });
    expect(of('4k', 'T4', 'map')).toMatchObject({ migrateChecks: 512, longtermFolios: 512 });
    expect(of('thp', 'H2', 'unmap')).toMatchObject({ dirtyLocks: 1, dirtyLocksLarge: 1 });
    expect(of('4k', 'T4', 'unmap')).toMatchObject({ dirtyLocks: 512, dirtyLocksLarge: 0 });
    expect(of('thp', 'H2', 'put')).toMatchObject({ putEntries: 512, putCalls: 1 });
  });

  it('tell a fresh pass from a warm one', () => {
    const workload: CostWorkload = {
      ...{ call: 'unmap', kernel: '6.16', backing: '4k', layout: 'T4', bytes: 2 ** 21, facts },
      warm: false,
    };
    expect(countersOf(workload).dirtyLocks).toBe(512);
    expect(countersOf({ ...workload, warm: true }).dirtyLocks).toBe(0);
  });
});
