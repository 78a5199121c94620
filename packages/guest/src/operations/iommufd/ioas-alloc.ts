/**
 * `ioas_alloc [name=]`: IOMMU_IOAS_ALLOC.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, optional, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface IoasAllocOperation {
  /** Its op. */
  readonly op: 'ioas_alloc';
  /** Name of the IOAS. */
  readonly name: string;
}

/** The op. */
export const ioasAlloc: GuestOp<IoasAllocOperation> = {
  op: 'ioas_alloc',
  summary: 'IOMMU_IOAS_ALLOC',
  entry: op({ name: optional(text) }, ({ name = 'I' }) => ({ op: 'ioas_alloc', name })),
  layoutStays: true,
  perform({ iommufd }, { name }) {
    const ioas = iommufd.need().ioasAlloc();
    iommufd.name(name, ioas.id, true);
    return { code: 0, ioas: ioas.id };
  },
};
