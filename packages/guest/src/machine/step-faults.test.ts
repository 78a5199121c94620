/** Calls that fail on demand: what the ioctl returns, and that nothing is left. */
import { Errno, Slot } from '@pinfold/base';
import { kernelVersion } from '@pinfold/kernels';
import { describe, expect, it } from 'vitest';
import { parseScenario } from '../index.ts';
import { ModelMachine } from './model-machine.ts';

/** Runs a scenario on 6.18; returns what the last step did, and what is pinned and charged then. */
function run(text: string): { code: number; gupCalls: number; pins: number; locked: number } {
  const machine = new ModelMachine({ kernel: kernelVersion('6.18') });
  const { memory } = machine.inspect();
  const regions = new Map<string, { va: bigint; size: bigint }>();
  let [code, before] = [0, 0];
  for (const step of parseScenario(text, 'faults.scn').steps) {
    const operation = step.evaluate(regions);
    if (operation.op === 'mmap')
      regions.set(operation.name, { va: operation.addr ?? 0n, size: operation.size });
    before = memory.counters.values[Slot.gupCalls];
    ({ code } = machine.apply(operation));
  }
  const [mm] = memory.addressSpaces;
  const gupCalls = memory.counters.values[Slot.gupCalls] - before;
  return { code, gupCalls, pins: memory.vmstat.pinsHeld, locked: mm.lockedVm };
}

const PCI = 'open type=v2 dev=edu\n';
const EMULATED = 'open type=v2 dev=ext0\ndevice dev=ext0\n';
const MEMORY = 'mmap name=A kind=anon size=4P addr=0x4000000000 flags=populate\n';
const MAP = 'map iova=0 va=A size=4P\n';
const NOTHING = { pins: 0, locked: 0 };

describe('of a map', () => {
  it('the charge is interrupted: EINTR, and nothing stays pinned', () => {
    const done = run(`${PCI}${MEMORY}fail what=lock\n${MAP}`);
    expect(done).toMatchObject({ code: -Errno.EINTR, ...NOTHING });
  });

  it('no later charge is: the fault is for one step', () => {
    const done = run(`${PCI}${MEMORY}fail what=lock\n${MAP}${MAP}`);
    expect(done).toMatchObject({ code: 0, pins: 4, locked: 4 });
  });

  it('the batch gets no memory: page by page, as with its one entry', () => {
    const done = run(`${PCI}${MEMORY}fail what=alloc\n${MAP}`);
    expect(done).toEqual({ code: 0, gupCalls: 4, pins: 4, locked: 4 });
    expect(run(PCI + MEMORY + MAP)).toMatchObject({ gupCalls: 1 });
  });

  it('a page fault fails: EFAULT for the first page, a short GUP for a later one', () => {
    const untouched = `${PCI}${MEMORY.replace(' flags=populate', '')}`;
    const first = run(`${untouched}fail what=fault\n${MAP}`);
    expect(first).toMatchObject({ code: -Errno.EFAULT, ...NOTHING });
    const second = run(`${untouched}fail what=fault n=2\n${MAP}`);
    expect(second).toEqual({ code: 0, gupCalls: 2, pins: 4, locked: 4 });
  });
});

describe('of a pin for a device', () => {
  it('the charge is interrupted: EINTR', () => {
    const done = run(`${EMULATED}${MEMORY}${MAP}fail what=lock n=2\npin iova=0 n=3\n`);
    expect(done).toMatchObject({ code: -Errno.EINTR, ...NOTHING });
  });

  it('a node gets no memory: ENOMEM, and the pages before it are given back', () => {
    const done = run(`${EMULATED}${MEMORY}${MAP}fail what=alloc n=3\npin iova=0 n=3\n`);
    expect(done).toMatchObject({ code: -Errno.ENOMEM, ...NOTHING });
  });
});
