import { describe, expect, it } from 'vitest';
import type { LayoutExtent, Observation } from '../machine/observation.ts';
import { StateTracker } from './step-state.ts';

const TABLE = {
  present: 1,
  pt_pages: 1,
  leaf: { '4K': 0, '2M': 0, '1G': 0 },
  runs_total: 0,
  runs: [],
} as const;
const EXTENT: LayoutExtent = [0, 100, 1, 0, 'ax'];

function step(shown: Partial<Observation>): Observation {
  return {
    ...{ op: 'touch', ret: 0, errno: null, mm: { VmLck: 0 }, memlock: null },
    ...{ pins: { acquired: 0, released: 0 }, avail: 65535, ...shown },
  };
}

describe('StateTracker', () => {
  it('carries over what a step does not show', () => {
    const tracker = new StateTracker();
    tracker.after(step({ iommu: TABLE, layout: { A: [EXTENT] } }));
    const { table, layout } = tracker.after(step({ layout: { B: [] } }));
    expect(table).toBe(TABLE);
    expect([...layout]).toEqual([
      ['A', [EXTENT]],
      ['B', []],
    ]);
    expect(tracker.after(step({ layout: { A: [] } })).layout.get('A')).toEqual([]);
  });

  it('leaves earlier states as they are', () => {
    const tracker = new StateTracker();
    const { layout } = tracker.after(step({ layout: { A: [EXTENT] } }));
    tracker.after(step({ layout: { A: [] } }));
    expect(layout.get('A')).toEqual([EXTENT]);
  });

  it('knows no table without a type1 container, unless the step shows one', () => {
    const tracker = new StateTracker();
    const closed = step({ op: 'close' });
    Reflect.deleteProperty(closed, 'avail');
    expect(tracker.after(step({})).table).toBeUndefined();
    tracker.after(step({ iommu: TABLE }));
    expect(tracker.after(closed).table).toBeUndefined();
    expect(tracker.after(step({})).table).toBeUndefined();
    expect(tracker.after({ ...closed, iommu: TABLE }).table).toBe(TABLE);
  });
});
