/** Address spaces whose pages are faulted in, and what tests ask of them. */
import { COUNTER_NAMES, X86_64, type CounterValues, type PageGeometry } from '@pinfold/base';
import type { VmOperations } from '../src/fault.ts';
import { FOLL } from '../src/foll.ts';
import { pinUserPagesRemote } from '../src/gup.ts';
import { HugetlbPool } from '../src/hugetlb-pool.ts';
import { MemMap } from '../src/memmap.ts';
import { Memory } from '../src/memory.ts';
import { MmStruct } from '../src/mm-struct.ts';
import { PTE } from '../src/page-table.ts';
import type { MmRules } from '../src/rules.ts';
import { doMmap } from '../src/syscalls.ts';
import { thpDefaults, type ThpSettings } from '../src/thp.ts';
import { VM } from '../src/vma.ts';
import { FreeFrames, freeMemory } from './free-frames.ts';
import { RULES } from './machine.ts';

/** PROT_READ | PROT_WRITE. */
export const RW: number = VM.READ | VM.WRITE;
/** A virtual page at which a PMD leaf may begin, of any geometry. */
export const BASE = 0x4000;
/** A pin as type1 takes it, to read or to write. */
export const PIN_READ: number = FOLL.LONGTERM;
export const PIN_WRITE: number = FOLL.LONGTERM | FOLL.WRITE;

/** What differs from the default machine: THP for all, no hugetlb pool. */
export interface FaultBoot {
  readonly thp?: Partial<ThpSettings>;
  readonly rules?: Partial<MmRules>;
  /** Pages in the pool of PMD-sized pages. */
  readonly hugePages?: number;
  /** Pages in the pool of 1 GiB pages. */
  readonly gigaPages?: number;
  /** Seed of the order of frames; without one, the lowest come first. */
  readonly seed?: number;
  /** Page size and page-table geometry; default x86-64. */
  readonly geometry?: PageGeometry;
}

/** A machine with an empty address space. */
export interface Faulting {
  readonly mm: MmStruct;
  readonly memory: Memory;
  readonly memmap: MemMap;
  readonly frames: FreeFrames;
}

/** No huge pages: faults ask for 4 KiB. */
export const NO_THP: FaultBoot = { thp: { enabled: 'never' } };

/** Boots a machine whose frames are those of {@link FreeFrames}. */
export function bootFaulting(options: FaultBoot = {}): Faulting {
  const { geometry = X86_64 } = options;
  const memmap = new MemMap(freeMemory(geometry), undefined, undefined, undefined, geometry);
  const memory = new Memory(memmap, { ...RULES.nth_page, ...options.rules });
  const frames = new FreeFrames(options.seed, geometry);
  memory.frames = frames;
  memory.thp = { ...thpDefaults(geometry), ...options.thp };
  if (options.hugePages !== undefined)
    memory.addHugetlbPool(new HugetlbPool(geometry.pmdOrder, options.hugePages));
  if (options.gigaPages !== undefined) {
    memory.addHugetlbPool(new HugetlbPool(geometry.pudOrder, options.gigaPages));
  }
  return { mm: new MmStruct(memory), memory, memmap, frames };
}

/** Maps memory at a free place. */
export function map(
  mm: MmStruct,
  vpn: number,
  npage: number,
  ops: VmOperations,
  flags = RW,
  pgoff = 0,
): void {
  const ret = doMmap(mm, { vpn, npage, flags, ops, pgoff });
  if (ret !== 0) throw new Error(`mmap of ${ops.name}: ${ret}`);
}

/** A leaf of the page table. */
export interface Entry {
  readonly pfn: number;
  readonly level: number;
  /** The bits that are set, besides `present`. */
  readonly bits: string;
}

/** The leaf that covers a page, as the frame of the page; null if absent. */
export function entryAt(mm: MmStruct, vpn: number): Entry | null {
  const { pageTable } = mm;
  const pfn = pageTable.pfnAt(vpn);
  if (pfn < 0) return null;
  const { level, index, ptes, dirs } = pageTable;
  const bits = (level === 0 ? ptes : dirs).bits[index];
  const names = (['write', 'anonExclusive', 'special'] as const).filter((n) => bits & PTE[n]);
  return { pfn, level, bits: names.join(' ') };
}

/** Frames of consecutive pages, -1 where none is mapped. */
export function framesAt(mm: MmStruct, vpn: number, npage: number): number[] {
  return Array.from({ length: npage }, (_, i) => mm.pageTable.pfnAt(vpn + i));
}

/** Number of leaves in an address space. */
export function leavesOf(mm: MmStruct): number {
  let leaves = 0;
  mm.pageTable.forEachLeaf(0, mm.pageTable.virtualPages, () => leaves++);
  return leaves;
}

/** [order, refcount, pincount] of every folio in use, in pfn order. */
export function foliosOf(memory: Memory): number[][] {
  return [...memory.memmap.foliosInUse()].map((f) => [f.order, f.refcount, f.pincount]);
}

/** What a call counts: the counters that it changed. */
export function counting(memory: Memory, call: () => unknown): Partial<CounterValues> {
  const before = memory.counters.snapshot();
  call();
  const since = memory.counters.since(before);
  return Object.fromEntries(
    COUNTER_NAMES.filter((name) => since[name] !== 0).map((name) => [name, since[name]]),
  );
}

/** Pins pages; the result of the call and the frames that it pinned. */
export function pin(
  mm: MmStruct,
  vpn: number,
  npage: number,
  flags: number = PIN_WRITE,
): { ret: number; pages: Float64Array; pfns: number[] } {
  const pages = new Float64Array(npage);
  const ret = pinUserPagesRemote(mm, vpn, npage, flags, pages);
  const pinned = [...pages.subarray(0, Math.max(0, ret))];
  return { ret, pages, pfns: pinned.map((page) => mm.memory.memmap.pageToPfn(page)) };
}

/** Everything a failed call must leave alone. */
export function stateOf({ mm, memory }: Pick<Faulting, 'mm' | 'memory'>): unknown {
  const leaves: unknown[] = [];
  mm.pageTable.forEachLeaf(0, 2 ** 35, (...leaf) => leaves.push(leaf));
  const pools = [9, 18].map((order) => {
    const pool = memory.hugetlbPool(order);
    return [pool?.freeHugePages, pool?.resvHugePages];
  });
  const { lockedVm } = mm;
  return { leaves, pools, lockedVm, folios: [...memory.memmap.foliosInUse()], vmas: [...mm.vmas] };
}
