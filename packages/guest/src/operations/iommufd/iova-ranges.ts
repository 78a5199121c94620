/**
 * `iova_ranges [num=] [rsv=] [ioas=]`: IOMMU_IOAS_IOVA_RANGES.
 *
 * @source README-iofd, "Additional operations"
 */
import { number, text, optional, hex, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface IovaRangesOperation {
  /** Its op. */
  readonly op: 'iova_ranges';
  /** The IOAS. */
  readonly ioas: string;
  /** Ranges that there is room for. */
  readonly num: number;
  /** The reserved field. */
  readonly rsv: number;
}

/** The op. */
export const iovaRanges: GuestOp<IovaRangesOperation> = {
  op: 'iova_ranges',
  summary: 'IOMMU_IOAS_IOVA_RANGES, with room for num ranges',
  entry: op(
    { num: optional(number), rsv: optional(number), ioas: optional(text) },
    ({ ioas = LAST_IOAS, num = 64, rsv = 0 }) => ({ op: 'iova_ranges', ioas, num, rsv }),
  ),
  layoutStays: true,
  perform({ iommufd }, { ioas, num, rsv }) {
    const found = iommufd.need().iovaRanges(iommufd.idOf(ioas), num, rsv);
    return iommufd.done(found.ret, {
      num: found.num,
      align: hex(BigInt(found.alignment)),
      ranges: found.ranges.map(({ start, last }) => [hex(start), hex(last)] as const),
    });
  },
};
