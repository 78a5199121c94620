/**
 * `pin iova= [n=] [prot=] [dev=] [from=] [times=] [forget=] [null=]`: vfio_pin_pages.
 *
 * @source README-extpin, "Operations"
 */
import { op, access, flag, optional } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { PAGE, smallerThan } from '../smaller.ts';
import { call, ONE_CALL, pages, RW, type Caller } from './arguments.ts';

/** The operation. */
export interface PinOperation {
  /** Its op. */
  readonly op: 'pin';
  /** Alias of the device. */
  readonly dev: string;
  /** First I/O virtual address in bytes, of any alignment. */
  readonly iova: bigint;
  /** Pages; may be negative. */
  readonly n: number;
  /** Access that the device wants: READ 1, WRITE 2; may be any number. */
  readonly prot: number;
  /** Times that the call is made. */
  readonly times: number;
  /** Who makes it. */
  readonly from: Caller;
  /** Whether the page array is NULL. */
  readonly null: boolean;
  /** Whether the device does not remember these pins. */
  readonly forget: boolean;
}

/** The op. */
export const pin: GuestOp<PinOperation> = {
  op: 'pin',
  summary:
    'vfio_pin_pages. prot: letters of rw, or a number. from: kthread or child. times: as many calls. null=1: without a page array. forget=1: the driver does not remember the pages',
  entry: op({ ...pages, prot: optional(access), ...call, null: optional(flag) }, (values) => ({
    op: 'pin',
    ...ONE_CALL,
    prot: RW,
    null: false,
    ...values,
  })),
  smaller(operation) {
    return smallerThan(operation.n).flatMap((n) => [
      { ...operation, n },
      { ...operation, n, iova: operation.iova + BigInt(operation.n - n) * PAGE },
    ]);
  },
  cost: ({ n }) => ({ other: n }),
  perform({ external }, operation) {
    return external.pin(operation);
  },
};
