/**
 * `close`: every device, group and container is closed.
 *
 * @source recordings README, "Scenario language"
 */
import { plain } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface CloseOperation {
  /** Its op. */
  readonly op: 'close';
}

/** The op. */
export const close: GuestOp<CloseOperation> = {
  op: 'close',
  summary: 'closes every group, device and container',
  entry: plain('close'),
  perform({ closeAll }) {
    closeAll();
    return { code: 0 };
  },
};
