/**
 * Every scenario of scenarios/why says in comments what is to be explained of which line:
 * `# why LINE: ERRNO function; words; words; RELEASE outcome`, or `success` for an errno. The outcome
 * of another release is an errno, or `null`. `# kernel RELEASE` says on which it runs.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { kernelVersion, pinAlgorithm } from '@pinfold/vfio-type1';
import { describe, expect, it } from 'vitest';
import { checks } from '../src/explain/checks.ts';
import { explainScenario, ModelMachine, parseScenario, type Explanation } from '../src/index.ts';

const FOLDER = new URL('../scenarios/why/', import.meta.url);
const files = readdirSync(FOLDER).filter((file) => file.endsWith('.scn'));

interface Expected {
  readonly line: number;
  readonly outcome: string;
  readonly words: readonly string[];
}

function expectedOf(script: string): Expected[] {
  return [...script.matchAll(/^# why (\d+): (.*)$/gm)].map(([, line, rest]) => {
    const [outcome, ...words] = rest.split(';').map((part) => part.trim());
    return { line: Number(line), outcome, words };
  });
}

/** The release that a scenario is about: that of its comment `# kernel`, or the newest. */
function releaseOf(script: string): ReturnType<typeof kernelVersion> {
  return kernelVersion(/^# kernel (\S+)$/m.exec(script)?.[1] ?? '7.2');
}

async function explain(file: string): Promise<{ script: string; found: Explanation[] }> {
  const script = readFileSync(new URL(file, FOLDER), 'utf8');
  const machine = (kernel: ReturnType<typeof kernelVersion>): ModelMachine =>
    new ModelMachine({ kernel });
  return {
    script,
    found: await explainScenario(parseScenario(script, file), releaseOf(script), machine),
  };
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

describe('the scenarios', () => {
  it('make every check of MAP_DMA and UNMAP_DMA fail that a scenario can reach', async () => {
    const reached = new Set<string>();
    for (const file of files) {
      for (const { at } of (await explain(file)).found) if (at) reached.add(at);
    }
    // Not to be reached: all groups of the machine have the same aperture.
    const unreachable = ['vfio_iommu_aper_conflict'];
    const known = new Set(checks.map(({ at }) => at));
    const missing = [...known].filter((at) => !reached.has(at) && !unreachable.includes(at));
    expect(missing.sort()).toEqual([]);
  });
});
