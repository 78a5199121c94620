/**
 * `ioas_map_file file= or fd= size= [start=] [iova=] [flags=] [ioas=]`: IOMMU_IOAS_MAP_FILE.
 *
 * @source README-iofd, "Additional operations"
 */
import { flag, number, signed, text, needed, optional, hex, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import { fileOf, ioasMapFlags, ioctl, word64 } from '../../iommufd/ioctl.ts';
import type { GuestOp } from '../guest-op.ts';

/** Bytes of the structure. */
const ARGSZ = 48;

/** The operation. */
export interface IoasMapFileOperation {
  /** Its op. */
  readonly op: 'ioas_map_file';
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
  /** Region of the file, or name of the buffer. */
  readonly file?: string;
  /** A descriptor, if no region. */
  readonly fd: number;
  /** First byte of the file. */
  readonly start: bigint;
}

/** The op. */
export const ioasMapFile: GuestOp<IoasMapFileOperation> = {
  op: 'ioas_map_file',
  summary:
    'IOMMU_IOAS_MAP_FILE of the file of a region, of a dma-buf by name, or of a descriptor; flags as of ioas_map',
  entry: op(
    {
      ...{ file: optional(text), fd: optional(signed) },
      ...{ size: needed(word64), start: optional(word64), iova: optional(word64) },
      ...{ flags: optional(ioasMapFlags), ioas: optional(text) },
      ...{ argsz: optional(number), rsv: optional(number), tail: optional(flag) },
    },
    (values) => ({
      ...{ op: 'ioas_map_file', ...{ fd: 10, start: 0n, iova: 0n, ioas: LAST_IOAS, flags: 7 } },
      ...{ argsz: ARGSZ, rsv: 0, tail: false },
      ...values,
    }),
  ),
  perform({ iommufd, process }, operation) {
    const { ioas, file, fd, start, size: length, iova, flags, rsv: reserved } = operation;
    const { iova: at, ret } = ioctl(operation, ARGSZ, { iova, ret: 0 }, () => {
      const task = iommufd.caller ?? process.task;
      const known = file === undefined ? null : fileOf(file, iommufd.buffers, process.regions);
      const cmd = { flags, ioasId: iommufd.idOf(ioas), reserved, fd, file: known };
      return iommufd.need().ioasMapFile(task, { ...cmd, start, length, iova });
    });
    if (ret === 0) iommufd.lastIova = at;
    return iommufd.done(ret, { iova_out: hex(at) });
  },
};
