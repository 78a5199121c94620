/** Runs a scenario on a machine: step by step, with the regions that are mapped so far. */
import { InputError, KernelBug } from '@pinfold/base';
import type { AnyOperation } from '../machine/any-operation.ts';
import type { Region, Regions } from '../language/expression.ts';
import type { Scenario, Step } from '../language/language.ts';
import type { Machine } from '../machine/machine.ts';
import { inStep } from './model-fault.ts';
import type { Observation } from '../machine/observation.ts';

/** A step that was done, and what it showed. */
export interface DoneStep<Operation extends AnyOperation = AnyOperation> {
  /** Number of the step, from 0. */
  readonly index: number;
  /** The step. */
  readonly step: Step<Operation>;
  /** What it asked the machine for. */
  readonly operation: Operation;
  /** What it showed. */
  readonly observation: Observation;
}

/** A scenario that was run. */
export interface ScenarioRun<Operation extends AnyOperation = AnyOperation> {
  /**
   * Its steps: all of them, or those up to one in which the kernel has died (errno `BUG`) or
   * which never returns (`HANG`).
   */
  readonly steps: readonly DoneStep<Operation>[];
  /** Pins that are left when the process has ended, in pages; of a run that stopped, those now. */
  readonly pinsLeft: number;
  /** Why the step after these could not be done: an argument, or something the machine lacks. */
  readonly stopped?: InputError;
}

/** What the caller of `runScenario` wants to see. */
export interface RunOptions<Operation extends AnyOperation = AnyOperation> {
  /** Called after each step. */
  readonly onStep?: (step: DoneStep<Operation>) => void;
}

/** Does the steps of a scenario one by one, and remembers where their regions lie. */
export class StepRunner<Operation extends AnyOperation = AnyOperation> {
  readonly #machine: Machine<Operation>;
  readonly #regions = new Map<string, Region>();

  /** @param machine does the operations */
  constructor(machine: Machine<Operation>) {
    this.#machine = machine;
  }

  /** The regions that are mapped so far, those of which an munmap took a part included. */
  get regions(): Regions {
    return this.#regions;
  }

  /**
   * Does one step.
   *
   * @param step the step
   * @param index its number, from 0
   * @returns what it asked for and showed
   * @throws {InputError} when an argument cannot be evaluated, or the machine cannot do it; it names
   *   the file and line of the step
   */
  async run(step: Step<Operation>, index: number): Promise<DoneStep<Operation>> {
    try {
      const operation = step.evaluate(this.#regions);
      return this.#shown(step, index, operation, await this.#machine.perform(operation));
    } catch (error) {
      throw error instanceof InputError ? error.within(step.place) : error;
    }
  }

  /**
   * Does one step; one in which the kernel dies shows what is left to see.
   *
   * @param step the step
   * @param index its number, from 0
   * @returns what it asked for and showed; `isLast`: nothing can be done after it
   * @throws {InputError} as {@link run}
   * @throws {KernelBug} when the kernel dies and the machine shows nothing of it
   * @throws {ModelFault} when the model goes wrong
   */
  async runToDeath(
    step: Step<Operation>,
    index: number,
  ): Promise<{ done: DoneStep<Operation>; isLast: boolean }> {
    try {
      return { done: await this.run(step, index), isLast: false };
    } catch (error) {
      const observation = this.#machine.died;
      if (!(error instanceof KernelBug) || !observation) throw inStep(error, step);
      const operation = step.evaluate(this.#regions);
      return { done: { index, step, operation, observation }, isLast: true };
    }
  }

  #shown(
    step: Step<Operation>,
    index: number,
    operation: Operation,
    observation: Observation,
  ): DoneStep<Operation> {
    const { va, size } = observation;
    const name = step.newRegion;
    if (name !== undefined && va !== undefined && size !== undefined) {
      this.#regions.set(name, { va: BigInt(va), size: BigInt(size) });
    }
    return { index, step, operation, observation };
  }
}

/**
 * Runs a scenario from its first step to its last, and ends the process.
 *
 * @param scenario the scenario
 * @param machine does its operations; it has done nothing yet
 * @param options who wants to see the steps
 * @returns what the steps showed, and what is left
 * @throws {InputError} when an argument cannot be evaluated, or the machine cannot do a step; it
 *   names the step's file and line
 */
export async function runScenario<Operation extends AnyOperation>(
  scenario: Scenario<Operation>,
  machine: NoInfer<Machine<Operation>>,
  options: RunOptions<Operation> = {},
): Promise<ScenarioRun<Operation>> {
  const run = await runWhilePossible(scenario, machine, options);
  if (run.stopped) throw run.stopped;
  return run;
}

/**
 * Runs a scenario as far as it can be run: a step that cannot be done does not hide those before it.
 *
 * @param scenario the scenario
 * @param machine does its operations; it has done nothing yet
 * @param options who wants to see the steps
 * @returns the steps that were done, and what is wrong with the one after them, if anything is
 */
export async function runWhilePossible<Operation extends AnyOperation>(
  scenario: Scenario<Operation>,
  machine: NoInfer<Machine<Operation>>,
  options: RunOptions<Operation> = {},
): Promise<ScenarioRun<Operation>> {
  const steps: DoneStep<Operation>[] = [];
  const { isOver, stopped } = await runEachStep(scenario, machine, (done) => {
    steps.push(done);
    options.onStep?.(done);
  });
  if (isOver) return { steps, pinsLeft: pinsOf(steps), ...(stopped && { stopped }) };
  return { steps, pinsLeft: await machine.exit() };
}

/** How far a scenario was run. */
export interface RunEnd {
  /** Whether nothing can be done any more, the end of the process included. */
  readonly isOver: boolean;
  /** Why the next step could not be done: an argument, or something the machine lacks. */
  readonly stopped?: InputError;
}

/**
 * Runs a scenario as far as it can be run, and keeps nothing of its steps.
 *
 * @param scenario the scenario
 * @param machine does its operations; it has done nothing yet
 * @param onStep called after each step
 * @returns whether it came to its end; the process is still there then
 */
export async function runEachStep<Operation extends AnyOperation>(
  scenario: Scenario<Operation>,
  machine: NoInfer<Machine<Operation>>,
  onStep: (step: DoneStep<Operation>) => void,
): Promise<RunEnd> {
  const runner = new StepRunner(machine);
  for (const [index, step] of scenario.steps.entries()) {
    try {
      const { done, isLast } = await runner.runToDeath(step, index);
      onStep(done);
      if (isLast) return { isOver: true };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return { isOver: true, stopped: error };
    }
  }
  return { isOver: false };
}

/** Pins that steps have taken and not dropped. */
function pinsOf(steps: readonly DoneStep[]): number {
  return steps.reduce((sum, { observation: { pins } }) => sum + pins.acquired - pins.released, 0);
}
