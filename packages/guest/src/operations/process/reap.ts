/**
 * `reap`: the last child ends.
 *
 * @source recordings README, "Scenario language"
 */
import { op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface ReapOperation {
  /** Its op. */
  readonly op: 'reap';
}

/** The op. */
export const reap: GuestOp<ReapOperation> = {
  op: 'reap',
  summary: 'ends the last child',
  entry: op({}, () => ({ op: 'reap' })),
  runsNoAlgorithm: true,
  perform({ process, devices }) {
    // A program that has forgotten its other children waits for one that has ended, in vain.
    if (!process.knowsItsChild) return { code: 0 };
    const code = process.reap();
    if (code === 0) devices.reap();
    return { code };
  },
};
