/**
 * `munmap va= size=`: the process unmaps memory.
 *
 * @source recordings README, "Scenario language"
 */
import { bytes, needed, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { onePage } from '../smaller.ts';

/** The operation. */
export interface MunmapOperation {
  /** Its op. */
  readonly op: 'munmap';
  /** First address in bytes. */
  readonly va: bigint;
  /** Length in bytes. */
  readonly size: bigint;
}

/** The op. */
export const munmap: GuestOp<MunmapOperation> = {
  op: 'munmap',
  summary: 'unmaps memory',
  entry: op({ va: needed(bytes), size: needed(bytes) }, (values) => ({ op: 'munmap', ...values })),
  runsNoAlgorithm: true,
  smaller: onePage,
  perform({ process, devices }, { va, size }) {
    const code = process.range('munmap', va, size);
    devices.releaseUnheld();
    return { code };
  },
};
