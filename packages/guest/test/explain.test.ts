/**
 * Every scenario of scenarios/why says in comments what is to be explained of which line:
 * `# why LINE: ERRNO function; words; words; RELEASE outcome`, or `success` for an errno. The outcome
 * of another release is an errno, or `null`. `# kernel RELEASE` says on which it runs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { kernelVersion } from '@pinfold/kernels';
import { runScenario } from '@pinfold/scenario';
import { pinAlgorithm } from '@pinfold/vfio-type1';
import { describe, expect, it } from 'vitest';
import { checks } from '../src/explain/checks.ts';
import {
  DEFAULT_MACHINE,
  explainRun,
  explainScenario,
  explainWhilePossible,
  factsOfLine,
  ModelMachine,
  parseScenario,
  type Explanation,
} from '../src/index.ts';

const FOLDER = new URL('../scenarios/why/', import.meta.url);
const files = readdirSync(FOLDER).filter((file) => file.endsWith('.scn'));

interface Expected {
  readonly line: number;
  readonly outcome: string;
  readonly words: readonly string[];
}

function expectedOf(script: string): Expected[] {
  const expected = [...script.matchAll(/^# why (\d+): (.*)$/gm)].map(([, line, rest]) => {
    const [outcome, ...words] = rest.split(';').map((part) => part.trim());
    return { line: Number(line), outcome, words };
  });
  return expected.sort((a, b) => a.line - b.line);
}

/** The release that a scenario is about: that of its comment `# kernel`, or the newest. */
function releaseOf(script: string): ReturnType<typeof kernelVersion> {
  return kernelVersion(/^# kernel (\S+)$/m.exec(script)?.[1] ?? '7.2');
}

async function explain(file: string): Promise<{ script: string; found: Explanation[] }> {
  const script = readFileSync(new URL(file, FOLDER), 'utf8');
  const scenario = parseScenario(script, file);
  const facts = factsOfLine(scenario.machine, DEFAULT_MACHINE);
  const machine = (kernel: ReturnType<typeof kernelVersion>): ModelMachine =>
    new ModelMachine({ kernel, facts });
  return { script, found: await explainScenario(scenario, releaseOf(script), machine) };
}

it.each(files)('%s', async (file) => {
  const { script, found } = await explain(file);
  const expected = expectedOf(script);
  expect(found.map(({ line }) => line)).toEqual(expected.map(({ line }) => line));
  expected.forEach(({ outcome, words }, i) => {
    const { errno, at, sentences, releases } = found[i];
    expect(errno === null ? 'success' : `${errno} ${at ?? ''}`).toBe(outcome);
    for (const word of words) {
      const release = /^(\d+\.\d+) (\w+)$/.exec(word);
      if (release) expect(String(releases[release[1]])).toBe(release[2]);
      else expect(sentences.join(' ')).toContain(word);
    }
  });
});

it('a crash of an algorithm is told in its own words', async () => {
  const script = `open type=v2
mmap name=H kind=huge2m size=1024P addr=0x4000000000 frames=0x8000x512:9,0x8400x512:9
map iova=0 va=H+511P size=514P
`;
  const type1 = { pinAlgorithm: pinAlgorithm('hugetlb-v1-2025') };
  const [{ errno, at, sentences }] = await explainScenario(
    parseScenario(script, 'crash.scn'),
    kernelVersion('6.16'),
    (kernel) => new ModelMachine({ kernel, type1 }),
  );
  expect([errno, at]).toEqual(['BUG', 'gup_put_folio']);
  expect(sentences).toEqual([
    'The kernel would crash here, or corrupt its memory: gup_put_folio: pfn 33280 holds fewer than 1 pins.',
  ]);
});

describe('a machine of which nobody has said how much memory it has', () => {
  const guest = (size: string, head = '', flags = ''): string =>
    `${head}open type=v2\nmmap name=R kind=anon size=${size} advise=huge${flags}\nmap iova=4G va=R size=${size}\n`;
  const run = (script: string): Promise<unknown> => {
    const scenario = parseScenario(script, 'big.scn');
    const facts = factsOfLine(scenario.machine, DEFAULT_MACHINE);
    const kernel = kernelVersion('7.2');
    return runScenario(scenario, new ModelMachine({ kernel, facts }));
  };
  const tooSmall =
    /^big\.scn:(\d): memory: expected a step .+ machine .+ 7 GiB, .+'machine memory=/;

  it.each([
    ['a map', guest('6G'), '3'],
    ['a touch', guest('6G').replace('map iova=4G', 'touch'), '3'],
    ['an mmap that populates', guest('6G', '', ' flags=populate'), '2'],
  ])('%s that needs more is a fault of the scenario, not of the kernel', async (_, script, at) => {
    const error = await run(script).catch((one: unknown) => one as Error);
    expect((error as Error).name).toBe('InputError');
    expect(tooSmall.exec((error as Error).message)?.[1]).toBe(at);
  });

  it('with the line that the message names it is done', async () => {
    const error = await run(guest('6G')).catch((one: unknown) => one as Error);
    const line = /'(machine memory=\S+)'/.exec((error as Error).message)?.[1] ?? '';
    await expect(run(guest('16G', `${line}\n`))).resolves.toMatchObject({
      steps: [{}, { observation: { errno: null } }, { observation: { errno: null } }],
    });
  });
});

describe('a limit that a map meets', () => {
  const script = (limit: number): string =>
    `open type=v2\nmmap name=A kind=anon size=4M\ndropcap\nmap iova=1G va=A size=1M\n` +
    `memlock bytes=${limit}K\nmap iova=2G va=A size=3M\n`;
  const last = async (limit: number): Promise<Explanation | undefined> => {
    const machine = (kernel: ReturnType<typeof kernelVersion>): ModelMachine =>
      new ModelMachine({ kernel });
    const scenario = parseScenario(script(limit), 'limit.scn');
    const found = await explainScenario(scenario, kernelVersion('7.2'), machine);
    return found.find(({ line, errno }) => line === 6 && errno !== null);
  };

  it('is told with what was charged before the call, and the limit that will do', async () => {
    const said = (await last(2048))?.sentences.join(' ') ?? '';
    expect(said).toContain('256 pages (1 MiB) were charged before this step');
    expect(said).toContain('Memory of it is in the mapping of line 4');
    const enough = Number(/`ulimit -l (\d+)`\), or keep/.exec(said)?.[1]);
    expect(enough).toBe(4096);
    expect(await last(enough - 4)).toBeDefined();
    expect(await last(enough)).toBeUndefined();
  });
});

it('a step after one that failed does not hide why', async () => {
  const script = `machine hugepages=100
open type=v2
mmap name=D kind=memfd2m size=1G
map iova=0x40000000 va=D size=1G
`;
  const scenario = parseScenario(script, 'pool.scn');
  const facts = factsOfLine(scenario.machine, DEFAULT_MACHINE);
  const { explanations, done, stopped } = await explainWhilePossible(
    scenario,
    kernelVersion('7.2'),
    (kernel) => new ModelMachine({ kernel, facts }),
  );
  expect(explanations).toMatchObject([{ line: 3, errno: 'ENOMEM', at: 'hugetlb_acct_memory' }]);
  expect(explanations[0].sentences[0]).toContain('512 huge pages, but the pool of 2 MiB has 100');
  expect(done).toBe(2);
  expect(stopped?.message).toMatch(/^pool\.scn:4: va: .+'D', whose mmap failed$/);
});

it('an errno that nothing explains is said to be none', () => {
  const scenario = parseScenario('info', 'info.scn');
  const observation = {
    ...{ op: 'info', ret: -1, errno: 'EIO', mm: { VmLck: 0 }, memlock: null },
    pins: { acquired: 0, released: 0 },
  };
  const [step] = scenario.steps;
  const steps = [{ index: 0, step, operation: { op: 'info' } as const, observation }];
  expect(explainRun({ steps, pinsLeft: 0 })).toMatchObject([
    { errno: 'EIO', sentences: ['pinfold cannot say which check of info gave EIO.'] },
  ]);
});

describe('the scenarios', () => {
  it('make every check of MAP_DMA and UNMAP_DMA fail that a scenario can reach', async () => {
    const reached = new Set<string>();
    for (const file of files) {
      for (const { at } of (await explain(file)).found) if (at) reached.add(at);
    }
    // All groups of the machine have the same aperture; the others need a kernel that refuses the mmap.
    const unreachable = ['vfio_iommu_aper_conflict', '__vm_enough_memory', 'mlock_future_ok'];
    const known = new Set(checks.map(({ at }) => at));
    const missing = [...known].filter((at) => !reached.has(at) && !unreachable.includes(at));
    expect(missing.sort()).toEqual([]);
  });
});
