/**
 * `ioas_map va= size= [iova=] [flags=] [ioas=] [argsz=] [rsv=] [tail=]`: IOMMU_IOAS_MAP.
 *
 * @source README-iofd, "Additional operations"
 */
import { flag, number, text, needed, optional, hex, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import { ioasMapFlags, ioctl, word64 } from '../../iommufd/ioctl.ts';
import type { GuestOp } from '../guest-op.ts';

/** Bytes of the structure. */
const ARGSZ = 40;

/** The operation. */
export interface IoasMapOperation {
  /** Its op. */
  readonly op: 'ioas_map';
  /** The IOAS. */
  readonly ioas: string;
  /** Where to map it. */
  readonly iova: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** IOMMU_IOAS_MAP_*. */
  readonly flags: number;
  /** Bytes of the structure. */
  readonly argsz: number;
  /** Its reserved field. */
  readonly rsv: number;
  /** Whether what follows the structure is not zero. */
  readonly tail: boolean;
  /** Address of the memory. */
  readonly va: bigint;
}

/** The op. */
export const ioasMap: GuestOp<IoasMapOperation> = {
  op: 'ioas_map',
  summary:
    'IOMMU_IOAS_MAP. flags: letters of f (fixed IOVA), r and w, default frw, or a number. size=max: 2^64 - 1',
  entry: op(
    {
      ...{ va: needed(word64), size: needed(word64), iova: optional(word64) },
      ...{ flags: optional(ioasMapFlags), ioas: optional(text) },
      ...{ argsz: optional(number), rsv: optional(number), tail: optional(flag) },
    },
    ({
      iova = 0n,
      ioas = LAST_IOAS,
      flags = 7,
      argsz = ARGSZ,
      rsv = 0,
      tail = false,
      ...values
    }) => ({ op: 'ioas_map', ...{ iova, ioas, flags, argsz, rsv, tail }, ...values }),
  ),
  perform({ iommufd, process }, operation) {
    const { ioas, va, size: length, iova, flags, rsv: reserved } = operation;
    const { iova: at, ret } = ioctl(operation, ARGSZ, { iova, ret: 0 }, () => {
      const task = iommufd.caller ?? process.task;
      const ioasId = iommufd.idOf(ioas);
      return iommufd.need().ioasMap(task, { flags, ioasId, reserved, userVa: va, length, iova });
    });
    if (ret === 0) iommufd.lastIova = at;
    return iommufd.done(ret, { iova_out: hex(at) });
  },
};
