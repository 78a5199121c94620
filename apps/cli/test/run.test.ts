/** `pinfold run` on scenarios that can be run, and on what is none. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { iommuKinds } from '@pinfold/bench';
import { kernelVersions } from '@pinfold/kernels';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pinfold, pinfoldReading, start } from './pinfold.ts';

const IOMMUS = iommuKinds.map(({ name }) => name).join(', ');
const NEWEST = kernelVersions.at(-1)?.series ?? '';

const SCENARIO = `title one THP, and a limit
open type=v2
mmap name=A kind=anon size=2M addr=0x4000000000 advise=huge

touch va=A size=2M   # one fault
map iova=0x40000000 va=A size=A.len
unmap iova=0x40000000 size=2M
dropcap
memlock bytes=1M
map iova=0x40000000 va=A size=2M
close
`;
let folder: string;
let file: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinfold-run-'));
  file = join(folder, 'one-thp.scn');
  writeFileSync(file, SCENARIO);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** The cells of the row of a line. */
function row(stdout: string, line: number): string[] {
  const found = stdout.split('\n').find((text) => text.trimStart().startsWith(`${line}  `));
  return found?.trim().split(/ {2,}/) ?? [];
}

describe('a scenario on several targets', () => {
  it.concurrent('says what differs', async () => {
    const { code, stdout } = await pinfold('run', '--json', '--on', 'type1,compat,iommufd', file);
    expect(code).toBe(0);
    const { steps } = JSON.parse(stdout) as {
      steps: { line: number; differs: string[]; on: Record<string, { errno: string | null }> }[];
    };
    const map = steps.find(({ line }) => line === 6);
    expect(map?.differs).toEqual(['VmLck']);
    expect(map?.on).toMatchObject({
      type1: { locked: { VmLck: 2048 }, entries: 1, pins: { acquired: 512 } },
      compat: { locked: { VmLck: 0, VmPin: 2048 }, entries: 1, pins: { acquired: 512 } },
      iommufd: { locked: { VmLck: 0, VmPin: 2048 }, entries: 1, pins: { acquired: 512 } },
    });
    const over = steps.find(({ line }) => line === 10);
    expect(Object.values(over?.on ?? {}).map(({ errno }) => errno)).toEqual(
      Array.from({ length: 3 }, () => 'ENOMEM'),
    );
    // type1 looks at the limit before it maps; iommufd has mapped, and has to flush.
    expect(over?.differs).toEqual(['flushes']);
  });

  it.concurrent('is a table', async () => {
    const { code, stdout, stderr } = await pinfold('run', '--on', 'type1,iommufd', file);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^ +6 {2}type1 +0 +2,048 +- +- +1 +0 {2}VmLck$/m);
    expect(stdout).toMatch(/^ +iommufd {2}0 +0 +2,048 +0 +1 +0$/m);
  });

  it.concurrent('is refused for what iommufd has no call for', async () => {
    const scenario = 'opencontainer\n';
    const { code, stderr } = await pinfoldReading(scenario, 'run', '--on', 'iommufd', '-');
    expect(code).toBe(2);
    expect(stderr).toContain('stdin:1');
    const traced = await pinfold('run', '--on', 'type1', '--trace', file);
    expect(traced.code).toBe(2);
    expect(traced.stderr).toContain('--trace');
  });
});

describe('a scenario', () => {
  it.concurrent('is run step by step', async () => {
    const { code, stdout, stderr } = await pinfold('run', '--kernel', '6.18', file);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Linux 6\.18: one THP, and a limit\n/);
    // line, step, result, pins, VmLck, leaves, tables, calls
    expect(row(stdout, 6)).toEqual([
      ...['6', 'map iova=0x40000000 va=A size=A.len', '0', '512', '2,048', '1', '3'],
      ...['1', '1', '1'],
    ]);
    expect(row(stdout, 7).slice(0, 6)).toEqual([
      ...['7', 'unmap iova=0x40000000 size=2M', '0', '512', '0', '2M'],
    ]);
    expect(row(stdout, 10)).toContain('ENOMEM');
    expect(stdout).toMatch(/refused by\s+vfio_pin_pages_remote/);
    expect(stdout).toMatch(/ENOMEM from vfio_pin_pages_remote\n +RLIMIT_MEMLOCK is/);
  });

  it.concurrent('is read from standard input too', async () => {
    const { code, stdout } = await pinfoldReading('open type=v2\ninfo\n', 'run', '-');
    expect(code).toBe(0);
    expect(row(stdout, 2).slice(0, 3)).toEqual(['2', 'info', '0']);
    expect(stdout).toMatch(new RegExp(`^Linux ${NEWEST}\n`));
  });

  it.concurrent('gives JSON whose steps are those of recordings', async () => {
    const { code, stdout } = await pinfold('run', '--json', '--kernel', '6.16.12', file);
    expect(code).toBe(0);
    const run = JSON.parse(stdout) as { script: string[]; steps: object[] };
    expect(run).toMatchObject({
      ...{ format: 'pinfold-run/1', scenario: 'one-thp', title: 'one THP, and a limit' },
      ...{ kernel: '6.16.12', seed: 1, pins_left: 0 },
    });
    expect(`${run.script.join('\n')}\n`).toBe(SCENARIO);
    expect(run.steps).toHaveLength(9);
    expect(run.steps[3]).toMatchObject({
      ...{ op: 'map', line: 'map iova=0x40000000 va=A size=A.len', ret: 0, errno: null },
      ...{ iova: '0x40000000', va: '0x4000000000', size: '0x200000', flags: 3, argsz: 32 },
      ...{ mm: { VmLck: 2048 }, pins: { acquired: 512, released: 0 }, avail: 65534 },
      iommu: { present: 1, leaf: { '4K': 0, '2M': 1, '1G': 0 }, runs_total: 1 },
      calls: { vfio_pin_pages_remote: 1, vaddr_get_pfns: 1, iommu_map: 1 },
    });
    expect(run.steps[7]).toMatchObject({ op: 'map', ret: -1, errno: 'ENOMEM' });
  });

  it.concurrent('gives JSON where an audit has found what it cannot go on with', async () => {
    const script =
      'audit against=batched kernel=6.16\nopen type=v2\n' +
      'mmap name=H0 kind=memfd2m size=1024P addr=0x4000000000 flags=shared ' +
      'frames=0x8600x512:9,0x8200x512:9\nmap iova=0x0 va=H0+511P size=2P\n';
    const { code, stdout } = await pinfoldReading(
      script,
      ...['run', '--json', '--algorithm', 'hugetlb-v1-2025', '-'],
    );
    expect(code).toBe(1);
    const run = JSON.parse(stdout) as object;
    expect(run).toMatchObject({ audit: { violated: { invariant: 'reach', line: 4 } } });
    expect(run).not.toHaveProperty('steps');
  });

  it.concurrent('gets frames that follow from the seed', async () => {
    const frames = async (seed: string): Promise<unknown> => {
      const { stdout } = await pinfold('run', '--json', '--seed', seed, file);
      const { steps } = JSON.parse(stdout) as { steps: { layout?: unknown }[] };
      return steps[2].layout;
    };
    const [first, again, other] = await Promise.all(['1', '1', '2'].map(frames));
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });
});

describe('a step that cannot be done', () => {
  it.concurrent.each<[string, string, RegExp]>([
    ['a device', 'device dev=nosuch', /dev=nosuch: expected one of edu, .+, got no such device/],
    ['an emulated one', 'pin dev=edu iova=0 n=1', /dev=edu: expected an emulated device, got .+/],
    ['copies', 'mmap name=B kind=anon size=4K copies=0x7fffffff', /expected frames of its memory/],
    [
      'a length',
      'peek va=A size=2G',
      /peek: expected at most 67108864 bytes in one step, got 2147483648/,
    ],
    ['a file of sysfs', 'sysfs path=/sys/nowhere val=1', /\/sys\/nowhere.*: expected .+, got .+/],
    ['a memfd', 'mmap name=B kind=memfd size=4K of=A', /mmap of=A: expected a region of a memfd/],
    [
      ...(['frames', 'mmap name=B kind=anon size=8K frames=5x1'] as const),
      /mmap B frames=: expected 2 pages, got 1/,
    ],
    ['an op that is not modelled', 'bench va=0 iova=0 size=4K', /expected an op that is modelled/],
  ])('%s: names file and line, after the steps before it', async (_, line, message) => {
    const { code, stdout, stderr } = await pinfoldReading(afterTwoSteps(line), 'run', '-');
    expect(code).toBe(2);
    expect(stderr).toMatch(/^pinfold: stdin:4: [^\n]+\n$/);
    expect(stderr).toMatch(message);
    expect(row(stdout, 2).slice(0, 3)).toEqual(['2', 'mmap name=A kind=anon size=1M', '0']);
    expect(row(stdout, 4)).toEqual([]);
    expect(stdout).toMatch(/\nLine 4 was not done, nor was what comes after it\.\n$/);
  });

  it.concurrent('in the JSON and in explanations too', async () => {
    const script = afterTwoSteps('device dev=nosuch');
    const [json, why, whyJson] = await Promise.all(
      [['run', '--json'], ['explain'], ['explain', '--json']].map((args) =>
        pinfoldReading(script, ...args, '-'),
      ),
    );
    const [line, { stopped }] = [json.stderr, JSON.parse(json.stdout) as { stopped: string }];
    expect(line).toBe(`pinfold: ${stopped}\n`);
    expect([why, whyJson]).toMatchObject([
      { code: 2, stderr: line },
      { code: 2, stderr: line },
    ]);
    expect(JSON.parse(json.stdout)).toMatchObject({ steps: [{ op: 'open' }, { op: 'mmap' }] });
    expect(JSON.parse(whyJson.stdout)).toMatchObject({ stopped, explanations: [] });
    expect(why.stdout.replace(/^Assumed machine: .+\n/m, '')).toBe(
      `Linux ${NEWEST}\n\nThe 2 steps before line 4 did what they were asked for.\n\n` +
        'Line 4 was not done, nor was what comes after it.\n',
    );
  });

  it.concurrent('after one step, in the singular', async () => {
    const { stdout } = await pinfoldReading('open type=v2\ndevice dev=nosuch\n', 'explain', '-');
    expect(stdout).toContain('The step before line 2 did what it was asked for.\n');
  });
});

/** A scenario whose step on line 4 comes after two that can be done. */
function afterTwoSteps(line: string): string {
  return `open type=v2\nmmap name=A kind=anon size=1M\n\n${line}\ninfo\n`;
}

describe('what is shown', () => {
  const hostile = 'title a \u001b[31mred\u009b1m \u202etitle\u0007\nopen type=v2\n';

  it.concurrent.each(['run', 'explain'])('%s steers no terminal', async (command) => {
    const { stdout } = await pinfoldReading(hostile, command, '-');
    const heading = `Linux ${NEWEST}: a \\u001b[31mred\\u009b1m \\u202etitle\\u0007\n`;
    expect(stdout.slice(0, heading.length)).toBe(heading);
    const json = await pinfoldReading(hostile, command, '--json', '-');
    expect(json.stdout).toMatch(/^[\n\u0020-\u007e]*$/);
    expect(JSON.parse(json.stdout)).toMatchObject({
      title: 'a \u001b[31mred\u009b1m \u202etitle\u0007',
    });
  });

  it.concurrent('fits the terminal, and says which steps failed', async () => {
    const { stdout } = await start(['run', '--kernel', '6.18', file], { COLUMNS: '80' });
    const lines = stdout.split('\n');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
    expect(stdout).toContain('1 of 9 steps failed: line 10.\n');
    // The calls are a table of their own.
    expect(row(stdout, 6).slice(0, 4)).toEqual([...['6', 'map iova=0x40000000 va=A', '0', '512']]);
    expect(stdout).toMatch(/\n +6 {2}map +1 +1 +1\n/);
  });
});

describe('--iommu', () => {
  const script = 'open type=v2\ninfo\n';

  /** The ranges of addresses that `info` shows with an IOMMU. */
  async function shown(text: string, ...flags: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await pinfoldReading(text, 'run', '-', '--json', ...flags);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return (JSON.parse(stdout) as { steps: unknown[] }).steps;
  }

  it.concurrent('is the same as a machine line', async () => {
    const kinds = await Promise.all(
      iommuKinds.map(async ({ name }) => {
        const byFlag = await shown(script, '--iommu', name);
        expect(await shown(`machine iommu=${name}\n${script}`)).toEqual(byFlag);
        return JSON.stringify(byFlag);
      }),
    );
    expect(new Set(kinds).size).toBe(iommuKinds.length);
    expect(kinds).toContain(JSON.stringify(await shown(script)));
  });

  it.concurrent('stands in the heading', async () => {
    const { stdout } = await pinfoldReading(script, 'run', '-', '--kernel=6.18', '--iommu', 'amd');
    expect(stdout).toMatch(/^Linux 6\.18, IOMMU amd\n/);
  });

  it.concurrent('cannot be another than that of the machine line', async () => {
    const own = `machine iommu=smmuv3\n${script}`;
    const { code, stdout, stderr } = await pinfoldReading(own, 'run', '-', '--iommu', 'amd');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toBe(
      "pinfold: --iommu: expected smmuv3, as the machine line of stdin says, got 'amd'\n",
    );
    const same = await pinfoldReading(own, 'run', '-', '--iommu', 'smmuv3');
    expect(same.code).toBe(0);
  });
});

describe('what cannot be run', () => {
  it.concurrent.each<[string, string, RegExp]>([
    [
      'an op that there is not',
      'opne type=v2',
      /^pinfold: stdin:1: expected one of .+, open, .+, got 'opne'\n$/,
    ],
    [
      'an unknown unit',
      'memlock bytes=4X',
      /^pinfold: stdin:1: bytes: expected a number, .+, got '4X'\n$/,
    ],
    [
      'an op that is not modelled',
      'bench va=0 iova=0 size=4K\nopen type=v2',
      /^pinfold: stdin:1: expected an op that is modelled, got bench, which is not modelled yet\n$/,
    ],
    [
      'a device that there is not',
      'open type=v2 dev=nvme',
      /^pinfold: stdin:1: dev=nvme: expected one of edu, .+, got no such device\n$/,
    ],
  ])('%s', async (_, script, message) => {
    const { code, stdout, stderr } = await pinfoldReading(script, 'run', '-');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });

  it.concurrent.each<[string, string[], RegExp]>([
    [
      'no file',
      ['run'],
      /^pinfold: run: expected the scenario, or - for standard input, got nothing\n$/,
    ],
    [
      'a file that is not there',
      ['run', 'gone.scn'],
      /^pinfold: gone\.scn: expected a scenario that can be read, got ENOENT: .+\n$/,
    ],
    [
      'two files',
      ['run', 'a.scn', 'b.scn'],
      /^pinfold: run: expected only file, --kernel, .+, got 'b\.scn'\n$/,
    ],
    [
      'another kernel',
      ['run', '-', '--kernel', 'newest'],
      /^pinfold: --kernel: expected .+, got 'newest'\n$/,
    ],
    [
      'another IOMMU',
      ['run', '-', '--iommu', 'vtd'],
      new RegExp(`^pinfold: --iommu: expected one of ${IOMMUS}, got 'vtd'\n$`),
    ],
    [
      'seed 0',
      ['run', '-', '--seed', '0'],
      /^pinfold: --seed: expected a whole number from 1 to 4294967295, got '0'\n$/,
    ],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await pinfold(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
