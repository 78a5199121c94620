/**
 * `close [iommufd_first=]`: every device, group, container and iommufd is closed.
 *
 * @source recordings README, "Scenario language"; README-iofd, "Additional operations"
 */
import { flag, op, optional } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface CloseOperation {
  /** Its op. */
  readonly op: 'close';
}

/** The op. */
export const close: GuestOp<CloseOperation> = {
  op: 'close',
  summary:
    'closes every group, device, container and iommufd. iommufd_first=1: /dev/iommu before the devices, which keep it open',
  // The order shows nowhere: a bound device holds the iommufd until it is closed itself.
  entry: op({ iommufd_first: optional(flag) }, () => ({ op: 'close' })),
  perform({ closeAll }) {
    closeAll();
    return { code: 0 };
  },
};
