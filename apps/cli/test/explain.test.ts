/** `pinfold explain`, as a user runs it. */
import { errnoName } from '@pinfold/base';
import { kernelVersions } from '@pinfold/kernels';
import { describe, expect, test } from 'vitest';
import { pinfoldReading } from './pinfold.ts';

const NEWEST = kernelVersions.at(-1)?.series ?? '';

const OVERLAP = `open type=v2
mmap name=A kind=anon size=1M advise=nohuge
map iova=0x40000000 va=A size=1M
map iova=0x400ff000 va=A size=8K
map iova=0xfffffffffffff000 va=A size=8K
`;

describe('pinfold explain', () => {
  test('names the check, its values, the earlier mapping and the other releases', async () => {
    const { stdout, code } = await pinfoldReading(OVERLAP, 'explain', '--kernel', '6.18', '-');
    expect(code).toBe(0);
    expect(stdout).toContain(
      'line 4  map iova=0x400ff000 va=A size=8K\n  EEXIST from vfio_dma_do_map',
    );
    expect(stdout).toMatch(/overlaps the\s+mapping of line 3/);
    const others = kernelVersions.filter(({ series }) => series !== '6.18');
    const [changed, same] = ['EINVAL', 'EOVERFLOW'].map((errno) =>
      others.filter(({ type1 }) => errnoName(-type1.wrapErrno) === errno),
    );
    const text = stdout.replace(/\s+/g, ' ');
    const different = changed.map(({ series }) => `${series} EINVAL`).join(', ');
    expect(text).toContain(
      `Other releases: ${different}; ${same.map(({ series }) => series).join(', ')} the same.`,
    );
  });

  test('on the release of an audit line, unless another is asked for', async () => {
    const audited = `audit against=batched kernel=6.16\n${OVERLAP}`;
    const [line, flag] = await Promise.all([
      pinfoldReading(audited, 'explain', '-'),
      pinfoldReading(audited, 'explain', '--kernel', '6.12', '-'),
    ]);
    expect(line.stdout).toMatch(/^Linux 6\.16\n/);
    expect(flag.stdout).toMatch(/^Linux 6\.12\n/);
  });

  test('as JSON', async () => {
    const { stdout } = await pinfoldReading(OVERLAP, 'explain', '--json', '-');
    const { explanations } = JSON.parse(stdout) as {
      explanations: { line: number; errno: string; releases: Record<string, string> }[];
    };
    expect(explanations.map(({ line, errno }) => [line, errno])).toEqual([
      [4, 'EEXIST'],
      [5, 'EOVERFLOW'],
    ]);
    expect(explanations[1].releases).toEqual(
      Object.fromEntries(
        kernelVersions.map(({ series, type1 }) => [series, errnoName(-type1.wrapErrno)]),
      ),
    );
  });

  test('has nothing to say of a scenario that does what it should', async () => {
    const { stdout } = await pinfoldReading('open type=v2\ninfo\n', 'explain', '-');
    expect(stdout).toMatch(
      new RegExp(
        `^Linux ${NEWEST}\nAssumed machine: 7 GiB, .+\n\nEvery step did what it was asked for.\n$`,
      ),
    );
  });

  test('a broken scenario is bad input', async () => {
    const { stderr, code } = await pinfoldReading('fly\n', 'explain', '-');
    expect(code).toBe(2);
    expect(stderr).toMatch(/^pinfold: stdin:1: expected one of .+, open, /);
  });
});
