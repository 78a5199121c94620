/**
 * Numbers as large as the language has them: each step answers as a kernel does, in no time, or is
 * refused with the bound that it exceeds.
 */
import { kernelVersion } from '@pinfold/kernels';
import { runScenario } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { DEFAULT_MACHINE, factsOfLine, ModelMachine, parseScenario } from '../src/index.ts';

/** Runs lines on the model; the result of each step. */
async function results(...lines: string[]): Promise<string[]> {
  // The memory is said, so that having too little of it is the kernel's answer.
  const scenario = parseScenario(['machine memory=0x0x524288,1048576x1310720', ...lines], 'x.scn');
  const facts = factsOfLine(scenario.machine, DEFAULT_MACHINE);
  const machine = new ModelMachine({ kernel: kernelVersion('7.2'), facts });
  const { steps } = await runScenario(scenario, machine);
  return steps.map(({ observation: { errno, ret } }) => errno ?? String(ret));
}

const SMALL = 'mmap name=A kind=anon size=64K advise=nohuge';
const PINNABLE = ['open type=v2', 'addext', SMALL, 'map iova=0 va=A size=64K'];

describe('ranges beyond what is mapped', () => {
  it.each(['', ' mode=r', ' stride=2M', ' order=rev'])('touch of 16T%s', async (rest) => {
    expect(await results(SMALL, `touch va=A size=16T${rest}`)).toEqual(['0', 'EFAULT']);
  });

  it.each(['touch va=A size=100T mode=r', 'madvise va=A size=100T advice=popread'])(
    'reads of 100 TiB of zero pages: %s',
    async (line) => {
      const mapped = 'mmap name=A kind=anon size=100T flags=noreserve advise=nohuge';
      await expect(results(mapped, line)).rejects.toThrow(
        /:3: memory: expected steps that need at most \d+ page tables of a process, got one that touches more$/,
      );
    },
  );

  it('touch beyond all addresses', async () => {
    expect(await results(SMALL, 'touch va=A size=0xffffffffffffffff')).toEqual(['0', 'EFAULT']);
    expect(await results('touch va=0xfffffffffffff000 size=64K')).toEqual(['EFAULT']);
  });

  it('munmap', async () => {
    const calls = [
      'va=0 size=0x4000000000000000',
      'va=A size=0xffffffffffffffff',
      'va=A size=125T',
    ];
    const steps = calls.map((call) => `munmap ${call}`);
    expect(await results(SMALL, ...steps)).toEqual(['0', 'EINVAL', 'EINVAL', '0']);
  });

  it('mmap (README-more, edge05)', async () => {
    const at = 'addr=0x4000000000 flags=fixed';
    const wide = `kind=anon size=112T ${at}`;
    expect(
      await results(
        `mmap name=B kind=anon size=64K ${at}`,
        `mmap name=C kind=memfd size=0x4000000000001000 ${at}`,
        `mmap name=D ${wide}`,
        'mmap name=E kind=anon flags=shared size=112T',
        'touch va=B size=64K',
        `mmap name=F ${wide},noreserve`,
        'touch va=F+100T size=16K',
        'mmap name=G kind=anon size=0',
        'mmap name=H kind=anon size=4K addr=0x4000000001',
      ),
    ).toEqual(['0', 'ENOMEM', 'ENOMEM', 'ENOMEM', '0', '0', '0', 'EINVAL', 'EINVAL']);
  });
});

describe('work without end', () => {
  it.each([
    ['pin iova=0 times=0xffffffff', 'pin times=: expected at most 1048576 pages in one step'],
    ['pin iova=0 n=512 times=4096', 'pin times=: expected at most 1048576 pages in one step'],
    ['unpin iova=0 times=0xffffffff', 'unpin times=: expected at most 1048576 pages in one step'],
    ['dmarw iova=0 len=1G write=0', 'dmarw: expected at most 67108864 bytes in one step'],
    ['poke va=A size=1G', 'poke: expected at most 67108864 bytes in one step'],
    ['peek va=A size=8T', 'peek: expected at most 67108864 bytes in one step'],
    [
      'touch va=A size=16T order=rand seed=1',
      'touch order=rand: expected at most 4194304 accesses',
    ],
  ])('%s is refused', async (line, message) => {
    await expect(results(...PINNABLE, line)).rejects.toThrow(message);
  });

  it.each(['0x4000000000', '0x8000000000000000'])(
    'a dirty bitmap with %s bytes behind it is as one that fits',
    async (bmmem) => {
      const get = `dirty what=get iova=0 size=64K bmmem=${bmmem}`;
      expect(await results(...PINNABLE, 'dirty what=start', get)).toEqual(
        Array.from({ length: 6 }, () => '0'),
      );
    },
  );

  it('a sum of many terms is refused', () => {
    const line = `munmap va=0 size=${'1+'.repeat(100_000)}1`;
    expect(() => parseScenario(line, 'x.scn')).toThrow('x.scn:1: size: expected at most 4096');
  });

  it('a long list of pages is read', async () => {
    const pages = Array.from({ length: 200_000 }, (_, i) => i % 16).join(',');
    expect(await results(SMALL, `touch va=A pages=${pages}`)).toEqual(['0', '0']);
  });
});

describe('frames= that a kind of memory cannot have', () => {
  it.each([
    ['memfd1g', 'size=1G frames=0x40000x262144:18', 'memory of kind anon, memfd'],
    ['memfd', 'size=4K frames=1:3', 'whole folios of 8 pages, aligned, in a file'],
    ['huge2m', 'size=2M frames=513x512:9', 'whole folios of 512 pages, aligned, in huge pages'],
    ['anon', 'size=4K frames=0x7fffffff', 'frames of its memory, got frame 2147483647'],
    ['anon', 'size=4K copies=0x7fffffff', 'frames of its memory, got frame 2147483647'],
  ])('%s %s', async (kind, rest, message) => {
    await expect(results(`mmap name=A kind=${kind} ${rest}`)).rejects.toThrow(message);
  });
});
