/** `pinfold review`: one report on a patch, in Markdown and as JSON. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownAlgorithmTemplate, pinAlgorithm } from '@pinfold/vfio-type1';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pinfold, type Outcome } from './pinfold.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinfold-review-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const PATCH = ownAlgorithmTemplate('patch', {
  ...{ base: '6.18', algorithm: pinAlgorithm('series-1-4'), steps: ['nextUnmapRun'] },
});
/** Looks at the first and the last page of what is left, and believes the rest. */
const WRONG = PATCH.replace('patch', 'wrong').replace(
  'run.npage = 1;',
  'run.npage = kernel.iovaToPhys(iovaPn + npage - 1) === run.pfn + npage - 1 ? npage : 1;',
);

/** Reviews a file of this text, on mappings of 4 MiB. */
function review(name: string, text: string, ...flags: string[]): Promise<Outcome> {
  const file = join(folder, name);
  writeFileSync(file, text);
  return pinfold('review', file, '--size', '4M', '--runs', '500', ...flags);
}

/** Lines that may be wider than a mail: what is to be run as it stands. */
function outsideFences(text: string): string[] {
  return text.split('```').filter((_, i) => i % 2 === 0);
}

describe('pinfold review', () => {
  it.concurrent('of a patch that is right says so, and what it changes', async () => {
    const text = PATCH.replace('run.npage = 1;', 'run.npage = 1; kernel.iovaToPhys(iovaPn);');
    const [one, two] = await Promise.all([
      review('right.ts', text),
      review('right.ts', text, '--workers', '1'),
    ]);
    const { code, stdout, stderr } = one;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(two.stdout).toBe(stdout);
    expect(stdout).toMatch(/^# patch: nothing violated\n\nseries-1-4, but for nextUnmapRun\.\n/);
    const hash = createHash('sha256').update(text).digest('hex');
    expect(stdout.replace(/\s+/g, ' ')).toContain(`right.ts, sha256 ${hash}`);
    expect(stdout).toContain('No sequence violates an invariant.\n');
    expect(stdout).toContain('Small folios lose in S4 on unmap: patch makes');
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      'patch changes against series-1-4 (base 6.18), and nothing else: 4k, S4: unmap iova_to_phys',
    );
    expect(stdout).toMatch(/\n```diff\n--- 6\.18\n\+\+\+ patch\n@@ [^]+\n\+ +iommu_iova_to_phys\(/);
    const wide = outsideFences(stdout).flatMap((part) => part.split('\n'));
    expect(wide.filter((line) => line.length > 80 && !line.includes(folder))).toEqual([]);
  });

  it.concurrent('of a patch that is wrong has the counterexample, and exit code 1', async () => {
    const [{ code, stdout }, json] = await Promise.all([
      review('wrong.ts', WRONG),
      review('wrong.ts', WRONG, '--json'),
    ]);
    expect([code, json.code]).toEqual([1, 1]);
    expect(stdout).toMatch(/^# wrong: violated: corruption/);
    expect(stdout).toMatch(/\n### 1\. corruption: an unmap takes only what is contiguous\n/);
    expect(stdout).toMatch(
      /\n```\ntitle wrong on 6\.18: .+\naudit against=batched kernel=6\.18\nopen /,
    );
    const report = JSON.parse(json.stdout) as { check: { per_class: object } };
    expect(report).toMatchObject({
      ...{ format: 'pinfold-review/1', algorithm: 'wrong', base: '6.18', kernel: '6.18' },
      verdict: 'violated: corruption',
      check: { format: 'pinfold-check/1', seed: 1, findings: [{ invariant: 'scan' }] },
      comparison: { patches: expect.any(Array) as unknown },
      calls: { diff: expect.arrayContaining([expect.stringMatching(/^-/)]) as unknown },
    });
    expect(Object.keys(report.check.per_class)).toHaveLength(18);
  });

  it.concurrent('of a patch that the kernel dies of says where it was not measured', async () => {
    const twice = ownAlgorithmTemplate('twice').replace(
      'return unlocked;',
      'kernel.putPfns(dma, pfn, npage);\n    return unlocked;',
    );
    const { code, stdout } = await review('twice.ts', twice, '--runs', '40');
    expect(code).toBe(1);
    expect(stdout).toContain('Not measured: 4k, S4: the kernel would crash: ');
    expect(stdout).toContain('} /* vfio_unpin_pages_remote ret=never */');
  });
});
