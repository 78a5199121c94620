/** A machine whose steps show their calls, as those of a recording do. */
import type { Machine, Observation } from '@pinfold/scenario';
import type { Operation } from '../operations/operation.ts';
import type { ProbeLines } from './probe-lines.ts';

/** A machine, and the probes that see its calls. */
export class ProbedMachine implements Machine {
  readonly #machine: Machine;
  readonly #probes: ProbeLines;

  /**
   * @param machine does the operations
   * @param probes the tracer that the machine was made with
   */
  constructor(machine: Machine, probes: ProbeLines) {
    this.#machine = machine;
    this.#probes = probes;
  }

  get died(): Observation | undefined {
    return this.#machine.died;
  }

  async perform(operation: Operation): Promise<Observation> {
    this.#probes.reset();
    const shown = await this.#machine.perform(operation);
    return { ...shown, trace: this.#probes.lines(), trace_total: this.#probes.total };
  }

  exit(): Promise<number> {
    return this.#machine.exit();
  }
}
