/**
 * `child OP ...`: a forked child makes a call of iommufd, and ends.
 *
 * @source README-iofd, "Additional operations"
 */
import type { Entry } from '@pinfold/scenario';
import { InputError, ModelBug } from '@pinfold/base';
import { attach, type AttachOperation } from './attach.ts';
import { changeProcess, type ChangeProcessOperation } from './change-process.ts';
import { detach, type DetachOperation } from './detach.ts';
import type { GuestOp } from '../guest-op.ts';
import { ioasCopy, type IoasCopyOperation } from './ioas-copy.ts';
import { ioasMapFile, type IoasMapFileOperation } from './ioas-map-file.ts';
import { ioasMap, type IoasMapOperation } from './ioas-map.ts';
import { ioasUnmap, type IoasUnmapOperation } from './ioas-unmap.ts';

/** What the child does. */
type Inner =
  | AttachOperation
  | ChangeProcessOperation
  | DetachOperation
  | IoasCopyOperation
  | IoasMapFileOperation
  | IoasMapOperation
  | IoasUnmapOperation;

/** What a child can do. */
const OPS: ReadonlyMap<string, GuestOp<Inner>> = new Map<string, GuestOp<Inner>>(
  [attach, changeProcess, detach, ioasCopy, ioasMap, ioasMapFile, ioasUnmap].map((each) => [
    each.op,
    each,
  ]),
);

/** The operation. */
export interface ChildOperation {
  /** Its op. */
  readonly op: 'child';
  /** What the child does. */
  readonly does: Inner;
}

const entry: Entry<ChildOperation> = (name) => ({
  usage: `${name} OP ...`,
  modelled: true,
  read: ([first = '', ...words], place) => {
    const known = OPS.get(first);
    if (!known) throw new InputError(place, [...OPS.keys()].join(', '), `'${first}'`);
    const inner = known.entry(first).read(words, place);
    const { evaluate } = inner;
    return { ...inner, evaluate: (regions) => ({ op: 'child', does: evaluate(regions) }) };
  },
});

/** The op. */
export const child: GuestOp<ChildOperation> = {
  op: 'child',
  summary: 'a forked child makes a call of iommufd, such as child ioas_map va=A size=1M, and ends',
  entry,
  perform(guest, { does }) {
    const { iommufd, process, childFrames } = guest;
    const inner = OPS.get(does.op);
    if (!inner) throw new ModelBug(`a child cannot do ${does.op}`);
    return process.inChild(childFrames, (task) => {
      iommufd.caller = task;
      try {
        const done = inner.perform(guest, does);
        const { lockedVm, pinnedVm } = task.mm;
        return { ...done, child_mm: { VmLck: lockedVm * 4, VmPin: pinnedVm * 4 } };
      } finally {
        iommufd.caller = null;
      }
    });
  },
};
