/** `container name=`: chooses one of several open containers. Pinfold's own. */
import { needed, op, text } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface ContainerOperation {
  /** Its op. */
  readonly op: 'container';
  /** Name of the container. */
  readonly name: string;
}

/** The op. */
export const container: GuestOp<ContainerOperation> = {
  op: 'container',
  summary: 'the calls that follow are made on that container',
  entry: op({ name: needed(text) }, (values) => ({ op: 'container', ...values })),
  layoutStays: true,
  runsNoAlgorithm: true,
  perform({ vfio }, { name }) {
    vfio.useContainer(name);
    return { code: 0 };
  },
};
