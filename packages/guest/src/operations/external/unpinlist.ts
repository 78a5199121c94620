/**
 * `unpinlist iovas= [dev=]`: vfio_unpin_pages for one page after the other.
 *
 * @source README-extpin, "Operations"
 */
import { op, addresses, needed } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { DEV, dev } from './arguments.ts';

/** The operation. */
export interface UnpinlistOperation {
  /** Its op. */
  readonly op: 'unpinlist';
  /** Alias of the device. */
  readonly dev: string;
  /** I/O virtual addresses in bytes. */
  readonly iovas: readonly bigint[];
}

/** The op. */
export const unpinlist: GuestOp<UnpinlistOperation> = {
  op: 'unpinlist',
  summary: 'one call of vfio_unpin_pages per address, of one page',
  entry: op({ iovas: needed(addresses), dev }, (values) => ({
    ...{ op: 'unpinlist', dev: DEV, ...values },
  })),
  layoutStays: true,
  perform({ external }, operation) {
    return external.list(operation);
  },
};
