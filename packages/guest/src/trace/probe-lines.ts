/**
 * The calls of a step as recordings list them: one line per entry and return of a probed function,
 * folded.
 *
 * @source recordings README, "Trace"
 */
import {
  TRACED_FUNCTIONS,
  writeArguments,
  writeReturn,
  type TracedFunction,
  type Tracer,
} from '@pinfold/base';

/** Lines that are listed, as many as recordings have; `...` stands for the others. */
const MAX_LINES = 600;
/** Events that lines are made of; later ones are only counted. */
const MAX_EVENTS = 100_000;
/** The line after the last, if events are left out. */
export const MORE_LINES = '...';

/** A kprobe; `null` in place of it: not in this kernel, or inlined. */
export interface Probe {
  /** The symbol that is probed. */
  readonly symbol: string;
  /** Whether its arguments are recorded. */
  readonly args: boolean;
}

/** Probes by name, `null` for a function that has none; a name that ends in `_ret`: of a return. */
export type Probes = Readonly<Record<string, Probe | null>>;

/** Functions whose entry and return are one line, and of whose calls a walk is one line. */
const JOINED: ReadonlySet<string> = new Set(['iommu_iova_to_phys']);

/** Functions whose returns recordings show. */
const WITH_RETURN: readonly TracedFunction[] = [
  ...(['vfio_pin_pages_remote', 'vaddr_get_pfns', 'pin_user_pages_remote'] as const),
  ...(['follow_pfnmap_start', 'follow_pte'] as const),
  ...(['iommu_map', 'iommu_iova_to_phys', 'iommu_unmap'] as const),
  ...(['iommu_unmap_fast', 'vfio_unpin_pages_remote', 'amd_iommu_map_pages'] as const),
  ...(['amd_iommu_unmap_pages', 'amdv1_map_range', 'amdv1_unmap_range'] as const),
  ...(['arm_lpae_map_pages', 'arm_lpae_unmap_pages'] as const),
];

/** What the compiler has made of functions that are called at several places. */
export interface Build {
  /** Whether tests that other compilers inline are calls. */
  readonly callsTests: boolean;
  /** Whether the charge for pinned pages is inlined, and only that taken back is a call. */
  readonly inlinesCharges: boolean;
  /** Whether only a page that RLIMIT_MEMLOCK refuses is put by a call, and others inline. */
  readonly inlinesPuts: boolean;
}

/** The builds of recorded kernels: Debian's for x86, that of 5.10 among them, and for Arm, and the one with iommufd. */
export const BUILDS: Readonly<Record<'x86' | 'x86-5.10' | 'arm64' | 'iofd', Build>> = {
  x86: { callsTests: false, inlinesCharges: false, inlinesPuts: false },
  'x86-5.10': { callsTests: true, inlinesCharges: false, inlinesPuts: true },
  arm64: { callsTests: true, inlinesCharges: true, inlinesPuts: false },
  iofd: { callsTests: true, inlinesCharges: false, inlinesPuts: false },
};

/** put_pfn, and its hidden argument where a limit has refused the page. */
const [PUT, REFUSED] = ['put_pfn', 1];

/** Argument `async` of vfio_lock_acct, and its value where pages are pinned. */
const [LOCK_ACCT, PINNING] = ['vfio_lock_acct', 0];

/** The probes of the recordings, as if every function that is traced could be probed. */
export const ALL_PROBES: Probes = Object.fromEntries([
  ...Object.entries(TRACED_FUNCTIONS).flatMap(([fn, { inlined }]) =>
    inlined === undefined ? [[fn, { symbol: fn, args: true }]] : [],
  ),
  ...WITH_RETURN.map((fn) => [`${fn}_ret`, { symbol: fn, args: true }]),
]) as Probes;

/** What is probed of a function. */
interface Probed {
  /** Its name in lines. */
  readonly name: string;
  readonly args: boolean;
  readonly ret: boolean;
}

/** The line that the next event may be folded into: N equal lines, or a walk. */
interface OpenLine {
  /** Of a walk: the function. */
  readonly fn: TracedFunction | null;
  /** Its text; of a walk, nothing. */
  readonly text: string;
  /** Lines that it stands for. */
  n: number;
  /** Of a walk: first argument and what the first call returned. */
  readonly a: number;
  readonly ret: number;
  /** Of a walk of two and more calls: by how much both grow. */
  step: number;
}

/** Sees the calls of a step through the probes of a recording. */
export class ProbeLines implements Tracer {
  /** Whether folios are probed, as newer recording programs do. */
  readonly details: boolean;
  readonly #build: Build;
  readonly #probed = new Map<TracedFunction, Probed>();
  #lines: string[] = [];
  #open: OpenLine | null = null;
  #total = 0;
  /** Calls since the step began, of functions that were called. */
  readonly #calls = new Map<string, number>();
  /** Argument of the joined function that was entered last. */
  #entered = 0;

  /**
   * @param probes what is probed
   * @param build what the compiler has inlined; default: as for x86
   */
  constructor(probes: Probes, build: Build = BUILDS.x86) {
    this.#build = build;
    this.details = [probes.try_grab_folio, probes.gup_put_folio].some(Boolean);
    for (const fn of Object.keys(TRACED_FUNCTIONS) as TracedFunction[]) {
      const { inlined } = TRACED_FUNCTIONS[fn];
      const name = build.callsTests ? (inlined ?? fn) : fn;
      const probe = probes[name];
      if (!probe) continue;
      this.#probed.set(fn, { name, args: probe.args, ret: Boolean(probes[`${name}_ret`]) });
    }
  }

  /** Functions of which the build decides which calls there are. */
  get builtOtherwise(): readonly string[] {
    const { callsTests, inlinesCharges, inlinesPuts } = this.#build;
    const tests = Object.values(TRACED_FUNCTIONS).flatMap(({ inlined }) => inlined ?? []);
    return [
      ...(callsTests ? tests : []),
      ...(inlinesCharges ? [LOCK_ACCT] : []),
      ...(inlinesPuts ? [PUT] : []),
    ];
  }

  /** Forgets everything: the next step begins. */
  reset(): void {
    this.#lines = [];
    this.#open = null;
    this.#total = 0;
    this.#calls.clear();
  }

  /** Calls of each probed function since the step began. */
  get calls(): ReadonlyMap<string, number> {
    return this.#calls;
  }

  /** Entry and return events, those that are not listed included. */
  get total(): number {
    return this.#total;
  }

  /**
   * The lines.
   *
   * @returns at most {@link MAX_LINES}, of at most {@link MAX_EVENTS} events; if there are more,
   *   {@link MORE_LINES} ends them
   */
  lines(): string[] {
    const lines = this.#open ? [...this.#lines, lineOf(this.#open)] : this.#lines;
    const isCut = lines.length > MAX_LINES || this.#total > MAX_EVENTS;
    return isCut ? [...lines.slice(0, MAX_LINES), MORE_LINES] : [...lines];
  }

  enter(fn: TracedFunction, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): void {
    const probed = this.#probed.get(fn);
    if (!probed || this.#isInlined(fn, b)) return;
    this.#called(probed.name, 1);
    if (probed.ret && JOINED.has(fn)) this.#entered = a;
    else if (this.#count(1) > 0)
      this.#push(entryLine(probed.name, fn, probed.args ? [a, b, c, d, e, f] : null), 1);
  }

  exit(fn: TracedFunction, ret = 0): void {
    if (!this.#probed.get(fn)?.ret) return;
    if (JOINED.has(fn)) this.repeat(fn, 1, this.#entered, 0, ret, 0);
    else if (this.#count(1) > 0) this.#push(`${fn}_ret ret=${writeReturn(fn, ret)}`, 1);
  }

  repeat(
    fn: TracedFunction,
    n: number,
    a: number,
    step: number,
    ret: number,
    retStep: number,
  ): void {
    const probed = this.#probed.get(fn);
    if (!probed) return;
    if (probed.ret && JOINED.has(fn) && (n === 1 || step === retStep)) {
      const calls = Math.floor(this.#count(2 * n) / 2);
      if (calls > 0) this.#walk(fn, calls, a, step, ret);
    } else if (!probed.ret && step === 0) {
      const calls = this.#count(n);
      this.#called(probed.name, n);
      if (calls > 0) this.#push(entryLine(probed.name, fn, probed.args ? [a] : null), calls);
    } else {
      for (let i = 0; i < n; i++) {
        this.enter(fn, a + i * step);
        this.exit(fn, ret + i * retStep);
      }
    }
  }

  /** Whether the compiler has inlined this call of a function that it calls elsewhere. */
  #isInlined(fn: TracedFunction, b: number): boolean {
    const { inlinesCharges, inlinesPuts } = this.#build;
    return (
      (inlinesCharges && fn === LOCK_ACCT && b === PINNING) ||
      (inlinesPuts && fn === PUT && b !== REFUSED)
    );
  }

  #called(name: string, n: number): void {
    this.#calls.set(name, (this.#calls.get(name) ?? 0) + n);
  }

  /** Counts events; returns how many of them are to become lines. */
  #count(events: number): number {
    const left = this.#lines.length > MAX_LINES ? 0 : Math.max(0, MAX_EVENTS - this.#total);
    this.#total += events;
    return Math.min(events, left);
  }

  #push(text: string, n: number): void {
    if (this.#open?.text === text) this.#open.n += n;
    else this.#replace({ fn: null, text, n, a: 0, ret: 0, step: 0 });
  }

  /** Calls that are one walk continue the walk before if they are a step away from it. */
  #walk(fn: TracedFunction, n: number, a: number, step: number, ret: number): void {
    const open = this.#open;
    const by = open ? a - open.a : 0;
    if (open?.fn === fn && continuesWalk(open, n, step, by) && ret === open.ret + by) {
      open.step = by / open.n;
      open.n += n;
    } else this.#replace({ fn, text: '', n, a, ret, step: n > 1 ? step : 0 });
  }

  #replace(open: OpenLine): void {
    if (this.#open) this.#lines.push(lineOf(this.#open));
    this.#open = open;
  }
}

/** Whether calls that begin `by` after the first call of a walk are its next ones. */
function continuesWalk(open: OpenLine, n: number, step: number, by: number): boolean {
  const its = open.n > 1 ? open.step : by;
  return by !== 0 && by === open.n * its && (n === 1 || step === its);
}

function entryLine(name: string, fn: TracedFunction, values: readonly number[] | null): string {
  const args = values ? writeArguments(fn, values) : [];
  return [name, ...args.map(({ name, text }) => `${name}=${text}`)].join(' ');
}

function lineOf({ fn, text, n, a, ret, step }: OpenLine): string {
  if (fn === null) return n > 1 ? `${text} *${n}` : text;
  const call = `${entryLine(fn, fn, [a])} ret=${writeReturn(fn, ret)}`;
  return n > 1 ? `${call} step=${writeReturn(fn, step)} n=${n}` : call;
}
