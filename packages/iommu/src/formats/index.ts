/** The page-table formats by name; `all.ts` is their registry. */
import { InputError } from '@pinfold/base';
import * as all from './all.ts';
import type { IoPageTableFormat } from './format.ts';

/** All formats, in the order of their names. */
export const ioPageTableFormats: readonly IoPageTableFormat[] = Object.values(all).sort(
  (one, other) => (one.name < other.name ? -1 : 1),
);

/**
 * Looks a format up.
 *
 * @param name its name
 * @returns the format
 * @throws {InputError} when there is none of that name
 * @source reference iommu.md §7
 */
export function ioPageTableFormat(name: string): IoPageTableFormat {
  const format = ioPageTableFormats.find((candidate) => candidate.name === name);
  if (format) return format;
  const names = ioPageTableFormats.map((candidate) => candidate.name).join(', ');
  throw new InputError('IOMMU page-table format', `one of ${names}`, `'${name}'`);
}
