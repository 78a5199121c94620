/** Runs a scenario on a machine: step by step, with the regions that are mapped so far. */
import { KernelBug } from '@pinfold/base';
import type { Region, Regions } from './expression.ts';
import type { Scenario, Step } from './language.ts';
import type { Machine } from './machine.ts';
import { inStep } from './model-fault.ts';
import type { Observation } from './observation.ts';
import type { Operation } from './operation.ts';

/** A step that was done, and what it showed. */
export interface DoneStep {
  /** Number of the step, from 0. */
  readonly index: number;
  /** The step. */
  readonly step: Step;
  /** What it asked the machine for. */
  readonly operation: Operation;
  /** What it showed. */
  readonly observation: Observation;
}

/** A scenario that was run. */
export interface ScenarioRun {
  /** Its steps: all of them, or those up to one in which the kernel has died (errno `BUG`). */
  readonly steps: readonly DoneStep[];
  /** Pins that are left when the process has ended, in pages. */
  readonly pinsLeft: number;
}

/** What the caller of `runScenario` wants to see. */
export interface RunOptions {
  /** Called after each step. */
  readonly onStep?: (step: DoneStep) => void;
}

/** Does the steps of a scenario one by one, and remembers where their regions lie. */
export class StepRunner {
  readonly #machine: Machine;
  readonly #regions = new Map<string, Region>();

  /** @param machine does the operations */
  constructor(machine: Machine) {
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
   * @throws {InputError} when an argument cannot be evaluated, or the machine cannot do it
   */
  async run(step: Step, index: number): Promise<DoneStep> {
    const operation = step.evaluate(this.#regions);
    return this.#shown(step, index, operation, await this.#machine.perform(operation));
  }

  /**
   * Does one step; one in which the kernel dies shows what is left to see.
   *
   * @param step the step
   * @param index its number, from 0
   * @returns what it asked for and showed; `isLast`: nothing can be done after it
   * @throws {InputError} when an argument cannot be evaluated, or the machine cannot do it
   * @throws {KernelBug} when the kernel dies and the machine shows nothing of it
   * @throws {ModelFault} when the model goes wrong
   */
  async runToDeath(step: Step, index: number): Promise<{ done: DoneStep; isLast: boolean }> {
    const operation = step.evaluate(this.#regions);
    try {
      const observation = await this.#machine.perform(operation);
      return { done: this.#shown(step, index, operation, observation), isLast: false };
    } catch (error) {
      const observation = this.#machine.died;
      if (!(error instanceof KernelBug) || !observation) throw inStep(error, step);
      return { done: { index, step, operation, observation }, isLast: true };
    }
  }

  #shown(step: Step, index: number, operation: Operation, observation: Observation): DoneStep {
    const { va, size } = observation;
    if (operation.op === 'mmap' && va !== undefined && size !== undefined) {
      this.#regions.set(operation.name, { va: BigInt(va), size: BigInt(size) });
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
 * @throws {InputError} when an argument cannot be evaluated, or the machine cannot do a step
 */
export async function runScenario(
  scenario: Scenario,
  machine: Machine,
  options: RunOptions = {},
): Promise<ScenarioRun> {
  const runner = new StepRunner(machine);
  const steps: DoneStep[] = [];
  for (const [index, step] of scenario.steps.entries()) {
    const { done, isLast } = await runner.runToDeath(step, index);
    steps.push(done);
    options.onStep?.(done);
    if (isLast) return { steps, pinsLeft: pinsOf(steps) };
  }
  return { steps, pinsLeft: await machine.exit() };
}

/** Pins that steps have taken and not dropped. */
function pinsOf(steps: readonly DoneStep[]): number {
  return steps.reduce((sum, { observation: { pins } }) => sum + pins.acquired - pins.released, 0);
}
