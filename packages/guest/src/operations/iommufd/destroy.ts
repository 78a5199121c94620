/**
 * `destroy id=`: IOMMU_DESTROY.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, needed, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface DestroyOperation {
  /** Its op. */
  readonly op: 'destroy';
  /** The object. */
  readonly id: string;
}

/** The op. */
export const destroy: GuestOp<DestroyOperation> = {
  op: 'destroy',
  summary: 'IOMMU_DESTROY of an object, by name or number',
  entry: op({ id: needed(text) }, (values) => ({ op: 'destroy', ...values })),
  layoutStays: true,
  perform({ iommufd }, { id }) {
    return iommufd.done(iommufd.need().destroy(iommufd.idOf(id)));
  },
};
