/** A machine whose steps show their calls, as those of a recording do. */
import { TRACED_FUNCTIONS } from '@pinfold/base';
import type { Machine, Observation } from '@pinfold/scenario';
import type { Operation } from '../operations/index.ts';
import { countedFunctions } from '../shown/kernel-calls.ts';
import type { ProbeLines } from './probe-lines.ts';

/** Functions of IOMMU drivers that only a tracer tells apart. */
const DRIVER_FUNCTIONS: ReadonlySet<string> = new Set(
  Object.keys(TRACED_FUNCTIONS).filter((fn) => !countedFunctions.has(fn)),
);

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
    const calls = { ...shown.calls };
    // What drivers do by themselves, no counter counts function by function.
    const { calls: seen, builtOtherwise } = this.#probes;
    for (const [fn, n] of seen) if (DRIVER_FUNCTIONS.has(fn)) calls[fn] = n;
    for (const fn of builtOtherwise) calls[fn] = seen.get(fn) ?? 0;
    return { ...shown, calls, trace: this.#probes.lines(), trace_total: this.#probes.total };
  }

  exit(): Promise<number> {
    return this.#machine.exit();
  }
}
