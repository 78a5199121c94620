import { Counters, Slot } from '@pinfold/base';
import { expect, test } from 'vitest';
import { boot, RULES } from '../test/machine.ts';
import { Memory } from './memory.ts';

test('pins held are those acquired and not yet released', () => {
  const { vmstat } = boot();
  vmstat.nrFollPinAcquired += 700;
  vmstat.nrFollPinReleased += 188;
  expect(vmstat.pinsHeld).toBe(512);
});

test('counters can be shared with other layers of the machine', () => {
  const counters = new Counters();
  const memory = new Memory(boot().memmap, RULES.nth_page, counters);
  memory.counters.add(Slot.gupCalls, 1);
  expect(counters.snapshot().gupCalls).toBe(1);
});

test('WARN_ON_ONCE keeps the first text of every place', () => {
  const memory = boot();
  memory.warnOnce('vfio_unmap_unpin', 'first');
  memory.warnOnce('vfio_unmap_unpin', 'second');
  memory.warnOnce('__account_locked_vm', 'other');
  expect([...memory.warnings]).toEqual([
    ['vfio_unmap_unpin', 'first'],
    ['__account_locked_vm', 'other'],
  ]);
});
