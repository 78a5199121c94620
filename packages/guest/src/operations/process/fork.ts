/**
 * `fork`: a child of the process, which waits.
 *
 * @source recordings README, "Scenario language"
 */
import { op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface ForkOperation {
  /** Its op. */
  readonly op: 'fork';
}

/** The op. */
export const fork: GuestOp<ForkOperation> = {
  op: 'fork',
  summary: 'makes a child that sleeps, with everything open and mapped that the process has',
  entry: op({}, () => ({ op: 'fork' })),
  runsNoAlgorithm: true,
  perform({ process, devices, childFrames }) {
    const code = process.fork(childFrames);
    if (code === 0) devices.fork();
    return { code };
  },
};
