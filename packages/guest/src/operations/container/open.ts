/**
 * `open type= [dev=]`: the container with the group of a device, and its IOMMU.
 *
 * @source recordings README, "Scenario language"
 */
import { op, needed, optional, text, word } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';
import { shownAtOpen } from '../../vfio/ioctl-fields.ts';

/** IOMMU type of `open`: type1, type1 v2, or the nesting type. */
export type IommuType = keyof typeof IOMMU_TYPES;

/** VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU and VFIO_TYPE1_NESTING_IOMMU. */
const IOMMU_TYPES = { v1: 1, v2: 3, nesting: 6 } as const;

/** The operation. */
export interface OpenOperation {
  /** Its op. */
  readonly op: 'open';
  /** IOMMU type: type1, type1 v2, or the nesting type. */
  readonly type: IommuType;
  /** Alias of the device. */
  readonly dev: string;
}

/** The op. */
export const open: GuestOp<OpenOperation> = {
  op: 'open',
  summary:
    'opens the container, adds the group of the device (default edu), and sets the IOMMU type: v2, v1 or nesting',
  entry: op(
    { type: needed(word('v2', 'v1', 'nesting')), dev: optional(text) },
    ({ type, dev = 'edu' }) => ({ op: 'open', type, dev }),
  ),
  perform({ vfio }, { type, dev }) {
    vfio.openContainer();
    vfio.join(dev);
    vfio.needContainer().setIommu(IOMMU_TYPES[type]);
    return { code: 0, ...vfio.openWithGroup(dev) };
  },
  shown({ vfio: { container } }, code) {
    return container ? shownAtOpen(container, code === 0) : {};
  },
};
