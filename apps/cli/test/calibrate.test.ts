import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pinfold } from './pinfold.ts';

const dir = mkdtempSync(join(tmpdir(), 'pinfold-calibrate-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** A file of its own. */
function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

const OWN = `op,size,backing,kernel,seconds
map,16G,THP,v6.16,0.0483
unmap,16G,THP,v6.16,0.1381
map,64G,hugetlbfs,v6.16,0.2104
unmap,64G,hugetlbfs,v6.16,0.5512
`;

interface Printed {
  readonly rows: readonly {
    readonly id: string;
    readonly seconds: number | null;
    readonly predicted: number | null;
    readonly low: number | null;
    readonly high: number | null;
    readonly excluded?: string;
  }[];
}

describe('pinfold calibrate', () => {
  it.concurrent('prints a profile with every measurement, as text and as Markdown', async () => {
    const text = await pinfold('calibrate', '--profile', 'jordan-2021');
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toMatch(/^Profile jordan-2021\n/);
    expect(text.stdout).toMatch(/^jordan2021-\S+ +[\d.]+ s +[\d.]+ s +[\d.]+ s to [\d.]+ s/m);
    const flags = ['calibrate', '--profile', 'jordan-2021', '--report', 'markdown'];
    const markdown = await pinfold(...flags);
    expect(markdown.stdout).toContain('### Profile jordan-2021');
    expect(markdown.stdout).toMatch(/^\| jordan2021-/m);
  });

  it.concurrent('holds out what it is told to', async () => {
    const flags = ['calibrate', '--profile', 'li-zhe-2025', '--hold-out', 'unpin-v'];
    const { stdout } = await pinfold(...flags);
    expect(stdout).toMatch(/^Held out: 18$/m);
    expect(stdout).toMatch(/^Excluded: 12$/m);
  });

  it.concurrent('predicts rows of a file, and says why it cannot', async () => {
    const li = { source: { author: 'Li Zhe (ByteDance)' }, hardware: "Li Zhe's test host" };
    const row = { op: 'map', backing: 'THP', kernel_base: 'v6.16', size_bytes: 2 ** 34, ...li };
    const rows = [
      { id: 'a', ...row },
      { id: 'b', ...row, backing: 'core memory', seconds: 1 },
    ];
    const path = file('rows.json', JSON.stringify({ rows }));
    const { code, stdout, stderr } = await pinfold('calibrate', '--predict', path, '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [a, b] = (JSON.parse(stdout) as Printed).rows;
    expect(a).toMatchObject({ id: 'a', seconds: null });
    expect(a.low).toBeLessThan(a.predicted ?? 0);
    expect(a.high).toBeGreaterThan(a.predicted ?? Infinity);
    expect(b).toMatchObject({ id: 'b', seconds: 1, predicted: null });
    expect(b.excluded).toContain('core memory');
  });

  it.concurrent('saves a profile that estimate and bench read', async () => {
    const saved = join(dir, 'own.json');
    const made = await pinfold('calibrate', file('own.csv', OWN), '--save', saved);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/^Profile own\n/);
    const flags = ['--memory', '16G', '--backing', 'thp', '--kernel', '6.16', '--populated'];
    const read = await pinfold('estimate', ...flags, '--profile', saved, '--json');
    expect(read.code).toBe(0);
    expect(read.stdout).toContain('"name": "own"');
    const unit = ['--size', '1G', '--backing', 'thp', '--kernel', '6.16', '--repeat', '1'];
    const bench = await pinfold('bench', ...unit, '--format', 'unit-test', '--profile', saved);
    expect(bench.stdout).toMatch(/^# 6\.16, thp: predicted, not measured$/m);
    expect(bench.stdout).toMatch(/^VFIO MAP DMA in 0\.003 s/m);
    expect(bench.stdout).toContain('profile own');
  });

  it.concurrent('measures the machine and says what it is not', { timeout: 60_000 }, async () => {
    const saved = join(dir, 'micro.json');
    const { code, stdout, stderr } = await pinfold('calibrate', '--micro', '--save', saved);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const text = stdout.replace(/\s+/g, ' ');
    expect(text).toMatch(/Atomic [\d.]+ ns, on a cold line [\d.]+ ns/);
    expect(text).toContain('Profile micro');
    expect(text).toContain('intervals are a factor of 2.5 up and down');
  });

  it.concurrent('prints instructions of recorded kernels', { timeout: 60_000 }, async () => {
    const { stdout } = await pinfold('calibrate', '--profile', 'icount-6.18.15');
    expect(stdout).toMatch(/^Profile icount-6\.18\.15\n/);
    expect(stdout).toMatch(/^n-mthp-1024k unmap .*layout from its map$/m);
  });

  it.concurrent('writes a page that needs no network', async () => {
    const flags = ['calibrate', '--profile', 'williamson-2025', '--report', 'html'];
    const { stdout } = await pinfold(...flags);
    expect(stdout).toMatch(/^<!doctype html>/);
    expect(stdout).toContain('awilliam-base-huge-map');
    expect(stdout).not.toMatch(/<(?:script|link|img)[^>]+(?:src|href)=/);
  });

  it.concurrent.each<[string, RegExp]>([
    ['--hold-out (', /^--hold-out: expected a regular expression, got '\('/],
    ['--profile foo', /^--profile: expected one of li-zhe-2025, .* got 'foo'/],
    ['--report pdf', /^--report: expected one of text, markdown, html, json, got 'pdf'/],
    ['--save x.json', /^--save: expected files of measurements, --micro, or one --profile/],
    ['none.csv', /^none\.csv: expected measurements that can be read/],
  ])('%s is refused', async (line, message) => {
    const { code, stdout, stderr } = await pinfold('calibrate', ...line.split(' '));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.replace(/^pinfold: /, '')).toMatch(message);
  });

  it.concurrent.each<[string, string, RegExp]>([
    ['empty.csv', 'op,size,backing,seconds\n', /empty\.csv: expected a line per measurement/],
    ['sign.csv', 'op,size,backing,seconds\nmap,1G,thp,-1\n', /sign\.csv:2: seconds: expected/],
    ['cut.json', '{', /cut\.json: expected measurements as JSON or CSV/],
    ['op.json', '{"rows":[{"id":"a"}]}', /op\.json: \[0\]\.op: expected measurements/],
  ])('%s names the place of its fault', async (name, text, message) => {
    const { code, stdout, stderr } = await pinfold('calibrate', file(name, text));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('--profile of bench and compare', () => {
  it.concurrent('is refused where its host has another IOMMU', async () => {
    const flags = ['--size', '64M', '--iommu', 'amd', '--profile', 'li-zhe-2025'];
    for (const command of ['bench', 'compare']) {
      const { code, stdout, stderr } = await pinfold(command, ...flags);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(/^pinfold: --profile: expected a profile of amd \(jordan-2022-amd, /);
    }
  });

  it.concurrent('adds predicted times with interval and profile', async () => {
    const flags = ['--size', '64M', '--backing', 'thp', '--repeat', '1'];
    for (const command of ['bench', 'compare']) {
      const { code, stdout } = await pinfold(command, ...flags, '--profile', 'li-zhe-2025');
      expect(code).toBe(0);
      expect(stdout).toMatch(/predicted/);
      expect(stdout).toMatch(/90 %/);
      expect(stdout).toMatch(/costs of profile\s+li-zhe-2025/);
    }
  });
});
