/** Which random sequence a number stands for, and what many of them add up to. */
import { kernelVersions } from '@pinfold/kernels';
import { machines } from './sequences-machines.ts';
import {
  runRandom,
  shrink,
  type Finding,
  type SequenceId,
  type SequenceResult,
} from './sequences-run.ts';

/** A finding with the scenario that shows it. */
export interface ShrunkFinding extends Finding {
  readonly id: SequenceId;
  /** The scenario, as small as could be. */
  readonly lines: readonly string[];
}

/** What sequences have done, as plain data. */
export interface Tally {
  /** Sequences without a finding, by kernel. */
  clean: Record<string, number>;
  /** Steps done, and those that succeeded, by op. */
  steps: Record<string, [all: number, good: number]>;
  /** Pages pinned. */
  pinned: number;
  /** Pages copied. */
  copied: number;
  /** The first finding of every kind. */
  findings: ShrunkFinding[];
}

/**
 * A tally of nothing.
 *
 * @returns the tally
 */
export function emptyTally(): Tally {
  return { clean: {}, steps: {}, pinned: 0, copied: 0, findings: [] };
}

/**
 * The sequence of a number: every machine and every kernel take turns.
 *
 * @param index number of the sequence, from 0
 * @returns kernel, machine and seed
 */
export function sequenceId(index: number): SequenceId {
  const { name } = machines[index % machines.length];
  const { series } = kernelVersions[Math.floor(index / machines.length) % kernelVersions.length];
  return { kernel: series, machine: name, seed: index };
}

/**
 * Runs sequences one after the other.
 *
 * @param from number of the first
 * @param count how many
 * @param known kinds of findings that need no smaller scenario any more
 * @returns what they did
 */
export async function runSequences(
  from: number,
  count: number,
  known: ReadonlySet<string> = new Set(),
): Promise<Tally> {
  const tally = emptyTally();
  for (let index = from; index < from + count; index++) {
    const id = sequenceId(index);
    const result = await runRandom(id);
    addResult(tally, id, result);
    const { finding, lines } = result;
    if (!finding || known.has(finding.rule)) continue;
    if (tally.findings.some(({ rule }) => rule === finding.rule)) continue;
    tally.findings.push({ ...finding, id, lines: await shrink(lines, id, finding) });
  }
  return tally;
}

function addResult(tally: Tally, { kernel }: SequenceId, result: SequenceResult): void {
  if (!result.finding) tally.clean[kernel] = (tally.clean[kernel] ?? 0) + 1;
  tally.pinned += result.pinned;
  tally.copied += result.copied;
  addSteps(tally, result.done);
}

function addSteps(
  tally: Tally,
  steps: Iterable<readonly [string, readonly [number, number]]>,
): void {
  for (const [op, [all, good]] of steps) {
    const [allBefore, goodBefore] = tally.steps[op] ?? [0, 0];
    tally.steps[op] = [allBefore + all, goodBefore + good];
  }
}

/**
 * Adds what other sequences did.
 *
 * @param tally gets the sum
 * @param more what is added
 */
export function addTally(tally: Tally, more: Tally): void {
  for (const [kernel, n] of Object.entries(more.clean)) {
    tally.clean[kernel] = (tally.clean[kernel] ?? 0) + n;
  }
  addSteps(tally, Object.entries(more.steps));
  tally.pinned += more.pinned;
  tally.copied += more.copied;
  for (const finding of more.findings) {
    if (!tally.findings.some(({ rule }) => rule === finding.rule)) tally.findings.push(finding);
  }
}

/** First word of the line that says on which machine a scenario is to be replayed. */
const DIRECTIVE = '# sequence:';

/**
 * A finding as a scenario file.
 *
 * @param finding the finding
 * @returns the text; its comments say what is wrong and on which machine
 */
export function scenarioText({ id, rule, what, lines }: ShrunkFinding): string {
  const { kernel, machine, seed } = id;
  const directive = `${DIRECTIVE} kernel=${kernel} machine=${machine} seed=${seed}`;
  const comments = [directive, `# violated: ${rule}`, `# ${what.replace(/\s+/g, ' ')}`];
  return `${[...comments, ...lines].join('\n')}\n`;
}

/**
 * Where a scenario file of a finding is to be replayed.
 *
 * @param text the file
 * @returns kernel, machine and seed; of a file without them, 6.18 and the recordings' guest
 */
export function idOfScenario(text: string): SequenceId {
  const line = text.split('\n').find((candidate) => candidate.startsWith(DIRECTIVE)) ?? '';
  const value = (key: string, otherwise: string): string =>
    new RegExp(`\\b${key}=(\\S+)`).exec(line)?.[1] ?? otherwise;
  return {
    kernel: value('kernel', '6.18'),
    machine: value('machine', 'guest'),
    seed: Number(value('seed', '1')),
  };
}
