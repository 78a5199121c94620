/**
 * The template for algorithms of one's own: it does what `series-1-4` does, counter by counter, on
 * random processes and kernels, and the texts that show it are the same as the file.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ALGORITHM_STEPS,
  algorithmFrom,
  ownAlgorithmTemplate,
  pinAlgorithm,
} from '../src/index.ts';
import { setup, step, type Setup, type Step } from './ioctls.ts';
import inWords from './own-algorithm-batched.ts';
import template from './own-algorithm-template.ts';
import { Process } from './process.ts';
import { world, type World } from './world.ts';
import { kernels } from './kernels.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const numRuns = Number(process.env.PINFOLD_RUNS ?? 25);
const TIMEOUT = 60_000 + 1000 * numRuns;
const file = readFileSync(new URL('own-algorithm-template.ts', import.meta.url), 'utf8');
const all = readFileSync(new URL('own-algorithm-batched.ts', import.meta.url), 'utf8');

/** The module that carries the templates; `vitest -u` writes it. */
function moduleWith(...texts: readonly string[]): string {
  const [newest, oldest] = texts.map((text) => text.replace(/[\\`$]/g, '\\$&'));
  return `/**
 * Templates for algorithms of one's own, as text: made from test/own-algorithm-template.ts and
 * test/own-algorithm-batched.ts, which are checked and tested. \`vitest run
 * test/own-algorithm.test.ts -u\` writes it.
 */

/** What Linux 6.18 does, in fifty lines. */
export const SERIES_1_4 = \`${newest}\`;

/** What Linux 6.16 does, with all steps. */
export const BATCHED = \`${oldest}\`;
`;
}

describe('the template', () => {
  test('has at most fifty lines', () => {
    expect(file.trimEnd().split('\n').length).toBeLessThanOrEqual(50);
  });

  test('is what the package gives out, with another name', async () => {
    await expect(moduleWith(file, all)).toMatchFileSnapshot('../src/own-algorithm/templates.ts');
    expect(ownAlgorithmTemplate('my-algorithm')).toBe(file);
    expect(ownAlgorithmTemplate('other')).toBe(file.replace("'my-algorithm'", "'other'"));
  });

  test.each(['../../../docs/own-algorithm.md'])('is shown in %s', (page) => {
    const text = readFileSync(new URL(page, import.meta.url), 'utf8');
    expect(text).toContain(`\`\`\`ts\n${file}\`\`\`\n`);
  });
});

describe('a file with one step', () => {
  const [built, series] = [pinAlgorithm('batched'), pinAlgorithm('series-1-4')];

  test.each(ALGORITHM_STEPS)('%s is that of its base, and states it', (step) => {
    const text = ownAlgorithmTemplate('mine', { base: '6.16', algorithm: built, steps: [step] });
    const [, body] = new RegExp(`\\n((?:  //.*\\n)+  ${step}\\([^]+?\\n  },\\n)`).exec(all) ?? [];
    expect(text).toContain(
      `  name: 'mine',\n  summary: 'batched, but for ${step}',\n  base: '6.16',`,
    );
    expect(text.split('\n\n').slice(2).join('\n\n')).toBe(`${body}} satisfies OwnAlgorithm;\n`);
  });

  test('has the steps that the base has', () => {
    const made = { base: '6.18', algorithm: series, steps: ['pinChunk', 'nextUnmapRun'] as const };
    const text = ownAlgorithmTemplate('mine', made);
    expect(text).toContain('kernel.numPagesContiguous(batch)');
    expect(text).toContain('kernel.iovaToPhys(iovaPn)');
    expect(text).not.toContain('unpinRegion');
    const from = { base: 'series-1-4', algorithm: series };
    expect(ownAlgorithmTemplate('mine', from)).toContain('kernel.unpinUserPageRangeDirtyLock(');
  });

  test('is not written where a step is in no words', () => {
    const from = {
      base: 'extent',
      algorithm: pinAlgorithm('extent'),
      steps: ['pinChunk'] as const,
    };
    expect(() => ownAlgorithmTemplate('mine', from)).toThrow(
      /^pinChunk of extent: expected a step of series-1-4 or batched, /,
    );
  });
});

const sequence = fc.tuple(
  world,
  setup,
  fc.array(step, { minLength: 2, maxLength: 12, size: 'max' }),
);
type Sequence = readonly [World, Setup, readonly Step[]];

describe.each(kernels)('under the rules of $name', (kernel) => {
  test.each([
    ['series-1-4', template],
    ['batched', inWords],
  ])(
    'it ends in the same state as %s, with the same counters and failures',
    (name, exported) => {
      const own = algorithmFrom(exported, 'own-algorithm-template.ts');
      const check = ([memory, options, steps]: Sequence): void => {
        const [built, mine] = [pinAlgorithm(name), own].map(
          (algorithm) => new Process(memory, options, kernel, algorithm),
        );
        for (const what of steps) {
          const ioctl = built.ioctl(what);
          built.expected(ioctl);
          const returned = built.run(ioctl);
          expect(mine.run(ioctl)).toEqual(returned);
          expect(mine.state()).toBe(built.state());
          expect(mine.memory.counters.snapshot()).toEqual(built.memory.counters.snapshot());
          expect(mine.iommu.failure).toEqual(built.iommu.failure);
        }
      };
      fc.assert(fc.property(sequence, check), { numRuns, seed: SEED + 3 });
    },
    TIMEOUT,
  );
});
