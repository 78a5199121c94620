/**
 * `ioas_unmap iova= size= [ioas=] [argsz=] [tail=]`: IOMMU_IOAS_UNMAP.
 *
 * @source README-iofd, "Additional operations"
 */
import { flag, number, text, needed, optional, hex, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import { ioctl, word64, word64OrLast } from '../../iommufd/ioctl.ts';
import type { GuestOp } from '../guest-op.ts';

/** Bytes of the structure. */
const ARGSZ = 24;

/** The operation. */
export interface IoasUnmapOperation {
  /** Its op. */
  readonly op: 'ioas_unmap';
  /** The IOAS. */
  readonly ioas: string;
  /** First byte; `last`: where a mapping was made last. */
  readonly iova: bigint | 'last';
  /** Length in bytes. */
  readonly size: bigint;
  /** Bytes of the structure. */
  readonly argsz: number;
  /** Whether what follows the structure is not zero. */
  readonly tail: boolean;
}

/** The op. */
export const ioasUnmap: GuestOp<IoasUnmapOperation> = {
  op: 'ioas_unmap',
  summary:
    'IOMMU_IOAS_UNMAP. iova=last: where a mapping was made last. iova=0 size=max: everything',
  entry: op(
    {
      ...{ iova: needed(word64OrLast), size: needed(word64), ioas: optional(text) },
      ...{ argsz: optional(number), tail: optional(flag) },
    },
    ({ ioas = LAST_IOAS, argsz = ARGSZ, tail = false, ...values }) => ({
      op: 'ioas_unmap',
      ...{ ioas, argsz, tail },
      ...values,
    }),
  ),
  layoutStays: true,
  perform({ iommufd }, operation) {
    const { ioas, size } = operation;
    const iova = operation.iova === 'last' ? iommufd.lastIova : operation.iova;
    const { ret, length } = ioctl(operation, ARGSZ, { length: size, ret: 0 }, () =>
      iommufd.need().ioasUnmap(iommufd.idOf(ioas), iova, size),
    );
    return iommufd.done(ret, { size_out: hex(length) });
  },
};
