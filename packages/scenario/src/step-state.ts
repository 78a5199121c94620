/**
 * The state after a step. A step shows layouts and the IOMMU page table only when they changed;
 * what it does not show is as it was.
 *
 * @source recordings README, "Recording format"
 */
import type { IommuTable, LayoutExtent, Observation } from './observation.ts';
import { withWholeFolios } from './recorded-layout.ts';
import type { RecordedPass, RecordedStep } from './recording.ts';

/** The state after a step. */
export interface StepState<Shown extends Observation = Observation> {
  /** What the step itself showed. */
  readonly shown: Shown;
  /** Layout of every region that was shown so far. */
  readonly layout: ReadonlyMap<string, readonly LayoutExtent[]>;
  /** The IOMMU page table; undefined while none was shown, and without a type1 container. */
  readonly table: IommuTable | undefined;
}

/** Follows the steps of one process, and carries over what they do not show. */
export class StateTracker {
  #layout: ReadonlyMap<string, readonly LayoutExtent[]> = new Map();
  #table: IommuTable | undefined;

  /**
   * Takes the next step in.
   *
   * @param shown what it showed
   * @returns the state after it
   */
  after<Shown extends Observation>(shown: Shown): StepState<Shown> {
    if (shown.layout) this.#layout = new Map([...this.#layout, ...Object.entries(shown.layout)]);
    // Without a type1 container there is no domain, whatever the table was before.
    if (shown.avail === undefined) this.#table = undefined;
    if (shown.iommu) this.#table = shown.iommu;
    return { shown, layout: this.#layout, table: this.#table };
  }
}

/**
 * The state after each step of a recorded pass.
 *
 * @param pass the pass
 * @returns one state per recorded step, in order
 */
export function walkPass(pass: RecordedPass): StepState<RecordedStep>[] {
  const tracker = new StateTracker();
  return pass.steps.map((step) => tracker.after(withWholeFolios(step)));
}
