/**
 * `memlock bytes=`: the RLIMIT_MEMLOCK of the process.
 *
 * @source recordings README, "Scenario language"
 */
import { bytes, needed, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { PAGE, pagesIn, smallerThan } from '../smaller.ts';

/** From here on a limit is RLIM_INFINITY, which is all ones. */
const UNLIMITED = 2n ** 63n;

/** The operation. */
export interface MemlockOperation {
  /** Its op. */
  readonly op: 'memlock';
  /** The limit in bytes. */
  readonly bytes: bigint;
}

/** The op. */
export const memlock: GuestOp<MemlockOperation> = {
  op: 'memlock',
  summary: 'sets RLIMIT_MEMLOCK, soft and hard; it counts after dropcap',
  entry: op({ bytes: needed(bytes) }, (values) => ({ op: 'memlock', ...values })),
  layoutStays: true,
  runsNoAlgorithm: true,
  smaller(operation) {
    return [0, ...smallerThan(pagesIn(operation.bytes))].flatMap((npage) => {
      const limit = BigInt(npage) * PAGE;
      return limit < operation.bytes ? { ...operation, bytes: limit } : [];
    });
  },
  cost: ({ bytes: limit }) => ({ other: Math.min(1000, pagesIn(limit)) }),
  perform({ process }, { bytes: limit }) {
    process.task.rlimitMemlock = limit >= UNLIMITED ? Infinity : Number(limit);
    return { code: 0 };
  },
};
