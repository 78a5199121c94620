import { backings, layouts } from '@pinfold/bench';
import { kernelVersions, pinAlgorithms } from '@pinfold/vfio-type1';
import { describe, expect, it } from 'vitest';
import { pinfold } from './pinfold.ts';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  algorithms: pinAlgorithms.map(({ name }) => name),
  kernels: kernelVersions.map(({ series }) => series),
  backings: backings.map(({ name }) => name),
  layouts: Object.keys(layouts),
};

/** An entry, as JSON has it. */
interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly source: string;
}

describe.each(Object.keys(NAMES))('pinfold list %s', (what) => {
  it.concurrent(
    'has every entry of the registry, with what it is and where it comes from',
    async () => {
      const { code, stdout, stderr } = await pinfold('list', what, '--json');
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const entries = (JSON.parse(stdout) as Record<string, Entry[]>)[what];
      expect(entries.map(({ name }) => name)).toEqual(NAMES[what]);
      for (const { summary, source } of entries) {
        expect(summary).toMatch(/\S/);
        expect(source).toMatch(/\S/);
      }
    },
  );

  it.concurrent('says so for people', async () => {
    const { code, stdout } = await pinfold('list', what);
    expect(code).toBe(0);
    expect(stdout.match(/^\S+/gm)).toEqual(NAMES[what]);
    expect(stdout.match(/^ +from: /gm)).toHaveLength(NAMES[what].length);
  });
});

describe('pinfold list', () => {
  it.concurrent('says what is known to be wrong with an algorithm', async () => {
    const { stdout } = await pinfold('list', 'algorithms');
    const defects = pinAlgorithms.flatMap((algorithm) => algorithm.defects);
    expect(stdout.match(/^ +known to be wrong: /gm) ?? []).toHaveLength(defects.length);
  });

  it.concurrent.each([
    ['', 'list: expected one of algorithms, kernels, backings, layouts, got nothing'],
    [' algos', "list: expected one of algorithms, kernels, backings, layouts, got 'algos'"],
    [' layouts 4k', "list: expected only what, --json, --help, got '4k'"],
  ])('refuses "list%s" on one line', async (args, message) => {
    const outcome = await pinfold(...`list${args}`.split(' '));
    expect(outcome).toEqual({ code: 2, stdout: '', stderr: `pinfold: ${message}\n` });
  });
});
