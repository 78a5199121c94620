/**
 * `closeiofd`: closes /dev/iommu alone.
 *
 * @source drivers/vfio/device_cdev.c vfio_df_ioctl_bind_iommufd, 6.16: a bound device holds the iommufd
 */
import { plain } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface CloseiofdOperation {
  /** Its op. */
  readonly op: 'closeiofd';
}

/** The op. */
export const closeiofd: GuestOp<CloseiofdOperation> = {
  op: 'closeiofd',
  summary: 'closes /dev/iommu only; devices that are bound keep the iommufd open',
  entry: plain('closeiofd'),
  layoutStays: true,
  perform({ iommufd }) {
    iommufd.closeFile();
    return { code: 0 };
  },
};
