/**
 * The memory of one machine: its memory map, its pin statistics, its counters and the mm rules of
 * the kernel that runs on it.
 *
 * @source include/linux/mmzone.h NR_FOLL_PIN_ACQUIRED, include/asm-generic/bug.h WARN_ON_ONCE, 6.16
 */
import { Counters, pagesOf, type Pfn, type Tracer } from '@pinfold/base';
import type { FrameSource } from './frame-source.ts';
import type { HugetlbPool } from './hugetlb-pool.ts';
import { KernelLog } from './kernel-log.ts';
import type { MemMap } from './memmap.ts';
import { PG } from './page-state.ts';
import type { MmStruct } from './mm-struct.ts';
import type { PageContents } from './page-contents.ts';
import type { MmRules } from './rules.ts';
import { thpDefaults, type ThpSettings } from './thp.ts';

/** The node statistics of pinning, in pages. Their difference is the number of pins held. */
export class VmStat {
  /** nr_foll_pin_acquired: pins taken. */
  nrFollPinAcquired = 0;
  /** nr_foll_pin_released: pins dropped. */
  nrFollPinReleased = 0;

  /** Pins held now, in pages. */
  get pinsHeld(): number {
    return this.nrFollPinAcquired - this.nrFollPinReleased;
  }
}

/** Calls that whoever runs the model lets fail. Each is asked once per call, and says whether it does. */
export interface InjectedFailures {
  /** A fatal signal interrupts the wait for the mmap lock in which pages are charged. */
  readonly lock: () => boolean;
  /** A small allocation of the kernel finds no memory. */
  readonly alloc: () => boolean;
  /** A page fault that GUP takes ends with VM_FAULT_SIGBUS. */
  readonly fault: () => boolean;
}

/** Physical memory as the functions of this package see it. */
export class Memory {
  /** Sections, `struct page` arithmetic and page state. */
  readonly memmap: MemMap;
  /** What differs between releases. */
  readonly rules: MmRules;
  /** Pin statistics of the machine. */
  readonly vmstat: VmStat = new VmStat();
  /** Operation counters, shared with the other layers of the machine. */
  readonly counters: Counters;
  /** Where the frames of faults come from; without one, a fault finds no free frame. */
  frames: FrameSource | null = null;
  /** The shared zero page: mapped where anonymous memory was only read, never pinned. */
  zeroPfn: Pfn = 1;
  /** First frame of the huge zero page, which a PMD leaf maps. */
  hugeZeroPfn: Pfn;
  /** Pages of memory that the kernel manages (totalram_pages): all of it, unless set otherwise. */
  totalRamPages: number;
  /** Transparent huge pages, as set in sysfs. */
  thp: ThpSettings;
  /** What the kernel has warned of: the first text of each place. */
  readonly warnings: Map<string, string> = new Map();
  /** What the kernel has printed, warnings included. */
  readonly log: KernelLog = new KernelLog();
  /** The most page tables that an address space may have: a bound of whoever runs the model, not of a kernel. */
  maxPageTables: number = Number.POSITIVE_INFINITY;
  /** Calls that are to fail; null, the default: none. */
  injected: InjectedFailures | null = null;
  /** The bytes of pages; null while nobody writes or reads any: then all read as zeros. */
  contents: PageContents | null = null;

  /** Address spaces that have not ended. */
  readonly addressSpaces: Set<MmStruct> = new Set();
  /** Whether frames are allocated for a longterm pin (memalloc_pin_save). */
  memallocPin = false;
  readonly #hugetlb: HugetlbPool[] = [];

  /**
   * @param memmap memory map
   * @param rules mm rules of the kernel
   * @param counters counters to add to; default: own ones
   */
  constructor(memmap: MemMap, rules: MmRules, counters: Counters = new Counters()) {
    this.memmap = memmap;
    this.hugeZeroPfn = pagesOf(memmap.geometry.pmdOrder);
    this.thp = thpDefaults(memmap.geometry);
    memmap.folioFreed = (pfn, order, flags) => {
      if (flags & PG.hugetlb) this.hugetlbPool(order)?.free();
      if (this.contents !== null) this.contents.drop(pfn, pagesOf(order));
      this.frames?.framesFreed?.(pfn, order, flags);
    };
    this.totalRamPages = memmap.totalPages;
    this.rules = rules;
    this.counters = counters;
  }

  /** Who sees the calls of the machine, in this layer and the others; null: nobody. */
  get tracer(): Tracer | null {
    return this.counters.tracer;
  }

  set tracer(tracer: Tracer | null) {
    this.counters.tracer = tracer;
  }

  /**
   * Sets huge pages aside; their folios come from {@link frames} when they are faulted in.
   *
   * @param pool a pool of a page size that the machine has none of yet
   */
  addHugetlbPool(pool: HugetlbPool): void {
    this.#hugetlb.push(pool);
  }

  /**
   * The pool of a huge page size.
   *
   * @param order folio order
   * @returns the pool, or null if none was added: then every free frame will do
   */
  hugetlbPool(order: number): HugetlbPool | null {
    return this.#hugetlb.find((pool) => pool.order === order) ?? null;
  }

  /**
   * WARN_ON_ONCE: the kernel complains the first time, and goes on.
   *
   * @param at kernel function
   * @param what what it found
   */
  warnOnce(at: string, what: string): void {
    if (this.warnings.has(at)) return;
    this.warnings.set(at, what);
    this.log.add('warn-once', at);
  }

  /**
   * WARN_ON: the kernel complains every time, and goes on.
   *
   * @param at kernel function
   * @param what what it found
   */
  warnOn(at: string, what: string): void {
    if (!this.warnings.has(at)) this.warnings.set(at, what);
    this.log.add('warn', at);
  }
}
