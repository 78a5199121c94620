/**
 * `info [argsz=]`: VFIO_IOMMU_GET_INFO.
 *
 * @source recordings README, "Scenario language"
 */
import { number, op, optional } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { asInfo, INFO_ARGSZ, ioctlFailure } from '../../vfio/ioctl-fields.ts';

/** The operation. */
export interface InfoOperation {
  /** Its op. */
  readonly op: 'info';
  /** Bytes of the structure and the room after it; default: ample. Pinfold's own. */
  readonly argsz?: number;
}

/** The op. */
export const info: GuestOp<InfoOperation> = {
  op: 'info',
  summary: 'VFIO_IOMMU_GET_INFO, with its capabilities',
  entry: op({ argsz: optional(number) }, (values) => ({ op: 'info', ...values })),
  layoutStays: true,
  runsNoAlgorithm: true,
  perform(guest, { argsz = INFO_ARGSZ }) {
    const done = guest.needContainer().tryGetInfo(argsz);
    return { code: done.ret, ...ioctlFailure(done), ...asInfo(done) };
  },
};
