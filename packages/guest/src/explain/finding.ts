/** What a finding is: something remarkable about a step that succeeded. */
import type { StepState } from '@pinfold/scenario';
import type { GuestStep } from '../operations/guest-scenario.ts';
import type { LiveMappings } from './live-mappings.ts';
import type { MappedRegions } from './mapped-regions.ts';

/** A step that succeeded, with what was there before it and is there after it. */
export interface FindingContext {
  /** The step. */
  readonly done: GuestStep;
  /** The mappings before it. */
  readonly live: LiveMappings;
  /** Layouts and IOMMU page table before it. */
  readonly before: StepState;
  /** Layouts and IOMMU page table after it. */
  readonly state: StepState;
  /** Where the regions lie. */
  readonly regions: MappedRegions;
}

/** Looks at a step that succeeded. */
export interface Finding {
  /** What it looks for. */
  readonly name: string;
  /**
   * Says what is remarkable.
   *
   * @param context the step
   * @returns sentences, or null
   */
  readonly find: (context: FindingContext) => string | null;
}
