/** The memory of a machine, as its facts have it. */
import type { PageGeometry } from '@pinfold/base';
import {
  BuddyAllocator,
  HugetlbPool,
  MemMap,
  Memory,
  PageContents,
  type BuddyOptions,
  type MemoryRange,
} from '@pinfold/mm';
import type { MachineDescription } from './machine-description.ts';
import type { ModelMachineOptions } from './model-machine.ts';

/** Bytes of zero pages that a process may map. */
const ZEROS = 8 * 2 ** 30;

/** The pools of huge pages, the smallest first: order of a page, and pages. */
function poolsOf({ hugepages }: MachineDescription): [order: number, pages: number][] {
  const pools = Object.entries(hugepages).map(([order, pages]): [number, number] => [
    Number(order),
    pages,
  ]);
  return pools.sort(([a], [b]) => a - b);
}

/** What a machine's memory is made of, besides its facts. */
type MemoryOptions = Pick<
  ModelMachineOptions,
  'kernel' | 'frames' | 'buddy' | 'tracer' | 'pageState' | 'keepsBytes'
>;

/**
 * Makes a machine's memory.
 *
 * @param facts the machine
 * @param options its kernel, and where frames and the state of pages come from
 * @returns memory of which nothing is in use yet
 * @throws {InputError} when the facts contradict each other
 */
export function machineMemory(facts: MachineDescription, options: MemoryOptions): Memory {
  const memmap = new MemMap(facts.memory, facts.memoryModel, 0, options.pageState, facts.geometry);
  const memory = new Memory(memmap, options.kernel.mm);
  memory.frames = options.frames ?? buddyAllocator(facts, options.buddy);
  memory.maxPageTables = maxPageTables(memmap.totalPages, facts.geometry);
  memory.tracer = options.tracer ?? null;
  if (facts.totalRam !== undefined) memory.totalRamPages = facts.totalRam;
  memory.zeroPfn = facts.zeroPfn;
  memory.hugeZeroPfn = facts.hugeZeroPfn;
  // The zero page is PG_reserved. Where no pin can return it, nobody asks.
  if (memory.rules.readPinUnshare !== 'private' && memmap.pfnValid(facts.zeroPfn))
    memmap.reservePages(facts.zeroPfn, 1);
  memory.thp = facts.thp;
  for (const [order, pages] of poolsOf(facts)) memory.addHugetlbPool(new HugetlbPool(order, pages));
  if (options.keepsBytes !== false) memory.contents = new PageContents(memmap.geometry.pageSize);
  return memory;
}

/**
 * A buddy allocator over a machine's memory, with its huge pages set aside.
 *
 * @param facts the machine
 * @param options seed and fragmentation
 * @param ranges the memory that it has; default: all of the machine's
 * @returns the allocator
 * @source mm/hugetlb.c hugetlb_init, 6.16
 */
export function buddyAllocator(
  facts: MachineDescription,
  options: BuddyOptions = {},
  ranges: readonly MemoryRange[] = facts.memory,
): BuddyAllocator {
  const buddy = new BuddyAllocator(ranges, { ...options, geometry: facts.geometry });
  for (const [order, pages] of poolsOf(facts).reverse()) buddy.setAside(order, pages);
  return buddy;
}

/**
 * Page tables of a process: enough to map all memory twice in small pages, and 8 GiB of zero pages. What
 * needs more reads zero pages without end, which takes memory and time and shows nothing.
 */
function maxPageTables(pages: number, { pageSize, tableEntries }: PageGeometry): number {
  return ZEROS / pageSize / tableEntries + 2 * Math.ceil(pages / tableEntries);
}
