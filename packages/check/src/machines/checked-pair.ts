/** A machine with the algorithm that is checked, beside one with the reference. */
import { errnoName, InputError, KernelBug, KernelHang } from '@pinfold/base';
import {
  guestOps,
  type Done,
  DEFAULT_MACHINE,
  factsOfLine,
  buddyAllocator,
  iommusOf,
  ModelMachine,
  type Operation,
} from '@pinfold/guest';
import type { KernelVersion } from '@pinfold/kernels';
import { PageStateArrays } from '@pinfold/mm';
import type { MachineLine } from '@pinfold/scenario';
import { AlgorithmFault, type PinAlgorithm } from '@pinfold/vfio-type1';
import { FolioTally } from '../audit/folio-tally.ts';
import { LazyFrames } from './lazy-frames.ts';
import { AlgorithmAudit } from '../audit/audit.ts';
import { DirtyLog } from '../audit/dirty-log.ts';
import { firstDifference, limitBeforeFault, type Difference } from '../audit/equivalence.ts';
import { LIMIT_FIRST, NEVER_RETURNS } from '../audit/known-quirks.ts';
import { violation, type CheckViolation, type Grade } from '../audit/violation.ts';
import { watched, type Watcher } from '../audit/watched-algorithm.ts';

/** What is checked, and how. */
export interface CheckedAlgorithms {
  /** The kernel whose other rules both machines have. */
  readonly kernel: KernelVersion;
  /** The algorithm that is checked. */
  readonly algorithm: PinAlgorithm;
  /** What it has to be equivalent to. */
  readonly against: PinAlgorithm;
  /** Grades that do not count; default: none. */
  readonly allow?: ReadonlySet<Grade>;
}

/** Memory of a pair that the next one can use again, because nothing depends on what is in it. */
export class PairMemory {
  /** Counts of folios. */
  readonly tally: FolioTally = new FolioTally();
  /** Page state of the machine with the algorithm. */
  readonly own: PageStateArrays = new PageStateArrays();
  /** Page state of the machine with the reference. */
  readonly reference: PageStateArrays = new PageStateArrays();
}

/** Both machines, which do every operation. */
export class CheckedPair {
  readonly #own: ModelMachine;
  readonly #audit: AlgorithmAudit;
  readonly #dirty = new DirtyLog();
  readonly #checked: CheckedAlgorithms;
  /** Null once the machines may differ. */
  #reference: ModelMachine | null;
  #over = false;
  /** What was found that the recorded kernels do too. */
  readonly known: CheckViolation[] = [];
  /** What was found of grades that do not count, the first of each. */
  readonly waived: CheckViolation[] = [];

  /**
   * @param checked kernel and algorithms
   * @param line the machine
   * @param memory that of a pair that is not used any more; default: new memory
   */
  constructor(
    checked: CheckedAlgorithms,
    line: MachineLine,
    memory: PairMemory = new PairMemory(),
  ) {
    const { kernel, algorithm, against } = checked;
    this.#checked = checked;
    const facts = { ...DEFAULT_MACHINE, ...factsOfLine(line, DEFAULT_MACHINE) };
    const watcher: Watcher = { audit: null };
    const machine = (pinAlgorithm: PinAlgorithm, pageState: PageStateArrays): ModelMachine =>
      new ModelMachine({
        ...{ kernel, facts, keepsBytes: false, type1: { pinAlgorithm }, pageState },
        frames: new LazyFrames(() => buddyAllocator(facts)),
      });
    this.#own = machine(watched(algorithm, watcher), memory.own);
    this.#reference = algorithm === against ? null : machine(against, memory.reference);
    watcher.audit = this.#audit = new AlgorithmAudit(this.#own, kernel, memory.tally);
  }

  /** Whether nothing more can be done: a kernel has died, or a machine could not do a step. */
  get over(): boolean {
    return this.#over;
  }

  /**
   * Does an operation on both machines and looks at them.
   *
   * @param operation the operation
   * @returns what it did, null where the machine could not do it; and the violation that it led to
   */
  step(operation: Operation): { done: Done | null; found: CheckViolation | null } {
    const own = attempt(() => this.#own.apply(operation));
    const reference = this.#reference;
    const other = reference && attempt(() => reference.apply(operation));
    if ('error' in own) {
      this.#over = true;
      if (own.error instanceof InputError) return { done: null, found: null };
      return { done: null, found: this.#crashed(own.error, other) };
    }
    if (guestOps.get(operation.op)?.runsNoAlgorithm) return { done: own.value, found: null };
    const found =
      this.#settle(this.#audit.check()) ?? this.#settle(this.#log(operation, own.value));
    if (found || !reference || !other) return { done: own.value, found };
    return { done: own.value, found: this.#compare(own.value, other, reference) };
  }

  /**
   * Ends both processes.
   *
   * @returns what is left that must not be
   */
  end(): CheckViolation | null {
    if (this.#over) return null;
    const own = attempt(() => this.#own.end());
    if ('error' in own) {
      const reference = this.#reference;
      return this.#crashed(own.error, reference && attempt(() => reference.end()));
    }
    return this.#settle(this.#audit.checkEnd());
  }

  #log(operation: Operation, { code, bitmap }: Done): CheckViolation | null {
    const iommu = iommusOf(this.#own.inspect()).at(0);
    return iommu ? this.#dirty.step(operation, code, bitmap, iommu) : null;
  }

  /** What was seen before the kernel died counts first; not what the reference dies of too. */
  #crashed(error: Error, other: Attempt<unknown> | null): CheckViolation | null {
    const noted = this.#audit.takeNoted();
    if (!noted && error instanceof KernelHang) {
      // No algorithm has a part in it.
      this.#keepKnown({ ...thrown(error), known: NEVER_RETURNS });
      return null;
    }
    const found = this.#settle(noted ?? thrown(error));
    const same = other !== null && 'error' in other && kindOf(error) === kindOf(other.error);
    return same ? null : found;
  }

  /** Keeps what is known apart. */
  #settle(seen: CheckViolation | null): CheckViolation | null {
    if (!seen) return null;
    const found = this.#audit.judged(seen);
    if (found.known !== null) {
      this.#keepKnown(found);
      return null;
    }
    if (!this.#allows(found.grade)) return found;
    if (!this.waived.some(({ grade }) => grade === found.grade)) this.waived.push(found);
    return null;
  }

  #allows(grade: Grade): boolean {
    return this.#checked.allow?.has(grade) ?? false;
  }

  #keepKnown(found: CheckViolation): void {
    if (!this.known.some(({ known }) => known === found.known)) this.known.push(found);
  }

  #compare(done: Done, other: Attempt<Done>, reference: ModelMachine): CheckViolation | null {
    if ('error' in other) {
      // What the reference cannot do either is no reference.
      this.#reference = null;
      return null;
    }
    const { memmap } = reference.inspect().memory;
    const { folios } = this.#audit;
    const machines = [
      { view: this.#own.inspect(), done },
      { view: reference.inspect(), done: other.value },
    ] as const;
    const limitFirst = this.#limitComesFirst(done, other.value);
    // Only one of the two may have pinned, and made dirty, a page of a call that has failed.
    const dirtied = folios.dirtiedAlone(memmap);
    const pins = folios.otherPins(memmap);
    const difference = (anyRefusal: boolean, anyLeaves: boolean): Difference | null =>
      firstDifference(...machines, anyRefusal, anyLeaves) ??
      (pins === null ? null : { what: pins, grade: 'corruption' }) ??
      (done.code < 0 || dirtied === null ? null : { what: dirtied, grade: 'accounting' });
    const found = difference(limitFirst || this.#allows('errno'), this.#allows('leaves'));
    if (found || dirtied !== null || !folios.sameMemory(memmap)) this.#reference = null;
    const faulted = this.#own.faultFired || reference.faultFired;
    if (faulted || this.#audit.chargesMayDiffer) return null;
    // What is waived ends no comparison: what is wrong besides it is found all the same.
    const told = found ?? (this.#checked.allow ? difference(limitFirst, false) : null);
    return told && this.#settle(violation('equal', told.what, null, told.grade));
  }

  /** Whether errnos differ because one of the two is known to test the limit before it pins. */
  #limitComesFirst(own: Done, other: Done): boolean {
    const { algorithm, against } = this.#checked;
    const comesFirst =
      (algorithm.limitFirst && limitBeforeFault(own, other)) ||
      (against.limitFirst && limitBeforeFault(other, own));
    if (comesFirst) {
      const what = `the step fails with -${errnoName(own.code)}, in the reference with -${errnoName(other.code)}`;
      this.#settle(violation('equal', what, LIMIT_FIRST));
    }
    return comesFirst;
  }
}

type Attempt<Value> = { readonly value: Value } | { readonly error: Error };

function attempt<Value>(action: () => Value): Attempt<Value> {
  try {
    return { value: action() };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function kindOf(error: Error): string {
  return error instanceof KernelBug ? `${error.name} ${error.at}` : error.name;
}

function thrown(error: Error): CheckViolation {
  if (error instanceof AlgorithmFault) return violation('step', error.message);
  const crash = error instanceof KernelBug;
  return violation(
    crash ? 'crash' : 'model',
    crash ? error.message : `${error.name}: ${error.message}`,
  );
}
