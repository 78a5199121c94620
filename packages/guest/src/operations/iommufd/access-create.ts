/**
 * `access_create [ioas=] [nopin=]`: an access of the kernel's test driver.
 *
 * @source README-iofd, "Additional operations"
 */
import { flag, text, optional, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AccessCreateOperation {
  /** Its op. */
  readonly op: 'access_create';
  /** The IOAS. */
  readonly ioas: string;
  /** Whether it pins no pages. */
  readonly nopin: boolean;
}

/** The op. */
export const accessCreate: GuestOp<AccessCreateOperation> = {
  op: 'access_create',
  summary: "an access of the kernel's test driver to an IOAS. nopin=1: it pins no pages",
  entry: op(
    { ioas: optional(text), nopin: optional(flag) },
    ({ ioas = LAST_IOAS, nopin = false }) => ({ op: 'access_create', ioas, nopin }),
  ),
  layoutStays: true,
  perform({ iommufd }, { ioas, nopin }) {
    return iommufd.done(iommufd.createAccess(iommufd.idOf(ioas), !nopin));
  },
};
