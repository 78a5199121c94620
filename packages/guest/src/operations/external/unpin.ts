/**
 * `unpin iova= [n=] [dev=] [from=] [times=] [forget=]`: vfio_unpin_pages.
 *
 * @source README-extpin, "Operations"
 */
import { op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { call, ONE_CALL, pages, type Caller } from './arguments.ts';

/** The operation. */
export interface UnpinOperation {
  /** Its op. */
  readonly op: 'unpin';
  /** Alias of the device. */
  readonly dev: string;
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Pages; may be negative. */
  readonly n: number;
  /** Times that the call is made. */
  readonly times: number;
  /** Who makes it. */
  readonly from: Caller;
  /** Whether the device still remembers the pins. */
  readonly forget: boolean;
}

/** The op. */
export const unpin: GuestOp<UnpinOperation> = {
  op: 'unpin',
  summary: 'vfio_unpin_pages. from, times and forget: as of pin',
  entry: op({ ...pages, ...call }, (values) => ({ op: 'unpin', ...ONE_CALL, ...values })),
  layoutStays: true,
  perform({ external }, operation) {
    return external.unpin(operation);
  },
};
