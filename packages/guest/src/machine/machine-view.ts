/** What an audit looks at: the parts of a machine, none of which it may change. */
import type { MappedFile, Memory, MemoryRange } from '@pinfold/mm';
import type { VfioContainer, VfioIommu } from '@pinfold/vfio-type1';

/** What an audit looks at. */
export interface MachineView {
  /** Physical memory. */
  readonly ranges: readonly MemoryRange[];
  /** Whether the kernel holds pages here and there, found only when memory is first used. */
  readonly fragmented: boolean;
  /** Memory map, statistics, address spaces. */
  readonly memory: Memory;
  /** Every file and memfd that was ever opened. */
  readonly files: readonly MappedFile[];
  /** The open containers: usually one. */
  readonly containers: readonly VfioContainer[];
}

/** A machine that can be looked at. */
export interface Inspectable {
  /**
   * Shows the machine.
   *
   * @returns its state now
   */
  inspect(): MachineView;
}

/**
 * The type1 states of a machine.
 *
 * @param view the machine
 * @returns the state of each container that has its IOMMU
 */
export function iommusOf({ containers }: MachineView): VfioIommu[] {
  return containers.filter(({ hasIommu }) => hasIommu).map(({ iommu }) => iommu);
}
