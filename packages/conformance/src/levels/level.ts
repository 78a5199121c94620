/** What a level of comparison is: which part of a step is compared, and how. */
import type { StepState } from '@pinfold/scenario';
import type { Difference } from './differences.ts';
import type { RecordedStep, Recording } from '../recording/recording.ts';

/** A step that both the kernel and the model have done. */
export interface ComparedStep {
  /** The recording. */
  readonly recording: Recording;
  /** Whether this pass shows physical layouts, and the model has the recorded frames. */
  readonly hasLayout: boolean;
  /** The kernel after the step. */
  readonly recorded: StepState<RecordedStep>;
  /** The model after the step. */
  readonly model: StepState;
}

/** A function whose calls are not compared, and why. */
export interface Exclusion {
  /** Name of the kernel function. */
  readonly name: string;
  /** Why it is not compared. */
  readonly reason: string;
}

/** A level of comparison. */
export interface Level {
  /** Its name, as users write it. */
  readonly name: string;
  /** What it compares, in a few words. */
  readonly summary: string;
  /** Whether what it compares follows from the physical layout, so that it needs a layout. */
  readonly needsLayout: boolean;
  /** Whether it needs the calls of the model's steps, which cost time; default false. */
  readonly needsTrace?: boolean;
  /**
   * Whether a recorded step shows what the level compares.
   *
   * @param recorded the kernel after the step
   * @returns false if there is nothing to compare
   */
  readonly applies: (recorded: StepState<RecordedStep>) => boolean;
  /**
   * Compares a step to which the level applies.
   *
   * @param step the step
   * @returns what differs; nothing if the model is right
   */
  readonly compare: (step: ComparedStep) => Difference[];
  /**
   * What of a recording the level leaves out.
   *
   * @param recording the recording
   * @returns the functions that are not compared
   */
  readonly exclusions?: (recording: Recording) => Exclusion[];
}
