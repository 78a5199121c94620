/**
 * `mremap va= size= [newsize=] [to=] [maymove=1] [name=]`: memory grows, shrinks or moves.
 *
 * @source README-more, "Against the program"
 */
import { bytes, flag, newRegion, needed, optional, hexPages, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface MremapOperation {
  /** Its op. */
  readonly op: 'mremap';
  /** First address in bytes. */
  readonly va: bigint;
  /** Old length in bytes. */
  readonly size: bigint;
  /** New length in bytes; default the old one. */
  readonly newsize: bigint;
  /** Where it moves to (MREMAP_FIXED). */
  readonly to?: bigint;
  /** Whether it may move if it cannot grow where it lies (MREMAP_MAYMOVE). */
  readonly maymove: boolean;
  /** Name of the memory afterwards, as a region of its own. */
  readonly name?: string;
}

/** The op. */
export const mremap: GuestOp<MremapOperation> = {
  op: 'mremap',
  summary:
    'memory grows or shrinks to newsize, or moves: to an address, or with maymove=1 wherever there is room. name: the new place as a region of its own',
  entry: op(
    {
      ...{ va: needed(bytes), size: needed(bytes), newsize: optional(bytes), to: optional(bytes) },
      ...{ maymove: optional(flag), name: optional(newRegion) },
    },
    ({ size, newsize = size, maymove = false, ...values }) => ({
      ...{ op: 'mremap', size, newsize, maymove, ...values },
    }),
  ),
  runsNoAlgorithm: true,
  perform({ process, devices }, operation) {
    const { ret, region } = process.mremap(operation);
    // A BAR may have lain at the new place, or in what was cut off.
    devices.releaseUnheld();
    if (!region) return { code: ret };
    return { code: 0, va: hexPages(region.vpn), size: hexPages(region.npage) };
  },
};
