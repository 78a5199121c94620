/** Emulated devices: what is compared of their steps, and the machine that has them. */
import { KernelBug } from '@pinfold/base';
import { ModelMachine, parseScenario } from '@pinfold/guest';
import { kernelVersion } from '@pinfold/kernels';
import { runScenario, StepRunner, type Observation } from '@pinfold/scenario';
import { describe, expect, it } from 'vitest';
import {
  END_OF_PROCESS,
  modelMachineForPass,
  verifyRecording,
  type RecordedPass,
  type RecordedStep,
  type Recording,
} from '../src/index.ts';
import { replay } from './fake-machine.ts';
import { read } from './files.ts';

const FOLDER = '6.18.15/extpin';

/** Runs a scenario on the model. */
async function run(lines: readonly string[], series = '7.2'): Promise<Observation[]> {
  const machine = new ModelMachine({ kernel: kernelVersion(series) });
  const { steps } = await runScenario(parseScenario(lines, 'x.scn'), machine);
  return steps.map(({ observation }) => observation);
}

const PINNED = [
  'open type=v2 dev=ext0',
  'device dev=ext0',
  'mmap name=A kind=anon size=64K advise=nohuge',
  'touch va=A size=64K',
  'map iova=0x100000 va=A size=64K',
  'pin iova=0x100000 n=2 times=2',
];

/** Paths that differ when one step of both passes shows something else. */
async function differs(
  file: string,
  line: string,
  change: (step: RecordedStep) => Partial<Observation>,
): Promise<string[]> {
  const recording = await read(`${FOLDER}/${file}.json.gz`);
  const { results } = await verifyRecording(
    recording,
    `${FOLDER}/${file}.json.gz`,
    replay((step) => (step.line === line ? { ...step, ...change(step) } : undefined)),
  );
  const failed = results.filter(({ verdict }) => verdict === 'failed');
  for (const result of failed) expect([result.line, result.level]).toEqual([line, 'state']);
  return failed.map(
    ({ pass, differences }) => `${pass} ${differences.map(({ path }) => path).join()}`,
  );
}

describe('of a step is compared', () => {
  const pin = 'pin iova=0x102000 n=4 prot=r';

  it('which frames were pinned, where they are known', async () => {
    const moved = (step: RecordedStep): Partial<Observation> => ({
      pfns: (step.pfns ?? []).map(([at, pfn, n]) => [at, (pfn ?? 0) + 1, n]),
    });
    expect(await differs('x05-perm-midway', pin, moved)).toEqual([
      expect.stringMatching(/^trace pfns\[0\]\[1\]/),
    ]);
  });

  it('which pages were pinned', async () => {
    const none = (): Partial<Observation> => ({ pfns: [[0, null, 4]] });
    expect(await differs('x05-perm-midway', pin, none)).toHaveLength(2);
  });

  it.each<[string, Partial<Observation>]>([
    ['held', { held: { ext0: 5 } }],
    ['held', { held: {} }],
    ['notify_total', { notify_total: 1 }],
    ['warn', { warn: 1 }],
    ['klog', { klog: ['vfio: something else'] }],
  ])('%s', async (path, change) => {
    const found = await differs('x05-perm-midway', pin, () => change);
    expect(found).toHaveLength(2);
    expect(found[0]).toContain(path);
  });

  it('what devices were told', async () => {
    const released = ({ notify = [] }: RecordedStep): Partial<Observation> => ({
      notify: notify.map((notification) => ({ ...notification, released: 0 })),
    });
    const line = 'unmap iova=0x100000 size=64K';
    const found = await differs('x25-unmap-skip3', line, released);
    expect(found).toEqual(['trace notify[3].released', 'plain notify[3].released']);
  });

  it('what was read', async () => {
    const line = 'peek va=A size=8K';
    const data = { len: 8192, fnv: '0', runs: [] };
    const found = await differs('r01-basic', line, () => ({ data }));
    expect(found).toHaveLength(2);
  });
});

describe('a pass in which the kernel dies', () => {
  const file = `${FOLDER}/z08-bug.json.gz`;

  async function last(of: (recording: Recording) => Recording): Promise<[string, string]> {
    const recording = of(await read(file));
    const { results } = await verifyRecording(recording, file, modelMachineForPass);
    const { line = '', verdict = '' } = results.at(-1) ?? {};
    return [line, verdict];
  }

  /** The recording with its one pass changed. */
  function withPass(
    recording: Recording,
    change: (pass: RecordedPass) => Partial<RecordedPass>,
  ): Recording {
    return { ...recording, runs: recording.runs.map((pass) => ({ ...pass, ...change(pass) })) };
  }

  it('ends with that step', async () => {
    expect(await last((recording) => recording)).toEqual([
      'unmap iova=0x100000 size=64K',
      'passed',
    ]);
  });

  it('agrees only if as much had happened', async () => {
    const other = await last((recording) =>
      withPass(recording, ({ klog = [] }) => ({
        klog: [...klog.slice(0, -1), 'extpin: notify_total=10 held=2'],
      })),
    );
    expect(other[1]).toBe('failed');
  });

  it('does not agree with a model that goes on', async () => {
    const { script } = await read(file);
    const harmless = script.map((line) => (line === 'extmode unmap=none' ? 'extmode' : line));
    const result = await last((recording) => ({
      ...withPass(recording, ({ steps }) => ({
        steps: steps.map((step) => (step.op === 'extmode' ? { ...step, line: 'extmode' } : step)),
      })),
      script: harmless,
    }));
    expect(result).toEqual(['unmap iova=0x100000 size=64K', 'failed']);
  });

  it('is skipped when it died of something else', async () => {
    const other = await last((recording) => withPass(recording, () => ({ klog: ['Oops'] })));
    expect(other).toEqual([END_OF_PROCESS, 'skipped']);
  });
});

describe('emulated devices', () => {
  it('hold references by address, and give them back in order when they are closed', async () => {
    const steps = await run([
      ...PINNED,
      'unpin iova=0x101000',
      'pin iova=0x100800 forget=1',
      'unpin iova=0x100000 forget=1',
      'closedev dev=ext0',
    ]);
    expect(steps.slice(5).map(({ held }) => held?.ext0)).toEqual([4, 3, 3, 3, undefined]);
    expect(steps.slice(5).map(({ mm }) => mm.VmLck)).toEqual([8, 8, 12, 12, 4]);
  });

  it.each([
    ['all', [[4, 4]]],
    [
      'one',
      [
        [4, 2],
        [2, 2],
      ],
    ],
    [
      'ref',
      [
        [4, 1],
        [3, 1],
        [2, 1],
        [1, 1],
      ],
    ],
    [
      'skip k=2',
      [
        [4, 0],
        [4, 0],
        [4, 4],
      ],
    ],
  ])('give back %s when a mapping goes', async (mode, told) => {
    const steps = await run([...PINNED, `extmode unmap=${mode}`, 'unmap iova=0x100000 size=64K']);
    const { notify = [], held, pins, ret } = steps.at(-1) ?? {};
    expect(notify.map(({ held: had, released }) => [had, released])).toEqual(told);
    expect({ held, pins, ret }).toEqual({
      ...{ held: { ext0: 0 }, ret: 0 },
      pins: { acquired: 0, released: 2 },
    });
  });

  it('are told of a page that begins before the mapping', async () => {
    const steps = await run([
      ...PINNED.slice(0, 4),
      'map iova=0x100000 va=A+16K size=16K',
      'pin iova=0xff800',
      'unmap iova=0x100000 size=16K',
    ]);
    expect(steps.at(-1)?.notify).toMatchObject([{ held: 1, released: 1 }]);
  });

  it('keep their group while their file is open, and its file stays open', async () => {
    const steps = await run([
      ...PINNED,
      'delext keepfd=1',
      'pin iova=0x102000',
      'closedev dev=ext0',
      'delext',
    ]);
    expect(steps.slice(6).map(({ errno, avail }) => [errno, avail])).toEqual([
      ['EBUSY', 65534],
      [null, 65534],
      [null, 65534],
      [null, undefined],
    ]);
  });

  it('call from a child, whose fork the process pays for', async () => {
    const steps = await run([
      ...PINNED,
      'pin iova=0x104000 from=child',
      'touch va=A size=64K mode=r',
    ]);
    const [before, after] = [steps[3].layout?.A, steps[6].layout?.A];
    const frame = (layout: typeof before, off: number): number | undefined =>
      layout?.flatMap(([at, pfn, n]) => (off >= at && off < at + n ? [pfn + off - at] : []))[0];
    expect(frame(after, 4)).not.toBe(frame(before, 4));
    expect(steps[6].pfns?.[0][1]).toBe(frame(after, 4));
    expect(steps[6].mm.VmLck).toBe(12);
  });

  it('pin nothing of device memory, and read and write it', async () => {
    const path = '/sys/bus/pci/devices/0000:00:05.0/resource2';
    const steps = await run([
      ...PINNED.slice(0, 2),
      `mmap name=R kind=file path=${path} size=64K fsize=16M flags=shared`,
      'map iova=0x100000 va=R size=64K',
      'pin iova=0x100000',
      'dmarw iova=0x101ffe len=4 write=1 byte=7',
      'dmarw iova=0x101ffc len=8 write=0',
    ]);
    expect(steps.slice(4).map(({ errno }) => errno)).toEqual(['EINVAL', null, null]);
    expect(steps[6].data?.runs).toEqual([
      [0, 0, 2],
      [2, 7, 4],
      [6, 0, 2],
    ]);
  });
});

describe('a BUG of the kernel', () => {
  const lines = [...PINNED, 'extmode unmap=none', 'unmap iova=0x100000 size=64K', 'close'];

  it('ends a run, with what is left to see', async () => {
    const steps = await run(lines);
    expect(steps).toHaveLength(lines.length - 1);
    expect(steps.at(-1)).toMatchObject({
      ...{ op: 'unmap', ret: -1, errno: 'BUG', notify_total: 11, held: { ext0: 4 } },
      failure: { at: 'vfio_dma_do_unmap' },
    });
  });

  it('is an error to who does single steps', async () => {
    const runner = new StepRunner(new ModelMachine({ kernel: kernelVersion('6.16') }));
    const { steps } = parseScenario(lines, 'x.scn');
    for (const [index, step] of steps.slice(0, -2).entries()) await runner.run(step, index);
    await expect(runner.run(steps[7], 7)).rejects.toThrow(KernelBug);
  });
});
