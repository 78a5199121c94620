/** Programs in C on the model: what they see, and what is left of them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoName } from '@pinfold/base';
import { factsOfLine, DEFAULT_MACHINE, ModelMachine, parseScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { runScenario } from '@pinfold/scenario';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiled, hasCompiler } from './compiled.ts';

const HERE = fileURLToPath(new URL('exec-here.mjs', import.meta.url));
let folder: string;
const programs = { 'map-unmap': '', many: '', memory: '', timed: '', iommufd: '' };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinfold-exec-test-'));
  if (!hasCompiler) return;
  for (const name of Object.keys(programs) as (keyof typeof programs)[]) {
    programs[name] = compiled(name, folder);
  }
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Seen {
  readonly exitCode: number;
  readonly stdout: string;
  readonly leftOpen: readonly string[];
  readonly leftMapped: readonly (readonly [iova: number, size: number])[];
  readonly done: readonly { op: string; code: number }[];
  readonly faults: readonly string[];
  readonly fatal: string | null;
  readonly notModelled: Readonly<Record<string, number>>;
  readonly scenario: string;
}

interface Options {
  readonly kernel?: string;
  readonly machine?: string;
  readonly memlock?: number;
  readonly sysfs?: readonly (readonly [string, string])[];
  readonly failures?: readonly { what: 'frame' | 'gup' | 'map'; map: number }[];
  readonly view?: { lazy: boolean; hugetlbfs: { folder: string; pageBytes: number } | null };
  /** Nanoseconds of each map and unmap. */
  readonly clockNs?: number;
}

/** Runs a program, with `options` for the model. */
function run(name: keyof typeof programs, args: readonly string[], options: Options = {}): Seen {
  const result = join(folder, 'result.json');
  const done = spawnSync(
    process.execPath,
    [
      ...['--conditions=@pinfold/source', HERE, result, JSON.stringify(options)],
      ...[programs[name], ...args],
    ],
    { encoding: 'utf8', env: { ...process.env, XDG_CACHE_HOME: folder } },
  );
  expect(done.stderr).toBe('');
  const seen = JSON.parse(readFileSync(result, 'utf8')) as Omit<Seen, 'stdout'>;
  expect(seen.faults).toEqual([]);
  return { ...seen, stdout: done.stdout };
}

/** The outcomes of the steps when the scenario that was written is run. */
async function outcomes(scenario: string, kernel = '6.18'): Promise<string[]> {
  const parsed = parseScenario(scenario, 'written');
  const facts = factsOfLine(parsed.machine, DEFAULT_MACHINE);
  const machine = new ModelMachine({ kernel: kernelVersion(kernel), facts });
  const { steps } = await runScenario(parsed, machine);
  return steps.map(({ operation, observation }) => `${operation.op} ${observation.errno ?? 'ok'}`);
}

function outcomesOf({ done }: Seen): string[] {
  return done.map(({ op, code }) => `${op} ${code < 0 ? errnoName(code) : 'ok'}`);
}

describe.skipIf(!hasCompiler)('a program on the model', () => {
  it('gets what a kernel would return', async () => {
    const seen = run('map-unmap', []);
    expect(seen.stdout.split('\n')).toEqual([
      ...['version 0', 'type1v2 1', 'set_iommu early EINVAL', 'open again EBUSY', 'status 1'],
      ...['set_container ok', 'set_iommu ok', 'device ok', 'device_info ok', 'regions 9 irqs 5'],
      ...['info ok', 'needs 120', 'info ok', 'pgsizes 40201000 cap at 24'],
      ...['map ok', 'map again EEXIST', 'map unaligned EINVAL', 'map nothing there EFAULT'],
      ...['wild pointer EFAULT', 'unmap ok', 'unmapped 8388608', 'no vfio ENOTTY', 'unset ok'],
      ...['open anew ok', ''],
    ]);
    expect(seen).toMatchObject({ exitCode: 0, leftOpen: [], leftMapped: [], notModelled: {} });
    expect(await outcomes(seen.scenario)).toEqual(outcomesOf(seen));
  });

  it('may use iommufd', async () => {
    const seen = run('iommufd', [], { kernel: '7.2' });
    expect(seen.stdout.split('\n')).toEqual([
      ...['info early EINVAL', 'bind ok', 'bind again EINVAL', 'info ok', 'alloc ok'],
      ...[
        'ioas is not device',
        'attach ok',
        'ranges ok',
        '2 ranges, first to 0xfedfffff',
        'map ok',
      ],
      ...['map again EEXIST', 'map anywhere ok', 'elsewhere 1', 'option ok', 'huge pages 1'],
      ...[
        'unmap ok',
        'unmapped 1048576',
        'unmap again ENOENT',
        'destroy in use EBUSY',
        'detach ok',
      ],
      ...['destroy ok', 'short EINVAL', 'device goes on ok', 'open anew ok', ''],
    ]);
    expect(seen).toMatchObject({ exitCode: 0, leftOpen: [], notModelled: {} });
    expect(await outcomes(seen.scenario, '7.2')).toEqual(outcomesOf(seen));
  });

  it('is refused by RLIMIT_MEMLOCK', async () => {
    const seen = run('map-unmap', [], { memlock: 2 ** 22 });
    expect(seen.stdout).toContain('map ENOMEM\n');
    expect(await outcomes(seen.scenario)).toEqual(outcomesOf(seen));
  });

  it('meets the machine that it is given', () => {
    const seen = run('map-unmap', [], { machine: 'iommu=amd' });
    expect(seen.stdout).toContain('pgsizes fff7ffffff000');
  });

  it('may map from 16 threads at once', () => {
    const seen = run('many', ['threads', '16', '20']);
    expect(seen.stdout).toBe('0 failures\n');
    expect(seen.done.filter(({ op, code }) => op === 'unmap' && code === 0)).toHaveLength(320);
  });

  it('may fork children that wait for the group', () => {
    const seen = run('many', ['children', '20']);
    expect(seen.stdout).toBe('0 of 20 children failed\n');
    expect(seen.leftMapped).toHaveLength(20);
    // A limit of the model that is told.
    expect(Object.values(seen.notModelled)).toEqual([20 - 1]);
  });

  it('may be killed with a mapping', () => {
    const seen = run('many', ['kill']);
    expect(seen).toMatchObject({ exitCode: 137, leftOpen: [], leftMapped: [[2 ** 20, 4096]] });
  });

  it.each([1, 2, 3])('may make 3000 wild ioctls, seed %i', async (seed) => {
    const seen = run('many', ['wild', '3000', String(seed)]);
    expect(seen.stdout).toBe('done, some succeeded\n');
    expect(seen.fatal).toBeNull();
    expect(await outcomes(seen.scenario)).toEqual(outcomesOf(seen));
  });

  it('meets the failure that was asked for, and no other', () => {
    const seen = run('map-unmap', [], { failures: [{ what: 'map', map: 1 }] });
    expect(seen.stdout).toContain('map ENOMEM\nmap again ok\n');
  });

  it('meets the limit of mappings that was written to sysfs', () => {
    const limit = '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit';
    const seen = run('many', ['kill'], { sysfs: [[limit, '0']] });
    expect(seen).toMatchObject({ exitCode: 1, leftMapped: [] });
    expect(outcomesOf(seen)).toContain('map ENOSPC');
  });

  it('sees the predicted time of its calls, and nothing of the model', () => {
    const seen = run('timed', ['0x10000000'], { clockNs: 250_000_000 });
    expect(seen.stdout).toBe('map 0.25 s\nunmap 0.25 s\n');
  });

  it('may have more memory than it fills', () => {
    const view = { lazy: true, hugetlbfs: { folder, pageBytes: 2 ** 21 } };
    const seen = run('timed', ['0x400000', folder], { view, clockNs: 0 });
    expect(seen.stdout).toBe('page 2097152\nmap 0.00 s\nunmap 0.00 s\n');
    const mapped = seen.scenario.split('\n').filter((line) => line.startsWith('mmap'));
    expect(mapped).toEqual([expect.stringMatching(/kind=memfd2m/u)]);
  });

  it('has its memory looked at as it is', () => {
    const { stdout, scenario } = run('memory', []);
    expect(stdout).toBe('done\n');
    const lines = scenario
      .split('\n')
      .filter((line) => /^(?:mmap|touch|munmap|madvise)/u.test(line));
    const shapes = lines.map((line) =>
      line.replaceAll(/(?:addr|va|off)=0x[\da-f]+/gu, 'at').replace(/name=\w+ /u, ''),
    );
    expect(shapes).toEqual(MEMORY);
  });
});

/** Of `memory.c`: 16 pages of which 5 are there, dropped and replaced; a memfd that is mapped twice. */
const MEMORY = [
  'mmap at size=16P kind=anon flags=fixed,noreserve advise=nohuge',
  'touch at size=2P',
  'touch at size=3P',
  'madvise at size=2P advice=dontneed',
  'munmap at size=2P',
  'mmap at size=8P kind=memfd off=0P flags=shared,fixed,noreserve',
  'touch at size=4P',
  'mmap at size=8P kind=memfd of=m2 off=0P flags=shared,fixed,noreserve',
];
