/**
 * `setiommu type=`: VFIO_SET_IOMMU.
 *
 * @source recordings README, "Scenario language"
 */
import { op, needed, number } from '@pinfold/scenario';
import type { GuestOp } from '../guest-op.ts';

/** The operation. */
export interface SetiommuOperation {
  /** Its op. */
  readonly op: 'setiommu';
  /** VFIO_*_IOMMU. */
  readonly type: number;
}

/** The op. */
export const setiommu: GuestOp<SetiommuOperation> = {
  op: 'setiommu',
  summary: 'VFIO_SET_IOMMU with a number',
  entry: op({ type: needed(number) }, (values) => ({ op: 'setiommu', ...values })),
  perform({ vfio }, { type }) {
    vfio.needContainer().setIommu(type);
    return { code: 0 };
  },
};
