/** A boundary class: layouts in which algorithms have gone wrong, or could. */
import type * as fc from 'fast-check';
import type { Scene, Slot } from './scene.ts';
import type { StepKind, StepMix } from './steps.ts';

/** One class. */
export interface BoundaryClass {
  /** Name. */
  readonly name: string;
  /** One line on what is special about it. */
  readonly summary: string;
  /**
   * Its layouts.
   *
   * @param slot where its memory goes
   * @returns the arbitrary
   */
  readonly scene: (slot: Slot) => fc.Arbitrary<Scene>;
  /** Whether it needs a machine of its own, so that it is not mixed with others that do. */
  readonly ownsMachine?: true;
  /** Kinds of the first steps, without which the rest would meet nothing; default: none. */
  readonly begins?: readonly StepKind[];
  /** What is done there. */
  readonly steps: StepMix;
}
