/** A small machine with one process, for whoever wants memory to pin and no machine to describe. */
import { pageNumber, X86_64, type PageGeometry, type Vpn } from '@pinfold/base';
import { anonymousMemory } from './anon.ts';
import { MemMap } from './memmap.ts';
import { Memory } from './memory.ts';
import { MmStruct, Task } from './mm-struct.ts';
import { BuddyAllocator } from './page-alloc.ts';
import { LATEST_MM_RULES, type MmRules } from './rules.ts';
import { doMmap } from './syscalls.ts';
import { VM } from './vma.ts';

/** First byte of the memory: 4 GiB, above the zero pages and the holes of a PC. */
const FIRST_BYTE = 2n ** 32n;
/** Bytes of memory, if nothing else is asked for. */
const MEMORY = 2n ** 28n;

/** What a {@link createTask} machine is like. */
export interface TaskOptions {
  /** Memory of the machine in pages; default 256 MiB. */
  readonly npage?: number;
  /** Rules of the kernel; default those of 7.2. */
  readonly rules?: MmRules;
  /** Page size and page-table geometry; default those of x86-64. */
  readonly geometry?: PageGeometry;
}

/**
 * Makes a process on a machine of its own: memory from 4 GiB on, all of it free in a buddy
 * allocator, THP on, RLIMIT_MEMLOCK at the kernel's default of 8 MiB.
 *
 * @param options size of the memory and rules of the kernel
 * @returns the process, which has mapped nothing; `mm.memory` is the machine's memory
 * @source include/uapi/linux/resource.h MLOCK_LIMIT, 6.16, for the limit; the machine is made up
 */
export function createTask(options: TaskOptions = {}): Task {
  const { rules = LATEST_MM_RULES, geometry = X86_64 } = options;
  const { npage = pageNumber(MEMORY, geometry.pageShift) } = options;
  const ranges = [{ pfn: pageNumber(FIRST_BYTE, geometry.pageShift), npage }];
  const memmap = new MemMap(ranges, undefined, undefined, undefined, geometry);
  const memory = new Memory(memmap, rules);
  memory.frames = new BuddyAllocator(ranges, { geometry });
  return new Task(new MmStruct(memory));
}

/**
 * Maps private anonymous memory that may be read and written; nothing is populated.
 *
 * @param mm address space
 * @param vpn first virtual page (MAP_FIXED_NOREPLACE)
 * @param npage length in pages, at least 1
 * @returns 0; -EEXIST when something is mapped there; -ENOMEM above 47 address bits
 * @throws {InputError} when the range is empty
 * @source mm/mmap.c do_mmap with MAP_PRIVATE | MAP_ANONYMOUS, 6.16
 */
export function mmapAnonymous(mm: MmStruct, vpn: Vpn, npage: number): number {
  return doMmap(mm, { vpn, npage, flags: VM.READ | VM.WRITE, ops: anonymousMemory });
}
