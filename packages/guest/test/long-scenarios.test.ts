/** The work of long scenarios, by what they look at: it grows with their steps, not with the square. */
import { SpanTree } from '@pinfold/base';
import { IommuDomain } from '@pinfold/iommu';
import { kernelVersion } from '@pinfold/kernels';
import { PageTable } from '@pinfold/mm';
import { runScenario, ShownLayouts, type IommuRun, type LayoutExtent } from '@pinfold/scenario';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  explainRun,
  explainScenario,
  ModelMachine,
  parseScenario,
  ShownTable,
  type GuestRun,
} from '../src/index.ts';

const kernel = kernelVersion('6.18');

afterEach(() => {
  vi.restoreAllMocks();
});

/** Counts the leaves, runs, mappings and regions that anything looks at. */
function countLooks(): { looks: number } {
  const counted = { looks: 0 };
  // The originals are called with the object that the spy is called on.
  /* eslint-disable @typescript-eslint/unbound-method */
  const { forEachLeaf } = PageTable.prototype;
  const { nextLeaves } = IommuDomain.prototype;
  const { overlapping, [Symbol.iterator]: all } = SpanTree.prototype;
  /* eslint-enable @typescript-eslint/unbound-method */
  vi.spyOn(PageTable.prototype, 'forEachLeaf').mockImplementation(function (
    this: PageTable,
    start,
    end,
    visit,
  ) {
    forEachLeaf.call(this, start, end, (...leaf) => {
      counted.looks++;
      visit(...leaf);
    });
  });
  vi.spyOn(IommuDomain.prototype, 'nextLeaves').mockImplementation(function (
    this: IommuDomain,
    ...args
  ) {
    counted.looks++;
    return nextLeaves.apply(this, args);
  });
  vi.spyOn(SpanTree.prototype, 'overlapping').mockImplementation(function* (
    this: SpanTree<never>,
    ...args
  ) {
    for (const span of overlapping.apply(this, args)) {
      counted.looks++;
      yield span as never;
    }
  });
  vi.spyOn(SpanTree.prototype, Symbol.iterator).mockImplementation(function* (
    this: SpanTree<never>,
  ) {
    for (const span of all.call(this)) {
      counted.looks++;
      yield span as never;
    }
  });
  return counted;
}

function run(script: string): Promise<GuestRun> {
  return runScenario(parseScenario(script, 'many.scn'), new ModelMachine({ kernel }));
}

const SCRIPTS: readonly [name: string, script: (steps: number) => string][] = [
  [
    'maps of one page side by side',
    (n) => `mmap name=R kind=anon size=64M\nmap iova=1G+8K*i va=R+4K*i size=4K repeat=${n}`,
  ],
  [
    'maps of the same page',
    (n) => `mmap name=R kind=anon size=4K\nmap iova=1G+8K*i va=R size=4K repeat=${n}`,
  ],
  [
    'maps and unmaps',
    (n) =>
      `mmap name=R kind=anon size=64M flags=populate\nmap iova=1G+8K*i va=R+8K*i size=4K repeat=${n}\n` +
      `unmap iova=1G+8K*i size=4K repeat=${n}`,
  ],
  [
    'touched pages',
    (n) => `mmap name=R kind=anon size=64M advise=nohuge\ntouch va=R+8K*i size=4K repeat=${n}`,
  ],
  [
    'regions',
    (n) =>
      Array.from({ length: n }, (_, i) => `mmap name=R${i} kind=anon size=4K`).join('\n') +
      `\n${Array.from({ length: n }, (_, i) => `touch va=R${i} size=4K`).join('\n')}`,
  ],
];

describe.each(SCRIPTS)('%s', (_, script) => {
  it.each(['runs', 'is explained'])(
    '%s by looking at twice as much for twice the steps',
    async (how) => {
      const looks = async (steps: number): Promise<number> => {
        const counted = countLooks();
        const done = await run(`open type=v2\n${script(steps)}`);
        if (how === 'is explained') explainRun(done);
        vi.restoreAllMocks();
        return counted.looks;
      };
      const [once, twice] = [await looks(200), await looks(400)];
      expect(once).toBeGreaterThan(100);
      expect(twice).toBeLessThanOrEqual(2 * once + 20);
    },
  );
});

describe('what a step shows', () => {
  it('is what it showed, whoever reads it after later steps', async () => {
    const script =
      'open type=v2\nmmap name=R kind=anon size=32K\nmap iova=1G+8K*i va=R+4K*i size=4K repeat=4\n' +
      'unmap iova=1G size=32K';
    const shown: unknown[] = [];
    const { steps } = await runScenario(
      parseScenario(script, 'a.scn'),
      new ModelMachine({ kernel }),
      { onStep: ({ observation }) => shown.push(JSON.stringify(observation)) },
    );
    expect(steps.map(({ observation }) => JSON.stringify(observation))).toEqual(shown);
    expect(steps.map(({ observation }) => observation.iommu?.runs_total)).toEqual([
      ...[0, undefined, 1, 2, 3, 4, 0],
    ]);
  });
});

describe('what a step says to have changed', () => {
  const script =
    'open type=v2\nmmap name=R kind=anon size=4M advise=huge\nmmap name=S kind=anon size=1M\n' +
    'touch va=R+16K*i size=4K repeat=20\nmap iova=1G+8K*i va=S+4K*i size=4K repeat=40\n' +
    'map iova=2G va=R size=4M\nunmap iova=1G+16K*i size=4K repeat=20\n' +
    'madvise va=S+8K*i size=4K advice=dontneed repeat=9\nunmap iova=2G size=4M\nmunmap va=S size=32K';

  it('makes the table of the step before that of the step', async () => {
    const { steps } = await run(script);
    let before: readonly IommuRun[] = [];
    let parts = 0;
    for (const { iommu } of steps.flatMap(({ observation }) => observation)) {
      if (!iommu) continue;
      const changed = ShownTable.changed(iommu);
      if (changed) {
        const [from, to] = [BigInt(changed.from), BigInt(changed.to)];
        const kept = before.filter(([iova]) => BigInt(iova) < from || BigInt(iova) >= to);
        const now = [...kept, ...changed.runs].sort((a, b) => Number(BigInt(a[0]) - BigInt(b[0])));
        expect(now).toEqual(iommu.runs);
        parts++;
      }
      before = iommu.runs;
    }
    expect(parts).toBeGreaterThan(60);
  });

  it('makes the layouts of the step before those of the step', async () => {
    const { steps } = await run(script);
    const before = new Map<string, readonly LayoutExtent[]>();
    let parts = 0;
    for (const { layout = {} } of steps.map(({ observation }) => observation)) {
      for (const [name, extents] of Object.entries(layout)) {
        const changed = ShownLayouts.changed(layout, name);
        if (changed) {
          const { off, n } = changed;
          const kept = (before.get(name) ?? []).filter(([at]) => at < off || at >= off + n);
          const now = [...kept, ...changed.extents].sort((a, b) => a[0] - b[0]);
          expect(now).toEqual(extents);
          parts++;
        }
        expect(ShownLayouts.count(layout, name)).toBe(extents.length);
        before.set(name, extents);
      }
    }
    expect(parts).toBeGreaterThan(40);
  });
});

describe('a container that has all the mappings it may have', () => {
  it('refuses the next with ENOSPC, and is explained with what to change', async () => {
    const script =
      'open type=v2\nmmap name=R kind=anon size=4K\nmap iova=1G+4K*i va=R size=4K repeat=65536';
    const { steps, pinsLeft } = await run(script);
    const errnos = steps.slice(2).map(({ observation }) => observation.errno);
    expect(errnos.indexOf('ENOSPC')).toBe(65_535);
    expect(errnos.filter((errno) => errno !== null)).toEqual(['ENOSPC']);
    expect(steps[steps.length - 2].observation).toMatchObject({
      avail: 0,
      mm: { VmLck: 65_535 * 4 },
      iommu: { leaf: { '4K': 65_535 }, runs_total: 65_535 },
    });
    expect(pinsLeft).toBe(0);
  }, 120_000);

  it('says which releases do, up to that step', async () => {
    const script =
      'sysfs path=/sys/module/vfio_iommu_type1/parameters/dma_entry_limit val=3\n' +
      'open type=v2\nmmap name=R kind=anon size=16K\nmap iova=1G+8K*i va=R+4K*i size=4K repeat=4\nclose';
    const scenario = parseScenario(script, 'a.scn');
    const all = await explainScenario(scenario, kernel, (of) => new ModelMachine({ kernel: of }));
    expect(all).toHaveLength(1);
    const [{ line, text, errno, at, sentences, releases, repeated }] = all;
    expect({ line, text, errno, at, repeated }).toEqual({
      ...{ line: 4, text: 'map iova=1G+24K va=R+12K size=4K', errno: 'ENOSPC' },
      ...{
        at: 'vfio_dma_do_map',
        repeated: { i: 3, text: 'map iova=1G+8K*i va=R+4K*i size=4K repeat=4' },
      },
    });
    expect(sentences.join()).toContain('has its 3 mappings, which is the dma_entry_limit');
    expect(sentences.join()).toContain('raise vfio_iommu_type1.dma_entry_limit before');
    expect(new Set(Object.values(releases))).toEqual(new Set(['ENOSPC']));
  });
});
