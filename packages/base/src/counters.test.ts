import { describe, expect, test } from 'vitest';
import { COUNTER_DOCS, COUNTER_NAMES, Counters, Slot, type CounterName } from './counters.ts';

test('slots are 0 to n - 1 in the order of the documentation', () => {
  const names = Object.keys(COUNTER_DOCS);
  expect(COUNTER_NAMES).toEqual(names);
  expect(Object.keys(Slot)).toEqual(names);
  expect(Object.values(Slot)).toEqual(names.map((_, slot) => slot));
});

test('every counter says in one line what a unit of it is, each differently', () => {
  const docs = Object.values(COUNTER_DOCS);
  for (const doc of docs) expect(doc).toMatch(/^\S[^\n]{9,}$/);
  expect(new Set(docs).size).toBe(docs.length);
});

describe('Counters', () => {
  const allZero = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0]));

  test('begin at 0 and are all listed', () => {
    expect(new Counters().snapshot()).toEqual(allZero);
  });

  test('add to one slot only', () => {
    const counters = new Counters();
    counters.add(Slot.gupCalls, 3);
    counters.add(Slot.gupCalls, 4);
    counters.values[Slot.dirtyLocks] += 1;
    expect(counters.snapshot()).toEqual({ ...allZero, gupCalls: 7, dirtyLocks: 1 });
  });

  test.each(Object.entries(Slot))('%s is read back from slot %i', (name, slot) => {
    const counters = new Counters();
    counters.add(slot, 1);
    const counted = Object.entries(counters.snapshot()).filter(([, value]) => value !== 0);
    expect(counted).toEqual([[name as CounterName, 1]]);
  });

  test('tell what was counted since a snapshot, which later counting does not change', () => {
    const counters = new Counters();
    counters.add(Slot.pageFills, 10);
    const before = counters.snapshot();
    counters.add(Slot.pageFills, 5);
    counters.add(Slot.putCalls, 2);
    expect(before.pageFills).toBe(10);
    expect(counters.since(before)).toEqual({ ...allZero, pageFills: 5, putCalls: 2 });
    expect(counters.since(null)).toEqual({ ...allZero, pageFills: 15, putCalls: 2 });
  });

  test('count exactly beyond 2^32', () => {
    const counters = new Counters();
    counters.add(Slot.iovaToPhysCalls, 2 ** 52);
    counters.add(Slot.iovaToPhysCalls, 1);
    expect(counters.snapshot().iovaToPhysCalls).toBe(2 ** 52 + 1);
  });

  test('are all 0 after reset', () => {
    const counters = new Counters();
    for (const slot of Object.values(Slot)) counters.add(slot, 1);
    counters.reset();
    expect(counters.snapshot()).toEqual(allZero);
  });
});
