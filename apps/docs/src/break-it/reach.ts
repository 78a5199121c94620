/** What a device reaches through its mappings, beside what the process has there. */
import { pageNumber } from '@pinfold/base';
import { auditScenario, type CheckedAlgorithms } from '@pinfold/check';
import {
  DEFAULT_MACHINE,
  factsOfLine,
  ModelMachine,
  parseScenario,
  type GuestStep,
} from '@pinfold/guest';
import {
  StepRunner,
  StateTracker,
  type IommuTable,
  type LayoutExtent,
  type StepState,
} from '@pinfold/scenario';

/** One page of I/O virtual addresses. */
export interface ReachedPage {
  /** Its address, hexadecimal. */
  readonly iova: string;
  /** The process's page that was mapped there, `A0 + 511 pages`; null: nothing is mapped. */
  readonly mapped: string | null;
  /** Frame of that page; null where the process has none. */
  readonly frame: number | null;
  /** Frame that the device reaches; null: none. */
  readonly reached: number | null;
  /** Whose frame that is, as `mapped`; null: not the process's. */
  readonly owner: string | null;
}

/** What a device reaches after the step that is wrong. */
export interface Reach {
  /** Line of the step. */
  readonly line: number;
  /** The step. */
  readonly text: string;
  /** Pages in which device and process differ, with one neighbour on each side, in address order. */
  readonly pages: readonly ReachedPage[];
  /** Pages that differ in all. */
  readonly wrong: number;
}

/** Pages that are kept: a drawing of more is no drawing. */
const MAX_PAGES = 12;

/**
 * Runs a counterexample up to the step that violates something.
 *
 * @param script the scenario
 * @param checked kernel and algorithms
 * @returns what the device reaches then; null if the kernel crashes before
 */
export async function reachOf(script: string, checked: CheckedAlgorithms): Promise<Reach | null> {
  const scenario = parseScenario(script, 'counterexample');
  const { at } = auditScenario(checked, scenario);
  const steps = scenario.steps.slice(0, at + 1);
  const machine = new ModelMachine({
    kernel: checked.kernel,
    facts: factsOfLine(scenario.machine, DEFAULT_MACHINE),
    type1: { pinAlgorithm: checked.algorithm },
  });
  const follower = new MappingFollower();
  // The process is not ended: giving back what is not pinned may crash the kernel.
  const runner = new StepRunner(machine);
  for (const [index, step] of steps.entries()) {
    const { done, isLast } = await runner.runToDeath(step, index);
    if (isLast) return null;
    follower.after(done);
  }
  const last = steps.at(-1);
  return last ? { line: last.line, text: last.text, ...follower.reach() } : null;
}

/** The page of the process that an I/O virtual page mapped, at the time of the map. */
interface MappedPage {
  readonly label: string;
  readonly frame: number | null;
}

/** Remembers what every page was when it was mapped. */
class MappingFollower {
  readonly #tracker = new StateTracker();
  readonly #regions = new Map<string, { readonly vpn: number; readonly npage: number }>();
  readonly #mapped = new Map<number, MappedPage>();
  #state: StepState | null = null;

  after({ operation, observation }: GuestStep): void {
    const state = this.#tracker.after(observation);
    this.#state = state;
    if (operation.op === 'mmap' && observation.va !== undefined) {
      const vpn = pageNumber(BigInt(observation.va));
      this.#regions.set(operation.name, { vpn, npage: Number(operation.size / 4096n) });
    }
    if (observation.errno !== null) return;
    if (operation.op === 'map') {
      const vpn = pageNumber(operation.va);
      const iovaPn = pageNumber(operation.iova);
      for (let i = 0; i < Number(operation.size / 4096n); i++) {
        this.#mapped.set(iovaPn + i, this.#pageAt(vpn + i, state));
      }
    } else if (operation.op === 'unmap') {
      const from = pageNumber(operation.iova);
      const to = from + Number(BigInt(observation.size_out ?? '0x0') / 4096n);
      for (const iovaPn of [...this.#mapped.keys()]) {
        if (iovaPn >= from && iovaPn < to) this.#mapped.delete(iovaPn);
      }
    }
  }

  reach(): Pick<Reach, 'pages' | 'wrong'> {
    const reached = framesOf(this.#state?.table);
    const iovas = [...new Set([...this.#mapped.keys(), ...reached.keys()])].sort((a, b) => a - b);
    const pages = iovas.map((iovaPn) => this.#pageOf(iovaPn, reached.get(iovaPn) ?? null));
    const wrong = pages.map(({ frame, reached: of }) => frame !== of);
    const near = pages.filter((_, i) => wrong[i] || wrong[i - 1] || wrong[i + 1]);
    return { pages: near.slice(0, MAX_PAGES), wrong: wrong.filter(Boolean).length };
  }

  #pageOf(iovaPn: number, reached: number | null): ReachedPage {
    const mapped = this.#mapped.get(iovaPn);
    return {
      iova: `0x${(iovaPn * 4096).toString(16)}`,
      ...{ mapped: mapped?.label ?? null, frame: mapped?.frame ?? null, reached },
      owner: reached === null ? null : this.#ownerOf(reached),
    };
  }

  #pageAt(vpn: number, { layout }: StepState): MappedPage {
    for (const [name, region] of this.#regions) {
      const off = vpn - region.vpn;
      if (off < 0 || off >= region.npage) continue;
      const extent = (layout.get(name) ?? []).find(([at, , n]) => off >= at && off < at + n);
      return { label: labelOf(name, off), frame: extent ? frameIn(extent, off) : null };
    }
    return { label: `0x${(vpn * 4096).toString(16)}`, frame: null };
  }

  #ownerOf(frame: number): string | null {
    for (const [name, extents] of this.#state?.layout ?? []) {
      const extent = extents.find(([, pfn, n]) => frame >= pfn && frame < pfn + n);
      if (extent) return labelOf(name, extent[0] + frame - extent[1]);
    }
    return null;
  }
}

function labelOf(region: string, off: number): string {
  return `${region} page ${off}`;
}

/** In an extent of zero pages they are all the same. */
function frameIn([at, pfn, , , flags]: LayoutExtent, off: number): number {
  return flags === 'z' ? pfn : pfn + (off - at);
}

/** The frame that each page of an IOMMU page table maps to. */
function framesOf(table: IommuTable | undefined): Map<number, number> {
  const frames = new Map<number, number>();
  for (const [iova, phys, size] of table?.runs ?? []) {
    const from = pageNumber(BigInt(iova));
    const pfn = pageNumber(BigInt(phys));
    const npage = Number(BigInt(size) / 4096n);
    for (let i = 0; i < npage; i++) frames.set(from + i, pfn + i);
  }
  return frames;
}
