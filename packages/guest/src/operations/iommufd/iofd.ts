/**
 * `iofd`: opens /dev/iommu, binds a device, makes an IOAS and attaches the device to it.
 *
 * @source README-iofd, "Additional operations"
 */
import { flag, text, optional, op } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface IofdOperation {
  /** Its op. */
  readonly op: 'iofd';
  /** Alias of the device. */
  readonly dev: string;
  /** Name of the IOAS. */
  readonly name: string;
  /** Only open. */
  readonly only: boolean;
  /** Open, and make an IOAS. */
  readonly nobind: boolean;
  /** Do not attach. */
  readonly noattach: boolean;
}

/** The op. */
export const iofd: GuestOp<IofdOperation> = {
  op: 'iofd',
  summary:
    'opens /dev/iommu, binds the device (default edu), makes an IOAS (default name I) and attaches the device. only=1: opens alone; nobind=1: no device; noattach=1: does not attach',
  entry: op(
    {
      dev: optional(text),
      path: optional(text),
      name: optional(text),
      ...{ only: optional(flag), nobind: optional(flag), noattach: optional(flag) },
    },
    ({ dev = 'edu', name = 'I', only = false, nobind = false, noattach = false }) => ({
      op: 'iofd',
      ...{ dev, name, only, nobind, noattach },
    }),
  ),
  layoutStays: true,
  perform({ iommufd, devices, process }, { dev, name, only, nobind, noattach }) {
    const fd = iommufd.open();
    if (only) return { code: 0 };
    const device = devices.get(dev);
    const bound = nobind ? null : iommufd.bind(device);
    const ioas = fd.ioasAlloc();
    iommufd.name(name, ioas.id, true);
    const shown = { ioas: ioas.id };
    if (bound === null || noattach) return { code: 0, ...shown };
    return iommufd.done(fd.attach(process.task, bound, ioas.id), shown);
  },
};
