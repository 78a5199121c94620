/**
 * `unbind [dev=]`: closes the device, which ends its binding.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, optional, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface UnbindOperation {
  /** Its op. */
  readonly op: 'unbind';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const unbind: GuestOp<UnbindOperation> = {
  op: 'unbind',
  summary: 'closes a device, which ends its binding',
  entry: op({ dev: optional(text) }, ({ dev = 'edu' }) => ({ op: 'unbind', dev })),
  layoutStays: true,
  perform({ iommufd, devices }, { dev }) {
    const device = devices.get(dev);
    iommufd.needBound(device);
    iommufd.unbind(device);
    return { code: 0 };
  },
};
