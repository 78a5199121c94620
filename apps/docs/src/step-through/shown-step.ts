/** A step as it is shown: with what is around it. */
import type { Overview } from './recording.ts';
import type { Step } from './steps.ts';

/** A step of one algorithm. */
export interface ShownStep {
  /** The step. */
  readonly step: Step;
  /** The one before; null if there is none, or if it is not here. */
  readonly before: Step | null;
  /** A step near the end, which says which counters are ever used. */
  readonly last: Step | null;
  /** What is known of all steps. */
  readonly overview: Overview;
}
