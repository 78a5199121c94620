/** Algorithms of one's own: the template, and every mistake in a file, with its place. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownAlgorithmTemplate, pinAlgorithm } from '@pinfold/vfio-type1';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pinfold, type Outcome } from './pinfold.ts';

const SCENARIO = `open type=v2
mmap name=A kind=anon size=4M addr=0x4000000000 advise=huge
touch va=A size=4M
map iova=0x40000000 va=A size=A.len
unmap iova=0x40000000 size=A.len
close
`;
let folder: string;
let scenario: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinfold-own-'));
  scenario = join(folder, 'map.scn');
  writeFileSync(scenario, SCENARIO);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs the scenario with a file of this text. */
function runFile(name: string, text: string, ...flags: string[]): Promise<Outcome> {
  const file = join(folder, name);
  writeFileSync(file, text);
  return pinfold('run', '--file', file, ...flags, scenario);
}

/** The template with one line changed; it must be there. */
function changed(from: string, to: string): string {
  const text = ownAlgorithmTemplate('changed');
  expect(text.split(from)).toHaveLength(2);
  return text.replace(from, to);
}

const WANT = 'const want = kernel.disableHugepages ? 1 : npage;';
/** Line of {@link WANT}, which the mistakes take the place of. */
const LINE = ownAlgorithmTemplate('changed').split(WANT)[0].split('\n').length;
const PIN = LINE - 1;

describe('pinfold new-algorithm', () => {
  it.concurrent('writes a file that runs like series-1-4', async () => {
    const file = join(folder, 'mine.ts');
    const made = await pinfold('new-algorithm', 'mine', '--output', file);
    expect(made).toEqual({ code: 0, stdout: `${file}\n`, stderr: '' });
    expect(readFileSync(file, 'utf8')).toBe(ownAlgorithmTemplate('mine'));
    const [mine, built] = await Promise.all([
      pinfold('run', '--kernel', '6.16', '--file', file, scenario),
      pinfold('run', '--kernel', '6.16', '--algorithm', 'series-1-4', scenario),
    ]);
    expect(mine).toMatchObject({ code: 0, stderr: '' });
    expect(mine.stdout).toMatch(/^Linux 6\.16 with mine\n/);
    expect(mine.stdout.replace('with mine', 'with series-1-4')).toBe(built.stdout);
  });

  it.concurrent('overwrites nothing', async () => {
    const file = join(folder, 'there.ts');
    writeFileSync(file, 'mine');
    const { code, stderr } = await pinfold('new-algorithm', 'there', '-o', file);
    expect({ code, stderr }).toEqual({
      ...{ code: 2 },
      stderr: `pinfold: ${file}: expected a new file that can be written, got one that exists\n`,
    });
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  it.concurrent('prints it, on request', async () => {
    const { code, stdout } = await pinfold('new-algorithm', 'x', '-o', '-');
    expect({ code, stdout }).toEqual({ code: 0, stdout: ownAlgorithmTemplate('x') });
  });

  it.concurrent('wants a name that can be one', async () => {
    const { code, stderr } = await pinfold('new-algorithm', '../x');
    expect(code).toBe(2);
    expect(stderr).toMatch(/^pinfold: name: expected letters, .+, got '\.\.\/x'\n$/);
  });
});

describe('a patch', () => {
  it.concurrent('is a file with the steps that it changes, which states its base', async () => {
    const flags = ['--from', '6.18', '--step', 'nextUnmapRun,pinExternal', '-o', '-'];
    const { code, stdout } = await pinfold('new-algorithm', 'mine', ...flags);
    const algorithm = pinAlgorithm('series-1-4');
    const from = { base: '6.18', algorithm, steps: ['nextUnmapRun', 'pinExternal'] as const };
    expect({ code, stdout }).toEqual({ code: 0, stdout: ownAlgorithmTemplate('mine', from) });
  });

  it.concurrent.each<[string, string, string]>([
    [
      'a release that there is not',
      "base: '4.4'",
      ":3:3: expected base: .+ or a pin algorithm, got '4.4'",
    ],
    [
      'a number',
      'base: 6.18',
      ':3:3: expected base: a pin algorithm or a release, such as 6.18, got 6.18',
    ],
    [
      'an algorithm whose steps share a list',
      "base: 'page-list'",
      ':4:3: expected no step but pinExternal: those of page-list share a list, got forget',
    ],
  ])('of %s is a mistake', async (what, base, message) => {
    const text = `export default {\n  name: 'x',\n  ${base},\n  forget() {},\n};\n`;
    const { code, stderr } = await runFile(`${what.replaceAll(' ', '-')}.ts`, text);
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(message));
  });

  it.concurrent('is explained, checked and measured on its base', async () => {
    const file = join(folder, 'patch.ts');
    const from = { algorithm: pinAlgorithm('series-1-4'), steps: ['nextUnmapRun'] as const };
    writeFileSync(file, ownAlgorithmTemplate('patch', { base: '6.18', ...from }));
    const [explained, checked, measured] = await Promise.all([
      pinfold('explain', '--kernel', '6.16', '--file', file, scenario),
      pinfold('check', '--file', file, '--runs', '250', '--json', '--out', folder),
      pinfold('bench', '--file', file, '--size', '4M', '--backing', 'thp', '--repeat', '1'),
    ]);
    expect(explained.stdout).toMatch(/^Linux 6\.16 with patch\n/);
    expect(JSON.parse(checked.stdout)).toMatchObject({ algorithm: 'patch', kernel: '6.18' });
    expect(measured.stdout).toMatch(/^thp +6\.18 .+\s^thp +patch /m);
    expect(measured.stdout).toContain('thp as many to map, as many to unmap');
  });

  it.concurrent('takes one file where there is one algorithm', async () => {
    const { code, stderr } = await pinfold('run', '--file', 'a.ts', '--file', 'b.ts', scenario);
    const message = "pinfold: --file: expected one file, got 'a.ts' and 'b.ts'\n";
    expect({ code, stderr }).toEqual({ code: 2, stderr: message });
  });
});

describe('a file that cannot be loaded', () => {
  it.concurrent.each<[string, string, string]>([
    [
      'syntax.ts',
      'export default {\n  name: ,\n};\n',
      ':2:9: expected code that Node.js can run, got SyntaxError: Expression expected',
    ],
    [
      'twice.ts',
      'const a: number = 1;\nconst a = 2;\nexport default {};\n',
      ":2:7: expected code that Node.js can run, got SyntaxError: Identifier 'a' has already been declared",
    ],
    [
      'script.mjs',
      'const a = 1;\nfoo bar;\n',
      ":2:5: expected code that Node.js can run, got SyntaxError: Unexpected identifier 'bar'",
    ],
    [
      'enum.ts',
      'enum A { B }\nexport default A;\n',
      ':1:1: expected code that Node.js can run, got SyntaxError: TypeScript enum is not supported in strip-only mode',
    ],
    [
      'throws.ts',
      "const a = 1;\n  throw new TypeError('not today');\nexport default a;\n",
      ':2:9: expected a file that can be imported, got TypeError: not today',
    ],
    ['none.ts', 'export const a = 1;\n', ': expected a default export, got none'],
    [
      'number.ts',
      'export default 3;\n',
      ', default export: expected an algorithm, { name, … }, got 3',
    ],
    [
      'nameless.ts',
      'export default { pinChunk() { return 1; } };\n',
      ': expected name: a name, such as my-algorithm, got none',
    ],
    [
      'stepless.ts',
      "export default { name: 'x' };\n",
      ': expected at least one of pinChunk, unpinRegion, nextUnmapRun, pinExternal, forget, got none of them',
    ],
    [
      'exits.ts',
      'process.exit(0);\nexport default {};\n',
      ':1:9: expected a file that can be imported, got Error: process.exit is called, which would end pinfold',
    ],
    [
      'getter.ts',
      "export default {\n  get name() {\n    throw new Error('none');\n  },\n};\n",
      ':3:11: expected a file that can be imported, got Error: none',
    ],
    [
      'unknown.ts',
      "export default {\n  name: 'x',\n  pinChunks() {},\n};\n",
      ":3:3: expected one of name, summary, source, base, repins, pinChunk, unpinRegion, nextUnmapRun, pinExternal, forget, got the field 'pinChunks'",
    ],
    [
      'type.ts',
      "export default {\n  name: 'x',\n  forget: 'everything',\n};\n",
      ":3:3: expected forget: a function, got 'everything'",
    ],
  ])('%s', async (name, text, message) => {
    const outcome = await runFile(name, text);
    const stderr = `pinfold: ${join(folder, name)}${message}\n`;
    expect(outcome).toEqual({ code: 2, stdout: '', stderr });
  });

  it.concurrent('imports what there is not', async () => {
    const text = "import { type OwnAlgorithm } from 'no-such-package';\nexport default {};\n";
    const { code, stderr } = await runFile('import.ts', text);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /import\.ts:1:36: expected an import that exists \(types: import type\), got .+\n$/,
    );
  });

  it.concurrent('is not there', async () => {
    const { code, stderr } = await pinfold('run', '--file', 'gone.ts', scenario);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^pinfold: gone\.ts: expected an algorithm that can be read, got .+\n$/);
  });

  it.concurrent('is one algorithm too many', async () => {
    const flags = ['--file', 'x.ts', '--algorithm', 'batched'];
    const { code, stderr } = await pinfold('run', ...flags, scenario);
    expect({ code, stderr }).toEqual({
      ...{ code: 2 },
      stderr: "pinfold: --file: expected no --algorithm beside it, got 'x.ts'\n",
    });
  });
});

it.concurrent('a file is a module, whatever the package around it says', async () => {
  mkdirSync(join(folder, 'commonjs'));
  writeFileSync(join(folder, 'commonjs/package.json'), '{"type":"commonjs"}');
  const { code, stderr } = await runFile('commonjs/mine.ts', ownAlgorithmTemplate('mine'));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

describe('code that makes a mistake', () => {
  it.concurrent.each<[string, string, string, string]>([
    ['throws', WANT, "throw new Error('oh no');", `:${LINE}:11: pinChunk throws Error: oh no`],
    ['throws no error', WANT, "throw 'oh no';", `:${PIN}:3: pinChunk throws 'oh no'`],
    [
      'returns nothing',
      'return chunk.pinned;',
      'return;',
      `:${PIN}:3: pinChunk returned undefined, expected 1 to 1024 pages or a negative errno`,
    ],
    [
      'returns too much',
      'return chunk.pinned;',
      'return 1e6;',
      `:${PIN}:3: pinChunk returned 1000000, expected 1 to 1024 pages or a negative errno`,
    ],
    [
      'returns another number than it has pinned',
      'return chunk.pinned;',
      'return chunk.pinned - 1;',
      `:${PIN}:3: pinChunk left 1024 in chunk.pinned, expected 1023, which it returned`,
    ],
    [
      'is asynchronous',
      'pinChunk(',
      'async pinChunk(',
      `:${PIN}:9: pinChunk returned a promise, expected 1 to 1024 pages or a negative errno`,
    ],
    [
      'calls the kernel with something else',
      WANT,
      'kernel.vpfnPages(batch, 1, 1);',
      `:${LINE}:12: vpfnPages: expected the mapping, got an object`,
    ],
    [
      'takes what is not there',
      WANT,
      'batch.take(1);',
      `:${LINE}:11: batch.take: expected 0 to 0, got 1`,
    ],
    [
      'calls the kernel for ever',
      WANT,
      'for (;;) kernel.pfnValid(1);',
      `:${LINE}:21: pinChunk does not end: it has called the kernel 69632 times`,
    ],
    [
      'recurses for ever',
      WANT,
      'const again = (): void => again(); again();',
      `:${LINE}:31: pinChunk throws RangeError: Maximum call stack size exceeded`,
    ],
    [
      'wants to end the process',
      WANT,
      'process.exit(0);',
      `:${LINE}:13: pinChunk throws Error: process.exit is called, which would end pinfold`,
    ],
    ['loops for ever', WANT, 'for (;;);', `:${LINE}:5: pinChunk does not end: no call in 1 s`],
    [
      'goes on when it is stopped',
      WANT,
      'for (;;) { try { kernel.pfnValid(1); } catch {} }',
      `:${LINE}:X: pinChunk does not end: no call in 1 s`,
    ],
  ])('%s', async (what, from, to, message) => {
    const name = `${what.replaceAll(' ', '-')}.ts`;
    const { code, stdout, stderr } = await runFile(name, changed(from, to), '--patience', '1');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    // Where in a short loop the code was stopped, nobody knows.
    const shown = message.includes(':X:') ? stderr.replace(/(\.ts:\d+):\d+:/, '$1:X:') : stderr;
    expect(shown).toBe(`pinfold: ${join(folder, name)}${message}\n`);
  });

  it.concurrent('loops for ever in other steps, or outside any', async () => {
    const steps = "name: 'x',\n  unpinRegion() {\n    for (;;);\n  },\n";
    const [step, top, wait] = await Promise.all([
      runFile('step.ts', `export default {\n  ${steps}};\n`, '--patience', '1'),
      runFile('top.ts', 'for (;;);\nexport default {};\n', '--patience', '1'),
      runFile('wait.ts', 'await new Promise(() => {});\nexport default {};\n', '--patience', '1'),
    ]);
    expect([step.code, top.code, wait.code]).toEqual([2, 2, 2]);
    expect(step.stderr).toMatch(/step\.ts:4:5: unpinRegion does not end: no call in 1 s\n$/);
    expect(top.stderr).toMatch(/top\.ts:1:1: the import does not end: no call in 1 s\n$/);
    expect(wait.stderr).toMatch(/wait\.ts: expected a file .+, got an await that does not end\n$/);
  });

  it.concurrent.each([
    ['a promise', "void Promise.reject(new Error('late'));", /:\d+:25: throws outside .+ late\n$/],
    ['a timer', "setTimeout(() => { throw new Error('late'); });", /:\d+:30: throws .+ late\n$/],
    ['no error', "void Promise.reject('late');", /\.ts: throws outside of its steps: .+\n$/],
  ])('fails outside of its steps: %s', async (what, late, message) => {
    const name = `late-${what.replaceAll(' ', '-')}.ts`;
    const { code, stderr } = await runFile(name, changed(WANT, `${late} ${WANT}`));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/ {4}at /);
  });

  it.concurrent('prints to stderr, as stdout is the result', async () => {
    const text = changed(WANT, `${WANT} console.log('pages', npage);`);
    const { code, stdout, stderr } = await runFile('prints.ts', text, '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'pages 1024\n' });
    expect(JSON.parse(stdout)).toHaveProperty('algorithm', 'changed');
  });

  it.concurrent.each([
    ['an interval', 'setInterval(() => undefined, 100);'],
    ['a thread', "new Worker('setInterval(() => undefined, 100)', { eval: true });"],
  ])('leaves %s, which keeps nothing alive', async (what, left) => {
    const text = `import { Worker } from 'node:worker_threads';\n${ownAlgorithmTemplate('left')}\n${left}\nvoid Worker;\n`;
    const { code, stdout, stderr } = await runFile(`left-${what.replace(' ', '-')}.ts`, text);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Linux .+ with left\n/);
  });

  it.concurrent('writes to stdout itself', async () => {
    const text = changed(WANT, `${WANT} process.stdout.write('mine\\n');`);
    const { code, stdout, stderr } = await runFile('writes.ts', text, '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'mine\n' });
    expect(JSON.parse(stdout)).toHaveProperty('algorithm', 'changed');
  });

  it.concurrent.each([
    [
      'freezes what a call writes to',
      'Object.freeze(chunk);',
      /:\d+:\d+: startChunk, chunk: expected an object that can be written to, got .+ frozen\n$/,
    ],
    [
      'hands in no chunk',
      'kernel.startChunk(null as never, 1);',
      /:\d+:\d+: startChunk, chunk: .+\n$/,
    ],
    [
      'compares with nothing',
      'kernel.continuesChunk(null as never, 1);',
      /: continuesChunk, .+\n$/,
    ],
    [
      'changes how stacks are written',
      "Object.assign(Error, { prepareStackTrace() { throw 1; }, captureStackTrace: null }); throw new Error('x');",
      /:\d+:\d+: pinChunk throws Error: x\n$/,
    ],
  ])('%s, which is a mistake with its place', async (what, mistake, message) => {
    const name = `${what.replaceAll(' ', '-')}.ts`;
    const { code, stdout, stderr } = await runFile(name, changed(WANT, `${mistake} ${WANT}`));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/ {4}at /);
  });

  it.concurrent('leaves a step out, which is that of the kernel then', async () => {
    const text = ownAlgorithmTemplate('half').replace(/ {2}\/\/ Unpins[^]+(?=\} satisfies)/, '');
    const [old, own] = await Promise.all([
      runFile('half.ts', text, '--kernel', '6.16', '--trace'),
      runFile('half.ts', text, '--kernel', '6.18', '--trace'),
    ]);
    expect([old.code, own.code]).toEqual([0, 0]);
    expect(old.stdout).not.toContain('unpin_user_page_range_dirty_lock');
    expect(own.stdout).toContain('unpin_user_page_range_dirty_lock');
  });

  it.concurrent('does work that nothing counts, which compare says', async () => {
    const file = join(folder, 'reads.ts');
    writeFileSync(
      file,
      changed(
        WANT,
        `${WANT} for (let i = 0; i < batch.size; i++) kernel.pageToPfn(batch.page(i));`,
      ),
    );
    const flags = ['--size', '2M', '--backing', '4k', '--repeat', '1', '--no-time'];
    const { stdout } = await pinfold('compare', '--file', file, '--algorithm', 'batched', ...flags);
    expect(stdout.replace(/\s+/g, ' ')).toMatch(
      /Not counted, and so in no change above, is what changed does by itself\. Per page pinned: 4k, .+: \d+\.\d\d batch\.page\(\), \d+\.\d\d pageToPfn\(\)/,
    );
  });

  it.concurrent('of which the kernel dies is a finding, not a mistake', async () => {
    const text = changed(
      'return unlocked;',
      'kernel.putPfns(dma, pfn, npage);\n    return unlocked;',
    );
    const { stdout, stderr } = await runFile('dies.ts', text);
    expect(stderr).not.toMatch(/ {4}at /);
    expect(`${stdout}${stderr}`).toMatch(/gup_put_folio/);
  });
});
