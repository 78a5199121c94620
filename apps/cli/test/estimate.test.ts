import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pinfold } from './pinfold.ts';

const dir = mkdtempSync(join(tmpdir(), 'pinfold-estimate-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** A file of its own. */
function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

interface Time {
  readonly seconds: number;
  readonly low: number;
  readonly high: number;
}

/** An estimate as JSON, as far as it is looked at here. */
interface Estimated {
  readonly profile: { readonly name: string };
  readonly host: { readonly iommu: string; readonly memlock: number | string };
  readonly guests: readonly {
    readonly estimates: readonly {
      readonly kernel: string;
      readonly vm: { readonly name: string };
      readonly map: Time & { readonly parts: Readonly<Record<string, number>> };
      readonly unmap: Time;
      readonly populate: Time;
      readonly start: Time;
      readonly locked: { readonly missing: number; readonly process: number };
      readonly entries: { readonly needed: number; readonly limit: number };
      readonly tableBytes: number;
    }[];
    readonly advice: readonly { readonly change: string; readonly saves: number }[];
  }[];
}

async function estimated(...args: string[]): Promise<Estimated> {
  const { code, stdout, stderr } = await pinfold('estimate', '--json', ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Estimated;
}

const INTEL = ['--profile', 'jordan-2022-intel'];
const SIZES = 'a size like 4096, 512K, 16M, 16G, 1T or 8P (4 KiB pages)';

describe('pinfold estimate', () => {
  it.concurrent('has parts that add up, and advice that may hurt', async () => {
    const found = await estimated('--memory', '64G', '--backing', 'thp', ...INTEL);
    const [{ estimates, advice }] = found.guests;
    const [{ map, start, populate, kernel }] = estimates;
    const sum = Object.values(map.parts).reduce((a, b) => a + b, 0);
    expect(sum).toBeCloseTo(map.seconds, 9);
    expect(start.seconds).toBeCloseTo(map.seconds + populate.seconds, 9);
    expect(kernel).toBe('7.3');
    expect(found.host.iommu).toBe('intel-vtd');
    expect(advice.at(-1)).toMatchObject({ change: 'populate first, with 16 threads' });
    expect(advice.at(-1)?.saves).toBeLessThan(-1);
  });

  it.concurrent('takes every flag', async () => {
    const runs = file('runs.txt', '4K 1000\n2M 10\n');
    const flags =
      '--memory 8G --backing 4k --prealloc-threads 4 --containers 2 --bar 16M,32G ' +
      '--kernel 6.16,7.2 --memlock 4G --entry-limit 5 --iommu amd --profile jordan-2022-amd';
    const found = await estimated(...flags.split(' '), '--layout', runs);
    const [{ estimates }] = found.guests;
    expect(estimates.map(({ kernel }) => kernel)).toEqual(['6.16', '7.2']);
    expect(found.host).toMatchObject({ iommu: 'amd', memlock: 4 * 2 ** 30 });
    for (const { entries, locked, populate, map, unmap, tableBytes } of estimates) {
      expect(entries).toEqual({ needed: 4, limit: 5 });
      expect(locked).toMatchObject({ process: 16 * 2 ** 30, missing: 12 * 2 ** 30 });
      expect(tableBytes).toBeGreaterThan(2 ** 20);
      for (const { low, seconds, high } of [populate, map, unmap]) {
        expect(low).toBeLessThan(seconds);
        expect(high).toBeGreaterThan(seconds);
      }
    }
  });

  it.concurrent('says what the limit lacks, in the units of those who set it', async () => {
    const { code, stdout } = await pinfold('estimate', '--memory', '64G', '--memlock', '8M');
    expect(code).toBe(0);
    const text = stdout.replace(/\s+/g, ' ');
    expect(text).toContain('the limit is 8M, 63.99G too low (ENOMEM)');
    expect(text).toContain('ulimit -l 67108864, LimitMEMLOCK=68719476736,');
    expect(text).toContain("<hard_limit unit='KiB'>67108864</hard_limit>");
    expect(text).toContain('profile uncalibrated: no measurement stands behind it');
    expect(text).toContain('assumed to be one physically contiguous run');
  });

  it.concurrent('with CAP_IPC_LOCK lacks nothing', async () => {
    const flags = ['--memory', '1G', '--memlock', '8M', '--cap-ipc-lock', '--populated'];
    const [{ estimates }] = (await estimated(...flags)).guests;
    expect(estimates[0].locked.missing).toBe(0);
    expect(estimates[0].populate.seconds).toBe(0);
  });

  it.concurrent('reads a host with several guests, and its layouts beside it', async () => {
    file('beside.txt', '2M 1\n');
    const host = file(
      'host.yaml',
      `memlock: 64G
kernels: ['6.16', '7.2']
profile: jordan-2022-intel
vms:
  - { name: db, memory: 16G, backing: hugetlb-1g, prealloc-threads: 16 }
  - { name: web, memory: 8G, backing: thp, containers: 2, bars: [32G], layout: beside.txt }
`,
    );
    const found = await estimated(host);
    const names = found.guests.map(({ estimates }) => estimates.map(({ vm }) => vm.name));
    expect(names).toEqual([
      ['db', 'db'],
      ['web', 'web'],
    ]);
    expect(found.profile.name).toBe('jordan-2022-intel');
    const { stdout } = await pinfold('estimate', host, '--format', 'markdown');
    expect(stdout).toContain('### web: 8G of thp, not populated, 2 containers');
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it.concurrent('writes a page that needs no network', async () => {
    const page = join(dir, 'page.html');
    const flags = ['estimate', '--memory', '4G', '--backing', 'thp', '--html', page, ...INTEL];
    const { code, stderr } = await pinfold(...flags);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const html = readFileSync(page, 'utf8');
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/<(?:script|link|img)[^>]+(?:src|href)=/);
  });

  it.concurrent.each<[string, string]>([
    ['', '--memory: expected a size such as 64G, or a file of a host, got neither'],
    ['--memory lots', `--memory: expected ${SIZES}, got 'lots'`],
    [
      '--memory 100001M --backing hugetlb-1g',
      'guest: memory: expected a multiple of 1G, the page size of hugetlb-1g, got 100001M',
    ],
    ['--memory 1G --bar 3', 'guest: bars: expected multiples of 4K, got 3'],
    [
      '--memory 1G --prealloc-threads 0',
      "--prealloc-threads: expected a whole number from 1 to 4096, got '0'",
    ],
    [
      '--memory 1G --profile jordan-2022-amd --iommu intel-vtd',
      '--profile: expected a profile of intel-vtd (li-zhe-2025, williamson-2025, ' +
        "jordan-2022-intel, jordan-2021, uncalibrated), got 'jordan-2022-amd', of amd",
    ],
    [
      '--memory 1G --backing hugetlb-2m --layout x',
      "--layout: expected --backing 4k or thp beside it, got 'hugetlb-2m'",
    ],
  ])('%s is refused', async (line, message) => {
    const outcome = await pinfold('estimate', ...line.split(' ').filter((word) => word !== ''));
    expect(outcome).toEqual({ code: 2, stdout: '', stderr: `pinfold: ${message}\n` });
  });

  it.concurrent.each<[string, string, string]>([
    ['a.yaml', 'vms: [', 'a\\.yaml:1:\\d+: expected YAML or JSON'],
    ['b.yaml', 'vms: [{ memory: 1G, bars: [x] }]', 'b\\.yaml: vms\\.0\\.bars\\.0: expected a size'],
    [
      'c.yaml',
      "kernels: ['9.9']\nvms: [{ memory: 1G }]",
      'c\\.yaml: kernels\\.0: expected 6\\.1, ',
    ],
    [
      'd.yaml',
      'profile: x\nvms: [{ memory: 1G }]',
      'd\\.yaml: profile: expected one of li-zhe-2025',
    ],
    ['e.yaml', 'iommu: x\nvms: [{ memory: 1G }]', 'e\\.yaml: iommu: expected'],
  ])('%s names the place of its fault', async (name, text, message) => {
    const { code, stdout, stderr } = await pinfold('estimate', file(name, text));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^pinfold: .*${message}.*\n$`));
  });

  it.concurrent(
    'refuses a flag that a file would make it lose, and a page in no folder',
    async () => {
      const host = file('one.yaml', 'vms: [{ memory: 1G }]');
      const both = await pinfold('estimate', host, '--containers', '2');
      expect(both).toMatchObject({ code: 2, stdout: '' });
      expect(both.stderr).toMatch(/^pinfold: --containers: expected no file of a host beside it/);
      const nowhere = join(dir, 'none', 'x.html');
      const page = await pinfold('estimate', host, '--html', nowhere);
      expect(page).toMatchObject({ code: 2, stdout: '' });
      expect(page.stderr).toMatch(/^pinfold: --html: expected a file that can be written/);
    },
  );
});
