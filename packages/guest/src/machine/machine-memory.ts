/** The memory of a machine, as its facts have it. */
import { PMD_ORDER, PTRS_PER_TABLE, PUD_ORDER } from '@pinfold/base';
import {
  BuddyAllocator,
  HugetlbPool,
  MemMap,
  Memory,
  PageContents,
  type BuddyOptions,
  type MemoryRange,
} from '@pinfold/mm';
import type { MachineFacts } from './machine-facts.ts';
import type { ModelMachineOptions } from './model-machine.ts';

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
export function machineMemory(facts: MachineFacts, options: MemoryOptions): Memory {
  const memmap = new MemMap(facts.memory, facts.memoryModel, 0, options.pageState);
  const memory = new Memory(memmap, options.kernel.mm);
  memory.frames = options.frames ?? buddyAllocator(facts, options.buddy);
  memory.maxPageTables = maxPageTables(memmap.totalPages);
  memory.tracer = options.tracer ?? null;
  if (facts.totalRam !== undefined) memory.totalRamPages = facts.totalRam;
  memory.zeroPfn = facts.zeroPfn;
  memory.hugeZeroPfn = facts.hugeZeroPfn;
  memory.thp = facts.thp;
  memory.addHugetlbPool(new HugetlbPool(PMD_ORDER, facts.hugepages['2M']));
  memory.addHugetlbPool(new HugetlbPool(PUD_ORDER, facts.hugepages['1G']));
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
  facts: MachineFacts,
  options: BuddyOptions = {},
  ranges: readonly MemoryRange[] = facts.memory,
): BuddyAllocator {
  const buddy = new BuddyAllocator(ranges, options);
  buddy.setAside(PUD_ORDER, facts.hugepages['1G']);
  buddy.setAside(PMD_ORDER, facts.hugepages['2M']);
  return buddy;
}

/**
 * Page tables of a process: enough to map all memory twice in small pages, and 8 GiB of zero pages. What
 * needs more reads zero pages without end, which takes memory and time and shows nothing.
 */
function maxPageTables(pages: number): number {
  return 4096 + 2 * Math.ceil(pages / PTRS_PER_TABLE);
}
