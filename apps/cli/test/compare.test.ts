import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COUNTER_NAMES, type CounterValues } from '@pinfold/base';
import { iommuKinds, operations, type CompareReport, type CompareRow } from '@pinfold/bench';
import { kernelVersions } from '@pinfold/kernels';
import { ownAlgorithmTemplate, pinAlgorithms } from '@pinfold/vfio-type1';
import { describe, expect, it } from 'vitest';
import { pinfold } from './pinfold.ts';

const KERNELS = kernelVersions.map(({ series }) => series).join(', ');
const IOMMUS = `one of ${iommuKinds.map(({ name }) => name).join(', ')}`;
const ALGORITHMS = pinAlgorithms.map(({ name }) => name).join(', ');

/** Runs compare on 64 MiB, and reads its JSON. */
async function compareJson(...flags: string[]): Promise<CompareReport> {
  const { code, stdout, stderr } = await pinfold(
    ...['compare', '--size', '64M', '--repeat', '1', '--json', ...flags],
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as CompareReport;
}

/** 64 MiB: pages, and batches of 512 of them. */
const N = 16_384;
const B = 32;

/** Contiguous runs (C), runs inside batches (R) and folios (F) of the reference's layouts. */
const LAYOUTS: Readonly<Record<string, { c: number; r: number; f: number }>> = {
  S4: { c: N, r: N, f: N },
  T4: { c: 1, r: B, f: N },
  H2: { c: B, r: B, f: B },
  'H2-adjacent': { c: 1, r: B, f: B },
};

/** What an algorithm does differently, as far as the formulas of the reference know it. */
interface Patches {
  /** Batches instead of one page per GUP call. */
  readonly batches: boolean;
  /** Patch 1: runs of pages on map. */
  readonly runs: boolean;
  /** Patch 2: one vpfn look-up per region on unmap. */
  readonly oneLookup: boolean;
  /** Patches 3 and 4: a range unpin without reserved tests. */
  readonly rangeUnpin: boolean;
}

const none: Patches = { batches: false, runs: false, oneLookup: false, rangeUnpin: false };
const PATCHES: Readonly<Record<string, Patches>> = {
  'page-at-a-time': none,
  batched: { ...none, batches: true },
  'series-1-compare': { ...none, batches: true, runs: true },
  'series-1-2': { ...none, batches: true, runs: true, oneLookup: true },
  'series-1-3': { ...none, batches: true, runs: true, oneLookup: true },
  'series-1-4': { batches: true, runs: true, oneLookup: true, rangeUnpin: true },
};

/** Reference strategies.md, tables (a), (f) and (g). */
function expected({ algorithm, layoutTag, op }: CompareRow): Partial<CounterValues> {
  const { c, r, f } = LAYOUTS[layoutTag];
  const { batches, runs, oneLookup, rangeUnpin } = PATCHES[algorithm];
  if (op === 'unmap') {
    const puts = rangeUnpin ? Math.max(f, c) : N;
    return {
      ...{ iovaToPhysCalls: N + c - 1, iommuUnmapCalls: c, iotlbSyncs: Math.ceil(c / 512) },
      reservedTests: rangeUnpin ? 0 : N,
      vpfnLookups: oneLookup ? c : N,
      ...{ putCalls: puts, putAtomics: puts * (f < N ? 2 : 1) },
    };
  }
  const tested = runs ? r : N;
  return {
    ...{ vpfnLookups: tested, limitTests: tested, iommuMapCalls: c, accountingUpdates: c },
    pageCompares: runs ? N - B : 0,
    gupCalls: batches ? B : N + c - 1,
    pageFills: batches ? N : N + c - 1,
    pfnCompares: batches ? tested + c - 1 : N - 1,
    ...(batches ? { reservedTests: tested + c } : {}),
  };
}

/** A file with one step of 6.18 that looks the first page of a run up once more. */
const PATCH = `export default {
  name: 'looks-twice',
  base: '6.18',
  nextUnmapRun(kernel, dma, iovaPn, npage, run) {
    kernel.iovaToPhys(iovaPn);
    kernel.iovaToPhysRun(iovaPn, npage, run);
  },
};
`;

it.concurrent(
  'of a patch with one step on 6.18, only the counters of that step differ',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pinfold-patch-'));
    const [patch, other] = ['patch.mjs', 'other.mjs'].map((name) => join(folder, name));
    writeFileSync(patch, PATCH);
    writeFileSync(other, PATCH.replace('looks-twice', 'on-6-16').replace("'6.18'", "'6.16'"));
    const report = await compareJson('--backing', '4k,thp', '--file', patch, '--file', other);
    rmSync(folder, { recursive: true });
    const names = report.algorithms.map(({ name, base }) => [name, base]);
    expect(report).toMatchObject({ base: 'series-1-4', kernel: '6.18' });
    expect(names).toEqual([
      ['series-1-4', null],
      ['batched', null],
      ['looks-twice', '6.18'],
      ['on-6-16', '6.16'],
    ]);
    for (const [own, base] of [
      ['looks-twice', 'series-1-4'],
      ['on-6-16', 'batched'],
    ]) {
      const of = (name: string): CompareRow[] =>
        report.rows.filter((row) => row.algorithm === name);
      of(own).forEach((row, i) => {
        const before = of(base)[i].counters;
        const differ = COUNTER_NAMES.filter((name) => row.counters[name] !== before[name]);
        expect(differ).toEqual(row.op === 'map' ? [] : ['iovaToPhysCalls', 'iovaToPhysLevels']);
      });
      const [changed] = report.patches.filter((one) => one.algorithm === own && one.op === 'unmap');
      expect(changed.base).toBe(base);
      expect(changed.operations).toEqual([
        { name: 'iovaToPhysCalls', before: 2 * N - 1, after: 3 * N - 1 },
      ]);
    }
  },
);

describe('pinfold compare --json', () => {
  it.concurrent('counts what the formulas of the reference say', async () => {
    const names = Object.keys(PATCHES);
    const { rows } = await compareJson(
      ...[
        '--algorithm',
        names.join(','),
        '--backing',
        '4k,thp',
        '--layout',
        Object.keys(LAYOUTS).join(','),
      ],
    );
    expect(rows).toHaveLength(names.length * Object.keys(LAYOUTS).length * 2);
    for (const row of rows) {
      const { algorithm, layoutTag, op, counters } = row;
      expect(counters, `${algorithm}, ${layoutTag}, ${op}`).toMatchObject(expected(row));
    }
  });

  it.concurrent('says how each row compares with the base, and what small folios pay', async () => {
    const report = await compareJson('--algorithm', 'series-1-4', '--backing', '4k');
    const { rows, smallFolios } = report;
    expect(report).toMatchObject({ kernel: '6.18', bytes: 2 ** 26, base: 'batched', operations });
    expect(rows).toHaveLength(8);
    for (const row of rows) {
      const { op, counters, change } = row;
      expect(Object.keys(counters)).toEqual(COUNTER_NAMES);
      expect(row.operations).toBe(operations[op].reduce((sum, name) => sum + counters[name], 0));
      if (row.algorithm === 'batched') expect(change).toBeNull();
      else expect(change).toMatchObject({ operations: expect.any(Number) as number });
    }
    expect(smallFolios.map(({ layoutTag, op, loses }) => [layoutTag, op, loses])).toEqual([
      ['S4', 'map', true],
      ['S4', 'unmap', false],
      ['T4', 'map', false],
      ['T4', 'unmap', false],
    ]);
    expect(smallFolios[0]).toMatchObject({
      ...{ more: [{ name: 'pageCompares', perPage: (N - B) / N }], fewer: [] },
    });
  });

  it.concurrent('runs every algorithm of the registry, the wrong ones too', async () => {
    const names = pinAlgorithms.map(({ name }) => name);
    const { algorithms } = await compareJson(
      '--algorithm',
      names.join(','),
      '--backing',
      'hugetlb-2m',
    );
    expect(algorithms).toEqual(
      pinAlgorithms.map(({ name, summary, source, defects }) => ({
        base: null,
        name,
        summary,
        source,
        defects,
      })),
    );
  });
});

describe('pinfold compare', () => {
  it.concurrent('prints tables, and nothing on stderr without a terminal', async () => {
    const { code, stdout, stderr } = await pinfold(
      ...['compare', '--size', '8M', '--repeat', '1', '--backing', '4k', '--layout', 'T4'],
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^VFIO_IOMMU_MAP_DMA of 4k, T4, 8M: 2,048 pages\n/);
    expect(stdout).toMatch(/^4k, T4 +series-1-4 .* no loss/m);
  });

  it.concurrent('prints the same again without times', async () => {
    const flags = ['compare', '--size', '8M', '--repeat', '1', '--backing', 'thp,4k', '--no-time'];
    const first = await pinfold(...flags);
    expect(first.stdout).toContain('page compares +1.00');
    expect(await pinfold(...flags)).toEqual(first);
  });

  it.concurrent('takes any size, without the backings that it does not suit', async () => {
    const flags = ['--size', '64M', '--repeat', '1', '--no-time', '--algorithm', 'series-1-4'];
    const { code, stdout, stderr } = await pinfold('compare', ...flags);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('hugetlb-1g  left out: 64M is no multiple of its page size, 1G\n');
    const json = await pinfold('compare', ...flags, '--json');
    const { rows, leftOut } = JSON.parse(json.stdout) as CompareReport;
    expect(leftOut).toEqual(['hugetlb-1g']);
    expect([...new Set(rows.map(({ backing }) => backing))]).toEqual(['4k', 'thp', 'hugetlb-2m']);
  });

  it.concurrent('has the IOMMU that it is asked for, and says so', async () => {
    const flags = ['--size', '8M', '--repeat', '1', '--backing', 'thp', '--no-time'];
    const { code, stdout, stderr } = await pinfold('compare', ...flags, '--iommu', 'smmuv3');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^IOMMU +smmuv3: Arm SMMUv3/m);
    const without = await pinfold('compare', ...flags);
    expect(without.stdout).not.toMatch(/^IOMMU /m);
  });

  it.concurrent('prints Markdown of 80 columns', async () => {
    const { stdout } = await pinfold(
      ...['compare', '--size', '8M', '--repeat', '1', '--backing', 'thp', '--format', 'markdown'],
    );
    expect(stdout).toMatch(/^### VFIO_IOMMU_MAP_DMA of thp, H2, 8M: 2,048 pages\n\n\| algorithm /);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it.concurrent.each([
    [
      '--layout S4 --backing hugetlb-1g',
      `--layout: expected a layout of hugetlb-1g, such as H1, H1-adjacent, got 'S4'`,
    ],
    ['--layout S5', `--layout: expected one of S4, T4, H2, H1, H2-adjacent, H1-adjacent, got 'S5'`],
    ['--backing swap', `--backing: expected one of thp, 4k, hugetlb-2m, hugetlb-1g, got 'swap'`],
    ['--algorithm batched,quick', `--algorithm: expected one of ${ALGORITHMS}, got 'quick'`],
    ['--base quick', `--base: expected one of ${ALGORITHMS}, got 'quick'`],
    ['--kernel 5.4', `--kernel: expected ${KERNELS} or a point release of these, got '5.4'`],
    ['--iommu vtd', `--iommu: expected ${IOMMUS}, got 'vtd'`],
    ['--format pdf', `--format: expected one of text, markdown, got 'pdf'`],
    [
      '--size 1536M --layout S4,H1',
      `--size: expected a multiple of 1G, the page size of hugetlb-1g, such as 1G or 2G, got 1536M`,
    ],
  ])('refuses %s on one line', async (flags, message) => {
    const outcome = await pinfold('compare', ...flags.split(' '));
    expect(outcome).toEqual({ code: 2, stdout: '', stderr: `pinfold: ${message}\n` });
  });
});

it.concurrent('an algorithm of one’s own that goes wrong is named in one line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-compare-'));
  const changes = [
    ['npage, dirty)', 'npage - 1, dirty)', 'thp, H2, own: after unmapping everything, 2 pins and '],
    [
      'let ret = 0;',
      'let ret = 0; if (npage > 9) return -12;',
      'thp, H2, own: VFIO_IOMMU_MAP_DMA: ENOMEM',
    ],
  ];
  const outcomes = await Promise.all(
    changes.map(async ([from, to, message], i) => {
      const file = join(folder, `own-${i}.ts`);
      writeFileSync(file, ownAlgorithmTemplate('own').replace(from, to));
      const memory = ['--size', '4M', '--backing', 'thp', '--layout', 'H2', '--repeat', '1'];
      const outcome = await pinfold('compare', '--file', file, ...memory);
      return { outcome, message: `pinfold: ${file}: ${message}` };
    }),
  );
  rmSync(folder, { recursive: true });
  for (const { outcome, message } of outcomes) {
    expect(outcome).toMatchObject({ code: 1, stdout: '' });
    expect(outcome.stderr.startsWith(message)).toBe(true);
    expect(outcome.stderr.split('\n')).toHaveLength(2);
  }
});
