/**
 * `addgroup dev=`: the group of a device joins the container.
 *
 * @source recordings README, "Scenario language"
 */
import { op, needed, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface AddgroupOperation {
  /** Its op. */
  readonly op: 'addgroup';
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const addgroup: GuestOp<AddgroupOperation> = {
  op: 'addgroup',
  summary: 'adds the group of a device: edu, ivsh16 or ivsh1g',
  entry: op({ dev: needed(text) }, (values) => ({ op: 'addgroup', ...values })),
  perform({ vfio }, { dev }) {
    vfio.join(dev);
    return { code: 0, ...vfio.openWithGroup(dev) };
  },
};
