/**
 * `access_unpin id=`: the test driver unpins what it has pinned under a name.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, needed, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AccessUnpinOperation {
  /** Its op. */
  readonly op: 'access_unpin';
  /** The name. */
  readonly id: string;
}

/** The op. */
export const accessUnpin: GuestOp<AccessUnpinOperation> = {
  op: 'access_unpin',
  summary: 'the test driver unpins what it has pinned under a name',
  entry: op({ id: needed(text) }, (values) => ({ op: 'access_unpin', ...values })),
  layoutStays: true,
  perform({ iommufd }, { id }) {
    return { code: iommufd.unpinAccess(id) };
  },
};
