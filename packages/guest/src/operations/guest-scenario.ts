/** Scenarios with the operations that a {@link ModelMachine} does. */
import type { Scenario, DoneStep, ScenarioRun } from '@pinfold/scenario';
import type { Operation } from './index.ts';

/** A scenario of a model machine. */
export type GuestScenario = Scenario<Operation>;
/** A step of it that was done. */
export type GuestStep = DoneStep<Operation>;
/** A scenario that was run. */
export type GuestRun = ScenarioRun<Operation>;
