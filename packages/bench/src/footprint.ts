/**
 * How much memory the model itself needs for a mapping: an upper estimate, made before anything is
 * allocated, from the typed arrays that grow with the mapping.
 */
import { formatSize, InputError, PAGE_SIZE } from '@pinfold/base';
import type { Backing } from './backings.ts';
import type { Layout } from './layouts.ts';

/** State of a folio in the memory map: two counts, flags, order. */
const FOLIO_BYTES = 10;
/** Entry of a last-level page table: frame (half as wide below 8 TiB) and flags. */
const LAST_LEVEL_BYTES = 9;
/** Entry of a directory, which a large leaf is: frame, flags and the number of a table. */
const DIRECTORY_BYTES = 13;
/** Arrays grow by a quarter; while they are copied, both copies exist. */
const GROWTH = 2.25;
/** Most leaves of a page table: the index of each fits a 32-bit integer. */
const MAX_LEAVES = 2 ** 30;
/** Physical memory of x86-64 with four page-table levels: 46 address bits. */
const MAX_BYTES = 2 ** 46;

/**
 * Memory that the model needs for one mapping.
 *
 * @param bytes size of the mapping
 * @param backing what the memory is
 * @param layout where its frames lie
 * @returns upper estimate in bytes, of the typed arrays only
 */
export function footprint(bytes: number, backing: Backing, layout: Layout): number {
  const npage = bytes / PAGE_SIZE;
  const folios = npage / 2 ** backing.order;
  // What is kept per 4 KiB page of the process is allocated at once.
  const growth = backing.order === 0 ? 1 : GROWTH;
  const processBytes = folios * (FOLIO_BYTES + leafBytes(backing.order)) * growth;
  return processBytes + (npage / 2 ** layout.leafOrder) * leafBytes(layout.leafOrder) * GROWTH;
}

/**
 * Checks that a mapping is no larger than the memory of a machine, and its page tables no larger
 * than the model's tables can be.
 *
 * @param bytes size of the mapping
 * @param backing what the memory is
 * @param place the flag or the place in a file, for the message
 * @throws {InputError} when it is larger
 */
export function checkLargest(bytes: number, backing: Backing, place: string): void {
  const max = Math.min(MAX_BYTES, MAX_LEAVES * PAGE_SIZE * 2 ** backing.order);
  if (bytes <= max) return;
  const got = `${formatSize(bytes)} of ${backing.name}`;
  throw new InputError(place, `at most ${formatSize(max)} of ${backing.name}`, got);
}

/**
 * Checks that the memory that the model needs is there.
 *
 * @param neededBytes sum of the footprints
 * @param availableBytes memory that the model may take
 * @param what the mappings, for the message
 * @param place the flag or the place in a file, for the message
 * @throws {InputError} when it is not
 */
export function checkFits(
  neededBytes: number,
  availableBytes: number,
  what: string,
  place: string,
): void {
  if (neededBytes <= availableBytes) return;
  const expected = `what fits into ${formatBytes(availableBytes)} of available memory`;
  throw new InputError(
    place,
    expected,
    `${what}, for which the model needs ${formatBytes(neededBytes)}`,
  );
}

function leafBytes(order: number): number {
  return order === 0 ? LAST_LEVEL_BYTES : DIRECTORY_BYTES;
}

/** Bytes with three digits, such as `22.9 GiB`. */
function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Number((bytes / 2 ** (10 * power)).toPrecision(3))} ${units[power]}`;
}
