/** What keeps files of VFIO open, and how far the calls of a process reach. */
import { ModelMachine, parseScenario } from '@pinfold/guest';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { runScenario, type Observation } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import { modelMachineForPass, verifyRecording } from '../src/index.ts';
import { read } from './files.ts';

async function run(script: string, series = '7.2'): Promise<Observation[]> {
  const machine = new ModelMachine({ kernel: kernelVersion(series) });
  const { steps, pinsLeft } = await runScenario(parseScenario(script, 'x.scn'), machine);
  expect(pinsLeft).toBe(0);
  return steps.map(({ observation }) => observation);
}

/** The error of each step, and what is locked after it, in kB. */
async function outcomes(script: string): Promise<(string | number)[]> {
  return (await run(script)).map(({ errno, mm }) => errno ?? mm.VmLck);
}

const MAPPED = `open type=v2 dev=ivsh16
device dev=ivsh16
mmap name=B kind=bar dev=ivsh16 bar=2 size=4M
mmap name=A kind=anon size=64K
map iova=0x40000000 va=A size=64K
`;

describe('a BAR that is mapped', () => {
  it('keeps device, group and container after close, until it is unmapped', async () => {
    const script = `${MAPPED}close\nopen type=v2 dev=ivsh16\nmunmap va=B size=4M\nopen type=v2 dev=ivsh16`;
    expect((await outcomes(script)).slice(5)).toEqual([64, 'EBUSY', 0, 0]);
  });

  it('is held by each of its parts', async () => {
    const script = `${MAPPED}close\nmunmap va=B size=2M\nmunmap va=B+2M size=2M`;
    expect((await outcomes(script)).slice(5)).toEqual([64, 64, 0]);
  });

  it.each([
    ['mmap name=C kind=anon size=4M addr=B flags=fixed'],
    ['mremap va=A size=64K newsize=4M to=B'],
  ])('goes when it is mapped over: %s', async (over) => {
    expect((await outcomes(`${MAPPED}close\n${over}`)).slice(5)).toEqual([64, 0]);
  });

  it('stays when it moves', async () => {
    const script = `${MAPPED}close\nmremap va=B size=4M to=0x3000000000 name=C\nmunmap va=C size=4M`;
    expect((await outcomes(script)).slice(5)).toEqual([64, 64, 0]);
  });

  it('is held by a child', async () => {
    const script = `${MAPPED}fork\nmunmap va=B size=4M\nclose\nreap`;
    expect((await outcomes(script)).slice(5)).toEqual([64, 64, 64, 0]);
  });

  it('does not let its group leave, whose file is closed all the same', async () => {
    const script = `${MAPPED}delgroup dev=ivsh16\ndelgroup dev=ivsh16\naddgroup dev=ivsh16`;
    expect((await outcomes(script)).slice(5)).toEqual(['EBUSY', 'EBADF', 'EBUSY']);
  });

  it('keeps what it keeps to the end of the process', async () => {
    expect((await outcomes(`${MAPPED}close`)).at(-1)).toBe(64);
  });
});

it.each([
  ['open type=v2 dev=ivsh16', null],
  ['opencontainer\naddgroup dev=ivsh16', 'EBADF'],
  ['open type=v2', 'EBADF'],
])('a BAR and the command register open the device by themselves: %s', async (open, errno) => {
  const steps = await run(
    `${open}\nmmap name=B kind=bar dev=ivsh16 bar=2 size=4K\npcicmd dev=ivsh16 val=6`,
  );
  expect(steps.slice(-2).map((step) => step.errno)).toEqual([errno, errno]);
});

describe('a child of fork', () => {
  it('holds container and groups that its parent closes', async () => {
    const script = `open type=v2
mmap name=A kind=anon size=64K
map iova=0 va=A size=64K
fork
fork
close
open type=v2
reap
reap
open type=v2
reap`;
    expect((await outcomes(script)).slice(3)).toEqual([64, 64, 64, 'EBUSY', 64, 0, 0, 'ECHILD']);
  });

  it('that was forked before holds nothing of what came later', async () => {
    const script =
      'fork\nopen type=v2\nmmap name=A kind=anon size=64K\nmap iova=0 va=A size=64K\nclose';
    expect((await outcomes(script)).at(-1)).toBe(0);
  });

  it('holds a device: its group cannot leave', async () => {
    const script =
      'open type=v2 dev=ext0\ndevice dev=ext0\nfork\nclosedev dev=ext0\nunset dev=ext0\nreap\nunset dev=ext0';
    expect((await outcomes(script)).slice(3)).toEqual([0, 'EBUSY', 0, 0]);
  });
});

describe('a range that wraps', () => {
  const TOP = 'va=0xfffffffffffff000';

  it.each([
    [`madvise ${TOP} size=0x2000 advice=dontneed`, 'EINVAL'],
    [`madvise ${TOP} size=0x1000 advice=huge`, 'EINVAL'],
    ['madvise va=A size=0xffffffffffffffff advice=dontneed', 'EINVAL'],
    ['madvise va=A size=0xffffffffffff0000 advice=dontneed', 'EINVAL'],
    ['madvise va=0 size=0 advice=dontneed', 0],
    ['madvise va=A+1 size=4K advice=dontneed', 'EINVAL'],
    ['madvise va=0xffff000000000000 size=4K advice=dontneed', 'ENOMEM'],
    [`mlock ${TOP} size=0x2000`, 'EINVAL'],
    [`mlock ${TOP} size=0x1000`, 'EINVAL'],
    ['mlock va=A size=0xffffffffffffffff', 0],
    [`munlock ${TOP} size=0x2000`, 'EINVAL'],
    ['munlock va=A size=0xffffffffffffffff', 0],
    [`mprotect ${TOP} size=0x2000 prot=r`, 'ENOMEM'],
    ['mprotect va=A size=0xffffffffffffffff prot=r', 'ENOMEM'],
    ['mprotect va=0 size=0 prot=r', 0],
  ])('%s: %s, and nothing is done', async (line, outcome) => {
    const steps = await run(`mmap name=A kind=anon size=64K\ntouch va=A size=64K\n${line}`);
    expect(steps[2].errno ?? steps[2].mm.VmLck).toBe(outcome);
    expect(steps[2].layout).toBeUndefined();
  });
});

describe('a limit', () => {
  const NO_CAP = 'mmap name=A kind=anon size=64K\ndropcap\n';

  it('of 0 forbids mlock altogether, over any range', async () => {
    const lines = ['mlock va=A size=4K', 'mlock va=A size=0', 'munlock va=A size=4K'];
    const script = `${NO_CAP}memlock bytes=0\n${lines.join('\n')}`;
    expect((await outcomes(script)).slice(3)).toEqual(['EPERM', 'EPERM', 0]);
  });

  it('of 0, or that is exceeded, refuses MAP_LOCKED: no region, and no address is taken', async () => {
    const script = `${NO_CAP}memlock bytes=64K
mmap name=B kind=anon size=128K flags=locked
mmap name=C kind=anon size=64K flags=locked
memlock bytes=0
mmap name=D kind=anon size=4K flags=locked`;
    const steps = await run(script);
    expect(steps.slice(3).map(({ errno }) => errno)).toEqual(['EAGAIN', null, null, 'EPERM']);
    expect(steps[4].va).toBe('0x1080000000');
  });

  it('refuses MAP_LOCKED before anything is unmapped', async () => {
    const script = `${NO_CAP}touch va=A size=64K\nmemlock bytes=4K
mmap name=B kind=anon size=64K addr=A flags=fixed,locked\ntouch va=A size=4K mode=r`;
    const steps = await run(script);
    expect(steps.slice(4).map(({ errno }) => errno)).toEqual(['EAGAIN', null]);
    expect(steps[4].layout).toBeUndefined();
  });
});

it('a locked_vm below zero refuses every further pin, attach and mlock', async () => {
  const script = `open type=v2
addext
mmap name=A kind=anon size=8P flags=populate
dropcap
memlock bytes=1P
map iova=0x100000 va=A size=1P
pin iova=0x100000
pin iova=0x100800
pin iova=0x100c00
delgroup dev=edu
unpin iova=0x100000
unpin iova=0x100800
unpin iova=0x100c00
pin iova=0x100000
addgroup dev=edu
mlock va=A+6P size=1P`;
  for (const { series } of kernelVersions) {
    const steps = await run(script, series);
    expect(steps[12].mm.VmLck).toBe(-8);
    expect(steps.slice(13).map(({ errno }) => errno)).toEqual(['ENOMEM', 'ENOMEM', 'ENOMEM']);
  }
});

it('off= of a BAR counts once, and a region may not reach behind the BAR', async () => {
  const script = `open type=v2 dev=ivsh16
device dev=ivsh16
mmap name=B kind=bar dev=ivsh16 bar=2 size=2M off=4M
mmap name=C kind=bar dev=ivsh16 bar=2 size=4M off=14M
mmap name=D kind=bar dev=ivsh16 bar=2 size=2M
map iova=0 va=B size=2M
map iova=1G va=D size=2M`;
  const steps = await run(script);
  expect(steps.map(({ errno }) => errno)).toEqual([null, null, null, 'EINVAL', null, null, null]);
  const [at, from] = [steps[2], steps[4]].map(({ bar_phys = '0' }) => BigInt(bar_phys));
  expect(at - from).toBe(4n << 20n);
  const runs = steps[6].iommu?.runs.map(([, phys]) => BigInt(phys));
  expect(runs).toEqual([at, from]);
});

it('a map that never returns ends the run with that step', async () => {
  const script = `sysfs path=/sys/kernel/mm/transparent_hugepage/shmem_enabled val=force
open type=v2
mmap name=A kind=memfd flags=shared size=2M
mmap name=B kind=memfd of=A flags=private size=2M
map iova=0 va=B size=4K flags=r
close`;
  for (const { series, mm } of kernelVersions) {
    const steps = await run(script, series);
    // Before a read-only pin of a private mapping unshared pages of a file, it took them as they are.
    if (mm.readPinUnshare !== 'private') {
      expect(steps).toHaveLength(6);
      expect(steps[4]).toMatchObject({ ret: 0 });
      continue;
    }
    expect(steps).toHaveLength(5);
    expect(steps[4]).toMatchObject({ ret: -1, errno: 'HANG', failure: { at: 'faultin_page' } });
  }
});

describe('a recorded step that never returned', () => {
  const FILE = '6.18.15/more-hang/hang02-private-shmem-thp-r-untouched.json.gz';

  it('does not return in the model either', async () => {
    const { results } = await verifyRecording(await read(FILE), FILE, modelMachineForPass);
    expect(results.filter(({ verdict }) => verdict !== 'passed')).toEqual([]);
    expect(results.at(-1)?.line).toBe('map iova=0x40000000 va=B size=1P flags=r');
  });

  it('fails where the model goes on', async () => {
    const recording = await read(FILE);
    const script = recording.script.map((line) => line.replace('size=1P flags=r', 'size=1P'));
    const { results } = await verifyRecording({ ...recording, script }, FILE, modelMachineForPass);
    const { verdict, differences } = results.at(-1) ?? {};
    expect([verdict, differences]).toEqual([
      'failed',
      [{ path: 'machine', recorded: 'never returned', model: 'went on' }],
    ]);
  });

  it('is none where it returned: a model that hangs has failed', async () => {
    const file = '6.18.15/more-hang/hang03-private-shmem-thp-rw.json.gz';
    const recording = await read(file);
    const script = recording.script.map((line) => line.replace(/(^map .*)/, '$1 flags=r'));
    const { results } = await verifyRecording({ ...recording, script }, file, modelMachineForPass);
    const failed = results.filter(({ verdict }) => verdict === 'failed');
    expect(failed[0].differences[0].model).toContain('KernelHang');
  });
});
