/**
 * `closecontainer`: closes the container's file alone.
 *
 * @source drivers/vfio/container.c vfio_fops_release, 6.16
 */
import { plain } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface ClosecontainerOperation {
  /** Its op. */
  readonly op: 'closecontainer';
}

/** The op. */
export const closecontainer: GuestOp<ClosecontainerOperation> = {
  op: 'closecontainer',
  summary: 'closes the file of the container only; the groups in it keep its mappings',
  entry: plain('closecontainer'),
  perform({ vfio }) {
    vfio.closeContainer();
    return { code: 0 };
  },
};
