/** The mappings of a container as the steps of a scenario leave them, for explanations. */
import { hex } from '../hex.ts';
import type { DoneStep } from '../runner.ts';

/** A mapping that a step made. */
export interface LiveMapping {
  /** Line of the step. */
  readonly line: number;
  /** First byte of the I/O virtual addresses. */
  readonly iova: bigint;
  /** First byte of the memory. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

const MAP_VADDR = 4;
const UNMAP_ALL = 2;
const UNMAP_VADDR = 4;
const PAGE_BYTES = 4096n;

/** Follows the steps of a scenario. */
export class LiveMappings {
  #mappings: LiveMapping[] = [];
  /** Whether an unmap must not cut a mapping (type1 v2). */
  v2 = true;
  /** Line that set RLIMIT_MEMLOCK last; null: it is that of the machine. */
  limitLine: number | null = null;
  /** Line that dropped CAP_IPC_LOCK; null: the process has it. */
  capLine: number | null = null;
  /** Whether a device has pinned a page at an address that is no multiple of the page size. */
  pinnedInsidePages = false;

  /** The mappings now, in address order. */
  get all(): readonly LiveMapping[] {
    return this.#mappings;
  }

  /**
   * Takes a step in.
   *
   * @param done the step
   */
  after({ step, operation, observation }: DoneStep): void {
    if (observation.ret < 0) return;
    if (operation.op === 'memlock') this.limitLine = step.line;
    if (operation.op === 'dropcap') this.capLine = step.line;
    if (operation.op === 'open') this.v2 = operation.type !== 'v1';
    if (operation.op === 'setiommu') this.v2 = operation.type !== 1;
    // Without a type1 container there is no mapping.
    if (observation.avail === undefined) this.#mappings = [];
    if (operation.op === 'map') this.#map(step.line, operation);
    // Nothing went of what the kernel did not find.
    const unmapped = operation.op === 'unmap' && observation.size_out !== '0x0';
    if (unmapped && (operation.flags & UNMAP_VADDR) === 0) this.#unmap(operation);
    const iovas = operation.op === 'pinlist' ? operation.iovas : [];
    for (const iova of operation.op === 'pin' ? [operation.iova] : iovas) {
      if (iova % PAGE_BYTES !== 0n) this.pinnedInsidePages = true;
    }
  }

  /**
   * The mapping that contains an address.
   *
   * @param iova I/O virtual address in bytes
   * @returns the mapping, or undefined
   */
  at(iova: bigint): LiveMapping | undefined {
    return this.#mappings.find((map) => map.iova <= iova && iova < map.iova + map.size);
  }

  #map(line: number, map: { iova: bigint; va: bigint; size: bigint; flags: number }): void {
    const { iova, va, size } = map;
    const others = this.#mappings.filter((other) => other.iova !== iova);
    // A new vaddr replaces the old one; the mapping is still that of its first line.
    const kept = map.flags & MAP_VADDR ? this.at(iova)?.line : undefined;
    this.#mappings = [...others, { line: kept ?? line, iova, va, size }].sort((a, b) =>
      a.iova < b.iova ? -1 : 1,
    );
  }

  #unmap({ iova, size, flags }: { iova: bigint; size: bigint; flags: number }): void {
    if (flags & UNMAP_ALL) this.#mappings = [];
    const cut = this.at(iova);
    // v1: a range that begins inside a mapping ends the walk at once.
    if (!this.v2 && cut && cut.iova < iova) return;
    this.#mappings = this.#mappings.filter((map) => map.iova < iova || map.iova >= iova + size);
  }
}

/**
 * How a mapping is called in an explanation.
 *
 * @param mapping the mapping
 * @returns for example `the mapping of line 4 (iova 0x40000000, 0x100000 bytes)`
 */
export function nameOf({ line, iova, size }: LiveMapping): string {
  return `the mapping of line ${line} (iova ${hex(iova)}, ${hex(size)} bytes)`;
}
