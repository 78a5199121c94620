/** `pinfold exec`: its report, its exit codes, and what it refuses. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pinfold } from './pinfold.ts';

const PROGRAMS = fileURLToPath(new URL('../../../packages/exec/test/programs/', import.meta.url));
const hasCompiler = spawnSync('cc', ['--version']).status === 0;
let folder: string;
let program: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pinfold-exec-cli-'));
  program = join(folder, 'many');
  if (!hasCompiler) return;
  const flags = ['-D_GNU_SOURCE', '-o', program, join(PROGRAMS, 'many.c'), '-lpthread'];
  const { status, stderr } = spawnSync('cc', flags, { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe.skipIf(!hasCompiler)('pinfold exec', () => {
  it('leaves stdout to the program, and reports on stderr', async () => {
    const scenario = join(folder, 'run.scn');
    const threads = [program, 'threads', '2', '3'];
    const done = await pinfold('exec', '--scenario', scenario, '--', ...threads);
    expect(done).toMatchObject({ code: 0, stdout: '0 failures\n' });
    expect(done.stderr.replaceAll(/\s+/gu, ' ')).toContain('map 6, unmap 6');
    expect(readFileSync(scenario, 'utf8').match(/^unmap /gmu)).toHaveLength(6);
  });

  it('names what was never unmapped', async () => {
    const done = await pinfold('exec', '--', program, 'kill');
    expect(done).toMatchObject({ code: 137, stdout: '' });
    expect(done.stderr).toContain('Left mapped: 1 mappings of 4K in all were never unmapped');
  });

  it('fails a program that ends well but unclean, with --strict', async () => {
    const report = ['--report', 'json'];
    const done = await pinfold('exec', '--strict', ...report, '--', program, 'children', '2');
    expect(done.code).toBe(1);
    expect(JSON.parse(done.stderr)).toMatchObject({
      format: 'pinfold-exec/1',
      exitCode: 0,
      leftMapped: [{ iova: '0x100000', size: '0x1000' }, {}],
      clock: 'real',
    });
  });

  it('says which profile predicted the time', async () => {
    const clock = ['--clock', 'predicted:li-zhe-2025'];
    const done = await pinfold('exec', ...clock, '--', program, 'threads', '1', '2');
    expect(done.stderr.replaceAll(/\s+/gu, ' ')).toMatch(
      /predicted time, by the profile li-zhe-2025: 2 maps 0\.000 s \(0\.000 to 0\.000\)/u,
    );
  });
});

describe('what pinfold exec refuses', () => {
  it.each([
    [['--', 'no-such-program'], 'no-such-program: expected a program that can be run'],
    [['--clock', 'fast', '--', 'true'], "--clock: expected real or predicted:PROFILE, got 'fast'"],
    [['--clock', 'predicted:x', '--', 'true'], '--clock predicted:: expected one of'],
    [['--fail', 'pin:0', '--', 'true'], '--fail: expected one of memory, pin, iommu and which map'],
    [['--sysfs', 'x', '--', 'true'], '--sysfs: expected a file and what is written'],
    [['--sysfs', '/sys/x=1', '--', 'true'], '/sys/x'],
    [['--hugetlbfs', '/tmp:4K', '--', 'true'], '--hugetlbfs: expected a folder and 2M or 1G'],
    [['--memlock', 'much', '--', 'true'], '--memlock: expected a size'],
    [['--machine', 'aw=x', '--', 'true'], '--machine'],
    [['--report', 'xml', '--', 'true'], "--report: expected text, json, none, got 'xml'"],
    [[], 'expected'],
  ])('%j', async (args, message) => {
    const done = await pinfold('exec', ...args);
    expect(done).toMatchObject({ code: 2, stdout: '' });
    expect(done.stderr).toContain(message);
  });
});
