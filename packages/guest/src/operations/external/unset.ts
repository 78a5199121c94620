/**
 * `unset [dev=]`: the group of an emulated device leaves.
 *
 * @source README-extpin, "Operations"
 */
import { op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { DEV, dev } from './arguments.ts';

/** The operation. */
export interface UnsetOperation {
  /** Its op. */
  readonly op: 'unset';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const unset: GuestOp<UnsetOperation> = {
  op: 'unset',
  summary: 'removes the group only',
  entry: op({ dev }, ({ dev: alias = DEV }) => ({ op: 'unset', dev: alias })),
  perform({ devices }, { dev: alias }) {
    devices.unset(devices.get(alias));
    return { code: 0 };
  },
};
