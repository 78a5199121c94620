/**
 * `mprotect va= size= prot=`: the process changes what may be done with memory.
 *
 * @source recordings README, "Scenario language"
 */
import { bytes, prot, needed, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { onePage } from '../smaller.ts';

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
  summary: 'changes the access to memory: letters of rwx, or none',
  entry: op({ va: needed(bytes), size: needed(bytes), prot: needed(prot) }, (values) => ({
    op: 'mprotect',
    ...values,
  })),
  runsNoAlgorithm: true,
  smaller: onePage,
  perform({ process }, { va, size, prot }) {
    return { code: process.mprotect(va, size, prot) };
  },
};
