/**
 * A sample of what `npm run test:sequences` does: random sequences on every release and machine,
 * and faults injected into recorded scenarios. In Node processes of their own: the tests' transform
 * would make them several times slower.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DEFAULT_MACHINE, parseScenario } from '@pinfold/guest';
import { kernelVersions } from '@pinfold/kernels';
import { BuddyAllocator } from '@pinfold/mm';
import { describe, expect, it, vi } from 'vitest';
import { machines } from './sequences-machines.ts';
import { idOfScenario, scenarioText, sequenceId } from './sequences-plan.ts';
import { runSequence, shrink } from './sequences-run.ts';
import { randomScenario } from './sequences-steps.ts';

/** Every release on every machine, as often as makes 320. */
const CYCLE = kernelVersions.length * machines.length;
const RUNS = CYCLE * Math.ceil(320 / CYCLE);
/** Small scenarios of every family. */
const INJECTED = String.raw`^(6\.12|7\.2)\.\d+/main/(s03-incongruent-thp|u01|v03|e13|e16|m|p0|i)`;

/** Runs the command; returns what it printed. */
async function sequences(...args: string[]): Promise<string> {
  const script = fileURLToPath(new URL('../bench/sequences.ts', import.meta.url));
  const flags = ['--conditions=@pinfold/source', script, ...args];
  const { stdout } = await promisify(execFile)(process.execPath, flags);
  return stdout;
}

it('finds nothing in random sequences', async () => {
  const out = await sequences('--runs', String(RUNS), '--injection', 'none');
  const each = kernelVersions.map(({ series }) => `${series} ${RUNS / kernelVersions.length}`);
  expect(out).toContain(`without violation: ${each.join(', ')}\n`);
  expect(out).toContain('findings: 0\n');
});

it('finds nothing when frames, GUP or iommu_map fail', async () => {
  const out = await sequences('--runs', '0', '--injection', INJECTED);
  expect(out).toContain('findings: 0\n');
  for (const kind of ['frame in map', 'GUP ENOMEM in map', 'GUP EFAULT in map', 'iommu_map in map'])
    expect(out).toMatch(new RegExp(`${kind} [1-9]`));
});

describe('a random scenario', () => {
  it('follows from its number', () => {
    const [machine] = machines;
    expect(randomScenario(machine, 7)).toEqual(randomScenario(machine, 7));
    expect(randomScenario(machine, 7)).not.toEqual(randomScenario(machine, 8));
  });

  it('is well-formed on every machine', () => {
    for (const machine of machines) {
      for (let seed = 0; seed < 50; seed++) parseScenario(randomScenario(machine, seed), 'x.scn');
    }
  });

  it('has every machine and every kernel in turn', () => {
    const pairs = kernelVersions.length * machines.length;
    const all = Array.from({ length: pairs }, (_, i) => sequenceId(i));
    const names = new Set(all.map(({ kernel, machine }) => `${kernel} ${machine}`));
    expect(names.size).toBe(pairs);
  });
});

it('a finding is shrunk, written, and can be replayed', async () => {
  const id = { kernel: '6.16', machine: 'guest', seed: 3 };
  const script = [
    ...['info', 'open type=v2', 'mmap name=A kind=anon size=9P flags=private advise=nohuge'],
    ...['touch va=A size=9P mode=r', 'touch va=A+2P size=5P', 'device dev=edu'],
  ];
  expect((await runSequence(script, id)).finding).toBeNull();
  const broken = vi.spyOn(BuddyAllocator.prototype, 'freePagesAt').mockReturnValue(undefined);
  const { finding } = await runSequence(script, id);
  expect(finding?.rule).toBe('free pages and pages in use are all pages');
  const small = await shrink(script, id, finding!);
  expect(small).toEqual(['mmap name=A kind=anon size=1P', 'touch va=A size=1P']);
  const text = scenarioText({ ...finding!, id, lines: small });
  expect(idOfScenario(text)).toEqual(id);
  expect((await runSequence(text.split('\n'), id)).finding?.rule).toBe(finding?.rule);
  broken.mockRestore();
});

it('the first machine is that of `pinfold run`', () => {
  expect({ ...DEFAULT_MACHINE, ...machines[0].facts }).toEqual(DEFAULT_MACHINE);
});
