/** Recordings that are read, and what is said of files that are none. */
import { readFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { InputError } from '@pinfold/base';
import { scenarioOps } from '@pinfold/guest';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRecording, readRecording, walkPass, type Recording } from '../src/index.ts';
import { edit, type Edit } from './edit.ts';
import { RECORDINGS } from './files.ts';

/** PINFOLD_SEED=7 takes other seeds for all properties, the same with every 7. */
const SEED = Number(process.env.PINFOLD_SEED ?? 0);

const packed = readFileSync(new URL('6.18.15/main/b06-thp.json.gz', RECORDINGS));
const text = gunzipSync(packed).toString();
const OPEN = 'open type=v2';
const firstStep = (JSON.parse(text) as Recording).runs[1].steps[0];

/** The recording's text after edits. */
function changed(...edits: readonly Edit[]): string {
  const recording = JSON.parse(text) as Recording;
  edit(recording, ...edits);
  return JSON.stringify(recording);
}

function refused(content: string, message: string): void {
  let error: unknown;
  try {
    parseRecording(content, 'r.json');
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(InputError);
  expect((error as InputError).message).toBe(message);
}

it('keeps every field, also those that nobody has described', () => {
  const content = changed(['weather', 'fine'], ['runs[0].steps[0].held', { ext0: 1 }]);
  expect(parseRecording(content, 'r.json')).toEqual(JSON.parse(content));
});

it.each([
  ['18446744073709551612', -4],
  ['18446744073709551604', -12],
])('a VmLck that has wrapped to %s is %i kB', (digits, kB) => {
  const content = changed(['runs[0].steps[3].mm.VmLck', 77]).replace(
    /"VmLck":77\b/,
    `"VmLck":${digits}`,
  );
  expect(parseRecording(content, 'r.json').runs[0].steps[3].mm.VmLck).toBe(kB);
});

it('carries over what a step does not show', () => {
  const [trace] = parseRecording(text, 'r.json').runs;
  const states = walkPass(trace);
  expect(states.map(({ table }) => table?.leaf['2M'])).toEqual([0, 0, 0, 8, 0]);
  expect(states.map(({ layout }) => layout.get('A')?.length)).toEqual([undefined, 0, 2, 2, 2]);
  expect(states.map(({ shown }) => shown.line)).toEqual(trace.steps.map(({ line }) => line));
});

describe('what is no recording', () => {
  it.each<[string, Edit, string]>([
    [
      'another format',
      ['format', 'vfio-oracle/2'],
      "format: expected 'vfio-oracle/1', got 'vfio-oracle/2'",
    ],
    ['no format', ['format'], "format: expected 'vfio-oracle/1', got nothing"],
    ['no kernel', ['kernel'], 'kernel: expected string, got nothing'],
    ['no probes', ['guest.probes'], 'guest.probes: expected object, got nothing'],
    ['no passes', ['runs', []], 'runs: expected at least 1 elements, got array of 0'],
    [
      'another pass',
      ['runs[1].pass', 'icount'],
      "runs[1].pass: expected 'trace' or 'plain', got 'icount'",
    ],
    [
      'a count that is a text',
      ['runs[0].steps[3].pins.acquired', '4096'],
      'runs[0].steps[3].pins.acquired: expected number, got string',
    ],
    [
      'a count that is null',
      ['runs[0].steps[3].avail', null],
      'runs[0].steps[3].avail: expected number, got null',
    ],
    [
      'a count that is negative',
      ['runs[0].steps[3].calls.iommu_map', -4],
      'runs[0].steps[3].calls.iommu_map: expected at least 0, got -4',
    ],
    [
      'a count that is no integer',
      ['runs[0].steps[3].calls.iommu_map', 1.5],
      'runs[0].steps[3].calls.iommu_map: expected int, got 1.5',
    ],
    [
      'an address that is no hexadecimal text',
      ['runs[0].steps[3].iova', '40000000'],
      "runs[0].steps[3].iova: expected a hexadecimal number such as 0x1000, got '40000000'",
    ],
    [
      'an extent that is too short',
      ['runs[0].steps[2].layout.A[1][4]'],
      'runs[0].steps[2].layout.A[1]: expected at least 5 elements, got array of 4',
    ],
    [
      'another size of leaf',
      ['runs[0].steps[3].iommu.runs[0][3]', '3M'],
      "runs[0].steps[3].iommu.runs[0][3]: expected a size such as 64K, got '3M'",
    ],
    [
      'an op that nobody knows',
      ['script[1]', 'opne type=v2'],
      `script:2: expected one of ${scenarioOps.map(({ name }) => name).join(', ')}, got 'opne'`,
    ],
    [
      'a step that is not of the script',
      ['runs[0].steps[0].line', 'open type=v1'],
      `runs[0].steps[0].line: expected '${OPEN}', as in the script, got 'open type=v1'`,
    ],
    [
      'a step whose op is not that of its line',
      ['runs[0].steps[0].op', 'close'],
      "runs[0].steps[0].op: expected 'open', got 'close'",
    ],
    [
      'a step too few',
      ['runs[1].steps[4]'],
      'runs[1].steps: expected 5 steps, as in the script, got 4',
    ],
    [
      'a step too many',
      ['runs[1].steps[5]', firstStep],
      `runs[1].steps[5].line: expected '(no step)', as in the script, got '${OPEN}'`,
    ],
  ])('%s', (_, change, message) => {
    refused(changed(change), `r.json: ${message}`);
  });

  it('has fewer steps only if the process died', () => {
    const content = changed(
      ['runs[1].steps[4]'],
      ['runs[1].broken', 'unexpected end'],
      ['runs[1].start_state'],
    );
    expect(parseRecording(content, 'r.json').runs[1].steps).toHaveLength(4);
  });

  it.each([
    ['[]', 'r.json: expected object, got array'],
    ['null', 'r.json: expected object, got null'],
    ['', 'r.json: expected JSON, got an empty file'],
  ])('%j', (content, message) => {
    refused(content, message);
  });

  it('is cut off', () => {
    expect(() => parseRecording(text.slice(0, 5000), 'r.json')).toThrow(
      /^r\.json: expected JSON, got something else: .*JSON/,
    );
  });

  it('is never anything but an InputError', () => {
    const edit = fc.tuple(fc.nat(text.length), fc.nat(20), fc.string({ maxLength: 20 }));
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const content = edits.reduce(
          (all, [at, length, put]) => all.slice(0, at) + put + all.slice(at + length),
          text,
        );
        try {
          parseRecording(content, 'r.json');
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
        }
      }),
      { seed: SEED + 43 },
    );
  });
});

describe('a file', () => {
  const read = (content: Uint8Array, file: string): Promise<unknown> =>
    readRecording(file, () => Promise.resolve(content));

  it('is read compressed or not', async () => {
    expect(await read(packed, 'a.json.gz')).toEqual(JSON.parse(text));
    expect(await read(Buffer.from(text), 'a.json')).toEqual(JSON.parse(text));
  });

  it.each<[string, Uint8Array, string, RegExp]>([
    [
      'empty',
      new Uint8Array(),
      'a.json.gz',
      /^a\.json\.gz: expected a recording, got an empty file$/,
    ],
    ['empty', new Uint8Array(), 'a.json', /^a\.json: expected a recording, got an empty file$/],
    ['of nothing', gzipSync(''), 'a.json.gz', /^a\.json\.gz: expected JSON, got an empty file$/],
    [
      'not compressed',
      Buffer.from(text),
      'a.json.gz',
      /^a\.json\.gz: expected a complete gzip file, got (?:damaged data|other bytes)$/,
    ],
    ['compressed', packed, 'a.json', /^a\.json: expected UTF-8, got /],
    [
      'cut off',
      packed.subarray(0, -100),
      'a.json.gz',
      /^a\.json\.gz: expected a complete gzip file, got (?:damaged data|other bytes)$/,
    ],
    [
      'followed by something',
      Buffer.concat([packed, Buffer.from('x')]),
      'a.json.gz',
      /^a\.json\.gz: expected a complete gzip file, got (?:damaged data|other bytes)$/,
    ],
  ])('%s is refused', async (_, content, file, message) => {
    await expect(read(content, file)).rejects.toThrow(InputError);
    await expect(read(content, file)).rejects.toThrow(message);
  });

  it('that cannot be read is refused', async () => {
    const gone = (): Promise<Uint8Array> => Promise.reject(new Error('ENOENT: no such file'));
    await expect(readRecording('a.json', gone)).rejects.toThrow(
      new InputError('a.json', 'a file that can be read', 'ENOENT: no such file'),
    );
  });
});

it('is not unpacked beyond a limit: a small gzip file may hold very much', async () => {
  const bomb = gzipSync(Buffer.alloc(2 ** 22));
  const read = readRecording('r.json.gz', () => Promise.resolve(bomb), 2 ** 20);
  await expect(read).rejects.toThrow('r.json.gz: expected a recording of at most 1048576 bytes');
});

it('has no extent longer than the memory of any machine', () => {
  const extent: Edit = ['runs[0].steps[2].layout.A[0][2]', 2 ** 36];
  const message = 'runs[0].steps[2].layout.A[0][2]: expected at most 4194304, got 68719476736';
  refused(changed(extent), `r.json: ${message}`);
});
