/**
 * `fail what= [n=]`: a call of the next step fails.
 *
 * @source recordings README, "Scenario language"
 */
import { op, needed, number, optional, word } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { FAULT_KINDS, type FaultKind } from '../../machine/step-faults.ts';
import { smallerThan } from '../smaller.ts';

/** The operation. */
export interface FailOperation {
  /** Its op. */
  readonly op: 'fail';
  /** What fails. */
  readonly what: FaultKind;
  /** Which call of the step, from 1. */
  readonly n: number;
}

/** The op. */
export const fail: GuestOp<FailOperation> = {
  op: 'fail',
  summary:
    'in the next step, the n-th (default the first) frame that is asked for, GUP, IOMMU map, charge (-EINTR), allocation or page fault fails: frame, gup, map, lock, alloc or fault',
  entry: op({ what: needed(word(...FAULT_KINDS)), n: optional(number) }, ({ n = 1, what }) => ({
    ...{ op: 'fail', what, n },
  })),
  runsNoAlgorithm: true,
  smaller(operation) {
    return smallerThan(operation.n).map((n) => ({ ...operation, n }));
  },
  cost: ({ n }) => ({ other: n }),
  perform({ failNext }, { what, n }) {
    failNext({ what, n });
    return { code: 0 };
  },
};
