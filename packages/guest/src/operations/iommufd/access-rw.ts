/**
 * `access_rw iova= size= va= [flags=]`: the test driver reads or writes.
 *
 * @source README-iofd, "Additional operations"
 */
import { number, needed, optional, op } from '@pinfold/scenario';
import { word64 } from '../../iommufd/ioctl.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AccessRwOperation {
  /** Its op. */
  readonly op: 'access_rw';
  /** First byte. */
  readonly iova: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** Address of the bytes. */
  readonly va: bigint;
  /** IOMMUFD_ACCESS_RW_*. */
  readonly flags: number;
}

/** The op. */
export const accessRw: GuestOp<AccessRwOperation> = {
  op: 'access_rw',
  summary: 'the test driver reads or writes. flags: 1 write, 4 slow path',
  entry: op(
    {
      ...{ iova: needed(word64), size: needed(word64), va: needed(word64) },
      flags: optional(number),
    },
    ({ flags = 0, ...values }) => ({ op: 'access_rw', flags, ...values }),
  ),
  perform({ iommufd, process }, { iova, size, flags }) {
    const access = iommufd.needAccess();
    if (typeof access === 'number') return { code: access };
    return iommufd.done(access.rw(iova, size, flags, process.task));
  },
};
