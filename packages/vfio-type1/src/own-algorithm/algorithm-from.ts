/**
 * Makes a pin algorithm of what somebody wrote: each step gets the calls of the kernel and views of
 * the model's objects, and what it returns is checked before the model believes it.
 *
 * @source drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vfio_unpin_pages_remote,
 * vfio_unmap_unpin, 6.18; reference type1.md §5 to §7
 */
import {
  errnoName,
  InputError,
  KernelBug,
  KernelError,
  ModelBug,
  Slot,
  type IovaPn,
  type Pfn,
  type Vpn,
} from '@pinfold/base';
import type { PhysRun } from '@pinfold/iommu';
import { batched } from '../algorithms/batched.ts';
import {
  definePinAlgorithm,
  keepsList,
  type PinAlgorithmSpec,
} from '../algorithms/define-pin-algorithm.ts';
import { pinAlgorithm } from '../algorithms/index.ts';
import type { VfioBatch } from '../batch.ts';
import type { VfioDma } from '../dma.ts';
import type { OwnWork, PinAlgorithm, PinBase } from '../pin-algorithm.ts';
import type { PinnedChunk } from '../pin-chunk.ts';
import type { ExternalPinRequest } from '../pin-external.ts';
import type { VfioIommu } from '../vfio-iommu.ts';
import { AlgorithmFault, Misuse, shown } from './algorithm-fault.ts';
import { Guard, type StepName } from './guard.ts';
import { KernelCalls } from './kernel-calls.ts';
import type { OwnAlgorithm, OwnChunk, OwnRun } from './own-algorithm.ts';
import { parseOwnAlgorithm } from './parse-own-algorithm.ts';
import { isOfKernel, placeInStack, placeOfField, stackOf, type AlgorithmFile } from './places.ts';
import { BatchView, DmaView, RequestView } from './views.ts';

/** What {@link algorithmFrom} can be told besides. */
export interface AlgorithmOptions {
  /**
   * What a file is a difference against that states no base: the algorithm of the kernel, as a patch
   * that changes one step leaves the others; default that of 6.16, `batched`.
   */
  readonly base?: PinAlgorithm;
  /**
   * The algorithm of the base that a file states; throws an InputError for what it does not know.
   * Default: that of this name.
   */
  readonly baseNamed?: (name: string) => PinAlgorithm;
  /** Address of the file as stacks write it, so that faults have a line. */
  readonly url?: string;
  /** Text of the file, so that what a step returns has a line. */
  readonly text?: string;
  /**
   * Two numbers that another thread may read: the first changes with every step and every call of
   * the kernel; the second is 0 unless code of the algorithm runs, and then the place of its step in
   * {@link STEPS}, counted from 1.
   */
  readonly heartbeat?: Int32Array;
}

/** The steps that go together where one of them keeps a list of what is pinned. */
const WITH_A_LIST = ['pinChunk', 'unpinRegion', 'nextUnmapRun', 'forget'] as const;

/** No frame has a larger number. */
const MAX_PFN = 2 ** 40;

/**
 * Makes a pin algorithm of what a file exports.
 *
 * @param own the file's default export, an {@link OwnAlgorithm}
 * @param place name of the file, for messages
 * @param options what else is known of the file
 * @returns the algorithm, whose steps throw an {@link AlgorithmFault} for a mistake in the file
 * @throws {InputError} when it exports no algorithm
 * @source reference type1.md §5 to §7
 */
export function algorithmFrom(
  own: unknown,
  place: string,
  options: AlgorithmOptions = {},
): PinAlgorithm {
  const file: AlgorithmFile = { place, ...options };
  const spec = parseOwnAlgorithm(own, place, (key) => placeOfField(file, key));
  const ownWork: OwnWork = { pages: 0, pageReads: 0, conversions: 0 };
  const steps = new OwnSteps(spec, file, options.heartbeat ?? new Int32Array(2), ownWork);
  const base = baseOf(spec, file, options);
  const { name, summary = 'an own algorithm', source = place } = spec;
  const { repins = spec.pinChunk ? false : base.algorithm.repins } = spec;
  const { limitFirst } = base.algorithm;
  const made: PinAlgorithmSpec = {
    ...{ name, summary, source, repins, limitFirst, base, ownWork },
    ...(spec.pinChunk && { pinChunk: steps.pinChunk }),
    ...(spec.unpinRegion && { unpinRegion: steps.unpinRegion }),
    ...(spec.nextUnmapRun && { nextUnmapRun: steps.nextUnmapRun }),
    ...(spec.pinExternal && { pinExternal: steps.pinExternal }),
    ...(spec.forget && { forget: steps.forget }),
  };
  return definePinAlgorithm(made, base.algorithm);
}

/** What a file is a difference against. */
function baseOf(
  own: OwnAlgorithm,
  file: AlgorithmFile,
  { base: otherwise = batched, baseNamed = pinAlgorithm }: AlgorithmOptions,
): PinBase {
  const { base: stated } = own;
  const base =
    stated === undefined
      ? { name: otherwise.name, algorithm: otherwise }
      : { name: stated, algorithm: named(stated, baseNamed, placeOfField(file, 'base')) };
  const taken = WITH_A_LIST.find((step) => own[step] !== undefined);
  if (taken && keepsList(base.algorithm)) {
    const expected = `no step but pinExternal: those of ${base.name} share a list`;
    throw new InputError(placeOfField(file, taken), expected, taken);
  }
  return base;
}

/** Looks the stated base up; what it is not is said with its place. */
function named(name: string, find: (name: string) => PinAlgorithm, place: string): PinAlgorithm {
  try {
    return find(name);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(place, `base: ${error.expected}`, `'${name}'`, { cause: error });
  }
}

/** A container's calls, and views of the objects that the last step had. */
class Bound {
  readonly guard: Guard;
  readonly kernel: KernelCalls;
  readonly #dmas = new WeakMap<VfioDma, DmaView>();
  readonly #batches = new WeakMap<VfioBatch, BatchView>();

  readonly #work: OwnWork;

  constructor(iommu: VfioIommu, heartbeat: Int32Array, work: OwnWork) {
    this.guard = new Guard(heartbeat);
    this.kernel = new KernelCalls(iommu, this.guard, work);
    this.#work = work;
  }

  dma(dma: VfioDma): DmaView {
    let view = this.#dmas.get(dma);
    if (!view) this.#dmas.set(dma, (view = new DmaView(dma)));
    return view;
  }

  batch(batch: VfioBatch): BatchView {
    let view = this.#batches.get(batch);
    if (!view) this.#batches.set(batch, (view = new BatchView(batch, this.#work)));
    return view;
  }
}

/** The steps, wrapped. */
class OwnSteps {
  readonly #own: OwnAlgorithm;
  readonly #file: AlgorithmFile;
  readonly #heartbeat: Int32Array;
  readonly #work: OwnWork;
  readonly #bound = new WeakMap<VfioIommu, Bound>();

  constructor(own: OwnAlgorithm, file: AlgorithmFile, heartbeat: Int32Array, work: OwnWork) {
    this.#own = own;
    this.#work = work;
    this.#file = file;
    this.#heartbeat = heartbeat;
  }

  readonly pinChunk = (
    iommu: VfioIommu,
    dma: VfioDma,
    vaddr: Vpn,
    npage: number,
    limit: number,
    batch: VfioBatch,
    chunk: PinnedChunk,
  ): number => {
    const { tracer } = iommu.counters;
    const bound = this.#boundTo(iommu);
    const made: OwnChunk = { pfnBase: 0, pinned: 0, rsvd: false, lockAcct: 0 };
    iommu.counters.add(Slot.pinPagesRemoteCalls, 1);
    tracer?.enter('vfio_pin_pages_remote', vaddr, npage, limit);
    const views = [bound.dma(dma), vaddr, npage, limit, bound.batch(batch), made] as const;
    const ret = this.#call(iommu, bound, 'pinChunk', npage, (kernel) =>
      this.#own.pinChunk?.(kernel, ...views),
    );
    const done = this.#count('pinChunk', ret, 1, npage);
    if (done > 0) this.#checkChunk(made, done);
    if (done > 0) this.#work.pages += done;
    chunk.pfnBase = made.pfnBase;
    chunk.pinned = made.pinned;
    tracer?.exit('vfio_pin_pages_remote', done);
    return done;
  };

  readonly unpinRegion = (
    iommu: VfioIommu,
    dma: VfioDma,
    iovaPn: IovaPn,
    pfn: Pfn,
    npage: number,
    doAccounting: boolean,
  ): number => {
    const { tracer } = iommu.counters;
    const bound = this.#boundTo(iommu);
    iommu.counters.add(Slot.unpinPagesRemoteCalls, 1);
    tracer?.enter('vfio_unpin_pages_remote', iovaPn, pfn, npage);
    const ret = this.#call(iommu, bound, 'unpinRegion', npage, (kernel) =>
      this.#own.unpinRegion?.(kernel, bound.dma(dma), iovaPn, pfn, npage, doAccounting),
    );
    if (!isWhole(ret, 0, npage)) {
      const expected = `the pages unpinned, 0 to ${npage}`;
      throw this.#fault('unpinRegion', `returned ${shown(ret)}, expected ${expected}`);
    }
    tracer?.exit('vfio_unpin_pages_remote', ret);
    return ret;
  };

  readonly nextUnmapRun = (
    iommu: VfioIommu,
    dma: VfioDma,
    iovaPn: IovaPn,
    npage: number,
    run: PhysRun,
  ): void => {
    const bound = this.#boundTo(iommu);
    const made: OwnRun = { pfn: -1, npage: 0 };
    this.#call(iommu, bound, 'nextUnmapRun', npage, (kernel) =>
      this.#own.nextUnmapRun?.(kernel, bound.dma(dma), iovaPn, npage, made),
    );
    if (!isWhole(made.pfn, 0, MAX_PFN)) {
      const got = (made.pfn as unknown) === -1 ? 'nothing' : shown(made.pfn);
      throw this.#fault('nextUnmapRun', `left ${got} in run.pfn, expected a page frame or 0`);
    }
    if (made.pfn !== 0 && !isWhole(made.npage, 1, npage)) {
      const got = shown(made.npage);
      throw this.#fault('nextUnmapRun', `left ${got} in run.npage, expected 1 to ${npage} pages`);
    }
    run.pfn = made.pfn;
    run.npage = made.npage;
  };

  readonly pinExternal = (iommu: VfioIommu, request: ExternalPinRequest): number => {
    const { npage, pages } = request;
    const bound = this.#boundTo(iommu);
    const view = new RequestView(request, iommu.domainList.length === 0);
    const before = [...pages];
    for (let i = 0; i < npage; i++) pages[i] = NaN;
    const ret = this.#call(iommu, bound, 'pinExternal', npage, (kernel) =>
      this.#own.pinExternal?.(kernel, view),
    );
    const done = this.#count('pinExternal', ret, npage, npage);
    for (let i = 0; i < npage; i++) {
      if (Number.isInteger(pages[i])) continue;
      if (done > 0)
        throw this.#fault('pinExternal', `returned ${done}, but page ${i} is not pinned`);
      pages[i] = before[i];
    }
    if (done < 0) pages.length = before.length;
    return done;
  };

  readonly forget = (iommu: VfioIommu, dma: VfioDma): void => {
    const bound = this.#boundTo(iommu);
    this.#call(iommu, bound, 'forget', dma.npage, (kernel) =>
      this.#own.forget?.(kernel, bound.dma(dma)),
    );
  };

  #boundTo(iommu: VfioIommu): Bound {
    let bound = this.#bound.get(iommu);
    if (!bound) this.#bound.set(iommu, (bound = new Bound(iommu, this.#heartbeat, this.#work)));
    return bound;
  }

  /** Runs a step; what it throws becomes a fault, unless it comes from the kernel or the model. */
  #call(
    iommu: VfioIommu,
    { guard, kernel }: Bound,
    step: StepName,
    npage: number,
    run: (kernel: KernelCalls) => unknown,
  ): unknown {
    const { failure } = iommu;
    guard.begin(step, npage);
    let ret: unknown;
    try {
      ret = run(kernel);
    } catch (error) {
      throw this.#thrown(step, error);
    } finally {
      guard.end();
    }
    // Somebody may have asked for pages and done without them.
    if (typeof ret !== 'number' || ret >= 0) iommu.failure = failure;
    // What a promise becomes later is nobody's business any more.
    if (ret instanceof Promise) ret.catch(() => undefined);
    return ret;
  }

  #thrown(step: StepName, error: unknown): unknown {
    if (error instanceof KernelBug || error instanceof ModelBug) return error;
    if (error instanceof KernelError || error instanceof AlgorithmFault) return error;
    const stack = stackOf(error);
    const place = placeInStack(this.#file, stack);
    if (error instanceof Misuse) return new AlgorithmFault(place, error.message);
    if (!(error instanceof RangeError) && isOfKernel(this.#file, stack)) return error;
    const what = error instanceof Error ? `${error.name}: ${error.message}` : shown(error);
    const at = place === this.#file.place ? placeOfField(this.#file, step) : place;
    return new AlgorithmFault(at, `${step} throws ${what}`);
  }

  #fault(step: StepName, what: string): AlgorithmFault {
    return new AlgorithmFault(placeOfField(this.#file, step), `${step} ${what}`);
  }

  /** A number of pages, or a negative errno that a kernel has. */
  #count(step: StepName, ret: unknown, min: number, max: number): number {
    if (isWhole(ret, min, max)) return ret;
    if (isWhole(ret, -4095, -1) && !errnoName(ret).startsWith('errno ')) return ret;
    const range = min === max ? String(max) : `${min} to ${max}`;
    const expected = `${range} ${max === 1 ? 'page' : 'pages'} or a negative errno`;
    throw this.#fault(step, `returned ${shown(ret)}, expected ${expected}`);
  }

  #checkChunk({ pfnBase, pinned }: OwnChunk, done: number): void {
    if (pinned !== done) {
      const expected = `${done}, which it returned`;
      throw this.#fault('pinChunk', `left ${shown(pinned)} in chunk.pinned, expected ${expected}`);
    }
    if (!isWhole(pfnBase, 1, MAX_PFN - done)) {
      const got = shown(pfnBase);
      throw this.#fault('pinChunk', `left ${got} in chunk.pfnBase, expected a page frame`);
    }
  }
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}
