/**
 * `opencontainer`: the container alone.
 *
 * @source recordings README, "Scenario language"
 */
import { plain } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface OpencontainerOperation {
  /** Its op. */
  readonly op: 'opencontainer';
}

/** The op. */
export const opencontainer: GuestOp<OpencontainerOperation> = {
  op: 'opencontainer',
  summary: 'opens the container only',
  entry: plain('opencontainer'),
  perform({ vfio }) {
    vfio.openContainer();
    return { code: 0 };
  },
};
