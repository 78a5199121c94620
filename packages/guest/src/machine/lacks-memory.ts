/**
 * Whether a step needs more memory than the scenario's machine has. Scenarios say how much that is with a
 * `machine` line; without one the machine is that of the recordings, which is smaller than hosts are.
 */
import { formatSize, InputError, PAGE_SIZE, pageNumber } from '@pinfold/base';
import type { BuddyAllocator, ZoneName } from '@pinfold/mm';
import { HUGE_ORDERS } from '../process/huge-orders.ts';
import type { Operation } from '../operations/index.ts';

const ZONES: readonly ZoneName[] = ['DMA32', 'NORMAL', 'MOVABLE'];
/** A line that gives a machine memory: below the PCI hole, and from 4 GiB on. */
const LARGER = 'machine memory=0x0x524288,0x100000x8388608';
const LARGER_SIZE = '34 GiB';

/**
 * Looks at a step that was done.
 *
 * @param operation the step
 * @param code what it returned: 0 or a negative errno
 * @param buddy the machine's free memory
 * @param pages the machine's memory in pages
 * @returns what is wrong with the scenario; null if the step does not lack memory
 */
export function lacksMemory(
  operation: Operation,
  code: number,
  buddy: BuddyAllocator,
  pages: number,
): InputError | null {
  const isTooLarge = code < 0 && isLargerThan(operation, pages);
  // An mmap that populates does not tell what it could not get.
  const isUsedUp = (code < 0 || operation.op === 'mmap') && freePages(buddy) === 0;
  if (!isTooLarge && !isUsedUp) return null;
  const size = formatSize(pages * PAGE_SIZE).replace('G', ' GiB');
  return new InputError(
    'memory',
    `a step for which the scenario's machine has enough: it has ${size}, and with the line ` +
      `'${LARGER}' ${LARGER_SIZE}`,
    isTooLarge ? 'an mmap of more than all memory' : 'one that uses up all free pages',
  );
}

/** Whether an mmap asks for more pages than the machine has, those of the pools of huge pages aside. */
function isLargerThan(operation: Operation, pages: number): boolean {
  if (operation.op !== 'mmap' || HUGE_ORDERS[operation.kind] !== undefined) return false;
  if (operation.kind === 'bar' || operation.kind === 'file') return false;
  return operation.size < 2n ** 47n && pageNumber(operation.size) > pages;
}

function freePages(buddy: BuddyAllocator): number {
  return ZONES.reduce((sum, zone) => sum + buddy.freePages(zone), 0);
}
