import { backings, layouts } from '@pinfold/bench';
import { scenarioOps } from '@pinfold/guest';
import { kernelVersions } from '@pinfold/kernels';
import { pinAlgorithms } from '@pinfold/vfio-type1';
import { describe, expect, it } from 'vitest';
import { pinfold } from './pinfold.ts';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  algorithms: pinAlgorithms.map(({ name }) => name),
  kernels: kernelVersions.map(({ series }) => series),
  backings: backings.map(({ name }) => name),
  layouts: Object.keys(layouts),
  operations: scenarioOps.map(({ name }) => name),
};

/** Operations come from the scenario language; all else comes from somewhere else. */
const hasSources = (what: string): boolean => what !== 'operations';

/** An entry, as JSON has it. */
interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly source?: string;
  readonly usage?: string;
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
        if (hasSources(what)) expect(source).toMatch(/\S/);
      }
    },
  );

  it.concurrent('says so for people', async () => {
    const { code, stdout } = await pinfold('list', what);
    expect(code).toBe(0);
    expect(stdout.match(/^\S+/gm)).toEqual(NAMES[what]);
    const sources = stdout.match(/^ +from: /gm) ?? [];
    expect(sources).toHaveLength(hasSources(what) ? NAMES[what].length : 0);
    // Pages of the repository, their sections and their tags mean nothing to who reads this.
    expect(stdout).not.toMatch(/\w\.md\b|§|\bV\d\d|\breference\b/);
  });
});

describe('pinfold list', () => {
  it.concurrent('says how every operation is written, and which are not modelled', async () => {
    const { stdout } = await pinfold('list', 'operations');
    const text = stdout.replace(/\s+/g, ' ');
    for (const { usage, summary, modelled } of scenarioOps)
      expect(text).toContain(`${usage} ${summary}${modelled ? '' : ' (not modelled)'}`);
    expect(text).toContain('memlock bytes= sets RLIMIT_MEMLOCK');
  });

  it.concurrent('says what is known to be wrong with an algorithm', async () => {
    const { stdout } = await pinfold('list', 'algorithms');
    const defects = pinAlgorithms.flatMap((algorithm) => algorithm.defects);
    expect(stdout.match(/^ +known to be wrong: /gm) ?? []).toHaveLength(defects.length);
  });

  it.concurrent.each([
    ['', 'list: expected one of algorithms, kernels, backings, layouts, operations, got nothing'],
    [
      ' algos',
      "list: expected one of algorithms, kernels, backings, layouts, operations, got 'algos'",
    ],
    [' layouts 4k', "list: expected only what, --json, --help, got '4k'"],
  ])('refuses "list%s" on one line', async (args, message) => {
    const outcome = await pinfold(...`list${args}`.split(' '));
    expect(outcome).toEqual({ code: 2, stdout: '', stderr: `pinfold: ${message}\n` });
  });
});
