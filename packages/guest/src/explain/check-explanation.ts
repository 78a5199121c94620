/** What an explanation of a check is. */
import type { Operation } from '../operations/index.ts';
import type { Detail } from './detail.ts';
import type { LiveMappings } from './live-mappings.ts';

/** The step that failed. */
export interface FailedStep {
  /** What it asked for. */
  readonly operation: Operation;
  /** Pages that were charged to the process before it: VmLck. */
  readonly lockedPagesBefore: number;
}

/** An explanation of one check. */
export interface CheckExplanation {
  /** Kernel function that gives the error. */
  readonly at: string;
  /** Names of values that only this check of the function reports. */
  readonly sees: readonly string[];
  /**
   * Says what was tested, what was wrong, and what to change.
   *
   * @param detail the values
   * @param live the mappings before the step
   * @param step the step
   * @returns sentences
   */
  readonly say: (detail: Detail, live: LiveMappings, step: FailedStep) => string;
}
