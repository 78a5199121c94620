/**
 * `munlock va= size=`: the process unlocks memory.
 *
 * @source recordings README, "Scenario language"
 */
import { bytes, needed, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface MunlockOperation {
  /** Its op. */
  readonly op: 'munlock';
  /** First address in bytes. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

/** The op. */
export const munlock: GuestOp<MunlockOperation> = {
  op: 'munlock',
  summary: 'unlocks memory',
  entry: op({ va: needed(bytes), size: needed(bytes) }, (values) => ({ op: 'munlock', ...values })),
  runsNoAlgorithm: true,
  perform({ process }, { va, size }) {
    return { code: process.range('munlock', va, size) };
  },
};
