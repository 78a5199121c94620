/**
 * `change_process`: IOMMU_IOAS_CHANGE_PROCESS.
 *
 * @source README-iofd, "Additional operations"
 */
import { op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface ChangeProcessOperation {
  /** Its op. */
  readonly op: 'change_process';
}

/** The op. */
export const changeProcess: GuestOp<ChangeProcessOperation> = {
  op: 'change_process',
  summary: 'IOMMU_IOAS_CHANGE_PROCESS',
  entry: op({}, () => ({ op: 'change_process' })),
  layoutStays: true,
  perform({ iommufd, process }) {
    return iommufd.done(iommufd.need().changeProcess(iommufd.caller ?? process.task));
  },
};
