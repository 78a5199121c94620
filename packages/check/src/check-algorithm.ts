/** The check of an algorithm: many sequences, and a minimal one for everything that is found. */
import { kernelVersion, type KernelVersion } from '@pinfold/kernels';
import { pinAlgorithm, type PinAlgorithm } from '@pinfold/vfio-type1';
import { boundaryClasses } from './boundaries/index.ts';
import { groundsText } from './grounds/grounds.ts';
import { PairMemory, type CheckedAlgorithms } from './machines/checked-pair.ts';
import { sequenceAt } from './sequence/generate.ts';
import { runSequence } from './sequence/run-sequence.ts';
import { sequenceText, type CheckSequence } from './sequence/sequence.ts';
import { shrinkSequence } from './sequence/shrink.ts';
import {
  GRADES,
  INVARIANTS,
  type CheckViolation,
  type Grade,
  type Invariant,
} from './audit/violation.ts';

/** What is checked. */
export interface CheckOptions {
  /** The algorithm. */
  readonly algorithm: PinAlgorithm;
  /** What it has to be equivalent to; default: that of 6.16, `batched`. */
  readonly against?: PinAlgorithm;
  /** The kernel that it is a part of; default: 6.16, the last one before the patches of 2025. */
  readonly kernel?: KernelVersion;
  /** Sequences at most; default {@link DEFAULT_CHECK_RUNS}. */
  readonly runs?: number;
  /** Number of the first sequence; default 0. */
  readonly from?: number;
  /** Decides everything that is random; default 1. */
  readonly seed?: number;
  /** Grades that do not count: what is found of them is a note in the report; default: none. */
  readonly allow?: readonly Grade[];
}

/** What tells a check to end, such as an AbortSignal. */
export interface StopSignal {
  /** Whether it is to end. */
  readonly aborted: boolean;
}

/** Who watches a check, and may end it. */
export interface CheckWatcher {
  /** Ends the check; what was found by then is reported. */
  readonly signal?: StopSignal;
  /**
   * Told after each batch of sequences; what it returns is waited for, so that a web worker can
   * look at its messages.
   *
   * @param done sequences that were run
   */
  readonly onProgress?: (done: number) => void | Promise<void>;
}

/** A violated invariant. */
export interface CheckFinding extends CheckViolation {
  /** Number of the sequence that showed it first. */
  readonly index: number;
  /** The smallest sequence that shows it. */
  readonly sequence: CheckSequence;
  /** That as a scenario file, which `pinfold run` replays. */
  readonly scenario: string;
  /** What it rests on, and whether a real kernel was recorded doing that; one line. */
  readonly restsOn: string;
}

/** How often sequences of a boundary class were run; those of a mixture count for each of its classes. */
export interface ClassCount {
  /** Sequences. */
  readonly sequences: number;
  /** Of these, those that a violation has ended. */
  readonly violated: number;
}

/** What a check has found. */
export interface CheckReport {
  /** Name of the algorithm. */
  readonly algorithm: string;
  /** Name of the reference. */
  readonly against: string;
  /** Release series. */
  readonly kernel: string;
  /** Seed. */
  readonly seed: number;
  /** Number of the first sequence. */
  readonly from: number;
  /** Sequences that count. */
  readonly sequences: number;
  /** Different memory layouts among them. */
  readonly layouts: number;
  /** Boundary classes among them. */
  readonly classes: number;
  /** How often each class was among them, by name. */
  readonly perClass: Readonly<Record<string, ClassCount>>;
  /** One finding per violated invariant, in the order in which they were found. */
  readonly findings: readonly CheckFinding[];
  /** What the recorded kernels do wrong too: one finding per rule. */
  readonly known: readonly CheckFinding[];
  /** Grades that did not count. */
  readonly allow: readonly Grade[];
  /** What was found of them. */
  readonly waived: readonly CheckFinding[];
}

/** A finding before it is made small. */
export interface RawFinding {
  /** Number of the sequence. */
  readonly index: number;
  /** The invariant. */
  readonly invariant: Invariant;
  /** How much it weighs. */
  readonly grade: Grade;
  /** Whether its grade does not count. */
  readonly waived: boolean;
  /** What is wrong, in one line. */
  readonly what: string;
  /** Why recorded kernels do the same, or null. */
  readonly known: string | null;
}

/** What a batch of sequences has shown: plain data, for the way between threads. */
export interface BatchResult {
  /** First sequence of the batch. */
  readonly from: number;
  /** The first finding of each kind. */
  readonly found: readonly RawFinding[];
  /** A number for the layout of each sequence. */
  readonly layouts: readonly number[];
  /** How often each class was among them, by name. */
  readonly perClass: Readonly<Record<string, ClassCount>>;
}

/** The release that the patches of 2025 were posted for. */
export const DEFAULT_CHECK_KERNEL = '6.16';
/** Sequences unless somebody says otherwise. */
export const DEFAULT_CHECK_RUNS = 10_000;
/** Sequences of a batch. */
export const CHECK_BATCH = 250;
/** Sequences after the last finding of a new kind, after which a check ends. */
const PATIENCE = 2_500;

/**
 * Fills defaults in.
 *
 * @param options what is checked
 * @returns kernel and algorithms
 */
export function checkedOf({ algorithm, against, kernel, allow }: CheckOptions): CheckedAlgorithms {
  return {
    ...(allow && allow.length > 0 && { allow: new Set(allow) }),
    algorithm,
    against: against ?? pinAlgorithm('batched'),
    kernel: kernel ?? kernelVersion(DEFAULT_CHECK_KERNEL),
  };
}

/**
 * Checks an algorithm.
 *
 * @param options what is checked
 * @param watcher who watches
 * @returns what was found
 */
export async function checkAlgorithm(
  options: CheckOptions,
  watcher: CheckWatcher = {},
): Promise<CheckReport> {
  const { runs = DEFAULT_CHECK_RUNS, from = 0, seed = 1 } = options;
  const checked = checkedOf(options);
  const tally = new CheckTally(runs, from);
  while (tally.goesOn && !watcher.signal?.aborted) {
    const count = Math.min(CHECK_BATCH, runs - tally.done);
    tally.add(runBatch(checked, seed, from + tally.done, count));
    await watcher.onProgress?.(tally.done);
  }
  const findings = tally.found.map((raw) => smallestFinding(checked, seed, raw));
  return reportOf(options, tally, findings);
}

/**
 * Runs some sequences.
 *
 * @param checked kernel and algorithms
 * @param seed seed of the check
 * @param from number of the first
 * @param count how many
 * @returns what they have shown
 */
export function runBatch(
  checked: CheckedAlgorithms,
  seed: number,
  from: number,
  count: number,
): BatchResult {
  const found: RawFinding[] = [];
  const layouts: number[] = [];
  const perClass: Record<string, ClassCount> = {};
  const memory = new PairMemory();
  const add = (index: number, one: CheckViolation, waived = false): void => {
    const { invariant, grade, what, known } = one;
    if (!found.some((other) => kindOf(other) === kindOf(one)))
      found.push({ index, invariant, grade, waived, what, known });
  };
  for (let index = from; index < from + count; index++) {
    const sequence = sequenceAt(checked.kernel, seed, index);
    layouts.push(layoutNumber(sequence));
    const outcome = runSequence(checked, sequence, memory);
    for (const known of outcome.known) add(index, known);
    for (const waived of outcome.waived) add(index, waived, true);
    if (outcome.found) add(index, outcome.found);
    const one = { sequences: 1, violated: outcome.found ? 1 : 0 };
    for (const name of sequence.classes) perClass[name] = sumOf(perClass[name], one);
  }
  return { from, found, layouts, perClass };
}

function sumOf(one: ClassCount | undefined, other: ClassCount): ClassCount {
  const { sequences = 0, violated = 0 } = one ?? {};
  return { sequences: sequences + other.sequences, violated: violated + other.violated };
}

/** What batches add up to; they come in the order of their sequences. */
export class CheckTally {
  readonly #runs: number;
  readonly #from: number;
  readonly #perClass: Record<string, ClassCount> = {};
  readonly #found = new Map<string, RawFinding>();
  readonly #layouts = new Set<number>();
  #last = 0;
  /** Sequences that were run. */
  done = 0;

  /**
   * @param runs sequences at most
   * @param from number of the first
   */
  constructor(runs: number, from = 0) {
    this.#runs = runs;
    this.#from = from;
  }

  /** Whether more batches are to be run: not once something was found, but nothing new for long. */
  get goesOn(): boolean {
    const failed = [...this.#found.values()].some(counts);
    return this.done < (failed ? Math.min(this.#runs, this.#last + PATIENCE) : this.#runs);
  }

  /** How often each class was among the sequences, in the order of the registry. */
  get perClass(): Readonly<Record<string, ClassCount>> {
    const names = boundaryClasses.map(({ name }) => name).filter((name) => name in this.#perClass);
    return Object.fromEntries(names.map((name) => [name, this.#perClass[name]]));
  }

  /** Findings, one of a kind. */
  get found(): readonly RawFinding[] {
    return [...this.#found.values()];
  }

  /** Different layouts. */
  get layouts(): number {
    return this.#layouts.size;
  }

  /**
   * Adds the next batch.
   *
   * @param batch what it has shown
   */
  add({ found, layouts, perClass }: BatchResult): void {
    this.done += layouts.length;
    for (const [name, count] of Object.entries(perClass))
      this.#perClass[name] = sumOf(this.#perClass[name], count);
    for (const layout of layouts) this.#layouts.add(layout);
    for (const raw of found) {
      const kind = kindOf(raw);
      if (this.#found.has(kind)) continue;
      this.#found.set(kind, raw);
      if (counts(raw)) this.#last = raw.index - this.#from;
    }
  }
}

/**
 * Puts a report together.
 *
 * @param options what was checked
 * @param tally what was found
 * @param findings that, made small, in the order of the tally
 * @returns the report
 */
export function reportOf(
  options: CheckOptions,
  tally: CheckTally,
  findings: readonly CheckFinding[],
): CheckReport {
  const { algorithm, against, kernel } = checkedOf(options);
  return {
    algorithm: algorithm.name,
    against: against.name,
    kernel: kernel.series,
    seed: options.seed ?? 1,
    from: options.from ?? 0,
    sequences: tally.done,
    layouts: tally.layouts,
    classes: Object.keys(tally.perClass).length,
    perClass: tally.perClass,
    findings: findings
      .filter((_, i) => counts(tally.found[i]))
      .sort((one, other) => ORDER.indexOf(one.grade) - ORDER.indexOf(other.grade)),
    known: findings.filter(({ known }) => known !== null),
    allow: options.allow ?? [],
    waived: findings.filter((_, i) => tally.found[i].waived),
  };
}

/** The heaviest grade comes first. */
const ORDER = Object.keys(GRADES);

/** Whether a finding speaks against the algorithm. */
function counts({ known, waived }: RawFinding): boolean {
  return known === null && !waived;
}

/** Two findings of the same kind say the same about an algorithm. */
function kindOf({
  invariant,
  grade,
  known,
}: Pick<RawFinding, 'invariant' | 'grade' | 'known'>): string {
  return known ?? `${invariant} ${grade}`;
}

/**
 * Makes a finding small.
 *
 * @param checked kernel and algorithms
 * @param seed seed of the check
 * @param raw the finding
 * @returns it with the smallest sequence that shows it
 */
export function smallestFinding(
  checked: CheckedAlgorithms,
  seed: number,
  raw: RawFinding,
): CheckFinding {
  const memory = new PairMemory();
  const shown = (candidate: CheckSequence): CheckViolation | undefined => {
    const { found, known, waived } = runSequence(checked, candidate, memory);
    const all = [...known, ...waived, ...(found ? [found] : [])];
    return all.find((one) => kindOf(one) === kindOf(raw));
  };
  const { machine, operations } = shrinkSequence(
    sequenceAt(checked.kernel, seed, raw.index),
    (candidate) => shown(candidate) !== undefined,
  );
  const sequence = { machine, operations };
  const { invariant, grade, what, known } = shown(sequence) ?? raw;
  const found = { invariant, grade, what, known };
  const restsOn = groundsText(sequence, checked.kernel);
  const scenario = scenarioOf(checked, found, sequence, restsOn);
  return { ...found, index: raw.index, sequence, scenario, restsOn };
}

function scenarioOf(
  { algorithm, against, kernel }: CheckedAlgorithms,
  { invariant, grade, known, what }: CheckViolation,
  sequence: CheckSequence,
  restsOn: string,
): string {
  return sequenceText(sequence, {
    title: `${algorithm.name} on ${kernel.series}: ${known ?? INVARIANTS[invariant]}`,
    comments: [`violated: ${INVARIANTS[invariant]}`, what, `grade: ${grade}`, restsOn],
    audit: { against: against.name, kernel: kernel.series },
  });
}

/** A number that tells layouts apart: a hash of the memory that sequences prescribe. */
function layoutNumber({ machine, operations }: CheckSequence): number {
  let hash = 0x811c9dc5;
  const mix = (value: number): void => {
    hash = Math.imul(hash ^ value, 0x01000193);
  };
  mix(machine.model === 'sparsemem' ? 1 : 0);
  for (const range of machine.memory ?? []) mix(range.npage);
  for (const operation of operations) {
    if (operation.op !== 'mmap') continue;
    mix(Number(operation.addr ?? 0n) / 4096);
    mix(Number(operation.size) / 4096);
    for (const { pfn, npage, order } of operation.frames ?? []) {
      mix(pfn);
      mix(npage);
      mix(order);
    }
  }
  return hash >>> 0;
}
