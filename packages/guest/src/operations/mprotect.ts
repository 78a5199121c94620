/**
 * `mprotect va= size= prot=`: the process changes what may be done with memory.
 *
 * @source recordings README, "Scenario language"
 */
import { bytes, prot, needed, op } from '@pinfold/scenario';
import type { GuestOp } from './guest-op.ts';

/** The operation. */
export interface MprotectOperation {
  /** Its op. */
  readonly op: 'mprotect';
  /** First address in bytes. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** Access: letters of `r`, `w` and `x`, empty for PROT_NONE. */
  readonly prot: string;
}

/** The op. */
export const mprotect: GuestOp<MprotectOperation> = {
  op: 'mprotect',
  entry: op({ va: needed(bytes), size: needed(bytes), prot: needed(prot) }, (values) => ({
    op: 'mprotect',
    ...values,
  })),
  perform({ process }, { va, size, prot }) {
    return { code: process.mprotect(va, size, prot) };
  },
};
