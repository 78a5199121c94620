/** The comparison itself, on machines that replay a recording with one thing changed. */
import { InputError, ModelBug } from '@pinfold/base';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  END_OF_PROCESS,
  levels,
  summarize,
  verifyRecording,
  type Recording,
  type RecordedStep,
  type StepResult,
} from '../src/index.ts';
import { replay, type Perturb } from './fake-machine.ts';
import { read } from './files.ts';

const FILE = '6.18.15/main/b54-large-thp.json.gz';
const MAP = 'map iova=0x40000000 va=A size=1G';
let recording: Recording;

beforeAll(async () => {
  recording = await read(FILE);
});

async function verify(
  perturb?: Perturb,
  leak = 0,
  of: Recording = recording,
): Promise<readonly StepResult[]> {
  return (await verifyRecording(of, FILE, replay(perturb, leak))).results;
}

/** Fields that a step shows instead of its own. */
type Change = { [Name in keyof RecordedStep]?: RecordedStep[Name] | undefined };

/** The failed step-levels of a run in which one step of the trace pass shows something else. */
async function failuresWith(
  line: string,
  change: (step: RecordedStep) => Change,
): Promise<(readonly [string, string, string[]])[]> {
  const results = await verify((step, _index, pass) =>
    pass === 'trace' && step.line === line
      ? ({ ...step, ...change(step) } as RecordedStep)
      : undefined,
  );
  return results
    .filter(({ verdict }) => verdict === 'failed')
    .map((result) => [result.level, result.line, result.differences.map(({ path }) => path)]);
}

it('has steps to compare on every level, and the end of each process', async () => {
  const results = await verify();
  expect(new Set(results.map(({ verdict }) => verdict))).toEqual(new Set(['passed']));
  const [trace, plain] = recording.runs;
  const of = (pass: string, level: string): string[] =>
    results.filter((r) => r.pass === pass && r.level === level).map(({ line }) => line);
  expect(of('trace', 'state')).toEqual([...trace.steps.map(({ line }) => line), END_OF_PROCESS]);
  expect(of('plain', 'state')).toEqual([...plain.steps.map(({ line }) => line), END_OF_PROCESS]);
  expect(of('trace', 'table')).toEqual(trace.steps.map(({ line }) => line));
  expect(of('trace', 'calls')).toEqual(
    trace.steps.filter(({ calls }) => calls).map(({ line }) => line),
  );
  expect(of('plain', 'table')).toEqual([]);
  expect(of('plain', 'calls')).toEqual([]);
  expect(results[0]).toMatchObject({ file: FILE, kernel: '6.18.15', family: 'b', step: 0 });
});

describe('one thing that is wrong', () => {
  it.each<[string, (step: RecordedStep) => Change, string[]]>([
    ['the errno', () => ({ ret: -1, errno: 'ENOMEM' }), ['ret', 'errno']],
    ['the free entries', ({ avail = 0 }) => ({ avail: avail + 1 }), ['avail']],
    ['the limit', () => ({ memlock: null }), ['memlock']],
    ['locked memory', ({ mm }) => ({ mm: { ...mm, VmLck: mm.VmLck + 4 } }), ['mm.VmLck']],
    [
      'the pins, though their difference is right',
      ({ pins: { acquired, released } }) => ({
        pins: { acquired: acquired + 1, released: released + 1 },
      }),
      ['pins.acquired', 'pins.released'],
    ],
    ['a bitmap', () => ({ bitmap: { runs: [], set: 0 } }), ['bitmap']],
    [
      'the capabilities',
      () => ({ info: { argsz: 1, flags: 3, pgsizes: '0x1000', caps: [] } }),
      ['info'],
    ],
  ])('%s', async (_, change, paths) => {
    expect(await failuresWith(MAP, change)).toEqual([['state', MAP, paths]]);
  });

  it('the frame of a page, until the layout is shown again', async () => {
    const touch = recording.runs[0].steps.findIndex(({ op }) => op === 'touch');
    const lines = recording.runs[0].steps.slice(touch).map(({ line }) => line);
    const failures = await failuresWith(lines[0], ({ layout = {} }) => {
      const [[off, pfn, n, order, flags], ...rest] = layout.A;
      return { layout: { ...layout, A: [[off, pfn + 512, n, order, flags], ...rest] } };
    });
    expect(new Set(failures.map(([level]) => level))).toEqual(new Set(['state']));
    expect(failures.map(([, line]) => line)).toEqual(lines);
    expect(failures[0][2]).toHaveLength(1);
  });

  it('a leaf that is missing, until the table is shown again', async () => {
    const failures = await failuresWith(MAP, ({ iommu }) => ({
      iommu: iommu && {
        ...iommu,
        leaf: { ...iommu.leaf, '2M': iommu.leaf['2M'] - 1 },
        runs: iommu.runs.slice(1),
        runs_total: iommu.runs_total - 1,
      },
    }));
    const first = recording.runs[0].steps.find(({ line }) => line === MAP)?.iommu?.runs[0][0] ?? '';
    expect(failures).toEqual([
      ['table', MAP, ['iommu.leaf.2M', 'iommu.runs_total', `iommu.runs[${first}]`]],
    ]);
  });

  it('a run that is too much', async () => {
    const failures = await failuresWith(MAP, ({ iommu }) => ({
      iommu: iommu && { ...iommu, runs: [...iommu.runs, ['0x0', '0x0', '0x1000', '4K', 'r']] },
    }));
    expect(failures).toEqual([['table', MAP, ['iommu.runs[0x0]']]]);
  });

  it('a table that is not shown', async () => {
    const open = recording.runs[0].steps[0].line;
    const failures = await failuresWith(open, () => ({ iommu: undefined }));
    expect(failures[0]).toEqual(['table', open, ['iommu']]);
  });

  it('a call too many', async () => {
    const failures = await failuresWith(MAP, ({ calls = {} }) => ({
      calls: { ...calls, iommu_map: calls.iommu_map + 1 },
    }));
    expect(failures).toEqual([['calls', MAP, ['calls.iommu_map']]]);
  });

  it('a function that the machine does not count', async () => {
    const failures = await failuresWith(MAP, ({ calls = {} }) => ({
      calls: Object.fromEntries(Object.entries(calls).filter(([name]) => name !== 'iommu_map')),
    }));
    expect(failures).toEqual([['calls', MAP, ['calls.iommu_map']]]);
  });

  it('pins that are left', async () => {
    const failed = (await verify(undefined, 3)).filter(({ verdict }) => verdict === 'failed');
    expect(failed).toMatchObject(
      ['trace', 'plain'].map((pass) => ({
        ...{ pass, level: 'state', line: END_OF_PROCESS, step: 7 },
        differences: [{ path: 'pins_left', recorded: 0, model: 3 }],
      })),
    );
  });

  it('is found in the plain pass too, where on 6.12 only the difference of pins counts', async () => {
    const failed = async (
      kernel: string,
      acquired: number,
      released: number,
    ): Promise<unknown[]> => {
      const perturb: Perturb = (step, _index, pass) =>
        pass === 'plain' && step.line === MAP
          ? {
              ...step,
              pins: {
                acquired: step.pins.acquired + acquired,
                released: step.pins.released + released,
              },
            }
          : undefined;
      const results = await verify(perturb, 0, { ...recording, kernel });
      return results.flatMap(({ differences }) => differences.map(({ path }) => path));
    };
    expect(await failed('6.12.90', 1, 1)).toEqual([]);
    expect(await failed('6.12.90', 1, 0)).toEqual(['pins.acquired - pins.released']);
    expect(await failed('6.16.12', 1, 1)).toEqual(['pins.acquired', 'pins.released']);
  });
});

describe('what is not compared', () => {
  it('is a function without a probe, qi_flush_iotlb, and argsz of the buffer', async () => {
    const failures = await failuresWith(MAP, ({ calls = {} }) => ({
      calls: { ...calls, vfio_lock_acct: 7, qi_flush_iotlb: 7, not_probed_at_all: 7 },
    }));
    expect(failures).toEqual([]);
    const open = recording.runs[0].steps[0];
    const ofOpen = await failuresWith(open.line, ({ info }) => ({
      info: info && { ...info, argsz: 1 },
    }));
    expect(ofOpen).toEqual([]);
  });

  it('is listed by name', async () => {
    const { exclusions } = await verifyRecording(recording, FILE, replay());
    const { calls } = exclusions;
    const reasons = new Map(calls.map(({ name, reason }) => [name, reason]));
    expect(reasons.get('qi_flush_iotlb')).toBe('called at attach and detach only');
    expect(reasons.get('vfio_lock_acct')).toBe('no probe: not in this kernel, or inlined');
    expect(reasons.has('iommu_map')).toBe(false);
  });

  it('is what the chosen levels do not cover', async () => {
    const calls = levels.filter(({ name }) => name === 'calls');
    const { results } = await verifyRecording(recording, FILE, replay(), calls);
    expect(results.every(({ level }) => level === 'calls')).toBe(true);
    expect(results.length).toBeGreaterThan(0);
  });

  it('is everything but the state without a layout', async () => {
    const script = [...recording.script, '#nolayout'];
    const { results } = await verifyRecording({ ...recording, script }, FILE, replay());
    expect(new Set(results.map(({ level }) => level))).toEqual(new Set(['state']));
  });
});

describe('a machine that stops', () => {
  const stop =
    (error: Error): Perturb =>
    (step) => {
      if (step.line === MAP) throw error;
      return undefined;
    };

  it('because it cannot do the step leaves the rest of the pass out, with the reason', async () => {
    const results = await verify(stop(new InputError('dev', 'edu', "'x'")));
    const skipped = results.filter(({ verdict }) => verdict === 'skipped');
    expect(new Set(skipped.map(({ reason }) => reason))).toEqual(
      new Set(["dev: expected edu, got 'x'"]),
    );
    expect(skipped[0]).toMatchObject({ line: MAP, level: 'state', differences: [] });
    expect(skipped.at(-1)?.line).toBe(END_OF_PROCESS);
    expect(results.some(({ verdict }) => verdict === 'failed')).toBe(false);
  });

  it('because of a fault fails in the rest of the pass', async () => {
    const results = await verify(stop(new ModelBug('a count is negative')));
    const failed = results.filter(({ verdict }) => verdict === 'failed');
    expect(failed[0]).toMatchObject({
      line: MAP,
      differences: [
        { path: 'machine', recorded: 'went on', model: 'ModelBug: a count is negative' },
      ],
    });
    expect(failed.at(-1)?.line).toBe(END_OF_PROCESS);
    expect(results.some(({ verdict }) => verdict === 'skipped')).toBe(false);
  });

  it('is not asked for an op that is not modelled', async () => {
    const bench = 'bench va=A iova=4G size=1M';
    const runs = recording.runs.map((pass) => ({
      ...pass,
      steps: pass.steps.map((step) => (step.line === MAP ? { ...step, line: bench } : step)),
    }));
    const script = recording.script.map((line) => (line === MAP ? bench : line));
    const { results } = await verifyRecording({ ...recording, runs, script }, FILE, replay());
    const [first] = results.filter(({ verdict }) => verdict === 'skipped');
    expect(first).toMatchObject({ line: bench, reason: 'bench is not modelled yet' });
  });

  it('is not asked for more than a process that died was', async () => {
    const runs = recording.runs.map((pass) => ({
      ...pass,
      broken: 'unexpected end',
      steps: pass.steps.slice(0, 2),
    }));
    const { results } = await verifyRecording({ ...recording, runs }, FILE, replay());
    expect(results.filter(({ verdict }) => verdict === 'skipped')).toMatchObject([
      { line: END_OF_PROCESS, reason: 'the recorded process died' },
      { line: END_OF_PROCESS, reason: 'the recorded process died' },
    ]);
  });
});

it('knows only kernels that are modelled', async () => {
  await expect(
    verifyRecording({ ...recording, kernel: '5.4.1' }, 'x.json', replay()),
  ).rejects.toThrow(/^x\.json: kernel: expected .* or a point release of these, got '5\.4\.1'$/);
});

it('sums up', async () => {
  const good = await verifyRecording(recording, FILE, replay());
  const bad = await verifyRecording(recording, 'main/bad.json', replay(undefined, 1));
  const cannot = await verifyRecording(
    { ...recording, scenario: 'u01' },
    'main/u01.json',
    replay(() => {
      throw new InputError('dev', 'edu', "'x'");
    }),
  );
  const summary = summarize([cannot, good, bad]);
  const { passed } = summarize([good]).total;
  expect(summary.total).toEqual({ passed: 2 * passed - 2, failed: 2, skipped: passed });
  expect(summary.rows.map(({ family, recordings }) => [family, recordings])).toEqual([
    ['b', 2],
    ['u', 1],
  ]);
  expect(summary.rows[0].levels.state.failed).toBe(2);
  expect(summary.rows[0].levels.table).toMatchObject({ failed: 0, skipped: 0 });
  expect(summary.failures).toMatchObject([{ file: 'main/bad.json', failed: 2 }]);
  expect(summary.failures[0].first.line).toBe(END_OF_PROCESS);
  expect(summary.skips).toEqual([{ reason: "dev: expected edu, got 'x'", count: passed }]);
  const flushes = summary.exclusions.filter(({ name }) => name === 'qi_flush_iotlb');
  expect(flushes.map(({ level }) => level)).toEqual(['calls', 'trace']);
});
