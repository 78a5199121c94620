import { COUNTER_NAMES, type CounterValues } from '@pinfold/base';
import { describe, expect, it } from 'vitest';
import { changeOf, loses, smallFolioChanges, type CompareRow } from './changes.ts';
import type { LayoutTag } from './layouts.ts';
import type { Op } from './measure.ts';
import { operations, totalOperations } from './operations.ts';

function counters(some: Partial<CounterValues>): CounterValues {
  const none = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0])) as CounterValues;
  return { ...none, ...some };
}

/** A row of 100 pages. */
function row(
  algorithm: string,
  some: Partial<CounterValues>,
  {
    op = 'map',
    layoutTag = 'S4',
    ms = [1],
  }: { op?: Op; layoutTag?: LayoutTag; ms?: number[] } = {},
): CompareRow {
  return {
    ...{ algorithm, backing: '4k', layoutTag, op, bytes: 100 * 4096 },
    ...{ counters: counters(some), repetitionMs: ms, modelMs: { min: 0, median: 0 } },
    ...{ published: null, operations: 0, change: null },
  };
}

/** Rows with their changes against the first. */
function compared(base: CompareRow, ...others: CompareRow[]): CompareRow[] {
  return [base, ...others.map((other) => ({ ...other, change: changeOf(other, base) }))];
}

describe('totalOperations', () => {
  it('adds up the operations of a call, each as one, and nothing else', () => {
    expect(totalOperations('map', counters({ gupCalls: 2, pageFills: 3, gupFastCalls: 4 }))).toBe(
      9,
    );
    expect(totalOperations('unmap', counters({ putCalls: 2, putAtomics: 4 }))).toBe(6);
    expect(totalOperations('map', counters({ iovaToPhysCalls: 7, vpfnNodes: 7 }))).toBe(0);
  });

  it.each(['map', 'unmap'] as const)('lists every operation of %s once', (op) => {
    expect(new Set(operations[op]).size).toBe(operations[op].length);
    // Parts of another counter would count twice.
    for (const part of ['chunkStartTests', 'unpinRangeCalls', 'iommuUnmapSyncCalls']) {
      expect(operations[op]).not.toContain(part);
    }
  });
});

describe('changeOf', () => {
  it('is relative to the base', () => {
    const base = row('base', { pageFills: 100, pfnCompares: 100 });
    expect(changeOf(row('less', { pageFills: 50 }), base).operations).toBe(-0.75);
    expect(changeOf(row('more', { pageFills: 300 }), base).operations).toBe(0.5);
    expect(changeOf(base, base)).toEqual({ operations: 0, modelTime: 0 });
  });

  it('takes the median of the times, repetition by repetition', () => {
    const base = row('base', {}, { ms: [10, 20, 40] });
    expect(changeOf(row('other', {}, { ms: [5, 20, 80] }), base).modelTime).toBe(0);
    expect(changeOf(row('other', {}, { ms: [5, 10, 80] }), base).modelTime).toBe(-0.5);
  });

  it('says nothing where there is nothing to divide by', () => {
    const base = row('base', {}, { ms: [0] });
    expect(changeOf(row('other', { pageFills: 1 }), base)).toEqual({
      operations: null,
      modelTime: null,
    });
  });
});

describe('loses', () => {
  it.each([
    [0.001, true],
    [0.0009, false],
    [0, false],
    [-0.5, false],
  ])('says of a change of %d: %s', (change, expected) => {
    expect(loses({ operations: change, modelTime: 9 })).toBe(expected);
  });

  it('knows neither of the base nor of what cannot be compared', () => {
    expect(loses(null)).toBe(false);
    expect(loses({ operations: null, modelTime: 9 })).toBe(false);
  });
});

describe('smallFolioChanges', () => {
  it('says per page what is made more often, and what less', () => {
    const rows = compared(
      row('base', { pageFills: 100, pfnCompares: 200, reservedTests: 7 }),
      row('other', { pageFills: 100, pfnCompares: 50, pageCompares: 200, reservedTests: 7 }),
    );
    expect(smallFolioChanges(rows, 'base')).toEqual([
      {
        ...{ algorithm: 'other', backing: '4k', layoutTag: 'S4', op: 'map', loses: true },
        change: { operations: 357 / 307 - 1, modelTime: 0 },
        more: [{ name: 'pageCompares', perPage: 2 }],
        fewer: [{ name: 'pfnCompares', perPage: -1.5 }],
      },
    ]);
  });

  it('compares a row with the base of the same memory and call only', () => {
    const rows = [
      ...compared(
        row('base', { putCalls: 9 }, { op: 'unmap' }),
        row('other', { putCalls: 9 }, { op: 'unmap' }),
      ),
      ...compared(
        row('base', { pageFills: 9 }, { layoutTag: 'T4' }),
        row('other', { pageFills: 9 }, { layoutTag: 'T4' }),
      ),
    ];
    const changes = smallFolioChanges(rows, 'base');
    expect(changes.map(({ op, layoutTag }) => `${op} ${layoutTag}`)).toEqual([
      'unmap S4',
      'map T4',
    ]);
    for (const change of changes) {
      expect(change).toMatchObject({ loses: false, more: [], fewer: [] });
    }
  });

  it('leaves huge pages out', () => {
    const rows = compared(
      row('base', { pageFills: 1 }, { layoutTag: 'H2' }),
      row('other', { pageFills: 2 }, { layoutTag: 'H2' }),
    );
    expect(smallFolioChanges(rows, 'base')).toEqual([]);
  });
});
