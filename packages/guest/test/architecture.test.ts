/** The functions that ARCHITECTURE.md follows a map and an unmap through, against those that run. */
import { readFileSync } from 'node:fs';
import { Session, type Profiler } from 'node:inspector/promises';
import { kernelVersion } from '@pinfold/kernels';
import { createTask, mmapAnonymous } from '@pinfold/mm';
import { runScenario } from '@pinfold/scenario';
import { openContainer } from '@pinfold/vfio-type1';
import { beforeAll, describe, expect, test } from 'vitest';
import { ModelMachine, parseScenario } from '../src/index.ts';

const page = readFileSync(new URL('../../../ARCHITECTURE.md', import.meta.url), 'utf8');
/** "`a`, `b` and `c` ([file.ts](path/to/file.ts))". */
const MENTION = /((?:`[^`]+`(?:,| and)? )+)\(\[[^\]]+\]\(([^)]+)\)\)/g;

/** Memory of every kind that the steps speak of, mapped and unmapped; the last map is refused. */
const SCRIPT = `
open type=v2 dev=ivsh16
device dev=ivsh16
mmap name=A kind=anon size=4M advise=huge
touch va=A size=4M
mmap name=B kind=anon size=64K advise=nohuge
mmap name=C kind=bar dev=ivsh16 bar=2 size=1M
map iova=0x40000000 va=A size=4M
map iova=0x50000000 va=B size=64K
map iova=0x60000000 va=C size=1M
unmap iova=0x40000000 size=4M
unmap iova=0x50000000 size=64K
dropcap
memlock bytes=2M
map iova=0x40000000 va=A size=4M
`;

/** 6 GiB, and 2 GiB that a page has to leave before it is pinned for long. */
const MEMORY = [
  { pfn: 0, npage: 0x80000 },
  { pfn: 0x100000, npage: 0x100000 },
  { pfn: 0x200000, npage: 0x80000, zone: 'movable' },
] as const;

/** Functions and methods that a section names. */
function functionsOf(heading: string): { name: string; file: string }[] {
  const [, rest = ''] = page.split(`\n## ${heading}\n`);
  const [text = ''] = rest.split('\n## ');
  return [...text.matchAll(MENTION)].flatMap(([, names = '', file = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => ({ name, file })).filter(isFunction),
  );
}

function isFunction({ name, file }: { name: string; file: string }): boolean {
  const source = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
  const own = name.split('.').at(-1) ?? '';
  return new RegExp(`^(?:export )?function ${own}\\b|^  (?:\\w+ )?${own}\\(`, 'm').test(source);
}

async function mapAndUnmap(series: string): Promise<void> {
  const kernel = kernelVersion(series);
  const { steps } = await runScenario(
    parseScenario(SCRIPT, 'architecture.scn'),
    new ModelMachine({ kernel, facts: { memory: MEMORY } }),
  );
  expect(steps.map(({ observation }) => observation.errno)).toEqual([
    ...Array.from({ length: 13 }, () => null),
    'ENOMEM',
  ]);
  const task = createTask({ rules: kernel.mm });
  const { memory } = task.mm;
  mmapAnonymous(task.mm, 0x10000, 512);
  const container = openContainer({ kernel, memory });
  container.mapDma(task, { vaddr: 0x1000_0000n, iova: 0n, size: 2n << 20n });
  container.unmapDma({ iova: 0n, size: 2n << 20n });
}

describe.each(['One VFIO_IOMMU_MAP_DMA', 'One VFIO_IOMMU_UNMAP_DMA'])('%s', (heading) => {
  const named = functionsOf(heading);
  let ran: Profiler.ScriptCoverage[] = [];

  beforeAll(async () => {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    await mapAndUnmap('6.16');
    await mapAndUnmap('6.18');
    ran = (await session.post('Profiler.takePreciseCoverage')).result;
    session.disconnect();
  });

  test('names functions', () => {
    expect(named.length).toBeGreaterThan(10);
  });

  test.each(named)('runs $name', ({ name, file }) => {
    const functions = ran.find(({ url }) => url.endsWith(file))?.functions ?? [];
    const own = functions.filter(({ functionName }) => functionName === name.split('.').at(-1));
    expect(own.some(({ ranges }) => ranges.some(({ count }) => count > 0))).toBe(true);
  });
});
