/**
 * How much memory the model itself needs for a mapping: an estimate, made before anything is
 * allocated, from the typed arrays that grow with the mapping.
 */
import { formatSize, InputError, PAGE_SIZE } from '@pinfold/base';
import type { Backing } from './backings.ts';
import type { Layout } from './layouts.ts';

/** State of a folio in the memory map: two counts, flags, order. */
const FOLIO_BYTES = 10;
/** Entry of a last-level page table: frame and flags. */
const LAST_LEVEL_BYTES = 9;
/** Entry of a directory, which a large leaf is: frame, flags and the number of a table. */
const DIRECTORY_BYTES = 13;
/** The IOMMU's tables grow by a quarter; while they are copied, both copies exist. */
const GROWTH = 2.25;
/** Leaves of a page table whose place still fits a 32-bit integer. */
const MAX_LEAVES = 2 ** 30;
/** Physical memory of x86-64 with four page-table levels: 46 address bits. */
const MAX_BYTES = 2 ** 46;

/**
 * Memory that the model needs for one mapping.
 *
 * @param bytes size of the mapping
 * @param backing what the memory is
 * @param layout where its frames lie
 * @returns estimate in bytes, of the typed arrays only
 */
export function footprint(bytes: number, backing: Backing, layout: Layout): number {
  const npage = bytes / PAGE_SIZE;
  const processTables = (npage / 2 ** backing.order) * leafBytes(backing.order);
  const iommuTables = (npage / 2 ** layout.leafOrder) * leafBytes(layout.leafOrder);
  return (npage / 2 ** backing.order) * FOLIO_BYTES + processTables + iommuTables * GROWTH;
}

/**
 * Checks that the model can hold mappings.
 *
 * @param bytes size of each mapping
 * @param backing what the memory is
 * @param layout where its frames lie
 * @param mappings mappings that exist at the same time
 * @param availableBytes memory that the model may take
 * @param place the flag or the place in a file, for the message
 * @throws {InputError} when the mapping is larger than the machine's memory can be, or the model
 *   would need more memory than is available
 */
export function checkFits(
  bytes: number,
  backing: Backing,
  layout: Layout,
  mappings: number,
  availableBytes: number,
  place: string,
): void {
  const need = mappings * footprint(bytes, backing, layout);
  const got = `${formatSize(bytes)} of ${backing.name}`;
  if (need > availableBytes) {
    const expected = `what fits into ${formatBytes(availableBytes)} of available memory`;
    throw new InputError(place, expected, `${got}, for which the model needs ${formatBytes(need)}`);
  }
  const max = Math.min(MAX_BYTES, MAX_LEAVES * PAGE_SIZE * 2 ** backing.order);
  if (bytes > max)
    throw new InputError(place, `at most ${formatSize(max)} of ${backing.name}`, got);
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
