/**
 * The observer of a machine that makes steps of what it does: a {@link Tracer} that notes at every
 * call what is called with what, where the pin loop and the unmap loop are, and the counters.
 *
 * A call that makes no traced call is one step; any other is one when it is entered and one when it
 * returns. Taking entries out of the batch is no call: it is a step of its own, noticed at the next
 * call because the chunk has grown or frames were compared.
 */
import { ModelBug, Slot, type TracedFunction, type Tracer, type Vpn } from '@pinfold/base';
import type { MemDmaMap } from '@pinfold/bench';
import type { PhysRun } from '@pinfold/iommu';
import type { PinAlgorithm, PinnedChunk, VfioBatch, VfioDma } from '@pinfold/vfio-type1';
import { Col, FUNCTIONS, IOCTL, Kind, ROW, STATE_COLUMNS } from './steps.ts';

/** Gets the steps of a run. */
export interface StepObserver {
  /**
   * Whether the counters of a step will be looked at.
   *
   * @param index number of the step
   * @returns false if its row may have any counters
   */
  wantsCounters(index: number): boolean;

  /**
   * A step is complete. It may throw to end the run.
   *
   * @param index its number
   * @param row its row, valid during the call
   */
  done(index: number, row: Float64Array): void;
}

const FN_INDEX: Readonly<Record<string, number>> = Object.fromEntries(
  FUNCTIONS.map((name, i) => [name, i]),
);

/** Records the steps of one machine. */
export class Recorder implements Tracer {
  readonly #observer: StepObserver;
  readonly #row = new Float64Array(ROW);
  #index = -1;
  #phase = 0;
  /** Calls that have not returned, the ioctl included. */
  #depth = 0;
  #machine: MemDmaMap | null = null;

  #batch: VfioBatch | null = null;
  #chunk: PinnedChunk | null = null;
  /** Whether the pin step of the algorithm is running. */
  #pinning = false;
  /** Whether the chunk still is that of the call before. */
  #stale = false;
  #chunkStart = 0;
  #chunkPinned = 0;
  #pfnCompares = 0;
  /** Pointers that GUP has stored, until vaddr_get_pfns sets the size of the batch. */
  #stored = 0;
  /** Without a chunk: pages that one walk has pinned, from `chunkStart` on. */
  #walked = 0;

  /** Pages of the iommu_map that is running. */
  #mapping = 0;

  #mapped = 0;
  #unmapped = 0;
  #runStart = 0;
  #runPages = 0;
  #regions = 0;

  /** @param observer gets the steps */
  constructor(observer: StepObserver) {
    this.#observer = observer;
  }

  /**
   * The same algorithm, with every step seen by this recorder.
   *
   * @param algorithm the algorithm
   * @returns what to give to the machine
   */
  watch(algorithm: PinAlgorithm): PinAlgorithm {
    return {
      ...algorithm,
      pinChunk: (iommu, dma, vaddr, npage, limit, batch, chunk) => {
        this.#beginChunk(dma, vaddr, batch, chunk);
        const pinned = algorithm.pinChunk(iommu, dma, vaddr, npage, limit, batch, chunk);
        this.#pinning = false;
        return pinned;
      },
      nextUnmapRun: (iommu, dma, iovaPn, npage, run: PhysRun) => {
        algorithm.nextUnmapRun(iommu, dma, iovaPn, npage, run);
        this.#runStart = iovaPn - dma.iovaPn;
        this.#runPages = run.npage;
      },
    };
  }

  /**
   * Records the two ioctls of a machine.
   *
   * @param machine a machine with an algorithm that is {@link watch}ed
   * @param betweenIoctls called when everything is mapped
   */
  record(machine: MemDmaMap, betweenIoctls: () => void = () => undefined): void {
    this.#machine = machine;
    const { npage } = machine;
    machine.counters.tracer = this;
    this.#ioctl(npage, () => machine.map());
    betweenIoctls();
    this.#phase = 1;
    this.#ioctl(npage, () => machine.unmap());
    this.#complete();
    machine.counters.tracer = null;
  }

  enter(fn: TracedFunction, a = 0, b = 0, c = 0, d = 0): void {
    this.#noticeTake();
    this.#begin(Kind.enter, FN_INDEX[fn], a, b, c, d);
    this.#depth++;
    this.#note();
    if (fn === 'vfio_pin_pages_remote') this.#stale = false;
    else if (fn === 'iommu_map') this.#mapping = c;
  }

  exit(fn: TracedFunction, ret = 0): void {
    this.#noticeTake();
    this.#depth--;
    this.#account(fn, ret);
    const row = this.#row;
    const isLeaf = row[Col.kind] === Kind.enter && row[Col.fn] === FN_INDEX[fn];
    if (isLeaf) row[Col.kind] = Kind.call;
    else this.#begin(Kind.exit, FN_INDEX[fn], 0, 0, 0, 0);
    row[Col.ret] = ret;
    this.#note();
  }

  repeat(
    fn: TracedFunction,
    n: number,
    a: number,
    step: number,
    ret: number,
    retStep: number,
  ): void {
    this.#noticeTake();
    this.#begin(n > 1 ? Kind.repeat : Kind.call, FN_INDEX[fn], a, 0, 0, 0);
    const row = this.#row;
    row[Col.ret] = ret;
    row[Col.n] = n;
    row[Col.step] = step;
    row[Col.retStep] = retStep;
    this.#note();
  }

  #ioctl(npage: number, run: () => void): void {
    const { vaddr, iovaPn } = this.#theMachine;
    this.#begin(Kind.enter, IOCTL, vaddr, iovaPn, npage, 0);
    this.#depth++;
    this.#note();
    run();
    this.#depth--;
    this.#begin(Kind.exit, IOCTL, vaddr, iovaPn, npage, 0);
    this.#note();
  }

  #beginChunk(dma: VfioDma, vaddr: Vpn, batch: VfioBatch, chunk: PinnedChunk): void {
    this.#batch = batch;
    this.#chunk = chunk;
    this.#chunkStart = vaddr - dma.vaddr;
    this.#chunkPinned = 0;
    this.#pinning = true;
    this.#stale = true;
    this.#pfnCompares = this.#counters[Slot.pfnCompares];
  }

  /** A step for what the pin loop has done since the last call. */
  #noticeTake(): void {
    if (!this.#pinning || this.#stale) return;
    const batch = this.#batch as VfioBatch;
    const { pinned } = this.#chunk as PinnedChunk;
    const taken = pinned - this.#chunkPinned;
    const compared = this.#counters[Slot.pfnCompares] > this.#pfnCompares;
    this.#pfnCompares = this.#counters[Slot.pfnCompares];
    // A compare alone is of interest where it leaves entries for the next chunk.
    if (taken === 0 && !(compared && batch.size > 0)) return;
    this.#chunkPinned = pinned;
    this.#begin(Kind.take, FN_INDEX.vfio_pin_pages_remote, taken, batch.size, 0, 0);
    this.#note();
  }

  /** What a call that returns has changed in the batch and in the IOMMU. */
  #account(fn: TracedFunction, ret: number): void {
    if (fn === '__gup_longterm_locked') this.#stored = Math.max(0, ret);
    else if (fn === 'vaddr_get_pfns') this.#stored = 0;
    else if (fn === 'iommu_map' && ret === 0) this.#mapped += this.#mapping;
    else if (fn === 'vfio_pin_pages_remote' && this.#chunk === null) {
      this.#chunkStart = this.#mapped;
      this.#walked = Math.max(0, ret);
    } else if (fn === 'iommu_unmap_fast' || fn === 'iommu_unmap') {
      if (this.#phase === 0) this.#mapped -= ret;
      else this.#unmapped += ret;
      if (fn === 'iommu_unmap_fast' && ret > 0) this.#regions++;
    } else if (fn === 'vfio_unpin_pages_remote' && this.#regions > 0) this.#regions--;
  }

  get #chunkPages(): number {
    if (this.#chunk === null) return this.#walked;
    return this.#stale ? 0 : this.#chunk.pinned;
  }

  get #theMachine(): MemDmaMap {
    if (this.#machine) return this.#machine;
    throw new ModelBug('a call was traced before the machine was there');
  }

  get #counters(): Float64Array {
    return this.#theMachine.counters.values;
  }

  /** Completes the step before, and begins one. */
  #begin(kind: number, fn: number, a: number, b: number, c: number, d: number): void {
    this.#complete();
    this.#index++;
    const row = this.#row;
    row[Col.kind] = kind;
    row[Col.fn] = fn;
    row[Col.depth] = this.#depth;
    row[Col.a] = a;
    row[Col.b] = b;
    row[Col.c] = c;
    row[Col.d] = d;
    row[Col.ret] = row[Col.step] = row[Col.retStep] = 0;
    row[Col.n] = 1;
  }

  /** Notes the machine as it is now in the row of the step. */
  #note(): void {
    const row = this.#row;
    const { mm, counters } = this.#theMachine;
    row[Col.phase] = this.#phase;
    row[Col.pins] = mm.memory.vmstat.pinsHeld;
    row[Col.lockedVm] = mm.lockedVm;
    row[Col.chunkStart] = this.#chunkStart;
    row[Col.chunkPinned] = this.#chunkPages;
    row[Col.pfnBase] = this.#chunk === null || this.#stale ? 0 : this.#chunk.pfnBase;
    row[Col.batchOffset] = this.#batch?.offset ?? 0;
    row[Col.batchSize] = this.#batch?.size ?? 0;
    row[Col.mapped] = this.#mapped;
    row[Col.unmapped] = this.#unmapped;
    row[Col.runStart] = this.#runStart;
    row[Col.runPages] = this.#runPages;
    row[Col.regions] = this.#regions;
    row[Col.stored] = this.#stored;
    if (this.#observer.wantsCounters(this.#index)) row.set(counters.values, STATE_COLUMNS);
  }

  #complete(): void {
    if (this.#index >= 0) this.#observer.done(this.#index, this.#row);
  }
}
