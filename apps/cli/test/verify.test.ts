/** `pinfold verify` on recordings that agree, that do not, and that are none. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Recording } from '@pinfold/conformance';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { edit, type Edit } from './edit.ts';
import { pinfold } from './pinfold.ts';

const kernel = fileURLToPath(new URL('../../../packages/recordings/6.18.15/', import.meta.url));
const GOOD = join(kernel, 'main/b06-thp.json.gz');
const COUNTS = /^(\d+) passed, (\d+) failed, (\d+) skipped$/;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinfold-verify-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Writes a recording after edits; returns its file. */
function changed(name: string, ...edits: readonly Edit[]): string {
  const recording = parsed();
  edit(recording, ...edits);
  return written(name, gzipSync(JSON.stringify(recording)));
}

function parsed(): Recording {
  return JSON.parse(gunzipSync(readFileSync(GOOD)).toString()) as Recording;
}

function written(name: string, content: string | Uint8Array): string {
  const file = join(folder, name);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** What the last line counts. */
function counts(stdout: string): { passed: number; failed: number; skipped: number } {
  const [, passed, failed, skipped] = COUNTS.exec(stdout.trimEnd().split('\n').at(-1) ?? '') ?? [];
  return { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) };
}

/** Columns of the longest line. */
function widthOf(stdout: string): number {
  return Math.max(...stdout.split('\n').map(({ length }) => length));
}

/** What the map of the trace pass pinned. */
const WRONG_PINS: Edit = ['runs[0].steps[3].pins.acquired', 4095];

/** A benchmark at the end: it is not modelled. */
function withBench(): Edit[] {
  const line = 'bench va=A iova=4G size=16M reps=1 warm=0';
  const { script, runs } = parsed();
  const passes = runs.map(({ steps }, index): Edit => {
    return [`runs[${index}].steps[${steps.length}]`, { ...steps.at(-1), op: 'bench', line }];
  });
  return [[`script[${script.length}]`, line], ...passes];
}

/** A benchmark and nothing else. */
function onlyBench(): Edit[] {
  const line = 'bench va=0 iova=0 size=4K';
  const passes = parsed().runs.map(({ steps }, index): Edit => {
    return [`runs[${index}].steps`, [{ ...steps[0], op: 'bench', line }]];
  });
  return [['script', [line]], ...passes];
}

describe('recordings that agree', () => {
  it.concurrent('pass', async () => {
    const { code, stdout, stderr } = await pinfold('verify', GOOD);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(counts(stdout)).toEqual({ passed: 21, failed: 0, skipped: 0 });
    expect(stdout).toMatch(/^passed: 1 recording, everything as recorded\.\n\n/);
    expect(stdout).toMatch(/^kernel +family +recordings +passed +passed +passed +passed$/m);
    expect(stdout).toMatch(/^6\.18\.15 +b +1 +12 +5 +2 +2$/m);
    expect(stdout).toMatch(/^b +kinds of memory: /m);
    const omitted = 'calls, trace not compared on 6.18.15 (called at attach and detach only): ';
    expect(stdout).toContain(omitted);
    expect(widthOf(stdout)).toBeLessThanOrEqual(120);
  });

  it.concurrent('are found in folders, each once', async () => {
    cpSync(GOOD, join(written('found/a/manifest.json', '{"recordings": []}'), '../b06.json.gz'));
    written('found/node_modules/x.json', '{}');
    written('found/notes.txt', 'no recording');
    const plain = gunzipSync(readFileSync(GOOD));
    const json = written('found/b/c/b07.json', plain);
    const found = join(folder, 'found');
    const { code, stdout } = await pinfold('verify', found, json);
    expect(code).toBe(0);
    expect(counts(stdout).passed).toBe(2 * 21);
  });

  it.concurrent('are compared on the levels that were asked for', async () => {
    const { code, stdout } = await pinfold('verify', GOOD, '--level', 'calls,table');
    expect(code).toBe(0);
    expect(counts(stdout)).toEqual({ passed: 7, failed: 0, skipped: 0 });
    expect(stdout).not.toContain('state');
  });

  it.concurrent('are those of the families that were asked for', async () => {
    const i01 = join(kernel, 'main/i01-info.json.gz');
    const { code, stdout } = await pinfold('verify', GOOD, i01, '--family', 'i');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^6\.18\.15 +i +1 /m);
    expect(stdout).not.toMatch(/^6\.18\.15 +b /m);
  });
});

describe('a recording that does not agree', () => {
  it.concurrent('fails, with its first difference', async () => {
    const file = changed('fail/b06.json.gz', WRONG_PINS);
    const { code, stdout, stderr } = await pinfold('verify', file);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(counts(stdout)).toEqual({ passed: 20, failed: 1, skipped: 0 });
    expect(stdout).toMatch(/^FAILED: of 1 recording, 1 went otherwise on the model\.\n/);
    expect(stdout).toContain(
      `${file}: 1 failed\n` +
        '    first: trace step 4, state: map iova=0x40000000 va=A size=16M\n' +
        '    pins.acquired: recorded 4095, model 4096\n',
    );
  });

  it.concurrent('is shown with the lines before it by --diff', async () => {
    const file = changed('diff/b06.json.gz', WRONG_PINS);
    const { code, stdout } = await pinfold('verify', '--diff', file);
    expect(code).toBe(1);
    expect(stdout).toContain(`${file}: pass trace, level state\n`);
    expect(stdout).toContain(
      '      4  touch va=A size=16M\n>     5  map iova=0x40000000 va=A size=16M\n',
    );
    expect(stdout).toMatch(/^ +field +recorded +model\n +pins\.acquired +4095 +4096$/m);
    expect(counts(stdout).failed).toBe(1);
  });

  it.concurrent('fails in JSON too', async () => {
    const file = changed('json/b06.json.gz', WRONG_PINS);
    const { code, stdout } = await pinfold('verify', '--json', file);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      total: { passed: 20, failed: 1, skipped: 0 },
      rows: [{ kernel: '6.18.15', family: 'b', recordings: 1 }],
      failures: [{ file, failed: 1 }],
      notPassed: [
        {
          ...{ file, pass: 'trace', step: 3, level: 'state', verdict: 'failed' },
          differences: [{ path: 'pins.acquired', recorded: 4095, model: 4096 }],
        },
      ],
      broken: [],
    });
  });
});

describe('steps that cannot be compared', () => {
  it.concurrent('fail the run when they are too many', async () => {
    const { code, stdout } = await pinfold('verify', changed('skip/b06.json.gz', ...withBench()));
    expect(code).toBe(1);
    expect(counts(stdout)).toEqual({ passed: 19, failed: 0, skipped: 7 });
    expect(stdout).toContain('skipped\n  7  bench is not modelled yet\n');
    expect(stdout).toMatch(/^FAILED: more than 5 % .* skipped, which --allow-skips accepts\.\n/);
  });

  it.concurrent('do not with --allow-skips', async () => {
    const file = changed('allow/b06.json.gz', ...withBench());
    const { code, stdout } = await pinfold('verify', '--allow-skips', file);
    expect(code).toBe(0);
    expect(stdout).not.toContain('more than 5 %');
  });

  it.concurrent('fail it when there is nothing else', async () => {
    const file = changed('only/b06.json.gz', ...onlyBench());
    const { code, stdout } = await pinfold('verify', '--allow-skips', file);
    expect(code).toBe(1);
    expect(counts(stdout)).toMatchObject({ passed: 0, failed: 0 });
  });
});

describe('what is no recording', () => {
  const packed = readFileSync(GOOD);

  it.concurrent.each<[string, () => string, RegExp]>([
    ['empty', () => written('bad/empty.json', ''), /expected a recording, got an empty file$/],
    [
      'cut off',
      () => written('bad/cut.json.gz', packed.subarray(0, -50)),
      /expected a complete gzip file, got damaged data$/,
    ],
    [
      'not compressed',
      () => written('bad/plain.json.gz', '{}'),
      /expected a complete gzip file, got damaged data$/,
    ],
    [
      'no JSON',
      () => written('bad/text.json', '{"format":'),
      /expected JSON, got something else: .+$/,
    ],
    [
      'of another shape',
      () => changed('bad/shape.json.gz', ['runs[0].steps[3].pins.acquired', 'many']),
      /: runs\[0\]\.steps\[3\]\.pins\.acquired: expected number, got string$/,
    ],
    [
      'of a scenario that cannot be read',
      () => changed('bad/script.json.gz', ['script[2]', 'mmap name=A']),
      /: script:3: expected mmap name= kind= size= .*, got no kind=$/,
    ],
    [
      'of a kernel that is not modelled',
      () => changed('bad/kernel.json.gz', ['kernel', '5.4.1']),
      /: kernel: expected .+ or a point release of these, got '5\.4\.1'$/,
    ],
  ])('%s: one line on stderr', async (_, make, message) => {
    const file = make();
    const { code, stdout, stderr } = await pinfold('verify', file);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.split('\n')).toHaveLength(2);
    expect(stderr.trimEnd()).toMatch(message);
    expect(stderr.startsWith(`pinfold: ${file}: `)).toBe(true);
  });

  it.concurrent('is what a bad recording of huge counts is: the others go on', async () => {
    const extent: Edit = ['runs[0].steps[2].layout.A[0][2]', 2 ** 36];
    const file = changed('huge/b06.json.gz', extent);
    const { code, stdout, stderr } = await pinfold('verify', file, GOOD);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /: runs\[0\]\.steps\[2\]\.layout\.A\[0\]\[2\]: expected at most 4194304/,
    );
    expect(stdout).toMatch(/^FAILED: 1 recording, .* 1 file could not be run, see stderr\.\n/);
    expect(counts(stdout).passed).toBe(21);
  });

  it.concurrent('is a pipe, which nobody writes to', async () => {
    const pipe = join(written('pipe/notes.txt', ''), '../x.json');
    execFileSync('mkfifo', [pipe]);
    cpSync(GOOD, join(folder, 'pipe/b06.json.gz'));
    const { code, stdout, stderr } = await pinfold('verify', join(folder, 'pipe'));
    expect({ code, stderr }).toEqual({
      ...{ code: 2, stderr: `pinfold: ${pipe}: expected a recording in a file, got a pipe\n` },
    });
    expect(counts(stdout).passed).toBe(21);
  });

  it.concurrent('is a device without end', async () => {
    const { code, stderr } = await pinfold('verify', '/dev/zero');
    expect({ code, stderr }).toEqual({
      ...{ code: 2, stderr: 'pinfold: /dev/zero: expected a recording in a file, got a device\n' },
    });
  });

  it.concurrent.each([
    ['{"recordings":[{}]}', ': recordings[0].file: expected a file, got nothing'],
    ['{"recordings":[null]}', ': recordings[0].file: expected a file, got nothing'],
    ['{"recordings":{}}', ': recordings: expected a list of recordings, got object'],
    ['[]', ': recordings: expected a list of recordings, got nothing'],
    ['null', ': recordings: expected a list of recordings, got nothing'],
    ['{', ': expected a list of recordings as JSON, got '],
  ])('is a folder with the manifest %s', async (content, message) => {
    const name = `manifests/${Buffer.from(content).toString('hex')}/manifest.json`;
    const manifest = written(name, content);
    cpSync(GOOD, join(manifest, '../b06.json.gz'));
    const { code, stderr } = await pinfold('verify', join(manifest, '..'));
    expect(code).toBe(2);
    expect(stderr).toContain(`pinfold: ${manifest}${message}`);
    expect(stderr.split('\n')).toHaveLength(2);
  });

  it.concurrent('fails a run whose other recordings agree, which are reported', async () => {
    const broken = written('mixed/a.json', '');
    const { code, stdout, stderr } = await pinfold('verify', broken, GOOD);
    expect(code).toBe(2);
    expect(stderr).toBe(`pinfold: ${broken}: expected a recording, got an empty file\n`);
    expect(counts(stdout)).toEqual({ passed: 21, failed: 0, skipped: 0 });
  });

  it.concurrent.each<[string, () => string[], RegExp]>([
    [
      'a file that is not there',
      () => [join(folder, 'gone.json')],
      /gone\.json: expected a recording, or a folder of recordings, got ENOENT: .+$/,
    ],
    [
      'a folder without recordings',
      () => [join(written('none/notes.txt', ''), '..')],
      /none: expected recordings \(\.json or \.json\.gz\), got a folder without any$/,
    ],
    [
      'a folder in which one is missing',
      () => {
        written('lacks/manifest.json', '{"recordings": [{"file": "main/b01.json.gz"}]}');
        cpSync(GOOD, join(folder, 'lacks/b06.json.gz'));
        return [join(folder, 'lacks')];
      },
      /lacks\/main\/b01\.json\.gz: expected a recording, as the manifest says, got nothing$/,
    ],
    ['nothing', () => [], /verify: expected recordings .+, got nothing$/],
    [
      'a level that there is not',
      () => [GOOD, '--level', 'state,bytes'],
      /--level: expected one of state, table, calls, trace, got 'bytes'$/,
    ],
    [
      'a family that no recording is of',
      () => [GOOD, '--family', 'b,q'],
      /--family: expected one of b, got 'q'$/,
    ],
    [
      'an unknown flag',
      () => [GOOD, '--fast'],
      /--fast: expected one of --level, --family, --diff, --json, --allow-skips, --help, got an unknown option$/,
    ],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await pinfold('verify', ...args());
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.trimEnd()).toMatch(message);
  });
});
