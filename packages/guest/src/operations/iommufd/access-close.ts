/**
 * `access_close`: the test driver's file is closed.
 *
 * @source README-iofd, "Additional operations"
 */
import { op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AccessCloseOperation {
  /** Its op. */
  readonly op: 'access_close';
}

/** The op. */
export const accessClose: GuestOp<AccessCloseOperation> = {
  op: 'access_close',
  summary: "the test driver's file is closed",
  entry: op({}, () => ({ op: 'access_close' })),
  layoutStays: true,
  perform({ iommufd }) {
    iommufd.closeAccess();
    return { code: 0 };
  },
};
