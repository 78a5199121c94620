/**
 * `peek va= size=`: the process reads its memory.
 *
 * @source README-extpin, "Operations"
 */
import { op, bytes, needed, positiveBytes } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface PeekOperation {
  /** Its op. */
  readonly op: 'peek';
  /** First address in bytes. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

/** The op. */
export const peek: GuestOp<PeekOperation> = {
  op: 'peek',
  summary: 'the process reads its memory, which shows the bytes',
  entry: op({ va: needed(bytes), size: needed(positiveBytes) }, (values) => ({
    op: 'peek',
    ...values,
  })),
  runsNoAlgorithm: true,
  perform({ external }, operation) {
    return external.bytes(operation);
  },
};
