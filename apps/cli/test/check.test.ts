/** `pinfold check`: exit codes, reports, counterexamples that replay, and files of one's own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { ownAlgorithmTemplate } from '@pinfold/vfio-type1';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main, node, pinfold, type Outcome } from './pinfold.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinfold-check-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs a check whose scenario files go to a directory of its own. */
function check(out: string, ...flags: string[]): Promise<Outcome> {
  return pinfold('check', '--out', join(folder, out), ...flags);
}

/** Checks the template with one line changed. */
function checkFile(name: string, from: string, to: string, ...flags: string[]): Promise<Outcome> {
  const text = ownAlgorithmTemplate('changed');
  expect(text.split(from)).toHaveLength(2);
  const file = join(folder, name);
  writeFileSync(file, text.replace(from, to));
  return check(`${name}.out`, '--file', file, '--runs', '20', ...flags);
}

describe('the exit code is', () => {
  it.concurrent('0 where only the recorded kernels go wrong too, 1 if that counts', async () => {
    const flags = ['--kernel', '6.16', '--runs', '250'];
    const [plain, strict] = await Promise.all([
      check('known', ...flags),
      check('strict', ...flags, '--strict'),
    ]);
    expect(plain).toMatchObject({ code: 0, stderr: '' });
    expect(plain.stdout).toMatch(/^batched on Linux 6\.16, compared with batched\n250 sequences, /);
    expect(plain.stdout).toMatch(/\nknown: also in the recorded kernels\n {2}.+ y18, y29\)\n/);
    expect(plain.stdout).toMatch(/seed 1\n\nnothing violated\n\nknown: /);
    expect(strict).toMatchObject({ code: 1, stderr: '' });
    expect(strict.stdout).toMatch(/\n {2}pinfold run --kernel 6\.16 \S+batched-\d-charge\.scn\n/);
  });

  it.concurrent('2 for a question that makes no sense', async () => {
    const { code, stdout, stderr } = await pinfold('check');
    expect({ code, stdout, stderr }).toEqual({
      ...{ code: 2, stdout: '' },
      stderr: 'pinfold: check: expected --algorithm, --file or --kernel, got none of them\n',
    });
  });

  it.concurrent.each([
    [['--time', '3d'], "--time: expected a time such as 90s, 30m or 2h, up to 168h, got '3d'"],
    [['--sequence', '-1'], "--sequence: expected a whole number from 0 to 99999999, got '-1'"],
    [['--sequence', '1', '--from', '1'], '--sequence: expected no --from beside it, got 1'],
  ])('2 for %j', async (flags, message) => {
    const { code, stderr } = await check('bad', '--kernel', '6.16', ...flags);
    expect({ code, stderr }).toEqual({ code: 2, stderr: `pinfold: ${message}\n` });
  });

  it.concurrent('2 where no scenario can be written', async () => {
    writeFileSync(join(folder, 'taken'), '');
    const { code, stderr } = await check(
      'taken',
      '--algorithm',
      'hugetlb-v1-2025',
      '--runs',
      '100',
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^pinfold: --out: expected a directory that can be written to, got .+\n$/,
    );
  });

  it.concurrent('2 where none could be written, before anything is looked for', async () => {
    writeFileSync(join(folder, 'file'), '');
    const flags = ['--algorithm', 'extent', '--runs', '100000000'];
    const outcomes = await Promise.all([
      pinfold('check', ...flags, '--out', join(folder, 'file/below')),
      pinfold('check', ...flags, '--out', '/proc/none/below'),
    ]);
    for (const { code, stderr } of outcomes) {
      expect(code).toBe(2);
      expect(stderr).toMatch(/^pinfold: --out: expected a directory that .+, got .+\n$/);
    }
  });
});

describe('what was found', () => {
  const FOUND = ['--algorithm', 'hugetlb-v1-2025', '--runs', '510'];

  it.concurrent('is printed where its file cannot be written, and an old one stays', async () => {
    const out = join(folder, 'blocked');
    const file = join(out, 'hugetlb-v1-2025-1-reach.scn');
    mkdirSync(join(file, 'in-the-way'), { recursive: true });
    const { code, stdout, stderr } = await check('blocked', ...FOUND);
    expect(code).toBe(1);
    expect(stdout).toContain(`\n${file}, which could not be written:\ntitle hugetlb-v1-2025 on`);
    expect(stderr).toContain(`pinfold: ${file}: expected a file that can be written, got E`);
    expect(readdirSync(out)).toEqual(['hugetlb-v1-2025-1-reach.scn']);
  });

  it.concurrent.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by then is printed at %s', async (signal, exit) => {
    const flags = ['--algorithm', 'batched', '--runs', '100000000', '--json'];
    const args = ['--conditions=@pinfold/source', main, 'check', ...flags];
    const child = spawn(process.execPath, [...args, '--out', join(folder, signal)]);
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    // The folder is there before the first sequence is run.
    while (!readdirSync(folder).includes(signal)) await wait(20);
    await wait(500);
    child.kill(signal);
    const [code] = (await once(child, 'close')) as [number | null];
    expect(code).toBe(exit);
    expect(JSON.parse(stdout)).toMatchObject({ interrupted: true, findings: [] });
  });

  it.concurrent('stands beside a mistake in the file', async () => {
    const text = ownAlgorithmTemplate('changed')
      .replace('(dma.prot & kernel.IOMMU_WRITE) !== 0', 'false')
      .replace(
        'return unlocked;',
        'if (++calls > 2500) throw new Error("late");\n    return unlocked;',
      );
    const file = join(folder, 'late.ts');
    writeFileSync(file, `let calls = 0;\n${text}`);
    const flags = ['--file', file, '--runs', '2500', '--workers', '1'];
    const { code, stdout, stderr } = await check('late', ...flags);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toContain('\nviolated: dirty pages and dirty bitmaps are exact\n');
    expect(stdout.replace(/\s+/g, ' ')).toMatch(
      /violated: a step returns what it has to \S+late\.ts:\d+:\d+: unpinRegion throws Error: late /,
    );
  });

  const flags = ['--algorithm', 'hugetlb-v1-2025', '--runs', '510', '--json'];

  it.concurrent('is the same on any number of threads, and replays', async () => {
    const reports = await Promise.all(
      ['1', '2', '3'].map((workers) => check('threads', ...flags, '--workers', workers)),
    );
    const [one, ...others] = reports;
    expect(one).toMatchObject({ code: 1, stderr: '' });
    for (const other of others) expect(other).toEqual(one);
    const report = JSON.parse(one.stdout) as { findings: { what: string; file: string }[] };
    expect(report).toMatchObject({
      ...{ format: 'pinfold-check/1', algorithm: 'hugetlb-v1-2025', against: 'batched' },
      ...{ kernel: '6.16', seed: 1, sequences: 510, classes: 18 },
      known: expect.any(Array) as unknown,
    });
    const [finding] = report.findings;
    expect(finding).toMatchObject({
      ...{ invariant: 'reach', known: null, sequence: expect.any(Number) as unknown },
      ...{ rule: 'a device reaches the pages of its mapping and no others' },
    });
    const { file, what } = finding;
    expect(finding).toHaveProperty('script', readFileSync(file, 'utf8').trimEnd().split('\n'));
    const [own, reference] = await Promise.all([
      pinfold('run', '--algorithm', 'hugetlb-v1-2025', file),
      pinfold('run', '--algorithm', 'batched', file),
    ]);
    expect(own.code).toBe(1);
    expect(own.stdout).toContain(
      `: a device reaches the pages of its mapping and no others (corruption)\n  ${what}\n`,
    );
    expect(reference).toMatchObject({ code: 0, stderr: '' });
    expect(reference.stdout).toContain('\naudit: every invariant holds\n');
  });

  it.concurrent('of a sequence alone, or of those from a number on, is that of all', async () => {
    const { stdout } = await check('all', ...flags);
    interface Finding {
      sequence: number;
      invariant: string;
      script: string[];
    }
    const all = JSON.parse(stdout) as { findings: Finding[]; per_class: object };
    const [{ sequence, invariant, script }] = all.findings;
    const [alone, rest] = await Promise.all([
      check('alone', ...flags, '--sequence', String(sequence)),
      check('rest', ...flags, '--from', String(sequence), '--runs', '250'),
    ]);
    expect([alone.code, rest.code]).toEqual([1, 1]);
    const one = JSON.parse(alone.stdout) as { findings: Finding[] };
    expect(one).toMatchObject({ from: sequence, sequences: 1, classes: 1 });
    expect(one.findings.at(-1)).toMatchObject({ sequence, invariant, script });
    const later = JSON.parse(rest.stdout) as { findings: Finding[] };
    expect(later).toMatchObject({ from: sequence, sequences: 250 });
    expect(later.findings).toContainEqual(expect.objectContaining({ sequence, invariant, script }));
    expect(Object.keys(all.per_class)).toHaveLength(18);
    expect(all.per_class).toHaveProperty(['ends of huge pages'], {
      ...{ sequences: 29, violated: expect.any(Number) as number },
    });
  });

  it.concurrent('ends by time, and says so', async () => {
    const { code, stdout } = await check('time', '--kernel', '6.16', '--time', '1s');
    expect(code).toBe(0);
    expect(stdout).toMatch(/ sequences?, .+, seed 1; ended by --time\n/);
  });

  it.concurrent('is there for continuous integration', async () => {
    const of = (format: string): Promise<Outcome> =>
      check(format, ...FOUND, '--runs', '50', '--format', format);
    const [tap, junit, github] = await Promise.all(['tap', 'junit', 'github'].map(of));
    for (const { code, stderr } of [tap, junit, github])
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const rule = 'a device reaches the pages of its mapping and no others';
    expect(tap.stdout).toMatch(/^TAP version 14\n1\.\.13\nok 1 - the kernel does not crash\n/);
    expect(tap.stdout).toContain(`\nnot ok 3 - ${rule}\n# the device reaches frame `);
    expect(junit.stdout).toContain(
      '<testsuite name="hugetlb-v1-2025 on 6.16" tests="13" failures="',
    );
    expect(junit.stdout).toContain(`name="${rule}"><failure type="corruption" message="the device`);
    expect(github.stdout).toMatch(
      /^::error title=corruption%3A a device reaches .+::the device reaches frame .+%0A.+\.scn$/m,
    );
  });

  it.concurrent('depends on the seed', async () => {
    const [one, two] = await Promise.all([
      check('one', ...flags, '--runs', '100'),
      check('two', ...flags, '--runs', '100', '--seed', '2'),
    ]);
    expect(two.code).toBe(1);
    expect(two.stdout).not.toBe(one.stdout);
  });
});

describe('a file of one’s own that', () => {
  const WANT = 'const want = kernel.disableHugepages ? 1 : npage;';

  it.concurrent('is right passes', async () => {
    const outcome = await checkFile('right.ts', WANT, WANT);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/^changed on Linux 6\.16.+\n20 sequences/);
  });

  it.concurrent('goes wrong has a counterexample that replays', async () => {
    const dirty = '(dma.prot & kernel.IOMMU_WRITE) !== 0';
    const { code, stdout } = await checkFile('not clean.ts', dirty, 'false', '--runs', '60');
    expect(code).toBe(1);
    const [, own, found] = /\n {2}pinfold run --file '(.+)' '(.+)'\n/.exec(stdout) ?? [];
    const replayed = await pinfold('run', '--file', own, found);
    expect(replayed.code).toBe(1);
    expect(replayed.stdout).toMatch(
      /\nviolated after line \d+: dirty pages and dirty bitmaps are exact \(corruption\)\n/,
    );
  });

  it.concurrent.each([
    ['throws', "throw new Error('oh no');", /:\d+:11: pinChunk throws Error: oh no$/],
    ['returns too much', 'return 1e6;', /:\d+:3: pinChunk returned 1000000, expected 1 page or /],
    ['returns nothing', 'return 0;', /:\d+:3: pinChunk returned 0, expected 1 page or /],
    ['returns no number', 'return NaN;', /:\d+:3: pinChunk returned NaN, expected 1 page or /],
    ['is too curious', 'batch.page(-1);', /:\d+:\d+: batch\.page: expected .+, got -1$/],
    ['wants to end the process', 'process.exit(0);', /:\d+:13: pinChunk throws Error: /],
  ])('%s is found, with the smallest sequence', async (name, mistake, message) => {
    const file = `${name.replaceAll(' ', '-')}.ts`;
    const { code, stdout, stderr } = await checkFile(file, WANT, mistake, '--json');
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const { findings } = JSON.parse(stdout) as { findings: Record<string, unknown>[] };
    expect(findings).toMatchObject([{ invariant: 'step', grade: 'corruption', known: null }]);
    expect(findings[0].what).toMatch(message);
    const script = findings[0].script as string[];
    expect(script.filter((line) => line.startsWith('map '))).toEqual([
      expect.stringMatching(/ size=1P$/),
    ]);
    const replay = ['--file', join(folder, file), String(findings[0].file)];
    const replayed = await pinfold('run', ...replay);
    expect(replayed.code).toBe(1);
    expect(replayed.stdout).toContain(': a step returns what it has to (corruption)\n');
  });

  it.concurrent('only maps by smaller leaves passes if that is allowed', async () => {
    const small = 'const want = 1;';
    const [strict, allowed] = await Promise.all([
      checkFile('leaves.ts', WANT, small, '--runs', '100', '--json'),
      checkFile('allowed.ts', WANT, small, '--runs', '100', '--allow', 'leaves,errno'),
    ]);
    expect(strict.code).toBe(1);
    expect(JSON.parse(strict.stdout)).toMatchObject({
      findings: [{ invariant: 'equal', grade: 'leaves' }],
      waived: [],
    });
    expect(allowed).toMatchObject({ code: 0, stderr: '' });
    expect(allowed.stdout).toContain(
      'nothing violated of the grades that count (--allow leaves,errno)\n',
    );
    expect(allowed.stdout).toContain('\nwaived (--allow leaves): results are those of');
  });

  it.concurrent('corrupts is found beside what is waived', async () => {
    const text = ownAlgorithmTemplate('both')
      .replace(WANT, 'const want = 1;')
      .replace('(dma.prot & kernel.IOMMU_WRITE) !== 0', 'false');
    const file = join(folder, 'both.ts');
    writeFileSync(file, text);
    const flags = ['--file', file, '--runs', '100', '--allow', 'leaves', '--json'];
    const { code, stdout } = await check('both', ...flags);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      findings: [{ invariant: 'dirty', grade: 'corruption' }],
      waived: [{ grade: 'leaves' }],
    });
  });

  it.concurrent.each([
    ['fails later', `${WANT} void Promise.reject(new Error('no'));`, /: throws outside .+ no\n$/],
    ['loops for ever', 'for (;;);', /:\d+:\d+: pinChunk .+\n$/],
  ])('%s is told its place', async (name, mistake, message) => {
    const file = `${name.replaceAll(' ', '-')}.ts`;
    const { code, stdout, stderr } = await checkFile(file, WANT, mistake, '--patience', '1');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(`pinfold: ${join(folder, file)}:`);
    expect(stderr).toMatch(message);
  });

  it.concurrent('uses up the memory is no crash', async () => {
    const file = join(folder, 'memory.ts');
    const mistake = 'const all: unknown[] = []; for (;;) all.push(new Array(1e6).fill(0.5));';
    writeFileSync(file, ownAlgorithmTemplate('memory').replace(WANT, mistake));
    const flags = ['--runs', '20', '--out', join(folder, 'memory')];
    const { code, stderr } = await node(
      ...['--max-old-space-size=150', main, 'check', '--file', file, ...flags],
    );
    expect({ code, stderr }).toEqual({ code: 2, stderr: `pinfold: ${file}: uses up the memory\n` });
  });

  it.concurrent('changes built-in functions does not pass', async () => {
    const file = join(folder, 'built-ins.ts');
    writeFileSync(file, `${ownAlgorithmTemplate('built-ins')}\nMath.min = () => NaN;\n`);
    const { code, stdout, stderr } = await check('built-ins', '--file', file, '--runs', '20');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toBe(
      `pinfold: ${file}: the check has ended before its sequences did: built-in functions were changed\n`,
    );
  });

  it.concurrent('does not compile is told where', async () => {
    const file = join(folder, 'syntax.ts');
    writeFileSync(file, 'export default {\n  name: ,\n};\n');
    const { code, stderr } = await check('syntax', '--file', file);
    expect(code).toBe(2);
    expect(stderr).toMatch(/syntax\.ts:2:9: expected code that Node\.js can run, got /);
  });
});
