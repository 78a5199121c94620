/**
 * `option what= [do=] [val=] [id=]`: IOMMU_OPTION.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, needed, optional, op } from '@pinfold/scenario';
import { IOMMU_OPTION_HUGE_PAGES } from '@pinfold/iommufd';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import { word64, wordOrNumber } from '../../iommufd/ioctl.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface OptionOperation {
  /** Its op. */
  readonly op: 'option';
  /** IOMMU_OPTION_*. */
  readonly what: number;
  /** IOMMU_OPTION_OP_*. */
  readonly do: number;
  /** Value to set. */
  readonly val: bigint;
  /** The IOAS; without one the last, where the option has one. */
  readonly id?: string;
}

/** The op. */
export const option: GuestOp<OptionOperation> = {
  op: 'option',
  summary: 'IOMMU_OPTION: rlimit, huge or a number; do: set (default), get or a number',
  entry: op(
    {
      what: needed(wordOrNumber({ rlimit: 0, huge: 1 })),
      do: optional(wordOrNumber({ set: 0, get: 1 })),
      ...{ val: optional(word64), id: optional(text) },
    },
    (values) => ({ op: 'option', do: 0, val: 0n, ...values }),
  ),
  layoutStays: true,
  perform({ iommufd, process }, { what, do: action, val, id }) {
    const object = what === IOMMU_OPTION_HUGE_PAGES ? iommufd.idOf(id ?? LAST_IOAS) : 0;
    const objectId = id === undefined ? object : iommufd.idOf(id);
    const found = iommufd.need().option(process.task, what, action, val, objectId);
    return iommufd.done(found.ret, { val: Number(found.value) });
  },
};
