/**
 * `access_replace [ioas=]`: the test driver moves to another IOAS.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, optional, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AccessReplaceOperation {
  /** Its op. */
  readonly op: 'access_replace';
  /** The IOAS. */
  readonly ioas: string;
}

/** The op. */
export const accessReplace: GuestOp<AccessReplaceOperation> = {
  op: 'access_replace',
  summary: 'the test driver moves to another IOAS',
  entry: op({ ioas: optional(text) }, ({ ioas = LAST_IOAS }) => ({ op: 'access_replace', ioas })),
  layoutStays: true,
  perform({ iommufd }, { ioas }) {
    return iommufd.done(iommufd.replaceAccess(iommufd.idOf(ioas)));
  },
};
