/**
 * `mlock va= size=`: the process locks memory.
 *
 * @source recordings README, "Scenario language"
 */
import { bytes, needed, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface MlockOperation {
  /** Its op. */
  readonly op: 'mlock';
  /** First address in bytes. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

/** The op. */
export const mlock: GuestOp<MlockOperation> = {
  op: 'mlock',
  summary: 'locks memory',
  entry: op({ va: needed(bytes), size: needed(bytes) }, (values) => ({ op: 'mlock', ...values })),
  runsNoAlgorithm: true,
  perform({ process }, { va, size }) {
    return { code: process.range('mlock', va, size) };
  },
};
