/**
 * `access_pin iova= size= [as=] [w=] [va=]`: the test driver pins pages; with `va=` it compares them with those of an address.
 *
 * @source README-iofd, "Additional operations"
 */
import { flag, text, needed, optional, op } from '@pinfold/scenario';
import { word64 } from '../../iommufd/ioctl.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AccessPinOperation {
  /** Its op. */
  readonly op: 'access_pin';
  /** First byte. */
  readonly iova: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** Name of what is pinned. */
  readonly as: string;
  /** Whether it will write. */
  readonly w: boolean;
  /** Address to compare with. */
  readonly va: bigint | null;
}

/** The op. */
export const accessPin: GuestOp<AccessPinOperation> = {
  op: 'access_pin',
  summary:
    'the test driver pins pages, under a name (default P). w=1: to write. va: compares them with those of an address',
  entry: op(
    {
      ...{ iova: needed(word64), size: needed(word64), as: optional(text) },
      ...{ w: optional(flag), va: optional(word64) },
    },
    ({ as = 'P', w = false, va = null, ...values }) => ({
      op: 'access_pin',
      ...{ as, w, va },
      ...values,
    }),
  ),
  perform({ iommufd, process }, { iova, size, as, w, va }) {
    return iommufd.done(iommufd.pinAccess(process.task, { iova, length: size, as, write: w, va }));
  },
};
