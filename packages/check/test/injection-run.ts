/**
 * Fault injection into a scenario: before a step is done, it is tried again and again with one call
 * of it failing, the first, the second, and so on. After each try everything is as before it, but
 * for pages that were faulted in meanwhile (reference type1.md §15).
 */
import { InputError } from '@pinfold/base';
import { parseScenario, type ModelMachine, type Operation } from '@pinfold/guest';
import type { Observation, Region } from '@pinfold/scenario';
import type { VfioIommu } from '@pinfold/vfio-type1';
import { InvariantAudit } from '../src/index.ts';
import { faultKinds, Faults, type FaultKind } from './injection-faults.ts';

/** What an injection into a scenario did. */
export interface InjectionResult {
  /** Tries by kind of fault and op. */
  readonly tries: ReadonlyMap<string, number>;
  /** What was not as it has to be. */
  readonly findings: readonly string[];
}

/** Tries of a step that are made one by one unless told otherwise; then calls are passed over. */
export const ONE_BY_ONE = 24;

/** Injects faults into the steps of one scenario. */
export class InjectionRun {
  readonly #machine: ModelMachine;
  readonly #audit: InvariantAudit;
  readonly #faults: Faults;
  readonly #regions = new Map<string, Region>();
  readonly #tries = new Map<string, number>();
  readonly #findings: string[] = [];
  readonly #oneByOne: number;
  #where = '';

  /**
   * @param machine a machine that has done nothing yet
   * @param oneByOne tries of a step that are made one by one, before calls are passed over
   */
  constructor(machine: ModelMachine, oneByOne: number = ONE_BY_ONE) {
    this.#oneByOne = oneByOne;
    this.#machine = machine;
    this.#audit = new InvariantAudit(machine);
    this.#faults = new Faults(machine);
  }

  /**
   * Runs the scenario to its end, every step with its faults first.
   *
   * @param lines the scenario
   * @param name its name, for messages
   * @param kinds the faults of a step; default: all that it can meet
   * @returns tries and findings; it ends at the first finding
   */
  async run(
    lines: readonly string[],
    name: string,
    kinds: (operation: Operation) => readonly FaultKind[] = kindsFor,
  ): Promise<InjectionResult> {
    for (const step of parseScenario(lines, name).steps) {
      this.#where = `${name}:${step.line}: ${step.text}`;
      try {
        const operation = step.evaluate(this.#regions);
        await this.#step(operation, kinds(operation));
      } catch (error) {
        // What the machine cannot do is left out.
        if (!(error instanceof InputError)) this.#find(errorText(error));
      }
      if (this.#findings.length > 0) return this.#result();
    }
    this.#where = `${name}: the end`;
    await this.#machine.exit();
    for (const { invariant, what } of this.#audit.checkEnd()) {
      this.#find(`${invariant}: ${what}`);
    }
    return this.#result();
  }

  #result(): InjectionResult {
    return { tries: this.#tries, findings: this.#findings };
  }

  #find(what: string): void {
    this.#findings.push(`${this.#where}: ${what}`);
  }

  async #step(operation: Operation, kinds: readonly FaultKind[]): Promise<void> {
    for (const kind of kinds) {
      await this.#tryWith(kind, operation);
      if (this.#findings.length > 0) return;
    }
    await this.#perform(operation);
  }

  async #perform(operation: Operation): Promise<void> {
    const { va, size } = await this.#machine.perform(operation);
    if (operation.op === 'mmap' && va !== undefined && size !== undefined) {
      this.#regions.set(operation.name, { va: BigInt(va), size: BigInt(size) });
    }
    this.#checkInvariants(operation);
  }

  #checkInvariants(operation: Operation): void {
    const [broken] = this.#audit.check(operation);
    if (broken) this.#find(`${broken.invariant}: ${broken.what}`);
  }

  /** Tries a step with a fault at its first call, its second, ..., until it ends before the fault. */
  async #tryWith(kind: FaultKind, operation: Operation): Promise<void> {
    for (let attempt = 1, n = 1; this.#findings.length === 0; attempt++) {
      const before = this.#state();
      this.#faults.arm(kind, n);
      const shown = await this.#machine.perform(operation);
      const fired = this.#faults.disarm();
      this.#checkInvariants(operation);
      if (fired) this.#count(kind, operation);
      if (shown.ret < 0) this.#checkFailed(kind, fired, shown, before, operation);
      else await this.#undo(operation, before);
      if (!fired) return;
      n = this.#nextCall(kind, attempt, n);
    }
  }

  /**
   * The call that fails next. Pages that were faulted in stay, so that the second frame is a new one
   * each time.
   */
  #nextCall(kind: FaultKind, attempt: number, n: number): number {
    if (attempt < this.#oneByOne) return kind === 'frame' ? 2 : n + 1;
    return Math.ceil(n * 1.5);
  }

  #count(kind: FaultKind, { op }: Operation): void {
    const key = `${kind} in ${op}`;
    this.#tries.set(key, (this.#tries.get(key) ?? 0) + 1);
  }

  #checkFailed(
    kind: FaultKind,
    fired: boolean,
    { errno }: Observation,
    before: string,
    { op }: Operation,
  ): void {
    const expected = kind === 'GUP EFAULT' ? 'EFAULT' : 'ENOMEM';
    if (fired && op === 'map' && kind !== 'frame' && errno !== expected) {
      this.#find(`with ${kind}: ${String(errno)}, not ${expected}`);
    }
    const after = this.#state();
    if (after !== before) this.#find(`with ${kind}: ${after}\nbefore: ${before}`);
  }

  /** Takes back what a step has done that succeeded in spite of the fault. */
  async #undo(operation: Operation, before: string): Promise<void> {
    if (operation.op === 'fork') await this.#perform({ op: 'reap' });
    if (operation.op !== 'map') return;
    const { iova, size } = operation;
    await this.#perform({ op: 'unmap', iova, size, flags: 0, argsz: 24 });
    const after = this.#state();
    if (after !== before) this.#find(`mapped and unmapped: ${after}\nbefore: ${before}`);
  }

  /** All that a failed step must leave as it was. */
  #state(): string {
    const { memory, containers } = this.#machine.inspect();
    const iommus = containers.filter((one) => one.tryGetInfo().info).map(({ iommu }) => iommu);
    const locked = [...memory.addressSpaces].map(({ lockedVm }) => lockedVm);
    return JSON.stringify([locked, memory.vmstat.pinsHeld, iommus.map(stateOf)]);
  }
}

/**
 * Steps that can be tried again after they failed; with VADDR nothing is pinned or mapped, and what
 * ends at 2^64 is unmapped by no call up to 6.17.
 */
function kindsFor(operation: Operation): readonly FaultKind[] {
  const { op } = operation;
  if (op === 'map') {
    const atTop = operation.iova + operation.size === 2n ** 64n;
    return operation.flags & 4 || atTop ? [] : faultKinds;
  }
  return op === 'fork' || op === 'touch' || op === 'madvise' ? ['frame'] : [];
}

/** Mappings, what is left of the limit, and the leaves of every domain. */
function stateOf(iommu: VfioIommu): unknown[] {
  const dmas = Array.from(
    iommu.dmaList,
    ({ iovaPn, npage, vaddr, prot, lockedVm, vaddrInvalid, bitmap }) => [
      ...[iovaPn, npage, vaddr, prot, lockedVm, vaddrInvalid, bitmap?.set ?? -1],
    ],
  );
  const leaves = iommu.domainList.map(({ domain }) => {
    let count = 0;
    let hash = 0;
    for (const { iovaPn, pfn, order, prot } of domain.leaves()) {
      count++;
      for (const value of [iovaPn, pfn, order, prot]) hash = (hash * 31 + value) % 4294967291;
    }
    return [count, hash];
  });
  return [iommu.dmaAvail, iommu.vaddrInvalidCount, dmas, leaves];
}

function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
