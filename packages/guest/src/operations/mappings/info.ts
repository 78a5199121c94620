/**
 * `info`: VFIO_IOMMU_GET_INFO.
 *
 * @source recordings README, "Scenario language"
 */
import { plain } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { asInfo, INFO_ARGSZ, ioctlFailure } from '../../vfio/ioctl-fields.ts';

/** The operation. */
export interface InfoOperation {
  /** Its op. */
  readonly op: 'info';
}

/** The op. */
export const info: GuestOp<InfoOperation> = {
  op: 'info',
  summary: 'VFIO_IOMMU_GET_INFO, with its capabilities',
  entry: plain('info'),
  layoutStays: true,
  runsNoAlgorithm: true,
  perform(guest) {
    const done = guest.needContainer().tryGetInfo(INFO_ARGSZ);
    return { code: done.ret, ...ioctlFailure(done), ...asInfo(done) };
  },
};
