/**
 * `hwpt_alloc [dev=] [pt=] name=`: IOMMU_HWPT_ALLOC of a page table that the IOAS fills.
 *
 * @source README-iofd, "Additional operations"
 */
import { text, needed, optional, op } from '@pinfold/scenario';
import { LAST_IOAS } from '../../iommufd/guest-iommufd.ts';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface HwptAllocOperation {
  /** Its op. */
  readonly op: 'hwpt_alloc';
  /** Alias of the device. */
  readonly dev: string;
  /** The IOAS. */
  readonly pt: string;
  /** Name of the page table. */
  readonly name: string;
}

/** The op. */
export const hwptAlloc: GuestOp<HwptAllocOperation> = {
  op: 'hwpt_alloc',
  summary: 'IOMMU_HWPT_ALLOC: a page table that the IOAS fills',
  entry: op(
    { dev: optional(text), pt: optional(text), name: needed(text) },
    ({ dev = 'edu', pt = LAST_IOAS, name }) => ({ op: 'hwpt_alloc', dev, pt, name }),
  ),
  perform({ iommufd, devices, process }, { dev, pt, name }) {
    const bound = iommufd.needBound(devices.get(dev));
    const task = iommufd.caller ?? process.task;
    const hwpt = iommufd.need().hwptAlloc(task, bound, iommufd.idOf(pt));
    if (typeof hwpt === 'number') return iommufd.done(hwpt);
    iommufd.name(name, hwpt.id);
    return { code: 0 };
  },
};
