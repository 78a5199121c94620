/**
 * `allow_iovas [ranges=] [ioas=]`: IOMMU_IOAS_ALLOW_IOVAS; the ranges are a:b,c:d, both ends inclusive.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, optional, op } from '@pinfold/scenario';
import type { IovaRange } from '@pinfold/iommufd';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import { iovaRangeList } from '../../iommufd/ioctl.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AllowIovasOperation {
  /** Its op. */
  readonly op: 'allow_iovas';
  /** The IOAS. */
  readonly ioas: string;
  /** The ranges; none: all addresses. */
  readonly ranges: readonly IovaRange[];
}

/** The op. */
export const allowIovas: GuestOp<AllowIovasOperation> = {
  op: 'allow_iovas',
  summary: 'IOMMU_IOAS_ALLOW_IOVAS: a:b,c:d, both ends inclusive; nothing: all addresses',
  entry: op(
    { ranges: optional(iovaRangeList), ioas: optional(text) },
    ({ ioas = LAST_IOAS, ranges = [] }) => ({ op: 'allow_iovas', ioas, ranges }),
  ),
  layoutStays: true,
  perform({ iommufd }, { ioas, ranges }) {
    return iommufd.done(iommufd.need().allowIovas(iommufd.idOf(ioas), ranges));
  },
};
