/**
 * `poke va= size= [byte=]`: the process writes its memory.
 *
 * @source README-extpin, "Operations"
 */
import { op, bytes, needed, number, optional, positiveBytes } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** What is written unless the line says otherwise: the letter A. */
const BYTE = 0x41;

/** The operation. */
export interface PokeOperation {
  /** Its op. */
  readonly op: 'poke';
  /** First address in bytes. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** What is written. */
  readonly byte: number;
}

/** The op. */
export const poke: GuestOp<PokeOperation> = {
  op: 'poke',
  summary: 'the process writes its memory, every byte with byte= (default the letter A)',
  entry: op(
    { va: needed(bytes), size: needed(positiveBytes), byte: optional(number) },
    (values) => ({ op: 'poke', byte: BYTE, ...values }),
  ),
  runsNoAlgorithm: true,
  perform({ external }, operation) {
    return external.bytes(operation);
  },
};
