/**
 * `dropcap`: the process gives up CAP_IPC_LOCK.
 *
 * @source recordings README, "Scenario language"
 */
import { op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface DropcapOperation {
  /** Its op. */
  readonly op: 'dropcap';
}

/** The op. */
export const dropcap: GuestOp<DropcapOperation> = {
  op: 'dropcap',
  summary: 'drops CAP_IPC_LOCK: from here on RLIMIT_MEMLOCK counts',
  entry: op({}, () => ({ op: 'dropcap' })),
  layoutStays: true,
  runsNoAlgorithm: true,
  perform({ process }) {
    process.task.capIpcLock = false;
    return { code: 0 };
  },
};
