/** The state after each step of a recording, with what a step does not show carried over. */
import { StateTracker, type StepState } from '@pinfold/scenario';
import { withWholeFolios } from './recorded-layout.ts';
import type { RecordedPass, RecordedStep } from './recording.ts';

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
