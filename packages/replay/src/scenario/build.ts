/** The scenario that a log becomes: its calls as steps, and before them what it does not show. */
import { hex } from '@pinfold/scenario';
import type { Backing, HostFacts, LoggedCall, LoggedMessage, Place } from '../log/entries.ts';
import { MachineBuilder } from './machine.ts';
import { MemoryBuilder } from './memory.ts';

/** What is assumed of what the log does not say. */
export interface Assumptions {
  /** Kind of the memory that no mmap in the log has made. */
  readonly backing: Backing | undefined;
  /** What is wrong with the memory of some maps, by the index of the call. */
  readonly badMemory?: ReadonlyMap<number, 'absent' | 'readonly' | 'bar'>;
  /** Mappings that were there before the log began: by the index of the call that meets them. */
  readonly before?: ReadonlyMap<number, { readonly iova: bigint; readonly size: bigint }>;
  /** Facts besides those of the log. */
  readonly facts?: HostFacts;
  /** How each of them is said, in words. */
  readonly said: readonly string[];
}

/** A step of the scenario, and where it comes from. */
export interface BuiltStep {
  /** Its line in the scenario, from 1. */
  readonly line: number;
  /** What it shows in the log; for a step that is assumed, what needs it. */
  readonly at: Place;
  /** The call; undefined for a step that is assumed. */
  readonly call?: LoggedCall;
  /** Its number in the session. */
  readonly index?: number;
}

/** A scenario. */
export interface BuiltScenario {
  /** Its lines. */
  readonly lines: readonly string[];
  /** Its steps in order, one per line that is one. */
  readonly steps: readonly BuiltStep[];
  /** What is assumed, in words. */
  readonly assumed: readonly string[];
}

/** More steps than this show no layouts. */
const MANY_STEPS = 2000;
/** Forks that are replayed. */
const MAX_FORKS = 4;
const GIB = 2n ** 30n;
const TYPES: Readonly<Record<number, string>> = { 1: 'v1', 3: 'v2', 6: 'nesting' };

/**
 * Makes a scenario.
 *
 * @param calls the calls of one container, in order
 * @param messages what the log says besides
 * @param logFacts facts of the host
 * @param assumptions what else is assumed
 * @returns the scenario
 */
export function buildScenario(
  calls: readonly LoggedCall[],
  messages: readonly LoggedMessage[],
  logFacts: HostFacts,
  assumptions: Assumptions,
): BuiltScenario {
  const facts = { ...logFacts, ...assumptions.facts };
  return new Builder(calls, messages, facts, assumptions).build();
}

/** Words of access. */
function flagsText(flags: number, iommufd: boolean): string {
  const letters = `${flags & 1 ? 'r' : ''}${flags & 2 ? 'w' : ''}`;
  if (iommufd) return letters === 'rw' ? '' : ` flags=f${letters}`;
  if (flags === 3) return '';
  return ` flags=${flags > 3 || letters === '' ? flags : letters}`;
}

class Builder {
  readonly #calls: readonly LoggedCall[];
  readonly #facts: HostFacts;
  readonly #assumptions: Assumptions;
  readonly #memory: MemoryBuilder;
  readonly #machine: MachineBuilder;
  readonly #isIommufd: boolean;
  readonly #lines: string[] = [];
  readonly #steps: BuiltStep[] = [];
  readonly #assumed: string[] = [];
  /** How far the container is: nothing, open without an IOMMU, or ready. */
  #container: 'none' | 'open' | 'ready' = 'none';
  readonly #sawContainer: boolean;
  #dirty = false;
  #forks = 0;
  #added = 0;

  constructor(
    calls: readonly LoggedCall[],
    messages: readonly LoggedMessage[],
    facts: HostFacts,
    assumptions: Assumptions,
  ) {
    this.#calls = calls;
    this.#facts = facts;
    this.#assumptions = assumptions;
    this.#isIommufd =
      facts.chargedByUser !== undefined ||
      messages.some(({ about }) => about === 'iommufd-map') ||
      calls.some((call) => call.op === 'map' && call.backend === 'iommufd');
    this.#sawContainer = calls.some(({ op }) => op === 'opencontainer' || op === 'iofd');
    this.#memory = new MemoryBuilder(calls, facts, assumptions);
    this.#machine = new MachineBuilder(facts, this.#memory.plan);
  }

  build(): BuiltScenario {
    const [first] = this.#calls;
    const at = (first as LoggedCall | undefined)?.at ?? { file: '', line: 1 };
    const machine = this.#machine.line();
    if (machine !== '') this.#lines.push(machine);
    this.#limits(at);
    for (const [index, call] of this.#calls.entries()) this.#step(call, index);
    if (this.#container === 'none') this.#open(at);
    if (this.#calls.length === 0) this.#push('info', at);
    if (this.#steps.length > MANY_STEPS) this.#lines.unshift('#nolayout');
    const shift = this.#steps.length > MANY_STEPS ? 1 : 0;
    const steps = this.#steps.map((step) => ({ ...step, line: step.line + shift }));
    const assumed = [...this.#assumptions.said, ...this.#assumed, ...this.#memory.said];
    return { lines: this.#lines, steps, assumed };
  }

  #push(line: string, at: Place, call?: LoggedCall, index?: number): void {
    this.#lines.push(line);
    const from = { ...(call && { call }), ...(index !== undefined && { index }) };
    this.#steps.push({ line: this.#lines.length, at, ...from });
  }

  #limits(at: Place): void {
    const { memlock, ipcLock, entryLimit, vmLck = 0 } = this.#facts;
    const mapped = this.#calls.reduce(
      (sum, call) => sum + (call.op === 'map' && call.errno === null ? Number(call.size) : 0),
      0,
    );
    const locked = vmLck - mapped;
    if (locked > 0 && !this.#isIommufd) {
      this.#push(`mmap name=LOCKED kind=anon size=${locked} flags=locked`, at);
    }
    if (entryLimit !== undefined) {
      const file = '/sys/module/vfio_iommu_type1/parameters/dma_entry_limit';
      this.#push(`sysfs path=${file} val=${entryLimit}`, at);
    }
    if (memlock === undefined || memlock === Infinity) return;
    this.#push(`memlock bytes=${memlock}`, at);
    if (ipcLock !== true) this.#push('dropcap', at);
  }

  #open(at: Place, type = 'v2'): void {
    const dev = this.#memory.plan.barPages > 0 ? ' dev=ivsh16' : '';
    if (this.#isIommufd) {
      this.#push(`iofd${dev}`, at);
      this.#otherGuest(at);
    } else if (this.#container === 'open') {
      this.#push(`addgroup${dev || ' dev=edu'}`, at);
      const number = Object.entries(TYPES).find(([, name]) => name === type)?.[0] ?? '3';
      this.#push(`setiommu type=${number}`, at);
    } else this.#push(`open type=${type}${dev}`, at);
    if (dev !== '') {
      if (!this.#isIommufd) this.#push('device dev=ivsh16', at);
      this.#push('pcicmd dev=ivsh16 val=6', at);
    }
    this.#container = 'ready';
  }

  /** What another process of the same user has charged. */
  #otherGuest(at: Place): void {
    const { chargedByUser } = this.#facts;
    if (chargedByUser === undefined) return;
    this.#push(`mmap name=OTHER kind=anon size=${chargedByUser} advise=huge`, at);
    // It is mapped above all that the log maps: an IOAS without a device pins nothing.
    const highest = this.#calls.reduce((most, call) => {
      const end = call.op === 'map' ? call.iova + call.size : 0n;
      return end > most ? end : most;
    }, 0n);
    const iova = (highest / GIB + 1n) * GIB;
    this.#push(`ioas_map va=OTHER size=${chargedByUser} iova=${hex(iova)} flags=frw ioas=I`, at);
    this.#assumed.push(
      'what other processes of the user have charged is a mapping of this one: what counts is that the user is charged for both',
    );
  }

  /** The container must be as far as the call needs it. */
  #needContainer(call: LoggedCall): void {
    if (this.#container === 'ready') return;
    // A log that shows how the container is made shows also that this comes too early.
    if (this.#sawContainer && this.#container === 'open') return;
    if (this.#container === 'none') {
      this.#assumed.push(
        this.#isIommufd
          ? 'an iommufd with one IOAS'
          : 'the IOMMU is type1 v2, which the log does not say',
      );
    }
    this.#open(call.at);
  }

  #step(call: LoggedCall, index: number): void {
    switch (call.op) {
      case 'opencontainer':
      case 'iofd':
        if (this.#container !== 'none' || this.#isIommufd) return;
        this.#push('opencontainer', call.at, call, index);
        this.#container = 'open';
        return;
      case 'setiommu':
        if (this.#container === 'ready' || call.errno || this.#isIommufd) return;
        this.#open(call.at, TYPES[call.type] ?? 'v2');
        return;
      case 'addgroup':
        return;
      case 'close':
        if (this.#container === 'none') return;
        this.#push('close', call.at, call, index);
        this.#container = 'none';
        this.#dirty = false;
        return;
      case 'fork':
        if (call.shares || this.#container !== 'ready' || this.#forks++ >= MAX_FORKS) return;
        this.#push('fork', call.at, call, index);
        return;
      case 'map':
        this.#map(call, index);
        return;
      case 'unmap':
        this.#unmap(call, index);
        return;
      case 'dirty':
        this.#dirtyLog(call, index);
        return;
      default:
        for (const line of this.#memory.linesOf(call)) this.#push(line, call.at, call, index);
    }
  }

  #map(call: LoggedCall & { op: 'map' }, index: number): void {
    this.#needContainer(call);
    const before = this.#assumptions.before?.get(index);
    const lines = this.#memory.linesFor(call, index);
    for (const line of lines) this.#push(line, call.at);
    const { iova, va, size, argsz, flags } = call;
    const access = flagsText(flags, this.#isIommufd);
    if (before) {
      const name = `BEFORE${++this.#added}`;
      this.#push(`mmap name=${name} kind=anon size=${hex(before.size)} flags=noreserve`, call.at);
      this.#push(
        this.#isIommufd
          ? `ioas_map va=${name} size=${hex(before.size)} iova=${hex(before.iova)}`
          : `map iova=${hex(before.iova)} va=${name} size=${hex(before.size)}`,
        call.at,
      );
    }
    const range = `va=${hex(va)} size=${hex(size)}`;
    this.#push(
      this.#isIommufd
        ? `ioas_map ${range} iova=${hex(iova)}${access || ' flags=frw'} ioas=I`
        : `map iova=${hex(iova)} ${range}${access}${argsz === undefined ? '' : ` argsz=${argsz}`}`,
      ...([call.at, call, index] as const),
    );
  }

  #unmap(call: LoggedCall & { op: 'unmap' }, index: number): void {
    this.#needContainer(call);
    const { iova, size, flags } = call;
    const range = `iova=${hex(iova)} size=${hex(size)}`;
    // The bitmap of an unmap is not in the log; without it the same mappings go.
    const kept = flags & ~1;
    const line = this.#isIommufd
      ? `ioas_unmap ${range} ioas=I`
      : `unmap ${range}${kept === 0 ? '' : ` flags=${kept}`}`;
    this.#push(line, call.at, call, index);
  }

  #dirtyLog(call: LoggedCall & { op: 'dirty' }, index: number): void {
    this.#needContainer(call);
    if (this.#isIommufd) return;
    const { what, iova, size, bitmapSize } = call;
    if (what === 'get' && !this.#dirty) {
      this.#push('dirty what=start', call.at);
      this.#assumed.push('the dirty log was started before its first bitmap was read');
    }
    this.#dirty = what !== 'stop';
    const range =
      iova === undefined || size === undefined ? '' : ` iova=${hex(iova)} size=${hex(size)}`;
    const bitmap = bitmapSize === undefined ? '' : ` bmsize=${hex(bitmapSize)}`;
    this.#push(`dirty what=${what}${range}${bitmap}`, call.at, call, index);
  }
}
