/** The mappings of a container as the steps of a scenario leave them, for explanations. */
import { pageNumber, SpanTree, type Span } from '@pinfold/base';
import { hex, Runs, type RunKind } from '@pinfold/scenario';
import type { GuestStep } from '../operations/guest-scenario.ts';

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

/** A mapping where its I/O virtual addresses lie. */
interface Mapped extends Span {
  readonly mapping: LiveMapping;
  /** The same mapping where its memory lies. */
  readonly memory: MappedMemory;
}

interface MappedMemory extends Span {
  readonly mapping: LiveMapping;
}

/** Memory that so many mappings have. */
interface Shared extends Span {
  readonly mappings: number;
}

const sharedRuns: RunKind<Shared> = {
  part: ({ mappings }, at, npage) => ({ at, npage, mappings }),
  goesOn: (run, next) => run.mappings === next.mappings,
};

/** What mappings already have of some memory. */
export interface SharedMemory {
  /** Pages of it, those of each mapping counted. */
  readonly pages: number;
  /** One of the mappings. */
  readonly mapping: LiveMapping;
}

const MAP_VADDR = 4;
const UNMAP_ALL = 2;
const UNMAP_VADDR = 4;
const PAGE_BYTES = 4096n;

/** Follows the steps of a scenario. */
export class LiveMappings {
  #mapped = SpanTree.empty<Mapped>();
  #memory = SpanTree.empty<MappedMemory>();
  #shared = new Runs(sharedRuns);
  /** Whether an unmap must not cut a mapping (type1 v2). */
  v2 = true;
  /** Line that set RLIMIT_MEMLOCK last; null: it is that of the machine. */
  limitLine: number | null = null;
  /** Line that dropped CAP_IPC_LOCK; null: the process has it. */
  capLine: number | null = null;
  /** Whether a device has pinned a page at an address that is no multiple of the page size. */
  pinnedInsidePages = false;

  /**
   * Takes a step in.
   *
   * @param done the step
   */
  after({ step, operation, observation }: GuestStep): void {
    if (observation.ret < 0) return;
    if (operation.op === 'memlock') this.limitLine = step.line;
    if (operation.op === 'dropcap') this.capLine = step.line;
    if (operation.op === 'open') this.v2 = operation.type !== 'v1';
    if (operation.op === 'setiommu') this.v2 = operation.type !== 1;
    // Without a type1 container there is no mapping.
    if (observation.avail === undefined) this.#clear();
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
    return this.overlapping(iova, 1n).next().value ?? undefined;
  }

  /**
   * The mappings that have an address in a range.
   *
   * @param iova first I/O virtual address in bytes
   * @param size length in bytes
   * @returns the mappings in address order, one by one
   */
  *overlapping(iova: bigint, size: bigint): Generator<LiveMapping, void> {
    const end = pageAfter(iova + size);
    for (const { mapping } of this.#mapped.overlapping(pageNumber(iova), end)) yield mapping;
  }

  /**
   * The mappings that have memory in a range.
   *
   * @param va first byte
   * @param size length in bytes
   * @returns the mappings in the order of their memory, one by one
   */
  *ofMemory(va: bigint, size: bigint): Generator<LiveMapping, void> {
    const end = pageAfter(va + size);
    for (const { mapping } of this.#memory.overlapping(pageNumber(va), end)) yield mapping;
  }

  /**
   * All mappings.
   *
   * @returns the mappings in address order, one by one
   */
  *[Symbol.iterator](): Generator<LiveMapping, void> {
    for (const { mapping } of this.#mapped) yield mapping;
  }

  /**
   * What mappings already have of some memory.
   *
   * @param va first byte
   * @param size length in bytes
   * @returns pages, and the first of the mappings by address of their memory; null if none has any
   */
  sharing(va: bigint, size: bigint): SharedMemory | null {
    const [from, to] = [pageNumber(va), pageAfter(va + size)];
    const [first] = this.#memory.overlapping(from, to);
    if (!first) return null;
    let pages = 0;
    for (const { at, npage, mappings } of this.#shared.overlapping(from, to)) {
      pages += (Math.min(at + npage, to) - Math.max(at, from)) * mappings;
    }
    return { pages, mapping: first.mapping };
  }

  #map(line: number, map: { iova: bigint; va: bigint; size: bigint; flags: number }): void {
    const { iova, va, size } = map;
    // A new vaddr replaces the old one; the mapping is still that of its first line.
    const kept = map.flags & MAP_VADDR ? this.at(iova)?.line : undefined;
    const [at, npage] = [pageNumber(iova), pageAfter(size)];
    const same = this.#mapped.from(at);
    if (same?.at === at) this.#remove(same);
    const mapping = { line: kept ?? line, iova, va, size };
    const memory = { at: pageNumber(va), npage, mapping };
    this.#mapped = this.#mapped.with({ at, npage, mapping, memory });
    this.#memory = this.#memory.with(memory);
    this.#count(memory, 1);
  }

  #unmap({ iova, size, flags }: { iova: bigint; size: bigint; flags: number }): void {
    if (flags & UNMAP_ALL) this.#clear();
    const cut = this.at(iova);
    // v1: a range that begins inside a mapping ends the walk at once.
    if (!this.v2 && cut && cut.iova < iova) return;
    const [from, to] = [pageNumber(iova), pageAfter(iova + size)];
    for (const mapped of [...this.#mapped.overlapping(from, to)]) {
      if (mapped.at >= from) this.#remove(mapped);
    }
  }

  #clear(): void {
    this.#mapped = SpanTree.empty();
    this.#memory = SpanTree.empty();
    this.#shared = new Runs(sharedRuns);
  }

  #remove(mapped: Mapped): void {
    this.#mapped = this.#mapped.without(mapped);
    this.#memory = this.#memory.without(mapped.memory);
    this.#count(mapped.memory, -1);
  }

  /** Counts a mapping more, or less, of some memory. */
  #count({ at: from, npage: length }: Span, more: 1 | -1): void {
    const to = from + length;
    const counted: Shared[] = [];
    const count = (at: number, end: number, mappings: number): void => {
      if (end > at && mappings > 0) counted.push({ at, npage: end - at, mappings });
    };
    let next = from;
    for (const { at, npage, mappings } of this.#shared.overlapping(from, to)) {
      const [first, end] = [Math.max(at, from), Math.min(at + npage, to)];
      count(next, first, more);
      count(first, end, mappings + more);
      next = end;
    }
    count(next, to, more);
    this.#shared = this.#shared.replace(from, to, counted).runs;
  }
}

/** The first page that begins at a byte or after it. */
function pageAfter(byte: bigint): number {
  return pageNumber(byte + PAGE_BYTES - 1n);
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
