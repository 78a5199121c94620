/**
 * The template for algorithms of one's own: it does what `series-1-4` does, counter by counter, on
 * random processes and kernels, and the texts that show it are the same as the file.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { algorithmFrom, ownAlgorithmTemplate, pinAlgorithm } from '../src/index.ts';
import { setup, step, type Setup, type Step } from './ioctls.ts';
import template from './own-algorithm-template.ts';
import { Process } from './process.ts';
import { world, type World } from './world.ts';
import { kernels } from './kernels.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const numRuns = Number(process.env.PINFOLD_RUNS ?? 25);
const TIMEOUT = 60_000 + 1000 * numRuns;
const file = readFileSync(new URL('own-algorithm-template.ts', import.meta.url), 'utf8');

/** The module that carries the template; `vitest -u` writes it. */
function moduleWith(text: string): string {
  const lines = text.split('\n').map((line) => line.replace(/[\\`$]/g, '\\$&'));
  return `/**
 * A template for algorithms of one's own, as text: made from test/own-algorithm-template.ts, which
 * is checked and tested. \`vitest run test/own-algorithm.test.ts -u\` writes it.
 */

/**
 * The template: what Linux 6.18 does, in fifty lines.
 *
 * @param name name of the algorithm
 * @returns the text of a file
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_unpin_pages_remote, 6.18
 */
export function ownAlgorithmTemplate(name: string): string {
  return TEMPLATE.replace("'my-algorithm'", \`'\${name}'\`);
}

const TEMPLATE = \`${lines.join('\n')}\`;
`;
}

describe('the template', () => {
  test('has at most fifty lines', () => {
    expect(file.trimEnd().split('\n').length).toBeLessThanOrEqual(50);
  });

  test('is what the package gives out, with another name', async () => {
    await expect(moduleWith(file)).toMatchFileSnapshot('../src/own-algorithm/template.ts');
    expect(ownAlgorithmTemplate('my-algorithm')).toBe(file);
    expect(ownAlgorithmTemplate('other')).toBe(file.replace("'my-algorithm'", "'other'"));
  });

  test.each(['../../../docs/own-algorithm.md'])('is shown in %s', (page) => {
    const text = readFileSync(new URL(page, import.meta.url), 'utf8');
    expect(text).toContain(`\`\`\`ts\n${file}\`\`\`\n`);
  });
});

const sequence = fc.tuple(
  world,
  setup,
  fc.array(step, { minLength: 2, maxLength: 12, size: 'max' }),
);
type Sequence = readonly [World, Setup, readonly Step[]];

describe.each(kernels)('under the rules of $name', (kernel) => {
  test(
    'it ends in the same state as series-1-4, with the same counters and failures',
    () => {
      const own = algorithmFrom(template, 'own-algorithm-template.ts');
      const check = ([memory, options, steps]: Sequence): void => {
        const [built, mine] = [pinAlgorithm('series-1-4'), own].map(
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
