/** What an explanation of a check is. */
import type { Detail } from './detail.ts';
import type { LiveMappings } from './live-mappings.ts';

/** An explanation of one check. */
export interface CheckExplanation {
  /** Kernel function that gives the error. */
  readonly at: string;
  /** Names of values that only this check of the function reports. */
  readonly sees: readonly string[];
  /**
   * Says what was tested and what was wrong.
   *
   * @param detail the values
   * @param live the mappings before the step
   * @returns sentences
   */
  readonly say: (detail: Detail, live: LiveMappings) => string;
}
