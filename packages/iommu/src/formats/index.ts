/** The registry of page-table formats: one line per format. */
import { InputError } from '@pinfold/base';
import type { IoPageTableFormat } from './format.ts';
import { genericPtVtdSs } from './generic-pt-vtd-ss.ts';
import { vtdSecondLevel, vtdSecondLevel612 } from './vtd-second-level.ts';

/** All formats by name. */
export const ioPageTableFormats: readonly IoPageTableFormat[] = [
  vtdSecondLevel612,
  vtdSecondLevel,
  genericPtVtdSs,
];

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
