/** The kinds of IOMMUs by name; `all.ts` is their registry. */
import { InputError } from '@pinfold/base';
import type { IommuUnit } from '../domain.ts';
import * as all from './all.ts';
import type { IommuKind } from './kind.ts';

/** All kinds, in the order of their names. */
export const iommuKinds: readonly IommuKind[] = Object.values(all).sort((one, other) =>
  one.name < other.name ? -1 : 1,
);

/**
 * Looks a kind up.
 *
 * @param name its name
 * @param place where the name stands, for messages
 * @returns the kind
 * @throws {InputError} when there is none of that name
 * @source reference iommu.md §7
 */
export function iommuKind(name: string, place = 'IOMMU'): IommuKind {
  const kind = iommuKinds.find((candidate) => candidate.name === name);
  if (kind) return kind;
  const names = iommuKinds.map((candidate) => candidate.name).join(', ');
  throw new InputError(place, `one of ${names}`, `'${name}'`);
}

/**
 * A VT-d unit with 2 MiB and 1 GiB superpages and the MSI window.
 *
 * @param addressWidth input address width in bits: 39, 48 (default) or 57
 * @returns the unit's facts
 * @source drivers/iommu/intel/iommu.c intel_iommu_get_resv_regions, 6.16
 */
export function intelVtd(addressWidth = 48): IommuUnit {
  return all.intelVtdKind.unit({ addressWidth });
}
