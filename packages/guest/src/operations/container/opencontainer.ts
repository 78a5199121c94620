/**
 * `opencontainer [name=]`: opens a container.
 *
 * @source recordings README, "Scenario language"
 */
import { op, optional, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface OpencontainerOperation {
  /** Its op. */
  readonly op: 'opencontainer';
  /** What {@link ContainerOperation} calls it. Pinfold's own. */
  readonly name?: string;
}

/** The op. */
export const opencontainer: GuestOp<OpencontainerOperation> = {
  op: 'opencontainer',
  summary: 'opens the container only. name: one of several; the calls that follow are made on it',
  entry: op({ name: optional(text) }, (values) => ({ op: 'opencontainer', ...values })),
  perform({ vfio }, { name }) {
    vfio.openContainer(name);
    return { code: 0 };
  },
};
