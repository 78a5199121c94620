/**
 * `dmarw iova= len= write= [byte=] [dev=] [from=] [null=]`: vfio_dma_rw.
 *
 * @source README-extpin, "Operations"
 */
import { op, bytes, flag, needed, number, optional } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { DEV, dev, from, type Caller } from './arguments.ts';

/** What is written unless the line says otherwise: the letter A. */
const BYTE = 0x41;

/** The operation. */
export interface DmarwOperation {
  /** Its op. */
  readonly op: 'dmarw';
  /** Alias of the device. */
  readonly dev: string;
  /** First I/O virtual address in bytes. */
  readonly iova: bigint;
  /** Bytes. */
  readonly len: number;
  /** Whether the device writes. */
  readonly write: boolean;
  /** What it writes. */
  readonly byte: number;
  /** Who makes the call. */
  readonly from: Caller;
  /** Whether the buffer is NULL. */
  readonly null: boolean;
}

/** The op. */
export const dmarw: GuestOp<DmarwOperation> = {
  op: 'dmarw',
  summary: 'vfio_dma_rw: the driver reads (write=0) or writes memory. null=1: without a buffer',
  entry: op(
    {
      ...{ iova: needed(bytes), len: needed(number), write: needed(flag), byte: optional(number) },
      ...{ dev, ...from, null: optional(flag) },
    },
    (values) => ({
      ...{ op: 'dmarw', dev: DEV, from: 'process', byte: BYTE, null: false },
      ...values,
    }),
  ),
  perform({ external }, operation) {
    return external.dmaRw(operation);
  },
};
