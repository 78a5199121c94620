import { readFileSync } from 'node:fs';
import { COUNTER_NAMES } from '@pinfold/base';
import { iommuKinds, type BenchReport } from '@pinfold/bench';
import { kernelVersions } from '@pinfold/kernels';
import { describe, expect, it } from 'vitest';
import { main, node, pinfold } from './pinfold.ts';

const SIZES = 'a size like 4096, 512K, 16M, 16G, 1T or 8P (4 KiB pages)';
const BACKINGS = 'one of thp, 4k, hugetlb-2m, hugetlb-1g';
const KERNELS = `${kernelVersions.map(({ series }) => series).join(', ')} or a point release of these`;
const REPEATS = 'a whole number from 1 to 10000';
/** As the list of commands has them. */
const COMMANDS = [...(await pinfold('--help')).stdout.matchAll(/^ {2}([a-z-]+) \[options\]/gm)]
  .map(([, name]) => name)
  .join(', ');
const FLAGS =
  '--size, --backing, --kernel, --layout, --iommu, --repeat, --profile, --file, --patience, --format, --json, --help';
const IOMMUS = `one of ${iommuKinds.map(({ name }) => name).join(', ')}`;

describe('what a user wrote wrong', () => {
  it.concurrent.each<[string, string]>([
    ['bench --size 16X', `--size: expected ${SIZES}, got '16X'`],
    ['bench --size -1', `--size: expected ${SIZES}, got '-1'`],
    ['bench --size=', `--size: expected ${SIZES}, got ''`],
    ['bench --size 0', '--size: expected more than 0, got 0'],
    [
      'bench --size 64M --backing thp,hugetlb-1g',
      '--size: expected a multiple of 1G, the page size of hugetlb-1g, such as 1G, got 64M',
    ],
    [
      'bench --size 6000',
      '--size: expected a multiple of 4K, the page size of 4k, such as 4K or 8K, got 6000',
    ],
    [
      'bench --size 3M --backing thp',
      '--size: expected a multiple of 2M, the page size of thp, such as 2M or 4M, got 3M',
    ],
    [
      'bench --size 6000 --backing 4k',
      '--size: expected a multiple of 4K, the page size of 4k, such as 4K or 8K, got 6000',
    ],
    ['bench --size 65T --backing thp', '--size: expected at most 64T of thp, got 65T of thp'],
    ['bench --size', '--size: expected size of the mapping, such as 512M or 16G, got nothing'],
    ['bench --backing shmem', `--backing: expected ${BACKINGS}, got 'shmem'`],
    ['bench --backing thp,,4k', `--backing: expected ${BACKINGS}, got ''`],
    ['bench --backing THP', `--backing: expected ${BACKINGS}, got 'THP'`],
    ['bench --kernel 5.4', `--kernel: expected ${KERNELS}, or a pin algorithm, got '5.4'`],
    [
      'bench --kernel 6.18,latest',
      `--kernel: expected ${KERNELS}, or a pin algorithm, got 'latest'`,
    ],
    ['bench --layout random', "--layout: expected one of contiguous, scattered, got 'random'"],
    ['bench --iommu vtd', `--iommu: expected ${IOMMUS}, got 'vtd'`],
    ['bench --repeat 0', `--repeat: expected ${REPEATS}, got '0'`],
    ['bench --repeat -3', `--repeat: expected ${REPEATS}, got '-3'`],
    ['bench --repeat 2.5', `--repeat: expected ${REPEATS}, got '2.5'`],
    ['bench --repeat 10001', `--repeat: expected ${REPEATS}, got '10001'`],
    [
      'bench --sise 16G',
      `--sise: expected one of ${FLAGS}, got an unknown option; did you mean --size?`,
    ],
    ['bench --json=yes', `--json=yes: expected one of ${FLAGS}, got an unknown option`],
    ['bench 16G', `bench: expected only ${FLAGS}, got '16G'`],
    ['--sise', '--sise: expected one of --version, --help, got an unknown option'],
    [
      '--hlep',
      '--hlep: expected one of --version, --help, got an unknown option; did you mean --help?',
    ],
    ['benhc', `command: expected one of ${COMMANDS}, help, got 'benhc'; did you mean bench?`],
    ['xyzzy', `command: expected one of ${COMMANDS}, help, got 'xyzzy'`],
    ['help benhc', `help: expected one of ${COMMANDS}, got 'benhc'`],
  ])('pinfold %s', async (line, message) => {
    const outcome = await pinfold(...line.split(' '));
    expect(outcome).toEqual({ code: 2, stdout: '', stderr: `pinfold: ${message}\n` });
  });

  // What is refused here depends on the machine's memory; it must be refused on every machine.
  it.concurrent('pinfold bench --size 16T --backing 4k', async () => {
    const { code, stdout, stderr } = await pinfold('bench', '--size', '16T', '--backing', '4k');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(
      /^pinfold: --size: expected (?:what fits into .* memory|at most 4T of 4k), got 16T of 4k.*\n$/,
    );
  });

  it.concurrent('stays on one line, whatever was written', async () => {
    const { stderr } = await pinfold('bench', '--size', '1\n2\u001b[31m');
    expect(stderr).toBe(`pinfold: --size: expected ${SIZES}, got '1\\u000a2\\u001b[31m'\n`);
  });
});

it.concurrent(
  'says an error that nobody expected on one line, and its stack when asked',
  async () => {
    const breakClock =
      'data:text/javascript,performance.now = () => { throw new Error("no time") }';
    const flags = ['--import', breakClock, main, 'bench', '--size', '2M', '--backing', 'thp'];
    const { code, stdout, stderr } = await node(...flags);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toMatch(/^pinfold: Error: no time; this is a fault of pinfold, .+\n$/);
    const askStack = 'data:text/javascript,process.env.PINFOLD_STACK = "1"';
    const asked = await node('--import', askStack, ...flags);
    expect(asked.code).toBe(3);
    expect(asked.stderr).toMatch(/\nError: no time\n {4}at /);
  },
);

describe('pinfold', () => {
  it.concurrent.each<[string, string[]]>([
    ['without arguments', []],
    ['with --help', ['--help']],
    ['with help', ['help']],
  ])('shows its commands %s', async (_, args) => {
    const { code, stdout, stderr } = await pinfold(...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: pinfold /);
    for (const name of ['run', 'explain', 'verify', 'bench', 'compare', 'list']) {
      expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    }
  });

  it.concurrent('shows the help of a command in both ways', async () => {
    const outcome = await pinfold('help', 'compare');
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome).toEqual(await pinfold('compare', '--help'));
  });

  it.concurrent('says where to start', async () => {
    const { stdout } = await pinfold();
    const [, start = ''] = stdout.split('\nStart here:\n');
    const [name] = [...start.matchAll(/^ {2}pinfold (.+?) {2,}/gm)].map(([, line]) => line);
    expect(name).toBe('bench --size 1G');
  });

  it.concurrent('shows its version', async () => {
    const manifest = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    ) as { version: string };
    const outcome = await pinfold('--version');
    expect(outcome).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
  });
});

describe('pinfold bench', () => {
  it.concurrent('shows its flags', async () => {
    const { code, stdout } = await pinfold('bench', '--help');
    expect(code).toBe(0);
    for (const name of FLAGS.split(', ')) expect(stdout).toContain(name);
  });

  it.concurrent('prints the report, and nothing else', async () => {
    const flags = ['--size', '64M', '--backing', 'thp,4k', '--repeat', '2'];
    const { code, stdout, stderr } = await pinfold('bench', ...flags);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^VFIO_IOMMU_MAP_DMA of 64M: 16,384 pages\n/);
    expect(stdout.match(/^(?:thp|4k) +6\.1[68] /gm)).toHaveLength(8);
  });

  it.concurrent('has the IOMMU that it is asked for, and says so', async () => {
    const flags = [
      'bench',
      '--size',
      '64M',
      '--backing',
      'thp',
      '--repeat',
      '1',
      '--kernel',
      '6.18',
    ];
    const text = await pinfold(...flags, '--iommu', 'amd');
    expect({ code: text.code, stderr: text.stderr }).toEqual({ code: 0, stderr: '' });
    expect(text.stdout).toMatch(/^IOMMU +amd: AMD IOMMU/m);
    const reports = await Promise.all(
      iommuKinds.map(async ({ name }) => {
        const { stdout } = await pinfold(...flags, '--json', '--iommu', name);
        return JSON.parse(stdout) as BenchReport;
      }),
    );
    expect(reports.map(({ iommu }) => iommu)).toEqual(iommuKinds.map(({ name }) => name));
    // What type1 asks for is the same; how the driver flushes is not.
    const asked = reports.map(({ rows: [map] }) => map.counters.iommuMapCalls);
    expect(asked).toEqual([32, 32, 32]);
    const flushes = reports.map(({ rows: [, { counters }] }) => {
      const { cacheTagFlushes, iommuFlushes, iommuCommands } = counters;
      return { cacheTagFlushes, iommuFlushes, iommuCommands };
    });
    expect(flushes).toEqual([
      { cacheTagFlushes: 0, iommuFlushes: 1, iommuCommands: 0 },
      { cacheTagFlushes: 1, iommuFlushes: 0, iommuCommands: 0 },
      { cacheTagFlushes: 0, iommuFlushes: 1, iommuCommands: 2 },
    ]);
  });

  it.concurrent('prints every counter of every row as JSON', async () => {
    const flags = ['--size', '64M', '--backing', '4k', '--layout', 'scattered', '--repeat', '3'];
    const { code, stdout } = await pinfold('bench', ...flags, '--kernel', '6.18.15', '--json');
    const { rows } = JSON.parse(stdout) as BenchReport;
    expect(code).toBe(0);
    expect(rows).toMatchObject(
      ['map', 'unmap'].map((op) => ({
        ...{ kernel: '6.18.15', backing: '4k', layout: 'scattered', layoutTag: 'S4', op },
        ...{ bytes: 2 ** 26, published: null },
      })),
    );
    for (const { counters, modelMs, repetitionMs } of rows) {
      expect(repetitionMs).toHaveLength(3);
      expect(Object.keys(counters)).toEqual(COUNTER_NAMES);
      expect(modelMs.min).toBeGreaterThan(0);
      expect(modelMs.median).toBeGreaterThanOrEqual(modelMs.min);
    }
  });
});
