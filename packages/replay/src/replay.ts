/** Runs what a log tells on the model, and says what went wrong. */
import {
  DEFAULT_MACHINE,
  explainRun,
  factsOfLine,
  ModelMachine,
  parseScenario,
  type GuestRun,
  type GuestScenario,
} from '@pinfold/guest';
import { kernelVersion, kernelVersions } from '@pinfold/kernels';
import { runWhilePossible } from '@pinfold/scenario';
import { adviceFor, adviceOnMessages } from './advice/index.ts';
import type { Backing, LoggedCall, Place } from './log/entries.ts';
import type { Log } from './log/read-log.ts';
import { buildScenario, type Assumptions, type BuiltScenario } from './scenario/build.ts';
import { combined, hypothesesFor, type Mismatch } from './scenario/hypotheses.ts';
import { MappedRanges, type Mapping } from './scenario/mapped.ts';
import { sessionOf } from './scenario/session.ts';
import { kernelOfRelease } from './kernel-of-release.ts';

/** How a log is replayed. */
export interface ReplayOptions {
  /** Release of the kernel; default: that of the log, else the newest. */
  readonly kernel?: string;
  /** Kind of the memory that no mmap in the log has made; default: huge pages where it can be. */
  readonly backing?: Backing;
  /** Decides the order of frames; default 1. */
  readonly seed?: number;
  /** Called now and then with what is done. */
  readonly onProgress?: (what: string) => void;
}

/** Something that is said of a call. */
export interface ReplayFinding {
  /** Where the call is in the log. */
  readonly at: Place;
  /** Its line in the log. */
  readonly text: string;
  /** Name of the error in the model; null: it succeeded. */
  readonly errno: string | null;
  /** Kernel function whose check failed. */
  readonly from?: string;
  /** What it has in common with others that say the same. */
  readonly kind: string;
  /** Why, in sentences. */
  readonly why: readonly string[];
  /** What to do, in sentences. */
  readonly action: readonly string[];
  /** Whether it is about a message, of which the log has no call. */
  readonly isMessage?: true;
  /** Outcome per other release; empty where nobody asked. */
  readonly releases: Readonly<Record<string, string | null>>;
}

/** A call whose outcome in the model is not that in the log. */
export interface ReplayDifference {
  /** Where it is. */
  readonly at: Place;
  /** Its line in the log. */
  readonly text: string;
  /** Its outcome in the log. */
  readonly recorded: string | null;
  /** Its outcome in the model. */
  readonly model: string | null;
}

/** The container after a call. */
export interface TimelinePoint {
  /** Where the call is. */
  readonly at: Place;
  /** The op. */
  readonly op: string;
  /** Memory that is locked, in KiB. */
  readonly lockedKib: number;
  /** Mappings. */
  readonly entries: number;
  /** How long it took as the log says, in seconds. */
  readonly seconds?: number;
  /** Its outcome in the model. */
  readonly errno: string | null;
}

/** What came of a replay. */
export interface Replay {
  /** Release that it ran on. */
  readonly kernel: string;
  /** What is to be said of that choice. */
  readonly kernelSaid?: string;
  /** The machine's line of the scenario; empty: the default machine. */
  readonly machine: string;
  /** The scenario, with where its lines come from. */
  readonly scenario: string;
  /** Calls that were replayed. */
  readonly calls: number;
  /** Calls of other containers, which were not. */
  readonly others: number;
  /** What failed or went silently wrong. */
  readonly findings: readonly ReplayFinding[];
  /** What is to be said of messages of which the log has no call. */
  readonly answers: readonly ReplayFinding[];
  /** Where model and log differ. */
  readonly differences: readonly ReplayDifference[];
  /** The DMA map afterwards. */
  readonly mappings: readonly Mapping[];
  /** Addresses that the IOMMU has for the device, both ends inclusive; empty without a container. */
  readonly usable: readonly (readonly [first: string, last: string])[];
  /** Locked memory and entries, call by call. */
  readonly timeline: readonly TimelinePoint[];
  /** What is assumed, in words. */
  readonly assumed: readonly string[];
  /** Why the rest could not be replayed. */
  readonly stopped?: string;
}

/** A scenario with what came of it. */
interface Attempt {
  readonly built: BuiltScenario;
  readonly scenario: GuestScenario;
  readonly run: GuestRun;
  readonly mismatches: readonly Mismatch[];
  readonly assumptions: Assumptions;
}

/** Calls that the model may give another outcome before nobody looks for reasons any more. */
const MAX_GUESSES = 4;
/** Findings of one kind that get advice: the others say the same. */
const ADVISED_PER_KIND = 20;
/** More steps than this are not run on other releases too. */
const COMPARED_STEPS = 2000;

/**
 * Replays a log.
 *
 * @param log what was read
 * @param options the kernel, and what is assumed
 * @returns what came of it
 * @throws {InputError} when the kernel is none
 */
export async function replayLog(log: Log, options: ReplayOptions = {}): Promise<Replay> {
  const { kernel, said: kernelSaid } = kernelOfRelease(options.kernel ?? log.facts.kernel);
  const { calls, others } = sessionOf(log);
  const tryWith = (assumptions: Assumptions): Promise<Attempt> =>
    attempt(log, calls, assumptions, kernel, options);
  let best = await tryWith({ backing: options.backing, badMemory: barsOf(log, calls), said: [] });
  for (let i = 0; i < MAX_GUESSES; i++) {
    const [first] = best.mismatches;
    if ((first as Mismatch | undefined) === undefined) break;
    const better = await firstBetter(best, first, tryWith);
    if (!better) break;
    best = better;
  }
  const compared = await otherReleases(best, kernel, options);
  return resultOf(log, calls, best, {
    ...{ kernel, others, otherRuns: compared },
    ...(kernelSaid !== undefined && { kernelSaid }),
  });
}

/** Maps that messages of the log tell to be BARs, by their numbers. */
function barsOf(log: Log, calls: readonly LoggedCall[]): Map<number, 'bar'> {
  const bars = new Map<number, 'bar'>();
  for (const { about, at, values } of log.messages) {
    if (about !== 'p2p' && !(about === 'region' && /BAR|mmaps/.test(values?.region ?? '')))
      continue;
    const index = calls.findLastIndex(
      (call) => call.op === 'map' && call.at.file === at.file && call.at.line <= at.line,
    );
    if (index >= 0) bars.set(index, 'bar');
  }
  return bars;
}

async function firstBetter(
  best: Attempt,
  mismatch: Mismatch,
  tryWith: (assumptions: Assumptions) => Promise<Attempt>,
): Promise<Attempt | null> {
  for (const more of hypothesesFor(mismatch)) {
    const next = await tryWith(combined(best.assumptions, more));
    const [first] = next.mismatches;
    const isLater = (first as Mismatch | undefined) === undefined || first.index > mismatch.index;
    if (isLater && !next.run.stopped) return next;
  }
  return null;
}

async function attempt(
  log: Log,
  calls: readonly LoggedCall[],
  assumptions: Assumptions,
  kernel: string,
  options: ReplayOptions,
): Promise<Attempt> {
  const built = buildScenario(calls, log.messages, log.facts, assumptions);
  options.onProgress?.(`${built.steps.length} steps`);
  const parsed = parseScenario(built.lines, 'replay.scn');
  // What is said of a step names the line of the log.
  const steps = parsed.steps.map((step, i) => ({
    ...step,
    line: built.steps[i].at.line,
    text: built.steps[i].call?.text ?? step.text,
  }));
  const scenario = { ...parsed, steps };
  let done = 0;
  const run = await runWhilePossible(scenario, machineFor(scenario, kernel, options), {
    onStep: () => {
      if (++done % PROGRESS_STEPS === 0) {
        options.onProgress?.(`${done} of ${steps.length} steps`);
      }
    },
  });
  const isIommufd = built.lines.some((line) => line.startsWith('iofd'));
  const facts = { ...log.facts, ...assumptions.facts };
  return {
    ...{ built, scenario, run, assumptions },
    mismatches: mismatchesOf(built, run, facts, isIommufd),
  };
}

const PROGRESS_STEPS = 1000;

function machineFor(
  { machine }: GuestScenario,
  kernel: string,
  { seed = 1 }: ReplayOptions,
): ModelMachine {
  return new ModelMachine({
    ...{ kernel: kernelVersion(kernel), facts: factsOfLine(machine, DEFAULT_MACHINE) },
    buddy: { seed },
  });
}

function mismatchesOf(
  built: BuiltScenario,
  run: GuestRun,
  facts: Log['facts'],
  isIommufd: boolean,
): Mismatch[] {
  const found: Mismatch[] = [];
  let mappedBytes = 0n;
  let mappings = 0;
  let highest = 0n;
  for (const [i, { observation }] of run.steps.entries()) {
    const { call, index = 0 } = built.steps[i];
    if (!call) continue;
    const { errno: recorded } = call;
    if (recorded !== undefined && (recorded ?? null) !== observation.errno) {
      found.push({ index, call, recorded, mappedBytes, mappings, highest, facts, isIommufd });
    }
    if (call.op !== 'map' || observation.errno !== null) continue;
    mappedBytes += call.size;
    mappings++;
    if (call.iova + call.size > highest) highest = call.iova + call.size;
  }
  return found;
}

/** The same scenario on the other releases, where that is no long work. */
async function otherReleases(
  { scenario, run }: Attempt,
  kernel: string,
  options: ReplayOptions,
): Promise<Map<string, GuestRun>> {
  const runs = new Map<string, GuestRun>();
  const isWrong = run.steps.some(({ observation }) => observation.errno !== null);
  if (!isWrong || scenario.steps.length > COMPARED_STEPS) return runs;
  const own = kernelVersion(kernel).series;
  for (const { series } of kernelVersions) {
    if (series === own) continue;
    options.onProgress?.(`Linux ${series}`);
    runs.set(series, await runWhilePossible(scenario, machineFor(scenario, series, options)));
  }
  return runs;
}

interface ResultFacts {
  readonly kernel: string;
  readonly kernelSaid?: string;
  readonly others: number;
  readonly otherRuns: ReadonlyMap<string, GuestRun>;
}

function resultOf(
  log: Log,
  calls: readonly LoggedCall[],
  best: Attempt,
  { kernel, kernelSaid, others, otherRuns }: ResultFacts,
): Replay {
  const { built, run } = best;
  const explained = new Map(explainRun(run, otherRuns).map((one) => [one.index, one]));
  const mapped = new MappedRanges();
  mapped.v1 = built.lines.some((line) => line.startsWith('open type=v1'));
  const timeline: TimelinePoint[] = [];
  const findings: ReplayFinding[] = [];
  const kinds = new Map<string, number>();
  for (const [i, { observation }] of run.steps.entries()) {
    const { call, at } = built.steps[i];
    const { errno, failure } = observation;
    const explanation = explained.get(i);
    if (call && (explanation || errno !== null)) {
      const kind = `${errno ?? ''} ${failure?.at ?? explanation?.sentences[0]?.replace(/\d\w*/g, '') ?? ''}`;
      const same = (kinds.get(kind) ?? 0) + 1;
      kinds.set(kind, same);
      const context = { log, calls, call, mapped, run, index: i, observation, failure };
      findings.push({
        ...{ at, text: call.text, errno, why: explanation?.sentences ?? [] },
        ...(failure && { from: failure.at }),
        ...{ kind, action: same > ADVISED_PER_KIND ? [] : adviceFor(context) },
        releases: explanation?.releases ?? {},
      });
    }
    if (!call) continue;
    if (errno === null) mapped.after(call);
    if (call.op !== 'map' && call.op !== 'unmap' && call.op !== 'close') continue;
    const { mm } = observation;
    timeline.push({
      ...{ at, op: call.op, errno, entries: mapped.count },
      lockedKib: mm.VmPin ?? mm.VmLck,
      ...(call.seconds !== undefined && { seconds: call.seconds }),
    });
  }
  const machine = built.lines.find((line) => line.startsWith('machine ')) ?? '';
  return {
    ...{ kernel, machine, calls: calls.length, others, findings, timeline },
    ...(kernelSaid !== undefined && { kernelSaid }),
    scenario: scenarioText(built, kernel),
    answers: adviceOnMessages(log, calls),
    differences: best.mismatches.map(({ call, recorded, index }) => ({
      ...{ at: call.at, text: call.text, recorded },
      model: run.steps[built.steps.findIndex((one) => one.index === index)].observation.errno,
    })),
    ...{ mappings: mapped.list, assumed: built.assumed, usable: usableIn(run) },
    ...(run.stopped && { stopped: run.stopped.message }),
  };
}

/** The addresses that VFIO_IOMMU_GET_INFO gives when the container was opened. */
function usableIn(run: GuestRun): [string, string][] {
  for (const { observation } of run.steps.toReversed()) {
    const caps = observation.info?.caps ?? [];
    const ranges = caps.find(({ name }) => name === 'iova_ranges')?.ranges ?? observation.ranges;
    if (Array.isArray(ranges)) return ranges as [string, string][];
  }
  return [];
}

function scenarioText({ lines, steps }: BuiltScenario, kernel: string): string {
  const at = new Map(steps.map((step) => [step.line, step]));
  const text = lines.map((line, i) => {
    const step = at.get(i + 1);
    if (!step) return line;
    const from = `${step.at.file}:${step.at.line}`.replaceAll(/\s/g, '_');
    return `${line}  # ${step.call ? '' : 'assumed for '}${from}`;
  });
  return [`# For pinfold run --kernel ${kernel}.`, ...text, ''].join('\n');
}
