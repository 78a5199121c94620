/**
 * `detach [dev=]`: detaches a bound device.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, optional, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface DetachOperation {
  /** Its op. */
  readonly op: 'detach';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const detach: GuestOp<DetachOperation> = {
  op: 'detach',
  summary: 'detaches a device',
  entry: op({ dev: optional(text) }, ({ dev = 'edu' }) => ({ op: 'detach', dev })),
  layoutStays: true,
  perform({ iommufd, devices }, { dev }) {
    iommufd.need().detach(iommufd.needBound(devices.get(dev)));
    return { code: 0 };
  },
};
