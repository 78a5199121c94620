/**
 * `ioas_copy src_iova= size= [iova=] [src=] [dst=] [flags=]`: IOMMU_IOAS_COPY.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, needed, optional, hex, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import { ioasMapFlags, word64 } from '../../iommufd/ioctl.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface IoasCopyOperation {
  /** Its op. */
  readonly op: 'ioas_copy';
  /** The IOAS that has the mapping; without one the last. */
  readonly src?: string;
  /** The IOAS that gets it; without one the last. */
  readonly dst?: string;
  /** First byte of what is copied. */
  readonly src_iova: bigint;
  /** Where to map it. */
  readonly iova: bigint;
  /** Length in bytes. */
  readonly size: bigint;
  /** IOMMU_IOAS_MAP_*. */
  readonly flags: number;
}

/** The op. */
export const ioasCopy: GuestOp<IoasCopyOperation> = {
  op: 'ioas_copy',
  summary: 'IOMMU_IOAS_COPY: maps what src has at src_iova; flags as of ioas_map',
  entry: op(
    {
      ...{ src_iova: needed(word64), size: needed(word64), iova: optional(word64) },
      ...{ src: optional(text), dst: optional(text), flags: optional(ioasMapFlags) },
    },
    (values) => ({ op: 'ioas_copy', iova: 0n, flags: 7, ...values }),
  ),
  perform({ iommufd, process }, { src, dst, src_iova: srcIova, iova: dstIova, size, flags }) {
    const task = iommufd.caller ?? process.task;
    const ids = {
      srcIoasId: iommufd.idOf(src ?? LAST_IOAS),
      dstIoasId: iommufd.idOf(dst ?? LAST_IOAS),
    };
    const cmd = { flags, ...ids, length: size, srcIova, dstIova };
    const { ret, iova } = iommufd.need().ioasCopy(task, cmd);
    if (ret === 0) iommufd.lastIova = iova;
    return iommufd.done(ret, { iova_out: hex(iova) });
  },
};
