/**
 * `attach [dev=] [pt=]`: attaches a bound device to an IOAS or a page table, or has it change over.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, optional, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AttachOperation {
  /** Its op. */
  readonly op: 'attach';
  /** Alias of the device. */
  readonly dev: string;
  /** The IOAS or page table. */
  readonly pt: string;
}

/** The op. */
export const attach: GuestOp<AttachOperation> = {
  op: 'attach',
  summary:
    'attaches a bound device to an IOAS or page table (default the last IOAS); an attached one changes over',
  entry: op({ dev: optional(text), pt: optional(text) }, ({ dev = 'edu', pt = LAST_IOAS }) => ({
    op: 'attach',
    dev,
    pt,
  })),
  perform({ iommufd, devices, process }, { dev, pt }) {
    const bound = iommufd.needBound(devices.get(dev));
    const task = iommufd.caller ?? process.task;
    return iommufd.done(iommufd.need().attach(task, bound, iommufd.idOf(pt)));
  },
};
