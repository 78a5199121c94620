/** A machine that shows what a recording shows, unless it is told to show something else. */
import type { Observation } from '@pinfold/scenario';
import type { RecordedMachineFactory, RecordedStep } from '../src/index.ts';

/** Gives what is shown instead of a step; undefined: the step. */
export type Perturb = (
  step: RecordedStep,
  index: number,
  pass: 'trace' | 'plain',
) => Observation | undefined;

/**
 * A factory of machines that replay a recording.
 *
 * @param perturb gives what is shown instead of a step
 * @param leak pins that are left at the end
 */
export function replay(perturb: Perturb = () => undefined, leak = 0): RecordedMachineFactory {
  return (_recording, pass) => {
    let index = -1;
    return {
      machine: {
        perform(operation) {
          const step = structuredClone(pass.steps[index]);
          if (operation.op !== step.op) throw new Error(`${operation.op} is not ${step.op}`);
          return Promise.resolve(perturb(step, index, pass.pass) ?? step);
        },
        exit: () => Promise.resolve(pass.pins_left + leak),
      },
      beforeStep(stepIndex) {
        if (stepIndex !== index + 1) throw new Error(`step ${stepIndex} after ${index}`);
        index = stepIndex;
      },
    };
  };
}
